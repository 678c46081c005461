import hashlib
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from PIL import Image
from real_photographs import astronaut, hopper

from dfmvr.align import examples, pretrain, variation
from dfmvr.align.accuracy import landmark_error, measure
from dfmvr.align.cascade import WEIGHTS, cut_crop, shipped_networks
from dfmvr.align.crop import five_points, map_points
from dfmvr.align.find import find_faces
from dfmvr.align.frame import CROP_PX, FACE_PX, Frame, crop_affine, flat_face, frame_of, turned_back, warp
from dfmvr.align.landmark_networks import (
    STRIDE,
    LandmarkNetworks,
    Points,
    normalise_crops,
    read_landmark_networks,
    write_landmark_networks,
)
from dfmvr.align.places import LARGEST_WORKING_PX, keep_best, make_pyramid, overlap
from dfmvr.assets import files as assets
from dfmvr.cli import main as cli
from dfmvr.conventions import MIRRORED_68
from dfmvr.datasets.sample import Sample
from dfmvr.errors import ConfigError, DataError, UnavailableError

SCAN = Path(__file__).parents[2] / "shared" / "scans" / "lee_perry_smith"

# Eye centres, nose tip and mouth corners, marked by hand in a four-fold enlargement; good to about two pixels.
HOPPER = np.array([(223.1, 191.5), (305.3, 186.7), (267.0, 237.0), (230.7, 280.4), (305.3, 277.0)])
ASTRONAUT = np.array([(202.5, 101.0), (247.5, 103.3), (227.0, 126.3), (203.8, 140.0), (243.8, 141.3)])


def off_percent(landmarks, marked):
    """Mean distance of the five points, in percent of the distance of the eyes."""
    distance = np.linalg.norm(five_points(landmarks) - marked, axis=1).mean()
    return 100 * distance / np.linalg.norm(marked[0] - marked[1])


# Real photographs


@pytest.mark.parametrize(("photo", "marked"), [(hopper, HOPPER), (astronaut, ASTRONAUT)])
def test_one_face_with_its_landmarks_in_a_real_photograph(photo, marked):
    (face,) = find_faces(photo())
    assert off_percent(face.landmarks, marked) < 12
    assert face.confidence > 0.5
    assert abs(face.yaw_deg) < 20
    assert_allclose(face.box, [*face.landmarks.min(0), *face.landmarks.max(0)])


def turned(degrees):
    """The photograph turned about its middle."""
    photo = hopper()
    height, width = photo.shape[:2]
    affine = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    picture = warp(photo, affine, max(width, height), cv2.BORDER_CONSTANT)[:height, :width]
    return picture, map_points(affine, HOPPER)


def scaled(scale):
    photo = hopper()
    other = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return other, HOPPER * other.shape[1::-1] / photo.shape[1::-1]


def cut(x, y, width, height):
    return np.ascontiguousarray(hopper()[y : y + height, x : x + width]), HOPPER - (x, y)


def grey(least, share):
    return (least + share * hopper().mean(2, keepdims=True).repeat(3, 2)).astype(np.uint8), HOPPER


VARIANTS = {f"turned by {degrees}": (turned, degrees) for degrees in (-30, -15, 15, 30)}
VARIANTS |= {f"{width_px} px wide": (scaled, width_px / 185) for width_px in (40, 60, 300)}  # the face is 185 px wide
VARIANTS |= {"filling the picture": (cut, 165, 130, 205, 215)}
VARIANTS |= {"grey": (grey, 0, 1), "flat": (grey, 100, 0.2), "dark": (grey, 0, 0.25)}


@pytest.mark.parametrize("how", VARIANTS)
def test_photographs_of_many_kinds(how):
    make, *given = VARIANTS[how]
    photo, marked = make(*given)
    assert off_percent(find_faces(photo)[0].landmarks, marked) < 15


def test_a_mirrored_photograph_gives_mirrored_landmarks():
    photo = hopper()
    (face,), (mirrored,) = find_faces(photo), find_faces(np.ascontiguousarray(photo[:, ::-1]))
    back = mirrored.landmarks[list(MIRRORED_68)] * (-1, 1) + (photo.shape[1], 0)
    assert landmark_error(back, face.landmarks) < 4
    assert mirrored.yaw_deg == pytest.approx(-face.yaw_deg, abs=4)


