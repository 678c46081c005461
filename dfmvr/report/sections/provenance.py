"""What made each section of the page: the steps of the workflow, their settings, and the files that they left."""

from __future__ import annotations

import yaml

from dfmvr.report.captions import caption
from dfmvr.report.page import Maker, Section
from dfmvr.report.sections.results import Report

FILES = {
    "simulate": ("simulate/*/",),
    "face_model": ("face_model/face_model.npz", "face_model/summary.json"),
    "mesh": ("mesh/*/*.ply",),
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
"""Steps whose output a section shows, by the section's anchor; others show scores."""
OTHERS = ("score", "report")


def name_makers(report: Report, sections: list[Section]) -> Section:
    """Note at the foot of every section what made it, and give the section that tells of the steps."""
    for section in sections:
        steps = STEPS.get(section.anchor, OTHERS)
        section.makers = [Maker(step, f"made_{step}") for step in steps]
    section = Section("What made what", "makers", [caption("makers")])
    for step in FILES:
        _step(report, section, step)
    return section


def _step(report: Report, section: Section, step: str) -> None:
    """Tell of a step: its rules and command, its settings as far as they are known, its files."""
    section.heading(f"`{step}`", f"made_{step}")
    section.note(caption("maker_rule", stage=step))
    settings = report.configuration.get(step)
    if settings:
        section.code(yaml.safe_dump({step: settings}, sort_keys=False, allow_unicode=True), "Settings")
    found = {pattern: len(list(report.study.root.glob(pattern))) for pattern in FILES[step]}
    if any(found.values()):
        lines = [f"{pattern}: {count}" for pattern, count in found.items() if count]
        section.code("\n".join(lines), "Files, below the results folder, and how many there are")
