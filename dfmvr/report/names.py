"""What methods, losses and stages are called in print, and which rows each of the paper's tables has.

Names may hold a subscript in the form `L_{l3d}`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

MEAN_FACE, FLOOR, OURS = "mean_face", "floor", "dfmvr"
HIGHLIGHTED = (OURS, "dfmvr_multi_pie")
"""Methods whose rows stand out."""

WHOLE = "all"
"""Value of the scores' `region` column that stands for the whole evaluated face."""

METHODS = {
    MEAN_FACE: "Mean face",
    "dfmvr_without_l3d": "DF-MVR (w/o L_{l3d})",
    OURS: "DF-MVR",
    "dfmvr_multi_pie": "DF-MVR (w/o L_{l3d}), trained on Multi-PIE",
    FLOOR: "Floor (model fitted to the scan)",
}
"""Every method of the study, in the order of all tables and figures."""

PROTOCOLS = {
    "paper": "95 mm about the nose tip, size free",
    "metrical": "95 mm about the nose tip, size kept",
    "released_code": "sphere of the authors' released code, size free",
}
"""What sets each built-in protocol apart."""


class Row(NamedTuple):
    """One row of a comparison: our method, the paper's row, or both side by side."""

    method: str | None
    paper: str | None


class Comparison(NamedTuple):
    """One of the paper's tables: its rows, the data sets it is evaluated on, and its key among the paper's numbers."""

    name: str
    title: str
    rows: tuple[Row, ...]
    datasets: tuple[str, ...]
    left_yaw: float | None = None  # degrees; only samples whose left view is turned by so much


COMPARISONS = (
    Comparison(
        "table_1",
        "Table I",
        (
            Row(None, "Shang et al."),
            Row(None, "Deng et al."),
            Row(MEAN_FACE, None),
            Row("dfmvr_without_l3d", "DF-MVR (w/o L_l3d)"),
            Row(OURS, "DF-MVR"),
            Row(FLOOR, None),
        ),
        ("pixel_face", "pixel_face_ict"),
    ),
    Comparison(
        "table_2",
        "Table II",
        (
            Row(None, "Shang et al."),
            Row(None, "Deng et al."),
            Row(MEAN_FACE, None),
            Row("dfmvr_multi_pie", "DF-MVR (w/o L_l3d)"),
            Row(FLOOR, None),
        ),
        ("bosphorus",),
        -45.0,
    ),
)
"""The tables of the page, in order. A further table of the paper is a further entry."""


def method_name(method: str) -> str:
    """Printed name of a method; one the study does not know is shown by its folder's name."""
    return METHODS.get(method, method)


def ours_among(methods: Iterable[str]) -> str | None:
    """DF-MVR itself among methods, else the first of its variants, if there is one."""
    known = [method for method in ordered(set(methods)) if method.startswith(OURS)]
    return OURS if OURS in known else next(iter(known), None)


def ordered(methods: set[str]) -> list[str]:
    """Methods in the order of `METHODS`, unknown ones last."""
    known = [m for m in METHODS if m in methods]
    return known + sorted(methods - set(known))
