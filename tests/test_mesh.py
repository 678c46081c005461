"""Scans of every form to meshes: surfaces in closed form, cleaning, colours, wrong settings, and the command."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
import trimesh
from analytic_face import face
from numpy.testing import assert_allclose, assert_array_equal

from dfmvr import cli
from dfmvr.config.data import BosphorusData, MeshSection, PixelFaceData
from dfmvr.conventions import ALIGNMENT_IN_101, DROPPED_FROM_106
from dfmvr.datasets.bosphorus.dataset import Bosphorus, write_scan
from dfmvr.datasets.bosphorus.names import ScanName
from dfmvr.datasets.bosphorus.range_image import RangeImage, read_bnt, write_bnt
from dfmvr.datasets.pixel_face import dataset as pixel_face_files
from dfmvr.datasets.pixel_face.dataset import PixelFace, SampleInfo
from dfmvr.datasets.pixel_face.ground_truth import GroundTruth
from dfmvr.errors import DataError
from dfmvr.files import write_npz
from dfmvr.geometry.meshes import read_landmarks, read_mesh
from dfmvr.mesh.bosphorus import write_coloured_mesh
from dfmvr.mesh.colours import check_texture_direction, colours_at
from dfmvr.mesh.dataset import normalise_scans
from dfmvr.mesh.scan import NormalisedScans, read_scan
from dfmvr.mesh.triangulate import triangulate

PLANES = ("grid", "xy")
LANDMARKS = {
    "Outer left eye corner": (-30, 20),
    "Inner left eye corner": (-12, 20),
    "Inner right eye corner": (12, 20),
    "Outer right eye corner": (30, 20),
    "Nose tip": (0, 0),
    "Left mouth corner": (-16, -24),
    "Right mouth corner": (16, -24),
    "Chin middle": (0, -40),
}
PHOTO = (120, 100)  # height, width


def lattice(height=30, width=40, spacing=1.0):
    """x and y of a sensor's grid, top row first."""
    x = (np.arange(width) - (width - 1) / 2) * spacing
    y = ((height - 1) / 2 - np.arange(height)) * spacing
    return np.meshgrid(x, y)


def image_of(x, y, z, hidden=None):
    points = np.stack([x, y, z], -1)
    if hidden is not None:
        points[hidden] = np.nan
    return RangeImage(points, np.zeros((*x.shape, 2)))


def dome(x, y, radius=60.0):
    return np.sqrt(radius**2 - x**2 - y**2)


def normals(found):
    a, b, c = np.moveaxis(found.vertices[found.triangles], 1, 0)
    crosses = np.cross(b - a, c - a)
    return crosses / np.linalg.norm(crosses, axis=1, keepdims=True)


def is_manifold(found):
    """Whether every edge belongs to two triangles that pass it in opposite directions, or lies on the boundary."""
    edges = np.concatenate([found.triangles[:, [0, 1]], found.triangles[:, [1, 2]], found.triangles[:, [2, 0]]])
    return len(np.unique(edges, axis=0)) == len(edges)


# Surfaces in closed form


@pytest.mark.parametrize("parameters", PLANES)
@pytest.mark.parametrize("spacing", [0.3, 1.0])
def test_a_slanted_plane_is_covered_once(parameters, spacing):
    x, y = lattice(spacing=spacing)
    found = triangulate(image_of(x, y, 0.4 * x - 0.2 * y + 7), MeshSection(parameters=parameters))
    assert len(found.vertices) == 30 * 40
    assert len(found.triangles) == 2 * 29 * 39
    assert (found.dropped, found.components, found.holes) == (0, 1, 0)
    assert_allclose(found.area_mm2, 29 * 39 * spacing**2 * np.sqrt(1 + 0.4**2 + 0.2**2))
    assert_allclose(normals(found), np.broadcast_to(np.array([-0.4, 0.2, 1]) / np.sqrt(1.2), (2 * 29 * 39, 3)))
    assert_array_equal(found.vertices[:, :2], np.stack([x, y], -1).reshape(-1, 2))
    assert_array_equal(found.pixels, np.arange(30 * 40))
    assert is_manifold(found)


