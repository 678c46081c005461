"""Range images: round trips to the bit, bytes written by hand, and every damage that a file can take."""

import itertools
import struct
import tracemalloc

import numpy as np
import pytest
from damage import flips, read_all
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dfmvr.config.data import MeshSection
from dfmvr.datasets.bosphorus.range_image import RangeImage, check_rows, read_bnt, write_bnt
from dfmvr.errors import DataError, OutputError
from dfmvr.mesh.triangulate import triangulate

ZMIN = -1000000000.0
ORDERS = ("bottom_first", "top_first")


def by_hand(planes, name=b"bs000_N_N_0.png", rows=None, columns=None, numbers=None, zmin=ZMIN):
    """Bytes of a .bnt file; planes (5, H, W), rows in the order of the file."""
    planes = np.asarray(planes, float)
    size = struct.pack("<H", planes.shape[1] if rows is None else rows)
    size += struct.pack("<H", planes.shape[2] if columns is None else columns)
    text = struct.pack("<d", zmin) + struct.pack("<H", len(name)) + name
    count = struct.pack("<I", planes.size if numbers is None else numbers)
    return size + text + count + b"".join(struct.pack("<d", number) for number in planes.ravel())


def numbered(height=4, width=3):
    """Planes in which every number is another one and y grows from the first row to the last."""
    return np.arange(5 * height * width).reshape(5, height, width) + 0.25


def saved(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("rows", ORDERS)
def test_bytes_written_by_hand_are_read(tmp_path, rows):
    planes = numbered()
    planes[:, 1, 2] = ZMIN
    planes[2, 3, 0] = ZMIN  # marked in part only
    planes[0, 0, 0] = np.inf
    image = read_bnt(saved(tmp_path / "a.bnt", by_hand(planes)), rows)
    upright = planes[:, ::-1] if rows == "bottom_first" else planes
    invalid = np.array(
        [[upright[0, r, c] in (ZMIN, np.inf) or upright[2, r, c] == ZMIN for c in range(3)] for r in range(4)]
    )
    assert invalid.sum() == 3
    assert_array_equal(image.valid, ~invalid)
    assert_array_equal(image.points, np.where(invalid[..., None], np.nan, np.moveaxis(upright[:3], 0, -1)))
    assert_array_equal(image.texture, np.where(invalid[..., None], np.nan, np.moveaxis(upright[3:], 0, -1)))
    assert image.image_name == "bs000_N_N_0.png"


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 7), st.integers(1, 7), st.integers(0, 2**32 - 1), st.text(st.characters(codec="latin-1"), max_size=9)
)
def test_what_is_written_comes_back(tmp_path_factory, height, width, seed, name):
    rng = np.random.default_rng(seed)
    points, texture = rng.normal(0, 80, (height, width, 3)), rng.uniform(size=(height, width, 2))
    invalid = rng.uniform(size=(height, width)) < 0.3
    points[invalid], texture[invalid] = np.nan, np.nan
    path = tmp_path_factory.getbasetemp() / "c.bnt"
    write_bnt(path, RangeImage(points, texture, name))
    back = read_bnt(path)
    assert_array_equal(back.points, points)
    assert_array_equal(back.texture, texture)
    assert back.image_name == name
    content = np.frombuffer(path.read_bytes()[-40 * height * width :], "<f8").reshape(5, height, width)
    assert (content[:, invalid[::-1]] == ZMIN).all()


def test_rows_are_stored_bottom_first(tmp_path):
    points = np.zeros((2, 3, 3))
    points[0, :, 1] = 50.0
    write_bnt(tmp_path / "a.bnt", RangeImage(points, np.zeros((2, 3, 2))))
    first_y = struct.unpack_from("<d", (tmp_path / "a.bnt").read_bytes(), 18 + 8 * 6)[0]
    last_y = struct.unpack_from("<d", (tmp_path / "a.bnt").read_bytes(), 18 + 8 * 11)[0]
    assert (first_y, last_y) == (0.0, 50.0)


