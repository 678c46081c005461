"""What the figures of single samples show: which methods stand beside each other, on which samples.

In: the scores and the files behind `source.Source`. Out: one `Exhibit` a data set.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from dfmvr.config.data import DatasetsSection
from dfmvr.conventions import VIEWS
from dfmvr.report.figures.panels import Chosen, choose_samples
from dfmvr.report.figures.source import Source
from dfmvr.report.inputs import WHOLE
from dfmvr.report.sections.results import PROTOCOL, Report, protocol_settings
from dfmvr.study.methods import one_of_each_kind, ours_among, read_key


class Exhibit(NamedTuple):
    """A data set, the methods that its figures compare, and their errors."""

    dataset: str
    name: str  # in print
    source: Source
    errors: pd.DataFrame  # mm, one row a sample, one column a compared method
    subjects: pd.Series  # of each sample
    ours: str

    def rmse_mm(self, sample: str) -> dict[str, float]:
        """Errors of the compared methods on a sample."""
        return self.errors.loc[sample].to_dict()

    def chosen(self, count: int) -> list[Chosen]:
        """Samples over the whole range of DF-MVR's errors."""
        return choose_samples(self.errors[self.ours], count)

    def worst(self, count: int) -> list[Chosen]:
        """The samples with DF-MVR's largest errors, the worst first."""
        order = self.errors[self.ours].sort_index(kind="stable").sort_values(ascending=False, kind="stable")
        worst = order.head(count)
        return [Chosen(str(name), len(order) - i, len(order), value) for i, (name, value) in enumerate(worst.items())]


def errors_of_tests(scores: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """The errors of every test as it was run: one row a sample, one column a method, NaN where it was set aside."""
    rows = scores[
        (scores["dataset"] == dataset)
        & (scores["protocol"] == PROTOCOL)
        & (scores["region"] == WHOLE)
        & (scores["status"] == "ok")
    ]
    return rows.pivot_table(index="sample", columns="method", values="rmse_mm", aggfunc="first")


def compared_methods(errors: pd.DataFrame) -> list[str]:
    """The methods to be shown; of one that sees one view, the view with the smallest mean error, as the paper has it.

    Args:
        errors: what `errors_of_tests` gives.
    """
    shown = []
    for method in map(read_key, one_of_each_kind(list(errors.columns))):
        views = [key for view in VIEWS if (key := replace(method, view=view).key) in errors]
        shown.append(errors[views].dropna().mean().idxmin() if method.view else method.key)
    return shown


def source_of(report: Report, dataset: str, methods: list[str]) -> Source:
    """The files of a data set and of methods tested on it."""
    reading = DatasetsSection.model_validate(report.configuration.get("datasets", {}))
    return Source(report.study.root, dataset, methods, protocol_settings(report), reading)


def gather(report: Report) -> list[Exhibit]:
    """One exhibit for each data set that DF-MVR was scored on; none where the report shall have no panels."""
    found = []
    for dataset in report.study.datasets if report.settings.panels else []:
        errors = errors_of_tests(report.study.scores, dataset)
        methods = compared_methods(errors)
        ours = ours_among(methods)
        if ours is None:
            continue
        errors = errors[methods].dropna()
        subjects = report.study.scores.query("dataset == @dataset").drop_duplicates("sample").set_index("sample")
        source = source_of(report, dataset, methods)
        found.append(Exhibit(dataset, report.name(dataset), source, errors, subjects["subject"][errors.index], ours))
    return found
