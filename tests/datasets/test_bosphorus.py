"""Bosphorus: names, landmark files, and samples found in its layout."""

import contextlib
import itertools
import math

import numpy as np
import pytest
from damage import flips, read_all, truncations
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from toy_manifest import write_manifest

from dfmvr.config.data import BosphorusData
from dfmvr.conventions import ALIGNMENT_IN_68, ALIGNMENT_POINTS
from dfmvr.datasets.bosphorus.dataset import Bosphorus, write_scan
from dfmvr.datasets.bosphorus.landmarks import (
    LANDMARKS,
    as_68,
    check_sides,
    landmark_name,
    named_points,
    read_lm2,
    read_lm3,
    write_lm2,
    write_lm3,
)
from dfmvr.datasets.bosphorus.names import ScanName
from dfmvr.datasets.bosphorus.range_image import RangeImage
from dfmvr.datasets.layouts import open_dataset
from dfmvr.datasets.manifest import read_manifest, varied_view, varied_yaws
from dfmvr.errors import ConfigError, DataError

ACROSS = {
    "Outer left eyebrow": -50,
    "Outer left eye corner": -45,
    "Inner left eye corner": -18,
    "Inner right eye corner": 18,
    "Outer right eye corner": 45,
    "Nose tip": 0,
    "Left mouth corner": -25,
    "Right mouth corner": 25,
    "Chin middle": 1,
}
"""x in mm of some points of a frontal face, `left` being the image's left."""

FACE = {name: np.array([x, 10.5, 90.0 - abs(x)]) for name, x in ACROSS.items()}
PIXELS = {name: np.array([100.0 + x, 80.25]) for name, x in ACROSS.items()}


def image_of(name):
    points = np.zeros((3, 4, 3)) + np.arange(4)[:, None]
    return RangeImage(points, np.full((3, 4, 2), 0.5), f"{name.stem}.png")


def write(root, *stems):
    for stem in stems:
        name = ScanName.parse(stem)
        photo = np.full((20, 30, 3), sum(stem.encode()) % 256, np.uint8)
        write_scan(root, name, image_of(name), photo, FACE, PIXELS)


# Names


@pytest.mark.parametrize(
    ("stem", "parts", "expression", "yaw"),
    [
        ("bs000_N_N_0", ("bs000", "N", "N", 0), "neutral", 0),
        ("bs104_N_N_3", ("bs104", "N", "N", 3), "neutral", 0),
        ("bs003_E_HAPPY_0", ("bs003", "E", "HAPPY", 0), "happy", 0),
        ("bs003_LFAU_12LW_0", ("bs003", "LFAU", "12LW", 0), "lower_12lw", 0),
        ("bs003_UFAU_43_1", ("bs003", "UFAU", "43", 1), "upper_43", 0),
        ("bs001_CAU_A26A12lw_0", ("bs001", "CAU", "A26A12lw", 0), "combined_a26a12lw", 0),
        ("bs012_YR_R45_0", ("bs012", "YR", "R45", 0), "neutral", -45),
        ("bs012_YR_R10_0", ("bs012", "YR", "R10", 0), "neutral", -10),
        ("bs012_YR_L90_0", ("bs012", "YR", "L90", 0), "neutral", 90),
        ("bs012_PR_SU_0", ("bs012", "PR", "SU", 0), "neutral", 0),
        ("bs012_CR_RD_0", ("bs012", "CR", "RD", 0), "neutral", math.nan),
        ("bs012_O_GLASSES_0", ("bs012", "O", "GLASSES", 0), "neutral", 0),
    ],
)
def test_names_tell_what_a_scan_shows(stem, parts, expression, yaw):
    name = ScanName.parse(stem)
    assert tuple(name) == parts
    assert name.stem == stem
    assert (name.expression, name.ignored) == (expression, False)
    assert_array_equal(name.yaw(), yaw)
    assert_array_equal(name.yaw(exchange_sides=True), -yaw)


def test_ignored_scans_are_known_by_class_or_code():
    assert ScanName.parse("bs001_IGN_N_0").ignored
    assert ScanName.parse("bs001_E_IGN_0").ignored


@pytest.mark.parametrize(
    "stem",
    [
        "",
        "bs000_N_N",
        "bs000_N_N_0_1",
        "bs00_N_N_0",
        "BS000_N_N_0",
        "bs000_X_N_0",
        "bs000_N__0",
        "bs000_N_N_x",
        "bs000_N_N_-1",
        "bs000_N_../_0",
        "bs000_N_N_0 ",
        "bs０００_N_N_0",
        "bs000_N_N_99999",
    ],
)
def test_other_names_are_refused(stem):
    with pytest.raises(DataError, match="expected subject, class"):
        ScanName.parse(stem)


