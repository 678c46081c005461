"""Orders of methods: which of those that the paper reports are found here, and how they change with the protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from operator import sub
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau, rankdata

from dfmvr.report.context import Context
from dfmvr.report.tables.comparisons import (
    CORRESPONDENCE,
    Block,
    Compared,
    bootstrapped,
    bootstrapped_std,
    compared,
    ended,
    gap_closed,
)
from dfmvr.report.tables.errors import errors_of
from dfmvr.report.tables.seeds import seed_spread, with_seeds
from dfmvr.report.tables.statistics import Interval
from dfmvr.study.methods import FLOOR, MEAN_FACE
from dfmvr.study.paper import PROTOCOL, Claim, ClaimedOrder, Comparison

FOUND, CONTRADICTED, UNDECIDED, NOT_RUN = "found", "contradicted", "undecided", "not run"

DIFFERENCE, SAME_POINT = "difference_mm", "same_point_mm"
"""Better minus worse of what a claim is about, by closest points, and of the mean errors of corresponding points."""

KEYS = ["table", "dataset", "left_yaw", "of", "better", "worse"]
"""Columns that tell the orders apart."""

_CLAIM_COLUMNS = ["place", *KEYS[:2], "data", *KEYS[2:], "better_label", "worse_label", "paper_difference_mm"]
_CLAIM_COLUMNS += [
    "samples",
    "subjects",
    *ended(DIFFERENCE),
    "seeds_degrees",
    "seeds_mm",
    "decided_low",
    "decided_high",
]
_CLAIM_COLUMNS += ["verdict", "gap_better", "gap_worse", *ended(SAME_POINT), "people_needed"]


def verdict(difference: Interval | tuple[float, float, float]) -> str:
    """What the interval of (better - worse) says about the order: only one that excludes 0 decides."""
    _, low, high = difference
    return FOUND if high < 0 else CONTRADICTED if low > 0 else UNDECIDED


def verdict_of_all(verdicts: Iterable[str]) -> str:
    """What the verdicts on its orders come to for a claim: found if all are, contradicted if one is."""
    every = set(verdicts)
    if every <= {FOUND} or every <= {NOT_RUN}:
        return min(every, default=NOT_RUN)
    return CONTRADICTED if CONTRADICTED in every else UNDECIDED


@lru_cache(maxsize=1)
def tested_claims(context: Context) -> pd.DataFrame:
    """The claims of all tables of which any could be tested."""
    tables = [claims_frame(context, table) for table in compared(context)]
    tested = [claims for claims in tables if (claims["verdict"] != NOT_RUN).any()]
    return pd.concat(tested, ignore_index=True) if tested else pd.DataFrame()


def claims_frame(context: Context, table: Compared) -> pd.DataFrame:
    """One row an order that the paper's table or text reports: the paired difference of the errors here.

    Returns:
        Names of table, data and methods, what the order is `of`, and the paper's own difference. Samples, subjects, the
        difference (better - worse) with its interval over people; the degrees of freedom that the spread over seeds is
        known with, half the interval that seeds alone would give, and the interval of both, which the verdict rests
        on. Then what may tell why: the gap closed by both, the difference of corresponding points with its interval,
        and how many people would tell a difference as large as the paper's from none. An order of which a method was
        not run has no numbers.
    """
    rows = []
    for block in table.blocks:
        numbers = _Numbers(context, block)
        dataset = block.found.errors.dataset
        data = context.name(dataset)
        place = {"place": f"{table.comparison.title}, {data}", "data": data, "dataset": dataset}
        for claim in table.comparison.claims:
            for order in claim.orders:
                labels = order.told({method: row.label for method, row in table.comparison.rows.items()})
                row = place | {"table": claim.table, "left_yaw": block.yaw, "of": claim.of, **order._asdict()}
                row |= dict(zip(("better_label", "worse_label"), labels, strict=True)) | {"verdict": NOT_RUN}
                row["paper_difference_mm"] = paper_difference(table.comparison, claim, order, block.yaw)
                if set(order.weights) <= set(block.found.errors.table):
                    row |= numbers.of_order(claim.of, order, row["paper_difference_mm"])
                rows.append(row)
    return pd.DataFrame(rows, columns=_CLAIM_COLUMNS)


def paper_difference(comparison: Comparison, claim: Claim, order: ClaimedOrder, yaw: str = "") -> float:
    """The difference (better - worse) of the numbers that the paper prints, mm; NaN where it prints none."""
    column = yaw or claim.of
    return sum(w * comparison.rows[method].paper_number(column) for method, w in order.weights.items())


def weighted(weights: Mapping[str, int]) -> Callable[..., np.ndarray]:
    """The sum of methods' numbers, each as often as it counts."""
    return lambda *values: sum(w * value for w, value in zip(weights.values(), values, strict=True))