@pytest.mark.parametrize("parameters", PLANES)
def test_a_sphere_is_met_up_to_the_sag_of_its_chords(parameters):
    x, y = lattice(61, 61)
    found = triangulate(image_of(x, y, dome(x, y), x**2 + y**2 > 30.5**2), MeshSection(parameters=parameters))
    assert_allclose(np.linalg.norm(found.vertices, axis=1), 60)
    longest = 1.05 * np.hypot(1, np.hypot(1, 1))  # of the edges, near the rim
    centres = found.vertices[found.triangles].mean(1)
    depth = 60 - np.linalg.norm(centres, axis=1)
    assert depth.min() >= 0
    assert depth.max() < longest**2 / (2 * 60)
    assert ((normals(found) * centres).sum(1) > 0.99 * 60).all()
    inner, outer = (2 * np.pi * 60 * (60 - dome(rim, 0)) for rim in (30, 30.5))
    assert inner < found.area_mm2 < outer
    assert (found.holes, found.components) == (0, 1)
    assert is_manifold(found)


def turned_cylinder():
    """A half cylinder turned by 60 degrees, as a sensor that sees round the edge would store it: x runs back."""
    turn, y = lattice(20, 90)
    angle = np.radians(turn * 2)  # -89 to 89 degrees in 2-degree columns
    seen = angle + np.radians(60)
    return image_of(40 * np.sin(seen), y * 1.5, 40 * np.cos(seen))


def test_a_surface_that_overlaps_itself_in_xy_is_whole_in_the_grid():
    found = triangulate(turned_cylinder(), MeshSection())
    assert (len(found.triangles), found.dropped, found.holes) == (2 * 19 * 89, 0, 0)
    outward = found.vertices[found.triangles].mean(1) * (1, 0, 1) / 40
    assert ((normals(found) * outward).sum(1) > 0.99).all()  # also where it turns away from the sensor
    chord = 2 * 40 * np.sin(np.radians(1))
    assert_allclose(found.area_mm2, 89 * chord * 19 * 1.5)
    assert is_manifold(found)


def test_a_surface_that_overlaps_itself_in_xy_is_torn_in_xy():
    found = triangulate(turned_cylinder(), MeshSection(parameters="xy"))
    assert found.area_mm2 < 0.9 * triangulate(turned_cylinder(), MeshSection()).area_mm2


@pytest.mark.parametrize("parameters", PLANES)
def test_holes_are_not_bridged(parameters):
    x, y = lattice(40, 40)
    hidden = (np.hypot(x - 8, y) < 6) | (np.hypot(x + 8, y + 3) < 5)
    found = triangulate(image_of(x, y, dome(x, y), hidden), MeshSection(parameters=parameters, longest_edge_mm=3))
    assert found.holes == 2
    assert found.dropped == 0
    middles = found.vertices[found.triangles].mean(1)
    assert np.hypot(middles[:, 0] - 8, middles[:, 1]).min() > 4.5
    assert np.hypot(middles[:, 0] + 8, middles[:, 1] + 3).min() > 3.5
    outside = (x < 17) & (x > -17) & (np.abs(y) < 17)  # not the rim, whose corners are cut
    assert len(found.triangles) > 2 * (outside & ~hidden).sum()
    assert is_manifold(found)


@pytest.mark.parametrize("parameters", PLANES)
def test_a_step_in_depth_parts_the_surface_and_the_larger_part_stays(parameters):
    x, y = lattice(20, 50)
    front = x > 5
    found = triangulate(image_of(x, y, np.where(front, 30.0, 0.0)), MeshSection(parameters=parameters))
    assert found.components == 2
    assert (found.vertices[:, 2] == 0).all()
    assert_array_equal(found.pixels, np.flatnonzero(~front))
    assert found.dropped == front.sum()
    assert len(found.triangles) == 2 * 19 * ((~front)[0].sum() - 1)


