"""All files of a face: meshes, numbers, pictures and the page, each read back by another program where there is one."""

import dataclasses
import json
import re
import shutil

import cv2
import jsonschema
import numpy as np
import pytest
import torch
import trimesh
from npm_modules import khronos_report, serious_faults
from numpy.testing import assert_allclose, assert_array_equal
from page_reader import WEBGL, Reader, found_in_browser
from PIL import Image
from toy_reconstruction import cover, toy_reconstruction, with_views

from dfmvr.conventions import ALIGNMENT_POINTS, VIEWS
from dfmvr.errors import ConfigError, OutputError
from dfmvr.geometry.meshes import read_landmarks, read_mesh
from dfmvr.reconstruct.export import pictures
from dfmvr.reconstruct.export.files import coloured, export, names_of_files
from dfmvr.reconstruct.export.numbers import arrays, document, schema
from dfmvr.reconstruct.export.viewer import shown_face, write_viewer


@pytest.fixture(scope="module")
def face():
    return toy_reconstruction()


@pytest.fixture(scope="module")
def folder(face, tmp_path_factory):
    """Everything of one face."""
    path = tmp_path_factory.mktemp("face")
    written = export(path, face, viewer=True, neutral=True)
    assert sorted(written) == sorted(path.iterdir())
    assert len(set(written)) == len(written)
    return path


def test_everything_is_there(folder):
    meshes = [f"{stem}.{suffix}" for stem in ("face", "neutral") for suffix in ("glb", "obj", "mtl", "png", "ply")]
    others = ["face.landmarks.csv", "face.json", "face.npz", "turntable.png", "viewer.html"]
    overlays = [f"overlay_{view}.jpg" for view in VIEWS]
    assert {path.name for path in folder.iterdir()} == {*meshes, *others, *overlays}


@pytest.mark.parametrize("stem", ["face", "neutral"])
@pytest.mark.parametrize("suffix", ["glb", "obj"])
def test_textured_meshes_come_back_whole(face, folder, stem, suffix):
    vertices = (face if stem == "face" else face.neutral()).vertices
    found = trimesh.load(folder / f"{stem}.{suffix}", force="mesh", process=False)
    scale = 1000 if suffix == "glb" else 1
    assert_allclose(found.vertices[found.faces] * scale, vertices[face.triangles], atol=1e-4)
    if suffix == "glb":
        assert_allclose(found.vertices[: len(vertices)] * scale, vertices, atol=1e-4)
    material = found.visual.material
    image = material.baseColorTexture if suffix == "glb" else material.image
    assert image.size == (512, 512)
    # the image's place of every corner has the albedo of its vertex
    corners = found.visual.uv[found.faces].reshape(-1, 2)
    column, row = (np.clip(corners * (1, -1) + (0, 1), 0, 0.9999) * 512).astype(int).T
    truth = face.albedo[face.triangles].reshape(-1, 3)
    assert np.abs(np.asarray(image)[row, column, :3] / 255 - truth).mean() < 0.02


def test_vertex_colours_are_those_of_the_photographs(face, folder):
    found = read_mesh(folder / "face.ply")
    assert_allclose(found.vertices, face.vertices, atol=1e-4)
    assert_array_equal(found.triangles, face.triangles)
    assert np.abs(found.colours - face.albedo).mean() < 0.02


def test_obj_names_its_material_and_image(folder):
    text = (folder / "neutral.obj").read_text()
    assert text.startswith("mtllib neutral.mtl\n")
    assert "map_Kd neutral.png" in (folder / "neutral.mtl").read_text()
    assert (folder / "neutral.png").read_bytes() == (folder / "face.png").read_bytes()


def test_landmarks_and_arrays(face, folder):
    assert_allclose(read_landmarks(folder / "face.landmarks.csv"), face.vertices[face.model.alignment], atol=1e-6)
    with np.load(folder / "face.npz", allow_pickle=False) as arrays:
        assert list(arrays["views"]) == list(VIEWS)
        assert_array_equal(arrays["vertices"], face.vertices)
        again = face.model.shape(*(torch.from_numpy(arrays[name])[None] for name in ("identity", "expression")))
        assert_allclose(again[0].numpy(), face.vertices, atol=1e-4)


@pytest.mark.parametrize("name", VIEWS)
def test_the_matrix_of_a_photograph_projects(face, name):
    view = with_views(face, name).views[0]
    points = np.random.default_rng(0).uniform(-100, 100, (50, 3))
    seen = np.column_stack([points, np.ones(50)]) @ face.camera(view).matrix.T
    assert_allclose(seen[:, :2] / seen[:, 2:], face.project(view, points)[:, :2], atol=1e-6, rtol=0)
    assert_allclose(seen[:, 2], face.project(view, points)[:, 2], atol=1e-9)


