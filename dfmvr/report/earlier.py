"""`dfmvr report --earlier`: what a published study has of tests that a results folder has not.

A night's trainings may be made on several machines, of which each has its own only; a published study keeps the scores
of all tests, and names the commit that each was made at.

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
    commits: dict[str, str]
    """Test, as <method>/<data set>, to the commit that it was made at."""

    @property
    def tests(self) -> set[tuple[str, str]]:
        """Their methods and data sets."""
        return set(self.scores[TEST].itertuples(index=False, name=None))

    def file(self, *parts: str) -> Path:
        """One of its files."""
        return self.root.joinpath(*parts)


def read_earlier(folder: Path, here: pd.DataFrame) -> Earlier:
    """Read the tests of a published study that a results folder has not.

    Args:
        folder: of the published study.
        here: the scores of the results folder.
    Raises:
        DataError: a file is missing or malformed, or the two are not of one study: no test is in both on a data set,
            other samples were tested, or a test that both have has other errors.
    """
    path = folder / "results" / SCORES
    try:
        scores = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: not the scores of a published study ({reason}); see `dfmvr report --publish`"
        ) from error
    if missing := [name for name in here.columns if name not in scores.columns]:
        raise DataError(f"{path}: expected the columns {', '.join(missing)} too; publish it by this version")
    _check_one_study(path, scores, here)
    known = pd.MultiIndex.from_frame(here[TEST])
    new = scores[~pd.MultiIndex.from_frame(scores[TEST]).isin(known)]
    made = read_json(folder / "tables" / MADE)
    return Earlier(folder / "results", new[list(here.columns)], dict(made.get("commits", {})))


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
