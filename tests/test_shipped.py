"""What ships, tried as a user would: on photographs alone, without a network."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import real_photographs
from numpy.testing import assert_allclose

from dfmvr import Reconstructor, cli
from dfmvr.align.command import align_sample
from dfmvr.align.crop import align_photo, map_points, standard_points, turned
from dfmvr.align.find import find_faces
from dfmvr.align.frame import warp
from dfmvr.assets.files import FOLDER, SUMS, read_sums
from dfmvr.config.evaluation import PROTOCOLS
from dfmvr.config.training import AlignSection
from dfmvr.conventions import CLASSES, VIEWS
from dfmvr.datasets.images import read_image, write_image
from dfmvr.datasets.sample import Sample
from dfmvr.errors import DataError
from dfmvr.face_model.views import render_views
from dfmvr.geometry.surface import Surface
from dfmvr.mesh.scan import FaceScan, NormalisedScans
from dfmvr.reconstruct.avatar.avatar import PARTS
from dfmvr.register.crop import crop
from dfmvr.register.surface import register_surface
from dfmvr.score.distances import measure, summarise

ROOT = Path(__file__).parents[1]
SCAN = ROOT.parent / "shared" / "scans" / "lee_perry_smith"
TILT = ROOT.parent / "shared" / "cases" / "tilt"


@pytest.fixture(scope="module")
def reconstructor():
    return Reconstructor.load()


@pytest.fixture
def hopper(tmp_path):
    """The file of a photograph of a real person."""
    write_image(tmp_path / "hopper.jpg", real_photographs.hopper())
    return tmp_path / "hopper.jpg"


def test_what_ships_is_small_and_named():
    files = {path.name for path in FOLDER.iterdir() if path.suffix in (".safetensors", ".npz")}
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert files == set(read_sums(FOLDER / SUMS))
    assert all(f"`{name}`" in card for name in files)
    sizes = {name: (FOLDER / name).stat().st_size for name in files}
    assert sum(sizes[name] for name in ("network.safetensors", "parser.safetensors", "face_model.npz")) < 30e6
    assert sum(sizes.values()) < 35e6


def test_one_photograph_of_a_real_person_gives_a_face_that_lies_over_it(reconstructor, hopper):
    face = reconstructor.from_any([hopper])
    (view,) = face.views
    assert view.name == "front"
    seen = face.project(view, face.vertices[face.model.landmarks_68.numpy()])[:, :2]
    eyes = np.linalg.norm(view.landmarks[36] - view.landmarks[45])
    assert np.linalg.norm(seen - view.landmarks, axis=1).mean() < 0.1 * eyes
    size = np.ptp(face.vertices, axis=0)
    assert np.all((size > (110, 140, 80)) & (size < (190, 260, 190)))  # mm: a person's face


def test_the_script_of_the_documentation_runs(hopper, tmp_path):
    script = ROOT / "docs" / "examples" / "reconstruct_photographs.py"
    command = [sys.executable, str(script), str(tmp_path / "face"), str(hopper)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "40199 vertices" in done.stdout
    assert "WARN" not in done.stderr
    assert {"face.glb", "viewer.html"} <= {path.name for path in (tmp_path / "face").iterdir()}


def test_an_avatar_is_written_at_the_photographs_expression(reconstructor, hopper, tmp_path):
    command = ["reconstruct", str(hopper), "--fast", "--avatar", "--format", "ply", "-o", str(tmp_path / "face")]
    assert cli.main(command) == 0
    content = (tmp_path / "face" / "avatar.glb").read_bytes()
    assert len(content) < 8e6
    (length,) = struct.unpack("<I", content[12:16])
    tree = json.loads(content[20 : 20 + length])
    head = tree["meshes"][0]
    told = json.loads((tmp_path / "face" / "face.json").read_text(encoding="utf-8"))["actions"]
    assert len(head["extras"]["targetNames"]) == 52
    for name, weight in zip(head["extras"]["targetNames"], head["weights"], strict=True):
        assert weight == pytest.approx(told[name], abs=1e-3) or "eyeBlink" in name
    assert [node["name"] for node in tree["nodes"]] == list(PARTS)
    # the files of a folder are known: writing them again is no trouble
    assert cli.main(command) == 0


class Photographs:
    """A data set of photographs without annotation."""

    read_photo = staticmethod(read_image)


@pytest.mark.parametrize("source", ["own", "mediapipe"])
def test_found_landmarks_align_photographs_that_have_none(reconstructor, hopper, source):
    if source != "own":
        pytest.importorskip(source, reason="finds the faces")
    sample = Sample("a", "p", "test", (hopper,) * 3)
    model = reconstructor.model
    standard = standard_points(model.mean.numpy(), model.landmarks_68.numpy())
    scans = NormalisedScans(None, landmarked=True)
    found = align_sample(Photographs(), sample, scans, standard, AlignSection(landmarks=source))
    assert not isinstance(found, str), found
    photo = read_image(hopper)
    crop, alignment = align_photo(photo, find_faces(photo, source)[0].landmarks, standard, found.images.shape[1])
    assert np.array_equal(found.images[0], crop)
    assert_allclose(alignment.affine[0, 1], 0)  # not levelled, as Deng et al. do it


def test_a_head_scan_is_met_better_than_by_the_mean_face_and_better_still_by_the_fit(reconstructor):
    if not SCAN.is_dir():
        pytest.skip("no head scan: ../shared/scans/lee_perry_smith is not there")
    from dfmvr.simulate import real_scan

    scan = real_scan.read_head_scan(SCAN, 50.0)
    face = reconstructor(**{view: real_scan.photograph_scan(scan, view) for view in VIEWS})
    target = FaceScan(real_scan.visible_surface(scan).vertices, scan.landmarks)
    seven = face.model.alignment.numpy()
    errors = []
    for vertices in (reconstructor.fit(face).vertices, face.vertices, face.model.mean.double().numpy()):
        surface = Surface(vertices, face.triangles)
        found = register_surface(surface, vertices[seven], target, PROTOCOLS["paper"])
        errors.append(summarise(measure(surface, crop(target, PROTOCOLS["paper"]), found)).rmse_mm)
    assert errors[0] < 0.85 * errors[1]
    assert errors[0] < 0.65 * errors[2]
    assert errors[1] < 0.95 * errors[2]


def test_a_real_person_gets_the_colour_of_their_skin(reconstructor, hopper):
    face = reconstructor.from_any([hopper])
    (view,) = face.views
    skin = view.mask == CLASSES.index("skin")

    def off(face):
        shown = render_views(face.model, face.coefficients.of_views([view.place]), face.image_size)
        both = skin & (shown.alpha[0, 0].numpy() > 0)
        rendered = shown.image[0, 0].permute(1, 2, 0).numpy()[both]
        return np.abs(rendered.mean(0) - view.crop[both].mean(0) / 255).max()

    assert off(reconstructor.fit(face)) < min(0.1, 0.5 * off(face))


def turned_photograph(photo, degrees):
    """A photograph turned counter-clockwise about its middle, all of it shown; and the map of its pixels."""
    side = int(np.hypot(*photo.shape[:2])) + 1
    turn = turned(-degrees)
    affine = np.column_stack([turn, side / 2 - turn @ (np.array(photo.shape[1::-1]) / 2)])
    return warp(photo, affine, side, cv2.BORDER_REPLICATE, cv2.INTER_CUBIC), affine


def overlay_px(face):
    """How far the model's landmarks are from the found ones in the photograph, px."""
    (view,) = face.views
    return np.linalg.norm(
        face.project(view, face.vertices[face.model.landmarks_68.numpy()])[:, :2] - view.landmarks, axis=1
    ).mean()


