"""`dfmvr report --check`: compute every number of the tables anew and compare it with the files.

needs   <tables>/*.csv, <tables>/made.json   what `dfmvr report` has written
        the results that they were made from
gives   nothing; an error with the first differences where a number is another

Left out are run times, since the files that they come from change with every run of the workflow, this stage's
included, and what is measured on meshes and photographs.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfmvr.config.evaluation import ReportSection
from dfmvr.config.training import LossSection
from dfmvr.datasets.manifest import read_manifest
from dfmvr.errors import DataError
from dfmvr.files import read_json, read_npz
from dfmvr.report.check.recompute import Rows, Scores
from dfmvr.report.check.recompute_tables import KEYS, Recomputed
from dfmvr.report.inputs import SCORE_COLUMNS, Study, read_table
from dfmvr.report.tables.table import plain
from dfmvr.study.methods import in_order, read_key

log = logging.getLogger(__name__)

MADE = "made.json"
"""What the tables were made from."""

SHOWN = 5
RELATIVE, ABSOLUTE = 1e-9, 1e-9
NOT_CHECKED = ("runtimes", "causes", "agreement")
"""First words of the names of tables that are left out."""

_KEYS = {
    **KEYS,
    "samples": ("dataset", "step"),
    "set_aside": ("dataset", "step", "sample"),
    "losses": ("method",),
    "parser": ("images",),
    "population": ("measure",),
    "held_out": ("heads",),
    "real_scan": ("protocol", "method"),
}


def made_from(
    study: Study, settings: ReportSection, statistics: dict[str, str], loss: dict[str, Any]
) -> dict[str, Any]:
    """What a check must know, as JSON: settings of the intervals, score files, trainings, data sets, loss weights.

    Args:
        statistics: protocol to the column of the scores that it calls its error.
        loss: `train.loss`, as far as it differs from the default.
    """
    weights = LossSection.model_validate(loss)
    inside = [path.relative_to(study.root) if path.is_relative_to(study.root) else path for path in study.files]
    return {
        "bootstrap": settings.bootstrap,
        "seed": settings.seed,
        "statistics": statistics,
        "scores": [path.as_posix() for path in inside],
        "trainings": {name: run.method for name, run in study.training.items()},
        "datasets": list(study.manifests),
        "loss_weights": {"photo": weights.photo, "mask": weights.mask},
    }


def check_tables(tables: Path, results: Path) -> None:
    """Compare every table in a folder with what the results give.

    Raises:
        DataError: a number is another, a row or table is missing or too much (the first are told), or a file is
            missing or unreadable.
    """
    made = _read_made(tables / MADE)
    files = [results / name for name in made["scores"]]
    scores = Scores(files, results)
    expected = Recomputed(scores, made).rows | _of_the_run(made, results, files)
    every = {path.stem: path for path in sorted(tables.glob("*.csv"))}
    found = {name: path for name, path in every.items() if name.partition("_")[0] not in NOT_CHECKED}
    problems = [
        f"{tables / name}.csv: no such table, but the results give it" for name in expected if name not in found
    ]
    compared = 0
    for name, path in found.items():
        count, differences = _compare(path, expected.get(name, {}))
        compared += count
        problems += differences
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise DataError(f"{'; '.join(problems[:SHOWN])}{more}; run `dfmvr report` again")
    log.info("%s: %d numbers in %d tables are those that %s gives", tables, compared, len(found), results)
    if left_out := sorted(set(every) - set(found)):
        log.info("not checked: %s", ", ".join(left_out))


def _read_made(path: Path) -> dict[str, Any]:
    made = read_json(path)
    keys = ("bootstrap", "seed", "statistics", "scores", "trainings", "datasets", "loss_weights")
    if not isinstance(made, dict) or (missing := [key for key in keys if key not in made]):
        found = ", ".join(missing) if isinstance(made, dict) else "all"
        raise DataError(f"{path}: expected {', '.join(keys)}, of which it lacks {found}; run `dfmvr report` again")
    return made


def _compare(path: Path, expected: Rows) -> tuple[int, list[str]]:
    """Number of cells compared, and the differences of one table in words."""
    kind = path.stem.partition("_")[0]
    keys = _KEYS.get(kind if kind in ("losses", "sensitivity") else path.stem)
    if keys is None:
        return 0, [f"{path}: the results give no such table"]
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(keys, str), keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        return 0, [f"{path}: not a readable table ({' '.join(str(error).split())})"]
    if missing := [key for key in keys if key not in table]:
        return 0, [f"{path}: expected the columns {', '.join(missing)}, found {', '.join(table)}"]
    table[list(keys)] = table[list(keys)].fillna("")
    problems, seen, compared = [], set(), 0
    for row in table.to_dict("records"):
        key = tuple(row[name] for name in keys)
        place = f"{path.name}, {' '.join(filter(None, key))}"
        if key in seen or key not in expected:
            problems.append(f"{place}: a row that the results do not give" if key not in seen else f"{place}: twice")
            continue
        seen.add(key)
        for column, value in row.items():
            if column not in keys and (column in expected[key] or isinstance(value, int | float)):
                compared += 1
                wanted = expected[key].get(column, math.nan)
                if not _same(value, wanted):
                    problems.append(f"{place}, {column}: expected {wanted}, found {value}")
    problems += [f"{path.name}, {' '.join(filter(None, key))}: no such row" for key in expected if key not in seen]
    return compared, problems


def _same(found: Any, wanted: Any) -> bool:
    """Whether a cell is what it should be; an empty one stands for NaN and for no text."""
    if isinstance(wanted, str) or isinstance(found, str):
        return str(found) == str(wanted) or (found != found and wanted == "")
    if math.isnan(wanted) or math.isnan(found):
        return math.isnan(wanted) and math.isnan(found)
    return math.isclose(found, wanted, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def _of_the_run(made: dict[str, Any], results: Path, scores: list[Path]) -> dict[str, Rows]:
    """The tables about the run itself, from the files of its stages."""
    tables: dict[str, Rows] = {"samples": {}, "set_aside": {}}
    for dataset in made["datasets"]:
        for step, row, aside in _steps(dataset, results, scores):
            tables["samples"][dataset, step] = row
            tables["set_aside"] |= {(dataset, step, sample): {"reason": why} for sample, why in aside.items()}
    for name, method in made["trainings"].items():
        table = "losses" if method == "df_mvr" else f"losses_{method}"
        tables.setdefault(table, {})[(name,)] = _losses(results / "train" / name / "metrics.csv")
    tables |= _of_the_models(results) | _of_the_scan(results, scores)
    return tables


def _steps(dataset: str, results: Path, scores: list[Path]) -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """Every step of a data set: its name, the counts, and the samples set aside with the reasons."""
    manifest = read_manifest(results / "align" / dataset / "manifest.parquet")
    failed = {row.sample: (row.split, row.reason) for row in manifest[::-1].itertuples() if row.status != "ok"}
    for split in manifest["split"].unique():
        samples = set(manifest.loc[manifest["split"] == split, "sample"])
        aside = {s: why for s, (of, why) in failed.items() if of == split}
        yield f"align, {split}", _count(len(samples), len(aside)), aside
    for path in scores:
        if path.stem == dataset:
            table = read_table(path, SCORE_COLUMNS, "score")
            table = table[(table["protocol"] == "paper") & (table["region"] == "all") & ~table["sample"].isin(failed)]
            aside = {row.sample: row.reason for row in table.itertuples() if row.status != "ok"}
            row = _count(len(table), len(aside)) | {"coverage": np.nanmean([*table["coverage"], np.nan])}
            registered = results / "register" / path.parent.name / path.name.replace(".parquet", ".npz")
            if registered.exists():
                arrays = read_npz(registered, "status", "converged", others=False)
                row["not_converged"] = int(np.sum((arrays["status"] == "ok") & ~arrays["converged"]))
            yield plain(f"score, {read_key(path.parent.name).name}"), row, aside


def _count(samples: int, aside: int) -> dict[str, Any]:
    return {"samples": samples, "kept": samples - aside, "set_aside": aside}


def _losses(path: Path) -> dict[str, Any]:
    """Mean of every column over the last epoch."""
    table = read_table(path, ["epoch"], "train")
    last = table[table["epoch"] == table["epoch"].iloc[-1]]
    means = {name: float(np.mean(last[name])) for name in last}
    return means | {"epochs": int(table["epoch"].iloc[-1]) + 1, "steps": len(table)}


def _of_the_models(results: Path) -> dict[str, Rows]:
    """Tables of the face parser and of the face model, where there are any."""
    tables: dict[str, Rows] = {}
    if (results / "parse" / "metrics.json").exists():
        parser = read_json(results / "parse" / "metrics.json")
        kinds = {"photographs": parser, "black background": parser.get("black_background")}
        tables["parser"] = {(kind,): dict(found) for kind, found in kinds.items() if found}
    if (results / "face_model" / "summary.json").exists():
        model = read_json(results / "face_model" / "summary.json")
        measures, heads = model.get("population_mm") or {}, model.get("held_out_rms_mm") or {}
        tables["population"] = {(k,): {"mean_mm": mean, "std_mm": std} for k, (mean, std) in measures.items()}
        tables["held_out"] = {(name,): dict(found) for name, found in heads.items()}
    return {name: rows for name, rows in tables.items() if rows}


def _of_the_scan(results: Path, scores: list[Path]) -> dict[str, Rows]:
    """The table of the scan of a real person, where there is one."""
    rows: Rows = {}
    for method in in_order({path.parent.name for path in scores}):
        path = results / "score" / method / "real_scan.json"
        if path.exists():
            rows |= {(protocol, method): dict(found) for protocol, found in read_json(path)["protocols"].items()}
    return {"real_scan": rows} if rows else {}
