"""What several rules need: the checked configuration, the code a stage runs, the data sets and methods of the study."""

import os
import shlex
import sys

from dfmvr import dependencies
from dfmvr.config import configuration
from dfmvr.datasets import layouts
from dfmvr.errors import ConfigError
from dfmvr.files import listing_of
from dfmvr.study.methods import read_key
from dfmvr.study.paper import COMPARISONS


pathvars:
    results="results",
    logs="logs",
    benchmarks="benchmarks/workflow",


try:
    study = configuration.validate(config, "the configuration")
    TRAINED_ON = study.trained_on()
except ConfigError as error:
    sys.exit(f"error: {error}")

layout_of = study.datasets.layout_of
ONE_TRAINED = "|".join(TRAINED_ON) or "none"
TESTED = [m for m, _ in study.tests_of() if m.training in TRAINED_ON]
FITTED = "|".join(m.key for m in TESTED if m.variant.fits) or "none"
ANSWERING = (
    "|".join(m.answers.key for m in TESTED) or "none"
)  # what is fitted must have been answered, whether it is tested or not
ONE_TESTED = f"{FITTED}|{ANSWERING}"


wildcard_constraints:
    dataset="(?!real_scan)[a-z0-9_]+",
    method="[a-z0-9_]+",


# So that the rules find `dfmvr` also where the environment was not activated.
shell.prefix(f"PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH; ")


def of_tests(pattern):
    """What gives `pattern` filled in for every test of the wildcard `page`."""
    return lambda wildcards: [
        part
        for method, dataset in study.tests_of(wildcards.page)
        for part in expand(pattern, method=method.key, dataset=dataset)
    ]


def of_trainings(pattern):
    """What gives `pattern` filled in for every training that the tests of the wildcard `page` need."""
    return lambda wildcards: expand(pattern, method=study.trained_on(wildcards.page))


def of_data(pattern):
    """What gives `pattern` filled in for every data set that the wildcard `page` is about."""
    return lambda wildcards: expand(pattern, dataset=study.data_of(wildcards.page))


def of_held_out(pattern):
    """What gives `pattern` filled in for every training that a page shows on people whose scans are not there."""
    return lambda wildcards: [
        part
        for name, dataset in study.shown_without_scans(wildcards.page).items()
        for part in expand(pattern, method=name, dataset=dataset)
    ]


def of_scanned(pattern):
    """What gives `pattern` filled in for every method that a page shows on the scan of a real person."""
    return lambda wildcards: expand(pattern, method=study.shown_on_scan(wildcards.page))


def data_of(dataset):
    """The folder of a data set: as it was delivered, or its stand-in."""
    return str(study.datasets.root_of(dataset) or f"<results>/simulate/{dataset}")


def checked(*names):
    """What tells that what the user supplied of these is fit for use; nothing for a stand-in."""
    needed = [n for n in names if study.supplied(n) or n == study.align.landmarks]
    return [f"<results>/fetch/{name}.json" for name in needed]


def code(*modules):
    """The files that these modules of dfmvr run on, so that a change of the code reruns what it made."""
    files = dependencies.files_reached(*(f"dfmvr.{module}" for module in modules))
    return [os.path.relpath(file) for file in files]


def reader_of(dataset):
    """The module that reads a data set of three views."""
    return f"datasets.{layout_of(dataset)}.dataset"
