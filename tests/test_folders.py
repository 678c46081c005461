"""What an output folder holds beside the program's own files stays, whatever happens."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from dfmvr.errors import OccupiedError, OutputError
from dfmvr.folders import check_free, read_written, writing_folder

OTHERS = {
    "mine.txt": b"mine",
    "photo.jpg": b"\xff\xd8",
    "meshes/mine.ply": b"ply",
    ".hidden": b"h",
    "José.txt": b"nfc",
    "Jose\u0301.txt": b"nfd",
    "face (1).obj": b"copy",
    ".dfmvr-of-mine/x": b"x",
}


def fill(folder, others=OTHERS):
    """Files of somebody else."""
    for name, content in others.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "empty").mkdir(exist_ok=True)


def contents(folder):
    """Content of every file below a folder by name, manifests left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not (path.name.startswith(".dfmvr-") and path.suffix == ".json")
    }


def write(folder, files, maker="a"):
    with writing_folder(folder, maker) as partial:
        for name, text in files.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).write_bytes(text)


def test_the_next_output_takes_the_place_of_the_last_and_of_nothing_else(tmp_path):
    folder = tmp_path / "out"
    fill(folder)
    first = {"face.ply": b"1", "meshes/a.ply": b"1", "deep/er/b": b"1"}
    write(folder, first)
    assert contents(folder) == OTHERS | first
    second = {"face.ply": b"2", "face.obj": b"2", "meshes/c.ply": b"2"}
    write(folder, second)
    assert contents(folder) == OTHERS | second
    assert not (folder / "deep").exists()
    assert (folder / "empty").is_dir()
    assert read_written(folder, "a").contents.keys() == second.keys()


def test_a_new_folder_comes_as_a_whole(tmp_path):
    with writing_folder(tmp_path / "x" / "new", "a", {"from": "this"}) as partial:
        (partial / "f").write_text("f")
        (partial / "none").mkdir()
        assert not (tmp_path / "x" / "new").exists()
    assert contents(tmp_path) == {"x/new/f": b"f"}
    assert (tmp_path / "x" / "new" / "none").is_dir()
    written = read_written(tmp_path / "x" / "new", "a")
    assert written.whole
    assert written.about == {"from": "this"}


@pytest.mark.parametrize("there", [True, False])
def test_a_failed_block_leaves_everything_as_it_was(tmp_path, there):
    if there:
        fill(tmp_path / "out")
        write(tmp_path / "out", {"face.ply": b"1"})
    before = contents(tmp_path)
    with pytest.raises(RuntimeError), writing_folder(tmp_path / "out", "a") as partial:
        (partial / "face.ply").write_text("2")
        raise RuntimeError
    assert contents(tmp_path) == before
    assert (tmp_path / "out").exists() == there


TAKEN = {
    "a file": lambda f: (f / "face.ply").write_bytes(b"mine"),
    "a folder": lambda f: (f / "face.ply").mkdir(),
    "a link": lambda f: (f / "face.ply").symlink_to("mine.txt"),
    "a dangling link": lambda f: (f / "face.ply").symlink_to("nowhere"),
    "a file for a folder": lambda f: (f / "sub").write_bytes(b"mine"),
    "another's": lambda f: write(f, {"face.ply": b"1"}, "other"),
    "edited": lambda f: (write(f, {"face.ply": b"1"}), (f / "face.ply").write_bytes(b"edited")),
    "edited below": lambda f: (write(f, {"sub/face.ply": b"1"}), (f / "sub" / "face.ply").write_bytes(b"edited")),
}


@pytest.mark.parametrize("how", TAKEN)
def test_what_somebody_else_has_made_is_never_replaced(tmp_path, how):
    fill(tmp_path)
    TAKEN[how](tmp_path)
    before = contents(tmp_path)
    new = {"face.ply": b"2", "sub/face.ply": b"2", "more": b"2"}
    with pytest.raises(OccupiedError, match="there already"):
        write(tmp_path, new)
    assert contents(tmp_path) == before
    with pytest.raises(OccupiedError, match="there already"):
        check_free(tmp_path, "a", new)
    check_free(tmp_path, "a", ["elsewhere/face.ply"])


def test_an_edited_file_whose_name_is_not_needed_stays(tmp_path):
    write(tmp_path, {"face.ply": b"1", "face.obj": b"1"})
    (tmp_path / "face.obj").write_bytes(b"edited")
    write(tmp_path, {"face.ply": b"2"})
    assert contents(tmp_path) == {"face.ply": b"2", "face.obj": b"edited"}


@pytest.mark.parametrize("name", ["../outside", "{}/outside", "sub/../../outside"])
def test_a_manifest_deletes_nothing_outside_its_folder(tmp_path, name):
    folder, outside = tmp_path / "out", tmp_path / "outside"
    write(folder, {"f": b"same"})
    outside.write_bytes(b"same")
    manifest = folder / ".dfmvr-a.json"
    told = json.loads(manifest.read_text())
    told["contents"][name.format(tmp_path)] = told["contents"]["f"]
    manifest.write_text(json.dumps(told))
    write(folder, {"g": b"new"})
    assert contents(tmp_path) == {"out/g": b"new", "outside": b"same"}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"contents": {"f": 3}}', '{"contents": []}'])
