"""What several rules need: the checked configuration, the code a stage runs, the data sets and methods of the study."""

import os
import shlex
import sys
from pathlib import Path

from dfmvr import datasets, dependencies
from dfmvr.config import configuration
from dfmvr.config.evaluation import TABLES, UNTRAINED
from dfmvr.config.names import split_view, trained_as
from dfmvr.errors import ConfigError


pathvars:
    results="results",
    logs="logs",
    benchmarks="benchmarks/workflow",


try:
    study = configuration.validate(config, "the configuration")
except ConfigError as error:
    sys.exit(f"error: {error}")


def with_seeds(methods):
    """Methods, each with all its seeds."""
    return [name for method in methods for name in study.study.repeated(method)]


TESTS = {dataset: with_seeds(methods) for dataset, methods in study.study.tests.items()}
if study.simulate.ict_facekit and "pixel_face" in TESTS:
    TESTS["pixel_face_ict"] = TESTS["pixel_face"]
METHODS = list(
    dict.fromkeys(method for methods in TESTS.values() for method in methods)
)
TESTED = [m for m in METHODS if m not in UNTRAINED]
TRAINED = list(dict.fromkeys(trained_as(method) for method in TESTED))

try:
    TRAINING_DATA = {method: study.variant(method).data for method in TRAINED}
except ConfigError as error:
    sys.exit(f"error: study.tests: {error}")
SCANNED = []
if study.simulate.real_scan:
    SCANNED = [m for m in METHODS if m != "floor" and not split_view(m)[1]]
ONE_TRAINED = "|".join(TRAINED) or "none"
ONE_TESTED = "|".join(TESTED) or "none"
DATASETS = list(dict.fromkeys([*TESTS, *TRAINING_DATA.values()]))


wildcard_constraints:
    dataset="(?!real_scan)[a-z0-9_]+",
    method="[a-z0-9_]+",


# So that the rules find `dfmvr` also where the environment was not activated.
shell.prefix(f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")


def tests_of(table):
    """Method and data set of every test of a table of the paper, or, for `report`, of the whole study."""
    if table == "report":
        return [(method, d) for d, methods in TESTS.items() for method in methods]
    wanted = TABLES[table]
    return [
        (method, dataset)
        for dataset, methods in wanted.items()
        for method in with_seeds(methods)
        if method in TESTS.get(dataset, ())
    ]


def of_tests(pattern):
    """What gives `pattern` filled in for every test of the wildcard `page`."""

    def files(wildcards):
        return [
            part
            for method, dataset in tests_of(wildcards.page)
            for part in expand(pattern, method=method, dataset=dataset)
        ]

    return files


def of_trainings(pattern):
    """What gives `pattern` filled in for every training that the tests of the wildcard `page` need."""

    def files(wildcards):
        trained = [trained_as(m) for m, _ in tests_of(wildcards.page) if m in TESTED]
        return expand(pattern, method=list(dict.fromkeys(trained)))

    return files


def of_data(pattern):
    """What gives `pattern` filled in for every data set that the wildcard `page` is about."""

    def files(wildcards):
        tests = tests_of(wildcards.page)
        names = [dataset for _, dataset in tests]
        names += [TRAINING_DATA[trained_as(m)] for m, _ in tests if m in TESTED]
        return expand(pattern, dataset=list(dict.fromkeys(names)))

    return files


def section(name):
    """A section of the configuration as one line of JSON, defaults filled in: a change of it reruns its stage only."""
    return study.section(name).as_json()


OF_ONE_DATASET = {
    "pixel_face": ["pixel_face"],
    "pixel_face_ict": ["pixel_face", "ict_facekit", "ict_test_subjects"],
    "multi_pie": ["multi_pie"],
    "bosphorus": ["bosphorus"],
    "celebamask_hq": ["celebamask_hq"],
    "real_scan": ["real_scan", "real_scan_mm_per_unit"],
}


def simulate_section(dataset):
    """The section `simulate` without the keys of other data sets, so that a new one does not make the old ones again."""
    keys = {key for of_one in OF_ONE_DATASET.values() for key in of_one}
    return study.simulate.as_json(exclude=keys - set(OF_ONE_DATASET[dataset]))


def layout_of(dataset):
    """The data set in whose layout `dataset` is."""
    return (
        "celebamask_hq" if dataset == "celebamask_hq" else datasets.layout_of(dataset)
    )


def reading(dataset):
    """How the files of a data set are to be read, as one line of JSON."""
    return getattr(study.datasets, layout_of(dataset)).as_json(exclude={"root"})


def data_of(dataset):
    """The folder of a data set: as it was delivered, or its stand-in."""
    own = getattr(study.datasets, dataset, None)
    return str(own.root) if own and own.root else f"<results>/simulate/{dataset}"


NAMED_DATA = [str(part.root) for _, part in study.datasets if part.root]
if study.face_model.folder:
    NAMED_DATA.append(str(study.face_model.folder))


def checked(dataset=None):
    """What tells that data that the user supplied are fit for use; nothing for a stand-in."""
    own = getattr(study.datasets, dataset, None) if dataset else study.face_model
    supplied = own and (own.root if dataset else own.folder)
    return "<results>/fetch/found.json" if supplied else []


def scans_of(wildcards):
    """The folder of the meshes of a data set's range images, where its scans are such."""
    return "<results>/mesh/bosphorus" if wildcards.dataset == "bosphorus" else []


def variant(wildcards):
    """The section `train` with the overrides of one variant, as one line of JSON."""
    return study.variant(wildcards.method).as_json()


def view_of(method):
    """The option that shows a network one view alone."""
    _, view = split_view(method)
    return f"--view {view}" if view else ""


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
    return f"datasets.{layout_of(dataset)}.dataset"


def maker_of(dataset):
    """The module that makes a stand-in."""
    return f"simulate.{layout_of(dataset)}"
