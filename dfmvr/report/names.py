"""What methods are called in print.

Names may hold a subscript in the form `L_{l3d}`. A tested method is `mean_face`, `floor`, or a variant with what
`dfmvr.config.names` tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from dfmvr.config.names import seen_from, split_seed
from dfmvr.conventions import VIEWS

MEAN_FACE, FLOOR, OURS, OURS_ACROSS = "mean_face", "floor", "dfmvr", "dfmvr_multi_pie"
HIGHLIGHTED = (OURS, OURS_ACROSS)
"""Methods whose rows stand out."""

WHOLE = "all"
"""Value of the scores' `region` column that stands for the whole evaluated face."""

FAMILIES = {"df_mvr": "DF-MVR", "deng": "Deng et al.", "shang": "Shang et al."}
"""Printed names of what `train.method` may be."""

_ACROSS = ", cross-data"
_WEIGHED = re.compile(OURS + r"_(photo|mask)_(\d+(?:[._]\d+)?)")


class Derived(NamedTuple):
    """A row made from several tested methods: the smallest or the mean of their errors, sample by sample."""

    parts: tuple[str, ...]
    best: bool


def _of_three_views(variant: str) -> dict[str, Derived]:
    """The best and the mean of a variant's answers to the three views."""
    parts = tuple(seen_from(variant, view) for view in VIEWS)
    return {f"{variant}_best": Derived(parts, True), f"{variant}_mean": Derived(parts, False)}


DERIVED = _of_three_views("shang") | _of_three_views("shang_multi_pie")
"""Shang et al. answer one photograph; the paper takes the best of its answers to the three."""


def _names_of_views(variant: str, end: str = "") -> dict[str, str]:
    name = FAMILIES["shang"] + end
    return {
        f"{variant}_best": f"{name}, best of three views",
        f"{variant}_mean": f"{name}, mean of three views",
        **{seen_from(variant, view): f"{name}, {view} view" for view in VIEWS},
        variant: name,
    }


METHODS = {
    MEAN_FACE: "Mean face",
    **_names_of_views("shang"),
    "deng": FAMILIES["deng"],
    "deng_from_front": FAMILIES["deng"] + ", front view alone",
    "dfmvr_cnn": "DF-MVR, CNN for Tri-UNet",
    "dfmvr_unet": "DF-MVR, U-Net for Tri-UNet",
    "dfmvr_resnet": "DF-MVR, ResNet for RedNet",
    "dfmvr_without_mask": "DF-MVR (w/o face mask)",
    "dfmvr_without_l3d": "DF-MVR (w/o L_{l3d})",
    OURS: "DF-MVR",
    **{seen_from("dfmvr_mixed", view): f"DF-MVR, mixed input, {view} view alone" for view in VIEWS},
    "dfmvr_mixed": "DF-MVR, mixed input",
    **_names_of_views("shang_multi_pie", _ACROSS),
    "deng_multi_pie": FAMILIES["deng"] + _ACROSS,
    OURS_ACROSS: "DF-MVR (w/o L_{l3d})" + _ACROSS,
    FLOOR: "Floor (model fitted to the scan)",
}
"""Every method of the study, in the order of all tables and figures."""

PROTOCOLS = {
    "paper": "95 mm about the nose tip, size free",
    "metrical": "95 mm about the nose tip, size kept",
    "released_code": "sphere of the authors' released code, size free",
}
"""What sets each built-in protocol apart."""


def method_name(method: str) -> str:
    """Printed name of a method; one the study does not know is shown by its folder's name."""
    base, seed = split_seed(method)
    weighed = _WEIGHED.fullmatch(base)
    name = METHODS.get(base, base)
    if weighed:
        name = f"{METHODS[OURS]}, w_{{{weighed[1][0]}}} = {weighed[2].replace('_', '.')}"
    return name + (f", seed {seed}" if seed >= 0 else "")


def is_known(method: str) -> bool:
    """Whether a method is one of the study's, another weight of a loss and another seed included."""
    base, _ = split_seed(method)
    return base in METHODS or _WEIGHED.fullmatch(base) is not None


def ours_among(methods: Iterable[str]) -> str | None:
    """DF-MVR itself among methods, else the first of its variants, if there is one."""
    known = [method for method in ordered(set(methods)) if method.startswith(OURS)]
    return OURS if OURS in known else next(iter(known), None)


def ordered(methods: Iterable[str]) -> list[str]:
    """Methods in the order of `METHODS`, other weights after DF-MVR, unknown ones last; seeds after each other."""
    place = {method: i for i, method in enumerate(METHODS)}

    def key(method: str) -> tuple[int, str, int]:
        base, seed = split_seed(method)
        other = place[OURS] if _WEIGHED.fullmatch(base) else len(place)
        return place.get(base, other), base, seed

    return sorted(methods, key=key)
