"""What the other stages left under results/, read once: what all tables, figures and chapters are made from.

Read always                 score/<method>/<dataset>.parquet, align/<dataset>/manifest.parquet
Read where the stage ran    train/<variant>/metrics.csv of the scored methods, the manifests of what they were trained
                            on, register/<method>/<dataset>.npz, parse/metrics.json, face_model/summary.json
Read for the panels         see `dfmvr.report.source`

What is missing or malformed is told with the stage that makes it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dfmvr.config.configuration import Config
from dfmvr.config.evaluation import ProtocolSection
from dfmvr.datasets.manifest import read_manifest, varied_yaws
from dfmvr.errors import DataError
from dfmvr.files import read_json, read_npz
from dfmvr.report.earlier import JOBS, SCORES, Earlier, take_earlier, tests_in
from dfmvr.report.source import SampleSource
from dfmvr.study.methods import in_order, read_key
from dfmvr.study.paper import PROTOCOL

WHOLE = "all"
"""Value of the scores' `region` column that stands for the whole evaluated face."""

OK = "ok"
"""Value of the `status` column of what was not set aside."""

SCORE_COLUMNS = ["sample", "subject", "method", "dataset", "protocol", "region"]
SCORE_COLUMNS += ["rmse_mm", "mean_mm", "points", "coverage", "status", "reason"]

MANIFEST = "manifest.parquet"

JOINED = ["left_yaw", "illumination"]
"""Columns of a study's scores that come from the manifests."""

STATISTICS = {"rms_point_to_plane": "rmse_mm", "mean_point_to_surface": "mean_mm"}
"""Columns of the scores by the name of `register.protocols.*.statistic`."""


class Run(NamedTuple):
    """One training."""

    method: str  # as `train.method`
    data: str
    metrics: pd.DataFrame  # one row a step


@dataclass(frozen=True, eq=False)
class Context:
    """A study: its configuration, its scores, and what else its stages left."""

    root: Path
    configuration: Config
    configured: bool
    """Whether the configuration is that of the run; else all of it but the section `report` are the defaults."""
    folder: Path
    """Where the files of tables and figures go."""
    files: list[Path]
    """The score files."""
    scores: pd.DataFrame
    """All scores, one file after the other, and the nominal yaw of each sample's left view as `left_yaw`.

    Where the right view is the one that varies, it is that one's: see `manifest.varied_view`. `illumination` is the
    sample's light, as far as its data set tells it.
    """
    manifests: dict[str, pd.DataFrame]
    """Of the data sets tested on, then of those trained on."""
    training: dict[str, Run]
    """The trainings of the scored methods."""
    benchmarks: pd.DataFrame | None = None
    earlier: Earlier | None = None
    """A published study whose tests count where there are none under `root`."""
    _sources: dict[str, SampleSource] = field(default_factory=dict)

    @cached_property
    def methods(self) -> list[str]:
        """The keys of the scored methods."""
        return in_order(set(self.scores["method"]))

    @cached_property
    def datasets(self) -> list[str]:
        """What was tested on."""
        return list(dict.fromkeys(self.scores["dataset"]))

    @cached_property
    def tests(self) -> set[tuple[str, str]]:
        """Method and data set of every test that has scores."""
        return tests_in(self.scores)

    def file(self, *parts: str) -> Path:
        """A file of the study: under `root`, or where only the earlier one has it, there."""
        return _file(self.root, self.earlier, *parts)

    def name(self, dataset: str) -> str:
        """Printed name of a data set."""
        return self.configuration.report.data_names.get(dataset, dataset)

    @property
    def told(self) -> dict[str, Any]:
        """The settings that are known of the run, as plain values."""
        every = self.configuration.model_dump(mode="json", by_alias=True)
        return every if self.configured else {"report": every["report"]}

    @property
    def protocols(self) -> dict[str, ProtocolSection]:
        """What every protocol of the scores is, as far as it is known."""
        known = self.configuration.register_.protocols
        return {name: known.get(name, known[PROTOCOL]) for name in dict.fromkeys(self.scores["protocol"])}

    @property
    def statistics(self) -> dict[str, str]:
        """What each protocol calls its error, as a column of the scores."""
        return {name: STATISTICS[protocol.statistic] for name, protocol in self.protocols.items()}

    def source(self, dataset: str) -> SampleSource:
        """The photographs, scans and meshes of a data set."""
        if dataset not in self._sources:
            protocol = self.configuration.register_.protocols[PROTOCOL]
            self._sources[dataset] = SampleSource(self.root, dataset, protocol, self.configuration.datasets)
        return self._sources[dataset]

    def converged(self, method: str, dataset: str) -> pd.Series | None:
        """Whether the registration of each registered sample converged under the default protocol, if files tell."""
        path = self.file("register", method, f"{dataset}.npz")
        if not path.exists():
            return None
        arrays = read_npz(path, "sample", "status", "converged", others=False)
        registered = arrays["status"] == OK
        return pd.Series(arrays["converged"][registered], arrays["sample"][registered])

    def summary(self, stage: str, file: str) -> dict[str, Any]:
        """What a stage says of itself in a JSON file; nothing where it did not run."""
        path = self.file(stage, file)
        return read_json(path) if path.exists() else {}


