import itertools
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from damage import flips, read_all, truncations
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.io import loadmat, savemat

from dfmvr.datasets.matlab import read_matlab
from dfmvr.datasets.pixel_face.ground_truth import (
    REGISTRATION,
    SCAN,
    GroundTruth,
    read_ground_truth,
    read_landmarks_106,
    write_ground_truth,
)
from dfmvr.errors import DataError


@pytest.fixture(scope="module")
def truth():
    rng = np.random.default_rng(0)
    vertices = rng.uniform(-90, 90, (150, 3))
    triangles = rng.integers(0, 150, (80, 3))
    ids = rng.permutation(150)[:106]
    return GroundTruth(vertices, triangles, vertices[ids], vertices[:120] + 1, triangles % 120, ids % 120)


@pytest.fixture(scope="module")
def content(truth, tmp_path_factory):
    path = tmp_path_factory.mktemp("gt") / "gt.mat"
    write_ground_truth(path, truth)
    return path.read_bytes()


def structure(**changes):
    """A scan as the release stores it, decimetres and indices from 1, with some fields changed."""
    rng = np.random.default_rng(1)
    fields = {
        "v": rng.uniform(-0.9, 0.9, (110, 3)),
        "f": rng.integers(1, 111, (40, 3)),
        "kpt_ind": np.arange(1, 107).reshape(-1, 1),
    }
    fields.update(changes)
    return {name: value for name, value in fields.items() if value is not None}


def test_everything_comes_back(truth, content, tmp_path):
    (tmp_path / "gt.mat").write_bytes(content)
    read = read_ground_truth(tmp_path / "gt.mat")
    for name, expected in vars(truth).items():
        assert_allclose(getattr(read, name), expected, rtol=0, atol=1e-4, err_msg=name)
    assert_array_equal(read.scan_triangles, truth.scan_triangles)
    assert_array_equal(read_landmarks_106(tmp_path / "gt.mat"), read.scan_landmarks_106)


def test_file_is_as_the_release_has_it(truth, content, tmp_path):
    (tmp_path / "gt.mat").write_bytes(content)
    mat = loadmat(tmp_path / "gt.mat")
    scan, registration = mat[SCAN][0, 0], mat[REGISTRATION][0, 0]
    assert_allclose(scan["v"], truth.scan_vertices / 100, atol=1e-6)
    assert_array_equal(scan["f"], truth.scan_triangles + 1)
    assert scan["kpt_ind"].shape == (106, 1)
    assert registration["kpt_ind"].shape == (1, 106)
    assert_array_equal(truth.scan_vertices[scan["kpt_ind"].ravel() - 1], truth.scan_landmarks_106)


def test_light_sample_has_landmarks_and_no_scan(tmp_path):
    points = np.random.default_rng(2).uniform(-60, 60, (106, 3))
    write_ground_truth(tmp_path / "gt.mat", GroundTruth(points, np.zeros((0, 3), int), points))
    assert_allclose(read_landmarks_106(tmp_path / "gt.mat"), points, atol=1e-4)
    assert (tmp_path / "gt.mat").stat().st_size < 3000
    with pytest.raises(DataError, match=r"f: expected triangles .* found \(0, 3\)"):
        read_ground_truth(tmp_path / "gt.mat")