def test_the_numbers_fit_together(face, folder):
    found = json.loads((folder / "face.json").read_text())
    for entry, view in zip(found["views"], face.views, strict=True):
        points = np.array(found["landmarks_68"])
        posed = points @ np.array(entry["rotation"]).T + entry["translation"]
        assert_allclose(posed, face.camera(view).posed(points), atol=1e-9)
        camera = points @ np.array(entry["canonical_to_camera"])[:, :3].T + np.array(entry["canonical_to_camera"])[:, 3]
        crop = camera @ np.array(entry["crop"]["intrinsics"]).T
        affine = np.array(entry["photo_to_crop"])
        photo = (crop[:, :2] / crop[:, 2:] - affine[:, 2]) / affine[0, 0]
        assert_allclose(photo, entry["landmarks_68_model"], atol=1e-6)
        assert_allclose(photo, entry["landmarks_found"], atol=1e-6)  # the photographs are of this very face
        assert [entry["photo"]["height"], entry["photo"]["width"]] == list(view.photo.shape[:2])
    assert list(found["alignment_points"]) == list(ALIGNMENT_POINTS)


def test_json_fits_its_schema(face, folder):
    validator = jsonschema.Draft202012Validator(schema())
    jsonschema.Draft202012Validator.check_schema(schema())
    found = json.loads((folder / "face.json").read_text())
    validator.validate(found)
    for broken in ({**found, "more": 1}, {**found, "views": []}, {k: v for k, v in found.items() if k != "model"}):
        assert not validator.is_valid(broken)
    found["views"][0]["rotation"][1].pop()
    assert not validator.is_valid(found)


def test_a_displacement_is_told(face):
    assert document(face)["displacement"] is None
    along = np.linspace(-3, 1, len(face.vertices))
    moved = dataclasses.replace(face, displacement=along)
    found = document(moved)
    assert found["displacement"] == {"rms": pytest.approx(np.sqrt((along**2).mean())), "largest": 3.0}
    jsonschema.Draft202012Validator(schema()).validate(found)
    assert_allclose(
        np.linalg.norm(arrays(moved)["vertices"] - arrays(face)["vertices"], axis=1), np.abs(along), atol=1e-6
    )
    assert_allclose(arrays(moved)["displacement"], along)


def test_unknown_landmarks_are_null(face):
    points = face.views[0].landmarks.copy()
    points[3] = np.nan
    view = face.views[0]._replace(landmarks=points)
    found = document(dataclasses.replace(face, views=(view,)))
    assert found["views"][0]["landmarks_found"][3] is None
    jsonschema.Draft202012Validator(schema()).validate(json.loads(json.dumps(found, allow_nan=False)))
    five = document(dataclasses.replace(face, views=(view._replace(landmarks=points[[36, 45, 30, 48, 54]]),)))
    jsonschema.Draft202012Validator(schema()).validate(five)
    pictures.overlay(face, view)


@pytest.mark.parametrize("name", VIEWS)
def test_an_overlay_changes_the_photograph_only_where_the_face_is(face, name):
    view = with_views(face, name).views[0]
    found = pictures.overlay(face, view)
    scale = pictures.SMALLEST_PX / max(view.photo.shape)
    height, width = (round(scale * side) for side in view.photo.shape[:2])
    photo = cv2.resize(view.photo, (width, height), interpolation=cv2.INTER_CUBIC)
    mask = (cover(face, view, scale).pix_to_face[0] >= 0).numpy().astype(np.uint8)
    outside, inside = cv2.dilate(mask, np.ones((5, 5))) == 0, cv2.erode(mask, np.ones((5, 5))) > 0
    assert min(outside.mean(), inside.mean()) > 0.1
    for panel in (1, 2):
        part = found[:height, panel * width : (panel + 1) * width]
        assert_array_equal(part[outside], photo[outside])
    # under white light the model is what the photograph shows; the shape is grey
    model, shape = (found[:height, p * width : (p + 1) * width].astype(int) for p in (1, 2))
    assert np.abs(model - photo)[inside].mean() < 4
    assert np.ptp(shape[inside], axis=1).max() < 12


def test_landmarks_are_marked_where_they_are(face):
    view = face.views[1]
    points = np.full((68, 2), np.nan)
    points[0] = (30.0, 200.0)  # beside the face
    found = pictures.overlay(face, view._replace(landmarks=points))
    scale = pictures.SMALLEST_PX / max(view.photo.shape)
    column, row = (points[0] * scale).astype(int)
    assert np.abs(found[row, column].astype(int) - pictures.FOUND_COLOUR).max() < 30
    column, row = (face.project(view)[face.model.landmarks_68[30], :2] * scale).astype(int)
    assert np.abs(found[row, column].astype(int) - pictures.MODEL_COLOUR).max() < 60


