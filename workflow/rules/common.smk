"""What several rules need: the checked configuration, the code a stage runs, the data sets and methods of the study."""

import shlex
import sys
from pathlib import Path

from dfmvr import config as settings_of_dfmvr
from dfmvr.errors import ConfigError


pathvars:
    results="results",
    logs="logs",
    benchmarks="benchmarks/workflow",


try:
    study = settings_of_dfmvr.validate(config, "the configuration")
except ConfigError as error:
    sys.exit(f"error: {error}")

DATASETS = ["pixel_face"] + (["pixel_face_ict"] if study.simulate.ict_facekit else [])
METHODS = ["mean_face", *study.variants, "floor"]
SCANNED = ["mean_face", *study.variants] if study.simulate.real_scan else []


wildcard_constraints:
    dataset="(?!real_scan)[a-z_]+",
    method="[a-z0-9_]+",


# So that the rules find `dfmvr` also where the environment was not activated.
shell.prefix(f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")


def section(name):
    """A section of the configuration as one line of JSON, defaults filled in: a change of it reruns its stage only."""
    return settings_of_dfmvr.as_json(study.section(name))


OF_ONE_DATASET = {
    "pixel_face": ["pixel_face"],
    "pixel_face_ict": ["pixel_face", "ict_facekit", "ict_test_subjects"],
    "celebamask_hq": ["celebamask_hq"],
    "real_scan": ["real_scan", "real_scan_mm_per_unit"],
}


def simulate_section(dataset):
    """The section `simulate` without the keys of other data sets, so that a new one does not make the old ones again."""
    keys = {key for of_one in OF_ONE_DATASET.values() for key in of_one}
    return settings_of_dfmvr.as_json(
        study.simulate, exclude=keys - set(OF_ONE_DATASET[dataset])
    )


def variant(wildcards):
    """The section `train` with the overrides of one variant, as one line of JSON."""
    return settings_of_dfmvr.as_json(study.variant(wildcards.method))


def code(*modules):
    """The files of these modules or folders of dfmvr, so that a change of the code reruns what it made."""
    paths = []
    for module in modules:
        path = Path("dfmvr") / module
        paths += (
            sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        )
    return [str(path) for path in paths]
