"""What it is worth to choose the best of three answers, each to one view, for which one must know the scan.

The paper takes of each sample the best of the three answers of Shang et al. Beside it stand rules that need no scan:
the front view alone, and the mean error of the three, which is what a view drawn at random gives in the mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import sub
from typing import Any

import pandas as pd

from dfmvr.conventions import VIEWS
from dfmvr.report.context import Context
from dfmvr.report.tables.comparisons import Block, Bootstrapped, Compared, bootstrapped, compared, ended
from dfmvr.report.tables.errors import side_by_side
from dfmvr.report.tables.orders import verdict
from dfmvr.report.tables.seeds import seed_spread, with_seeds
from dfmvr.study.methods import BEST, MEAN, TestedMethod, Variant, read_key
from dfmvr.study.paper import ClaimedOrder

FRONT, BOTH = "front", "both"
"""The front view alone; or the best view for both sides of an order."""

RULES = (BEST, MEAN, FRONT)
WORTH = "worth_mm"
"""What a rule costs against the best view."""


def worth_frame(context: Context) -> pd.DataFrame:
    """Errors by rule of everything that was asked about each view alone, in the first table that it stands in.

    Returns:
        data, dataset, method (its variant), rule, samples, subjects, the mean error with its interval, and by how much
        it lies above that of the best view, with its interval.
    """
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _, block, found, variants in _blocks(context):
        place = {"data": context.name(block.found.errors.dataset), "dataset": block.found.errors.dataset}
        for variant in variants:
            keys = [TestedMethod(variant, view=rule).key for rule in RULES]
            own = [place | {"method": variant.key, "rule": rule} | found.size for rule in RULES]
            for row, key in zip(own, keys, strict=True):
                row |= found.mean("mean_mm", key) | (found.cells(WORTH, sub, key, keys[0]) if key != keys[0] else {})
            rows.setdefault((place["dataset"], variant.key), own)
    columns = ["data", "dataset", "method", "rule", "samples", "subjects", *ended("mean_mm"), *ended(WORTH)]
    return pd.DataFrame([row for own in rows.values() for row in own], columns=columns)


def orders_frame(context: Context) -> pd.DataFrame:
    """Every order of means with a method that has its best view, by every rule, and with the best view for both.

    Returns:
        data, dataset, table, better, worse, rule, difference (better - worse) with its interval over people, the
        interval that counts seeds too, and the verdict.
    """
    rows = []
    for table, block, found, variants in _blocks(context):
        errors = block.found.errors
        place = {"data": context.name(errors.dataset), "dataset": errors.dataset, "table": table.comparison.name}
        spread = seed_spread(context, errors.dataset, "mean")
        orders = [o for claim in table.comparison.claims if claim.of == "mean" for o in claim.orders if o.plain]
        for order in orders:
            for rule, pair in _by_rule(order, variants):
                if not set(pair) <= set(found.errors.table):
                    continue
                over_people = found.interval(sub, *pair)
                both = with_seeds(over_people, spread.half_width(ClaimedOrder(*pair).weights, found.errors.seeds))
                row = place | order._asdict() | {"rule": rule, "verdict": verdict(both)}
                row |= dict(zip(ended("difference_mm"), over_people, strict=True))
                rows.append(row | {"decided_low": both.low, "decided_high": both.high})
    columns = ["data", "dataset", "table", "better", "worse", "rule", *ended("difference_mm")]
    return pd.DataFrame(rows, columns=[*columns, "decided_low", "decided_high", "verdict"])


def _by_rule(order: ClaimedOrder, variants: list[Variant]) -> Iterator[tuple[str, tuple[str, str]]]:
    """The sides of an order with another rule in place of the best view, which one of them has."""
    sides = [read_key(side) for side in order]
    if not any(side.view == BEST for side in sides):
        return
    for rule in RULES:
        yield rule, tuple(TestedMethod(s.variant, view=rule).key if s.view == BEST else s.key for s in sides)
    if all(side.view and side.variant in variants for side in sides):
        yield BOTH, tuple(TestedMethod(side.variant, view=BEST).key for side in sides)


def _blocks(context: Context) -> Iterator[tuple[Compared, Block, Bootstrapped, list[Variant]]]:
    """The tables without columns of yaws: each block with the errors by all rules beside its own, and of what."""
    for table in compared(context):
        views = {
            row.method.variant: None for row in table.comparison.rows.values() if row.method.view in (BEST, *VIEWS)
        }
        for block in table.blocks if not table.comparison.by_yaw else []:
            errors, settings = block.found.errors, context.configuration.report
            wide = side_by_side(context.scores, errors.dataset).loc[errors.table.index]
            columns, seeds = {}, {}
            for variant in views:
                trainings = sorted({read_key(test).seed for test in wide})
                every = [wide[tests] for seed in trainings if set(tests := _views(variant, seed)) <= set(wide)]
                if not every or any(own.isna().any(axis=None) for own in every):
                    continue
                for rule, of_seed in (
                    (BEST, [own.min(axis=1) for own in every]),
                    (MEAN, [own.mean(axis=1) for own in every]),
                    (FRONT, [own.iloc[:, VIEWS.index(FRONT)] for own in every]),
                ):
                    key = TestedMethod(variant, view=rule).key
                    columns[key], seeds[key] = sum(of_seed) / len(every), len(every)
            if columns:
                shown = errors._replace(table=errors.table.assign(**columns), seeds=errors.seeds | seeds)
                variants = [v for v in views if TestedMethod(v, view=BEST).key in columns]
                yield table, block, bootstrapped(shown, settings), variants


def _views(variant: Variant, seed: int) -> list[str]:
    """The tests of the three views alone."""
    return [TestedMethod(variant, seed, view).key for view in VIEWS]
