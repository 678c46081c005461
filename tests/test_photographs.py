"""From photographs to faces: what the network is shown, left and right, batches, and wrong use."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from toy_model import toy_model
from toy_network import SIZE

from dfmvr import cli
from dfmvr.align.crop import five_points
from dfmvr.conventions import VIEWS
from dfmvr.datasets.images import read_focal_length, read_image, read_photograph, write_image
from dfmvr.datasets.landmark_files import read_landmark_file, write_landmark_file
from dfmvr.errors import ConfigError, DataError
from dfmvr.geometry.camera import pose, project
from dfmvr.geometry.meshes import read_mesh
from dfmvr.networks.checkpoint import read_network
from dfmvr.parse.parser import load_parser, predict
from dfmvr.reconstruct.photographs.reconstruction import SeenView
from dfmvr.reconstruct.photographs.reconstructor import Reconstructor
from dfmvr.reconstruct.photographs.views import put_by_pose, put_in_place

PX = 240
YAWS = {"left": -0.5, "front": 0.0, "right": 0.5}


def write_photographs(folder, suffix=".png"):
    """Three photographs of noise with landmark files of 5 or 68 points that a face could have."""
    folder.mkdir(exist_ok=True)
    model = toy_model()
    mean = model.mean[model.landmarks_68][None]
    for number, (view, yaw) in enumerate(YAWS.items()):
        points = project(pose(mean, torch.tensor([[0.0, yaw, 0.0]]), torch.zeros(1, 3)), PX)[0, :, :2].numpy()
        write_landmark_file(folder / f"{view}.txt", five_points(points) if view == "front" else points)
        image = np.random.default_rng(number).integers(0, 255, (PX, PX, 3), dtype=np.uint8)
        write_image(folder / f"{view}{suffix}", image)
    return folder


def options(folder, *views):
    """Command line options of photographs and their landmark files."""
    photos = [word for view in views for word in (f"--{view}", str(folder / f"{view}.png"))]
    return [*photos, "--landmarks", *(str(folder / f"{view}.txt") for view in views)]


def use(trained):
    """The options that name the network."""
    return ["--checkpoint", str(trained / "network.safetensors")]


@pytest.fixture
def reconstructor(trained):
    return Reconstructor.load(trained / "network.safetensors")


@pytest.fixture
def shown(trained, tmp_path):
    """Photographs by view, and their landmarks."""
    folder = write_photographs(tmp_path / "photos")
    photos = {view: folder / f"{view}.png" for view in VIEWS}
    return photos, {view: folder / f"{view}.txt" for view in VIEWS}


def asked(trained, crops):
    """What the network answers, asked as in training: views that are not seen are black and have no mask."""
    images = np.zeros((1, 3, SIZE, SIZE, 3), np.uint8)
    masks = np.zeros((1, 3, SIZE, SIZE), np.uint8)
    parser = load_parser(trained / "parser.safetensors")
    for view, crop in crops.items():
        images[0, VIEWS.index(view)] = crop
        masks[0, VIEWS.index(view)] = predict(parser, crop[None])[0]
    network = read_network(trained / "network.safetensors").network
    with torch.inference_mode():
        return network(torch.from_numpy(images).permute(0, 1, 4, 2, 3).float() / 255, torch.from_numpy(masks).long())


@pytest.mark.parametrize("views", [VIEWS, ("front",), ("right",)])
def test_the_answer_is_the_networks(trained, reconstructor, shown, views):
    photos, marks = shown
    face = reconstructor(**{v: photos[v] for v in views}, landmarks=marks)
    expected = asked(trained, {view.name: view.crop for view in face.views})
    assert [view.name for view in face.views] == list(views)
    for found, right in zip(face.coefficients, expected, strict=True):
        assert torch.allclose(found, right, atol=1e-5)


def test_of_two_views_the_third_is_the_mirror_image(trained, reconstructor, shown):
    photos, marks = shown
    face = reconstructor(photos["left"], photos["front"], landmarks=marks)
    crops = {view.name: view.crop for view in face.views}
    assert set(crops) == {"left", "front"}
    expected = asked(trained, crops | {"right": crops["left"][:, ::-1]})
    assert torch.allclose(face.coefficients.identity, expected.identity, atol=1e-5)


def test_exchanged_sides_are_noticed_said_and_mended(reconstructor, shown):
    photos, marks = shown
    right = reconstructor(**photos, landmarks=marks)
    swapped = {"left": "right", "front": "front", "right": "left"}
    wrong = reconstructor(**{v: photos[swapped[v]] for v in VIEWS}, landmarks={v: marks[swapped[v]] for v in VIEWS})
    assert right.notes == ()
    assert "wrong way round" in wrong.notes[0]
    assert torch.equal(wrong.coefficients.identity, right.coefficients.identity)


def test_photographs_in_any_order_are_told_apart(reconstructor, shown):
    photos, marks = shown
    right = reconstructor(**photos, landmarks=marks)
    for order in (("front", "right", "left"), ("right", "left", "front")):
        face = reconstructor.from_any([photos[v] for v in order], [marks[v] for v in order])
        assert torch.equal(face.coefficients.identity, right.coefficients.identity)
    one = reconstructor.from_any([photos["right"]], [marks["right"]])
    assert [view.name for view in one.views] == ["right"]
    with pytest.raises(ConfigError, match="one to 12, found 13"):
        reconstructor.from_any([photos["left"]] * 13, [marks["left"]] * 13)


def test_more_than_the_network_sees_join_as_further_views(reconstructor, shown):
    photos, marks = shown
    right = reconstructor(**photos, landmarks=marks)
    pixels = read_image(photos["left"])
    again = np.roll(pixels, 1, axis=2)  # in other colours
    points = read_landmark_file(marks["left"])
    given = [*photos.values(), again, pixels]
    face = reconstructor.from_any(given, [*marks.values(), points, points])
    assert [view.name for view in face.views] == [*VIEWS, "further1"]
    assert np.array_equal(face.views[3].photo, again)
    assert face.notes == (f"photograph 5: left out, the same photograph as {photos['left']}",)
    assert torch.allclose(face.coefficients.identity, right.coefficients.identity, atol=1e-5)
    other = reconstructor(again, photos["front"], photos["right"], landmarks=marks)
    for found, expected in zip(face.coefficients[3:], other.coefficients[3:], strict=True):
        assert torch.allclose(found[0, 3], expected[0, 0], atol=1e-5)
    assert face.views[3].mask.shape == (SIZE, SIZE)


def test_a_photograph_without_a_face_is_left_out(reconstructor, shown):
    photos, marks = shown
    blank = np.full((60, 60, 3), 128, np.uint8)
    face = reconstructor.from_any([blank, photos["front"]], [None, marks["front"]])
    assert [view.name for view in face.views] == ["front"]
    assert face.notes[0].startswith("left out: photograph 1: no face found")
    with pytest.raises(DataError, match="photograph 1: no face found"):
        reconstructor.from_any([blank, blank])
    with pytest.raises(DataError, match="no such image"):
        reconstructor.from_any([photos["front"], "nowhere.jpg"], [marks["front"], None])
    face = reconstructor.from_any([photos["front"], f"{'x' * 300}.jpg"], [marks["front"], None])  # cannot be looked up
    assert "File name too long" in face.notes[0]


def turned(yaw_deg, name=""):
    return SeenView(name, *([np.zeros(0)] * 4), yaw_deg=yaw_deg, label=f"{yaw_deg:+g}")


@pytest.mark.parametrize(
    ("yaws", "places"),
    [
        ((35, -2, -30), ("right", "front", "left")),
        ((-8, 1, 7), ("left", "front", "right")),
        ((-3, 1, 4), ("further1", "front", "further2")),
        ((-40, -30, 2), ("left", "further1", "front")),
        ((-40, -30, -2), ("left", "further1", "front")),
    ],
)
def test_places_follow_from_how_far_faces_are_turned(yaws, places):
    names = {view.yaw_deg: view.name for view in put_by_pose([turned(yaw) for yaw in yaws])}
    assert tuple(names[yaw] for yaw in yaws) == places


def test_named_sides_that_are_copies_or_hardly_turned_are_told(reconstructor, shown):
    photos, marks = shown
    of_both = dict.fromkeys(("left", "front"), marks["front"])
    twice = reconstructor(left=photos["front"], front=photos["front"], landmarks=of_both)
    assert [view.name for view in twice.views] == ["front"]
    assert twice.notes == (f"{photos['front']}: left out, the same photograph as {photos['front']}",)
    _, notes = put_in_place({"left": turned(-3, "left"), "front": turned(0, "front"), "right": turned(20, "right")})
    assert notes == ["-3: given as the left view, but hardly turned, by -3 degrees"]


@pytest.mark.parametrize(
    ("film", "taken", "known", "said"),
    [
        (26, (4000, 3000), True, ""),
        (26, (3000, 4000), True, ""),
        (26, None, True, ""),
        (0, None, False, ""),
        (26, (4000, 2000), False, "has been cropped"),
        (5000, None, False, "5000 mm"),
    ],
)
def test_the_focal_length_is_that_of_the_file(tmp_path, film, taken, known, said):
    exif = Image.Exif()
    of_camera = exif.get_ifd(0x8769)
    of_camera[0xA405] = film
    if taken:
        of_camera[0xA002], of_camera[0xA003] = taken
    Image.new("RGB", (400, 300)).save(tmp_path / "a.jpg", exif=exif)
    found = read_focal_length(tmp_path / "a.jpg")
    # 26 mm on film of 36 x 24 mm, whose diagonal is 43.27 mm; the picture's is 500 px
    assert found.px == (pytest.approx(26 * 500 / 43.267, rel=1e-3) if known else None)
    assert said in found.doubt


@pytest.mark.parametrize("form", ["png", "webp", "jpg"])
def test_damaged_exif_data_cost_the_focal_length_alone(tmp_path, form):
    pixels = np.full((30, 40, 3), 90, np.uint8)
    path, more = tmp_path / f"a.{form}", {"dpi": (72, 72)} if form == "jpg" else {}
    Image.fromarray(pixels).save(path, exif=b"Exif\0\0no TIFF at all", **more)
    found = read_photograph(path)
    assert np.abs(found.pixels.astype(int) - 90).max() <= 1
    assert (found.focal_px, found.size) == (None, (30, 40))
    assert found.doubts == ("its EXIF data are damaged; the focal length is not used",)


@pytest.mark.parametrize(("film", "known"), [(50, True), (26, False)])
def test_a_camera_that_stood_in_the_face_took_a_larger_photograph(reconstructor, tmp_path, film, known):
    """The toy's faces are as large as from 1,000 mm by a lens of 139 mm: 26 mm put the camera at 187 mm."""
    folder, exif = write_photographs(tmp_path / "photos"), Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = film
    Image.open(folder / "left.png").save(folder / "left.png", exif=exif.tobytes())
    seen = reconstructor.see(folder / "left.png", folder / "left.txt")
    assert (seen.focal_px is not None) == known
    if not known:
        told = re.search(r"put the camera (\d+) mm before the face, so it has been cropped", seen.notes[0])
        assert float(told[1]) == pytest.approx(187, rel=0.05)


