"""The workflow: what it would do, seen by dry runs. The run itself is the business of continuous integration."""

import json
import re
import subprocess
import sys

import pytest
import yaml
from snakemake.cli import get_argument_parser
from workflow_jobs import ROOT, counts, dry_run, jobs_of

from dfmvr.config.configuration import load
from dfmvr.networks.kinds import NETWORKS
from dfmvr.study.methods import read_key


def test_the_default_target_is_the_whole_study(tmp_path):
    found = counts(dry_run(tmp_path))
    assert found["make_report"] == 1
    assert found["train_variant"] == 13
    assert found["simulate_dataset"] == 4
    assert found["align_dataset"] == 3
    assert found["normalise_scans"] == 2
    assert found["fit_samples"] == 3
    assert found["score_meshes"] == found["register_meshes"] == 28


def test_a_second_population_and_a_scan_join_where_they_are_configured(tmp_path):
    for name in ("model.npz", "head.obj"):
        (tmp_path / name).touch()
    config = tmp_path / "more.json"
    config.write_text(json.dumps({"simulate": {"ict_facekit": "model.npz", "real_scan": "."}}))
    found = counts(dry_run(tmp_path, "--configfile", str(config)))
    assert found["simulate_dataset"] == 5
    assert found["score_meshes"] == 48
    assert found["score_real_scan"] == 13  # the mean face, DF-MVR's nine networks that see all views, and three fits
    assert found["photograph_real_scan"] == 1


def test_the_licensed_data_are_one_file(tmp_path):
    for name in ("bfm_2009", "pixel_face", "multi_pie", "bosphorus", "celebamask_hq"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data" / "resnet50-0676ba61.pth").touch()
    study = yaml.safe_load((ROOT / "config" / "paper.yaml").read_text(encoding="utf-8"))
    (jobs,) = jobs_of(tmp_path, study)
    (imported,) = (job["shell"] for job in jobs if job["rule"] == "import_face_model")
    assert "--pixel-face data/pixel_face --exact-keypoints" in imported
    trained = [job for job in jobs if job["rule"] == "train_variant"]
    assert all(job["resources"]["gpu"] == 2 and job["resources"]["runtime"] == 48 * 60 for job in trained)
    assert all("torchrun --standalone --nproc-per-node 2 -m dfmvr train" in job["shell"] for job in trained)
    (parser,) = (job for job in jobs if job["rule"] == "pretrain_parser")
    assert parser["resources"]["runtime"] == 48 * 60
    baselines = [job for job in trained if re.match("deng|shang", job["wildcards"]["method"])]
    assert len(baselines) == 4
    assert all("data/resnet50-0676ba61.pth" in job["input"] for job in baselines)
    found = counts(dry_run(tmp_path, "--configfile", "config/paper.yaml"))
    assert found["import_face_model"] == 1
    checks = {job["wildcards"]["dataset"] for job in jobs if job["rule"] == "check_data"}
    assert checks == {"pixel_face", "multi_pie", "bosphorus", "celebamask_hq", "bfm_2009", "face_alignment", "resnet50"}
    assert "simulate_dataset" not in found
    assert found["train_variant"] == 13
    assert found["score_meshes"] == 28


PROFILES = sorted((ROOT / "profiles").glob("*/profile.yaml"))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda file: file.parent.name)
def test_a_profile_cuts_no_training_to_fewer_gpus(tmp_path, profile):
    settings = yaml.safe_load(profile.read_text(encoding="utf-8")) | {"executor": "local", "cores": 1}
    (tmp_path / "profile.yaml").write_text(json.dumps(settings))
    told = (
        "--quiet",
        "progress",
        "--printshellcmds",
        "--config",
        'train={"gpus": 2}',
        "--workflow-profile",
        str(tmp_path),
    )
    done = dry_run(tmp_path, *told, "results/train/dfmvr/weights.safetensors")
    assert "torchrun --standalone --nproc-per-node 2 -m dfmvr train" in done.stdout + done.stderr


