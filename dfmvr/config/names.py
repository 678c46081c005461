"""What the name of a tested method tells: `<variant>[_seed<k>][_from_<view>]`.

`dfmvr_seed1_from_front` is what the second training of `dfmvr` makes of the front view alone.
"""

from __future__ import annotations

import re

from dfmvr.conventions import VIEWS

_ONE_VIEW = re.compile(r"(.+)_from_(" + "|".join(VIEWS) + ")")
_SEED = re.compile(r"(.+)_seed(\d+)")


def split_view(method: str) -> tuple[str, str]:
    """A method's name without the one view that it sees, and that view; empty where it sees all."""
    found = _ONE_VIEW.fullmatch(method)
    return (found[1], found[2]) if found else (method, "")


def seen_from(method: str, view: str) -> str:
    """The name that `split_view` splits: that of a method which sees one view, or all where `view` is empty."""
    return f"{method}_from_{view}" if view else method


def trained_as(method: str) -> str:
    """The training that a tested method comes from: `v_seed1_from_front` is a test of `v_seed1`."""
    return split_view(method)[0]


def split_seed(method: str) -> tuple[str, int]:
    """A method's name without its seed, and the seed; -1 where the name has none."""
    training, view = split_view(method)
    found = _SEED.fullmatch(training)
    return (seen_from(found[1], view), int(found[2])) if found else (method, -1)


def with_seed(method: str, seed: int) -> str:
    """The name that `split_seed` splits."""
    training, view = split_view(method)
    return seen_from(f"{training}_seed{seed}", view)