def _file(root: Path, earlier: Earlier | None, *parts: str) -> Path:
    here = root.joinpath(*parts)
    return here if earlier is None or here.exists() else earlier.root.joinpath(*parts)


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


def read_context(
    root: Path,
    configuration: Config,
    folder: Path,
    scores: Sequence[Path] = (),
    benchmarks: Path | None = None,
    configured: bool = False,
    earlier: Path | None = None,
) -> Context:
    """Read all tables under `root`.

    Args:
        root: the results folder.
        configuration: see `Context`, as `folder` and `configured`.
        scores: the score files <method>/<data set>.parquet; empty takes all that are there.
        benchmarks: folder of Snakemake's benchmark files, if there is one.
        earlier: folder of a published study, whose tests count where there are none under `root`.
    Raises:
        DataError: there are no scores, a file is missing or malformed, or the earlier study is another.
    """
    paths = list(scores) or sorted((root / "score").glob("*/*.parquet"))
    if not paths:
        raise DataError(f"{root / 'score'}: expected <method>/<dataset>.parquet, found none; run `dfmvr score`")
    table = pd.concat([read_table(path, SCORE_COLUMNS, "score") for path in paths], ignore_index=True)
    if not (table["status"] == OK).any():
        reason = table["reason"].iloc[0] if len(table) else "the files are empty"
        raise DataError(f"{root / 'score'}: expected scored samples, found none with status 'ok' (first: {reason})")
    before = None
    if earlier:
        published = read_table(earlier / "results" / SCORES, list(table), "report --publish")
        before = take_earlier(earlier, published[list(table)], table)
        table = pd.concat([table, before.scores], ignore_index=True)
    training = _read_training(root, before, set(table["method"]), configuration)
    manifests = {name: _read_views(root, before, name) for name in dict.fromkeys(table["dataset"])}
    for run in training.values():
        if run.data not in manifests and _file(root, before, "align", run.data, MANIFEST).exists():
            manifests[run.data] = _read_views(root, before, run.data)
    yaws = pd.concat({name: varied_yaws(manifest) for name, manifest in manifests.items()}, names=["dataset"])
    table = table.merge(yaws.rename("left_yaw").reset_index(), "left", ["dataset", "sample"])
    lights = pd.concat([manifest.assign(dataset=name) for name, manifest in manifests.items()])
    lights = lights.drop_duplicates(["dataset", "sample"])[["dataset", "sample", "illumination"]]
    table = table.merge(lights, "left", ["dataset", "sample"])
    measured = None if benchmarks is None else _with_earlier(read_benchmarks(benchmarks, root), before)
    if measured is not None:
        tests = table[["method", "dataset"]].drop_duplicates()
        measured = _of_study(measured, set(tests["method"] + "_" + tests["dataset"]), set(training))
    return Context(root, configuration, configured, folder, paths, table, manifests, training, measured, before)


