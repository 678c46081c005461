import json
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from dfmvr import cli
from dfmvr.align.by_face_alignment import find_by_library
from dfmvr.align.command import align_dataset, check_sides
from dfmvr.align.crop import (
    align_photo,
    crop_photo,
    find_alignment,
    find_roll,
    fit_pos,
    five_points,
    map_points,
    read_standard_points,
    turned,
)
from dfmvr.align.frame import inverse_affine
from dfmvr.config.data import PixelFaceData
from dfmvr.config.training import AlignSection
from dfmvr.conventions import ALIGNMENT_IN_68, CAMERA_DISTANCE_MM, DROPPED_FROM_106, FOCAL_PX_AT_224
from dfmvr.datasets.landmark_files import read_landmark_file, write_landmark_file
from dfmvr.datasets.layouts import open_dataset
from dfmvr.datasets.pixel_face import dataset
from dfmvr.datasets.pixel_face.dataset import PixelFace, SampleInfo
from dfmvr.datasets.pixel_face.ground_truth import GroundTruth
from dfmvr.errors import DataError, UnavailableError
from dfmvr.files import write_npz
from dfmvr.mesh.scan import NormalisedScans

STANDARD = np.array([[-31, 33, 22], [31, 33, 22], [0, 2, 58], [-25, -33, 30], [25, -33, 30]], float)
IN_68 = ([36, 39], [42, 45], [30], [48], [54])


def turn(yaw=0.0, pitch=0.0, roll=0.0):
    (cx, cy, cz), (sx, sy, sz) = np.cos([pitch, yaw, roll]), np.sin([pitch, yaw, roll])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    return np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]) @ about_y @ about_x


def as_68(five):
    """68 landmarks, all at the image's middle of the face but for those that the five points come from."""
    landmarks = np.tile(np.mean(five, axis=0), (68, 1))
    for ids, point in zip(IN_68, five, strict=True):
        landmarks[ids] = point
    return landmarks


def project(standard, scale, centre, rotation=None):
    """Scaled orthographic image of the five points, y down."""
    posed = standard @ (np.eye(3) if rotation is None else rotation).T
    return posed[:, :2] * (scale, -scale) + centre


def face_photo(five, height=256, width=192):
    """A smooth photograph with a bright dot at each of five points."""
    y, x = np.mgrid[:height, :width] + 0.5
    dots = [np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 2.5**2)) for u, v in five]
    return np.rint(np.stack([60 + 190 * np.minimum(sum(dots), 1)] * 3, -1)).astype(np.uint8)


def test_five_points_are_eye_middles_nose_and_mouth_corners():
    landmarks = np.random.default_rng(0).normal(size=(68, 2))
    five = five_points(landmarks)
    outer_r, inner_r, inner_l, outer_l, nose, mouth_r, mouth_l = landmarks[list(ALIGNMENT_IN_68)]
    assert_allclose(five, [(outer_r + inner_r) / 2, (inner_l + outer_l) / 2, nose, mouth_r, mouth_l])
    assert_array_equal(five_points(five), five)
    with pytest.raises(DataError, match="expected 5 or 68 points, found 7"):
        five_points(landmarks[:7])


@settings(max_examples=50, deadline=None)
@given(st.floats(0.2, 20), st.floats(-1.2, 1.2), st.floats(-0.5, 0.5), st.floats(-0.4, 0.4), st.floats(-500, 3000))
def test_pos_recovers_a_scaled_orthographic_camera(scale, yaw, pitch, roll, shift):
    rotation = turn(yaw, pitch, roll)
    points = scale * (STANDARD @ rotation.T)[:, :2] + (shift, 2 * shift)
    pos = fit_pos(points, STANDARD)
    assert_allclose(pos.axes, scale * rotation[:2], atol=1e-8 * scale)
    assert_allclose(pos.translation, (shift, 2 * shift), atol=1e-6)
    assert pos.scale == pytest.approx(scale)
    assert pos.residual_px < 1e-6


