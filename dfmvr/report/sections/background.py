"""Sections of the page about the run itself: training, parser, face model, samples set aside, methods."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
import yaml

from dfmvr.config.training import AlignSection, TrainSection
from dfmvr.report.captions import caption
from dfmvr.report.figures import plots
from dfmvr.report.inputs import Run
from dfmvr.report.page import Section
from dfmvr.report.sections import account
from dfmvr.report.sections.results import PROTOCOL, Report, protocol_settings
from dfmvr.report.tables import run_tables
from dfmvr.report.tables.table import number, percent, write_table
from dfmvr.study.methods import FAMILIES, read_key

SHOWN_SET_ASIDE = 30

LOSSES = {
    "df_mvr": {
        "total": "total loss",
        "photo": "photo loss, Eq. 2",
        "mask": "mask loss, Eq. 3",
        "landmark_2d": "2D landmark loss, Eq. 4 (px)",
        "landmark_3d": "3D landmark loss, Eq. 6 (mm)",
        "regularisation": "regularisation, Eq. 8",
        "lighting": "colour of the light",
        "albedo": "unevenness of the skin",
    },
    "deng": {
        "total": "total loss",
        "photo": "photo loss",
        "landmark_2d": "2D landmarks (px²)",
        "regularisation": "regularisation",
        "lighting": "colour of the light",
        "albedo": "unevenness of the albedo",
        "perceptual": "perceptual loss",
    },
    "shang": {
        "total": "total loss",
        "photo": "photo loss",
        "landmark_2d": "2D landmarks (px²)",
        "shape": "identity and expression",
        "texture": "texture",
        "perceptual": "perceptual loss",
        "pixel": "colours between views",
        "depth": "depth between views (mm)",
        "epipolar": "epipolar lines (px)",
    },
}
"""Titles of the losses by training method; a term that is not here bears its own name."""


def training_section(report: Report) -> Section:
    """Loss curves and final losses of every training, by training method."""
    section = Section("Training", "training")
    for family in dict.fromkeys([*FAMILIES, *(run.method for run in report.study.training.values())]):
        runs = {name: run for name, run in report.study.training.items() if run.method == family}
        if runs:
            _training(report, section, family, runs)
    return section


def _training(report: Report, section: Section, family: str, runs: dict[str, Run]) -> None:
    """Add the losses of the trainings of one method."""
    title = FAMILIES.get(family, family)
    section.heading(title)
    known = LOSSES.get(family, {})
    present = dict.fromkeys(c for run in runs.values() for c in run.metrics if run.metrics[c].notna().any())
    terms = [*(c for c in known if c in present), *(c for c in present if c not in (*known, *_NO_LOSS))]
    titles = {c: known.get(c, c.replace("_", " ")) for c in terms}
    report.table(section, run_tables.loss_table(runs, titles, report.names, family))
    for data in dict.fromkeys(run.data for run in runs.values()):
        own = {name: run.metrics for name, run in runs.items() if run.data == data}
        curves = {v: _in_blocks(metrics, terms) for v, metrics in own.items()}
        draw = partial(plots.training_curves, curves, titles)
        alt = f"Loss curves of every training of {title} on {report.name(data)}"
        text = caption("training", data=report.name(data), samples=_training_samples(report, data))
        report.plot(section, f"training_{family}_{data}", draw, alt, text)


def _training_samples(report: Report, dataset: str) -> int | str:
    """Number of samples trained on."""
    manifest = report.study.manifests.get(dataset)
    if manifest is None:
        return "unknown"
    return manifest.loc[(manifest["status"] == "ok") & (manifest["split"] == "train"), "sample"].nunique()


_NO_LOSS = ("step", "epoch", "learning_rate", "lr", "seconds")


def _in_blocks(frame: pd.DataFrame, terms: list[str], most: int = 60) -> pd.DataFrame:
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
    data = report.name("celebamask_hq")
    size = f", n = {found['images']} images" if "images" in found else ""
    draw = partial(plots.class_scores, scores, _known(found["mean_iou"]))
    text = caption("parser", data=data, size=size)
    report.plot(section, "parser", draw, "Intersection over union of every class", text)
    report.table(section, run_tables.parser_table(kinds, data))
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
        report.table(section, run_tables.measure_table(measures))
    held_out = found.pop("held_out_rms_mm", None)
    if held_out:
        report.table(section, run_tables.held_out_table(held_out))
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
    report.table(section, run_tables.count_table(account.count_frame(report.study, PROTOCOL, report.names)))
    aside = account.set_aside_frame(report.study, PROTOCOL, report.names)
    if aside.empty:
        section.note(caption("set_aside_none"))
        write_table(run_tables.set_aside_table(aside, SHOWN_SET_ASIDE), report.folder)
    else:
        report.table(section, run_tables.set_aside_table(aside, SHOWN_SET_ASIDE), SHOWN_SET_ASIDE)
    return section


def method_section(report: Report) -> Section:
    """How the numbers were made."""
    section = Section("How this was made", "methods")
    names = ", ".join(report.name(d) for d in report.study.datasets)
    methods = ", ".join(dict.fromkeys(read_key(m).first.name for m in report.study.methods))
    section.paragraphs += [caption("methods_data", data=names, methods=methods)]
    section.paragraphs += [text for condition, text in _explained(report) if condition]
    section.paragraphs += [
        caption("methods_error", radius=number(protocol_settings(report).crop_radius_mm, 0)),
        caption("methods_intervals", resamples=report.settings.bootstrap, seed=report.settings.seed),
        caption("methods_commands"),
    ]
    if report.study.benchmarks is not None:
        report.table(section, run_tables.runtime_table(account.runtime_frame(report.study.benchmarks)))
    section.heading("Versions and seeds")
    section.pairs("Versions and seeds", [*account.versions(), *account.seeds(report.configuration)])
    section.code(yaml.safe_dump(report.configuration, sort_keys=False, allow_unicode=True), "Settings")
    return section


def _training_settings(report: Report) -> str:
    """How DF-MVR was trained."""
    train = TrainSection.model_validate(report.configuration.get("train", {}))
    align = AlignSection.model_validate(report.configuration.get("align", {}))
    return caption(
        "methods_training",
        epochs=train.epochs,
        batch=train.batch_size,
        size=align.image_size,
        rate=f"{train.learning_rate:g}",
        share=percent(train.landmark_share),
        place=caption("methods_first" if train.landmark_first else "methods_spread"),
    )


def _explained(report: Report) -> list[tuple[bool, str]]:
    """What is said of some methods, and whether any of them was tested."""
    methods = list(map(read_key, report.study.methods))
    variants = {method.variant for method in methods}
    families = {variant.family for variant in variants}
    return [
        ("train" in report.configuration and "df_mvr" in families, _training_settings(report)),
        ("deng" in families, caption("methods_deng")),
        ("shang" in families, caption("methods_shang")),
        (any(set(variant.tables) == {"table_4"} for variant in variants), caption("methods_ablation")),
        (any(variant.key == "dfmvr_mixed" for variant in variants), caption("methods_mixed")),
        (any(variant.across for variant in variants), caption("methods_across", data=report.name("multi_pie"))),
        (any(method.seed for method in methods), caption("methods_seeds")),
    ]
