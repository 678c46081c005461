"""Batches: what is done is told by what it was made from, and nothing that others put there is lost."""

import csv
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest
from test_photographs import use, write_photographs

from dfmvr import cli
from dfmvr.assets.files import FOLDER, SUMS
from dfmvr.conventions import VIEWS
from dfmvr.files import sha256_of


@pytest.fixture
def people(trained, tmp_path):
    """Two people's photographs, one with files that are no photographs of a view."""
    for name in ("ann", "bob"):
        (tmp_path / "people").mkdir(exist_ok=True)
        write_photographs(tmp_path / "people" / name)
    (tmp_path / "people" / "bob" / "frnt.png").write_bytes(b"mine")
    return tmp_path / "people"


def run(people, output, *more):
    """The exit code of a batch, and the rows of its summary by name."""
    network = use(people.parent)
    code = cli.main(["reconstruct", "--batch", str(people), *network, "-o", str(output), "--fast", *more])
    path = output / "summary.csv"
    if not path.exists():
        return code, {}
    with path.open(newline="", encoding="utf-8") as stream:
        return code, {row["name"]: row for row in csv.DictReader(stream)}


def statuses(rows):
    return {name: row["status"] for name, row in rows.items()}


def contents(folder):
    """Content of every file below a folder by name, but for the hidden ones of the program."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".dfmvr-" not in str(path)
    }


def test_what_is_done_is_told_by_photographs_and_options(people, tmp_path):
    output = tmp_path / "faces"
    ply = ("--format", "ply")
    code, rows = run(people, output, *ply)
    assert (code, statuses(rows)) == (0, {"ann": "done", "bob": "done"})
    assert "left aside, since not called left, front, right: frnt.png" in rows["bob"]["notes"]
    told = json.loads((output / "ann" / ".dfmvr-reconstruct.json").read_text())["about"]["options"]
    assert told["shipped"] == sha256_of(FOLDER / SUMS)  # another release of networks makes the faces anew
    shutil.copytree(people, tmp_path / "moved")
    (output / "summary.csv").unlink()
    code, again = run(tmp_path / "moved", output, *ply)
    assert statuses(again) == {"ann": "was there", "bob": "was there"}
    assert [row["notes"] for row in again.values()] == [row["notes"] for row in rows.values()]
    left, right = people / "ann" / "left.png", people / "ann" / "right.png"
    pixels = left.read_bytes()
    shutil.copy(people / "ann" / "front.png", left)
    before = (output / "ann" / "face.ply").read_bytes()
    code, rows = run(people, output, *ply)
    assert statuses(rows) == {"ann": "done", "bob": "was there"}
    assert "made anew" in rows["ann"]["notes"]
    assert (output / "ann" / "face.ply").read_bytes() != before
    left.write_bytes(pixels)
    assert statuses(run(people, output, *ply)[1]) == {"ann": "done", "bob": "was there"}
    assert (output / "ann" / "face.ply").read_bytes() == before
    assert statuses(run(people, output, "--format", "obj")[1]) == {"ann": "done", "bob": "done"}
    assert not (output / "ann" / "face.ply").exists()
    shutil.copy(left, left.with_suffix(".tif"))
    code, rows = run(people, output, "--format", "obj")
    assert statuses(rows) == {"ann": "set aside", "bob": "was there"}
    assert "left.png, left.tif: expected one of them" in rows["ann"]["notes"]
    left.with_suffix(".tif").unlink()
    (output / "bob" / "face.json").unlink()
    right.write_bytes(b"no image any more")
    for path in (left, people / "ann" / "front.png"):
        path.write_bytes(b"nor this")
    code, rows = run(people, output, "--format", "obj")
    assert statuses(rows) == {"ann": "set aside", "bob": "done"}
    assert "the face in its folder is an earlier one" in rows["ann"]["notes"]
    assert (output / "ann" / "face.obj").exists()


def test_faces_beside_their_photographs(people):
    before = contents(people)
    for status in ("done", "was there"):
        code, rows = run(people, people, "--format", "obj")
        assert (code, statuses(rows)) == (0, {"ann": status, "bob": status})
        assert {name: data for name, data in contents(people).items() if name in before} == before
        assert all((people / name / "face.obj").exists() for name in ("ann", "bob"))
    assert "left aside" not in rows["ann"]["notes"]
    inside = people / "faces"
    assert statuses(run(people, inside)[1]) == {"ann": "done", "bob": "done"}
    assert statuses(run(people, inside)[1]) == {"ann": "was there", "bob": "was there"}


def test_what_others_put_into_the_output_stays(people, tmp_path, capsys):
    output = tmp_path / "faces"
    mine = {"ann/face.obj": b"mine", "bob/notes.txt": b"mine", "bob/left.png": b"mine", "list.csv": b"mine"}
    for name, content in mine.items():
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_bytes(content)
    code, rows = run(people, output)
    assert (code, statuses(rows)) == (0, {"ann": "set aside", "bob": "done"})
    assert "face.obj: there already, and not as dfmvr (reconstruct) wrote it" in rows["ann"]["notes"]
    assert {name: (output / name).read_bytes() for name in mine} == mine
    (output / "bob" / ".dfmvr-reconstruct.json").write_text("damaged")
    (output / "ann" / "face.obj").unlink()
    code, rows = run(people, output)
    assert (code, statuses(rows)) == (0, {"ann": "done", "bob": "set aside"})
    assert "not a list of what dfmvr wrote" in rows["bob"]["notes"]
    (output / "summary.csv").write_text("my own summary now")
    before = contents(output)
    capsys.readouterr()
    assert run(people, output, "--neutral")[0] == 2
    assert "summary.csv: there already" in capsys.readouterr().err.splitlines()[-1]
    assert contents(output) == before


def test_a_table_is_never_its_own_summary(people, capsys):
    table = people / "summary.csv"
    table.write_text("name,front\nann,ann/front.png\n")
    assert cli.main(["reconstruct", "--batch", str(table), *use(people.parent), "-o", str(people)]) == 2
    assert "summary.csv: there already" in capsys.readouterr().err.splitlines()[-1]
    assert table.read_text() == "name,front\nann,ann/front.png\n"


@pytest.mark.parametrize("name", ["taken", "taken/x"])
def test_a_file_is_no_place_for_a_batch(people, tmp_path, capsys, name):
    (tmp_path / "taken").write_text("mine")
    assert cli.main(["reconstruct", "--batch", str(people), *use(people.parent), "-o", str(tmp_path / name)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "choose another path" in line
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_name_that_is_no_utf_8_is_done_and_told(people, tmp_path):
    raw = os.fsdecode(b"Jos\xe9")
    try:
        shutil.copytree(people / "ann", people / raw)
    except OSError:
        pytest.skip("this file system has no such names")
    for status in ("done", "was there"):
        code, rows = run(people, tmp_path / "faces", "--format", "ply")
        assert code == 0
        assert rows["Jos\\xe9"]["status"] == status
    assert (tmp_path / "faces" / raw / "face.ply").exists()


NURSERY = """
import json, os, sys
import dfmvr.reconstruct.export.files, dfmvr.reconstruct.photographs.batch
from dfmvr.cli import main

