"""What the figures of single samples show: which methods stand beside each other, on which samples."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from dfmvr.conventions import VIEWS
from dfmvr.datasets.manifest import varied_yaws
from dfmvr.report.context import Context
from dfmvr.report.source import SampleSource, Shapes
from dfmvr.report.tables.errors import one_training_each, side_by_side
from dfmvr.report.tables.table import number
from dfmvr.study.methods import one_of_each_kind, ours_among, read_key

MOST_ROWS = 3
"""Samples in a picture, at the most."""


class Chosen(NamedTuple):
    """A sample for a picture."""

    sample: str
    rank: int  # 1 = smallest error
    of: int
    error_mm: float


class Exhibit(NamedTuple):
    """A data set, the methods that its figures compare, and their errors."""

    dataset: str
    name: str  # in print
    source: SampleSource
    errors: pd.DataFrame  # mm, one row a sample, one column a compared method
    subjects: pd.Series  # of each sample
    ours: str
    manifest: pd.DataFrame
    most: int  # samples in a picture that shows one a row

    @property
    def methods(self) -> list[str]:
        """The compared methods."""
        return list(self.errors.columns)

    def shapes(self, sample: str) -> Shapes:
        """The scan of a sample and the registered meshes of the compared methods."""
        return self.source.shapes(sample, self.methods)

    def rmse_mm(self, sample: str) -> dict[str, float]:
        """Errors of the compared methods on a sample."""
        return self.errors.loc[sample].to_dict()

    def place(self, sample: str) -> str:
        """What a sample is called in a caption."""
        return f"{self.name}, sample {sample}"

    def chosen(self, count: int) -> list[Chosen]:
        """Samples over the whole range of DF-MVR's errors."""
        return choose_samples(self.errors[self.ours], count)

    @property
    def samples(self) -> list[str]:
        """The samples that a picture with a row a sample shows."""
        return [one.sample for one in self.chosen(self.most)]

    def worst(self, count: int) -> list[Chosen]:
        """The samples with DF-MVR's largest errors, the worst first."""
        order = self.errors[self.ours].sort_index(kind="stable").sort_values(ascending=False, kind="stable")
        worst = order.head(count)
        return [Chosen(str(name), len(order) - i, len(order), value) for i, (name, value) in enumerate(worst.items())]

    @property
    def varied_yaws(self) -> pd.Series:
        """Nominal yaw of the side view that varies by sample, degrees, where it is known."""
        return varied_yaws(self.manifest).reindex(self.errors.index).dropna()

    def told(self, column: str) -> pd.Series:
        """What the manifest tells of each sample in a column."""
        return self.manifest.drop_duplicates("sample").set_index("sample")[column].reindex(self.errors.index)


def choose_samples(errors: pd.Series, count: int) -> list[Chosen]:
    """Choose samples over the whole range of errors: median, worst, best, then the quarters between, and so on.

    Args:
        errors: by sample.
        count: how many; fewer if there are fewer.
    Returns:
        The chosen ones from the smallest error to the largest.
    """
    order = errors.sort_index(kind="stable").sort_values(kind="stable")
    shares = [0.5, 1.0, 0.0]
    step = 0.25
    while len(shares) < count:
        shares += [s for s in np.arange(step, 1, 2 * step)][::-1]
        step /= 2
    places: list[int] = []
    for share in shares + list(np.linspace(0, 1, len(order))):
        place = round(share * (len(order) - 1))
        if place not in places and len(places) < min(count, len(order)):
            places.append(place)
    return [Chosen(str(order.index[i]), i + 1, len(order), float(order.iloc[i])) for i in sorted(places)]


def angle(yaw_deg: float) -> str:
    """An angle to the left or right in print, without its sign."""
    return f"{number(abs(yaw_deg), 0)}°"


def tests_on(context: Context, dataset: str) -> pd.DataFrame:
    """The errors of every test as it was run: one row a sample, one column a method, NaN where it was set aside.

    A test of an earlier study, which has scores alone, is left out unless its meshes are here: it cannot be shown.
    """
    errors = side_by_side(context.scores, dataset).droplevel("subject").sort_index()
    before = () if context.earlier is None else context.earlier.commits
    meshes = {method: context.root / "reconstruct" / method / dataset / "meshes" for method in errors}
    return errors[[method for method in errors if (method, dataset) not in before or meshes[method].is_dir()]]


def compared_methods(errors: pd.DataFrame) -> list[str]:
    """The methods to be shown; of one that sees one view, the view with the smallest mean error, as the paper has it.

    Args:
        errors: what `tests_on` gives.
    """
    shown = []
    for method in map(read_key, one_of_each_kind(list(errors.columns))):
        views = [key for view in VIEWS if (key := replace(method, view=view).key) in errors]
        shown.append(errors[views].dropna().mean().idxmin() if method.view else method.key)
    return shown


def _exhibit(context: Context, dataset: str, errors: pd.DataFrame) -> Exhibit:
    subjects = context.scores[context.scores["dataset"] == dataset].drop_duplicates("sample").set_index("sample")
    subjects = subjects["subject"][errors.index]
    most = min(MOST_ROWS, context.configuration.report.panels)
    place = dataset, context.name(dataset), context.source(dataset)
    return Exhibit(*place, errors, subjects, ours_among(errors.columns), context.manifests[dataset], most)


@lru_cache(maxsize=1)
def exhibits(context: Context) -> list[Exhibit]:
    """One exhibit for each data set that DF-MVR was scored on; none where the report shall have no panels."""
    found = []
    for dataset in context.datasets if context.configuration.report.panels else []:
        errors = tests_on(context, dataset)
        methods = compared_methods(errors)
        if ours_among(methods):
            found.append(_exhibit(context, dataset, errors[methods].dropna()))
    return found


def whole_range(context: Context) -> list[Exhibit]:
    """The same of the samples that every method has; of one that sees one view, the front view alone is shown.

    Pictures cannot be averaged: of a method with several seeds the first is shown, under its own name.
    """
    found = []
    for dataset in context.datasets if context.configuration.report.panels else []:
        errors = tests_on(context, dataset)
        errors = errors[[key for key in one_training_each(context.methods) if key in errors]].dropna()
        methods = one_of_each_kind(list(errors.columns))
        if ours_among(methods):
            found.append(_exhibit(context, dataset, errors[methods]))
    return found