def test_parts_that_touch_in_a_point_are_two():
    x, y = lattice(11, 11)
    hidden = (x * y < 0) | ((x == 0) & (y < 0)) | ((y == 0) & (x < 0))
    hidden &= ~((x == 0) & (y == 0))
    found = triangulate(image_of(x, y, x * 0, hidden), MeshSection(longest_edge_mm=1.45))
    assert found.components == 2
    assert (found.vertices[:, :2] >= 0).all()


def test_needles_are_dropped():
    x, y = lattice(12, 12)
    x[:, 5] = x[:, 4] + 0.01  # a column that nearly doubles another one
    image = image_of(x, y, x * 0)
    kept = triangulate(image, MeshSection(smallest_angle_deg=0))
    found = triangulate(image, MeshSection(smallest_angle_deg=3))
    assert kept.area_mm2 == pytest.approx(121)
    assert len(kept.triangles) == 2 * 121
    corners = found.vertices[found.triangles]
    assert trimesh.triangles.angles(corners).min() > np.radians(3)
    assert len(found.triangles) < len(kept.triangles)


def test_every_valid_point_of_any_pattern_is_used_or_counted():
    rng = np.random.default_rng(0)
    x, y = lattice(25, 25)
    for share in (0.05, 0.3, 0.6, 0.9):
        hidden = rng.uniform(size=x.shape) < share
        image = image_of(x, y, rng.normal(0, 0.1, x.shape), hidden)
        found = triangulate(image, MeshSection(longest_edge_mm=1000, smallest_angle_deg=0))
        assert found.dropped == 0
        assert len(found.vertices) == (~hidden).sum()
        found = triangulate(image, MeshSection(longest_edge_mm=1.6, smallest_angle_deg=0))
        assert found.dropped + len(found.vertices) == (~hidden).sum()
        assert_array_equal(np.unique(found.triangles), np.arange(len(found.vertices)))
        assert_array_equal(found.vertices, image.points.reshape(-1, 3)[found.pixels])


@pytest.mark.parametrize("parameters", PLANES)
def test_normals_face_the_sensor_whatever_the_order_of_the_grid(parameters):
    x, y = lattice()
    for rows in (slice(None), slice(None, None, -1)):
        for columns in (slice(None), slice(None, None, -1)):
            image = image_of(x[rows, columns], y[rows, columns], dome(x, y)[rows, columns])
            found = triangulate(image, MeshSection(parameters=parameters))
            assert (normals(found)[:, 2] > 0).all()


def test_points_without_a_grid_are_joined_in_xy():
    x, y = lattice()
    points = np.random.default_rng(0).permutation(np.stack([x, y, dome(x, y)], -1).reshape(-1, 3))
    image = RangeImage(points[None], np.zeros((1, len(points), 2)))
    found = triangulate(image, MeshSection())
    whole = triangulate(image_of(x, y, dome(x, y)), MeshSection(parameters="xy"))
    assert found.dropped == 0
    assert_allclose(found.area_mm2, whole.area_mm2, rtol=1e-3)


X, Y = lattice(6, 6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (image_of(X, Y, X, np.ones(X.shape, bool)), "expected a surface, found 0 valid points"),
        (image_of(X, Y, X, np.arange(36).reshape(6, 6) > 1), "found 2 valid points"),
        (image_of(X, Y, X, Y != Y[0]), "the 6 points lie on a line"),
        (image_of(X, 0 * Y, X), "no triangle of 36 points"),
        (image_of(X * 100, Y * 100, X), "no triangle of 36 points has edges up to 6 mm and angles from 3 degrees"),
        (image_of(X * 1e9, Y, X), r"would fill 5e\+09 mm"),
        (image_of(X * 7e307, Y, X), "would fill inf mm"),
    ],
)
def test_what_is_no_surface_is_refused(image, message):
    with pytest.raises(DataError, match=message) as error:
        triangulate(image, MeshSection(), "a.bnt")
    assert str(error.value).startswith("a.bnt: ")