def check_tilted(reconstructor, upright, tilted, affine):
    """A tilted photograph gives the upright one's face, and a camera that is turned with it."""
    one, other = reconstructor.from_any([upright]), reconstructor.from_any([tilted])
    apart, told = (one.vertices - of for of in (other.vertices, one.model.mean.double().numpy()))
    # landmarks are found a little elsewhere, which counts against what is told of the person
    assert np.linalg.norm(apart, axis=1).mean() < 0.15 * np.linalg.norm(told, axis=1).mean()
    assert overlay_px(other) < 1.15 * overlay_px(one)
    (first,), (second,) = one.views, other.views
    moved = map_points(affine, one.project(first)[:, :2])
    width = np.ptp(moved[:, 0])
    assert np.linalg.norm(other.project(second)[:, :2] - moved, axis=1).mean() < 0.01 * width
    matrix = other.camera(second).matrix
    points = other.vertices[:50] @ matrix[:, :3].T + matrix[:, 3]
    assert_allclose(points[:, :2] / points[:, 2:], other.project(second)[:50, :2], atol=1e-6)
    assert other.camera(second).px_per_mm == pytest.approx(one.camera(first).px_per_mm, rel=0.02)


@pytest.fixture(scope="module", params=["own", "mediapipe"])
def by_each(request):
    if request.param == "mediapipe":
        pytest.importorskip("mediapipe", reason="finds the faces")
    return Reconstructor.load(finder=request.param)