print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        main(json.loads(line))
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""
"""Runs commands, each in a process of its own that has imported everything."""


def test_killed_at_random_moments_it_goes_on_and_loses_nothing(people):
    """In the folder of the photographs itself, where there is most to lose."""
    for name in ("ann", "bob"):
        (people / name / "notes.txt").write_text("mine")
        (people / name / "meshes").mkdir()
        (people / name / "meshes" / "face.obj").write_text("mine")
    before, rng = contents(people), random.Random(5)
    arguments = ["reconstruct", "--batch", str(people), *use(people.parent), "-o", str(people), "--fast", "--format"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    lasts, killed = 2.0, 0
    with subprocess.Popen([sys.executable, "-c", NURSERY], **pipes) as nursery:
        assert nursery.stdout.readline() == "ready\n"
        while killed < 10:
            formats = ["obj", "glb"] if killed % 2 else ["ply", "obj"]  # so that every turn has something to exchange
            nursery.stdin.write(json.dumps([*arguments, *formats]) + "\n")
            child, started = int(nursery.stdout.readline()), time.monotonic()
            if select.select([nursery.stdout], [], [], rng.uniform(0, lasts))[0]:
                lasts = time.monotonic() - started  # it came to its end: the next moments shall be before it
            else:
                os.kill(child, signal.SIGKILL)
                killed += 1
            assert nursery.stdout.readline() == "ended\n"
            after = contents(people)
            assert {name: after.get(name) for name in before} == before
        nursery.stdin.close()
    code, rows = run(people, people, "--format", "glb")
    assert code == 0
    assert set(statuses(rows)) == {"ann", "bob"}
    for name in ("ann", "bob"):
        made = {path.name for path in (people / name).glob("face.*")}
        assert made == {"face.glb", "face.json", "face.npz", "face.landmarks.csv"}
        kept = {
            path.name for path in (people / name).iterdir() if not path.name.startswith(("face", "overlay", "turn"))
        }
        others = {"notes.txt", "meshes", ".dfmvr-reconstruct.json"} | ({"frnt.png"} if name == "bob" else set())
        assert kept == others | {f"{view}{suffix}" for view in VIEWS for suffix in (".png", ".txt")}
