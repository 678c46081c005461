"""The paper's claims and what the best of three views is worth, once more; see `dfmvr.report.check.compare`."""

from __future__ import annotations

import math

import pandas as pd
from scipy.stats import t

from dfmvr.conventions import VIEWS
from dfmvr.report.check.paired import Paired, Row, Rows
from dfmvr.study.methods import TestedMethod, Variant, in_order, read_key
from dfmvr.study.paper import ClaimedOrder, Comparison

RULES = {"best": "_best", "mean": "_mean", "front": "_from_front"}
"""What is made of three answers, by the end of the method's key."""


class ClaimCheck:
    """What is claimed of the errors of some data sets."""

    def __init__(self, whole: dict[str, pd.DataFrame], made: Row) -> None:
        """Take the scores of the whole face by data set, and what made.json holds."""
        self.whole, self.made = whole, made
        self._spreads: dict[tuple[str, str], tuple[float, int]] = {}

    def of_table(self, comparison: Comparison, yaw: str, paired: Paired, gaps: dict[str, float]) -> Rows:
        """The orders that are claimed, on one data set and at one yaw; `gaps`: part of the gap that each closes."""
        same, claims = self._same_point(paired), {}
        for claim in comparison.claims:
            numbers = paired.of_std() if claim.of == "std" else paired
            for order in claim.orders:
                printed = {m: comparison.rows[m].printed.get(yaw or claim.of, math.nan) for m in order.weights}
                apart = sum(weight * printed[m] for m, weight in order.weights.items())
                row: Row = {"paper_difference_mm": apart, "verdict": "not run"}
                if set(order.weights) <= set(paired.errors):
                    row |= paired.size | self._decide(claim.of, order, numbers)
                    row |= self._people(row)
                    if order.plain:
                        row |= {"gap_better": gaps[order.better], "gap_worse": gaps[order.worse]}
                        told = same is not None and claim.of == "mean"
                        row |= _named("same_point_mm", same.contrast(order.weights)) if told else {}
                claims[comparison.name, paired.dataset, yaw, claim.of, *order] = row
        return claims

    def _same_point(self, paired: Paired) -> Paired | None:
        """Errors of corresponding points on the same samples."""
        scores = self.whole[paired.dataset]
        scores = scores[scores["sample"].isin(paired.every.index.get_level_values("sample"))]
        known = scores[scores["correspondence_mm"].notna()] if "correspondence_mm" in scores else scores.iloc[:0]
        same = Paired(known, self.made, "correspondence_mm", list(paired.errors)) if len(known) else None
        return same if same and len(same.errors) else None

    def _decide(self, of: str, order: ClaimedOrder, numbers: Paired) -> Row:
        """A difference over people, what seeds do to it, and the verdict on both."""
        value, low, high = numbers.contrast(order.weights)
        variance, degrees = self._seeds(numbers.dataset, of)
        trained = {m: weight for m, weight in order.weights.items() if read_key(m).variant.has_network}
        share = sum(weight**2 / numbers.of_method.loc[m, "seeds"] for m, weight in trained.items())
        half = t.ppf(0.975, degrees) * math.sqrt(variance * share) if degrees else 0.0
        low_end, high_end = value - math.hypot(value - low, half), value + math.hypot(high - value, half)
        row = _named("difference_mm", (value, low, high)) | {"seeds_degrees": degrees, "seeds_mm": half}
        row |= {"decided_low": low_end, "decided_high": high_end}
        return row | {"verdict": "found" if high_end < 0 else "contradicted" if low_end > 0 else "undecided"}

    @staticmethod
    def _people(row: Row) -> Row:
        """How many people would tell the paper's difference from 0."""
        half = (row["difference_mm_high"] - row["difference_mm_low"]) / 2
        left = row["paper_difference_mm"] ** 2 - row["seeds_mm"] ** 2
        return {"people_needed": math.ceil(row["subjects"] * half**2 / left)} if left > 0 and half >= 0 else {}

    def _seeds(self, dataset: str, of: str) -> tuple[float, int]:
        """Variance between the trainings of a method, over all methods of a data set, and its degrees of freedom."""
        if (dataset, of) not in self._spreads:
            every = Paired(self.whole[dataset], self.made).every
            numbers = every.std() if of == "std" else every.mean()
            of_network: dict[Variant, pd.Series] = {}
            for key in in_order(numbers.index.unique(0)) if len(every) else []:
                if len(numbers[key]) > 1:
                    of_network.setdefault(read_key(key).answers.variant, numbers[key])
            degrees = sum(len(rows) - 1 for rows in of_network.values())
            squares = sum(rows.var(ddof=0) * len(rows) for rows in of_network.values())
            self._spreads[dataset, of] = (squares / degrees if degrees else 0.0), degrees
        return self._spreads[dataset, of]

    def best_views(self, comparison: Comparison, own: Paired) -> tuple[Rows, Rows]:
        """What the best of three views is worth on one data set, and the orders with and without it."""
        variants = {row.method.variant for row in comparison.rows.values() if row.method.view in ("best", *VIEWS)}
        by_rule = self._by_rule(own, variants)
        known = {variant for variant in variants if (f"{variant.key}_best", 0) in by_rule}
        paired, worth, orders = own.beside(by_rule), {}, {}
        for variant in known:
            for rule, end in RULES.items():
                above = {} if rule == "best" else {variant.key + end: 1, f"{variant.key}_best": -1}
                row = own.size | _named("mean_mm", paired.contrast({variant.key + end: 1}))
                row |= _named("worth_mm", paired.contrast(above)) if above else {}
                worth[own.dataset, variant.key, rule] = row
        for order in (order for claim in comparison.claims if claim.of == "mean" for order in claim.orders):
            for rule, pair in _pairs(order, known).items():
                if set(pair) <= set(paired.errors):
                    orders[own.dataset, comparison.name, *order, rule] = self._decide("mean", pair, paired)
        return worth, orders

    def _by_rule(self, own: Paired, variants: set[Variant]) -> pd.DataFrame:
        """Errors by rule of what has answers to all three views, a column each: (method, seed)."""
        wide = self.whole[own.dataset]
        wide = wide.pivot_table(index=["subject", "sample"], columns="method", values="rmse_mm", aggfunc="first")
        wide, columns = wide.loc[own.every.index], {}
        for variant in variants:
            every = {m.seed: [TestedMethod(variant, m.seed, view).key for view in VIEWS] for m in map(read_key, wide)}
            every = {seed: views for seed, views in every.items() if set(views) <= set(wide)}
            if not wide[[view for views in every.values() for view in views]].isna().any(axis=None):
                for seed, views in every.items():
                    made = (wide[views].min(axis=1), wide[views].mean(axis=1), wide[views[1]])
                    columns |= {(variant.key + end, seed): one for end, one in zip(RULES.values(), made, strict=True)}
        return pd.DataFrame(columns, index=own.every.index)


def _pairs(order: ClaimedOrder, known: set[Variant]) -> dict[str, ClaimedOrder]:
    """An order by every rule in place of the best view, and with the best view for both sides."""
    if not any(side.endswith("_best") for side in order):
        return {}
    found = {
        rule: ClaimedOrder(*(side.removesuffix("_best") + end if side.endswith("_best") else side for side in order))
        for rule, end in RULES.items()
    }
    sides = [read_key(side) for side in order]
    if all(side.view and side.variant in known for side in sides):
        found["both"] = ClaimedOrder(*(f"{side.variant.key}_best" for side in sides))
    return found


def _named(name: str, value: tuple[float, float, float]) -> Row:
    return dict(zip((name, f"{name}_low", f"{name}_high"), value, strict=True))
