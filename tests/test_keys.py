"""Every key of the configuration is felt by the rules that it is meant for, by no others, and read by their code."""

import ast
import json
import re
import shlex
import typing
from fnmatch import fnmatch
from functools import cache
from itertools import pairwise

import pytest
from workflow_jobs import ROOT, jobs_of

from dfmvr.config.configuration import Config
from dfmvr.config.data import DatasetsSection, SimulateSection
from dfmvr.datasets.layouts import MULTIVIEW

TESTS = {
    "pixel_face": ["mean_face", "dfmvr", "dfmvr_fitted", "dfmvr_released", "deng", "floor"],
    "bosphorus": ["shang_from_left", "dfmvr_multi_pie", "floor"],
}
STUDY = {
    "simulate": {"ict_facekit": "given", "real_scan": "given"},
    "study": {"tests": TESTS},
    "variants": {"dfmvr_released": {"released": {"lighting": 7.0}}},
}

PROTOCOL = {"crop": "face_sphere", "crop_radius_mm": 80.0, "with_scale": False, "statistic": "mean_point_to_surface"}
VALUES = {
    "datasets.pixel_face.split": "authors",
    "datasets.multi_pie.cameras": [["130", "051", "190"]],
    "datasets.bosphorus.left": ["YR_R10"],
    "simulate.jpeg_quality": [50, 60],
    "simulate.multi_pie.cameras": ["080", "051", "190"],
    "register.protocols": {"paper": PROTOCOL},
    "report.data_names": {"pixel_face": "x"},
    "variants": {"dfmvr": {"epochs": 3}},
    "study.tests": {"pixel_face": ["mean_face"]},
}
"""Other values of the keys for which there is no obvious one."""

ALONE = (
    *("face_model.source", "face_model.folder", "simulate.ict_facekit", "simulate.real_scan"),
    *(f"datasets.{name}.root" for name in DatasetsSection.model_fields),
    *("align.image_size", "train.method", "train.data", "train.gpus", "variants", "study.tests", "study.seeds"),
)
"""Keys that reach rules in other ways than in the JSON of a section, hence are changed one at a time."""


OF_NAMES = ("register.protocols", "report.data_names", "study.tests", "variants")
"""Keys whose values are dictionaries by names that a user gives."""

