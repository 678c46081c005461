"""Errors of one variant after trainings of several lengths, and the power law through them."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dfmvr.report.context import Context
from dfmvr.report.tables.comparisons import GAP, Bootstrapped, bootstrapped, ended, gap_closed
from dfmvr.report.tables.errors import errors_of
from dfmvr.report.tables.power_law import LEAST_POINTS, Curve, fit_curve
from dfmvr.study.methods import FLOOR, MEAN_FACE, OVERRIDES, read_key

GAPS = (0.2, 0.4)
"""Parts of the gap between mean face and floor; the steps are told after which they would be closed."""

RESAMPLES = 2000
"""Fits of each curve, at the most."""

NO_MATTER = {"epochs", "seed", "checkpoint_minutes", "hours"}
"""Keys of `train` in which trainings of one curve may differ."""

POINTS = ["data", "dataset", "curve", "method", "steps", "samples", "subjects", "seeds", *ended("mean_mm"), *ended(GAP)]
FITS = ["data", "dataset", "curve", "points", "subjects", "factor_mm", *ended("floor_mm"), *ended("exponent")]
FITS += [end for share in GAPS for end in ended(f"steps_{100 * share:.0f}")]


class LearningCurve(NamedTuple):
    """Trainings of one variant on one data set, the shortest first."""

    dataset: str
    name: str
    steps: np.ndarray  # (P,)
    methods: list[str]
    found: Bootstrapped
    curve: Curve | None
    """None for fewer lengths than the law has unknowns, or without mean face and floor."""


def groups_of(context: Context) -> dict[str, dict[str, int]]:
    """The tested trainings that differ in their lengths alone: name of the curve to training to steps.

    What a training is, the configuration tells, and its steps its own record. A curve is called by the variant of the
    study that it is otherwise, or else by its shortest training. Only curves of two lengths and more are given.
    """
    groups: dict[str, dict[str, int]] = {}
    for name in context.training if context.configured else []:
        if name in context.methods and not read_key(name).seed:
            groups.setdefault(_otherwise(context, name), {})[name] = (
                int(context.training[name].metrics["step"].max()) + 1
            )
    known = {_otherwise(context, key): key for key in reversed(OVERRIDES)}
    found = {}
    for settings, trainings in groups.items():
        in_turn = dict(sorted(trainings.items(), key=lambda item: item[1]))
        if len(set(in_turn.values())) > 1:
            found[known.get(settings, next(iter(in_turn)))] = in_turn
    return found


def _otherwise(context: Context, name: str) -> str:
    """What a variant is trained by, but for its length."""
    return context.configuration.variant(name).as_json(exclude=NO_MATTER)


@lru_cache(maxsize=1)
def learning_curves(context: Context) -> list[LearningCurve]:
    """All curves that a study has."""
    settings, curves = context.configuration.report, []
    for name, trainings in groups_of(context).items():
        for dataset in context.datasets:
            errors = errors_of(context.scores, dataset, methods=[MEAN_FACE, FLOOR, *trainings])
            methods = [method for method in trainings if method in errors.table]
            steps = np.array([trainings[method] for method in methods])
            if len(set(steps)) > 1:
                found = bootstrapped(errors, settings)
                curves.append(LearningCurve(dataset, name, steps, methods, found, _fit(found, name, steps, methods)))
    return curves


def _fit(found: Bootstrapped, name: str, steps: np.ndarray, methods: list[str]) -> Curve | None:
    columns = list(found.errors.table)
    if len(set(steps)) < LEAST_POINTS or not {MEAN_FACE, FLOOR} <= set(columns) or found.resampled.subjects < 2:
        return None
    places, means = [columns.index(method) for method in methods], found.resampled.means
    replicates = found.resampled.replicates[:RESAMPLES, places]
    noise = np.random.default_rng(zlib.crc32(name.encode())).normal(size=replicates.shape)
    least = float(means[columns.index(FLOOR)])
    return fit_curve(steps, means[places], replicates, least, found.resampled.subjects, noise)


def points_frame(context: Context) -> pd.DataFrame:
    """One row a training: its steps, its error, and the part of the gap to the floor that it closes."""
    rows = []
    for curve in learning_curves(context):
        place = {"data": context.name(curve.dataset), "dataset": curve.dataset, "curve": curve.name}
        for method, steps in zip(curve.methods, curve.steps, strict=True):
            row = place | {"method": method, "steps": steps, "seeds": curve.found.errors.seeds[method]}
            row |= curve.found.size | curve.found.mean("mean_mm", method)
            rows.append(row | curve.found.cells(GAP, gap_closed, method, MEAN_FACE, FLOOR))
    return pd.DataFrame(rows, columns=POINTS)


def fits_frame(context: Context) -> pd.DataFrame:
    """One row a curve: the law, and the steps after which parts of the gap would be closed; infinity where never."""
    rows = []
    for one in learning_curves(context):
        if one.curve is None:
            continue
        row: dict[str, Any] = {"data": context.name(one.dataset), "dataset": one.dataset, "curve": one.name}
        row |= {"points": len(one.steps), "subjects": one.curve.subjects, "factor_mm": float(one.curve.law.factor)}
        for part, column in (("floor", "floor_mm"), ("exponent", "exponent")):
            row |= dict(zip(ended(column), one.curve.interval(part), strict=True))
        for share in GAPS:
            target, resampled = target_error(one.found, share)
            steps = one.curve.steps_to(target, resampled[:RESAMPLES])
            row |= dict(zip(ended(f"steps_{100 * share:.0f}"), steps, strict=True))
        rows.append(row)
    return pd.DataFrame(rows, columns=FITS)


def target_error(found: Bootstrapped, share: float) -> tuple[float, np.ndarray]:
    """The error, mm, at which a part of the gap between mean face and floor is closed, and its resamples (B,)."""
    places = [list(found.errors.table).index(method) for method in (MEAN_FACE, FLOOR)]
    means, replicates = found.resampled.means[places], found.resampled.replicates[:, places]
    weights = np.array([1 - share, share])
    return float(means @ weights), replicates @ weights
