"""Chapters about the run itself: training, parser, face model, samples set aside, methods."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pandas as pd
import yaml

from dfmvr import __version__
from dfmvr.report.captions import caption, entries
from dfmvr.report.chapter import Chapter, chapter_of
from dfmvr.report.context import OK, Context, Run
from dfmvr.report.figures import plots
from dfmvr.report.tables import run_tables
from dfmvr.report.tables.printed import spaced
from dfmvr.report.tables.table import number, percent, write_table
from dfmvr.study.methods import FAMILIES, read_key
from dfmvr.study.paper import PROTOCOL

PACKAGES = ("torch", "numpy", "scipy", "pandas", "open3d-cpu", "open3d", "opencv-python-headless", "pillow", "anny")

SHOWN_SET_ASIDE = 30


@chapter_of("Training", "training", "train")
def training_chapter(context: Context, chapter: Chapter) -> None:
    """Loss curves and final losses of every training, by training method."""
    for family in dict.fromkeys([*FAMILIES, *(run.method for run in context.training.values())]):
        runs = {name: run for name, run in context.training.items() if run.method == family}
        if runs:
            _training(context, chapter, family, runs)


def _training(context: Context, chapter: Chapter, family: str, runs: dict[str, Run]) -> None:
    """Add the losses of the trainings of one method."""
    title = FAMILIES.get(family, family)
    chapter.heading(title)
    known = entries("loss_titles").get(family, {})
    present = dict.fromkeys(c for run in runs.values() for c in run.metrics if run.metrics[c].notna().any())
    terms = [*(c for c in known if c in present), *(c for c in present if c not in (*known, *_NO_LOSS))]
    titles = {c: known.get(c, spaced(c)) for c in terms}
    chapter.table(run_tables.loss_table(runs, titles, context, family))
    for data in dict.fromkeys(run.data for run in runs.values()):
        curves = {name: _in_blocks(run.metrics, terms) for name, run in runs.items() if run.data == data}
        facts = {"data": context.name(data), "samples": _training_samples(context, data), "family": title}
        chapter.plot(plots.training_curves(curves, titles), f"training_{family}_{data}", "training", **facts)


def _training_samples(context: Context, dataset: str) -> int | str:
    """Number of samples trained on."""
    manifest = context.manifests.get(dataset)
    if manifest is None:
        return "unknown"
    return manifest.loc[(manifest["status"] == OK) & (manifest["split"] == "train"), "sample"].nunique()


_NO_LOSS = ("step", "epoch", "learning_rate", "lr", "seconds")


def _in_blocks(frame: pd.DataFrame, terms: list[str], most: int = 60) -> pd.DataFrame:
    """Average the steps of a run in at most `most` blocks; `epoch` becomes the fractional middle of a block."""
    per_epoch = max(1, round(len(frame) / (frame["epoch"].max() - frame["epoch"].min() + 1)))
    fractional = frame["epoch"].min() + (frame.index.to_numpy() + 0.5) / per_epoch
    blocks = frame.index.to_numpy() * min(most, len(frame)) // max(len(frame), 1)
    present = [t for t in terms if t in frame]
    return frame[present].assign(epoch=fractional).groupby(blocks).mean()


@chapter_of("Face parser", "parser", "parse")
def parser_chapter(context: Context, chapter: Chapter) -> None:
    """The face parser's agreement with the truth."""
    found = context.summary("parse", "metrics.json")
    if not found:
        return
    kinds = {"photographs": found, "black background": found.get("black_background")}
    kinds = {kind: values for kind, values in kinds.items() if values}
    scores = {kind: {c: _known(v) for c, v in values["iou"].items()} for kind, values in kinds.items()}
    data = context.name("celebamask_hq")
    size = f", n = {found['images']} images" if "images" in found else ""
    chapter.plot(plots.class_scores(scores, _known(found["mean_iou"])), "parser", "parser", data=data, size=size)
    chapter.table(run_tables.parser_table(kinds, data))
    path = context.root / "parse" / "examples.png"
    if path.exists():
        chapter.figure(path.read_bytes(), 0.6, "parser_examples", data=data)


def _known(value: float | None) -> float:
    """A value of a JSON file; NaN where it is null."""
    return float("nan") if value is None else float(value)