def test_several_faces_at_once_are_the_same_faces(reconstructor, shown):
    photos, marks = shown
    apart = [reconstructor(**photos, landmarks=marks), reconstructor(front=photos["front"], landmarks=marks)]
    together = reconstructor.from_views([face.views for face in apart])
    for one, other in zip(apart, together, strict=True):
        assert torch.allclose(one.coefficients.identity, other.coefficients.identity, atol=1e-5)


def rotated(path):
    """A photograph that lies on its side and says so."""
    upright = Image.open(path)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


STORED = {
    "rotated": rotated,
    "with alpha": lambda path: Image.open(path).convert("RGBA").save(path),
    "palette": lambda path: Image.open(path).convert("L").convert("P").save(path),
    "grey": lambda path: Image.open(path).convert("L").save(path),
}


@pytest.mark.parametrize("how", STORED)
def test_photographs_may_be_stored_in_many_ways(reconstructor, shown, how):
    photos, marks = shown
    pixels = read_image(photos["front"])
    if how in ("grey", "palette"):
        pixels = np.array(Image.fromarray(pixels).convert("L"))
    expected = reconstructor(front=pixels, landmarks={"front": read_landmark_file(marks["front"])})
    STORED[how](photos["front"])
    face = reconstructor(front=photos["front"], landmarks=marks)
    assert np.array_equal(face.views[0].crop, expected.views[0].crop)


