"""What several rules need: the checked configuration, the code a stage runs, the data sets and methods of the study."""

import os
import shlex
import sys
from pathlib import Path

from dfmvr import datasets, dependencies
from dfmvr.config import configuration
from dfmvr.errors import ConfigError
from dfmvr.study.methods import FLOOR, read_key
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

TESTED_ON = list(dict.fromkeys(dataset for _, dataset in study.tests_of()))
DATASETS = list(dict.fromkeys([*TESTED_ON, *TRAINED_ON.values()]))
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
    """What gives `pattern` filled in for every method that the page `report` shows on the scan of a real person."""
    shown = [m.key for m, _ in study.tests_of() if m.key != FLOOR and not m.view]
    if not study.simulate.real_scan:
        shown = []
    return lambda wildcards: (
        expand(pattern, method=list(dict.fromkeys(shown)))
        if wildcards.page == "report"
        else []
    )


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
