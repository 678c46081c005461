"""The findings as a table in plain text, for a terminal or a log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dfmvr.datasets.layouts import MULTIVIEW
from dfmvr.fetch.finding import Finding
from dfmvr.fetch.sources import Source

HEADINGS = ("name", "needed", "status", "found", "place")
SHOWN_PROBLEMS = 5


def _counts(finding: Finding) -> str:
    """What was counted, with the numbers of a complete copy."""
    parts = (
        f"{found:,} {unit}" if expected is None else f"{found:,} of {expected:,} {unit}"
        for unit, (found, expected) in finding.counts.items()
    )
    return ", ".join(parts) or "-"


def _row(finding: Finding) -> tuple[str, ...]:
    stand_in = finding.name in MULTIVIEW or finding.name == "celebamask_hq"
    status = "stand-in" if stand_in and not finding.needed else str(finding.status)
    place = ", ".join(map(str, finding.places)) or "-"
    return finding.name, "yes" if finding.needed else "no", status, _counts(finding), place


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _problems(finding: Finding) -> list[str]:
    """The problems of one finding, the worst first and not too many."""
    lines = [f"  cannot run: {text}" for text in finding.blocking] + [f"  {text}" for text in finding.problems]
    more = len(lines) - SHOWN_PROBLEMS
    return [f"{finding.title}:", *lines[:SHOWN_PROBLEMS], *([f"  and {more} more"] if more > 0 else [])]


def table(findings: Iterable[Finding]) -> str:
    """One line a finding, then the problems of those that have any."""
    findings = list(findings)
    lines = _columns([HEADINGS, *map(_row, findings)])
    for finding in findings:
        if finding.blocking or finding.problems:
            lines += ["", *_problems(finding)]
    return "\n".join(lines) + "\n"


def description(source: Source) -> str:
    """What a source is, how to come by it, and what its folder must look like."""
    lines = [
        source.title,
        f"  what     {source.what}",
        f"  licence  {source.licence}",
        f"  get it   {source.ask}",
        f"  key      {source.key}",
    ]
    return "\n".join(lines + [f"  layout   {layout}" for layout in source.layout]) + "\n"
