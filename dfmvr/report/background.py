"""Sections of the page about the run itself: training, parser, face model, samples set aside, methods."""

from __future__ import annotations

from typing import Any

import pandas as pd
import yaml

from dfmvr.report import account, figures, printed, style
from dfmvr.report.captions import caption
from dfmvr.report.names import method_name
from dfmvr.report.page import Section
from dfmvr.report.sections import PROTOCOL, Report, protocol_settings
from dfmvr.report.tables import number, write_table

SHOWN_SET_ASIDE = 30
TRAINING_DATA = "pixel_face"

LOSSES = {
    "total": "total loss",
    "photo": "photo loss, Eq. 2",
    "mask": "mask loss, Eq. 3",
    "landmark_2d": "2D landmark loss, Eq. 4 (px)",
    "landmark_3d": "3D landmark loss, Eq. 6 (mm)",
    "regularisation": "regularisation, Eq. 8",
}
"""Titles of the losses; a term that is not here bears its own name."""


def training_section(report: Report) -> Section:
    """Loss curves of every training run."""
    section = Section("Training", "training")
    training = report.study.training
    if not training:
        return section
    columns = dict.fromkeys(c for f in training.values() for c in f.columns if c not in _NO_LOSS)
    terms = {c: LOSSES.get(c, c.replace("_", " ")) for c in [*LOSSES, *columns] if c in columns}
    report.table(section, printed.loss_table(training, terms))
    manifest = report.study.manifests.get(TRAINING_DATA)
    kept = manifest is not None and (manifest["status"] == "ok") & (manifest["split"] == "train")
    samples = manifest.loc[kept, "sample"].nunique() if manifest is not None else "unknown"
    with style.styled():
        drawn = figures.training_curves({v: _in_blocks(f, terms) for v, f in training.items()}, terms)
        picture = style.save_figure(drawn, "training", report.folder / "figures")
    section.figure(
        picture,
        "Loss curves of every training run",
        caption("training", data=report.name(TRAINING_DATA), samples=samples),
        0.55,
    )
    return section


_NO_LOSS = ("step", "epoch", "learning_rate", "lr", "seconds")


def _in_blocks(frame: pd.DataFrame, terms: dict[str, str], most: int = 60) -> pd.DataFrame:
    """Average the steps of a run in at most `most` blocks; `epoch` becomes the fractional middle of a block."""
    per_epoch = max(1, round(len(frame) / (frame["epoch"].max() - frame["epoch"].min() + 1)))
    fractional = frame["epoch"].min() + (frame.index.to_numpy() + 0.5) / per_epoch
    blocks = frame.index.to_numpy() * min(most, len(frame)) // max(len(frame), 1)
    present = [t for t in terms if t in frame]
    return frame[present].assign(epoch=fractional).groupby(blocks).mean()


def parser_section(report: Report) -> Section:
    """The face parser's agreement with the truth."""
    section = Section("Face parser", "parser")
    found = report.study.parser
    if not found:
        return section
    kinds = {"photographs": found, "black background": found.get("black_background")}
    kinds = {kind: values for kind, values in kinds.items() if values}
    scores = {kind: {c: _known(v) for c, v in values["iou"].items()} for kind, values in kinds.items()}
    with style.styled():
        drawn = figures.class_scores(scores, _known(found["mean_iou"]))
        picture = style.save_figure(drawn, "parser", report.folder / "figures")
    data = report.name("celebamask_hq")
    size = f", n = {found['images']} images" if "images" in found else ""
    section.figure(
        picture,
        "Intersection over union of every class",
        caption("parser", data=data, size=size),
        0.55,
    )
    report.table(section, printed.parser_table(kinds, data))
    path = report.study.root / "parse" / "examples.png"
    if path.exists():
        section.figure(path.read_bytes(), "Examples of the face parser", caption("parser_examples", data=data), 0.6)
    return section


def _known(value: float | None) -> float:
    """A value of a JSON file; NaN where it is null."""
    return float("nan") if value is None else float(value)


def face_model_section(report: Report) -> Section:
    """Measures of the face model."""
    section = Section("Face model", "face_model")
    found = dict(report.study.face_model or {})
    if not found:
        return section
    measures = found.pop("population_mm", None)
    if measures:
        report.table(section, printed.measure_table(measures))
    held_out = found.pop("held_out_rms_mm", None)
    if held_out:
        report.table(section, printed.held_out_table(held_out))
    section.pairs("Face model", _flat(found.pop("sizes", {})) + _flat(found))
    path = report.study.root / "face_model" / "preview.png"
    if path.exists():
        section.figure(path.read_bytes(), "Faces of the face model", caption("face_model_preview"), 0.6)
    return section


def _flat(values: dict[str, Any], place: str = "") -> list[tuple[str, str]]:
    """Nested values as pairs of a place and a text."""
    rows = []
    for key, value in values.items():
        name = f"{place}{key}".replace("_", " ")
        if isinstance(value, dict):
            rows += _flat(value, f"{name}, ")
        elif isinstance(value, float):
            rows.append((name, f"{value:.4g}"))
        elif isinstance(value, list):
            rows.append((name, ", ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in value)))
        else:
            rows.append((name, str(value)))
    return rows


def account_section(report: Report) -> Section:
    """Samples set aside."""
    section = Section("Samples set aside", "set_aside")
    report.table(section, printed.count_table(account.count_frame(report.study, PROTOCOL, report.names)))
    aside = account.set_aside_frame(report.study, PROTOCOL, report.names)
    if aside.empty:
        section.note(caption("set_aside_none"))
        write_table(printed.set_aside_table(aside, SHOWN_SET_ASIDE), report.folder)
    else:
        report.table(section, printed.set_aside_table(aside, SHOWN_SET_ASIDE), SHOWN_SET_ASIDE)
    return section


def method_section(report: Report) -> Section:
    """How the numbers were made."""
    section = Section("How this was made", "methods")
    names = ", ".join(report.name(d) for d in report.study.datasets)
    methods = ", ".join(method_name(m) for m in report.study.methods)
    section.paragraphs += [
        caption("methods_data", data=names, methods=methods),
        caption("methods_error", radius=number(protocol_settings(report).crop_radius_mm, 0)),
        caption("methods_intervals", resamples=report.settings.bootstrap, seed=report.settings.seed),
        caption("methods_commands"),
    ]
    if report.study.benchmarks is not None:
        report.table(section, printed.runtime_table(account.runtime_frame(report.study.benchmarks)))
    section.heading("Versions and seeds")
    section.pairs("Versions and seeds", [*account.versions(), *account.seeds(report.configuration)])
    section.code(yaml.safe_dump(report.configuration, sort_keys=False, allow_unicode=True), "Settings")
    root = report.study.root
    listed = [str(p.relative_to(root)) if p.is_relative_to(root) else str(p) for p in report.study.files]
    section.code("\n".join(listed), "Tables read, below the results folder")
    return section