def test_a_damaged_manifest_is_said(tmp_path, text):
    write(tmp_path, {"f": b"1"})
    (tmp_path / ".dfmvr-a.json").write_text(text)
    with pytest.raises(OutputError, match=r"\.dfmvr-a\.json: not a list of what dfmvr wrote"):
        write(tmp_path, {"f": b"2"})
    assert contents(tmp_path) == {"f": b"1"}


def test_here_and_through_links(tmp_path, monkeypatch):
    fill(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", {"face.ply": b"1"})
    assert (tmp_path / "link").is_symlink()
    monkeypatch.chdir(tmp_path / "real")
    write(".", {"face.obj": b"2"})
    write("../link/.", {"face.glb": b"3"})
    assert contents(tmp_path / "real") == OTHERS | {"face.glb": b"3"}


@pytest.mark.parametrize("name", ["taken", "taken/x", "link"])
def test_a_file_is_no_folder_and_is_told_before_the_work(tmp_path, name):
    (tmp_path / "taken").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("taken")
    with pytest.raises(OutputError, match="choose another path"), writing_folder(tmp_path / name, "a"):
        pytest.fail("the work was begun")
    assert (tmp_path / "taken").read_bytes() == b"mine"


def as_somebody(do):
    """Do it in a process of a user who may not do everything; what it raised, as text."""
    reading, writing = os.pipe()
    if not os.fork():
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            do()
        except BaseException as error:
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.wait()
    with os.fdopen(reading, "rb") as stream:
        return stream.read().decode()


def test_a_folder_in_one_that_may_not_be_written_to():
    with tempfile.TemporaryDirectory() as place:
        locked = Path(place) / "locked"
        (locked / "out").mkdir(parents=True)
        (locked / "out").chmod(0o777)
        locked.chmod(0o555)
        Path(place).chmod(0o755)
        assert as_somebody(lambda: write(locked / "out", {"x": b"x"})) == ""
        assert contents(locked) == {"out/x": b"x"}

        def begin():
            with writing_folder(locked / "new", "a"):
                raise RuntimeError("begun")

        assert "new: cannot be written: permission denied" in as_somebody(begin)
        locked.chmod(0o755)


MOUNTED = """
from dfmvr.folders import writing_folder
with writing_folder("mnt", "a") as folder:
    (folder / "face.ply").write_text("1")
"""


def test_a_mount_point(tmp_path):
    fill(tmp_path / "host")
    (tmp_path / "mnt").mkdir()
    apart = ["unshare", "-m", "sh", "-c", 'mount --bind host mnt && "$@"', "sh"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*apart, "true"], cwd=tmp_path, capture_output=True).returncode
    ):
        pytest.skip("this user may mount nothing")
    for _ in range(2):
        subprocess.run([*apart, sys.executable, "-c", MOUNTED], cwd=tmp_path, check=True)
    assert contents(tmp_path / "host") == OTHERS | {"face.ply": b"1"}


WRITER = """
import itertools, pathlib, sys
from dfmvr.folders import writing_folder
print("ready", flush=True)
for turn in itertools.count():
    with writing_folder(sys.argv[1], "a") as partial:
        for name in ["same", f"own{turn % 3}", f"sub{turn % 2}/x", *(f"many/{i}" for i in range(turn % 7))]:
            (partial / name).parent.mkdir(exist_ok=True)
            (partial / name).write_text(str(turn))
"""


@pytest.mark.parametrize("there", [True, False])
def test_killed_at_random_moments_it_loses_nothing_and_goes_on(tmp_path, there):
    rng, folder = random.Random(there), tmp_path / "out"
    others = OTHERS | {"sub0/mine": b"mine", "many/mine": b"mine"}
    for _ in range(10):
        if there:
            fill(folder, others)
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        process.wait()
        process.stdout.close()
        found = contents(folder) if folder.exists() else {}
        kept = {name: found.get(name) for name in others}
        assert kept == others if there else not set(kept.values()) - {None}
    write(folder, {"last": b"last"})
    assert contents(tmp_path) == {f"out/{n}": c for n, c in ((others if there else {}) | {"last": b"last"}).items()}
    assert not [path for path in tmp_path.rglob(".dfmvr-????????-????????")]


def test_two_at_once_end_with_one_of_them(tmp_path):
    fill(tmp_path)
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) for _ in range(2)
    ]
    for process in processes:
        assert process.stdout.readline() == b"ready\n"
    time.sleep(1)
    assert [process.poll() for process in processes] == [None, None]
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()
    write(tmp_path, {})
    assert contents(tmp_path) == OTHERS


def test_names_that_are_no_utf_8(tmp_path):
    raw = os.fsdecode(b"Jos\xe9")
    folder = tmp_path / raw
    try:
        fill(folder, {raw: b"mine"})
    except OSError:
        pytest.skip("this file system has no such names")
    for turn in (b"1", b"2"):
        write(folder, {f"{raw}.ply": turn})
    assert contents(folder) == {raw: b"mine", f"{raw}.ply": b"2"}
    assert Path(folder, raw).read_bytes() == b"mine"
