"""Faces found by mediapipe, what its points mean, and how that is learnt. What runs the library needs it installed."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from real_photographs import astronaut, hopper
from test_find_landmarks import ASTRONAUT, HOPPER, off_percent

from dfmvr.align import by_mediapipe
from dfmvr.align.by_mediapipe import find_dense, mesh_frame
from dfmvr.align.crop import map_points, turned
from dfmvr.align.dense import CONTOUR, IRISES, POINTS, read_dense, shipped_dense, write_dense
from dfmvr.align.frame import warp
from dfmvr.align.known_photographs import PHOTOS, draw_known, face_turn_deg
from dfmvr.align.learn_mediapipe import Observations, learn
from dfmvr.align.learn_places import band_weights, learn_mirrored, learn_mixing, learn_places
from dfmvr.assets.files import asset
from dfmvr.assets.shipped import SHIPPED
from dfmvr.cli import main as cli
from dfmvr.errors import DataError, UnavailableError
from dfmvr.face_model.packed import read_model
from dfmvr.simulate.studio.camera import rotation

BANDS = np.arange(-75.0, 76.0, 15.0)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture(scope="module")
def library():
    pytest.importorskip("mediapipe", reason="finds the faces")
    if not by_mediapipe.is_available():
        pytest.skip("the installed mediapipe is without the models that are asked for")


@pytest.fixture(scope="module")
def model():
    return read_model(asset(SHIPPED["face_model"]))


# Learning


def bumpy_sheet(rng, side=9):
    """A surface over a square grid, (V, 3) mm, and its triangles."""
    x, y = (a.ravel() * 4.0 for a in np.mgrid[:side, :side])
    points = np.stack([x, y, rng.normal(0, 3, x.size)], 1)
    at = np.arange(side * side).reshape(side, side)
    lower = np.stack([at[:-1, :-1], at[1:, :-1], at[:-1, 1:]], -1).reshape(-1, 3)
    upper = np.stack([at[1:, :-1], at[1:, 1:], at[:-1, 1:]], -1).reshape(-1, 3)
    return points, np.concatenate([lower, upper])


def test_places_are_learnt_though_some_photographs_are_wrong(rng):
    points, triangles = bumpy_sheet(rng)
    corners = triangles[rng.choice(len(triangles), 12, replace=False)]
    weights = rng.dirichlet((2, 2, 2), 12)
    true = np.einsum("kj,kji->ki", weights, points[corners])
    yaws = rng.uniform(-30, 30, 300)
    turns = np.stack([rotation((rng.normal(0, 8), yaw, 0)) for yaw in yaws])
    surfaces = np.einsum("nij,vj->nvi", turns, points)[..., :2]
    noise = rng.normal(0, (0.2, 0.5), (300, 12, 2))
    found = np.einsum("nij,kj->nki", turns, true)[..., :2] + noise
    found[:30] += (25, -20)
    everywhere = [np.ones(len(points), bool)] * 12
    learnt = learn_places(found, surfaces, band_weights(yaws, np.array([-20.0, 20.0])), triangles, everywhere)
    places = np.einsum("bkj,bkji->bki", learnt.weights, points[learnt.vertices])
    assert np.linalg.norm(places - true, axis=2).max() < 0.6  # mm; the grid within a triangle has steps of 0.3 to 0.6
    assert_allclose(learnt.weights.sum(2), 1)
    assert_allclose(np.sqrt(learnt.covariance[:, :, [0, 1], [0, 1]]).mean(1), [(0.2, 0.5)] * 2, rtol=0.2)


def test_a_place_stays_where_it_may_be(rng):
    points, triangles = bumpy_sheet(rng)
    may = points[:, 0] < 10
    surfaces = np.repeat(points[None, :, :2], 5, 0)
    found = np.repeat([[[20.0, 8.0]]], 5, 0)
    learnt = learn_places(found, surfaces, np.ones((5, 1)), triangles, [may])
    assert may[learnt.vertices].all()
    assert_allclose((learnt.weights[0, 0] @ points[learnt.vertices[0, 0]])[:2], [8, 8])


def test_bands_share_a_photograph_by_how_near_it_is():
    shares = band_weights(np.array([-90.0, -75, -7.5, 4, 100]), BANDS)
    assert_allclose(shares.sum(1), 1)
    assert_allclose(shares[2, [4, 5]], 0.5)
    assert_allclose(shares @ BANDS, [-75, -75, -7.5, 4, 75])


def test_landmarks_are_mixed_of_the_points_that_make_them(rng):
    points = rng.normal(0, 20, (400, 15, 2))
    true = rng.dirichlet(np.ones(3), 2)
    near = np.array([[0, 3, 7], [2, 5, 11]])
    points[:, near[:, 1:]] = points[:, near[:, :1]] + rng.normal(0, 2, (400, 2, 2, 2))
    landmarks = np.einsum("jc,njci->nji", true, points[:, near])
    landmarks[:40] += 30
    chosen, mixing = learn_mixing(points, landmarks, np.ones((400, 1)), 6, 0.02)
    assert_allclose(mixing.sum(2), 1)
    made = np.einsum("jc,njci->nji", mixing[0], points[:, chosen[0]])
    assert np.linalg.norm(made - landmarks, axis=2)[40:].max() < 0.2


def test_mirrored_points_are_told_from_photographs(rng):
    half = rng.uniform((2, -60), (60, 60), (8, 2))
    middle = np.column_stack([np.zeros(3), (-50, 0, 40)])
    face = np.concatenate([half, middle, half * (-1, 1)])
    yaws = rng.uniform(-45, 45, 200)
    found = face * np.stack([np.cos(np.radians(yaws)), np.ones(200)], 1)[:, None] + rng.normal(0, 1, (200, 19, 2))
    assert learn_mirrored(found, yaws).tolist() == [*range(11, 19), 8, 9, 10, *range(8)]


def test_the_turn_of_a_head_before_the_camera():
    # nose to the image's right and head tilted clockwise
    assert_allclose(face_turn_deg(rotation((0.0, 30.0, 0.0))), (30, 0), atol=1e-9)
    assert_allclose(face_turn_deg(rotation((0.0, 0.0, -20.0))), (0, 20), atol=1e-9)


def test_known_photographs_tell_where_the_surface_is(heads_file):
    known = list(draw_known(heads_file, 1, 3))
    assert len(known) == PHOTOS
    yaws = np.array([one.yaw_deg for one in known])
    assert (np.diff(yaws) > 0).all()
    assert yaws[0] < -60
    assert yaws[-1] > 60
    for one in known:
        gaps = np.linalg.norm(one.surface[None] - one.landmarks[:, None], axis=2).min(1)
        assert gaps.max() < 3 * one.px_per_mm  # the landmarks are vertices of a finer mesh
        assert ((one.landmarks > 0) & (one.landmarks < one.photo.shape[0])).all()
        # the nose points where the yaw says, and the chin is below the brow when the picture is levelled
        up = turned(-one.roll_deg) @ (one.landmarks[27] - one.landmarks[8])
        assert up[1] < -2 * abs(up[0]) or abs(one.yaw_deg) > 45
        eyes = one.landmarks[36:48].mean(0)
        assert (one.landmarks[30] - eyes)[0] * one.yaw_deg > 0 or abs(one.yaw_deg) < 15


def test_heads_of_another_face_model_are_refused(library, heads_file, tmp_path, capsys):
    words = ["align", "learn_mediapipe", "--heads", str(heads_file), "--output", str(tmp_path / "points.npz")]
    assert cli([*words, "--people", "1"]) == 2
    assert "the coarse mesh of the face model" in capsys.readouterr().err


def test_too_few_photographs_are_said(model):
    with pytest.raises(DataError, match=r"too few photographs .*, 0 in all; draw more people"):
        learn(Observations(), model)


# What ships


def test_a_file_of_points_is_read_as_it_was_written(tmp_path):
    dense = shipped_dense()
    write_dense(tmp_path / "points.npz", dense)
    again = read_dense(tmp_path / "points.npz")
    for name in vars(dense):
        assert_allclose(getattr(again, name), getattr(dense, name), rtol=1e-6, atol=1e-7)
    np.savez(tmp_path / "short.npz", **(vars(dense) | {"weights": dense.weights[:, :9]}))
    with pytest.raises(DataError, match=r"short.npz: weights: expected shape .*478"):
        read_dense(tmp_path / "short.npz")


def test_places_are_where_their_names_say(model):
    dense, mean = shipped_dense(), model.mean.numpy()
    assert dense.vertices.max() < model.coarse_vertices
    landmarks = mean[model.landmarks_68.numpy()]
    for yaw in (-30, 0, 30):
        places = dense.at(yaw)
        found = np.einsum("kj,kji->ki", places.weights, mean[places.vertices])
        # eye corners, tip of the nose, corners of the mouth, and from the front the chin, which is on the outline
        names = [(33, 36), (133, 39), (362, 42), (263, 45), (4, 30), (61, 48), (291, 54), *([] if yaw else [(152, 8)])]
        for point, landmark in names:
            assert np.linalg.norm(found[point] - landmarks[landmark]) < 9, (yaw, point)
        eyes = model.labels.numpy()[places.vertices[list(IRISES)]]
        assert np.isin(eyes, [4, 5]).all()


def test_what_is_learnt_is_nearly_the_mirror_image_of_itself():
    dense = shipped_dense()
    assert_allclose(dense.bands, -dense.bands[::-1])
    assert_allclose(dense.mirrored[dense.mirrored], range(POINTS))
    assert dense.mirrored[[33, 133, 61, 4, 152]].tolist() == [263, 362, 291, 4, 152]
    typical = np.median(dense.spread, 1)
    assert_allclose(typical, typical[::-1], rtol=0.5)
    assert typical[len(typical) // 2] < 2.5  # mm, from the front
    assert np.median(dense.spread[len(typical) // 2, list(CONTOUR)]) > typical[len(typical) // 2]


def test_places_are_continuous_in_yaw(model):
    dense, mean = shipped_dense(), model.mean.numpy()
    for yaw in (-75, -20, 15, 60):
        before, after = (dense.at(yaw + step) for step in (-1e-3, 1e-3))
        moved = [np.einsum("kj,kji->ki", p.weights, mean[p.vertices]) for p in (before, after)]
        assert np.abs(moved[0] - moved[1]).max() < 0.01
        assert_allclose(before.weights.sum(1), 1)
        assert_allclose(before.spread, after.spread, rtol=1e-2)
    assert_allclose(dense.at(90).spread, dense.spread[-1])


def test_landmarks_follow_the_points_through_a_similarity(rng):
    dense, points = shipped_dense(), rng.uniform(0, 300, (POINTS, 2))
    turn = 2.5 * rotation((0.0, 0.0, 70.0))[:2, :2]
    moved = dense.landmarks_68(points @ turn.T + (900, 40), 21.0)
    assert_allclose(moved, dense.landmarks_68(points, 21.0) @ turn.T + (900, 40), rtol=1e-9)
    assert dense.landmarks_68(points, 0.0).shape == (68, 2)


# The library


@pytest.mark.parametrize(("photo", "marked"), [(hopper, HOPPER), (astronaut, ASTRONAUT)])
def test_one_face_with_its_landmarks_in_a_real_photograph(library, photo, marked):
    (face,) = find_dense(photo())
    assert off_percent(shipped_dense().landmarks_68(face.points, 0.0), marked) < 8
    assert 0.5 < face.confidence <= 1


@pytest.mark.parametrize("degrees", [20, 45, 90, 135, 180, 250, 330])
def test_a_tilted_face_has_the_points_of_the_upright_one(library, degrees):
    photo = hopper()
    (upright,) = find_dense(photo)
    side = max(photo.shape[:2])
    affine = cv2.getRotationMatrix2D((photo.shape[1] / 2, photo.shape[0] / 2), degrees, 1.0)
    affine[:, 2] += side / 2 - np.array(photo.shape[1::-1]) / 2
    (face,) = find_dense(warp(photo, affine, side, cv2.BORDER_REPLICATE))
    off = np.linalg.norm(face.points - map_points(affine, upright.points), axis=1)
    assert off.mean() < 0.015 * abs(mesh_frame(upright.points).turn)


def test_faces_of_all_sizes_are_found(library):
    photo = hopper()
    small = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    both = np.zeros((photo.shape[0], photo.shape[1] + small.shape[1], 3), np.uint8)
    both[:, : photo.shape[1]] = photo
    both[: small.shape[0], photo.shape[1] :] = small
    assert len(find_dense(both)) == 2
    far = np.full((1500, 1500, 3), 90, np.uint8)
    tiny = cv2.resize(photo, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA)
    far[900 : 900 + tiny.shape[0], 300 : 300 + tiny.shape[1]] = tiny
    (face,) = find_dense(far)
    marked = 0.2 * HOPPER + (300, 900)
    assert off_percent(shipped_dense().landmarks_68(face.points, 0.0), marked) < 12


def test_the_mirror_image_has_the_mirrored_points(library):
    photo, dense = hopper(), shipped_dense()
    (one,), (other,) = (find_dense(p, dense.mirrored) for p in (photo, np.ascontiguousarray(photo[:, ::-1])))
    back = other.points[dense.mirrored] * (-1, 1) + (photo.shape[1], 0)
    assert np.linalg.norm(back - one.points, axis=1).mean() < 0.006 * abs(mesh_frame(one.points).turn)


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 400, 3), (300, 300, 3)])
def test_no_face_where_there_is_none(library, shape, rng):
    assert find_dense(np.full(shape, 127, np.uint8)) == []
    assert find_dense(rng.integers(0, 255, shape, dtype=np.uint8)) == []


def test_without_the_library_what_to_do_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe.python.solutions.face_detection", None)
    by_mediapipe._library.cache_clear()
    by_mediapipe.is_available.cache_clear()
    try:
        assert not by_mediapipe.is_available()
        with pytest.raises(UnavailableError, match=r"dfmvr\[mediapipe\].*--no-deps mediapipe"):
            find_dense(np.zeros((50, 50, 3), np.uint8))
    finally:
        by_mediapipe._library.cache_clear()
        by_mediapipe.is_available.cache_clear()


def test_the_library_tells_the_user_nothing(library):
    """In a process of its own, since it talks once, and from native code."""
    code = """
import numpy as np
from dfmvr.align.by_mediapipe import find_dense
print(len(find_dense(np.full((300, 300, 3), 99, np.uint8))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")
