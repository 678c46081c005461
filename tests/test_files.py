"""Files are whole or absent."""

import numpy as np
import pytest

from dfmvr.errors import DataError, OutputError
from dfmvr.files import read_json, read_npz, write_json, write_npz, writing, writing_folder


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), writing(path) as partial:
        partial.write_text("ne")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_folder_leaves_the_old_folder_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(RuntimeError), writing_folder(path) as partial:
        (partial / "new").touch()
        raise RuntimeError
    assert [p.name for p in tmp_path.rglob("*")] == ["a", "old"]


def test_a_new_folder_replaces_the_old_one_as_a_whole(tmp_path):
    path = tmp_path / "a"
    path.mkdir()
    (path / "old").touch()
    with writing_folder(path) as partial:
        (partial / "new").touch()
    assert [p.name for p in path.iterdir()] == ["new"]


@pytest.mark.parametrize("make", [writing, writing_folder])
def test_a_file_in_place_of_the_folder_is_an_error_with_the_remedy(tmp_path, make):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/x/a\.npz: cannot be written: .*choose another path"):
        with make(tmp_path / "file" / "x" / "a.npz"):
            pass


def test_a_full_disk_is_an_error_with_the_remedy(tmp_path):
    with pytest.raises(OutputError, match="no room left"), writing(tmp_path / "a.txt"):
        raise OSError(28, "No space left on device")


def test_arrays_survive(tmp_path):
    write_npz(tmp_path / "a.npz", x=np.arange(3), name=np.array("n"))
    found = read_npz(tmp_path / "a.npz", "x")
    assert found["x"].tolist() == [0, 1, 2]
    assert str(found["name"]) == "n"
    assert read_npz(tmp_path / "a.npz", "x", others=False).keys() == {"x"}


def test_a_missing_array_is_named(tmp_path):
    write_npz(tmp_path / "a.npz", x=np.arange(3))
    with pytest.raises(DataError, match=r"a\.npz: expected the arrays y, found x"):
        read_npz(tmp_path / "a.npz", "x", "y")
    with pytest.raises(DataError, match=r"a\.npz: expected the arrays y, found x"):
        read_npz(tmp_path / "a.npz", "y", others=False)


@pytest.mark.parametrize("kept", [0, 10, 100, 200])
def test_a_truncated_archive_is_an_error(tmp_path, kept):
    path = tmp_path / "a.npz"
    write_npz(path, x=np.arange(100))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"a\.npz: not a readable"):
        read_npz(path)


def test_json_refuses_what_it_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    with pytest.raises(DataError, match="no such file"):
        read_json(tmp_path / "a.json")