def test_two_faces_the_larger_first():
    photo = hopper()
    small = cv2.resize(photo, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    both = np.zeros((600, 512 + small.shape[1], 3), np.uint8)
    both[100 : 100 + small.shape[0], : small.shape[1]] = small
    both[:, small.shape[1] :] = photo
    large, other = find_faces(both)[:2]
    assert off_percent(large.landmarks - (small.shape[1], 0), HOPPER) < 12
    assert off_percent(other.landmarks, 0.6 * HOPPER + (0, 100)) < 15


@pytest.mark.parametrize("yaw", ["left", "front", "right"])
def test_yaw_of_a_real_head(yaw, tmp_path):
    if not SCAN.exists():
        pytest.skip("no head scan beside the repository")
    arguments = ["simulate", "real_scan", "--set", f"simulate.real_scan={SCAN}", "--output"]
    assert cli([*arguments, str(tmp_path / "out")]) == 0
    photo = np.array(Image.open(tmp_path / "out" / f"{yaw}.jpg"))
    (face,) = find_faces(photo)
    assert off_percent(face.landmarks, np.loadtxt(tmp_path / "out" / f"{yaw}.txt")) < 10
    assert {"left": -55 < face.yaw_deg < -20, "front": abs(face.yaw_deg) < 10, "right": 20 < face.yaw_deg < 55}[yaw]


@pytest.mark.parametrize("source", ["own", "mediapipe"])
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_photograph_on_its_side_or_upside_down(source, quarters):
    if source != "own":
        pytest.importorskip(source)
    photo = hopper()
    turned = np.ascontiguousarray(np.rot90(photo, quarters))
    (face,) = find_faces(turned, source)
    assert off_percent(turned_back(face.landmarks, quarters, photo.shape), HOPPER) < 12
    assert face.finder == source
    assert abs(face.yaw_deg) < 20
    assert (face.dense is not None) == (source == "mediapipe")


def test_points_of_a_turned_picture_are_turned_back():
    picture = np.arange(12).reshape(3, 4)
    for quarters in range(4):
        turned = np.rot90(picture, quarters)
        rows, columns = np.nonzero(np.isin(turned, (1, 6, 11)))
        back = turned_back(np.stack([columns, rows], 1) + 0.5, quarters, picture.shape) - 0.5
        x, y = back.round().astype(int).T
        assert_allclose(back, np.stack([x, y], 1))
        assert set(picture[y, x]) == {1, 6, 11}


# No face


def gradient():
    return (np.mgrid[0:300, 0:400].sum(0)[..., None] * 0.3).repeat(3, 2).astype(np.uint8)


@pytest.mark.parametrize(
    "photo",
    [
        np.zeros((200, 300, 3), np.uint8),
        np.full((1, 1, 3), 90, np.uint8),
        np.full((2, 900, 3), 90, np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8),
        gradient(),
    ],
    ids=["black", "pixel", "line", "empty", "noise", "gradient"],
)
def test_nothing_is_found_where_there_is_no_face(photo):
    assert find_faces(photo) == []


def test_few_faces_in_what_is_none():
    data = pytest.importorskip("skimage.data", reason="scikit-image brings the photographs")
    names = ("coffee", "rocket", "brick", "grass", "gravel", "moon", "page", "text", "coins", "hubble_deep_field")
    pictures = [getattr(data, name)() for name in names]
    found = [find_faces(p if p.ndim == 3 else p[..., None].repeat(3, 2)) for p in pictures]
    assert sum(map(len, found)) <= 2


def test_a_huge_photograph_is_looked_at_in_a_small_picture():
    photo = np.zeros((4000, 6000, 3), np.uint8)
    large, marked = scaled(4000 / 600)
    photo[:, 1000 : 1000 + large.shape[1]] = large
    assert max(make_pyramid(photo)[0].shape) == LARGEST_WORKING_PX
    assert off_percent(find_faces(photo)[0].landmarks - (1000, 0), marked) < 12


def test_wrong_questions():
    with pytest.raises(ConfigError, match="auto, own, mediapipe, face_alignment"):
        find_faces(np.zeros((9, 9, 3), np.uint8), source="haar")
    with pytest.raises(ValueError, match="uint8"):
        find_faces(np.zeros((9, 9), np.uint8))


def test_face_alignment_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(UnavailableError, match="pip install face-alignment"):
        find_faces(np.zeros((9, 9, 3), np.uint8), source="face_alignment")


# Geometry


def standard():
    """Any 68 points in space."""
    return np.random.default_rng(3).normal(size=(68, 3)) * (50, 60, 30)


def test_the_frame_of_a_turned_flat_face():
    flat = flat_face(standard())
    assert np.ptp(flat.real) == pytest.approx(1)
    turn, centre = 80 * np.exp(1j * np.radians(25)), 300 + 200j
    z = turn * flat + centre
    points = np.column_stack([z.real, z.imag])
    frame = frame_of(points, flat)
    assert_allclose([frame.turn, frame.centre], [turn, centre])
    points[[0, 5, 40]] = np.nan
    assert_allclose(frame_of(points, flat), [turn, centre])
    seen = map_points(crop_affine(frame), np.column_stack([z.real, z.imag]))
    assert_allclose(seen, FACE_PX * np.column_stack([flat.real, flat.imag]) + CROP_PX / 2, atol=1e-9)


def test_a_crop_shows_a_place_where_its_map_says():
    photo = np.zeros((120, 160, 3), np.uint8)
    photo[70:73, 90:93] = 255  # centre (91.5, 71.5)
    frame = Frame(45 * np.exp(0.3j), 85 + 65j)
    crop = cut_crop(make_pyramid(photo), frame).astype(float)
    y, x = np.mgrid[0:CROP_PX, 0:CROP_PX] + 0.5
    centre = np.array([(crop * x).sum(), (crop * y).sum()]) / crop.sum()
    assert_allclose(centre, map_points(crop_affine(frame), [(91.5, 71.5)])[0], atol=0.05)


def test_overlap_and_the_best_of_boxes():
    box = np.array([0.0, 0, 10, 10])
    others = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]])
    assert_allclose(overlap(box, others), [1, 1 / 3, 0])
    assert keep_best(others, np.array([0.5, 0.9, 0.1]), 5) == [1, 2]
    assert keep_best(others, np.array([0.5, 0.9, 0.1]), 1) == [1]
    assert keep_best(np.zeros((0, 4)), np.zeros(0), 5) == []