@pytest.mark.parametrize("yaw", [-1.0, 0.0, 0.7])
def test_aligned_face_has_the_standard_scale_and_its_origin_at_the_centre(yaw):
    rotation = turn(yaw)
    affine, _ = find_alignment(project(STANDARD, 0.83, (110, 131), rotation), STANDARD, 224)
    assert_allclose(map_points(affine, np.array([[110, 131]])), [[112, 112]], atol=1e-9)
    assert affine[0, 0] * 0.83 == pytest.approx(1.02)
    expected = project(STANDARD, 1.02, (112, 112), rotation)
    found = map_points(affine, project(STANDARD, 0.83, (110, 131), rotation))
    assert_allclose(found, expected, atol=1e-9)


def test_aligned_face_stands_as_the_camera_sees_it():
    depth = CAMERA_DISTANCE_MM - STANDARD[:, 2]
    seen = 112 + FOCAL_PX_AT_224 * STANDARD[:, :2] * (1, -1) / depth[:, None]
    affine, _ = find_alignment(seen, STANDARD, 224)
    # Orthographic against perspective, and 1.02 against 1.015 px/mm: about a pixel at 224.
    assert np.abs(map_points(affine, seen) - seen).max() < 1.5


@pytest.mark.parametrize("scale", [0.4, 0.8, 1.7, 6.0])
@pytest.mark.parametrize("size", [96, 224])
def test_dot_at_a_landmark_is_found_at_the_mapped_landmark(scale, size):
    five = project(STANDARD, scale, (96.3 * scale, 127.8 * scale))
    height, width = int(256 * scale), int(192 * scale)
    y, x = np.mgrid[:height, :width] + 0.5
    for u, v in five:
        dot = 255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * (4 * scale) ** 2))
        photo = np.rint(np.stack([dot] * 3, -1)).astype(np.uint8)
        crop, (affine, _) = align_photo(photo, five, STANDARD, size)
        weight = crop[..., 0].astype(float)
        rows, columns = np.mgrid[:size, :size] + 0.5
        centroid = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        assert_allclose(centroid, map_points(affine, np.array([[u, v]]))[0], atol=0.1)


def test_crops_of_two_sizes_agree():
    five = project(STANDARD, 1.3, (160, 200))
    photo = face_photo(five, 400, 320)
    large, (affine, _) = align_photo(photo, five, STANDARD, 224)
    small, (half, _) = align_photo(photo, five, STANDARD, 112)
    assert_allclose(half, affine / 2)
    averaged = large.reshape(112, 2, 112, 2, 3).mean((1, 3))
    assert np.abs(averaged - small).max() < 6


def test_crop_does_not_depend_on_the_resolution_of_the_photo():
    crops = [
        align_photo(face_photo_scaled(scale), project(STANDARD, scale, (96 * scale, 128 * scale)), STANDARD, 96)
        for scale in (1.0, 2.0, 5.0)
    ]
    for crop, _ in crops[1:]:
        assert np.abs(crop.astype(float) - crops[0][0]).max() < 8


def face_photo_scaled(scale):
    height, width = int(256 * scale), int(192 * scale)
    y, x = (np.mgrid[:height, :width] + 0.5) / scale
    wave = 128 + 60 * np.sin(x / 9) + 60 * np.cos(y / 11)
    return np.rint(np.stack([wave] * 3, -1)).astype(np.uint8)


def test_shrinking_does_not_alias():
    stripes = np.zeros((1200, 1200, 3), np.uint8)
    stripes[:, ::2] = 200
    crop, _ = align_photo(stripes, project(STANDARD, 5, (600, 600)), STANDARD, 96)
    assert np.ptp(crop[20:-20, 20:-20]) <= 2


def test_outside_of_the_photo_is_black_and_the_identity_keeps_pixels():
    photo = np.random.default_rng(0).integers(1, 256, (20, 20, 3)).astype(np.uint8)
    assert_array_equal(crop_photo(photo, np.eye(2, 3), 20), photo)
    shifted = crop_photo(photo, np.array([[1, 0, 5], [0, 1, -3.0]]), 20)
    assert_array_equal(shifted[:17, 5:], photo[3:, :15])
    assert not shifted[17:].any()
    assert not shifted[:, :5].any()
    assert not crop_photo(photo, np.array([[1, 0, 500], [0, 1, 0.0]]), 20).any()


