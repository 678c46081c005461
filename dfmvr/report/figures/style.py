"""One look for every figure: colours that colour-blind readers tell apart, dashes and markers for grey print."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dfmvr.files import writing
from dfmvr.report.names import FLOOR, MEAN_FACE, OURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Look(NamedTuple):
    """How a method is drawn."""

    colour: str
    dashes: tuple[float, ...]
    marker: str
    width: float = 1.6


_BY_VIEW = {"left": ((6, 2), "<"), "front": ((3.5, 1.5), "v"), "right": ((1.5, 1.5), ">")}

LOOKS = {
    MEAN_FACE: Look("#8a8a8a", (1.2, 1.6), "s"),
    "shang": Look("#cc79a7", (3.5, 1.5), "v"),
    "deng": Look("#009e73", (7, 1.5, 1.5, 1.5), "P"),
    "dfmvr_cnn": Look("#e69f00", (4, 1.5), "X"),
    "dfmvr_unet": Look("#56b4e9", (2, 1), "d"),
    "dfmvr_resnet": Look("#6a51a3", (6, 1, 1, 1, 1, 1), "p"),
    "dfmvr_without_mask": Look("#6b7a1f", (9, 2), "h"),
    "dfmvr_without_l3d": Look("#d55e00", (5, 2), "^"),
    OURS: Look("#0b5394", (), "o", 2.4),
    "dfmvr_mixed": Look("#3d85c6", (8, 1.5), "*"),
    FLOOR: Look("#1b1b1b", (5, 1.5, 1, 1.5), "D"),
}
"""By training; one on other data looks the same, and so does another seed."""

_OTHERS = ("#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MANNER = re.compile(r"_multi_pie|_seed\d+|_best|_mean$|_from_(?P<view>left|front|right)")

TRUTH_COLOUR, PREDICTION_COLOUR = "#1f6fff", "#ff2a1a"
"""Landmarks of the ground truth and of the prediction (Fig. 12 of the paper shows them so)."""

ERROR_STOPS = ("#2b3f9e", "#3fa7b5", "#57b05f", "#f4e04d", "#ee8a26", "#a50f15")
"""Error maps run from blue over green and yellow to red, as in Fig. 13 of the paper. Lightness rises to the yellow and
falls after it, so lines of equal error are drawn on the maps too."""

_RC = {
    "figure.dpi": 100,
    "savefig.dpi": 180,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "dfmvr",
}


def look(method: str) -> Look:
    """The look of a method; unknown ones get colours of their own, the same in every figure."""
    view = next((found["view"] for found in _MANNER.finditer(method) if found["view"]), "")
    base = LOOKS.get(_MANNER.sub("", method)) or LOOKS.get(method)
    if base is None:
        return Look(_OTHERS[sum(method.encode()) % len(_OTHERS)], (3, 1.5), "v")
    return base._replace(dashes=_BY_VIEW[view][0], marker=_BY_VIEW[view][1]) if view else base


@contextmanager
def styled() -> Iterator[None]:
    """Within this block figures have the style of the report and need no display."""
    import matplotlib

    with matplotlib.rc_context(_RC):
        yield


def save_figure(figure: Figure, name: str, folder: Path) -> bytes:
    """Write a figure as PDF, SVG and PNG into `folder` and give the SVG's bytes, for the page.

    The files hold no date, so that the same results give the same files.
    """
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it reports every glyph that it embeds
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout is settled: not again for every format
    for suffix, metadata in (("pdf", {"CreationDate": None}), ("svg", {"Date": None}), ("png", {})):
        with writing(folder / f"{name}.{suffix}") as partial:
            figure.savefig(partial, metadata=metadata)
    return (folder / f"{name}.svg").read_bytes()


def save_picture(picture: bytes, name: str, folder: Path) -> None:
    """Write a JPEG picture into `folder`."""
    with writing(folder / f"{name}.jpg") as partial:
        partial.write_bytes(picture)


def error_colours(errors_mm: np.ndarray, scale_mm: float) -> np.ndarray:
    """Colours (..., 3) in [0, 1] of errors (...) in mm; the last colour stands for `scale_mm` and more."""
    stops = np.array([[int(stop[i : i + 2], 16) / 255 for i in (1, 3, 5)] for stop in ERROR_STOPS])
    place = np.clip(np.asarray(errors_mm) / scale_mm, 0, 1) * (len(stops) - 1)
    low = np.minimum(place.astype(int), len(stops) - 2)
    share = (place - low)[..., None]
    return (1 - share) * stops[low] + share * stops[low + 1]
