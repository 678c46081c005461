"""`dfmvr report --publish`: a study's page and tables for a repository, with what the check of the tables needs.

needs   as `dfmvr report`
gives   <folder>/index.html              one page that needs no network, without what is large
        <folder>/tables/*.csv            every table in full precision; made.json
        <folder>/results/                scores and the little else that the tables rest on, for
                                         `dfmvr report --check --tables <folder>/tables --results <folder>/results`

A study that is not finished can be published: the page says first what is missing, and the rows are empty.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfmvr import __version__
from dfmvr.config.configuration import overridden
from dfmvr.errors import OutputError
from dfmvr.files import read_npz, write_json, write_npz
from dfmvr.folders import manifest_of
from dfmvr.report.captions import caption
from dfmvr.report.chapter import Chapter
from dfmvr.report.check.compare import MADE
from dfmvr.report.context import JOINED, MANIFEST, Context
from dfmvr.report.earlier import JOBS, SCORES
from dfmvr.report.tables.run_tables import total_costs
from dfmvr.report.tables.table import number
from dfmvr.study.methods import OURS, read_key

MOST_BYTES = 8_000_000
"""What a published study may take in all."""

MAKER = "publish"
"""By whose manifest a folder into which something was published is told; see `dfmvr.folders`."""

WITHOUT_PICTURES = ("training", "parser", "face_model", "set_aside")
"""Chapters of which the tables alone are shown, by their anchors."""

VIEW_COLUMNS = ["sample", "subject", "view", "yaw", "illumination", "split", "status", "reason"]
"""What the check reads of a manifest."""


def leave_out_pictures(chapters: Iterable[Chapter]) -> None:
    """Take the pictures out of the chapters whose tables alone are shown."""
    for chapter in chapters:
        if chapter.anchor in WITHOUT_PICTURES:
            chapter.parts = [part for part in chapter.parts if part["kind"] != "figure"]


def missing(context: Context) -> dict[str, list[str]]:
    """What the configuration names and has no scores: data set to names of methods, trainings of other seeds too."""
    found: dict[str, list[str]] = {}
    for method, dataset in context.configuration.tests_of():
        if (method.key, dataset) not in context.tests:
            found.setdefault(dataset, []).append(method.name)
    return found


def missing_texts(context: Context) -> list[str]:
    """Say of an unfinished study what is missing."""
    lacking = missing(context)
    if not lacking:
        return []
    trainings = set(context.configuration.trained_on())
    done = trainings & {read_key(name).training for name in context.methods}
    texts = [caption("published_unfinished", done=len(done), trainings=len(trainings))]
    return texts + [
        caption("published_missing", data=context.name(dataset), methods="; ".join(names))
        for dataset, names in lacking.items()
    ]


def publish_chapter(context: Context, folder: Path, configured: Path | None, overrides: list[str]) -> Chapter:
    """How the page was made: commits, commands, the configuration, and what it cost."""
    chapter = Chapter("How to make this page again", "published", context.folder)
    given = f" --configfile {configured}" if configured else ""
    changed = "".join(f" --set {shlex.quote(one)}" for one in overrides)
    sections = [shlex.quote(f"{name}={json.dumps(value)}") for name, value in overridden({}, overrides).items()]
    for_workflow = f" --config {' '.join(sections)}" if sections else ""
    joined = f" --earlier {folder}" if context.earlier else ""
    publishing = f"dfmvr report{f' --config {configured}' if configured else ''}{changed}{joined}"
    commands = [
        f"snakemake --cores all{given}{for_workflow}",
        f"{publishing} --results results --benchmarks benchmarks/workflow --publish {folder}",
        f"dfmvr report --check --tables {folder}/tables --results {folder}/results",
    ]
    rows = [*_commit_rows(context), ("page made by", commit_of(Path(__file__).parent))]
    if context.benchmarks is not None:
        costs = total_costs(context.benchmarks)
        rows.append(("CPU time of all jobs", f"{number(costs['cpu_hours'], 1)} hours"))
        rows.append(("time in which any job ran", f"{number(costs['wall_hours'], 1)} hours"))
        rows.append(("largest job", f"{number(costs['memory_mib'], 0)} MiB"))
        known = {f"train/{name}" for name in context.training} & set(context.benchmarks["job"])
        rows.append(("trainings among these jobs", f"{len(known)} of {len(context.training)}"))
    chapter.pairs("Commits and costs", rows)
    if context.earlier:
        chapter.note(caption("published_earlier"))
    chapter.note(caption("published_costs"))
    chapter.code("\n".join(commands))
    if configured:
        chapter.code(configured.read_text(encoding="utf-8"), configured.name)
    return chapter


def _commit_rows(context: Context) -> list[tuple[str, str]]:
    """The commit of the results; with an earlier study the commits, that of the results first, and their tests."""
    if context.earlier is None:
        return [("results made in a working copy at commit", commit_of(context.root))]
    tests: dict[str, list[str]] = {commit_of(context.root): []}
    for test, commit in commits(context).items():
        tests.setdefault(commit, []).append(test)
    return [(f"at commit {commit}", ", ".join(names)) for commit, names in tests.items() if names]


def commit_of(folder: Path) -> str:
    """The commit that a folder's working copy is at, and whether files are changed; else the program's version.

    What an earlier publication wrote over is no change.
    """
    try:
        commit, top, status = (
            subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True, check=True).stdout
            for command in (
                ("rev-parse", "--short=12", "HEAD"),
                ("rev-parse", "--show-toplevel"),
                ("status", "--porcelain", "--untracked-files=no", "--no-renames", "-z"),
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return f"dfmvr {__version__}, in no working copy"
    files = [Path(top.strip()) / entry[3:] for entry in status.split("\0") if entry]
    changed = [file for file in files if not any(manifest_of(parent, MAKER).exists() for parent in file.parents)]
    return commit.strip() + (" with changes" if changed else "")


def write_results(context: Context, made: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write what the check of the tables reads, small, and give `made` with the names that it has there.

    All scores are one file; of manifests the columns that are read, of trainings the steps of the last epoch, of
    registrations how they ended.
    """
    folder.mkdir(parents=True)
    scores = context.scores.drop(columns=JOINED)
    scores.to_parquet(folder / SCORES, compression="zstd", index=False)
    if context.benchmarks is not None:
        context.benchmarks.to_csv(folder / JOBS, index=False, lineterminator="\n")
    for name in made["datasets"]:
        views = pd.read_parquet(context.file("align", name, MANIFEST))
        target = _place(folder / "align" / name / MANIFEST)
        views[VIEW_COLUMNS].to_parquet(target, compression="zstd", index=False)
    for name, run in context.training.items():
        last = run.metrics[run.metrics["epoch"] == run.metrics["epoch"].max()]
        last.to_csv(_place(folder / "train" / name / "metrics.csv"), index=False, lineterminator="\n")
    for method, dataset in sorted(context.tests):
        parts = "register", method, f"{dataset}.npz"
        if (path := context.file(*parts)).exists():
            arrays = read_npz(path, "sample", "status", "converged", others=False)
            target = _place(folder.joinpath(*parts))
            write_npz(target, compress=True, **{name: np.asarray(array) for name, array in arrays.items()})
    told = ["parse/metrics.json", "face_model/summary.json"]
    told += [f"reconstruct/{OURS}/{dataset}/inference.json" for dataset in context.datasets]
    told += [f"score/{method}/real_scan.json" for method in context.methods]
    for name in told:
        if (path := context.file(name)).exists():
            shutil.copyfile(path, _place(folder / name))
    return made | {"scores": [SCORES], "commits": commits(context)}


def commits(context: Context) -> dict[str, str]:
    """At which commit each test was made, as <method>/<data set>."""
    made = dict.fromkeys(sorted(context.tests), commit_of(context.root))
    made |= context.earlier.commits if context.earlier else {}
    return {"/".join(test): commit for test, commit in made.items()}


def _place(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def check_size(folder: Path) -> int:
    """How many bytes a published study takes.

    Raises:
        OutputError: more than it may.
    """
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        raise OutputError(
            f"expected {MOST_BYTES / 1e6:.0f} MB for a published study at the most, found {size / 1e6:.1f}; lower "
            "report.panels, which says how many samples are shown"
        )
    return size


def copy_tables(source: Path, target: Path, made: dict[str, Any]) -> None:
    """Copy the CSV files of a folder of tables, with what they were made from."""
    target.mkdir(parents=True)
    for path in sorted(source.glob("*.csv")):
        shutil.copyfile(path, target / path.name)
    write_json(target / MADE, made)