@pytest.mark.parametrize("linear", [[[1, 0], [0, 2]], [[-1, 0], [0, 1]], [[1, 0.2], [0, 1]], [[0, 0], [0, 0]]])
def test_crop_refuses_to_stretch_and_to_mirror(linear):
    with pytest.raises(ValueError, match="positive scale, a rotation and a translation"):
        crop_photo(np.zeros((9, 9, 3), np.uint8), np.column_stack([linear, [0, 0]]), 9)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_crop_turned_by_right_angles_has_the_pixels_themselves(quarters):
    photo = np.random.default_rng(0).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    linear = turned(-90 * quarters)  # as np.rot90 does it
    affine = np.column_stack([linear, 10 - linear @ (10, 10)])
    assert_array_equal(crop_photo(photo, affine, 20), np.rot90(photo, quarters))


@pytest.mark.parametrize("scale", [0.03, 0.2, 0.7, 1.6])
def test_a_turned_crop_shows_what_the_map_says(scale):
    """A smooth picture, which is a formula of its coordinates."""

    def waves(x, y):
        period = 40 / scale
        return 128 + 50 * np.sin(2 * np.pi * x / period) + 50 * np.cos(2 * np.pi * (x + 2 * y) / (2 * period))

    side = int(160 / scale)
    x, y = np.meshgrid(*[np.arange(side) + 0.5] * 2)
    photo = np.repeat(waves(x, y).round().astype(np.uint8)[..., None], 3, 2)
    linear = scale * turned(-37.0)
    affine = np.column_stack([linear, 40 - linear @ np.full(2, side / 2)])
    u, v = np.meshgrid(*[np.arange(80) + 0.5] * 2)
    places = map_points(inverse_affine(affine), np.stack([u.ravel(), v.ravel()], 1))
    off = crop_photo(photo, affine, 80)[..., 0].ravel() - waves(*places.T)
    assert np.abs(off).max() < 4
    assert abs(off.mean()) < 0.3


@pytest.mark.parametrize("scale", [0.05, 1.0])
def test_a_turned_crop_outside_of_the_photograph_is_black(scale):
    photo = np.full((30, 40, 3), 200, np.uint8)
    affine = np.column_stack([scale * turned(30.0), (-500, 20)])
    assert not crop_photo(photo, affine, 20).any()


@pytest.mark.parametrize("degrees", [-170, -90, -20, 10, 60, 180])
@pytest.mark.parametrize("standard", [STANDARD, as_68(STANDARD)], ids=["five", "68"])
def test_a_levelled_face_stands_as_the_upright_one(degrees, standard):
    upright = project(standard, 0.83, (110, 131), turn(0.4, 0.1))
    tilted = upright @ turned(degrees).T + (300, 20)
    one, other = (find_alignment(points, standard, 224, level=True) for points in (upright, tilted))
    assert_allclose(map_points(other.affine, tilted), map_points(one.affine, upright), atol=1e-6)
    assert other.yaw_deg == pytest.approx(one.yaw_deg)
    more = np.radians(find_roll(tilted, standard) - find_roll(upright, standard) - degrees)
    assert np.cos(more) == pytest.approx(1)


@pytest.mark.parametrize(
    ("five", "message"),
    [
        (project(STANDARD, 0.8, (20, 128)), r"1 of 5 landmarks outside .* 192 x 256 px, by up to 4\.8 px"),
        (project(STANDARD, 0.1, (96, 128)), "face too small"),
        (np.full((5, 2), 99.0), "face too small"),
        (project(STANDARD, 0.8, (96, 128), turn(roll=np.pi)), "upside down"),
        (project(STANDARD, 0.8, (96, 128), turn(roll=np.pi / 2)), "on its side"),
        (project(STANDARD, 0.8, (96, 128))[[1, 0, 2, 4, 3]], "mirrored"),
        (project(STANDARD * (1, 0.2, 1), 0.8, (96, 128)), "implausible alignment"),
        (project(STANDARD, 0.8, (96, 128))[[0, 2, 1, 3, 4]], "implausible alignment"),
        (np.full((5, 2), np.nan), "not a finite number"),
        (np.full((68, 2), np.inf), "not a finite number"),
        (np.full((68, 2), np.nan), "only 0 of 68 landmarks are known"),
        (np.full((6, 2), 99.0), "expected 5 or 68 points"),
    ],
)
def test_implausible_landmarks_are_refused(five, message):
    with pytest.raises(DataError, match=message):
        align_photo(np.zeros((256, 192, 3), np.uint8), five, STANDARD, 96)