@pytest.mark.parametrize("shape", [(60, 4000), (3000, 4000)])
def test_overlays_of_large_or_narrow_photographs_are_small(face, shape):
    photo = np.zeros((*shape, 3), np.uint8)
    found = pictures.overlay(face, face.views[0]._replace(photo=photo))
    assert found.shape[1] == 3 * pictures.LARGEST_PX
    away = face.views[0]._replace(affine=np.array([[0.4, 0, 5000.0], [0, 0.4, 5000.0]]))  # the face is not in it
    panels = pictures.overlay(face, away)
    assert_array_equal(panels[:400, 400:800], panels[:400, 800:1200])


def test_the_turntable_shows_all_sides_in_colour_and_grey(face, folder):
    picture = np.asarray(Image.open(folder / "turntable.png"))
    height, width = pictures.TILE_PX
    count = len(pictures.SIDES_DEG)
    assert picture.shape == (2 * height, count * width, 3)
    covers = []
    for tile in range(count):
        above, below = (picture[r * height : (r + 1) * height, tile * width : (tile + 1) * width] for r in (0, 1))
        drawn = [np.abs(part.astype(int) - (244, 245, 247)).max(-1) > 8 for part in (above, below)]
        covers.append(drawn[0].sum())
        assert 0.2 < drawn[0].mean() < 0.95
        assert (drawn[0] != drawn[1]).mean() < 0.02
        assert np.ptp(below.astype(int), axis=-1).max() < 12
        assert np.ptp(above.astype(int), axis=-1).max() > 50
    assert covers[2] > 1.2 * covers[0]  # the front is wider than the side


@pytest.mark.parametrize("names", [("front",), ("left",), ("left", "right")])
def test_missing_views_do(face, tmp_path, names):
    files = export(tmp_path, with_views(face, *names), ("glb",), neutral=False)
    assert {path.name for path in files if path.suffix == ".jpg"} == {f"overlay_{name}.jpg" for name in names}
    found = json.loads((tmp_path / "face.json").read_text())
    jsonschema.Draft202012Validator(schema()).validate(found)
    assert [view["name"] for view in found["views"]] == list(names)


def test_a_view_that_shows_something_else_does(face, tmp_path):
    left, front, right = face.views
    mirrored = left._replace(photo=np.ascontiguousarray(right.photo[:, ::-1]))
    beside = front._replace(affine=np.array([[0.4, 0, 4000.0], [0, 0.4, 0.0]]))
    export(tmp_path, dataclasses.replace(face, views=(mirrored, beside)), ("ply",))
    assert np.isfinite(read_mesh(tmp_path / "face.ply").colours).all()


def test_albedo_in_place_of_photographs(face, tmp_path):
    files = export(tmp_path, face, ("glb", "obj"), texture="albedo", pictures=False)
    assert {path.name for path in files} == {"face.glb", "face.obj", "face.landmarks.csv", "face.json", "face.npz"}
    found = read_mesh(tmp_path / "face.glb")
    inside = (face.albedo > 0.02) & (face.albedo < 0.98)
    bright = np.median(found.colours[inside] / face.albedo[inside])
    assert_allclose(found.colours[inside], (face.albedo * bright)[inside], atol=0.03)
    assert "vt" not in (tmp_path / "face.obj").read_text()


def test_an_avatar_wants_the_model_that_ships(face, tmp_path):
    with pytest.raises(ConfigError, match="open model that ships"):
        export(tmp_path, face, ("ply",), pictures=False, avatar=True)
    names = names_of_files(["front"], ("glb",), viewer=True, avatar=True)
    assert {"avatar.glb", "viewer.html"} < set(names)


def test_wrong_choices_are_refused(face, tmp_path):
    with pytest.raises(ConfigError, match="found stl"):
        export(tmp_path, face, ("stl",))
    with pytest.raises(ConfigError, match="found paint"):
        export(tmp_path, face, texture="paint")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        export(tmp_path / "file", face, ("ply",))


@pytest.mark.parametrize("texture", ["photos", "albedo"])
def test_khronos_finds_no_fault_with_the_glb(face, tmp_path, texture):
    export(tmp_path, face, ("glb",), texture=texture, pictures=False)
    report = khronos_report(tmp_path / "face.glb")
    assert report["issues"]["numErrors"] == 0, report["issues"]["messages"]
    assert report["issues"]["numWarnings"] == 0, report["issues"]["messages"]
    assert report["info"]["totalTriangleCount"] == len(face.triangles)


