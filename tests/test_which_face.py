"""Which face of a photograph, whose landmarks, how much of it, and in whose pixels."""

import json
import os

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from real_photographs import hopper
from test_photographs import options, use, write_photographs

from dfmvr import cli
from dfmvr.align.crop import find_alignment, five_points
from dfmvr.datasets.images import write_image
from dfmvr.datasets.landmark_files import write_landmark_file
from dfmvr.errors import ConfigError, DataError
from dfmvr.geometry.rotation import euler_to_rotmat
from dfmvr.reconstruct.export.numbers import document
from dfmvr.reconstruct.fit.pictures import picture_of
from dfmvr.reconstruct.photographs import reconstructor
from dfmvr.reconstruct.photographs.landmarks import ALIGNING
from dfmvr.reconstruct.photographs.reconstructor import Reconstructor


@pytest.fixture(scope="module")
def shipped():
    """The networks that ship, and our own finder."""
    return Reconstructor.load(finder="own")


@pytest.fixture(scope="module")
def whole(shipped):
    """The photograph as it is, seen."""
    return shipped.see(hopper())


def two_people():
    """The photograph beside itself at two thirds, which begins at (0, 100)."""
    photo = hopper()
    small = cv2.resize(photo, None, fx=0.67, fy=0.67, interpolation=cv2.INTER_AREA)
    both = np.zeros((600, photo.shape[1] + small.shape[1], 3), np.uint8)
    both[100 : 100 + small.shape[0], : small.shape[1]] = small
    both[:, small.shape[1] :] = photo
    return both, small.shape[1]


def apart(points, others):
    """Mean distance of the five points."""
    return np.linalg.norm(five_points(points) - five_points(others), axis=1).mean()


def test_several_faces_are_told_and_one_is_chosen_in_each_photograph(shipped, whole):
    both, width = two_people()
    large, small = shipped.see(both, label="group"), shipped.see(both, face=2, label="group")
    assert apart(large.landmarks - (width, 0), whole.landmarks) < 8
    assert apart((small.landmarks - (0, 100)) / 0.67, whole.landmarks) < 12
    x, y = (large.landmarks.min(0) + large.landmarks.max(0)) / 2
    said = f"group: 2 faces; the largest is taken, at ({x:.0f}, {y:.0f}) px; --face takes another"
    assert (large.notes, whole.notes) == ((said,), ())
    assert "2 faces; number 2 by size is taken" in small.notes[0]
    chosen = shipped.from_any([hopper(), both], face={2: 2})
    assert any(np.array_equal(view.landmarks, small.landmarks) for view in chosen.views)
    named = shipped(front=both, face={"front": 2})
    assert np.array_equal(named.views[0].landmarks, small.landmarks)


def test_a_choice_that_cannot_be_is_refused(shipped):
    with pytest.raises(ConfigError, match=r"--face frontal=\.\.\.: expected a photograph of left, front, right"):
        shipped(front=hopper(), face={"frontal": 2})
    with pytest.raises(ConfigError, match=r"--face 3=\.\.\.: expected a photograph of 1 to 2"):
        shipped.from_any([hopper(), hopper()], face={3: 1})
    with pytest.raises(DataError, match="expected 2 faces or more, found 1"):
        shipped(front=hopper(), face={"front": 2})


def test_a_choice_for_a_batch_is_of_a_view(tmp_path, capsys):
    assert cli.main(["reconstruct", "--batch", str(tmp_path), "--face", "3=2", "-o", str(tmp_path / "o")]) == 2
    assert "expected a photograph of left, front, right" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("wrong", ["0", "front=0", "=2", "two", "front=2,3", "1.5"])
def test_a_choice_that_is_none_is_one_line(wrong, tmp_path, capsys):
    assert cli.main(["reconstruct", "a.jpg", "--face", wrong, "-o", str(tmp_path / "o")]) == 2
    assert "dfmvr reconstruct: error: --face" in capsys.readouterr().err.splitlines()[-1]


def test_landmarks_follow_the_order_of_the_command_line(trained, tmp_path):
    folder, told = write_photographs(tmp_path / "photos"), []
    for views in (("left", "front", "right"), ("right", "front", "left"), ("front", "right", "left")):
        output = tmp_path / "-".join(views)
        more = [*use(trained), "-o", str(output), "--format", "ply", "--fast"]
        assert cli.main(["reconstruct", *options(folder, *views), *more]) == 0
        told.append((output / "face.json").read_text())
    assert told[0] == told[1] == told[2]
    assert not any("wrong way round" in one for one in told)