# Examples


@pytest.fixture(scope="module")
def bank():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examples, "BACKDROPS", 12)
        return examples.Bank([dotted()], standard_face(), 0)


def standard_face():
    """The standard face that ships with the networks."""
    return shipped_networks().standard.numpy()


def dotted(scale=1.3, seed=0):
    """A photograph of the standard face whose nose tip is a white dot, and its landmarks."""
    face = standard_face()
    points = face[:, :2] * (scale, -scale) + (110, 140)
    photo = np.random.default_rng(seed).integers(20, 60, (280, 300, 3), dtype=np.uint8)
    cv2.fillConvexPoly(photo, cv2.convexHull(points.astype(np.float32)).astype(np.int32), (90, 80, 70))
    cv2.circle(photo, tuple(int(v * 16) for v in points[30] - 0.5), 5 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
    return photo, points


def brightest(picture):
    y, x = np.nonzero(picture > 0.5 * (picture.max() + np.median(picture)))
    return np.array([x.mean(), y.mean()]) + 0.5


def test_what_a_bank_gives_has_its_landmarks_where_they_are(bank):
    ends = set()
    for seed in range(8):
        grey, points = bank.pick(np.random.default_rng(seed))
        assert_allclose(brightest(grey), points[30], atol=1)
        assert points[0, 0] < points[16, 0]  # mirrored or not, the first is on the image's left
        ends.add(points[30, 0].round(2))
    assert len(ends) == 2


def test_bending_moves_a_dot_and_its_point_alike():
    y, x = np.mgrid[0:64, 0:64] + 0.5
    for seed in range(10):
        dot = np.random.default_rng(seed).uniform(15, 49, 2)
        picture = np.exp(-((x - dot[0]) ** 2 + (y - dot[1]) ** 2) / 4).astype(np.float32)
        bent, (moved,) = variation.bend(picture, dot[None], np.random.default_rng(seed))
        found = np.array([(bent * x).sum(), (bent * y).sum()]) / bent.sum()
        assert np.linalg.norm(moved - found) < 0.5
        assert np.linalg.norm(moved - dot) > 0.05


def test_examples_depend_on_their_generator_alone(bank):
    first, again = (examples.crops(bank, np.random.default_rng(5), 12) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert_allclose(one, other)
    known = np.isfinite(first.points).all(2).any(1)
    assert set(np.flatnonzero(known)) <= set(np.flatnonzero(first.face))
    assert 0 < first.face.sum() < 12


def test_canvases_tell_where_the_faces_are(bank):
    """Each asked cell with a face points to the dot on its nose, as does any other cell of that face."""
    batch = examples.canvases(bank, np.random.default_rng(1), 24)
    assert batch.targets[:, 0].sum() > 10
    grid = (np.arange(20) + 0.5) * STRIDE
    for targets in batch.targets:
        here = targets[0] > 0
        centres = np.stack(np.broadcast_arrays(grid[None], grid[:, None])) + 24 * targets[1:3]
        spread = centres[:, here]
        widths = 24 * np.exp(targets[3, here])
        assert ((widths > 14.9) & (widths < 36.1)).all()
        if here.any() and np.ptp(widths) == 0:  # one face alone
            assert np.ptp(spread, axis=1).max() < 1e-3


# Networks and training


def test_heat_is_least_where_its_mean_is_the_point():
    points = torch.tensor([[10.0, 33.0], [2.5, 61.0], [31.7, 20.2]])
    network = Points()
    place = points / 4 - 0.5
    first, part = place.floor().long(), place - place.floor()
    shares = torch.full((3, 16, 16), 1e-7)
    for n in range(3):
        for dx in (0, 1):
            for dy in (0, 1):
                weight = (part[n, 0] if dx else 1 - part[n, 0]) * (part[n, 1] if dy else 1 - part[n, 1])
                shares[n, first[n, 1] + dy, first[n, 0] + dx] += weight
    log_shares = (shares / shares.sum((1, 2), keepdim=True)).log()
    assert_allclose(network.place(log_shares[None])[0], points, atol=0.01)
    assert pretrain.heat_loss(log_shares, points) < pretrain.heat_loss(log_shares, points + 1.0)
    even = torch.full((3, 16, 16), 1 / 256).log()
    assert pretrain.heat_loss(even, points) == pytest.approx(np.log(256), rel=1e-5)


def test_networks_survive_their_file(tmp_path):
    torch.manual_seed(0)
    networks = LandmarkNetworks(standard()).eval()
    write_landmark_networks(tmp_path / "own.safetensors", networks, {"data": "none"})
    again, about = read_landmark_networks(tmp_path / "own.safetensors")
    assert about["data"] == "none"
    assert_allclose(again.standard, standard(), rtol=1e-6)
    crops = torch.from_numpy(normalise_crops(np.random.default_rng(0).uniform(0, 255, (2, 64, 64))))[:, None]
    with torch.inference_mode():
        assert_allclose(again.points(crops)[0], networks.points(crops)[0], atol=0.05)
        assert_allclose(again.search(crops), networks.search(crops), atol=0.05)
    assert (tmp_path / "own.safetensors").stat().st_size < 3e6


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x08\0\0\0\0\0\0\0{}      "])
def test_files_that_are_no_networks(tmp_path, content):
    (tmp_path / "bad.safetensors").write_bytes(content)
    with pytest.raises(DataError, match="align pretrain"):
        read_landmark_networks(tmp_path / "bad.safetensors")
    with pytest.raises(DataError, match="align pretrain"):
        read_landmark_networks(tmp_path / "none.safetensors")


class Photos:
    """A data set of faces with a dot on the nose."""

    sides_key = ""

    def __init__(self, count):
        self.photos = [dotted(1.2 + 0.1 * i, i) for i in range(count)]

    def samples(self):
        for i in range(len(self.photos)):
            yield Sample(str(i), str(i), "train", (Path(str(i)),) * 3, (Path(str(i)),) * 3)

    def read_photo(self, path):
        return self.photos[int(str(path))][0]

    def read_annotation(self, path):
        if str(path) == "1":
            raise DataError("1: broken")
        return self.photos[int(str(path))][1]


@pytest.fixture
def face_model(tmp_path):
    np.savez(tmp_path / "model.npz", mean=standard_face(), landmarks_68=np.arange(68))
    return tmp_path / "model.npz"


@pytest.fixture
def small_training(monkeypatch):
    for module, name, value in ((examples, "BACKDROPS", 3), (pretrain, "CROPS", 8), (pretrain, "CANVASES", 2)):
        monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("small_training")
def test_a_killed_training_goes_on_as_if_nothing_had_happened(tmp_path, face_model, monkeypatch):
    whole = pretrain.train(Photos(3), face_model, tmp_path / "whole.safetensors", 4, 0)
    monkeypatch.setattr(pretrain, "CHECKPOINT_MINUTES", 0.0)
    made = examples.crops

    def killed(bank, rng, count):
        killed.calls += 1
        if killed.calls == 4:
            raise KeyboardInterrupt
        return made(bank, rng, count)

    killed.calls = 0
    with monkeypatch.context() as patch:
        patch.setattr(pretrain, "crops", killed)
        with pytest.raises(KeyboardInterrupt):
            pretrain.train(Photos(3), face_model, tmp_path / "parts.safetensors", 4, 0)
    assert (tmp_path / "parts.checkpoint" / "last.pt").exists()
    parts = pretrain.train(Photos(3), face_model, tmp_path / "parts.safetensors", 4, 0)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, parts.state_dict()[name]), name


@pytest.mark.usefixtures("small_training")
def test_training_makes_better(tmp_path, face_model):
    networks = pretrain.train(Photos(3), face_model, tmp_path / "w.safetensors", 40, 0)
    rows = np.loadtxt(tmp_path / "w.checkpoint" / "metrics.csv", delimiter=",", skiprows=1)
    assert rows[-5:, 4].mean() < 0.7 * rows[:3, 4].mean()  # points_px
    assert not networks.standard.requires_grad


@pytest.mark.usefixtures("small_training")
def test_no_annotated_photograph(tmp_path, face_model):
    photos = Photos(0)
    with pytest.raises(DataError, match="choose another data set"):
        pretrain.train(photos, face_model, tmp_path / "w.safetensors", 1, 0)


def test_measuring_counts_what_is_found_and_what_is_not():
    photo = hopper()
    (face,) = find_faces(photo)
    black = np.zeros_like(photo)
    result = measure(shipped_networks(), [(photo, face.landmarks), (black, face.landmarks)])
    assert result == (2, 50.0, 0.0, 0.0, 0)
    shifted = face.landmarks + 0.1 * np.array([np.linalg.norm(face.landmarks[36] - face.landmarks[45]), 0])
    assert measure(shipped_networks(), [(photo, shifted)]).mean_percent == pytest.approx(10)
    assert measure(shipped_networks(), [(photo, face.landmarks + 300)])[1::3] == (0.0, 1)


def test_pretrain_needs_a_face_model(tmp_path, capsys):
    command = ["align", "pretrain", "--data", str(tmp_path), "--output", str(tmp_path / "w.safetensors")]
    assert cli(command) == 2
    assert "--face-model" in capsys.readouterr().err


# Shipped files


def test_shipped_networks_are_whole_and_small():
    path = assets.asset(WEIGHTS)
    _, about = read_landmark_networks(path)
    assert path.stat().st_size < 3e6
    assert all(command.startswith("dfmvr align pretrain") for command in about["commands"])
    assert about["accuracy"]["pixel_face"]["mean_percent"] < 5


def test_a_shipped_file_is_checked(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"abc")
    digest = hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(UnavailableError, match="install dfmvr again"):
        assets.checked(tmp_path / "a.bin")
    (tmp_path / assets.SUMS).write_text(f"{digest}  a.bin\n{'0' * 64}  b.bin\n")
    assert assets.checked(tmp_path / "a.bin") == tmp_path / "a.bin"
    shutil.copy(tmp_path / "a.bin", tmp_path / "b.bin")
    with pytest.raises(DataError, match=f"expected SHA-256 {'0' * 12}.., found {digest[:12]}"):
        assets.checked(tmp_path / "b.bin")
    with pytest.raises(UnavailableError, match=r"c\.bin"):
        assets.checked(tmp_path / "c.bin")
    (tmp_path / assets.SUMS).write_text("nonsense\n")
    with pytest.raises(DataError, match="sha256  name"):
        assets.read_sums(tmp_path / assets.SUMS)