def _read_views(root: Path, earlier: Earlier | None, dataset: str) -> pd.DataFrame:
    """Read a manifest; an earlier study has less of one, and all that tables are made from."""
    path = _file(root, earlier, "align", dataset, MANIFEST)
    if path.is_relative_to(root):
        return read_manifest(path)
    return read_table(path, ["sample", "view", "status"], "report --publish")


def _read_training(root: Path, earlier: Earlier | None, methods: set[str], configuration: Config) -> dict[str, Run]:
    """Read the metrics of every training that a method comes from, as far as there are any."""
    runs = {}
    for name in dict.fromkeys(read_key(key).training for key in in_order(methods)):
        path = _file(root, earlier, "train", name, "metrics.csv")
        if path.exists():
            known = read_key(name).variant.key in configuration.variants
            section = configuration.variant(name) if known else configuration.train
            runs[name] = Run(section.method, section.data, read_table(path, ["step", "epoch"], "train"))
    return runs


def read_benchmarks(folder: Path, root: Path) -> pd.DataFrame | None:
    """Run times that Snakemake measured, one row a job: stage, seconds, CPU seconds, peak memory in MiB, and its end.

    The stage is the first folder (or the stem) below `folder`; the end is the file's own time, in seconds. Snakemake
    knows a job's last part alone; a training has noted the ones before it under `root`, which are rows of the same job.
    None where nothing was measured.

    Raises:
        DataError: a line is not JSON or lacks the seconds, or a training's parts are malformed.
    Source: Snakemake's benchmark files, one JSON object a line with the keys `s`, `cpu_time` and `max_rss`.
    """
    rows = []
    for path in sorted(folder.rglob("*.jsonl")):
        parts = path.relative_to(folder).with_suffix("").parts
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
                seconds = float(record["s"])
                cpu, memory = (_measured(record.get(key)) for key in ("cpu_time", "max_rss"))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{path}: expected Snakemake's benchmark as JSON ({error}); delete it") from error
            row = {"stage": parts[0], "job": "/".join(parts), "seconds": seconds, "cpu_seconds": cpu}
            rows.append(row | {"memory_mib": memory, "end": path.stat().st_mtime})
        if parts[0] == "train" and (noted := root.joinpath(*parts, "parts.csv")).exists():
            before = read_table(noted, ["seconds", "cpu_seconds", "ended"], "train").iloc[:-1]
            before = before[["seconds", "cpu_seconds"]].assign(end=before["ended"], memory_mib=float("nan"))
            rows += before.assign(stage=parts[0], job="/".join(parts)).to_dict("records")
    return pd.DataFrame(rows) if rows else None


def _with_earlier(measured: pd.DataFrame | None, earlier: Earlier | None) -> pd.DataFrame | None:
    """What jobs have cost, those of an earlier study too that were not measured here."""
    if earlier is None or not (path := earlier.root / JOBS).exists():
        return measured
    before = read_table(path, ["stage", "job", "seconds", "cpu_seconds", "memory_mib", "end"], "report --publish")
    if measured is None:
        return before
    return pd.concat([measured, before[~before["job"].isin(measured["job"])]], ignore_index=True)


def _of_study(measured: pd.DataFrame, tests: set[str], trainings: set[str]) -> pd.DataFrame | None:
    """What this study's jobs have cost: another study in the same folder may have tested and trained other methods."""
    names = {"train": trainings} | dict.fromkeys(("reconstruct", "register", "score"), tests)
    mine = [
        stage not in names or job.partition("/")[2] in names[stage]
        for stage, job in zip(measured["stage"], measured["job"], strict=True)
    ]
    return measured[mine].reset_index(drop=True) if any(mine) else None


def _measured(value: object) -> float:
    """A number that Snakemake may not have been able to measure."""
    return float("nan") if value in (None, "NA", "-") else float(value)