OF_WEIGHT_MAPS = ("feature_weight", "face_weight", "background_weight", "dilation_px", "released")
OF_FACES = ("identity", "expression", "albedo")
OF_SUMS = ("photo", "mask", "landmark", "landmark_2d", "regularisation")
READING = ("align_dataset", "normalise_scans")
BY_DATA = ("simulate_dataset", *READING)
MEANT = {
    "face_model": ["build_face_model"],
    **{f"face_model.{kind}_components": ["build_face_model", "draw_diagrams"] for kind in OF_FACES},
    "face_model.seed": ["build_face_model", "preview_face_model"],
    "face_model.source": ["build_face_model", "build_open_model", "import_face_model"],
    "face_model.folder": [],
    "datasets.pixel_face": [f"{rule} *pixel_face" for rule in (*READING, "fit_samples")],
    "datasets.pixel_face.root": [
        *(f"{rule} *pixel_face" for rule in (*BY_DATA, "fit_samples")),
        "check_data pixel_face",
    ],
    "datasets.multi_pie": ["align_dataset multi_pie"],
    "datasets.multi_pie.root": ["simulate_dataset multi_pie", "align_dataset multi_pie", "check_data multi_pie"],
    "datasets.bosphorus": ["align_dataset bosphorus", "normalise_scans bosphorus"],
    "datasets.bosphorus.root": [*(f"{rule} bosphorus" for rule in BY_DATA), "check_data bosphorus"],
    "datasets.celebamask_hq": [],
    "datasets.celebamask_hq.root": ["pretrain_parser", "simulate_dataset celebamask_hq", "check_data celebamask_hq"],
    "datasets.celebamask_hq.swap_sides": ["pretrain_parser"],
    "datasets.ict_facekit": [],
    "simulate": ["simulate_dataset *"],
    "simulate.jpeg_quality": ["simulate_dataset pixel_face*", "simulate_dataset celebamask_hq"],
    "simulate.annotation_noise_px": [f"simulate_dataset {name}*" for name in MULTIVIEW],
    "simulate.scan_spacing_mm": ["simulate_dataset pixel_face*"],
    "simulate.scan_noise_mm": ["simulate_dataset pixel_face*", "simulate_dataset bosphorus"],
    "simulate.pixel_face": ["simulate_dataset pixel_face*"],
    "simulate.multi_pie": ["simulate_dataset multi_pie"],
    "simulate.bosphorus": ["simulate_dataset bosphorus"],
    "simulate.celebamask_hq": ["simulate_dataset celebamask_hq"],
    "simulate.ict_facekit": ["simulate_dataset pixel_face_ict"],
    "simulate.ict_test_subjects": ["simulate_dataset pixel_face_ict"],
    "simulate.real_scan": ["photograph_real_scan"],
    "simulate.real_scan_mm_per_unit": ["photograph_real_scan"],
    "mesh": ["normalise_scans bosphorus"],
    "align": ["align_dataset *"],
    "align.image_size": ["align_dataset *", "pretrain_parser", "draw_diagrams"],
    "parse": ["pretrain_parser"],
    **{f"parse.{key}": ["pretrain_parser", "draw_diagrams"] for key in ("width", "output_stride")},
    **{f"parse.{key}": ["pretrain_parser", "parse_dataset *"] for key in OF_WEIGHT_MAPS},
    "train": ["train_variant *"],
    "train.data": [
        *("train_variant dfmvr", "train_variant dfmvr_released", "train_variant deng", "train_variant shang"),
        *("reconstruct_samples dfmvr multi_pie", "reconstruct_samples dfmvr_released multi_pie"),  # its people held out
    ],
    "train.method": [  # only DF-MVR's networks are for photographs of one's own
        *(f"{rule} dfmvr*" for rule in ("train_variant", "reconstruct_samples", "reconstruct_real_scan")),
        "score_real_scan dfmvr*",
        "draw_diagrams",
    ],
    "train.single_view_share": ["train_variant *", "draw_diagrams"],
    "train.landmark_share": ["train_variant dfmvr*", "train_variant shang"],  # deng has its own
    "train.hours": [],  # it asks for time, and changes nothing
    "train.network": ["train_variant dfmvr*", "draw_diagrams"],
    "train.loss": ["train_variant dfmvr*"],
    **{f"train.loss.{key}": ["train_variant dfmvr*", "draw_diagrams"] for key in OF_SUMS},
    # 0 in the one on other data
    "train.loss.landmark_3d": ["train_variant dfmvr", "train_variant dfmvr_released", "draw_diagrams"],
    "train.released": ["train_variant dfmvr_released"],
    **{f"train.released.{k}": ["train_variant dfmvr_released", "draw_diagrams"] for k in ("shared_lighting", "albedo")},
    "train.released.lighting": ["draw_diagrams"],  # dfmvr_released has its own
    "train.deng": ["train_variant deng"],
    "train.shang": ["train_variant shang"],
    "register": ["register_meshes *", "score_real_scan *"],
    "register.protocols": ["fit_floor *", "register_meshes *", "score_meshes *", "score_real_scan *"],
    "report": [],
    "study": ["*floor *", "*dfmvr*", "*deng*", "*shang*", "*bosphorus*", "*multi_pie*", "draw_diagrams"],
    "study.seeds": ["*_seed1*"],
    "variants": ["train_variant dfmvr", "draw_diagrams"],
}
"""The jobs that shall feel a key, by the longest beginning of its name; beside the report, which tells of all."""

UNREAD = {
    "draw_diagrams": {"study.tests", "variants"},  # the configuration reads them
    "train_variant": {"train.data", "train.gpus"},  # the rules read them
    "align_dataset": {"datasets.bosphorus.rows", "datasets.bosphorus.texture_y"},
}


def nested(key, value):
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def overlaid(base, over):
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict) and key != "tests"
        result[key] = overlaid(base[key], value) if both else value
    return result


def other_value(key, field):
    """A valid value of a key that is not its default."""
    default = field.get_default(call_default_factory=True)
    if key in VALUES:
        return VALUES[key]
    if isinstance(default, bool):
        return not default
    if typing.get_origin(field.annotation) is typing.Literal:
        return next(value for value in typing.get_args(field.annotation) if value != default)
    for value in (default + 1, default - 1, default / 2) if isinstance(default, int | float) else ("other", [1]):
        try:
            Config.model_validate(nested(key, value))
        except ValueError:
            continue
        if value != default:
            return value
    raise AssertionError(f"{key}: no other value")