# Colours


def gradient(height, width):
    """A photograph whose red is the column and whose green is the row of a pixel."""
    photo = np.zeros((height, width, 3), np.uint8)
    photo[..., 0] = np.arange(width)
    photo[..., 1] = np.arange(height)[:, None]
    return photo


def test_colours_are_those_of_the_pixels():
    texture = np.array([(10.5 / 100, 20.5 / 120), (11 / 100, 21 / 120), (0, 1), (1.01, 0.5), (np.nan, 0.5)])
    down = colours_at(gradient(*PHOTO), texture, "down") * 255
    assert_allclose(down[:3], [(10, 20, 0), (10.5, 20.5, 0), (0, 119, 0)], atol=1e-4)
    assert_allclose(down[3:], 127.5)
    up = colours_at(gradient(*PHOTO), texture, "up") * 255
    assert_allclose(up[:3], [(10, 99, 0), (10.5, 98.5, 0), (0, 0, 0)], atol=1e-4)
    assert colours_at(gradient(*PHOTO), texture[3:], "down") is None


# Files


def write_face(root, stem="bs000_N_N_0", landmarks=LANDMARKS, texture_y="down", mirror=1):
    """Write a dome of 1.5 mm spacing with landmarks and a photograph of it, 1 mm a pixel."""
    x, y = lattice(70, 60, 1.5)
    hidden = np.hypot(x, y) > 43
    image = image_of(x, y, dome(x, y, 80.0), hidden)
    height, width = PHOTO
    b = (height / 2 - y) / height
    image.texture[:] = np.stack([(x + width / 2) / width, b if texture_y == "down" else 1 - b], -1)
    points = {name: np.array([mirror * u, v, dome(u, v, 80.0)]) for name, (u, v) in landmarks.items()}
    pixels = {name: np.array([mirror * u + width / 2, height / 2 - v]) for name, (u, v) in landmarks.items()}
    write_scan(root, ScanName.parse(stem), image, gradient(*PHOTO), points, pixels)
    return root / stem[:5] / f"{stem}.bnt"


def test_one_scan_by_the_command(tmp_path):
    path = write_face(tmp_path)
    assert cli.main(["mesh", "--scan", str(path), "--output", str(tmp_path / "out" / "m.ply")]) == 0
    mesh = read_mesh(tmp_path / "out" / "m.ply")
    assert_allclose(np.linalg.norm(mesh.vertices, axis=1), 80, atol=1e-5)
    assert_allclose(np.linalg.norm(mesh.vertices[:, :2], axis=1).max(), 43, atol=1.5)
    seen = np.round(mesh.colours * 255)
    assert_allclose(seen[:, 0], mesh.vertices[:, 0] + 50 - 0.5, atol=0.51)
    assert_allclose(seen[:, 1], 60 - mesh.vertices[:, 1] - 0.5, atol=0.51)
    seven = read_landmarks(tmp_path / "out" / "m.landmarks.csv")
    assert_allclose(seven[:, :2], [(-30, 20), (-12, 20), (12, 20), (30, 20), (0, 0), (-16, -24), (16, -24)])
    with (tmp_path / "out" / "m.landmarks.csv").open() as file:
        names = [row["name"] for row in csv.DictReader(file)]
    assert names[-1] == "chin_middle"


def test_a_scan_without_company_is_meshed_all_the_same(tmp_path, caplog):
    x, y = lattice()
    write_bnt(tmp_path / "own.bnt", image_of(x, y, dome(x, y)))
    with caplog.at_level("INFO"):
        assert cli.main(["mesh", "--scan", str(tmp_path / "own.bnt"), "--output", str(tmp_path / "m.obj")]) == 0
    assert "1200 vertices, 2262 triangles, 0 dropped, 1 components, 0 holes" in caplog.text
    assert "no landmarks (own.lm3)" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.obj", "own.bnt"]
    assert len(read_mesh(tmp_path / "m.obj").vertices) == 1200


