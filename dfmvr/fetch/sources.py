"""What the study may need beside the program, from sources.yaml."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExpectedFile(_Strict):
    """A file that must be there, or `count` files whose names match the glob `name`."""

    name: str
    format: Literal["matlab", "obj", "npz"] | None = None
    bytes: int | None = None
    count: int = 1
    optional: bool = False


class Source(_Strict):
    """One data set, model or set of weights; the comments of sources.yaml explain the rest."""

    title: str
    what: str
    licence: str
    ask: str
    key: str
    layout: tuple[str, ...]
    pattern: str | None = None
    unit: str = ""
    counts: dict[str, dict[str, int]] = {}
    files: dict[str, tuple[ExpectedFile, ...]] = {}
    url: str | None = None
    sha256: str | None = None

    def description(self) -> str:
        """What it is, how to come by it, and what its folder must look like."""
        lines = [
            self.title,
            f"  what     {self.what}",
            f"  licence  {self.licence}",
            f"  get it   {self.ask}",
            f"  key      {self.key}",
        ]
        return "\n".join(lines + [f"  layout   {layout}" for layout in self.layout]) + "\n"


@cache
def sources() -> dict[str, Source]:
    """All of them by name, in the order in which they are shown."""
    text = resources.files(__package__).joinpath("sources.yaml").read_text(encoding="utf-8")
    return {name: Source.model_validate(values) for name, values in yaml.safe_load(text).items()}