@settings(max_examples=200, deadline=None)
@given(st.text("bs0123456789_NEYRILx", max_size=16))
def test_any_text_is_a_name_that_comes_back_or_none(stem):
    with contextlib.suppress(DataError):
        name = ScanName.parse(stem)
        assert ScanName.parse(name.stem) == name


# Landmark files

LM3 = """D:\\scans\\bs000_N_N_0.bnt
*
hand-marked, 2 passes
3 of them twice

3
Outer left eyebrow
-50.5 30 1e1
Nose tip
0.5 -1.25 95.125
Chin middle
1 -70 80
"""
LM2 = """first line
second line
3
\t
names follow
Nose tip
Outer left eyebrow
Chin middle

and where they are
400.5 300
320 240.75
401 512
"""


def saved(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("text", [LM3, LM3.replace("\n", "\r\n"), LM3.replace("\n", "\n# a comment\n"), LM3.rstrip()])
def test_lm3_is_read_by_name(tmp_path, text):
    points = read_lm3(saved(tmp_path / "a.lm3", text))
    assert list(points) == ["Outer left eyebrow", "Nose tip", "Chin middle"]
    assert_array_equal(points["Nose tip"], [0.5, -1.25, 95.125])
    assert_array_equal(points["Outer left eyebrow"], [-50.5, 30, 10])


def test_lm3_needs_no_block_of_information(tmp_path):
    text = "path\n2 landmarks:\n\nNose tip\n1 2 3\n\nChin middle\n4 5 6\n\n"
    assert_array_equal(read_lm3(saved(tmp_path / "a.lm3", text))["Chin middle"], [4, 5, 6])


@pytest.mark.parametrize(
    "text", [LM2, LM2.replace("\n", "\r\n"), LM2.replace("names follow", "Labels:").replace("3\n\t", "3 landmarks:\n")]
)
def test_lm2_is_read_by_name(tmp_path, text):
    points = read_lm2(saved(tmp_path / "a.lm2", text))
    assert list(points) == ["Nose tip", "Outer left eyebrow", "Chin middle"]
    assert_array_equal(points["Nose tip"], [400.5, 300])
    assert_array_equal(points["Chin middle"], [401, 512])


def test_a_first_line_in_any_encoding_is_no_hindrance(tmp_path):
    saved(tmp_path / "a.lm3", LM3.replace("scans", "şarkı"), "iso-8859-9")
    assert "Nose tip" in read_lm3(tmp_path / "a.lm3")


@pytest.mark.parametrize("label", ["NOSE TIP", " nose  tip ", "Tip of the nose"])
def test_spelling_of_labels_may_vary(label):
    assert landmark_name(label) == "Nose tip"
    assert landmark_name("Middle of the left eyebrow") == "Middle left eyebrow"
    assert landmark_name("Left ear lobe") == "Ear lobe left"
    assert landmark_name("Third  eye") == "Third eye"


@pytest.mark.parametrize("name", LANDMARKS)
def test_no_two_landmarks_are_taken_for_each_other(name):
    assert landmark_name(name.upper()) == name


COORDINATES = st.floats(-2000, 2000)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.lists(st.sampled_from(list(LANDMARKS)), unique=True))
def test_landmarks_come_back_exactly(tmp_path_factory, data, names):
    folder = tmp_path_factory.getbasetemp()
    for size, write_points, read_points in ((3, write_lm3, read_lm3), (2, write_lm2, read_lm2)):
        points = {name: np.array(data.draw(st.lists(COORDINATES, min_size=size, max_size=size))) for name in names}
        write_points(folder / "points", points)
        back = read_points(folder / "points")
        assert list(back) == names
        for name in names:
            assert_array_equal(back[name], points[name])


