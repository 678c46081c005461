import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from dfmvr.datasets import pixel_face
from dfmvr.datasets.landmark_files import read_landmark_file, write_landmark_file
from dfmvr.datasets.pixel_face import GroundTruth, SampleInfo
from dfmvr.errors import DataError


def photos(seed=0, height=40, width=30):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (height, width, 3)).astype(np.uint8) for _ in range(3)]


@pytest.fixture
def root(tmp_path):
    points = np.random.default_rng(0).uniform(-60, 60, (106, 3))
    truth = GroundTruth(points, np.array([[0, 1, 2]]), points)
    landmarks = [np.random.default_rng(view).uniform(0, 30, (68, 2)) for view in range(3)]
    infos = [
        SampleInfo("00001_01", "00001", "train", "1", 1, 30),
        SampleInfo("00001_02", "00001", "train", "2"),
        SampleInfo("00002_other_1", "00002", "test", "23"),
    ]
    for seed, info in enumerate(infos):
        pixel_face.write_sample(tmp_path, info.sample, photos(seed), truth, landmarks, image_format="bmp")
    pixel_face.write_splits(tmp_path, infos)
    return tmp_path


def split_file(root, name):
    return root / "release_id" / "split" / name


def test_samples_come_back(root):
    samples = pixel_face.read_samples(root)
    assert [(s.sample, s.subject, s.expression, s.split) for s in samples] == [
        ("00001_01", "00001", "1", "train"),
        ("00001_02", "00001", "2", "train"),
        ("00002_other_1", "00002", "23", "test"),
    ]
    for seed, sample in enumerate(samples):
        for path, photo in zip(sample.photos, photos(seed), strict=True):
            assert_array_equal(pixel_face.read_photo(path), photo)
    landmarks = np.random.default_rng(1).uniform(0, 30, (68, 2))
    assert_allclose(pixel_face.read_annotation(samples[2].annotations[1]), landmarks, atol=5.01e-4)


def test_split_files_are_as_documented(root):
    assert split_file(root, "release_eva.txt").read_text() == "00002_other_1\n"
    assert split_file(root, "release_info.txt").read_text().splitlines()[0] == "00001 00001_01 1 30 1"


def test_photo_is_stored_so_that_turning_and_mirroring_it_sets_it_upright(root):
    stored = np.array(Image.open(root / "00001_01" / "1" / "t.bmp"))
    clockwise = np.rot90(stored, k=-1)
    assert_array_equal(clockwise[:, ::-1], photos(0)[1])


def test_upright_photos_can_be_read_as_they_are(tmp_path):
    Image.fromarray(photos()[0]).save(tmp_path / "own.png")
    assert_array_equal(pixel_face.read_photo(tmp_path / "own.png", orientation="upright"), photos()[0])


def test_jpeg_comes_back_nearly(tmp_path):
    smooth = np.broadcast_to(np.linspace(0, 255, 48)[:, None, None], (48, 32, 3)).astype(np.uint8)
    pixel_face.write_sample(tmp_path, "a", [smooth, None, smooth], jpeg_quality=(95, 90, 90))
    assert_allclose(pixel_face.read_photo(tmp_path / "a" / "0" / "t.jpg").astype(float), smooth, atol=6)
    assert not (tmp_path / "a" / "1").exists()


def test_missing_files_are_none(root):
    (root / "00001_02" / "0" / "t.bmp").unlink()
    (root / "00001_02" / "2" / "landmarks_68.txt").unlink()
    (root / "00001_02" / "fusion" / "gt.mat").unlink()
    sample = pixel_face.read_samples(root)[1]
    assert [path is None for path in sample.photos] == [True, False, False]
    assert [path is None for path in sample.annotations] == [False, False, True]
    assert sample.ground_truth is None


def test_missing_folder_is_a_sample_of_nothing(root):
    split_file(root, "release_info.txt").open("a").write("00009 00009_01 0 0 0\n")
    split_file(root, "release_eva.txt").open("a").write("00009_01\n")
    sample = pixel_face.read_samples(root)[-1]
    assert (sample.sample, sample.photos, sample.ground_truth) == ("00009_01", (None, None, None), None)


