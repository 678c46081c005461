"""Orders of methods: which of those that the paper reports are found here, and how they change with the protocol."""

from __future__ import annotations

from functools import lru_cache
from operator import sub

import pandas as pd
from scipy.stats import kendalltau, rankdata

from dfmvr.report.context import Context
from dfmvr.report.tables.comparisons import Compared, compared, ended
from dfmvr.report.tables.statistics import Interval
from dfmvr.study.methods import FLOOR
from dfmvr.study.paper import PROTOCOL, Comparison

FOUND, CONTRADICTED, UNDECIDED, NOT_RUN = "found", "contradicted", "undecided", "not run"

_CLAIM_COLUMNS = ["place", "table", "data", "dataset", "left_yaw", "better", "worse", "better_label", "worse_label"]
_CLAIM_COLUMNS += ["paper_difference_mm", "samples", "subjects", *ended("difference_mm"), "verdict"]


def verdict(difference: Interval | tuple[float, float, float]) -> str:
    """What the interval of (better - worse) says about the order: only one that excludes 0 decides."""
    _, low, high = difference
    return FOUND if high < 0 else CONTRADICTED if low > 0 else UNDECIDED


@lru_cache(maxsize=1)
def tested_claims(context: Context) -> pd.DataFrame:
    """The claims of all tables of which any could be tested."""
    tables = [claims_frame(context, table) for table in compared(context)]
    tested = [claims for claims in tables if (claims["verdict"] != NOT_RUN).any()]
    return pd.concat(tested, ignore_index=True) if tested else pd.DataFrame()


def claims_frame(context: Context, table: Compared) -> pd.DataFrame:
    """One row a pair of methods whose order the paper's table reports: the paired difference of their errors here.

    Returns:
        Names of table, data and methods, the paper's own difference, samples, subjects, the difference (better - worse)
        with its interval, and the verdict; a pair of which a method was not run has no numbers.
    """
    comparison, rows = table.comparison, []
    for yaw, found in table.blocks:
        dataset, data = found.errors.dataset, context.name(found.errors.dataset)
        place = {"place": f"{comparison.title}, {data}", "table": comparison.name, "data": data, "dataset": dataset}
        for better, worse in comparison.claims:
            row = place | {"left_yaw": yaw, "better": better, "worse": worse}
            row |= {"better_label": comparison.rows[better].label, "worse_label": comparison.rows[worse].label}
            row |= {"paper_difference_mm": paper_difference(comparison, (better, worse), yaw), "verdict": NOT_RUN}
            if {better, worse} <= set(found.errors.table):
                row |= found.size | found.cells("difference_mm", sub, better, worse)
                row["verdict"] = verdict(found.interval(sub, better, worse))
            rows.append(row)
    return pd.DataFrame(rows, columns=_CLAIM_COLUMNS)


def paper_difference(comparison: Comparison, pair: tuple[str, str], yaw: str = "") -> float:
    """The difference (better - worse) of the means that the paper prints, mm."""
    better, worse = (comparison.rows[method].paper_mean(yaw) for method in pair)
    return better - worse


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