BROKEN = [
    (LM3, "\n3\nOuter", "\nOuter", "expected the number of landmarks, found 'Outer left eyebrow'"),
    (LM3, "\n3\nOuter", "\n4\nOuter", "expected 4 landmarks in two lines each, found 6 lines"),
    (LM3, "\n3\nOuter", "\n999999999999\nOuter", "expected 999999999999 landmarks"),
    (LM3, "\n3\nOuter", "\n-3\nOuter", "expected -3 landmarks"),
    (LM3, "Chin middle", "nose TIP", "'Nose tip' is there twice"),
    (LM3, "95.125", "nan", "expected 3 finite numbers for 'Nose tip', found '0.5 -1.25 nan'"),
    (LM3, "95.125", "1e999", "3 finite numbers"),
    (LM3, "95.125", "95,125", "3 finite numbers"),
    (LM3, " 95.125", "", "3 finite numbers"),
    (LM3, "\n\n", "\n", "expected the number of landmarks, found 'nothing'"),
    (LM3, LM3, "", "found 'nothing'"),
    (LM2, "\n3\n", "\n4\n", "expected 2 finite numbers for 'names follow'"),
    (LM2, "\n3\n", "\n2\n", "expected 2 landmarks, found"),
    (LM2, "\n3\n", "\n-3\n", "expected the number of landmarks, found '-3'"),
    (LM2, "\n3\n", "\nthree\n", "expected the number of landmarks, found 'three'"),
    (LM2, "\n3\n", "\n12345678901234567890\n", "expected 12345678901234567890 landmarks"),
    (LM2, "Chin middle", "Nose tip", "there twice"),
    (LM2, "400.5 300", "400.5", "expected 2 finite numbers for 'Nose tip'"),
    (LM2, "400.5", "inf", "2 finite numbers"),
    (LM2, LM2[LM2.index("400.5") :], "", "expected 3 landmarks, found"),
    (LM2, LM2, "", "found 'nothing'"),
]


@pytest.mark.parametrize(("text", "old", "new", "message"), BROKEN)
def test_broken_landmark_files_are_refused(tmp_path, text, old, new, message):
    assert old in text
    with pytest.raises(DataError, match=message) as error:
        (read_lm3 if text is LM3 else read_lm2)(saved(tmp_path / "a.lm", text.replace(old, new)))
    assert "a.lm" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_that_nobody_knows_stays_as_it_is(tmp_path):
    assert "Äußere left eyebrow" in read_lm3(saved(tmp_path / "a.lm3", LM3.replace("Outer", "Äußere")))


@pytest.mark.parametrize("read", [read_lm2, read_lm3])
def test_files_that_are_no_text_are_refused(tmp_path, read):
    for content, message in (
        (LM3.encode("utf-16-le"), "zero bytes, as in UTF-16"),
        (LM3.replace("Outer", "\xc4u\xdfere").encode("latin-1"), "line 7: not readable as text"),
        (b" " * (1 << 21), "expected a text of 1024 KiB at the most"),
    ):
        (tmp_path / "a.lm").write_bytes(content)
        with pytest.raises(DataError, match=message):
            read(tmp_path / "a.lm")
    for path in (tmp_path, tmp_path / "none.lm3"):
        with pytest.raises(DataError, match="no such file; supply the landmark file"):
            read(path)


@pytest.mark.parametrize(("read", "text"), [(read_lm2, LM2), (read_lm3, LM3)])
def test_damaged_landmark_files_are_refused_or_read(tmp_path, read, text):
    contents = itertools.chain(truncations(text.encode()), flips(text.encode(), 2000))
    tried, whole = read_all(read, tmp_path / "a", contents)
    assert 0 < whole < tried - 200


# Sides


def test_landmarks_take_their_places_in_68():
    points = as_68(FACE, "image")
    assert points.shape == (68, 3)
    assert_array_equal(points[list(ALIGNMENT_IN_68), 0], [-45, -18, 18, 45, 0, -25, 25])
    assert_array_equal(points[[17, 8], 0], [-50, 1])
    assert np.isfinite(points[:, 0]).sum() == len(FACE)
    mirrored = {name: point * (-1, 1, 1) for name, point in FACE.items()}  # the labels now tell the person's sides
    by_person = as_68(mirrored, "person")
    assert_array_equal(by_person[list(ALIGNMENT_IN_68), 0], [-45, -18, 18, 45, 0, -25, 25])
    assert_array_equal(by_person[[26, 8], 0], [50, -1])
    assert np.isnan(as_68({}, "image")).all()


def test_points_are_named_by_the_persons_own_sides():
    named = named_points(FACE, "image")
    assert tuple(named)[:7] == ALIGNMENT_POINTS
    assert named["outer_eye_right"][0] == -45
    assert named["mouth_corner_left"][0] == 25
    assert set(named) - set(ALIGNMENT_POINTS) == {"outer_right_eyebrow", "chin_middle"}
    few = {name: FACE[name] for name in ("Nose tip", "Outer left eyebrow", "Left mouth corner")}
    assert set(named_points(few, "person")) == {"nose_tip", "outer_left_eyebrow", "mouth_corner_left"}
    odd = named_points({"Outer eye left": np.ones(3), **FACE}, "image")
    assert odd["outer_eye_right"][0] == -45