@pytest.mark.parametrize("degrees", [10, -35, 75, 90, 180])
def test_a_tilted_photograph_gives_the_face_of_the_upright_one(by_each, degrees):
    photo = real_photographs.hopper()
    check_tilted(by_each, photo, *turned_photograph(photo, degrees))


@pytest.mark.parametrize("degrees", [20, -20, 45, 60, 90, 120, 135, 150, 180])
def test_a_tilted_stand_in_gives_the_face_of_the_upright_one(by_each, degrees):
    if not TILT.exists():
        pytest.skip("no photographs of a tilted head beside the repository")
    photo = read_image(TILT / "upright.png")
    check_tilted(by_each, photo, *turned_photograph(photo, degrees))


def test_a_head_that_was_tilted_by_another_program(by_each):
    if not TILT.exists():
        pytest.skip("no photographs of a tilted head beside the repository")
    one, other = (by_each.from_any([TILT / name]) for name in ("upright.png", "tilt20.png"))
    assert np.linalg.norm(one.vertices - other.vertices, axis=1).mean() < 0.3


def test_a_face_that_is_cut_off_is_reconstructed_from_what_is_seen(by_each):
    photo = real_photographs.hopper()
    cut = np.ascontiguousarray(photo[100:315, 140:390])  # through the chin
    whole, part = by_each.from_any([photo]), by_each.from_any([cut])
    assert "the face is cut off" in part.notes[0]
    lost = np.isnan(part.views[0].landmarks).any(1)
    assert 0 < lost.sum() < 12
    assert set(np.flatnonzero(lost)) <= set(range(17))  # of the jaw
    off = part.project(part.views[0])[:, :2] + (140, 100) - whole.project(whole.views[0])[:, :2]
    assert np.linalg.norm(off, axis=1).mean() < 10  # px; the face is 185 px wide
    with pytest.raises(DataError, match=r"of 68 landmarks would be outside|no face found"):
        by_each.from_any([np.ascontiguousarray(photo[100:260, 140:390])])  # through the nose


def test_a_photograph_cut_above_the_chin(by_each, tmp_path):
    if not TILT.exists():
        pytest.skip("no photograph of a cut face beside the repository")
    face = by_each.from_any([TILT.parent / "tight_crop" / "cut.png"])
    given = by_each.from_any([TILT.parent / "tight_crop" / "cut.png"], [TILT.parent / "tight_crop" / "five.txt"])
    assert "landmarks are left out" in face.notes[0]
    assert np.linalg.norm(face.vertices - given.vertices, axis=1).mean() < 1.5  # mm


def test_a_face_that_mediapipe_does_not_find_is_found_all_the_same(reconstructor):
    pytest.importorskip("mediapipe", reason="is asked first")
    photo = real_photographs.hopper()
    noisy = np.clip(photo + np.random.default_rng(0).normal(0, 90, photo.shape), 0, 255).astype(np.uint8)
    face = reconstructor.from_any([noisy])
    assert face.notes == (
        "photograph 1: mediapipe finds no face; the landmarks are those of the finder that ships, and less sure",
    )
    assert face.views[0].dense is None
    assert overlay_px(face) < 20
    plain = reconstructor.from_any([photo])
    assert plain.notes == ()
    assert plain.views[0].dense.shape == (478, 2)
