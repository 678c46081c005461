"""What all sections of the configuration have in common."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic.fields import FieldInfo


class Section(BaseModel):
    """Base of all sections: strict keys, immutable, every key described."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*")
    @classmethod
    def _at_home(cls, value: Any) -> Any:
        """Paths that begin with `~` lie in a home folder, as they would in a shell."""
        if not isinstance(value, Path):
            return value
        try:
            return value.expanduser()
        except RuntimeError as error:
            raise ValueError(f"{error}; write the path in full") from None

    @classmethod
    def leaves(cls, above: str = "") -> Iterator[tuple[str, FieldInfo]]:
        """Every key that holds a value, in full, with what is known of it; those of sections within come in place."""
        for name, field in cls.model_fields.items():
            key = above + (field.alias or name)
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                yield from field.annotation.leaves(f"{key}.")
            else:
                yield key, field

    def as_json(self, include: Any = None, exclude: Any = None) -> str:
        """One line of JSON from which the section can be made again, or the part of it that one command reads.

        Args:
            include: names of the keys that are told, or keys to those told of them; None: all.
            exclude: likewise of those that are not.
        """
        return json.dumps(self.model_dump(mode="json", by_alias=True, include=include, exclude=exclude))
