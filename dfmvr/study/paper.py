"""The paper's five tables: on what data each stands, what it claims, and the numbers that it prints (paper.yaml).

Nothing here is a result. Which of our methods stands in which row, beside which of the paper's, is told by the records
in `dfmvr.study.methods`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any, NamedTuple

import yaml

from dfmvr.study.methods import OURS, OURS_ACROSS, VARIANTS, TestedMethod

PROTOCOL = "paper"
"""The protocol that all is told under, where nothing else is said."""

SIDE_VIEW_DEG = -45.0
"""Yaw of the left view where the paper says 45 degrees; of the right one, which may be the one that varies, 45."""

RANDOM = "random"
"""Name of the column in which each subject's varied side view has a yaw drawn at random."""

DESIGN = {"fusion": "Ours", "backbone": "Backbone", "face_mask": "Face mask", "landmark_3d": "L_{l3d}"}
"""Columns of Table IV that tell what each row is, by their keys among the paper's numbers."""


class ComparedRow(NamedTuple):
    """One row of a comparison."""

    method: TestedMethod
    label: str  # what the table calls it
    tested: bool  # by default
    paper: str  # the paper's row that stands beside it, if there is one
    printed: dict[str, Any]  # the paper's own numbers in that row
    design: dict[str, Any]  # what it is, by the keys of `DESIGN`

    def paper_mean(self, yaw: str = "") -> float:
        """The mean error that the paper prints, mm; at a yaw such as `45` or `random` where it has columns."""
        return self.paper_number(yaw or "mean")

    def paper_number(self, column: str) -> float:
        """A number that the paper prints, mm, by the head of its column."""
        return float(self.printed.get(column, float("nan")))


class ClaimedOrder(NamedTuple):
    """What is to be smaller than what: a method, or `a - b`, by how much a method errs more than another."""

    better: str
    worse: str

    @property
    def weights(self) -> dict[str, int]:
        """Better minus worse as a sum: how often each method counts in it."""
        found: dict[str, int] = {}
        for side, sign in ((self.better, 1), (self.worse, -1)):
            first, _, second = side.partition(" - ")
            for method, weight in ((first, sign), (second, -sign)):
                found[method] = found.get(method, 0) + weight
        return {method: weight for method, weight in found.items() if method and weight}

    @property
    def plain(self) -> bool:
        """Whether it is of two methods."""
        return set(self) == set(self.weights)

    def told(self, names: Mapping[str, Any]) -> list[str]:
        """Both sides in words, with what each method is called."""
        return [" \N{MINUS SIGN} ".join(names[method] for method in side.split(" - ")) for side in self]


class Claim(NamedTuple):
    """Something that the paper says of the methods of one of its tables."""

    says: str
    place: str
    """Where."""
    table: str
    orders: tuple[ClaimedOrder, ...]
    """What it comes to; a claim is found where all of them are."""
    of: str = "mean"
    """The number of a method that they are about, `mean` or `std` of its errors."""


@dataclass(frozen=True)
class Comparison:
    """One of the paper's tables."""

    name: str
    """Also its key among the paper's numbers."""
    title: str
    paper_data: str
    """What the paper's numbers were measured on."""
    datasets: tuple[str, ...]
    """What ours are measured on, as far as there are scores; by default the first."""
    ours: str
    """The method that the others are compared with."""
    left_yaw: float | None = None
    """Degrees; only samples of which the side view that varies is turned by so much, to either side."""
    by_yaw: bool = False
    """Whether there is one column for each yaw of the side view that varies."""

    @cached_property
    def rows(self) -> dict[str, ComparedRow]:
        """The rows in their order, by the keys of their methods."""
        rows = {}
        for variant in VARIANTS.values():
            for row in variant.tables.get(self.name, ()):
                method = TestedMethod(variant, view=row.view)
                of_paper = [p for p in self.printed if row.paper and row.paper in (p.get("method"), p.get("variant"))]
                printed = of_paper[0] if of_paper else {}
                design = dict(row.design) or {key: printed[key] for key in DESIGN if key in printed}
                rows[method.key] = ComparedRow(method, row.label or method.name, row.tested, row.paper, printed, design)
        return rows

    @property
    def printed(self) -> list[dict[str, Any]]:
        """The rows of numbers that the paper prints."""
        return paper_numbers()[self.name]

    @property
    def claims(self) -> list[Claim]:
        """What the paper says of its methods."""
        return [claim for claim in paper_claims() if claim.table == self.name]

    @property
    def design(self) -> list[str]:
        """Which columns of `DESIGN` it has."""
        return [key for key in DESIGN if any(key in row for row in self.printed)]

    def is_of(self, methods: set[str]) -> bool:
        """Whether one of these methods was tested for this table: one that no other has, if there is such a one."""
        own = {
            key
            for key, row in self.rows.items()
            if row.tested
            and not row.method.variant.fits  # no table of the paper is about it
            and not any(name != self.name for name in row.method.variant.tables)
        }
        return not own or bool(own & methods)

    @property
    def tests(self) -> dict[str, list[str]]:
        """What the table is made from by default: the keys of the tested methods, by data set."""
        tested = [part.key for row in self.rows.values() if row.tested for part in row.method.parts]
        return {self.datasets[0]: list(dict.fromkeys(tested))}