@pytest.mark.parametrize(
    ("rows", "columns", "shape"),
    [(4, 3, (4, 3)), (9, 3, (4, 3)), (4, 9, (4, 3)), (7, 11, (1, 12)), (0, 0, (1, 12)), (1, 1, (1, 12))],
)
def test_a_header_that_does_not_fit_the_numbers_is_made_to_fit(tmp_path, rows, columns, shape):
    image = read_bnt(saved(tmp_path / "a.bnt", by_hand(numbered(), rows=rows, columns=columns)), "top_first")
    assert image.points.shape == (*shape, 3)
    assert_array_equal(image.points.reshape(-1, 3).T, numbered()[:3].reshape(3, -1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"numbers": 61}, "expected numbers in 5 planes, found 4 x 3 points and 61 numbers"),
        ({"numbers": 0}, "expected numbers in 5 planes"),
        ({"numbers": 65}, "cut short: 4 x 3 points and 65 numbers need 553 bytes, found 513"),
        ({"numbers": 2**32 - 1}, r"cut short: .* need 34359738393 bytes"),
        ({"numbers": 55}, "expected 4 x 3 points and 55 numbers to agree"),
        ({"zmin": np.nan}, "expected a finite mark of the background, found nan"),
    ],
)
def test_headers_that_cannot_be_are_refused(tmp_path, change, message):
    with pytest.raises(DataError, match=message) as error:
        read_bnt(saved(tmp_path / "a.bnt", by_hand(numbered(), **change)))
    assert "a.bnt" in str(error.value)
    assert "\n" not in str(error.value)


def test_what_follows_a_whole_image_is_passed_over(tmp_path):
    image = read_bnt(saved(tmp_path / "a.bnt", by_hand(numbered()) + b"more"), "top_first")
    assert_array_equal(np.moveaxis(image.points, -1, 0), numbered()[:3])


def test_missing_and_unreadable_files_are_refused(tmp_path):
    for path in (tmp_path / "none.bnt", tmp_path):
        with pytest.raises(DataError, match="no such file"):
            read_bnt(path)


def test_a_file_truncated_anywhere_is_refused(tmp_path):
    content = by_hand(numbered(3, 2))
    for length in range(len(content)):
        with pytest.raises(DataError, match="cut short"):
            read_bnt(saved(tmp_path / "a.bnt", content[:length]))


@pytest.mark.filterwarnings("error")
def test_flipped_bytes_never_raise_anything_else(tmp_path):
    """Read and mesh 2,500 damaged copies: each gives a DataError or a surface of finite points."""
    x, y = np.meshgrid(np.arange(7.0), np.arange(6.0))
    content = by_hand(np.stack([x, y, np.sin(x + y), x / 7, y / 6]), b"n.png")

    def mesh(path):
        image = read_bnt(path)
        assert image.points.size == 3 * 6 * 7
        assert np.isfinite(triangulate(image, MeshSection()).vertices).all()

    header = 18 + len(b"n.png")
    headers = (head + content[header:] for head in flips(content[:header], 1200, seed=1))
    tried, whole = read_all(mesh, tmp_path / "a.bnt", itertools.chain(flips(content, 1300), headers))
    assert tried == 2500
    assert 200 < whole < tried - 200


def test_absurd_sizes_need_no_memory(tmp_path):
    content = by_hand(numbered(), rows=65535, columns=65535, numbers=4294967295)
    path = saved(tmp_path / "a.bnt", content)
    tracemalloc.start()
    with pytest.raises(DataError, match="cut short"):
        read_bnt(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_reading_needs_twice_the_file_at_most(tmp_path, share):
    points = np.random.default_rng(0).normal(size=(300, 400, 3))
    points[np.random.default_rng(1).uniform(size=(300, 400)) < share] = np.nan
    write_bnt(tmp_path / "a.bnt", RangeImage(points, points[..., :2]))
    tracemalloc.start()
    read_bnt(tmp_path / "a.bnt")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.35 * (tmp_path / "a.bnt").stat().st_size


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (RangeImage(np.zeros((1, 65536, 3)), np.zeros((1, 65536, 2))), "1 x 65536 points are more"),
        (RangeImage(np.zeros((1, 1, 3)), np.zeros((1, 1, 2)), "x" * 65536), "name of 65536 bytes"),
        (RangeImage(np.zeros((1, 1, 3)), np.zeros((1, 1, 2)), "€.png"), "not Latin-1"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path, image, message):
    with pytest.raises(OutputError, match=message):
        write_bnt(tmp_path / "a.bnt", image)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("rows", ORDERS)
def test_the_wrong_order_of_rows_is_noticed(tmp_path, rows):
    x, y = np.meshgrid(np.arange(9.0), np.arange(8.0, 0, -1))
    write_bnt(tmp_path / "a.bnt", RangeImage(np.stack([x, y, x * 0], -1), np.zeros((8, 9, 2))), rows)
    check_rows(read_bnt(tmp_path / "a.bnt", rows), rows, "a.bnt")
    other = ORDERS[1 - ORDERS.index(rows)]
    with pytest.raises(DataError, match=rf"a\.bnt: .*set datasets\.bosphorus\.rows: {rows}"):
        check_rows(read_bnt(tmp_path / "a.bnt", other), other, "a.bnt")