def test_standard_points_are_about_the_centroid(tmp_path):
    shift = np.array([5, 6, 7])
    mean = np.vstack([as_68(STANDARD), np.random.default_rng(0).normal(size=(30, 3))]) + shift
    write_npz(tmp_path / "model.npz", mean=mean, landmarks_68=np.arange(68))
    points = five_points(read_standard_points(tmp_path / "model.npz"))
    assert_allclose(points, STANDARD + shift - mean.mean(0))
    write_npz(tmp_path / "model.npz", mean=mean, landmarks_68=np.arange(68) + 31)
    with pytest.raises(DataError, match="build the model again"):
        read_standard_points(tmp_path / "model.npz")


def test_detector_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(UnavailableError, match=r"pip install face-alignment.*align\.landmarks: annotated"):
        find_by_library(np.zeros((8, 8, 3), np.uint8))


def known_68(seed=0):
    """68 points of a face in space, of which the right places give STANDARD."""
    points = as_68(STANDARD)
    rest = np.setdiff1d(np.arange(68), [i for ids in IN_68 for i in ids])
    points[rest] += np.random.default_rng(seed).uniform(-25, 25, (len(rest), 3))
    return points


@pytest.mark.parametrize("yaw", [-0.8, 0.1, 0.8])
def test_a_face_with_some_known_landmarks_is_aligned_as_with_all(yaw):
    standard = known_68()
    seen = project(standard, 0.83, (110, 131), turn(yaw))
    whole = find_alignment(seen, standard, 96)
    hidden = seen.copy()
    hidden[36 if yaw > 0 else 45] = np.nan  # the far eye's corner
    hidden[[0, 3, 60]] = np.nan
    part = find_alignment(hidden, standard, 96)
    assert_allclose(part.affine, whole.affine, atol=1e-8)
    assert part.yaw_deg == pytest.approx(np.degrees(yaw))
    assert whole.yaw_deg == pytest.approx(np.degrees(yaw))


def test_exchanged_sides_are_told_with_the_key_that_mends_them(data):
    named = open_dataset("pixel_face", data, PixelFaceData())
    yaws = np.array([[-30.0, 0, 31], [-45, 2, 28], [20, 0, -20]])
    check_sides(yaws, named)
    with pytest.raises(DataError, match=r"exchanged.*\+30.*-28.*datasets\.pixel_face\.exchange_sides"):
        check_sides(-yaws, named)


def test_exchanged_folders_stop_the_stage_and_the_key_mends_it(data, capsys):
    for folder in data.glob("s*"):
        (folder / "0").rename(folder / "x")
        (folder / "2").rename(folder / "0")
        (folder / "x").rename(folder / "2")
    assert run(data)[0] == 2
    assert "exchange_sides" in capsys.readouterr().err
    code, output = run(data, "--reading", '{"exchange_sides": true}')
    assert code == 0
    yaws = pd.read_parquet(output / "manifest.parquet").groupby("view").measured_yaw.median()
    assert yaws["left"] < -20 < 20 < yaws["right"]


def test_truncated_landmarks_are_whole_pixels_of_the_crop(data):
    found = []
    for cut in (False, True):
        code, output = run(data, "--settings", json.dumps({"image_size": 64, "truncate_landmarks": cut}))
        assert code == 0
        with np.load(output / "samples.npz") as samples:
            found.append(samples["landmarks"])
    assert_array_equal(found[1], np.floor(found[0]))
    assert 0.3 < (found[0] - found[1]).mean() < 0.7


SCALES = (0.7, 0.8, 0.75)
CENTRES = ((90, 120), (96, 128), (100, 131))
YAWS = (-0.6, 0.0, 0.6)


def five_of(view):
    return project(STANDARD, SCALES[view], CENTRES[view], turn(YAWS[view]))