def test_split_file_may_name_a_subject(root):
    split_file(root, "release_train.txt").write_text("00001\n")
    assert [s.sample for s in pixel_face.read_samples(root)] == ["00001_01", "00001_02", "00002_other_1"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("release_train.txt", "00007\n", "'00007' is neither a sample nor a subject"),
        ("release_train.txt", "00002_other_1\n", "also in the train split"),
        ("release_info.txt", "00001 00001_01 1\n", "line 1: expected subject, sample, gender, age, expression"),
        ("release_info.txt", "00001 ../x 0 0 0\n", "no folder name"),
        ("release_info.txt", "1 a 0 0 0\n1 a 0 0 0\n", "line 2.*twice"),
        ("release_eva.txt", None, "no such file"),
    ],
)
def test_broken_split_files_are_refused(root, name, text, message):
    split_file(root, name).unlink() if text is None else split_file(root, name).write_text(text)
    with pytest.raises(DataError, match=message):
        pixel_face.read_samples(root)


def test_empty_splits_are_refused(root):
    pixel_face.write_splits(root, [])
    with pytest.raises(DataError, match="no sample in"):
        pixel_face.read_samples(root)


def test_subject_in_both_splits_is_warned_of(root, caplog):
    split_file(root, "release_train.txt").write_text("00001_01\n")
    split_file(root, "release_eva.txt").write_text("00001_02\n")
    pixel_face.read_samples(root)
    assert "1 subjects are in both splits, such as 00001" in caplog.text


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "png"])
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.95])
def test_truncated_photo_is_refused(suffix, share, tmp_path):
    pixel_face.write_sample(tmp_path, "a", photos(), image_format=suffix)
    path = tmp_path / "a" / "0" / f"t.{suffix}"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=rf"t\.{suffix}: not a readable image"):
        pixel_face.read_photo(path)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), min_size=1, max_size=5))
def test_photo_with_flipped_bytes_never_raises_anything_else(tmp_path_factory, changes):
    path = tmp_path_factory.getbasetemp() / "flipped" / "0" / "t.jpg"
    pixel_face.write_sample(path.parents[2], "flipped", photos())
    content = bytearray(path.read_bytes())
    for position, value in changes:
        content[position % len(content)] = value
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        assert pixel_face.read_photo(path).dtype == np.uint8


def test_grey_and_transparent_images_become_rgb_and_16_bits_are_refused(tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(np.dstack([grey] * 4)).save(tmp_path / "rgba.png")
    Image.fromarray(grey.astype(np.uint16)).save(tmp_path / "deep.png")
    for name in ("grey", "rgba"):
        assert_array_equal(pixel_face.read_photo(tmp_path / f"{name}.png", "upright"), np.dstack([grey] * 3))
    with pytest.raises(DataError, match="8 bits"):
        pixel_face.read_photo(tmp_path / "deep.png")


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([5, 68]), st.integers(0, 2**32 - 1))
def test_landmark_file_comes_back(tmp_path_factory, count, seed):
    points = np.random.default_rng(seed).uniform(-10, 5000, (count, 2))
    path = tmp_path_factory.getbasetemp() / "points.txt"
    write_landmark_file(path, points)
    assert_allclose(read_landmark_file(path), points, rtol=0, atol=5.01e-4)


@pytest.mark.parametrize("text", ["x,y\n1,2\n3,4\n5,6\n7,8\n9,10\n", "# eyes\n1 2\n3;4\n\n5\t6\n7, 8\n9 10"])
def test_landmark_file_takes_csv_and_comments(tmp_path, text):
    (tmp_path / "p.csv").write_text(text)
    assert_array_equal(read_landmark_file(tmp_path / "p.csv"), np.arange(1, 11).reshape(5, 2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1 2\n3 4\n", "expected 5 or 68 points, one a line, found 2"),
        (b"1 2\n3 4 5\n", "line 2: expected two numbers"),
        (b"1 2\n3 nan\n5 6\n7 8\n9 10\n", "point 1 is not finite"),
        (b"1 2\nnose\n", "line 2: expected two numbers"),
        (b"\xff\xfe\x00", "not readable as text"),
        (b"", "found 0"),
    ],
)
def test_broken_landmark_file_is_refused(tmp_path, content, message):
    (tmp_path / "p.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_landmark_file(tmp_path / "p.txt")