def test_an_array_that_is_no_photograph_is_refused(reconstructor):
    with pytest.raises(DataError, match=r"front photograph: expected uint8 pixels .* found float64 \(9, 9, 3\)"):
        reconstructor(front=np.zeros((9, 9, 3)))
    with pytest.raises(ConfigError, match="one to three, found none"):
        reconstructor()


@pytest.mark.parametrize("suffix", ["ply", "obj", "glb"])
def test_three_photographs_give_a_mesh(trained, tmp_path, suffix):
    folder, output = write_photographs(tmp_path / "photos"), tmp_path / "face"
    more = [*use(trained), "--output", str(output), "--format", suffix]
    assert cli.main(["reconstruct", *options(folder, *VIEWS), *more]) == 0
    assert {f"face.{suffix}", "face.json", "face.npz", "face.landmarks.csv"} <= {p.name for p in output.iterdir()}
    reconstructor = Reconstructor.load(trained / "network.safetensors")
    face = reconstructor.fit(
        reconstructor(**{v: folder / f"{v}.png" for v in VIEWS}, landmarks={v: folder / f"{v}.txt" for v in VIEWS})
    )
    found = read_mesh(output / f"face.{suffix}").vertices
    low, high = face.vertices.min(0), face.vertices.max(0)
    assert np.allclose(found.min(0), low, atol=1e-2)
    assert np.allclose(found.max(0), high, atol=1e-2)


