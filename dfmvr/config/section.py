"""What all sections of the configuration have in common."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of all sections: strict keys, immutable, every key described."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def as_json(self, include: Any = None, exclude: Any = None) -> str:
        """One line of JSON from which the section can be made again, or the part of it that one command reads.

        Args:
            include: names of the keys that are told, or keys to those told of them; None: all.
            exclude: likewise of those that are not.
        """
        return json.dumps(self.model_dump(mode="json", by_alias=True, include=include, exclude=exclude))
