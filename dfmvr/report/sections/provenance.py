"""What made each chapter of the page: the steps of the workflow, their settings, and the files that they left."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from dfmvr.report.captions import caption
from dfmvr.report.chapter import Chapter, Maker
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
    "report": (),
}
"""The steps, in their order, and what the page reads of each, below the results folder."""

SHAPES = ("align", "reconstruct", "register", "score", "report")

STEPS = {
    "real_scan": ("reconstruct", "score", "report"),
    "samples": ("align", "parse", "reconstruct", "register", "score", "report"),
    "input": ("align", "parse", "report"),
    "shapes": SHAPES,
    "scene": SHAPES,
    "error_maps": SHAPES,
    "single_view": SHAPES,
    "texture": ("face_model", "align", "reconstruct", "report"),
    "robustness": ("align", "reconstruct", "score", "report"),
    "worst": ("align", "parse", "reconstruct", "register", "score", "report"),
    "training": ("train", "report"),
    "parser": ("parse", "report"),
    "face_model": ("face_model", "report"),
    "set_aside": ("align", "register", "score", "report"),
    "methods": ("report",),
    "makers": (),
}
"""Steps whose output a chapter shows, by the chapter's anchor; others show scores."""
OTHERS = ("score", "report")


def maker_chapter(context: Context, chapters: Sequence[Chapter]) -> Chapter:
    """Note at the foot of every chapter what made it, and tell of the steps in one of its own."""
    for chapter in chapters:
        chapter.makers = [Maker(step, f"made_{step}") for step in STEPS.get(chapter.anchor, OTHERS)]
    makers = Chapter("What made what", "makers", context.folder)
    makers.say(caption("makers"))
    for step in FILES:
        _step(context, makers, step)
    return makers


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
