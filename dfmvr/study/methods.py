"""The methods of the study. A further variant is a further record of `VARIANTS`, and nothing else.

A method is a variant, trained from one of several seeds, that sees all views or one. In the names of files and in the
column `method` of the scores stands its key, `<variant>[_seed<k>][_from_<view>]`, which `read_key` reads and
`TestedMethod.key` writes: `dfmvr_seed1_from_front` is what the second training of `dfmvr` makes of the front view.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, NamedTuple

from dfmvr.conventions import VIEWS

BEST, MEAN = "best", "mean"
"""What is made of the three answers of a method that sees one view: the smallest of their errors, or their mean."""

FAMILIES = {"df_mvr": "DF-MVR", "deng": "Deng et al.", "shang": "Shang et al."}
"""Printed names of what `train.method` may be."""

_NO_L3D = "DF-MVR (w/o L_{l3d})"
_BEST, _MEAN = f"{FAMILIES['shang']}, best", f"{FAMILIES['shang']}, mean"


class Line(NamedTuple):
    """How a method is drawn: dashes and marker tell methods apart in grey print."""

    colour: str
    dashes: tuple[float, ...]
    marker: str
    width: float = 1.6


class TableRow(NamedTuple):
    """A row of a table of the paper."""

    view: str = ""
    """As `TestedMethod.view`."""
    paper: str = ""
    """The paper's row that stands beside it."""
    label: str = ""
    """What the table calls it, where that is not its name."""
    tested: bool = True
    """Whether the study measures it by default; else the row is there where another study did."""
    design: Mapping[str, Any] = {}
    """What it is, in the columns of Table IV; empty: what the paper says of its own row."""


@dataclass(frozen=True)
class Variant:
    """What is trained, or needs no training, and how it appears in print. Names may hold a subscript, `L_{l3d}`."""

    key: str
    name: str = field(compare=False)
    line: Line = field(compare=False)
    train: Mapping[str, Any] | None = field(default_factory=dict, compare=False)
    """The keys of `train` in which it differs, as far as the study knows it; None: it has no network."""
    tables: Mapping[str, tuple[TableRow, ...]] = field(default_factory=dict, compare=False)
    """Its rows in the paper's tables."""
    across: bool = field(default=False, compare=False)
    """Whether it is trained on other data than most."""
    pictured: str = field(default="", compare=False)
    """Of variants with the same word here, pictures of several methods show the first that was tested."""
    weight: tuple[str, float] | None = field(default=None, compare=False)
    """A loss and its weight, where the variant is `dfmvr` with another one."""
    fits: str = field(default="", compare=False)
    """The variant whose answers it fits to their photographs, where it is no training of its own."""

    @property
    def family(self) -> str:
        """What it is trained as, as `train.method`; empty where there is no network or the study does not know it."""
        if self.train is None or not (self.key in VARIANTS or self.key.startswith(OURS)):
            return ""
        return self.train.get("method", "df_mvr")

    @property
    def has_network(self) -> bool:
        """Whether a training stands behind it, its own or another variant's."""
        return self.train is not None or bool(self.fits)

    @property
    def one_view(self) -> bool:
        """Whether the network answers one photograph; each of the three views of a sample is then tested alone."""
        return self.family == "shang"

    def _place(self, view: str) -> tuple[Any, ...]:
        """Where the variant with this view stands in all tables and figures."""
        known = list(VARIANTS)
        place = known.index(OURS if self.weight else self.key) if self.weight or self.key in known else len(known)
        views = [row.view for rows in self.tables.values() for row in rows] + ["", *VIEWS, BEST, MEAN]
        return place, self.key, views.index(view)