def test_a_file_of_another_photograph_is_said(shipped, whole, tmp_path):
    write_image(tmp_path / "a.png", hopper())
    path = tmp_path / "a.txt"
    for points in (whole.landmarks, five_points(whole.landmarks)):
        write_landmark_file(path, points)
        assert shipped.see(tmp_path / "a.png", path).notes == ()
        write_landmark_file(path, points + np.array((90, 40)))
        (said,) = shipped.see(tmp_path / "a.png", path).notes
        assert said.startswith(f"{tmp_path / 'a.png'}, {path}: its points are ")
        assert abs(int(said.split(" are ")[1].split()[0]) - np.hypot(90, 40)) < 2
    standard = shipped._standard @ euler_to_rotmat(torch.tensor([0, np.radians(40), 0])).numpy().T
    turned = standard[:, :2] * (1, -1)
    turned *= np.ptp(whole.landmarks[:, 1]) / np.ptp(turned[:, 1])
    write_landmark_file(path, turned + five_points(whole.landmarks).mean(0) - five_points(turned).mean(0))
    (said,) = shipped.see(tmp_path / "a.png", path).notes
    assert "tell of a face turned by" in said
    assert shipped.see(np.full((600, 512, 3), 90, np.uint8), path).notes == ()  # no face, no contradiction


def cut(photo, points, below):
    """The photograph cut off below some of its landmarks."""
    return photo[: int(points[below, 1].max()) + 1]


def test_a_tight_crop_is_judged_by_the_points_that_align(shipped, whole, tmp_path):
    photo, points = hopper(), whole.landmarks
    chin = cut(photo, points, [6, 7])
    seen = shipped.see(chin, points)
    lost = points[:, 1] > len(chin)
    assert 1 <= lost.sum() <= 3
    assert np.array_equal(np.isnan(seen.landmarks).any(1), lost)
    assert "the face is cut off" in seen.notes[0]
    assert_allclose(seen.affine, whole.affine, rtol=0.02, atol=2)
    # all but eyes, nose and mouth
    low, high = (np.floor(bound).astype(int) for bound in (points[27:].min(0) - 4, points[27:].max(0) + 5))
    small = np.ascontiguousarray(photo[low[1] : high[1], low[0] : high[0]])
    tight = shipped.see(small, points - low)
    assert np.isnan(tight.landmarks[:27]).any(1).sum() > 17
    assert np.isfinite(tight.landmarks[list(ALIGNING)]).all()
    assert apart(tight.landmarks + low, points) < 1e-9
    with pytest.raises(DataError, match="landmarks outside the photograph"):
        shipped.see(cut(photo, points, [30]), points)


def test_what_is_beyond_the_photograph_is_unknown_to_the_fit(shipped, whole):
    photo, points = hopper(), whole.landmarks
    chin = cut(photo, points, [6, 7])
    seen, size = shipped.see(chin, points), 192
    upright = find_alignment(points, shipped._standard, len(whole.crop)).affine  # without a turn
    picture, uncut = (picture_of(view._replace(affine=upright), size) for view in (seen, whole))
    bottom = upright[1] * size / len(whole.crop) @ (0, len(chin), 1)
    assert (picture.face[int(bottom) - 2 :] == 0).all()
    assert np.array_equal(picture.face[: int(bottom) - 10], uncut.face[: int(bottom) - 10])
    # what is compared is nearly as if the photograph went on
    compared = picture.face > 0
    assert np.abs(picture.evened[compared].astype(int) - uncut.evened[compared]).mean() < 1
    assert uncut.face[int(bottom) - 2 :].any()


def test_dense_points_beyond_the_photograph_are_unknown(whole):
    pytest.importorskip("mediapipe")
    finder = Reconstructor.load(finder="mediapipe")
    photo = cut(hopper(), whole.landmarks, [6, 7])
    seen = finder.see(photo)
    assert "the face is cut off" in seen.notes[0]
    unknown = np.isnan(seen.dense).any(1)
    assert 1 <= unknown.sum() < 60
    assert np.nanmax(seen.dense[:, 1]) <= len(photo)
    assert np.isfinite(finder.see(hopper()).dense).all()


