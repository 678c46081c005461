"""Captions and paragraphs of the page: captions.yaml, those of figures and of claims files of their own."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml

from dfmvr.study.paper import PROTOCOL

FILES = ("captions.yaml", "figure_captions.yaml", "claim_captions.yaml")


@cache
def _captions() -> dict[str, Any]:
    texts: dict[str, Any] = {}
    for name in FILES:
        texts |= yaml.safe_load(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))
    return texts


def entries(name: str) -> dict[str, Any]:
    """The texts below `name`, such as what each protocol is called."""
    return _captions()[name]


def caption(name: str, **values: object) -> str:
    """The text called `name` with its places filled in; {protocol} need not be given.

    Raises:
        KeyError: there is no such text, or a place of it has no value.
    """
    return _captions()[name].format(protocol=PROTOCOL, **values)