@dataclass(frozen=True)
class TestedMethod:
    """What is tested: a variant, the number of its training (0: the first), and the one view that it sees."""

    variant: Variant
    seed: int = 0
    view: str = ""
    """Empty: all views. `BEST` and `MEAN` stand for what is made of the answers to each view alone."""

    @property
    def key(self) -> str:
        """Its name in files and scores."""
        seed = f"_seed{self.seed}" if self.seed else ""
        view = f"_from_{self.view}" if self.view in VIEWS else f"_{self.view}" if self.view else ""
        return self.variant.key + seed + view

    @property
    def training(self) -> str:
        """The key of the training that it is a test of."""
        return replace(self.answers, view="").key

    @property
    def answers(self) -> TestedMethod:
        """The tested method whose answers it fits; itself if it fits none."""
        return replace(self, variant=VARIANTS[self.variant.fits]) if self.variant.fits else self

    @property
    def first(self) -> TestedMethod:
        """The same of the first training."""
        return replace(self, seed=0)

    @property
    def parts(self) -> list[TestedMethod]:
        """The tested methods that it is made from: those of the three views, or itself."""
        return [replace(self, view=view) for view in VIEWS] if self.view in (BEST, MEAN) else [self]

    @property
    def known(self) -> bool:
        """Whether it is one of the study's, another weight of a loss included."""
        variant = self.variant
        rows = {row.view for rows in variant.tables.values() for row in rows}
        whole = variant.key in VARIANTS and (not self.view or variant.one_view)
        return whole or self.view in rows or variant.weight is not None

    @property
    def name(self) -> str:
        """Its printed name."""
        alone = f", {self.view} view" + ("" if self.variant.one_view else " alone")
        view = {"": "", BEST: ", best of three views", MEAN: ", mean of three views"}.get(self.view, alone)
        return self.variant.name + view + (f", seed {self.seed}" if self.seed else "")

    @property
    def short_name(self) -> str:
        """Its printed name without what explains it, for the head of a column."""
        return self.name.partition(" (model")[0].replace(", cross-data", "")

    @property
    def line(self) -> Line:
        """How it is drawn: its variant's colour, and dashes and marker of its own where it sees one view."""
        line = self.variant.line
        if self.variant.key not in VARIANTS:  # a colour that is the same in every figure
            return line._replace(colour=_OTHERS[sum(self.key.encode()) % len(_OTHERS)])
        if self.view in _BY_VIEW:
            dashes, marker = _BY_VIEW[self.view]
            return line._replace(dashes=dashes, marker=marker)
        return line