def test_places_are_told_in_pixels_of_the_file(shipped, whole, tmp_path):
    large = cv2.resize(hopper(), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    write_image(tmp_path / "a.png", large)
    write_landmark_file(tmp_path / "a.txt", 4 * whole.landmarks)
    marks = tmp_path / "a.txt"
    full, small = (shipped.see(tmp_path / "a.png", marks, most=most) for most in (10**8, 512 * 600))
    assert (full.reduced, small.reduced, small.photo.shape) == (1, 4, hopper().shape)
    assert_allclose(small.landmarks, whole.landmarks, atol=1e-3)
    told = [
        document(shipped.from_views([[view._replace(name="front", focal_px=3000 / view.reduced)]])[0])["views"][0]
        for view in (full, small)
    ]
    for key, atol in (("photo_to_crop", 0.01), ("landmarks_found", 1e-2), ("canonical_to_photo", None)):
        one, other = (np.array(view[key]) for view in told)
        assert_allclose(one, other, rtol=0.02, atol=0.02 * np.abs(other).max() if atol is None else atol)
    assert told[0]["photo"] == told[1]["photo"] == {"width": 2048, "height": 2400}
    assert told[1]["focal_length"]["known"]


def test_many_large_photographs_are_read_in_a_smaller_size(shipped, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(reconstructor, "MOST_PIXELS", 2 * hopper()[..., 0].size - 1)
    paths = [tmp_path / name for name in ("a.png", "b.png")]
    for number, path in enumerate(paths):
        write_image(path, np.roll(hopper(), number, 2))
    views = shipped.from_any(paths).views
    assert [view.reduced for view in views] == [2, 2]
    assert apart(views[0].in_file.landmarks, whole.landmarks) < 5
    assert "read in 256 x 300" in views[0].notes[0]
    assert [view.reduced for view in shipped.from_any(paths[:1]).views] == [1]


SWALLOWED = {
    "landmarks": (["--landmarks", "a.txt", "me.JPG"], "--landmarks: has taken the photograph me.JPG for itself"),
    "expression": (["--expression-of", "me.heic"], "--expression-of: has taken the photograph me.heic"),
    "parser": (["--parser", "me.png", "b.png"], "--parser: has taken the photograph me.png"),
    "face": (["--face", "me.png"], "--face: has taken the photograph me.png"),
}


@pytest.mark.parametrize("option", SWALLOWED)
def test_an_option_that_takes_a_photograph_says_so(option, tmp_path, capsys):
    arguments, said = SWALLOWED[option]
    assert cli.main(["reconstruct", *arguments, "-o", str(tmp_path / "o")]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_a_list_of_formats_that_takes_a_photograph_says_so(tmp_path, capsys):
    with pytest.raises(SystemExit):
        cli.main(["reconstruct", "-o", str(tmp_path), "--format", "glb", "me.jpg"])
    assert "has taken the photograph me.jpg for itself" in capsys.readouterr().err.splitlines()[-1]


def test_names_that_are_no_text(trained, tmp_path, capfd):
    """Names are bytes; those that are no UTF-8 are read, written and told of like all others."""
    odd = tmp_path / os.fsdecode(b"Ren\xe9e")
    try:
        odd.mkdir()
    except OSError:
        pytest.skip("the file system knows no such names")
    photos = write_photographs(odd / "photos")
    more = [*use(trained), "-o", str(odd / "face"), "--fast", "--viewer"]
    assert cli.main(["reconstruct", *options(photos, "left", "front", "right"), *more]) == 0
    assert {"face.glb", "face.json", "viewer.html"} <= {path.name for path in (odd / "face").iterdir()}
    assert json.loads((odd / "face" / "face.json").read_text())["views"]
    (photos / "front.png").write_bytes(b"none")
    assert cli.main(["reconstruct", *options(photos, "front"), *more]) == 2
    assert "front.png" in capfd.readouterr().err.splitlines()[-1]
    people = odd / "people"
    people.mkdir()
    write_photographs(people / os.fsdecode(b"J\xf6rg"))
    batch = ["--batch", str(people), *use(trained), "-o", str(odd / "faces"), "--fast", "--format", "ply"]
    assert cli.main(["reconstruct", *batch]) == 0
    assert (odd / "faces" / os.fsdecode(b"J\xf6rg") / "face.ply").exists()


def test_pictures_of_faces_that_were_written_are_no_photographs(tmp_path, capsys, caplog):
    """As `*.jpg` has them the second time, where photographs and face share a folder."""
    caplog.set_level("INFO")
    photo, more = tmp_path / "me.png", ["-o", str(tmp_path), "--fast", "--finder", "own", "--format", "ply"]
    write_image(photo, hopper())
    assert cli.main(["reconstruct", str(photo), *more]) == 0
    first = json.loads((tmp_path / "face.json").read_text())
    drawn = [str(path) for path in sorted(tmp_path.glob("overlay_*.jpg"))]
    assert drawn
    assert cli.main(["reconstruct", *drawn, str(photo), *more]) == 0
    assert f"note: {drawn[0]}: a picture that dfmvr wrote; left out" in caplog.text
    assert json.loads((tmp_path / "face.json").read_text()) == first
    assert cli.main(["reconstruct", *drawn, str(photo), *more, "--face", f"{len(drawn) + 1}=2"]) == 2
    assert f"{photo}: expected 2 faces or more, found 1" in capsys.readouterr().err.splitlines()[-1]
    for wrong in (drawn[:1], ["--front", drawn[0]]):
        assert cli.main(["reconstruct", *wrong, *more]) == 2
        assert "name photographs alone" in capsys.readouterr().err.splitlines()[-1]
