"""DF-MVR: multi-view 3D face reconstruction, from photographs to tables.

The package never imports snakemake. `dfmvr.networks`, `dfmvr.rendering`, `dfmvr.losses` and `dfmvr.train` import
torch, numpy and the standard library only, so that they run on a GPU machine with little else installed.
"""

__version__ = "0.1.0"
