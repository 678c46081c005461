"""The paper's five tables: which of our methods stand in which row, beside which of the paper's, and what they claim.

Nothing here is a result; the paper's numbers are in paper_tables.yaml.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from itertools import combinations
from typing import Any, NamedTuple

import yaml

from dfmvr.report.names import FLOOR, MEAN_FACE, METHODS, OURS, OURS_ACROSS, method_name

SIDE_VIEW_DEG = -45.0
"""Yaw of the left view where the paper says 45 degrees."""

RANDOM = "random"
"""Name of the column in which each subject's left view has a yaw drawn at random."""


class Row(NamedTuple):
    """One row of a comparison."""

    method: str
    paper: str = ""  # the paper's row that stands beside it
    label: str = ""  # what the table calls the method, where that is not its name


class Comparison(NamedTuple):
    """One of the paper's tables."""

    name: str  # also its key among the paper's numbers
    title: str
    paper_data: str  # what the paper's numbers were measured on
    datasets: tuple[str, ...]  # what ours are measured on, as far as there are scores
    ours: str  # the method that the others are compared with
    rows: tuple[Row, ...]
    claims: tuple[tuple[str, str], ...]  # pairs (better, worse) that the paper's numbers and text stand for
    needs: tuple[str, ...] = ()  # the table is made where one of these was scored; none: always
    left_yaw: float | None = None  # degrees; only samples whose left view is turned by so much
    by_yaw: bool = False  # one column for each yaw of the left view

    def label(self, method: str) -> str:
        """What the table calls a method."""
        found = [row.label for row in self.rows if row.method == method]
        return (found[0] if found else "") or method_name(method)


_SHANG, _DENG, _NO_L3D = "Shang et al.", "Deng et al.", "DF-MVR (w/o L_l3d)"
_ON_PIXEL_FACE = ("pixel_face", "pixel_face_ict")

_FLOOR = Row(FLOOR, "", "Floor")
_BEST, _MEAN = f"{_SHANG}, best", f"{_SHANG}, mean"
_SINGLE_IMAGE = (Row("shang_best", _SHANG, _BEST), Row("shang_mean", "", _MEAN), Row("deng", _DENG))
_SINGLE_IMAGE_ACROSS = (
    Row("shang_multi_pie_best", _SHANG, _BEST),
    Row("shang_multi_pie_mean", "", _MEAN),
    Row("deng_multi_pie", _DENG, METHODS["deng"]),
)

COMPARISONS = (
    Comparison(
        "table_1",
        "Table I",
        "Pixel-Face",
        _ON_PIXEL_FACE,
        OURS,
        (
            Row(MEAN_FACE),
            *_SINGLE_IMAGE,
            Row("dfmvr_without_l3d", _NO_L3D),
            Row(OURS, "DF-MVR"),
            _FLOOR,
        ),
        tuple(combinations((OURS, "dfmvr_without_l3d", "deng", "shang_best"), 2)),
    ),
    Comparison(
        "table_2",
        "Table II",
        "Bosphorus",
        ("bosphorus",),
        OURS_ACROSS,
        (
            Row(MEAN_FACE),
            *_SINGLE_IMAGE_ACROSS,
            Row(OURS_ACROSS, _NO_L3D, METHODS["dfmvr_without_l3d"]),
            _FLOOR,
        ),
        tuple(combinations((OURS_ACROSS, "shang_multi_pie_best", "deng_multi_pie"), 2)),
        left_yaw=SIDE_VIEW_DEG,
    ),
    Comparison(
        "table_3",
        "Table III",
        "Pixel-Face",
        _ON_PIXEL_FACE,
        "dfmvr_mixed_from_front",
        (
            Row(MEAN_FACE),
            *_SINGLE_IMAGE,
            Row("deng_from_front"),
            Row("dfmvr_mixed_from_left", label="DF-MVR (left view alone)"),
            Row("dfmvr_mixed_from_front", "DF-MVR (single-view)", "DF-MVR (front view alone)"),
            Row("dfmvr_mixed_from_right", label="DF-MVR (right view alone)"),
            Row("dfmvr_mixed", "DF-MVR", "DF-MVR (three views)"),
            _FLOOR,
        ),
        (
            ("dfmvr_mixed", "dfmvr_mixed_from_front"),
            ("dfmvr_mixed_from_front", "deng"),
            ("dfmvr_mixed_from_front", "shang_best"),
        ),
        needs=("dfmvr_mixed_from_front", "dfmvr_mixed"),
    ),
    Comparison(
        "table_4",
        "Table IV",
        "Pixel-Face",
        _ON_PIXEL_FACE,
        OURS,
        (
            Row(MEAN_FACE),
            Row("dfmvr_cnn", "v1", "v1"),
            Row("dfmvr_unet", "v2", "v2"),
            Row("dfmvr_resnet", "v3", "v3"),
            Row("dfmvr_without_mask", "v4", "v4"),
            Row("dfmvr_without_l3d", "v5", "v5"),
            Row(OURS, "v6", "v6"),
            _FLOOR,
        ),
        tuple(
            (OURS, other)
            for other in ("dfmvr_cnn", "dfmvr_unet", "dfmvr_resnet", "dfmvr_without_mask", "dfmvr_without_l3d")
        ),
        needs=("dfmvr_cnn", "dfmvr_unet", "dfmvr_resnet", "dfmvr_without_mask"),
    ),
    Comparison(
        "table_5",
        "Table V",
        "Bosphorus",
        ("bosphorus",),
        OURS_ACROSS,
        (
            Row(MEAN_FACE),
            *_SINGLE_IMAGE_ACROSS,
            Row(OURS_ACROSS, "DF-MVR (v5)", "DF-MVR (v5)"),
            _FLOOR,
        ),
        ((OURS_ACROSS, "shang_multi_pie_best"), (OURS_ACROSS, "deng_multi_pie")),
        by_yaw=True,
    ),
)
"""The tables of the page, in order. A further table of the paper is a further entry."""

DESIGN = {"fusion": "Ours", "backbone": "Backbone", "face_mask": "Face mask", "landmark_3d": "L_{l3d}"}
"""Columns of Table IV that tell what each row is, by their keys among the paper's numbers."""


@cache
def paper_numbers() -> dict[str, Any]:
    """The numbers printed in the paper's tables: `table_1` and so on, each a list of rows."""
    return yaml.safe_load(resources.files(__package__).joinpath("paper_tables.yaml").read_text(encoding="utf-8"))


def paper_row(comparison: Comparison, row: Row) -> dict[str, Any]:
    """The paper's own numbers beside a row of ours; empty where the paper has none."""
    found = [
        p for p in paper_numbers()[comparison.name] if row.paper and row.paper in (p.get("method"), p.get("variant"))
    ]
    return found[0] if found else {}


def paper_mean(comparison: Comparison, row: Row, yaw: str = "") -> float:
    """The mean error that the paper prints for a row, mm; at a yaw such as `45` or `random` where it has columns."""
    return float(paper_row(comparison, row).get(yaw or "mean", float("nan")))