def test_scan_without_keypoints_has_none(tmp_path):
    savemat(tmp_path / "gt.mat", {SCAN: structure(kpt_ind=None)})
    assert read_landmarks_106(tmp_path / "gt.mat") is None
    assert read_ground_truth(tmp_path / "gt.mat").scan_landmarks_106 is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"v": None}, "expected the field v"),
        ({"f": None}, "expected the field f"),
        ({"v": np.full((110, 3), np.nan)}, "330 of 330 numbers are not finite"),
        ({"v": np.zeros((0, 3))}, r"expected vertices \(N, 3\)"),
        ({"v": np.ones((110, 2))}, r"expected vertices \(N, 3\)"),
        ({"v": np.random.default_rng(0).uniform(-90, 90, (110, 3))}, "expected decimetres"),
        ({"v": np.full((110, 3), [[1e308]]) * ([[1], [-1]] * 55)}, "expected decimetres"),
        ({"f": np.array([[1, 2, 111]])}, "from 1 to 110"),
        ({"f": np.array([[0, 1, 2]])}, "from 1 to 110"),
        ({"f": np.array([[1, 2, 3.5]])}, "whole numbers"),
        ({"f": np.array([[1, 2, 3, 4]])}, r"expected triangles \(M, 3\)"),
        ({"kpt_ind": np.arange(1, 69)}, "expected 106 keypoints, found 68"),
        ({"kpt_ind": np.arange(10, 116)}, "from 1 to 110"),
    ],
)
def test_inconsistent_scan_is_refused(changes, message, tmp_path):
    savemat(tmp_path / "gt.mat", {SCAN: structure(**changes)})
    with pytest.raises(DataError, match=message):
        read_ground_truth(tmp_path / "gt.mat")


def test_missing_scan_and_missing_file_are_told_apart(tmp_path):
    savemat(tmp_path / "gt.mat", {REGISTRATION: structure()})
    with pytest.raises(DataError, match=f"expected the structure {SCAN}, found only {REGISTRATION}"):
        read_ground_truth(tmp_path / "gt.mat")
    with pytest.raises(DataError, match="no such file"):
        read_ground_truth(tmp_path / "other.mat")


def test_other_versions_are_refused_with_a_remedy(tmp_path):
    hdf = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "new.mat").write_bytes(hdf)
    with pytest.raises(DataError, match="-v7"):
        read_ground_truth(tmp_path / "new.mat")
    savemat(tmp_path / "old.mat", {"v": np.ones((3, 3))}, format="4")
    with pytest.raises(DataError, match="no header"):
        read_ground_truth(tmp_path / "old.mat")


@pytest.mark.parametrize("share", [0, 0.01, 0.1, 0.3, 0.5, 0.9, 0.999])
def test_truncated_file_is_refused(content, share, tmp_path):
    (tmp_path / "gt.mat").write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"gt\.mat"):
        read_ground_truth(tmp_path / "gt.mat")


@pytest.mark.parametrize("compressed", [False, True])
def test_file_cut_anywhere_or_with_flipped_bytes_is_refused_or_read(compressed, tmp_path):
    scan = structure(v=np.random.default_rng(1).integers(-90, 90, (110, 3)) / 100, f=np.array([[1, 2, 3]]))
    savemat(tmp_path / "gt.mat", {SCAN: scan}, do_compression=compressed)
    whole = (tmp_path / "gt.mat").read_bytes()
    contents = itertools.chain(truncations(whole), flips(whole, 1500), flips(whole[:400], 1500, seed=1))
    tried, read = read_all(read_ground_truth, tmp_path / "gt.mat", contents)
    assert tried > 3500
    assert 0 < read < tried / 2


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_flipped_bytes_never_raise_anything_else(content, tmp_path_factory, data):
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.one_of(st.integers(0, 600), st.integers(0, len(content) - 1)))
        damaged[position] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "flipped.mat"
    path.write_bytes(damaged)
    try:
        truth = read_ground_truth(path)
    except DataError:
        return
    assert np.isfinite(truth.scan_vertices).all()
    assert truth.scan_triangles.max() < len(truth.scan_vertices)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_structures_equal_scipys(dtype, compressed, tmp_path):
    rng = np.random.default_rng(3)
    value = rng.integers(0, 100, (5, 7, 2)).astype(dtype)
    savemat(
        tmp_path / "a.mat",
        {"x": {"value": value, "one": 1, "text": "words", "cell": np.array(["a", 1], object)}, "other": value},
        do_compression=compressed,
    )
    fields = read_matlab(tmp_path / "a.mat", "x", "absent")
    assert list(fields) == ["x"]
    assert list(fields["x"]) == ["value", "one"]
    assert_array_equal(fields["x"]["value"], loadmat(tmp_path / "a.mat")["x"][0, 0]["value"])
    assert fields["x"]["value"].dtype == value.dtype


