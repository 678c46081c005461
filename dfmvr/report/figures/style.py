"""One style for every figure, and the colours that are no method's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from dfmvr.files import writing

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


@contextmanager
def styled() -> Iterator[None]:
    """Within this block figures have the style of the report and need no display."""
    with matplotlib.rc_context(_RC):
        yield


@styled()
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


def error_colours(errors_mm: np.ndarray, scale_mm: float) -> np.ndarray:
    """Colours (..., 3) in [0, 1] of errors (...) in mm; the last colour stands for `scale_mm` and more."""
    stops = np.array([[int(stop[i : i + 2], 16) / 255 for i in (1, 3, 5)] for stop in ERROR_STOPS])
    place = np.clip(np.asarray(errors_mm) / scale_mm, 0, 1) * (len(stops) - 1)
    low = np.minimum(place.astype(int), len(stops) - 2)
    share = (place - low)[..., None]
    return (1 - share) * stops[low] + share * stops[low + 1]