@pytest.fixture
def root(tmp_path):
    for subject in ("bs000", "bs001", "bs002", "bs003"):
        write_face(tmp_path / "data", f"{subject}_N_N_0")
    write_face(tmp_path / "data", "bs000_YR_R45_0")
    data = tmp_path / "data"
    content = (data / "bs001" / "bs001_N_N_0.bnt").read_bytes()
    (data / "bs001" / "bs001_N_N_0.bnt").write_bytes(content[:5000])
    (data / "bs002" / "bs002_N_N_0.lm3").unlink()
    (data / "bs003" / "bs003_N_N_0.png").write_bytes(b"no image")
    return data


def test_a_data_set_by_the_command(root, tmp_path, caplog):
    with caplog.at_level("INFO"):
        assert cli.main(["mesh", "--data", str(root), "--output", str(tmp_path / "out")]) == 0
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("[!.]*") if path.is_file()}
    scans = {f"scans/bs00{i}_N_N_0.npz" for i in range(4)}
    assert names == {"scans.csv", "landmarks_101.npz", *scans}
    table = pd.read_csv(tmp_path / "out" / "scans.csv", index_col="scan")
    assert list(table.index) == [f"bs00{i}_N_N_0" for i in range(4)]
    assert list(table.status) == ["ok", "set aside", "set aside", "ok"]
    reasons = {"bs001_N_N_0": "bs001_N_N_0.bnt: cut short", "bs002_N_N_0": "bs002_N_N_0.lm3: no such file"}
    for scan, reason in reasons.items():
        assert reason in table.reason[scan]
        assert f"set aside {scan}: " in caplog.text
        with pytest.raises(DataError, match=reason):
            read_scan(tmp_path / "out" / "scans" / f"{scan}.npz")
    row, scan = table.loc["bs000_N_N_0"], read_scan(tmp_path / "out" / "scans" / "bs000_N_N_0.npz")
    assert (row.vertices, row.triangles) == (len(scan.vertices), len(scan.triangles))
    assert (row.dropped, row.components, row.holes) == (0, 1, 0)
    assert_allclose(row.area_mm2, trimesh.Trimesh(scan.vertices, scan.triangles).area, rtol=1e-5)
    assert_allclose(np.linalg.norm(scan.vertices, axis=1), 80, atol=1e-5)
    assert_allclose(scan.landmarks[:, :2], [(-30, 20), (-12, 20), (12, 20), (30, 20), (0, 0), (-16, -24), (16, -24)])
    assert "2 of 4 scans can be used, 2 set aside" in caplog.text