def test_the_mesh_has_the_expression_of_the_photograph_that_is_asked_for(trained, tmp_path, capsys):
    folder, told = write_photographs(tmp_path / "photos"), {}
    for view in ("front", "left"):
        output = tmp_path / view
        more = [*use(trained), "-o", str(output), "--format", "ply", "--expression-of", view]
        assert cli.main(["reconstruct", *options(folder, *VIEWS), *more]) == 0
        told[view] = json.loads((output / "face.json").read_text())
        own = {photo["name"]: photo["expression"] for photo in told[view]["views"]}
        assert np.allclose(told[view]["coefficients"]["expression"], own[view], atol=1e-6)
    assert told["front"]["coefficients"]["identity"] == told["left"]["coefficients"]["identity"]
    assert told["front"]["coefficients"]["expression"] != told["left"]["coefficients"]["expression"]
    more = [*use(trained), "-o", str(tmp_path / "none"), "--expression-of", "right"]
    assert cli.main(["reconstruct", *options(folder, "front"), *more]) == 2
    assert "--expression-of right: expected one of front" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_an_avatar_of_another_face_model_is_refused_before_a_face_is_made(trained, tmp_path, capsys):
    folder, output = write_photographs(tmp_path / "photos"), tmp_path / "face"
    assert cli.main(["reconstruct", *options(folder, *VIEWS), *use(trained), "-o", str(output), "--avatar"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the whole head is known for the open model that ships alone" in line
    assert not output.exists()


BROKEN = {
    "photo": (lambda f: (f / "photos" / "front.png").write_bytes(b"no image"), "front.png"),
    "missing photo": (lambda f: (f / "photos" / "left.png").unlink(), "left.png"),
    "few points": (lambda f: (f / "photos" / "right.txt").write_text("1 2\n3 4\n"), "right.txt"),
    "points outside": (
        lambda f: write_landmark_file(f / "photos" / "left.txt", np.full((68, 2), 999.0)),
        "outside the photograph",
    ),
    "network": (lambda f: (f / "network.safetensors").write_bytes(b"\0" * 99), "not a file written by `dfmvr train`"),
    "parser": (lambda f: (f / "parser.safetensors").unlink(), "parser.safetensors"),
    "face model": (lambda f: (f / "model.npz").write_bytes(b"PK"), "model.npz"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_input_is_one_line_and_leaves_nothing(trained, tmp_path, capsys, what):
    folder = write_photographs(tmp_path / "photos")
    breaking, named = BROKEN[what]
    breaking(tmp_path)
    output = tmp_path / "face"
    assert cli.main(["reconstruct", *options(folder, *VIEWS), *use(trained), "-o", str(output)]) == 2
    assert named in capsys.readouterr().err.splitlines()[-1]
    assert not output.exists()
    assert not list(tmp_path.rglob(".*"))


WRONG = {
    "nothing": ([], "no photograph: name one to twelve"),
    "both ways": (["a.jpg", "--left", "b.jpg"], "PHOTO and --left, ...: give one of them"),
    "landmarks": (["--left", "a.jpg", "--landmarks", "x", "y"], "expected a file for each of 1 photographs, found 2"),
    "face": (["--face", "0", "a.jpg"], "--face 0: expected 1"),
    "two faces": (["--face", "2,1", "a.jpg"], "--face 2,1: expected one face at the most"),
    "two faces of one": (["--face", "1=2", "--face", "1=1", "a.jpg"], "expected one face of 1 at the most"),
    "device": (["--device", "nowhere", "a.jpg"], "--device nowhere: "),
    "batch": (["--batch", "nowhere"], "nowhere: not readable as a folder or CSV file"),
    "expression": (["--batch", "nowhere", "--expression-of", "left"], "--expression-of: not together with --batch"),
}


@pytest.mark.parametrize("how", WRONG)
def test_wrong_use_is_one_line(trained, tmp_path, capsys, how):
    arguments, said = WRONG[how]
    assert cli.main(["reconstruct", *arguments, *use(trained), "-o", str(tmp_path / "o")]) == 2
    error = capsys.readouterr().err.splitlines()
    assert said in error[-1]


@pytest.mark.parametrize("here", [True, False])
def test_a_face_is_written_beside_its_photographs_and_other_files(trained, tmp_path, monkeypatch, here):
    folder = write_photographs(tmp_path / "photos")
    (folder / "mine.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.chdir(folder)
    for formats in (("obj",), ("ply",)):
        arguments = [*options(folder, "front"), *use(trained), "-o", "." if here else str(folder), "--fast"]
        assert cli.main(["reconstruct", *arguments, "--format", *formats]) == 0
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name: after.get(name) for name in before} == before
    assert (folder / "face.ply").exists()
    assert not (folder / "face.obj").exists()


@pytest.mark.parametrize("name", ["face.png", "overlay_front.jpg"])
def test_somebody_elses_file_of_a_name_that_is_needed_is_told_before_the_fit(trained, tmp_path, capsys, name):
    folder = write_photographs(tmp_path / "photos")
    shutil.copy(folder / "front.png", folder / name)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    arguments = ["--front", str(folder / name), "--landmarks", str(folder / "front.txt"), *use(trained)]
    assert cli.main(["reconstruct", *arguments, "-o", str(folder)]) == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith(f"{name}: there already, and not as dfmvr (reconstruct) wrote it; move it or choose another folder")
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_file_is_no_place_for_a_face(trained, tmp_path, capsys):
    folder = write_photographs(tmp_path / "photos")
    (tmp_path / "taken").write_text("mine")
    for name in ("taken", "taken/x"):
        assert cli.main(["reconstruct", *options(folder, "front"), *use(trained), "-o", str(tmp_path / name)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "choose another path" in line
    assert (tmp_path / "taken").read_text() == "mine"


def broken_batch(folder):
    """Two good faces, and four that cannot be read, each otherwise."""
    for name in ("a good one", "good too", "no image", "cut short", "no photograph", "points outside"):
        write_photographs(folder / name)
    (folder / "good too" / "left.png").unlink()
    (folder / "no image" / "front.png").write_text("not an image")
    whole = (folder / "cut short" / "right.png").read_bytes()
    (folder / "cut short" / "right.png").write_bytes(whole[: len(whole) // 2])
    for view in VIEWS:
        (folder / "no photograph" / f"{view}.png").unlink()
    write_landmark_file(folder / "points outside" / "left.txt", np.full((68, 2), 999.0))


def test_a_batch_sets_broken_faces_aside_and_goes_on_where_it_was(trained, tmp_path, caplog):
    folder, output = tmp_path / "people", tmp_path / "faces"
    folder.mkdir()
    broken_batch(folder)
    caplog.set_level("INFO")
    arguments = ["reconstruct", "--batch", str(folder), *use(trained), "-o", str(output), "--format", "ply"]
    assert cli.main(arguments) == 0
    with (output / "summary.csv").open() as stream:
        rows = {row["name"]: row for row in csv.DictReader(stream)}
    status = {name: row["status"] for name, row in rows.items()}
    assert status == dict.fromkeys(("a good one", "good too"), "done") | dict.fromkeys(
        ("no image", "cut short", "no photograph", "points outside"), "set aside"
    )
    assert rows["good too"]["views"] == "front right"
    assert all(rows[name]["notes"] for name in status if status[name] == "set aside")
    assert sorted(p.name for p in output.glob("[!.]*")) == ["a good one", "good too", "summary.csv"]
    before = (output / "good too" / "face.ply").stat().st_mtime_ns
    shutil.copytree(folder / "a good one", folder / "no image", dirs_exist_ok=True)
    assert cli.main(arguments) == 0
    assert (output / "good too" / "face.ply").stat().st_mtime_ns == before
    assert (output / "no image" / "face.ply").exists()
    assert "1 done, 2 was there, 3 set aside" in caplog.text
