"""Read what the other stages left under results/. Every reader says what is missing and which stage makes it.

Read always                 score/<method>/<dataset>.parquet, align/<dataset>/manifest.parquet
Read where the stage ran    train/<variant>/metrics.csv, parse/metrics.json, face_model/summary.json
Read for the panels         see `dfmvr.report.panels`
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from dfmvr.datasets.manifest import read_manifest
from dfmvr.errors import DataError
from dfmvr.files import read_json
from dfmvr.report.names import ordered

SCORES = "score"
SCORE_COLUMNS = ["sample", "subject", "method", "dataset", "protocol", "region"]
SCORE_COLUMNS += ["rmse_mm", "mean_mm", "points", "coverage", "status", "reason"]


@dataclass(frozen=True)
class Study:
    """Everything the page tells of, apart from pictures."""

    root: Path
    methods: list[str]
    datasets: list[str]
    scores: pd.DataFrame
    """All score files, one after the other, and the nominal yaw of each sample's left view as `left_yaw`."""
    manifests: dict[str, pd.DataFrame]
    training: dict[str, pd.DataFrame] = field(default_factory=dict)
    """metrics.csv of each variant."""
    parser: dict[str, Any] | None = None
    face_model: dict[str, Any] | None = None
    benchmarks: pd.DataFrame | None = None
    files: list[Path] = field(default_factory=list)
    """What was read, for the record."""


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


def read_study(root: Path, scores: Sequence[Path] = (), benchmarks: Path | None = None) -> Study:
    """Read all tables under `root`.

    Args:
        root: the results folder.
        scores: the score files <method>/<data set>.parquet; empty takes all that are there.
        benchmarks: folder of Snakemake's benchmark files, if there is one.
    Raises:
        DataError: there are no scores, or a file is missing or malformed.
    """
    paths = list(scores) or sorted((root / SCORES).glob("*/*.parquet"))
    if not paths:
        raise DataError(f"{root / SCORES}: expected <method>/<dataset>.parquet, found none; run `dfmvr score`")
    methods = ordered({path.parent.name for path in paths})
    datasets = list(dict.fromkeys(path.stem for path in paths))
    table = pd.concat([read_table(path, SCORE_COLUMNS, "score") for path in paths], ignore_index=True)
    if not (table["status"] == "ok").any():
        reason = table["reason"].iloc[0] if len(table) else "the files are empty"
        raise DataError(f"{root / SCORES}: expected scored samples, found none with status 'ok' (first: {reason})")
    files = {d: root / "align" / d / "manifest.parquet" for d in datasets}
    manifests = {dataset: read_manifest(path) for dataset, path in files.items()}
    training = {path.parent.name: path for path in sorted(root.glob("train/*/metrics.csv"))}
    optional = {name: root / name / file for name, file in (("parse", "metrics.json"), ("face_model", "summary.json"))}
    optional = {name: path for name, path in optional.items() if path.exists()}
    return Study(
        root,
        methods,
        datasets,
        _with_left_yaw(table, manifests),
        manifests,
        {v: read_table(training[v], [], "train") for v in ordered(set(training))},
        read_json(optional["parse"]) if "parse" in optional else None,
        read_json(optional["face_model"]) if "face_model" in optional else None,
        None if benchmarks is None else read_benchmarks(benchmarks),
        [*paths, *files.values(), *training.values(), *optional.values()],
    )


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