@pytest.mark.parametrize("profile", PROFILES, ids=lambda file: file.parent.name)
def test_snakemake_knows_what_a_profile_says(profile):
    """It passes over what it does not know."""
    known = {option.lstrip("-") for action in get_argument_parser()._actions for option in action.option_strings}
    assert yaml.safe_load(profile.read_text(encoding="utf-8")).keys() <= known


def test_a_method_of_no_variant_stops_the_workflow_in_one_line(tmp_path):
    result = dry_run(tmp_path, "--config", 'study={"tests": {"pixel_face": ["dfmvr", "dfmrv_from_left"]}}')
    assert result.returncode != 0
    assert "no variant 'dfmrv';" in result.stdout + result.stderr


def test_a_variant_is_one_key(tmp_path):
    config = tmp_path / "more.json"
    variants = {"dfmvr": {}, "a": {"epochs": 1}, "b": {"loss": {"mask": 0}}}
    tests = {"pixel_face": ["mean_face", *variants]}
    config.write_text(json.dumps({"variants": variants, "study": {"tests": tests}}))
    found = counts(dry_run(tmp_path, "--configfile", str(config)))
    assert found["train_variant"] == 3
    assert found["simulate_dataset"] == 2
    assert found["normalise_scans"] == 1


def test_seeds_multiply_what_is_trained(tmp_path):
    config = tmp_path / "more.json"
    tests = {"pixel_face": ["mean_face", "dfmvr", "dfmvr_mixed_from_front", "floor"]}
    config.write_text(json.dumps({"study": {"tests": tests, "seeds": 3}}))
    found = counts(dry_run(tmp_path, "--configfile", str(config)))
    assert found["train_variant"] == found["reconstruct_samples"] == 6
    assert found["score_meshes"] == 8


@pytest.mark.parametrize(("name", "trainings"), [("mask_loss", 6), ("sensitivity", 13)])
def test_the_other_studies_are_one_file_each(tmp_path, name, trainings):
    assert counts(dry_run(tmp_path, "--configfile", f"config/{name}.yaml"))["train_variant"] == trainings


def test_the_weights_of_fig_11_lie_about_the_papers_best_ones():
    """V-E: "between 4 and 5", "near 3"; each variant has the weight that its name tells, and no other change."""
    study = load(ROOT / "config" / "sensitivity.yaml")
    weights = {"photo": [], "mask": []}
    for key in study.study.tests["pixel_face"]:
        if weighed := read_key(key).variant.weight:
            loss, weight = weighed
            assert study.variant(key) == study.train.model_copy(
                update={"loss": study.train.loss.model_copy(update={loss: weight})}
            )
            weights[loss].append(weight)
    assert {3, 4.5, 5, 6} < set(weights["photo"])
    assert {0, 2, 4} < set(weights["mask"])


def test_a_mistyped_key_stops_the_workflow_in_one_line(tmp_path):
    result = dry_run(tmp_path, "--config", "trian={}")
    assert result.returncode != 0
    assert "unknown key 'trian'; did you mean 'train'?" in result.stdout + result.stderr


@pytest.mark.parametrize("pattern", [r"(?<![\w.])/(home|root|work|usr)/", r"import snakemake"])
def test_the_package_names_no_machine_and_no_workflow(pattern):
    found = [str(p) for p in (ROOT / "dfmvr").rglob("*.py") if re.search(pattern, p.read_text(encoding="utf-8"))]
    assert found == []


LIGHT = (
    *("dfmvr.train.command", "dfmvr.networks.checkpoint", "dfmvr.networks.inference", "dfmvr.parse.parser"),
    *(f"dfmvr.train.methods.{kind}" for kind in NETWORKS),
)


def test_what_trains_and_renders_needs_little_beside_torch():
    heavy = ("pydantic", "yaml", "pandas", "open3d", "cv2", "PIL", "matplotlib", "trimesh", "safetensors")
    code = f"import sys, {', '.join(LIGHT)}; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