@pytest.fixture
def data(tmp_path):
    """Four subjects of the stand-in's layout, and a face model file."""
    root = tmp_path / "data"
    points = np.random.default_rng(0).uniform(-60, 60, (106, 3))
    truth = GroundTruth(points, np.zeros((0, 3), int), points)
    infos = [SampleInfo(f"s{i}_1", f"s{i}", "train" if i < 3 else "test", "1") for i in range(4)]
    for info in infos:
        photos = [face_photo(five_of(view)) for view in range(3)]
        dataset.write_sample(root, info.sample, photos, truth, [as_68(five_of(view)) for view in range(3)])
    dataset.write_splits(root, infos)
    mean = as_68(STANDARD)
    mean = np.vstack([mean, -mean.sum(0, keepdims=True)])  # centroid at the origin
    write_npz(tmp_path / "model.npz", mean=mean, landmarks_68=np.arange(68))
    return root


def run(data, *arguments):
    """The code of `dfmvr align` once `dfmvr mesh` has made of the scans what it can, and the folder written."""
    output, mesh = data.parent / "out", data.parent / "mesh"
    cli.main(["mesh", "--format", "pixel_face", "--data", str(data), "--output", str(mesh)])
    files = ["--data", data, "--mesh", mesh, "--face-model", data.parent / "model.npz", "--output", output]
    code = cli.main(["align", *map(str, files), *arguments])
    return code, output


def test_stage_writes_what_the_contract_says(data):
    code, output = run(data, "--settings", json.dumps({"image_size": 64}))
    assert code == 0
    images = np.load(output / "images.npy")
    samples = np.load(output / "samples.npz")
    assert (images.shape, images.dtype) == ((4, 3, 64, 64, 3), np.uint8)
    assert samples["sample"].tolist() == ["s0_1", "s1_1", "s2_1", "s3_1"]
    assert samples["split"].tolist() == ["train"] * 3 + ["test"]
    shapes = {name: samples[name].shape for name in ("landmarks", "landmarks_3d", "crop", "subject")}
    assert shapes == {"landmarks": (4, 3, 68, 2), "landmarks_3d": (4, 101, 3), "crop": (4, 3, 2, 3), "subject": (4,)}
    truth = np.random.default_rng(0).uniform(-60, 60, (106, 3))
    assert_allclose(samples["landmarks_3d"][0], np.delete(truth, DROPPED_FROM_106, axis=0), atol=1e-4)
    for view in range(3):
        expected = map_points(samples["crop"][1, view], as_68(five_of(view)))
        assert_allclose(samples["landmarks"][1, view], expected, atol=2e-3)
        seen = images[1, view, :, :, 0]
        u, v = samples["landmarks"][1, view, 30]
        assert seen[int(v), int(u)] > 200


def test_manifest_has_one_row_a_view(data):
    _, output = run(data)
    manifest = pd.read_parquet(output / "manifest.parquet")
    assert len(manifest) == 12
    row = manifest.iloc[10].to_dict()
    assert row == {
        "sample": "s3_1",
        "subject": "s3",
        "split": "test",
        "expression": "1",
        "illumination": "",
        "view": "front",
        "yaw": pytest.approx(np.nan, nan_ok=True),
        "measured_yaw": pytest.approx(0, abs=1e-3),
        "index": 3,
        "image": str(data / "s3_1" / "1" / "t.jpg"),
        "landmarks": str(data / "s3_1" / "1" / "landmarks_68.txt"),
        "scan": str(data.parent / "mesh" / "scans" / "s3_1.npz"),
        "status": "ok",
        "reason": "",
    }


def damage_photo(folder):
    path = folder / "2" / "t.jpg"
    path.write_bytes(path.read_bytes()[:500])


def damage_landmarks(folder):
    write_landmark_file(folder / "0" / "landmarks_68.txt", as_68(five_of(0)) + 500)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (damage_photo, "right: .*not a readable image"),
        (lambda folder: (folder / "0" / "t.jpg").unlink(), "^left: no photograph"),
        (damage_landmarks, "^left: 68 of 68 landmarks outside"),
        (lambda folder: (folder / "1" / "landmarks_68.txt").unlink(), "^front: no annotated landmarks"),
        (lambda folder: (folder / "1" / "landmarks_68.txt").write_text("1 2\n"), "^front: .*found 1"),
        (lambda folder: (folder / "fusion" / "gt.mat").write_bytes(b"no"), "^scan: .*not a readable .mat"),
    ],
)
def test_broken_sample_is_set_aside_with_its_reason(data, damage, reason):
    damage(data / "s1_1")
    code, output = run(data)
    manifest = pd.read_parquet(output / "manifest.parquet")
    aside = manifest[manifest["status"] == "set aside"]
    assert code == 0
    assert aside["sample"].tolist() == ["s1_1"] * 3
    assert aside["index"].tolist() == [-1] * 3
    assert aside["reason"].str.contains(reason).all()
    assert manifest["index"].tolist() == [0] * 3 + [-1] * 3 + [1] * 3 + [2] * 3
    assert np.load(output / "images.npy").shape[0] == 3
    assert np.load(output / "samples.npz")["sample"].tolist() == ["s0_1", "s2_1", "s3_1"]