def element(kind, data, order="<"):
    return struct.pack(f"{order}II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def matrix(kind, shape, name, *parts, order="<"):
    flags, axes = struct.pack(f"{order}II", kind, 0), struct.pack(f"{order}{len(shape)}i", *shape)
    return element(
        14, element(6, flags, order) + element(5, axes, order) + element(1, name, order) + b"".join(parts), order
    )


def header(order="<"):
    return b"MATLAB 5.0".ljust(124) + struct.pack(f"{order}H", 0x100) + (b"IM" if order == "<" else b"MI")


def structure_of(fields, order="<"):
    """A structure of one field, f, whose bytes are given."""
    width = struct.pack(f"{order}HHi", *((5, 4, 8) if order == "<" else (4, 5, 8)))
    return header(order) + matrix(2, (1, 1), b"x", width, element(1, b"f".ljust(8, b"\0"), order), fields, order=order)


@pytest.mark.parametrize("order", ["<", ">"])
def test_whole_numbers_stored_in_a_small_type_and_either_byte_order_are_read(order, tmp_path):
    numbers = matrix(6, (2, 3), b"", element(2, bytes([1, 2, 3, 4, 5, 6]), order), order=order)
    (tmp_path / "a.mat").write_bytes(structure_of(numbers, order))
    value = read_matlab(tmp_path / "a.mat", "x")["x"]["f"]
    assert value.dtype == np.float64
    assert value.tolist() == [[1, 3, 5], [2, 4, 6]]
    assert loadmat(tmp_path / "a.mat")["x"][0, 0]["f"].tolist() == value.tolist()


def test_damaged_compressed_data_fail_their_checksum(tmp_path):
    savemat(tmp_path / "a.mat", {"x": {"v": np.random.default_rng(0).normal(size=999)}}, do_compression=True)
    content = bytearray((tmp_path / "a.mat").read_bytes())
    content[-6] ^= 4
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(DataError, match="not a readable"):
        read_matlab(tmp_path / "a.mat", "x")


def compressed(content):
    data = zlib.compress(content, 9)
    return struct.pack("<II", 15, len(data)) + data


NAME = SCAN.encode()
BOMBS = {
    "one variable of zeros": compressed(matrix(6, (1 << 27, 1), NAME, element(2, bytes(1 << 27)))),
    "many variables of zeros": compressed(matrix(6, (1 << 20, 1), NAME, element(2, bytes(1 << 20)))) * 300,
    "empty fields without end": matrix(2, (1, 1), NAME, element(14, b"") * (1 << 17)),
    "names without end": matrix(2, (1, 1), NAME, b"\5\0\4\0\1\0\0\0", element(1, b"a" * (1 << 20))),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_small_file_never_takes_much_memory(bomb, tmp_path):
    content = header() + BOMBS[bomb]
    (tmp_path / "gt.mat").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"gt\.mat"):
        read_ground_truth(tmp_path / "gt.mat")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(content) < 2 << 20
    assert peak < 20 << 20


def test_scan_with_constant_colours_may_be_compressed(tmp_path):
    scan = structure(v=np.random.default_rng(0).uniform(-0.9, 0.9, (20000, 3)), tex=np.full((20000, 3), 127, np.uint8))
    savemat(tmp_path / "gt.mat", {SCAN: scan}, do_compression=True)
    assert len(read_ground_truth(tmp_path / "gt.mat").scan_vertices) == 20000


def test_file_of_a_gibibyte_is_refused_unread(tmp_path):
    with (tmp_path / "gt.mat").open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(DataError, match="expected 1073741824 at the most"):
        read_ground_truth(tmp_path / "gt.mat")


@pytest.mark.parametrize("shape", [(0, 2**31 - 1, 2**31 - 1, 2**31 - 1), (0, *([1] * 40)), (-1, -1)])
def test_impossible_shape_is_refused(shape, tmp_path):
    (tmp_path / "a.mat").write_bytes(structure_of(matrix(6, shape, b"")))
    with pytest.raises(DataError, match="not a readable"):
        read_matlab(tmp_path / "a.mat", "x")
