"""What the check of one data set, model or set of weights found."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Status(StrEnum):
    """How much of it is there; the later, the worse."""

    NOT_NEEDED = "not needed"
    COMPLETE = "complete"
    PARTIAL = "partial"
    DAMAGED = "damaged"
    MISSING = "missing"


@dataclass
class Finding:
    """The result of one check."""

    name: str
    title: str
    status: Status = Status.NOT_NEEDED
    places: tuple[Path, ...] = ()
    counts: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    """Unit to the number found and that of a complete copy, None where it is not known."""
    blocking: list[str] = field(default_factory=list)
    """Why a stage that the configuration asks for cannot run."""
    problems: list[str] = field(default_factory=list)
    """What it can run in spite of."""
    unavailable: bool = False
    """Whether what blocks is a package or a download rather than data."""

    @property
    def needed(self) -> bool:
        """Whether the configuration asks for it."""
        return self.status is not Status.NOT_NEEDED

    def worsen_to(self, status: Status) -> None:
        """Take on `status` unless the present one is worse."""
        self.status = max(self.status, status, key=list(Status).index)

    def worsen(self, status: Status, problem: str, blocking: bool = False) -> None:
        """Add a problem that makes the status `status` if it was better."""
        self.worsen_to(status)
        (self.blocking if blocking else self.problems).append(problem)

    def as_json(self) -> dict[str, Any]:
        """The same for a JSON file."""
        return {
            "name": self.name,
            "title": self.title,
            "needed": self.needed,
            "status": str(self.status),
            "places": [str(place) for place in self.places],
            "counts": {unit: {"found": n, "expected": expected} for unit, (n, expected) in self.counts.items()},
            "blocking": self.blocking,
            "problems": self.problems,
        }
