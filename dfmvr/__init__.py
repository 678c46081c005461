"""DF-MVR: multi-view 3D face reconstruction, from photographs to tables.

The package never imports snakemake. What trains and renders imports torch, numpy and SciPy only, and the rest where it
is used, so that it runs on a GPU machine with little else installed.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dfmvr.reconstruct.photographs.reconstruction import Reconstruction
    from dfmvr.reconstruct.photographs.reconstructor import Reconstructor

__all__ = ["Reconstruction", "Reconstructor", "__version__"]

_FROM = {
    "Reconstruction": "dfmvr.reconstruct.photographs.reconstruction",
    "Reconstructor": "dfmvr.reconstruct.photographs.reconstructor",
}


def __getattr__(name: str) -> Any:
    """Import what users of the package want when they ask for it, so that the rest needs torch and NumPy alone."""
    if name not in _FROM:
        raise AttributeError(f"module 'dfmvr' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_FROM[name]), name)
