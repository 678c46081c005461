"""The workflow over time: what licensed data that change make again, runs that are killed, and other folders."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from workflow_jobs import ROOT, counts, dry_run, jobs_of, link_workflow

from dfmvr.files import listing_of


@pytest.fixture
def data(tmp_path):
    """Folders of people, and what a listing of them tells; forgotten in between, as a new process has."""
    for name in ("a/1/left.jpg", "a/2/left.jpg", "b/x.mat"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    folders = tmp_path / "a", tmp_path / "b", None

    def told():
        listing_of.cache_clear()
        return listing_of(*folders)

    return tmp_path, told


CHANGES = {
    "a person joins": lambda root: (root / "a" / "3").mkdir() or (root / "a" / "3" / "left.jpg").touch(),
    "a person leaves": lambda root: (root / "a" / "1").rename(root / "gone"),
    "another name": lambda root: (root / "a" / "1").rename(root / "a" / "4"),
    "another size": lambda root: (root / "a" / "1" / "left.jpg").write_bytes(b"12"),
    "another time": lambda root: os.utime(root / "a" / "1" / "left.jpg", (1, 1)),
    "another folder": lambda root: (root / "b" / "x.mat").rename(root / "a" / "x.mat"),
    "a link": lambda root: (root / "b" / "y").symlink_to(root / "a" / "1"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_listing_tells_every_change(data, what):
    root, told = data
    before = told()
    assert told() == before
    CHANGES[what](root)
    assert told() != before


def test_a_listing_passes_over_what_systems_add_and_ends(data):
    root, told = data
    before = told()
    for name in (".DS_Store", "a/Thumbs.db", "a/1/desktop.ini"):
        (root / name).touch()
    (root / "b" / "nowhere").symlink_to(root / "nowhere")
    assert told() == before
    (root / "a" / "circle").symlink_to(root / "a")
    assert told() == before


def touched(folder, study, *targets):
    """Let everything up to the targets be there and up to date."""
    (jobs,) = jobs_of(folder, study)
    for path in (folder / file for job in jobs for file in job["output"]):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch() if path.suffix else path.mkdir(exist_ok=True)
    (folder / "study.json").write_text(json.dumps(study))
    config = ["--configfile", str(folder / "study.json")]
    command = [sys.executable, "-m", "snakemake", *targets, "--cores", "1", "--touch", "--forceall", *config]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return config


def test_a_photograph_that_is_exchanged_runs_what_reads_it_again(tmp_path):
    names = ("pixel_face", "multi_pie")
    for name in names:
        (tmp_path / "data" / name / "someone" / "0").mkdir(parents=True)
        (tmp_path / "data" / name / "someone" / "0" / "t.jpg").write_bytes(b"1")
    targets = [f"results/parse/{name}" for name in names]
    study = {"datasets": {name: {"root": f"data/{name}"} for name in names}}
    config = touched(tmp_path, study, *targets)
    assert counts(dry_run(tmp_path, *config, "--cores", "1", *targets)) == {}
    (tmp_path / "data" / "pixel_face" / "someone" / "0" / "t.jpg").write_bytes(b"23")
    again = {"check_data": 1, "normalise_scans": 1, "align_dataset": 1, "parse_dataset": 1, "total": 4}
    assert counts(dry_run(tmp_path, *config, "--cores", "1", *targets)) == again


def test_a_large_file_that_was_made_again_alike_runs_nothing_again(tmp_path):
    target, model = "results/parse/pixel_face", tmp_path / "results" / "face_model" / "face_model.npz"
    model.parent.mkdir(parents=True)
    model.write_bytes(bytes(2_000_000))  # Snakemake by itself looks into files of up to one megabyte
    config = touched(tmp_path, {}, target)
    later = time.time() + 100
    os.utime(model, (later, later))
    assert counts(dry_run(tmp_path, *config, "--cores", "1", target)) == {}
    model.write_bytes(bytes(1_999_999) + b"1")
    os.utime(model, (later, later))
    assert counts(dry_run(tmp_path, *config, "--cores", "1", target))["align_dataset"] == 1


def start(folder, *arguments):
    command = [sys.executable, "-m", "snakemake", *arguments, "--cores", "1", "--quiet", "progress"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_after_a_kill_the_next_run_goes_on_and_beside_a_living_one_it_does_not(tmp_path):
    link_workflow(tmp_path)
    target = "results/diagrams"
    first = start(tmp_path, target)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob(".snakemake/locks/*.lock")):
        assert first.poll() is None, first.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.send_signal(signal.SIGSTOP)  # it lives, and shall not be done before the second one has looked
    second = start(tmp_path, target)
    said = second.communicate()[0]
    assert second.returncode != 0
    assert "cannot be locked" in said
    assert list(tmp_path.glob(".snakemake/locks/*.lock"))
    first.kill()
    first.communicate()
    third = start(tmp_path, target)
    said = third.communicate()[0]
    assert third.returncode == 0, said
    assert (tmp_path / target / "figures.json").exists()


@pytest.mark.parametrize("how", ["--directory", "--snakefile"])
def test_another_folder_than_that_of_the_program(tmp_path, how):
    place = tmp_path / "a place"
    place.mkdir()
    where = ["--directory", str(place)] if how == "--directory" else ["--snakefile", str(ROOT / "Snakefile")]
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", *where]
    done = subprocess.run(
        command, cwd=ROOT if how == "--directory" else place, capture_output=True, text=True, check=False
    )
    assert counts(done)["train_variant"] == 13
    assert re.findall(r"[\w/]*diagrams", done.stdout + done.stderr)
    assert {path.name for path in place.iterdir()} == {".snakemake"}