def test_the_wrong_side_of_landmarks_is_noticed():
    for points in (FACE, PIXELS):
        check_sides(points, "image", "a.lm3")
        with pytest.raises(DataError, match=r"a\.lm3: .*set datasets\.bosphorus\.landmark_sides: image"):
            check_sides(points, "person", "a.lm3")
    mirrored = {name: point * (-1, 1, 1) for name, point in FACE.items()}
    check_sides(mirrored, "person", "a.lm3")
    with pytest.raises(DataError, match="landmark_sides: person"):
        check_sides(mirrored, "image", "a.lm3")
    check_sides(FACE, "person", "a.lm3", yaw=90)  # a profile tells nothing
    check_sides({"Nose tip": FACE["Nose tip"]}, "person", "a.lm3")


# The data set


@pytest.fixture
def root(tmp_path):
    views = ("N_N_0", "N_N_1", "YR_R10_0", "YR_R20_0", "YR_R30_0", "YR_R45_0", "YR_L45_0", "E_HAPPY_0")
    write(tmp_path, *(f"{subject}_{view}" for subject in ("bs001", "bs000") for view in views))
    return tmp_path


def test_samples_come_back(root):
    data = open_dataset("bosphorus", root, BosphorusData())
    samples = list(data.samples())
    codes = ("R10", "R20", "R30", "R45")
    assert [s.sample for s in samples] == [f"{subject}_{code}" for subject in ("bs000", "bs001") for code in codes]
    first = samples[0]
    assert (first.subject, first.split, first.expression, first.yaws) == ("bs000", "test", "neutral", (-10, 0, 45))
    names = ("bs000_YR_R10_0", "bs000_N_N_0", "bs000_YR_L45_0")
    assert first.photos == tuple(root / "bs000" / f"{name}.png" for name in names)
    assert first.annotations == tuple(root / "bs000" / f"{name}.lm2" for name in names)
    assert first.scan == root / "bs000" / "bs000_N_N_0.bnt"
    assert {(s.scan_name, s.scan) for s in samples} == {
        (f"{subject}_N_N_0", root / subject / f"{subject}_N_N_0.bnt") for subject in ("bs000", "bs001")
    }
    assert (data.read_photo(first.photos[1]) == sum(b"bs000_N_N_0") % 256).all()
    assert_array_equal(data.read_annotation(first.annotations[1])[[36, 45]], [[55, 80.25], [145, 80.25]])
    assert data.read_scan(first.scan).image_name == "bs000_N_N_0.png"


def test_missing_files_are_none(root):
    for name in ("bs000_YR_R10_0.png", "bs000_YR_L45_0.lm2", "bs000_N_N_0.bnt"):
        (root / "bs000" / name).unlink()
    for path in (root / "bs001").glob("*_R20_0.*"):
        path.unlink()
    samples = {s.sample: s for s in Bosphorus(root, BosphorusData()).samples()}
    sample = samples["bs000_R10"]
    assert [path is None for path in sample.photos] == [True, False, False]
    assert [path is None for path in sample.annotations] == [False, False, True]
    assert sample.scan is None
    assert samples["bs001_R20"].photos[0] is None
    assert len(samples) == 8


def test_the_first_take_counts(root):
    for path in (root / "bs000").glob("*_N_N_0.*"):
        path.unlink()
    sample = next(Bosphorus(root, BosphorusData()).samples())
    assert sample.photos[1].name == "bs000_N_N_1.png"
    assert sample.scan.name == "bs000_N_N_1.bnt"


def test_a_further_take_of_all_three_views_is_a_sample_under_another_light(root):
    write(root, "bs000_YR_R30_1", "bs000_YR_L45_1", "bs001_YR_R20_1")  # of bs001 the other side view is missing
    samples = list(Bosphorus(root, BosphorusData()).samples())
    assert [s.sample for s in samples if s.subject == "bs000"][-1] == "bs000_relit"
    assert len(samples) == 4 + 1 + 4
    relit = samples[4]
    assert relit.yaws == (-30, 0, 45)
    assert [path.stem for path in relit.photos] == ["bs000_YR_R30_1", "bs000_N_N_1", "bs000_YR_L45_1"]
    assert [path.stem for path in relit.annotations] == [path.stem for path in relit.photos]
    assert relit.scan.name == "bs000_N_N_0.bnt"
    assert [s.illumination for s in samples[:6]] == [""] * 4 + ["random", ""]
    for reading in (BosphorusData(relit_take=None), BosphorusData(relit_take=0), BosphorusData(left=("YR_R10",))):
        assert not any(s.illumination for s in Bosphorus(root, reading).samples())