@chapter_of("Face model", "face_model", "face_model")
def face_model_chapter(context: Context, chapter: Chapter) -> None:
    """Measures of the face model."""
    found = context.summary("face_model", "summary.json")
    if not found:
        return
    if measures := found.pop("population_mm", None):
        chapter.table(run_tables.measure_table(measures))
    if held_out := found.pop("held_out_rms_mm", None):
        chapter.table(run_tables.held_out_table(held_out))
    chapter.pairs("Face model", _flat(found.pop("sizes", {})) + _flat(found))
    path = context.root / "face_model" / "preview.png"
    if path.exists():
        chapter.figure(path.read_bytes(), 0.6, "face_model_preview")


def _leaves(values: dict[str, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The values of nested ones that hold no others, each with the keys that lead to it."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*place, key))
        else:
            yield (*place, key), value


def _flat(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Nested values as pairs of a place and a text."""

    def text(value: Any) -> str:
        if isinstance(value, list):
            return ", ".join(map(text, value))
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    return [(", ".join(map(spaced, place)), text(value)) for place, value in _leaves(values)]


@chapter_of("Samples set aside", "set_aside", "align", "register", "score")
def set_aside_chapter(context: Context, chapter: Chapter) -> None:
    """Samples set aside."""
    chapter.table(run_tables.count_table(context))
    aside = run_tables.set_aside_table(context, SHOWN_SET_ASIDE)
    if aside.frame.empty:
        chapter.note(caption("set_aside_none"))
        write_table(aside, context.folder)
    else:
        chapter.table(aside, SHOWN_SET_ASIDE)


@chapter_of("How this was made", "methods")
def method_chapter(context: Context, chapter: Chapter) -> None:
    """How the numbers were made."""
    settings = context.configuration.report
    names = ", ".join(context.name(d) for d in context.datasets)
    methods = ", ".join(dict.fromkeys(read_key(m).first.name for m in context.methods))
    chapter.say(caption("methods_data", data=names, methods=methods))
    for condition, text in _explained(context):
        if condition:
            chapter.say(text)
    chapter.say(caption("methods_error", radius=number(context.protocols[PROTOCOL].crop_radius_mm, 0)))
    chapter.say(caption("methods_intervals", resamples=settings.bootstrap, seed=settings.seed))
    chapter.say(caption("methods_commands"))
    if context.benchmarks is not None:
        chapter.table(run_tables.runtime_table(context.benchmarks))
    seeds = [(".".join(place), str(value)) for place, value in _leaves(context.told) if place[-1] == "seed"]
    chapter.heading("Versions and seeds")
    chapter.pairs("Versions and seeds", [*_versions(), *seeds])
    chapter.code(yaml.safe_dump(context.told, sort_keys=False, allow_unicode=True), "Settings")


def _explained(context: Context) -> list[tuple[bool, str]]:
    """What is said of some methods, and whether any of them was tested."""
    methods = list(map(read_key, context.methods))
    variants = {method.variant for method in methods}
    families = {variant.family for variant in variants}
    return [
        (context.configured and "df_mvr" in families, _training_settings(context)),
        ("deng" in families, caption("methods_deng")),
        *_baselines(context, families),
        ("shang" in families, caption("methods_shang")),
        (any(set(variant.tables) == {"table_4"} for variant in variants), caption("methods_ablation")),
        (any(variant.key == "dfmvr_mixed" for variant in variants), caption("methods_mixed")),
        (any(variant.across for variant in variants), caption("methods_across", data=context.name("multi_pie"))),
        (any(method.seed for method in methods), caption("methods_seeds")),
    ]


def _baselines(context: Context, families: set[str]) -> Iterator[tuple[bool, str]]:
    """What the papers of the baselines have and these trainings of them had not."""
    for family in sorted(families & {"deng", "shang"}):
        section = getattr(context.configuration.train, family)
        lacking = {
            "imagenet": section.imagenet_weights is None,
            "embedding": section.loss.embedding is None or section.loss.perceptual == 0,
        }
        missing = [caption(f"methods_without_{what}") for what, lacks in lacking.items() if lacks]
        text = caption("methods_without", family=FAMILIES[family], missing=" and ".join(missing))
        yield context.configured and bool(missing), text


def _training_settings(context: Context) -> str:
    """How DF-MVR was trained."""
    train = context.configuration.train
    return caption(
        "methods_training",
        epochs=train.epochs,
        batch=train.batch_size,
        size=context.configuration.align.image_size,
        rate=f"{train.learning_rate:g}",
        share=percent(train.landmark_share),
        place=caption("methods_first" if train.landmark_first else "methods_spread"),
    )


def _versions() -> list[tuple[str, str]]:
    """Names and versions of this program, Python and the packages that compute."""
    found = [("dfmvr", __version__), ("Python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return [*found, ("machine", f"{platform.system()} {platform.machine()}")]
