"""What made each chapter of the page: the steps of the workflow, their settings, and the files that they left."""

from __future__ import annotations

import yaml

from dfmvr.report.captions import caption
from dfmvr.report.chapter import Chapter
from dfmvr.report.context import Context

FILES = {
    "simulate": ("simulate/*/",),
    "face_model": ("face_model/face_model.npz", "face_model/summary.json"),
    "mesh": ("mesh/*/scans/*.npz", "mesh/*/scans.csv"),
    "align": ("align/*/manifest.parquet", "align/*/samples.npz", "align/*/images.npy"),
    "parse": ("parse/metrics.json", "parse/*/masks.npy", "parse/*/weights.npy"),
    "train": ("train/*/metrics.csv",),
    "reconstruct": ("reconstruct/*/*/coefficients.npz", "reconstruct/*/*/meshes/*.ply"),
    "register": ("register/*/*.npz",),
    "score": ("score/*/*.parquet", "score/*/real_scan.json"),
    "report": ("diagrams/figures.json",),
}
"""The steps, in their order, and what the page reads of each, below the results folder."""


def maker_chapter(context: Context) -> Chapter:
    """Tell of the steps that the chapters name at their feet."""
    chapter = Chapter("What made what", "makers", context.folder)
    chapter.say(caption("makers"))
    for step in FILES:
        _step(context, chapter, step)
    return chapter


def _step(context: Context, chapter: Chapter, step: str) -> None:
    """Tell of a step: its rules and command, its settings as far as they are known, its files."""
    chapter.heading(f"`{step}`", f"made_{step}")
    chapter.note(caption("maker_rule", stage=step))
    if settings := context.told.get(step):
        chapter.code(yaml.safe_dump({step: settings}, sort_keys=False, allow_unicode=True), "Settings")
    found = {pattern: len(list(context.root.glob(pattern))) for pattern in FILES[step]}
    if any(found.values()):
        lines = [f"{pattern}: {count}" for pattern, count in found.items() if count]
        chapter.code("\n".join(lines), "Files, below the results folder, and how many there are")
