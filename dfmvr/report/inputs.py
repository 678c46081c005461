"""Read what the other stages left under results/. Every reader says what is missing and which stage makes it.

Read always                 score/<method>/<dataset>.parquet, align/<dataset>/manifest.parquet
Read where the stage ran    train/<variant>/metrics.csv of the scored methods, the manifests of what they were trained
                            on, register/<method>/<dataset>.npz, parse/metrics.json, face_model/summary.json
Read for the panels         see `dfmvr.report.figures.panels`
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dfmvr.datasets.manifest import read_manifest
from dfmvr.errors import DataError
from dfmvr.files import read_json, read_npz
from dfmvr.study.methods import OVERRIDES, in_order, read_key

SCORES = "score"

WHOLE = "all"
"""Value of the scores' `region` column that stands for the whole evaluated face."""

SCORE_COLUMNS = ["sample", "subject", "method", "dataset", "protocol", "region"]
SCORE_COLUMNS += ["rmse_mm", "mean_mm", "points", "coverage", "status", "reason"]


class Run(NamedTuple):
    """One training."""

    method: str  # as `train.method`
    data: str
    metrics: pd.DataFrame  # one row a step


@dataclass(frozen=True)
class Study:
    """Everything the page tells of, apart from pictures."""

    root: Path
    methods: list[str]
    datasets: list[str]
    scores: pd.DataFrame
    """All score files, one after the other, and the nominal yaw of each sample's left view as `left_yaw`."""
    manifests: dict[str, pd.DataFrame]
    """Of the data sets tested on, then of those trained on."""
    training: dict[str, Run] = field(default_factory=dict)
    """The trainings of the scored methods."""
    converged: dict[tuple[str, str], pd.Series] = field(default_factory=dict)
    """Method and data set to whether the registration of each registered sample converged."""
    parser: dict[str, Any] | None = None
    face_model: dict[str, Any] | None = None
    benchmarks: pd.DataFrame | None = None
    files: list[Path] = field(default_factory=list)
    """The score files."""


def read_table(path: Path, columns: Sequence[str], stage: str) -> pd.DataFrame:
    """Read a parquet or CSV table and check that it has the `columns`.

    Raises:
        DataError: the file is missing, unreadable or lacks a column; `stage` is named as its maker.
    """
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dfmvr {stage}`, which makes it") from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not a readable table ({reason}); run `dfmvr {stage}` again") from error
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        found = ", ".join(map(str, frame.columns))
        raise DataError(f"{path}: expected the columns {', '.join(missing)}, found {found}; run `dfmvr {stage}` again")
    return frame


def read_study(
    root: Path,
    scores: Sequence[Path] = (),
    benchmarks: Path | None = None,
    trainings: Mapping[str, Mapping[str, Any]] = OVERRIDES,
) -> Study:
    """Read all tables under `root`.

    Args:
        root: the results folder.
        scores: the score files <method>/<data set>.parquet; empty takes all that are there.
        benchmarks: folder of Snakemake's benchmark files, if there is one.
        trainings: variant to the keys of `train` in which it differs.
    Raises:
        DataError: there are no scores, or a file is missing or malformed.
    """
    paths = list(scores) or sorted((root / SCORES).glob("*/*.parquet"))
    if not paths:
        raise DataError(f"{root / SCORES}: expected <method>/<dataset>.parquet, found none; run `dfmvr score`")
    methods = in_order({path.parent.name for path in paths})
    datasets = list(dict.fromkeys(path.stem for path in paths))
    table = pd.concat([read_table(path, SCORE_COLUMNS, "score") for path in paths], ignore_index=True)
    if not (table["status"] == "ok").any():
        reason = table["reason"].iloc[0] if len(table) else "the files are empty"
        raise DataError(f"{root / SCORES}: expected scored samples, found none with status 'ok' (first: {reason})")
    training = _read_training(root, methods, trainings)
    manifests = _read_manifests(root, datasets, [run.data for run in training.values()])
    optional = {name: root / name / file for name, file in (("parse", "metrics.json"), ("face_model", "summary.json"))}
    optional = {name: path for name, path in optional.items() if path.exists()}
    return Study(
        root,
        methods,
        datasets,
        _with_left_yaw(table, manifests),
        manifests,
        training,
        _read_converged(root, paths),
        read_json(optional["parse"]) if "parse" in optional else None,
        read_json(optional["face_model"]) if "face_model" in optional else None,
        None if benchmarks is None else read_benchmarks(benchmarks),
        paths,
    )


def _read_training(root: Path, methods: Sequence[str], trainings: Mapping[str, Mapping[str, Any]]) -> dict[str, Run]:
    """Read the metrics of every training that a method comes from, as far as there are any."""
    runs = {}
    for name in dict.fromkeys(read_key(method).training for method in methods):
        path = root / "train" / name / "metrics.csv"
        if path.exists():
            differs = trainings.get(read_key(name).first.key, {})
            metrics = read_table(path, ["step", "epoch"], "train")
            runs[name] = Run(differs.get("method", "df_mvr"), differs.get("data", "pixel_face"), metrics)
    return runs


def _read_manifests(root: Path, tested: Sequence[str], trained: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Read the manifests of what was tested on and, where they are there, of what was trained on."""
    files = {dataset: root / "align" / dataset / "manifest.parquet" for dataset in dict.fromkeys([*tested, *trained])}
    return {name: read_manifest(path) for name, path in files.items() if name in tested or path.exists()}


def _read_converged(root: Path, scores: Sequence[Path]) -> dict[tuple[str, str], pd.Series]:
    """Read whether the registration of each sample converged under the default protocol, where files tell."""
    found = {}
    for method, dataset in ((path.parent.name, path.stem) for path in scores):
        path = root / "register" / method / f"{dataset}.npz"
        if path.exists():
            arrays = read_npz(path, "sample", "status", "converged", others=False)
            registered = arrays["status"] == "ok"
            found[method, dataset] = pd.Series(arrays["converged"][registered], arrays["sample"][registered])
    return found


def _with_left_yaw(scores: pd.DataFrame, manifests: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Add the nominal yaw of the left view to every row."""
    views = [table[table["view"] == "left"].assign(dataset=dataset) for dataset, table in manifests.items()]
    yaws = pd.concat(views)[["dataset", "sample", "yaw"]].rename(columns={"yaw": "left_yaw"})
    return scores.merge(yaws, "left", ["dataset", "sample"])


def read_benchmarks(folder: Path) -> pd.DataFrame | None:
    """Run times that Snakemake measured, one row a rule: stage, jobs, seconds (sum), and peak memory in MiB.

    The stage is the first folder (or the stem) below `folder`. None where nothing was measured.

    Raises:
        DataError: a line is not JSON or lacks the seconds.
    Source: Snakemake's benchmark files, one JSON object a line with the keys `s` and `max_rss`.
    """
    rows = []
    for path in sorted(folder.rglob("*.jsonl")):
        parts = path.relative_to(folder).with_suffix("").parts
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
                seconds, memory = float(record["s"]), record.get("max_rss")
                memory = float("nan") if memory in (None, "NA", "-") else float(memory)
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{path}: expected Snakemake's benchmark as JSON ({error}); delete it") from error
            rows.append({"stage": parts[0], "job": "/".join(parts), "seconds": seconds, "memory_mib": memory})
    return pd.DataFrame(rows) if rows else None