def test_a_yaw_that_was_drawn_with_the_light_is_no_nominal_one(root, tmp_path):
    write(root, "bs000_YR_R30_1", "bs000_YR_L45_1")
    manifest = read_manifest(write_manifest(tmp_path / "m.parquet", list(Bosphorus(root, BosphorusData()).samples())))
    yaws = varied_yaws(manifest)
    assert yaws.drop("bs000_relit").notna().all()
    assert np.isnan(yaws["bs000_relit"])


def test_other_scans_can_be_chosen(root):
    reading = BosphorusData(scan="E_happy", front="E_HAPPY", left=("YR_R45", "PR_R45"))
    samples = list(Bosphorus(root, reading).samples())
    assert [s.sample for s in samples[:2]] == ["bs000_YR_R45", "bs000_PR_R45"]
    assert samples[0].scan.name == "bs000_E_HAPPY_0.bnt"
    assert samples[0].expression == "happy"


def test_exchanged_sides_exchange_the_views(root):
    sample = next(Bosphorus(root, BosphorusData(exchange_sides=True)).samples())
    assert sample.yaws == (-45, 0, 10)
    assert [path.name for path in sample.photos] == ["bs000_YR_L45_0.png", "bs000_N_N_0.png", "bs000_YR_R10_0.png"]
    assert [path.suffix for path in sample.annotations] == [".lm2"] * 3


@pytest.mark.parametrize(("exchanged", "view", "sign"), [(False, "left", -1), (True, "right", 1)])
def test_the_view_that_varies_is_the_one_of_the_turns_to_r(root, tmp_path, exchanged, view, sign):
    samples = list(Bosphorus(root, BosphorusData(exchange_sides=exchanged)).samples())
    manifest = read_manifest(write_manifest(tmp_path / "manifest.parquet", samples))
    assert varied_view(manifest) == view
    assert varied_yaws(manifest).tolist() == [sign * yaw for yaw in (10, 20, 30, 45)] * (len(samples) // 4)


def test_strange_names_are_passed_over_and_counted(root, caplog):
    write(root, "bs000_IGN_N_0")
    for name in ("._bs000_N_N_0.png", "bs000_X_Y_0.bnt", "bs001_N_N_0.bnt", "readme.txt"):
        (root / "bs000" / name).write_bytes(b"")
    (root / "report.pdf").write_bytes(b"")
    assert len(list(Bosphorus(root, BosphorusData()).samples())) == 8
    assert "3 files passed over, such as" in caplog.text


def test_left_and_right_of_annotations_are_checked(root):
    data = Bosphorus(root, BosphorusData(landmark_sides="person"))
    for stem in ("bs000_N_N_0", "bs000_YR_L45_0"):
        with pytest.raises(DataError, match=rf"{stem}\.lm2: .*landmark_sides: image"):
            data.read_annotation(root / "bs000" / f"{stem}.lm2")
    (root / "bs000" / "bs000_N_N_0.lm2").rename(root / "own.lm2")
    assert data.read_annotation(root / "own.lm2").shape == (68, 2)


@pytest.mark.parametrize(("key", "value"), [("scan", "neutral"), ("left", ("R10",)), ("right", "YR_"), ("front", "")])
def test_settings_that_name_no_scan_are_refused(root, key, value):
    with pytest.raises(ConfigError, match=rf"datasets\.bosphorus\.{key}: expected a class and a code"):
        Bosphorus(root, BosphorusData(**{key: value}))


def test_other_folders_are_refused(root, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    for place, message in ((empty, "expected a folder a subject"), (empty / "none", "no such folder; set datasets")):
        with pytest.raises(DataError, match=message):
            next(Bosphorus(place, BosphorusData()).samples())
    with pytest.raises(DataError, match="left is empty"):
        next(Bosphorus(root, BosphorusData(left=())).samples())


def test_a_name_that_could_not_be_read_is_not_written(tmp_path):
    name = ScanName("bs000", "N", "../N", 0)
    with pytest.raises(DataError, match="expected subject, class"):
        write_scan(tmp_path, name, image_of(name), np.zeros((2, 2, 3), np.uint8), FACE, PIXELS)
    assert not any(tmp_path.iterdir())