def test_without_what_mesh_has_made_nothing_is_known_of_scans(data, caplog):
    files = {"--data": data, "--face-model": data.parent / "model.npz", "--output": data.parent / "out"}
    with caplog.at_level("INFO"):
        assert cli.main(["align", *(str(part) for option in files.items() for part in option)]) == 0
    assert "without --mesh no scan is named" in caplog.text
    assert np.isnan(np.load(data.parent / "out" / "samples.npz")["landmarks_3d"]).all()
    assert (pd.read_parquet(data.parent / "out" / "manifest.parquet").scan == "").all()


def test_a_scan_that_mesh_has_not_seen_sets_its_sample_aside(data):
    run(data)
    with np.load(data.parent / "mesh" / "landmarks_101.npz") as known:
        write_npz(data.parent / "mesh" / "landmarks_101.npz", **{name: known[name][1:] for name in known.files})
    files = ["--data", data, "--mesh", data.parent / "mesh", "--face-model", data.parent / "model.npz"]
    assert cli.main(["align", *map(str, files), "--output", str(data.parent / "out")]) == 0
    manifest = pd.read_parquet(data.parent / "out" / "manifest.parquet")
    assert manifest[manifest.reason.str.contains("run `dfmvr mesh` again")]["sample"].unique().tolist() == ["s0_1"]


def test_sample_without_scan_has_nan_landmarks(data):
    (data / "s2_1" / "fusion" / "gt.mat").unlink()
    _, output = run(data)
    landmarks = np.load(output / "samples.npz")["landmarks_3d"]
    assert np.isnan(landmarks).all((1, 2)).tolist() == [False, False, True, False]


def test_no_usable_sample_is_an_error_and_keeps_the_old_output(data, capsys):
    _, output = run(data)
    for folder in data.glob("s*"):
        (folder / "0" / "t.jpg").unlink()
    code, _ = run(data)
    assert code == 2
    assert "none of 4 samples can be used, for example: left: no photograph" in capsys.readouterr().err
    assert sorted(path.name for path in output.glob("[!.]*")) == ["images.npy", "manifest.parquet", "samples.npz"]
    assert [path.name for path in output.parent.iterdir() if path.name.startswith(".")] == []


def test_threads_change_nothing(data):
    _, output = run(data)
    before = [(output / name).read_bytes() for name in ("images.npy", "manifest.parquet")]
    run(data, "--workers", "3")
    assert [(output / name).read_bytes() for name in ("images.npy", "manifest.parquet")] == before


def test_missing_detector_stops_the_stage(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    standard = read_standard_points(data.parent / "model.npz")
    settings = AlignSection(landmarks="face_alignment")
    with pytest.raises(UnavailableError, match="face_alignment"):
        align_dataset(
            open_dataset("pixel_face", data, PixelFaceData()),
            NormalisedScans(None, landmarked=True),
            standard,
            data.parent / "out",
            settings,
        )


def test_own_photo_as_a_file(tmp_path):
    five = project(STANDARD, 1.1, (150, 180))
    Image.fromarray(face_photo(five, 360, 300)).save(tmp_path / "me.png")
    np.savetxt(tmp_path / "me.txt", five)
    photo = PixelFace(tmp_path, PixelFaceData(orientation="upright")).read_photo(tmp_path / "me.png")
    crop, (affine, _) = align_photo(photo, read_landmark_file(tmp_path / "me.txt"), STANDARD, 224)
    u, v = map_points(affine, five)[2]
    assert crop[int(v), int(u), 0] > 230
