"""Why an order may not be found here: what the scores tell of it, in words. Nothing is said that is not computed."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from dfmvr.report.captions import caption
from dfmvr.report.tables.best_view import WORTH
from dfmvr.report.tables.comparisons import ended
from dfmvr.report.tables.orders import DIFFERENCE, FOUND, SAME_POINT, UNDECIDED, verdict
from dfmvr.report.tables.table import interval, number, percent, signed
from dfmvr.study.methods import BEST, MEAN, read_key

LEARNT = 0.2
"""ASSUME: what closes less of the gap between the mean face and the floor has not learnt enough to be ranked."""


def reasons(row: pd.Series, worth: pd.DataFrame, by_rule: pd.DataFrame) -> list[str]:
    """Sentences about an order that is not found; none about one that is.

    Args:
        row: of what `orders.claims_frame` gives.
        worth, by_rule: what `best_view.worth_frame` and `best_view.orders_frame` give.
    """
    if row["verdict"] == FOUND or pd.isna(row[DIFFERENCE]):
        return []
    return [*_learnt(row), *_seeds(row), *_people(row), *_best_view(row, worth, by_rule), *_same_point(row)] or [
        caption("reason_none")
    ]


def _learnt(row: pd.Series) -> Iterator[str]:
    gaps = row[["gap_better", "gap_worse"]].astype(float)
    if (gaps < LEARNT).all():
        yield caption("reason_neither", better=percent(gaps.iloc[0]), worse=percent(gaps.iloc[1]))


def _seeds(row: pd.Series) -> Iterator[str]:
    alone = verdict(tuple(row[ended(DIFFERENCE)]))
    if alone != row["verdict"]:
        yield caption("reason_seeds", verdict=alone, seeds=number(row["seeds_mm"]))


def _people(row: pd.Series) -> Iterator[str]:
    paper = row["paper_difference_mm"]
    if row["verdict"] != UNDECIDED or pd.isna(paper) or pd.isna(row["decided_low"]):
        return
    if not row["decided_low"] <= paper <= row["decided_high"]:
        yield caption("reason_excluded", paper=signed(paper))
    elif pd.isna(row["people_needed"]):
        yield caption("reason_seeds_hide")
    elif row["people_needed"] > row["subjects"]:
        facts = {"needed": number(row["people_needed"], 0), "subjects": number(row["subjects"], 0)}
        yield caption("reason_people", paper=signed(paper), **facts)


def _best_view(row: pd.Series, worth: pd.DataFrame, by_rule: pd.DataFrame) -> Iterator[str]:
    keys = ["dataset", "table", "better", "worse"]
    same = by_rule[(by_rule[keys] == row[keys]).all(axis=1) & (by_rule["rule"] == MEAN)]
    chosen = [side for side in map(read_key, row[["better", "worse"]]) if side.view == BEST]
    if row["of"] != "mean" or row["left_yaw"] or same.empty or not chosen:
        return
    of_rule = (worth["dataset"] == row["dataset"]) & (worth["method"] == chosen[0].variant.key)
    what = worth[of_rule & (worth["rule"] == MEAN)].iloc[0]
    without = same.iloc[0]
    yield caption(
        "reason_best_view",
        worth=number(what[WORTH]),
        ends=interval(what[ended(WORTH)]),
        method=chosen[0].variant.name,
        difference=signed(without[DIFFERENCE]),
        decided=interval(without[["decided_low", "decided_high"]], signed),
        verdict=without["verdict"],
    )


def _same_point(row: pd.Series) -> Iterator[str]:
    found = row[ended(SAME_POINT)]
    if pd.notna(found[SAME_POINT]) and (other := verdict(tuple(found))) not in (row["verdict"], UNDECIDED):
        yield caption(
            "reason_same_point", verdict=other, difference=signed(found.iloc[0]), ends=interval(found, signed)
        )