def section_of(option, words, told):
    """The place in the configuration of what a command is told as JSON by an option."""
    if option == "--settings":
        stage = words[words.index("dfmvr") + 1]
        whole = stage == "fetch" or "diagrams" in words
        return "" if whole else {"score": "register."}.get(stage, f"{stage}.")
    return next(f"datasets.{name}." for name, part in DatasetsSection() if set(told) <= set(type(part).model_fields))


def flat(value, prefix):
    """A nested dict as keys and values; protocols are one key, and so are others that hold names."""
    if not isinstance(value, dict) or prefix[:-1] in OF_NAMES:
        return {prefix[:-1]: value}
    return {key: leaf for name, part in value.items() for key, leaf in flat(part, f"{prefix}{name}.").items()}


def told_to(job):
    """What a job's command is told of the configuration, by key."""
    words = shlex.split(job["shell"])
    found = {}
    for option, word in pairwise(words):
        key, brace, rest = word.partition("{")
        if brace and option != "--study":  # the report tells of all
            told = json.loads(brace + rest)
            found |= flat(told, f"{key[:-1]}." if option == "--set" else section_of(option, words, told))
    return found


def job_name(job):
    """The rule of a job, with what it is about where the rule does several."""
    about = [job["wildcards"].get(name) for name in ("method", "dataset")]
    return " ".join([job["rule"], *filter(None, about)])


def seen(job):
    """What of a job makes Snakemake do it again."""
    return job and (job["shell"], job["input"], job["resources"]["gpu"])


def jobs_by_name(jobs):
    """All jobs but the last, which does nothing."""
    return {job_name(job): job for job in jobs if job["rule"] != "all"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The jobs of a study, with what each is told, and for every key the jobs that feel it."""
    folder = tmp_path_factory.mktemp("workflow")
    for name in ("given", "other"):
        (folder / name).touch()
    keys = dict(Config.leaves())
    changes = {key: nested(key, other_value(key, field)) for key, field in keys.items()}
    together = STUDY
    for key in keys.keys() - set(ALONE):
        together = overlaid(together, changes[key])
    changed_alone = [overlaid(STUDY, changes[key]) for key in ALONE]
    base, changed, *alone = map(jobs_by_name, jobs_of(folder, STUDY, together, *changed_alone))
    felt = {key: set() for key in keys}
    for name, job in base.items():
        job["told"], other = told_to(job), told_to(changed[name])
        for key in (key for key in job["told"] if job["told"][key] != other[key]):
            felt["register.protocols" if key.startswith("register.protocols") else key].add(name)
    for key, jobs in zip(ALONE, alone, strict=True):
        felt[key] |= {name for name in base.keys() | jobs.keys() if seen(base.get(name)) != seen(jobs.get(name))}
    for names in felt.values():
        names -= {name for name in names if name.startswith("make_report")}  # which is told of all, and feels all
    return base, felt


def test_every_key_is_felt_where_it_is_meant_to_be(study):
    jobs, felt = study
    wrong = {}
    for key, names in felt.items():
        meant = MEANT[max((prefix for prefix in MEANT if f"{key}.".startswith(f"{prefix}.")), key=len)]
        expected = {name for name in jobs.keys() | names if any(fnmatch(name, pattern) for pattern in meant)}
        if names != expected:
            wrong[key] = sorted(names ^ expected)
    assert wrong == {}


@cache
def attributes_of(file):
    """All attributes that a module asks something for, by name or by a name in a text."""
    nodes = list(ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))))
    asked = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return asked | {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_what_a_command_is_told_its_code_reads(study):
    jobs, _ = study
    for name, job in jobs.items():
        read = set().union(*(attributes_of(file) for file in job["code"] if file.endswith(".py")))
        unread = {key for key in job["told"] if key.rpartition(".")[2] not in read}
        assert unread - UNREAD.get(job["rule"], set()) == set(), name


def test_a_stand_in_is_told_all_that_its_code_reads(study):
    jobs, _ = study
    for name, job in jobs.items():
        if job["rule"] in ("simulate_dataset", "photograph_real_scan"):
            code = "".join((ROOT / file).read_text() for file in job["code"] if file.startswith("dfmvr/simulate/"))
            told = {key.split(".")[1] for key in job["told"]}
            assert set(re.findall(r"settings\.(\w+)", code)) & set(SimulateSection.model_fields) == told, name