def test_axe_finds_no_serious_fault_with_the_page(folder, tmp_path):
    shutil.copy(folder / "viewer.html", tmp_path)
    assert serious_faults(tmp_path / "viewer.html") == []
    unlabelled = tmp_path / "unlabelled.html"
    unlabelled.write_text((tmp_path / "viewer.html").read_text(encoding="utf-8").replace("aria-label=", "data-label="))
    assert [rule for _, rule, _ in serious_faults(unlabelled)] == ["role-img-alt"]


def test_the_page_is_sound_and_asks_for_nothing(folder):
    text = (folder / "viewer.html").read_text(encoding="utf-8")
    reader = Reader(text)
    assert all(link.startswith(("data:", "#")) for link in reader.links)
    assert not re.search(r"url\(|@import|https?://", text)
    assert text.count("data-expression>") == 1


def test_a_page_of_a_still_face_has_no_button_for_its_expression(face, tmp_path):
    mesh = coloured(face, "albedo")
    write_viewer(tmp_path / "v.html", *shown_face(mesh, mesh.vertices), "A <face> & more")
    text = (tmp_path / "v.html").read_text(encoding="utf-8")
    assert "data-expression>" not in text
    assert "<title>A &lt;face&gt; &amp; more</title>" in text


WATCH = """
const canvas = document.querySelector("canvas"), found = {};
function look() {
  const flat = document.createElement("canvas");
  Object.assign(flat, { width: canvas.width, height: canvas.height });
  const context = flat.getContext("2d");
  context.drawImage(canvas, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let drawn = 0, spread = 0, left = canvas.width, right = 0;
  for (let i = 0; i < pixels.length; i += 4) {
    const low = Math.min(pixels[i], pixels[i + 1], pixels[i + 2]);
    if (pixels[i + 3] < 128) continue;  // the page is behind it
    drawn += 1;
    spread += Math.max(pixels[i], pixels[i + 1], pixels[i + 2]) - low;
    left = Math.min(left, (i / 4) % canvas.width);
    right = Math.max(right, (i / 4) % canvas.width);
  }
  const share = drawn / (canvas.width * canvas.height), ready = document.body.dataset.ready;
  return { share, spread: spread / drawn, width: right - left, ready };
}
const press = (name) => document.querySelector(`[${name}]`).click();
const key = (name) => canvas.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
const steps = [
  () => { found.texture = look(); press('data-look="shape"'); },
  () => { found.shape = look(); press('data-look="wire"'); },
  () => { found.wire = look(); press('data-look="texture"'); press('data-yaw="45"'); },
  () => { found.turned = look(); press('data-yaw="0"'); press("data-expression"); },
  () => { found.neutral = look(); for (let i = 0; i < 12; i++) key("ArrowLeft"); },
  () => { found.keyed = look(); document.body.dataset.found = JSON.stringify(found); },
];
const begin = () => steps.forEach((step, i) => setTimeout(step, 400 * i));
const wait = setInterval(() => { if (document.body.dataset.ready) { clearInterval(wait); begin(); } }, 100);
"""
"""Presses the page's buttons and keys, and looks at what is drawn after each."""


def test_the_page_draws_and_turns_the_face_in_a_browser(folder, tmp_path):
    shutil.copy(folder / "viewer.html", tmp_path)
    found = found_in_browser(tmp_path / "viewer.html", WATCH, *WEBGL, size="500,500")
    assert [found[name]["ready"] for name in ("texture", "shape", "wire")] == ["texture", "shape", "wire"]
    assert all(0.1 < found[name]["share"] < 0.9 for name in found)
    assert found["texture"]["spread"] > 30  # colours
    assert found["shape"]["spread"] < 8  # grey
    assert found["wire"]["spread"] > found["shape"]["spread"] + 3  # blue lines on it
    assert found["turned"]["width"] < 0.97 * found["texture"]["width"]
    assert found["keyed"]["width"] < found["turned"]["width"]
    assert found["neutral"]["share"] != found["texture"]["share"]


def test_without_webgl_the_page_says_so(folder, tmp_path):
    shutil.copy(folder / "viewer.html", tmp_path / "viewer.html")
    message = "const shown = document.querySelector('.without');"
    told = (
        "document.body.dataset.found = JSON.stringify([document.body.dataset.ready, shown.hidden, shown.textContent]);"
    )
    ready, hidden, text = found_in_browser(tmp_path / "viewer.html", message + told, "--disable-3d-apis")
    assert (ready, hidden) == ("without", False)
    assert text.startswith("This browser has no WebGL")