class _Numbers:
    """The numbers of the orders of one block."""

    def __init__(self, context: Context, block: Block) -> None:
        settings, errors = context.configuration.report, block.found.errors
        self.context, self.dataset, self.seeds = context, errors.dataset, errors.seeds
        self.found = {"mean": block.found, "std": bootstrapped_std(errors, settings)}
        scores = context.scores[context.scores["sample"].isin(errors.samples)]
        scores = scores[scores[CORRESPONDENCE].notna()] if CORRESPONDENCE in scores else scores.iloc[:0]
        same = (
            errors_of(scores, errors.dataset, statistic=CORRESPONDENCE, methods=list(errors.table))
            if len(scores)
            else None
        )
        self.same_point = None if same is None or same.table.empty else bootstrapped(same, settings)

    def of_order(self, of: str, order: ClaimedOrder, paper_mm: float) -> dict[str, Any]:
        """What `claims_frame` tells of an order."""
        found, weights = self.found[of], order.weights
        over_people = found.interval(weighted(weights), *weights)
        spread = seed_spread(self.context, self.dataset, of)
        half = spread.half_width(weights, self.seeds)
        decided = with_seeds(over_people, half)
        row = found.size | dict(zip(ended(DIFFERENCE), over_people, strict=True))
        row |= {"seeds_degrees": spread.degrees, "seeds_mm": half, "verdict": verdict(decided)}
        row |= {"decided_low": decided.low, "decided_high": decided.high}
        if order.plain:
            for side, method in order._asdict().items():
                row[f"gap_{side}"] = self.found["mean"].interval(gap_closed, method, MEAN_FACE, FLOOR).value
            if of == "mean" and self.same_point is not None:
                row |= self.same_point.cells(SAME_POINT, sub, *order)
        row["people_needed"] = people_needed(over_people, half, paper_mm, found.size["subjects"])
        return row


def people_needed(over_people: Interval, seeds_mm: float, difference_mm: float, people: int) -> float:
    """How many people would do for an interval that tells a difference from 0; NaN where seeds hide it.

    The part of the interval that is due to people falls with the root of their number, that due to seeds does not.
    """
    half = (over_people.high - over_people.low) / 2
    left = difference_mm**2 - seeds_mm**2
    return float(np.ceil(people * half**2 / left)) if left > 0 else float("nan")


def ranking_frame(by_protocol: pd.DataFrame, statistics: dict[str, str], reference: str = PROTOCOL) -> pd.DataFrame:
    """Rank of every method under every protocol by what the protocol calls its error; the floor has none.

    Args:
        by_protocol: what `comparisons.by_group` gives for `protocol`.
        statistics: protocol to `rmse_mm` or `mean_mm`.
        reference: the protocol that the others are compared with.
    Returns:
        dataset, protocol, statistic, method, error_mm, rank (1: smallest error), kendall_tau (of the methods' order
        under this protocol and under the reference; 1: the same, -1: reversed). Only methods that all protocols have.
    """
    rows = []
    for dataset, table in by_protocol[by_protocol["method"] != FLOOR].groupby("dataset", sort=False):
        errors = {
            protocol: part.set_index("method")[statistics[protocol]]
            for protocol, part in table.groupby("protocol", sort=False)
        }
        errors = pd.DataFrame(errors).dropna().reindex(dict.fromkeys(table["method"])).dropna()
        if len(errors) < 2 or reference not in errors or errors.shape[1] < 2:
            continue
        for protocol in errors:
            tau = float(kendalltau(errors[reference], errors[protocol]).statistic)
            ranks = rankdata(errors[protocol], method="min")
            place = {"dataset": dataset, "protocol": protocol, "statistic": statistics[protocol]}
            for method, error, rank in zip(errors.index, errors[protocol], ranks, strict=True):
                rows.append(place | {"method": method, "error_mm": error, "rank": int(rank), "kendall_tau": tau})
    columns = ["dataset", "protocol", "statistic", "method", "error_mm", "rank", "kendall_tau"]
    return pd.DataFrame(rows, columns=columns)


def count_verdicts(claims: pd.DataFrame) -> dict[str, int]:
    """Number of claims of each verdict."""
    return {kind: int((claims["verdict"] == kind).sum()) for kind in (FOUND, CONTRADICTED, UNDECIDED, NOT_RUN)}
