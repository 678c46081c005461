"""What all sections of the configuration have in common."""

from __future__ import annotations

import json
from collections.abc import Collection

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of all sections: strict keys, immutable, every key described."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def as_json(self, exclude: Collection[str] = ()) -> str:
        """One line of JSON from which the section can be made again, less the keys in `exclude`."""
        return json.dumps(self.model_dump(mode="json", by_alias=True, exclude=set(exclude)))
