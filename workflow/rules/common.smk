"""What several rules need: the checked configuration, the code a stage runs, the data sets and methods of the study."""

import os
import shlex
import sys
from pathlib import Path

from dfmvr import dependencies
from dfmvr.config import configuration
from dfmvr.datasets import layouts
from dfmvr.errors import ConfigError
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

ONE_TRAINED = "|".join(TRAINED_ON) or "none"
ONE_TESTED = (
    "|".join(m.key for m, _ in study.tests_of() if m.training in TRAINED_ON) or "none"
)


wildcard_constraints:
    dataset="(?!real_scan)[a-z0-9_]+",
    method="[a-z0-9_]+",


# So that the rules find `dfmvr` also where the environment was not activated.
shell.prefix(f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")


def of_tests(pattern):
    """What gives `pattern` filled in for every test of the wildcard `page`."""
    return lambda wildcards: [
        part
        for method, dataset in study.tests_of(wildcards.page)
        for part in expand(pattern, method=method.key, dataset=dataset)
    ]


def of_trainings(pattern):
    """What gives `pattern` filled in for every training that the tests of the wildcard `page` need."""
    return lambda wildcards: expand(
        pattern, method=list(study.trained_on(wildcards.page))
    )


def of_data(pattern):
    """What gives `pattern` filled in for every data set that the wildcard `page` is about."""

    def files(wildcards):
        tested = [dataset for _, dataset in study.tests_of(wildcards.page)]
        trained_on = study.trained_on(wildcards.page).values()
        return expand(pattern, dataset=list(dict.fromkeys([*tested, *trained_on])))

    return files


def of_scanned(pattern):
    """What gives `pattern` filled in for every method that a page shows on the scan of a real person."""
    return lambda wildcards: expand(pattern, method=study.shown_on_scan(wildcards.page))


def data_of(dataset):
    """The folder of a data set: as it was delivered, or its stand-in."""
    return str(study.datasets.root_of(dataset) or f"<results>/simulate/{dataset}")


def checked(supplied):
    """What tells that data that the user supplied are fit for use; nothing for a stand-in."""
    return "<results>/fetch/found.json" if supplied else []


def landmarks_101_of(wildcards):
    """The 101 landmarks of a data set's scans, where it has them."""
    known = study.datasets.layout_of(wildcards.dataset) in layouts.LANDMARKED
    return f"<results>/mesh/{wildcards.dataset}/landmarks_101.npz" if known else []


def mesh_of(dataset, aligned):
    """The option that says where the scans of a data set are, or will be: the manifest names them without a look."""
    scanned = study.datasets.layout_of(dataset) in layouts.SCANNED
    return f"--mesh {Path(aligned).parents[1] / 'mesh' / dataset}" if scanned else ""


def processes(gpus):
    """The program, started once a GPU."""
    if gpus < 2:
        return "dfmvr"
    return f"torchrun --standalone --nproc-per-node {gpus} -m dfmvr"


def code(*modules):
    """The files that these modules of dfmvr run on, so that a change of the code reruns what it made."""
    files = dependencies.files_reached(*(f"dfmvr.{module}" for module in modules))
    return [os.path.relpath(file) for file in files]


def reader_of(dataset):
    """The module that reads a data set of three views."""
    return f"datasets.{study.datasets.layout_of(dataset)}.dataset"
