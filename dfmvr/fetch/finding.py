"""What the check of one data set, model or set of weights found, and how it is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

HEADINGS = ("name", "needed", "status", "found", "place")
SHOWN_PROBLEMS = 5


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
    stand_in: bool = False
    """Whether there is a stand-in for what is not needed."""
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

    def needs(self, place: Path | None) -> None:
        """Note that the configuration asks for it, and where."""
        self._worsen(Status.COMPLETE)
        if place is not None and place not in self.places:
            self.places += (place,)

    def note(self, status: Status, problem: str) -> None:
        """Add a problem that makes the status `status` if it was better."""
        self._worsen(status)
        self.problems.append(problem)

    def block(self, status: Status, problem: str, unavailable: bool = False) -> None:
        """Add a problem that keeps a stage from running."""
        self._worsen(status)
        self.unavailable |= unavailable
        self.blocking.append(problem)

    def _worsen(self, status: Status) -> None:
        self.status = max(self.status, status, key=list(Status).index)

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

    def row(self) -> tuple[str, ...]:
        """The same in one line, by HEADINGS."""
        counts = [
            f"{found:,} {unit}" if expected is None else f"{found:,} of {expected:,} {unit}"
            for unit, (found, expected) in self.counts.items()
        ]
        status = "stand-in" if self.stand_in and not self.needed else str(self.status)
        places = ", ".join(map(str, self.places))
        return self.name, "yes" if self.needed else "no", status, ", ".join(counts) or "-", places or "-"


def table(findings: Iterable[Finding]) -> str:
    """One line a finding, then the problems of those that have any, the worst first and not too many."""
    findings = list(findings)
    rows = [HEADINGS, *(finding.row() for finding in findings)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for finding in findings:
        told = [f"  cannot run: {text}" for text in finding.blocking] + [f"  {text}" for text in finding.problems]
        if len(told) > SHOWN_PROBLEMS:
            told[SHOWN_PROBLEMS:] = [f"  and {len(told) - SHOWN_PROBLEMS} more"]
        if told:
            lines += ["", f"{finding.title}:", *told]
    return "\n".join(lines) + "\n"
