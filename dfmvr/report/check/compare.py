"""`dfmvr report --check`: compute every number of the tables anew and compare it with the files.

needs   <tables>/*.csv, <tables>/made.json   what `dfmvr report` has written
        the results that they were made from
gives   nothing; an error with the first differences where a number is another

It reads and computes by itself; shared is what the methods, the paper's tables and its claims are (`dfmvr.study`), and
the fit of a power law. Left out
are run times, since the files that they come from change with every run of the workflow, this stage's included, and
what is measured on meshes and photographs.
"""

from __future__ import annotations

import logging
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfmvr.errors import DataError
from dfmvr.report.check.paired import Rows, opened, read_plain
from dfmvr.report.check.recompute import Recomputed
from dfmvr.study.paper import COMPARISONS

log = logging.getLogger(__name__)

MADE = "made.json"
MADE_KEYS = ("bootstrap", "seed", "statistics", "scores", "trainings", "datasets", "loss_weights", "curves")
"""What the tables were made from: settings of the intervals, score files, trainings, data sets, weights of losses, and
the trainings that differ in their lengths alone."""

NOT_CHECKED = ("runtimes", "causes", "agreement")
"""First words of the names of tables that are left out."""

KEYS = {
    **{c.name: ("dataset", "left_yaw", "method") if c.by_yaw else ("dataset", "method") for c in COMPARISONS},
    "headlines": ("figure", "dataset"),
    "claims": ("table", "dataset", "left_yaw", "of", "better", "worse"),
    "learning_curve": ("dataset", "curve", "method"),
    "learning_curve_fit": ("dataset", "curve"),
    "best_view": ("dataset", "method", "rule"),
    "best_view_orders": ("dataset", "table", "better", "worse", "rule"),
    **dict.fromkeys(("regions", "correspondence"), ("dataset", "method")),
    **dict.fromkeys(("protocols", "rankings"), ("dataset", "protocol", "method")),
    **{"sensitivity": ("loss", "method"), "real_scan": ("protocol", "method"), "losses": ("method",)},
    **{"samples": ("dataset", "step"), "set_aside": ("dataset", "step", "sample")},
    **{"parser": ("images",), "population": ("measure",), "held_out": ("heads",)},
}
"""Columns that tell the rows of each table apart."""

TOLERANCE = 1e-9  # relative and absolute
OF_FITS = 1e-6
"""The same for the table of fitted laws, which rounding moves further: at a least sum of squares it hardly changes."""
SHOWN = 5


def check_tables(tables: Path, results: Path) -> None:
    """Compare every table in a folder with what the results give.

    Raises:
        DataError: a number is another, a row or table is missing or too much (the first are told), or a file is
            missing or unreadable.
    """
    made = opened(tables / MADE, read_plain)
    if missing := [key for key in MADE_KEYS if key not in made]:
        raise DataError(f"{tables / MADE}: expected {', '.join(MADE_KEYS)}, of which it lacks {', '.join(missing)}")
    expected = {name: rows for name, rows in Recomputed(results, made).tables.items() if rows}
    every = {path.stem: path for path in sorted(tables.glob("*.csv"))}
    found = {name: path for name, path in every.items() if name.partition("_")[0] not in NOT_CHECKED}
    lost = [name for name in expected if name not in found]
    problems = [f"{tables / name}.csv: no such table, but the results give it" for name in lost]
    compared = 0
    for path in found.values():
        count, differences = _compare(path, expected.get(path.stem, {}))
        compared, problems = compared + count, problems + differences
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise DataError(f"{'; '.join(problems[:SHOWN])}{more}; run `dfmvr report` again")
    log.info("%s: %d numbers in %d tables are those that %s gives", tables, compared, len(found), results)
    if left_out := sorted(set(every) - set(found)):
        log.info("not checked: %s", ", ".join(left_out))


def _compare(path: Path, expected: Rows) -> tuple[int, list[str]]:
    """Number of cells compared, and the differences of one table in words."""
    first = path.stem.partition("_")[0]
    keys = KEYS.get(first if first in ("losses", "sensitivity") else path.stem)
    if keys is None:
        return 0, [f"{path}: the results give no such table"]
    text = dict.fromkeys(keys, str)
    table = opened(path, partial(pd.read_csv, dtype=text, keep_default_na=False, na_values=[""])).fillna(
        dict.fromkeys(keys, "")
    )
    problems, compared, seen = [], 0, set()
    for row in table.to_dict("records"):
        key = tuple(row.pop(name, "") for name in keys)
        place = f"{path.name}, {' '.join(filter(None, key))}"
        if key in seen or key not in expected:
            problems.append(f"{place}: twice" if key in seen else f"{place}: a row that the results do not give")
            continue
        seen.add(key)
        for column, value in row.items():
            if column in expected[key] or isinstance(value, int | float):
                compared += 1
                wanted = expected[key].get(column, math.nan)
                if not _same(value, wanted, OF_FITS if path.stem == "learning_curve_fit" else TOLERANCE):
                    problems.append(f"{place}, {column}: expected {wanted}, found {value}")
    lost = [" ".join(filter(None, key)) for key in expected if key not in seen]
    return compared, problems + [f"{path.name}, {place}: no such row" for place in lost]


def _same(found: Any, wanted: Any, tolerance: float) -> bool:
    """Whether a cell is what it should be; an empty one stands for NaN and for no text."""
    if isinstance(wanted, str) or isinstance(found, str):
        return str(found) == str(wanted) or (found != found and wanted == "")
    return bool(np.isclose(found, wanted, tolerance, tolerance, equal_nan=True))
