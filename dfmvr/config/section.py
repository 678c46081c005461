"""What all sections of the configuration have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of all sections: strict keys, immutable, every key described."""

    model_config = ConfigDict(extra="forbid", frozen=True)