_BY_VIEW = {"left": ((6, 2), "<"), "front": ((3.5, 1.5), "v"), "right": ((1.5, 1.5), ">")}
_OTHERS = ("#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_OTHER_LINE = Line("", (3, 1.5), "v")

_OURS_LINE = Line("#0b5394", (), "o", 2.4)
_SHANG_LINE = Line("#cc79a7", (3.5, 1.5), "v")
_DENG_LINE = Line("#009e73", (7, 1.5, 1.5, 1.5), "P")

_EVERY_TABLE = tuple(f"table_{number}" for number in range(1, 6))
_SHANG_ROWS = (TableRow(BEST, FAMILIES["shang"], _BEST), TableRow(MEAN, label=_MEAN))
_DENG_ROW = TableRow(paper=FAMILIES["deng"], label=FAMILIES["deng"])
# Paper: Table III compares single images, of which Deng et al. aggregate none; with three it stands beside.
_DENG_SINGLE_ROWS = (
    TableRow("front", FAMILIES["deng"], f"{FAMILIES['deng']} (front view alone)"),
    TableRow(label=f"{FAMILIES['deng']} (three views)"),
)
_DENG = {"method": "deng"}
_OF_V6 = {"fusion": "Tri-Unet", "backbone": "RedNet", "face_mask": True, "landmark_3d": True}
_OTHER_DATA = {"data": "multi_pie"}


def _named(*variants: Variant) -> dict[str, Variant]:
    return {variant.key: variant for variant in variants}


MEAN_FACE, FLOOR, OURS, OURS_ACROSS = "mean_face", "floor", "dfmvr", "dfmvr_multi_pie"

VARIANTS = _named(
    Variant(
        MEAN_FACE,
        "Mean face",
        Line("#8a8a8a", (1.2, 1.6), "s"),
        None,
        dict.fromkeys(_EVERY_TABLE, (TableRow(),)),
        pictured=MEAN_FACE,
    ),
    Variant(
        "shang",
        FAMILIES["shang"],
        _SHANG_LINE,
        {"method": "shang"},
        {"table_1": _SHANG_ROWS, "table_3": _SHANG_ROWS},
        pictured="shang",
    ),
    Variant(
        "deng",
        FAMILIES["deng"],
        _DENG_LINE,
        _DENG,
        {"table_1": (_DENG_ROW,), "table_3": _DENG_SINGLE_ROWS},
        pictured="deng",
    ),
    Variant(
        "dfmvr_cnn",
        "DF-MVR, CNN for Tri-UNet",
        Line("#e69f00", (4, 1.5), "X"),
        {"network": {"fusion": "cnn"}},
        {"table_4": (TableRow("", "v1", "v1"),)},
    ),
    Variant(
        "dfmvr_unet",
        "DF-MVR, U-Net for Tri-UNet",
        Line("#56b4e9", (2, 1), "d"),
        {"network": {"fusion": "unet_late"}},
        {"table_4": (TableRow("", "v2", "v2"),)},
    ),
    Variant(
        "dfmvr_resnet",
        "DF-MVR, ResNet for RedNet",
        Line("#6a51a3", (6, 1, 1, 1, 1, 1), "p"),
        {"network": {"backbone": "resnet"}},
        {"table_4": (TableRow("", "v3", "v3"),)},
    ),
    Variant(
        "dfmvr_without_mask",
        "DF-MVR (w/o face mask)",
        Line("#6b7a1f", (9, 2), "h"),
        {"network": {"face_mask": False}, "loss": {"mask": 0.0}},
        {"table_4": (TableRow("", "v4", "v4"),)},
    ),
    Variant(
        "dfmvr_without_mask_loss",
        "DF-MVR (w/o mask loss)",
        Line("#8c564b", (11, 1.5, 3, 1.5), "H"),
        {"loss": {"mask": 0.0}},
        {"table_4": (TableRow(label="face mask alone", design=_OF_V6),)},
    ),
    Variant(
        "dfmvr_without_l3d",
        _NO_L3D,
        Line("#d55e00", (5, 2), "^"),
        {"loss": {"landmark_3d": 0.0}},
        {"table_1": (TableRow("", "DF-MVR (w/o L_l3d)"),), "table_4": (TableRow("", "v5", "v5"),)},
        pictured="dfmvr_without_l3d",
    ),
    Variant(
        OURS,
        FAMILIES["df_mvr"],
        _OURS_LINE,
        {},
        {"table_1": (TableRow("", "DF-MVR"),), "table_4": (TableRow("", "v6", "v6"),)},
        pictured=OURS,
    ),
    Variant(
        "dfmvr_fitted",
        "DF-MVR + fit (not in the paper)",
        Line("#0f7f87", (2.5, 1), "D", 2.0),
        None,
        {"table_1": (TableRow(),)},
        fits=OURS,
        pictured="dfmvr_fitted",
    ),
    Variant(
        "dfmvr_mixed",
        "DF-MVR, mixed input",
        Line("#3d85c6", (8, 1.5), "*"),
        {"single_view_share": 1 / 3},
        {
            "table_3": (
                TableRow("left", label="DF-MVR (left view alone)"),
                TableRow("front", "DF-MVR (single-view)", "DF-MVR (front view alone)"),
                TableRow("right", label="DF-MVR (right view alone)"),
                TableRow("", "DF-MVR", "DF-MVR (three views)"),
            )
        },
    ),
    Variant(
        "dfmvr_mixed_fitted",
        "DF-MVR, mixed input, + fit (not in the paper)",
        Line("#0f7f87", (8, 1.5), "D"),
        None,
        {"table_3": (TableRow(label="DF-MVR + fit, three views (not in the paper)"),)},
        fits="dfmvr_mixed",
        pictured="dfmvr_fitted",
    ),
    Variant(
        "shang_multi_pie",
        f"{FAMILIES['shang']}, cross-data",
        _SHANG_LINE,
        {**_OTHER_DATA, "method": "shang"},
        {"table_2": _SHANG_ROWS, "table_5": _SHANG_ROWS},
        across=True,
        pictured="shang",
    ),
    Variant(
        "deng_multi_pie",
        f"{FAMILIES['deng']}, cross-data",
        _DENG_LINE,
        {**_OTHER_DATA, **_DENG},
        {"table_2": (_DENG_ROW,), "table_5": (_DENG_ROW,)},
        across=True,
        pictured="deng",
    ),
    Variant(
        OURS_ACROSS,
        f"{_NO_L3D}, cross-data",
        _OURS_LINE,
        {**_OTHER_DATA, "loss": {"landmark_3d": 0.0}},
        {
            "table_2": (TableRow("", "DF-MVR (w/o L_l3d)", _NO_L3D),),
            "table_5": (TableRow("", "DF-MVR (v5)", "DF-MVR (v5)"),),
        },
        across=True,
        pictured=OURS,
    ),
    Variant(
        "dfmvr_multi_pie_fitted",
        f"{_NO_L3D} + fit, cross-data",
        Line("#0f7f87", (2.5, 1), "D", 2.0),
        None,
        {"table_2": (TableRow(label=f"{_NO_L3D} + fit (not in the paper)"),)},
        across=True,
        pictured="dfmvr_fitted",
        fits=OURS_ACROSS,
    ),
    Variant(
        FLOOR,
        "Floor (model fitted to the scan)",
        Line("#1b1b1b", (5, 1.5, 1, 1.5), "D"),
        None,
        dict.fromkeys(_EVERY_TABLE, (TableRow(label="Floor"),)),
        pictured=FLOOR,
    ),
)
"""Everything that a table of the paper names, and the two rows that all tables have, in the order of all tables and
figures. Of Table IV, v1 is dfmvr_cnn, v2 dfmvr_unet, v3 dfmvr_resnet, v4 dfmvr_without_mask, v5 dfmvr_without_l3d, v6
dfmvr; dfmvr_without_mask_loss is between v4 and v6, since V-D verifies face mask and mask loss separately. The paper
takes the best of the answers that Shang et al. give to the three views."""

OVERRIDES = {key: dict(variant.train) for key, variant in VARIANTS.items() if variant.train is not None}
"""The keys of `train` in which each trained variant differs."""

_KEY = re.compile(rf"(?P<variant>.+?)(?:_seed(?P<seed>[1-9]\d*))?(?:_from_(?P<view>{'|'.join(VIEWS)}))?")
_WEIGHED = re.compile(OURS + r"_(photo|mask)_(\d+(?:[._]\d+)?)")


def variant_of(key: str) -> Variant:
    """The variant of a name; one that the study does not know is printed by that name, other weights by theirs."""
    if key in VARIANTS:
        return VARIANTS[key]
    if weighed := _WEIGHED.fullmatch(key):
        loss, weight = weighed[1], weighed[2].replace("_", ".")
        return Variant(
            key, f"{VARIANTS[OURS].name}, w_{{{loss[0]}}} = {weight}", _OTHER_LINE, weight=(loss, float(weight))
        )
    return Variant(key, key, _OTHER_LINE)


@cache
def read_key(key: str) -> TestedMethod:
    """The method of a name in files or scores."""
    for view in (BEST, MEAN):
        variant = variant_of(key.removesuffix(f"_{view}"))
        if variant.key != key and variant.one_view:
            return TestedMethod(variant, view=view)
    found = _KEY.fullmatch(key)
    return TestedMethod(variant_of(found["variant"]), int(found["seed"] or 0), found["view"] or "")


def in_order(keys: Iterable[str]) -> list[str]:
    """Methods in the order of `VARIANTS`, other weights after DF-MVR, unknown ones last; seeds after each other."""

    def place(key: str) -> tuple[Any, ...]:
        method = read_key(key)
        return *method.variant._place(method.view), method.seed

    return sorted(keys, key=place)


def ours_among(keys: Iterable[str]) -> str | None:
    """DF-MVR itself among methods, else what is nearest to it, if any.

    Nearest is a variant that sees all views, and of these one with DF-MVR's network and losses before those of the
    ablation.
    """

    def apart(key: str) -> tuple[bool, bool, bool]:
        method = read_key(key)
        return key != OURS, bool(method.view), bool({"network", "loss"} & set(method.variant.train or {}))

    known = [key for key in in_order(set(keys)) if read_key(key).variant.family == "df_mvr"]
    return min(known, key=apart, default=None)


def one_of_each_kind(keys: Sequence[str]) -> list[str]:
    """Methods that stand beside each other in pictures: the first of each kind (`Variant.pictured`) that was tested.

    Variants that the paper's figures do not show (those of the ablation, other seeds) are left out, and so are all but
    one view of a method that sees one.
    """
    shown = []
    for kind in dict.fromkeys(variant.pictured for variant in VARIANTS.values() if variant.pictured):
        alike = [variant for variant in VARIANTS.values() if variant.pictured == kind]
        wanted = [TestedMethod(variant, view=view).key for variant in alike for view in ("", BEST, "front")]
        wanted += [ours_among(keys)] if kind == OURS else []
        shown += [key for key in wanted if key in keys][:1]
    return list(dict.fromkeys(shown))
