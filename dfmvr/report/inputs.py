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

from dfmvr.errors import DataError
from dfmvr.files import read_json
from dfmvr.report.names import ordered

SCORE_COLUMNS = ["sample", "subject", "method", "dataset", "protocol", "region"]
SCORE_COLUMNS += ["rmse_mm", "mean_mm", "points", "coverage", "status", "reason"]
MANIFEST_COLUMNS = ["sample", "subject", "split", "view", "index", "photo", "scan", "status", "reason"]


@dataclass(frozen=True)
class Study:
    """Everything the page tells of, apart from pictures."""

    root: Path
    methods: list[str]
    datasets: list[str]
    scores: pd.DataFrame
    """All score files, one after the other."""
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


def read_study(
    root: Path, methods: Sequence[str] = (), datasets: Sequence[str] = (), benchmarks: Path | None = None
) -> Study:
    """Read all tables under `root`.

    Args:
        root: the results folder.
        methods: methods to compare; empty takes all that have scores.
        datasets: test data sets; empty takes all that have scores.
        benchmarks: folder of Snakemake's benchmark files, if there is one.
    Raises:
        DataError: there are no scores, or a file is missing or malformed.
    """
    found = sorted(path.relative_to(root / "score") for path in (root / "score").glob("*/*.parquet"))
    methods = list(methods) or ordered({path.parts[0] for path in found})
    datasets = list(datasets) or sorted({path.stem for path in found})
    if not methods or not datasets:
        raise DataError(f"{root / 'score'}: expected <method>/<dataset>.parquet, found none; run `dfmvr score`")
    paths = [root / "score" / method / f"{dataset}.parquet" for dataset in datasets for method in methods]
    scores = pd.concat([read_table(path, SCORE_COLUMNS, "score") for path in paths], ignore_index=True)
    if not (scores["status"] == "ok").any():
        reason = scores["reason"].iloc[0] if len(scores) else "the files are empty"
        raise DataError(f"{root / 'score'}: expected scored samples, found none with status 'ok' (first: {reason})")
    manifests = {d: root / "align" / d / "manifest.parquet" for d in datasets}
    training = {path.parent.name: path for path in sorted(root.glob("train/*/metrics.csv"))}
    optional = {name: root / name / file for name, file in (("parse", "metrics.json"), ("face_model", "summary.json"))}
    optional = {name: path for name, path in optional.items() if path.exists()}
    return Study(
        root,
        methods,
        datasets,
        scores,
        {dataset: read_table(path, MANIFEST_COLUMNS, "align") for dataset, path in manifests.items()},
        {v: read_table(training[v], [], "train") for v in ordered(set(training))},
        read_json(optional["parse"]) if "parse" in optional else None,
        read_json(optional["face_model"]) if "face_model" in optional else None,
        None if benchmarks is None else read_benchmarks(benchmarks),
        [*paths, *manifests.values(), *training.values(), *optional.values()],
    )


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
