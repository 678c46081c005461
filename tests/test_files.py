"""Files are whole or absent."""

import numpy as np
import pytest

from dfmvr.errors import DataError, OutputError
from dfmvr.files import decode_text, read_json, read_npz, write_json, write_npz, writing


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), writing(path) as partial:
        partial.write_text("ne")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed_and_a_folder_with_something_in_it_is_kept(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    with writing(tmp_path / "link.txt") as partial:
        partial.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(OutputError, match="full"), writing(tmp_path / "full") as partial:
        partial.mkdir()
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["mine"]


def test_a_file_in_place_of_the_folder_is_an_error_with_the_remedy(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/x/a\.npz: cannot be written: .*choose another path"):
        with writing(tmp_path / "file" / "x" / "a.npz"):
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


def test_json_may_begin_with_the_mark_of_an_editor(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"x": 1}')
    assert read_json(tmp_path / "a.json") == {"x": 1}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_texts_of_all_encodings_are_decoded(encoding):
    assert decode_text("Gesichtsöffnung, 1 µm".encode(encoding)) == "Gesichtsöffnung, 1 µm"


def test_json_refuses_what_it_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    with pytest.raises(DataError, match="no such file"):
        read_json(tmp_path / "a.json")
