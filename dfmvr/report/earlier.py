"""`dfmvr report --earlier`: what a published study has of tests that a results folder has not.

A night's trainings may be made on several machines, of which each has its own only; a published study keeps the scores
of all tests and what the jobs have cost, and names the commit that each test was made at.

needs   <folder>/results/, <folder>/tables/made.json   see `dfmvr.report.publish`
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from dfmvr.errors import DataError
from dfmvr.files import read_json
from dfmvr.report.check.compare import MADE

SCORES = "scores.parquet"
"""All scores of a published study, below its results."""

JOBS = "jobs.csv"
"""What the jobs of a published study have cost, below its results, as `dfmvr.report.context.read_benchmarks` has it."""

TEST = ["method", "dataset"]
"""Columns that tell the tests apart."""

SAME_MM = 0.01
"""By how much the mean error of a test may differ between two machines, which round otherwise."""


class Earlier(NamedTuple):
    """The tests of a published study that count."""

    root: Path
    """Its results."""
    scores: pd.DataFrame
    """Of the tests that are not here."""
    commits: dict[tuple[str, str], str]
    """Each of these tests to the commit that it was made at."""


def tests_in(scores: pd.DataFrame) -> set[tuple[str, str]]:
    """Method and data set of every test that has scores."""
    return set(scores[TEST].itertuples(index=False, name=None))


def take_earlier(folder: Path, scores: pd.DataFrame, here: pd.DataFrame) -> Earlier:
    """Take the tests of a published study that a results folder has not.

    Args:
        folder: of the published study.
        scores: all of its scores.
        here: those of the results folder.
    Raises:
        DataError: what the tables were made from is not told, or the two are not of one study: no test is in both on a
            data set, other samples were tested, or a test that both have has other errors.
    """
    _check_one_study(folder / "results" / SCORES, scores, here)
    told = read_json(folder / "tables" / MADE).get("commits", {})
    new = tests_in(scores) - tests_in(here)
    kept = scores[pd.MultiIndex.from_frame(scores[TEST]).isin(new)]
    return Earlier(folder / "results", kept, {test: told.get("/".join(test), "not known") for test in new})


def _check_one_study(path: Path, earlier: pd.DataFrame, here: pd.DataFrame) -> None:
    """Refuse what was measured on other data."""
    for dataset in sorted(set(earlier["dataset"]) & set(here["dataset"])):
        tests = [frame[frame["dataset"] == dataset] for frame in (earlier, here)]
        both = sorted(set(tests[0]["method"]) & set(tests[1]["method"]))
        if not both:
            raise DataError(
                f"{path}: expected a test on {dataset} that the results have too, such as mean_face, to tell that both "
                "are of the same data, found none; score one"
            )
        for method in both:
            keys = ["sample", "protocol", "region"]
            first, second = (test[test["method"] == method].set_index(keys)["rmse_mm"].sort_index() for test in tests)
            if not first.index.equals(second.index):
                raise DataError(f"{path}: {method} on {dataset}: other samples than in the results; publish it alone")
            differ = float(np.abs((first - second).groupby(["protocol", "region"]).mean()).max())
            if not differ <= SAME_MM:
                raise DataError(
                    f"{path}: {method} on {dataset}: mean errors differ by {differ:.3f} mm from those of the results, "
                    f"more than the {SAME_MM} mm of rounding; the data or the training was another, publish it alone"
                )