def test_settings_and_reading_reach_the_command(root, tmp_path):
    given = {"scan": "YR_R45", "front": "N_N"}
    command = ["mesh", "--data", str(root), "--output", str(tmp_path / "out"), "--reading", json.dumps(given)]
    assert cli.main([*command, "--settings", '{"parameters": "xy"}']) == 0
    assert (tmp_path / "out" / "scans" / "bs000_YR_R45_0.npz").is_file()
    chosen = ["--set", "datasets.bosphorus.scan=YR_R45", "--set", "mesh.longest_edge_mm=0.1"]
    assert cli.main(["mesh", "--data", str(root), "--output", str(tmp_path / "out"), *chosen]) == 2
    assert (tmp_path / "out" / "scans" / "bs000_YR_R45_0.npz").is_file()  # a run that fails leaves what was there


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scan", "{0}/none.bnt", "--output", "{0}/m.ply"], "none.bnt: no such file"),
        (["--scan", "{0}/data/bs000/bs000_N_N_0.bnt", "--output", "{0}/m.txt"], "expected a name ending in .ply"),
        (["--scan", "{0}/data/bs001/bs001_N_N_0.bnt", "--output", "{0}/m.ply"], "cut short"),
        (["--scan", "{0}/gt.mat", "--format", "pixel_face", "--output", "{0}/m.ply"], "only range images"),
        (["--data", "{0}/none", "--output", "{0}/out"], "none: no such folder"),
        (["--data", "{0}/data", "--output", "{0}/out", "--reading", '{{"row": 1}}'], "did you mean 'rows'?"),
        (["--data", "{0}/data", "--output", "{0}/out", "--set", "mesh.longest_edge_mm=0.1"], "none of 4 scans can be"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(root, tmp_path, capsys, arguments, message):
    assert cli.main(["mesh", *(argument.format(tmp_path) for argument in arguments)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("dfmvr mesh: error: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_one_source_is_needed(capsys):
    with pytest.raises(SystemExit):
        cli.main(["mesh", "--output", "m.ply"])
    assert "one of the arguments --scan --data is required" in capsys.readouterr().err


# Wrong settings


def test_wrong_settings_are_named(tmp_path):
    path = write_face(tmp_path)
    for change, advice in (
        ({"rows": "top_first"}, "rows: bottom_first"),
        ({"texture_y": "up"}, "texture_y: down"),
        ({"landmark_sides": "person"}, "landmark_sides: image"),
    ):
        with pytest.raises(DataError, match=rf"bs000_N_N_0\.\w+: .*set datasets\.bosphorus\.{advice}"):
            write_coloured_mesh(tmp_path / "m.ply", Bosphorus(tmp_path, BosphorusData(**change)), path, MeshSection())


def test_other_settings_suit_other_files(tmp_path):
    path = write_face(tmp_path, texture_y="up", mirror=-1)
    write_bnt(path, read_bnt(path), "top_first")
    reading = BosphorusData(rows="top_first", texture_y="up", landmark_sides="person")
    write_coloured_mesh(tmp_path / "m.ply", Bosphorus(tmp_path, reading), path, MeshSection())
    mesh = read_mesh(tmp_path / "m.ply")
    assert_allclose(read_landmarks(tmp_path / "m.landmarks.csv")[0, :2], (-30, 20))
    assert_allclose(mesh.colours[:, 1] * 255, 60 - mesh.vertices[:, 1] - 0.5, atol=0.51)


def test_few_or_far_landmarks_give_no_verdict_on_the_texture(tmp_path):
    image = read_bnt(write_face(tmp_path))
    points = {name: np.array([u, v, dome(u, v, 80.0)]) for name, (u, v) in LANDMARKS.items()}
    pixels = {name: np.array([u + 50.0, 60.0 - v]) for name, (u, v) in LANDMARKS.items()}
    with pytest.raises(DataError, match="texture_y: down"):
        check_texture_direction(image, points, pixels, PHOTO, "up", "a.bnt")
    two = dict(list(points.items())[:2])
    far = {name: point + 50 for name, point in points.items()}
    neither = {name: pixel + 30 for name, pixel in pixels.items()}
    for landmarks_3d, landmarks_2d in ((two, pixels), (far, pixels), (points, {}), (points, neither)):
        check_texture_direction(image, landmarks_3d, landmarks_2d, PHOTO, "up", "a.bnt")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nothing\n", "bs000_N_N_0.lm3: expected the number of landmarks"),
        ("#\n1\nNose tip\n0 0 80\n", "bs000_N_N_0.lm3: missing outer_eye_right, inner_eye_right, inner_eye_left"),
    ],
)
def test_broken_or_missing_landmarks_set_the_scan_aside(root, tmp_path, text, reason):
    (root / "bs000" / "bs000_N_N_0.lm3").write_text(text)
    table = normalise_scans(Bosphorus(root, BosphorusData()), "bosphorus", tmp_path / "out", MeshSection())
    assert list(table.status) == ["set aside"] * 3 + ["ok"]
    assert reason in table.reason[0]


def test_a_data_set_without_scans_is_told_of(root, tmp_path, caplog):
    for path in root.rglob("*.bnt"):
        path.unlink()
    assert cli.main(["mesh", "--data", str(root), "--output", str(tmp_path / "out")]) == 0
    assert "nothing can be scored; copy the scans or check the keys of datasets.bosphorus" in caplog.text
    assert len(pd.read_csv(tmp_path / "out" / "scans.csv")) == 0


# Scans that are meshes already


@pytest.fixture
def pixel_face(tmp_path):
    """Four samples in Pixel-Face's layout: one to train on, three to test on, of which two have broken files."""
    vertices, triangles, _ = face(30)
    ids = np.random.default_rng(0).permutation(len(vertices))[:106]
    truth = GroundTruth(vertices, triangles, vertices[ids], 2 * vertices[:600], triangles[:400] % 600)
    light = GroundTruth(vertices[ids], np.zeros((0, 3), int), vertices[ids])
    infos = [SampleInfo(name, name, "train" if name == "a" else "test") for name in "abcd"]
    for name in "abcd":
        pixel_face_files.write_sample(tmp_path / "data", name, (None,) * 3, light if name in "ac" else truth)
    (tmp_path / "data" / "d" / "fusion" / "gt.mat").write_bytes(b"no")
    pixel_face_files.write_splits(tmp_path / "data", infos)
    return tmp_path / "data", truth


def test_a_scan_of_pixel_face_comes_back_as_precise_as_it_was(pixel_face, tmp_path):
    data, truth = pixel_face
    assert cli.main(["mesh", "--format", "pixel_face", "--data", str(data), "--output", str(tmp_path / "out")]) == 0
    scan = read_scan(tmp_path / "out" / "scans" / "b.npz")
    delivered = PixelFace(data, PixelFaceData()).read_scan(data / "b" / "fusion" / "gt.mat")
    known = np.delete(delivered.scan_landmarks_106, DROPPED_FROM_106, 0)
    assert_array_equal(scan.vertices, delivered.scan_vertices)
    assert_array_equal(scan.triangles, truth.scan_triangles)
    assert_array_equal(scan.landmarks_101, known)
    assert_array_equal(scan.landmarks, known[list(ALIGNMENT_IN_101)])
    assert_array_equal(scan.registered_vertices, delivered.registration_vertices)
    assert_array_equal(scan.registered_triangles, truth.registration_triangles)


def test_what_is_broken_of_pixel_face_is_set_aside_where_it_is_needed(pixel_face, tmp_path):
    data, truth = pixel_face
    assert cli.main(["mesh", "--format", "pixel_face", "--data", str(data), "--output", str(tmp_path / "out")]) == 0
    table = pd.read_csv(tmp_path / "out" / "scans.csv", index_col="scan")
    assert table.status.to_dict() == {"a": "ok", "b": "ok", "c": "set aside", "d": "set aside"}
    assert "expected triangles" in table.reason["c"]
    assert sorted(path.name for path in (tmp_path / "out" / "scans").iterdir()) == ["b.npz", "c.npz", "d.npz"]
    scans = NormalisedScans(tmp_path / "out", landmarked=True)
    samples = {sample.sample: sample for sample in PixelFace(data, PixelFaceData()).samples()}
    expected = np.delete(truth.scan_landmarks_106, DROPPED_FROM_106, 0)
    for name in "abc":
        assert_allclose(scans.landmarks_101_of(samples[name]), expected, atol=1e-4)
    with pytest.raises(DataError, match=r"gt\.mat: not a readable"):
        scans.landmarks_101_of(samples["d"])
    assert (scans.file_of(samples["a"]), scans.file_of(samples["c"]).name) == (None, "c.npz")


@pytest.mark.parametrize("content", [None, b"no archive"])
def test_a_scan_that_is_none_is_named(tmp_path, content):
    if content is None:
        write_npz(tmp_path / "a.npz", vertices=np.zeros((3, 3)), more=np.zeros(3))
    else:
        (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz: not a .* make it again"):
        read_scan(tmp_path / "a.npz")