_ON_PIXEL_FACE = ("pixel_face", "pixel_face_ict")

COMPARISONS = (
    Comparison(
        "table_1",
        "Table I",
        "Pixel-Face",
        _ON_PIXEL_FACE,
        OURS,
    ),
    Comparison(
        "table_2",
        "Table II",
        "Bosphorus",
        ("bosphorus",),
        OURS_ACROSS,
        left_yaw=SIDE_VIEW_DEG,
    ),
    Comparison(
        "table_3",
        "Table III",
        "Pixel-Face",
        _ON_PIXEL_FACE,
        "dfmvr_mixed_from_front",
    ),
    Comparison("table_4", "Table IV", "Pixel-Face", _ON_PIXEL_FACE, OURS),
    Comparison(
        "table_5",
        "Table V",
        "Bosphorus",
        ("bosphorus",),
        OURS_ACROSS,
        by_yaw=True,
    ),
)
"""The tables of the page, in order. A further table of the paper is a further entry."""


class Headline(NamedTuple):
    """A figure of the paper's abstract: by how much one method is better than the best of others, in percent."""

    name: str  # also its key among the paper's numbers
    table: str  # of the comparison
    ours: str
    others: tuple[str, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """All of them, ours first."""
        return (self.ours, *self.others)

    @property
    def comparison(self) -> Comparison:
        """The table that it is about."""
        return next(comparison for comparison in COMPARISONS if comparison.name == self.table)

    @property
    def printed(self) -> float:
        """What the paper says."""
        return float(paper_numbers()["other"][f"{self.name}_percent"])


_BASELINES = ("deng", "shang_best")
HEADLINES = (
    Headline("improvement_over_best_weakly_supervised_pixel_face", "table_1", OURS, _BASELINES),
    Headline("improvement_without_3d_landmarks_pixel_face", "table_1", "dfmvr_without_l3d", _BASELINES),
    Headline(
        "improvement_without_3d_landmarks_bosphorus",
        "table_2",
        OURS_ACROSS,
        ("deng_multi_pie", "shang_multi_pie_best"),
    ),
)
"""What the paper's text makes of its tables: by how much a method is below the best other, in per cent."""

INFERENCE_MS = "inference_ms"
"""What the time to a face is called; the paper's is of an RTX 3090."""


def paper_time_ms() -> float:
    """Milliseconds to a face that the paper reports."""
    return float(paper_numbers()["other"]["inference_ms_rtx3090"])


def default_tests() -> dict[str, tuple[str, ...]]:
    """Every method of some table, by the data set that it is tested on."""
    found: dict[str, list[str]] = {}
    for comparison in COMPARISONS:
        for dataset, methods in comparison.tests.items():
            found.setdefault(dataset, []).extend(methods)
    return {dataset: tuple(dict.fromkeys(methods)) for dataset, methods in found.items()}


@cache
def paper_numbers() -> dict[str, Any]:
    """The numbers printed in the paper's tables: `table_1` and so on, each a list of rows."""
    return {name: rows for name, rows in _paper().items() if name != "claims"}


@cache
def paper_claims() -> tuple[Claim, ...]:
    """What the paper says of the methods of its tables."""
    claims = (dict(told) for told in _paper()["claims"])
    return tuple(Claim(orders=tuple(ClaimedOrder(*pair) for pair in told.pop("orders")), **told) for told in claims)


@cache
def _paper() -> dict[str, Any]:
    return yaml.safe_load(resources.files(__package__).joinpath("paper.yaml").read_text(encoding="utf-8"))
