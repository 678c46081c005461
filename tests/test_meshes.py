"""Mesh and landmark files: round trips, units, formats of other programs, and every broken file."""

import json
import struct
import sys

import numpy as np
import pytest
import trimesh
from analytic_face import face
from numpy.testing import assert_allclose, assert_array_equal

from dfmvr.conventions import ALIGNMENT_POINTS
from dfmvr.errors import DataError, OutputError, UnavailableError
from dfmvr.geometry.meshes import Mesh, read_landmarks, read_mesh, write_landmarks, write_mesh, write_named_landmarks
from dfmvr.geometry.surface import import_open3d, open_boundary
from dfmvr.geometry.textured import Texture, Unwrapping

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"


@pytest.fixture
def mesh(rng):
    vertices, triangles, _ = face(12)
    return Mesh(vertices, triangles, rng.uniform(size=vertices.shape))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb"])
def test_geometry_survives_a_round_trip(mesh, tmp_path, suffix):
    write_mesh(tmp_path / f"a{suffix}", mesh)
    back = read_mesh(tmp_path / f"a{suffix}")
    assert_allclose(back.vertices, mesh.vertices, atol=2e-5)
    assert_array_equal(back.triangles, mesh.triangles)


@pytest.mark.parametrize(("suffix", "tolerance"), [(".ply", 0.5 / 255), (".glb", 0.03)])
def test_colours_survive_a_round_trip(mesh, tmp_path, suffix, tolerance):
    write_mesh(tmp_path / f"a{suffix}", mesh)
    assert_allclose(read_mesh(tmp_path / f"a{suffix}").colours, mesh.colours, atol=tolerance + 1e-9)


def test_obj_is_geometry_alone_as_strict_readers_want(mesh, tmp_path):
    write_mesh(tmp_path / "a.obj", mesh)
    lines = [line.split() for line in (tmp_path / "a.obj").read_text().splitlines()]
    assert {line[0] for line in lines} == {"v", "f"}
    assert all(len(line) == 4 for line in lines)
    vertices = np.array([line[1:] for line in lines if line[0] == "v"], float)
    triangles = np.array([line[1:] for line in lines if line[0] == "f"], int) - 1
    assert_allclose(vertices, mesh.vertices, atol=1e-7)
    assert_array_equal(triangles, mesh.triangles)


def test_glb_is_in_metres_with_linear_colours_and_no_metal(tmp_path):
    write_mesh(tmp_path / "a.glb", Mesh(np.eye(3) * 1000, np.array([[0, 1, 2]]), np.full((3, 3), 0.5)))
    data = (tmp_path / "a.glb").read_bytes()
    tree = json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])
    (primitive,) = tree["meshes"][0]["primitives"]
    assert tree["accessors"][primitive["attributes"]["POSITION"]]["max"] == [1, 1, 1]
    assert tree["materials"][primitive["material"]]["pbrMetallicRoughness"]["metallicFactor"] == 0
    stored = trimesh.load(tmp_path / "a.glb", force="mesh", skip_materials=True).visual.vertex_colors[:, :3]
    assert_array_equal(stored, np.full((3, 3), round(255 * ((0.5 + 0.055) / 1.055) ** 2.4)))


@pytest.fixture
def textured():
    """A strip of two squares whose middle edge is cut: the left one red and green, the right one blue and grey."""
    vertices = np.array([(0, 0, 0), (10, 0, 0), (20, 0, 0), (0, 10, 0), (10, 10, 0), (20, 10, 0)], float)
    triangles = np.array([(0, 1, 4), (0, 4, 3), (1, 2, 5), (1, 5, 4)])
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32, :32], image[32:, :32], image[:32, 32:], image[32:, 32:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), 128
    # rows 6 and 7 are vertices 1 and 4 once more; the lower edge of the strip is that of the image
    uv = np.array([(0.1, 0.1), (0.4, 0.1), (0.9, 0.1), (0.1, 0.9), (0.4, 0.9), (0.9, 0.9), (0.6, 0.1), (0.6, 0.9)])
    rows = np.array([(0, 1, 4), (0, 4, 3), (6, 2, 5), (6, 5, 7)])
    unwrapping = Unwrapping(uv, np.array([0, 1, 2, 3, 4, 5, 1, 4]), rows)
    return Mesh(vertices, triangles, np.full((6, 3), 0.5), Texture(image, unwrapping))


@pytest.mark.parametrize("suffix", [".obj", ".glb"])
def test_textures_lie_where_they_should(textured, tmp_path, suffix):
    write_mesh(tmp_path / f"a{suffix}", textured)
    expected = {"a.obj", "a.mtl", "a.png"} if suffix == ".obj" else {"a.glb"}
    assert {path.name for path in tmp_path.iterdir()} == expected
    found = trimesh.load(tmp_path / f"a{suffix}", force="mesh", process=False)
    scale = 1000 if suffix == ".glb" else 1
    assert_allclose(found.vertices[found.faces] * scale, textured.vertices[textured.triangles], atol=1e-5)
    colours = found.visual.to_color().vertex_colors[found.faces][..., :3].reshape(-1, 3)
    column, row = (textured.vertices[textured.triangles].reshape(-1, 3)[:, i] for i in (0, 1))
    right = np.repeat([False, False, True, True], 3)
    truth = np.select(
        [~(right | (row < 5))[:, None], ~right[:, None], (row > 5)[:, None]],
        [(255, 0, 0), (0, 255, 0), (0, 0, 255)],
        128,
    )
    assert (column[right] >= 10).all()
    assert_allclose(colours, truth, atol=6)  # JPEG in GLB


def test_glb_has_cut_vertices_twice_with_one_normal(textured, tmp_path):
    write_mesh(tmp_path / "a.glb", textured)
    found = trimesh.load(tmp_path / "a.glb", force="mesh", process=False)
    assert_allclose(found.vertices[[6, 7]], found.vertices[[1, 4]])
    assert_allclose(found.vertices[:6] * 1000, textured.vertices, atol=1e-5)
    assert_allclose(found.vertex_normals, np.tile((0, 0, 1), (8, 1)), atol=1e-6)


def test_ply_keeps_the_colours_of_a_textured_mesh(textured, tmp_path):
    write_mesh(tmp_path / "a.ply", textured)
    found = trimesh.load(tmp_path / "a.ply", process=False)
    assert_array_equal(found.faces, textured.triangles)
    assert_array_equal(found.visual.vertex_colors, np.tile((128, 128, 128, 255), (6, 1)))


def test_the_texture_of_another_mesh_is_refused(textured, tmp_path):
    other = Mesh(textured.vertices, textured.triangles[:, [1, 2, 0]], None, textured.texture)
    for suffix in (".obj", ".glb"):
        with pytest.raises(DataError, match="of another mesh"):
            write_mesh(tmp_path / f"a{suffix}", other)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("cm", 10), ("dm", 100), ("m", 1000)])
def test_units_become_millimetres(mesh, tmp_path, unit, factor):
    write_mesh(tmp_path / "a.ply", mesh)
    assert_allclose(read_mesh(tmp_path / "a.ply", unit).vertices, mesh.vertices * factor, rtol=1e-6)


def test_obj_of_others_keeps_its_order_and_colours(tmp_path):
    colours = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    points = [(9, 9, 9), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
    text = "".join(f"v {x} {y} {z} {r} {g} {b}\n" for (x, y, z), (r, g, b) in zip(points, colours, strict=True))
    (tmp_path / "a.obj").write_text(
        f"# exported\nmtllib absent.mtl\n{text}vn 0 0 1\nf 3//1 4//1 2//1\nf 1//1 2//1 4//1\n"
    )
    found = read_mesh(tmp_path / "a.obj")
    assert_array_equal(found.vertices, points)
    assert_array_equal(found.triangles, [[2, 3, 1], [0, 1, 3]])
    assert_allclose(found.colours, colours)


def test_obj_with_a_texture_gets_its_colours(tmp_path):
    from PIL import Image

    Image.fromarray(np.full((4, 4, 3), (255, 0, 51), np.uint8)).save(tmp_path / "t.png")
    (tmp_path / "a.mtl").write_text("newmtl skin\nmap_Kd t.png\n")
    text = f"mtllib a.mtl\n{SQUARE}vt 0 0\nvt 1 0\nvt 1 1\nusemtl skin\nf 1/1 2/2 3/3\n"
    (tmp_path / "a.obj").write_text(text)
    assert_allclose(read_mesh(tmp_path / "a.obj").colours[0], (1, 0, 0.2), atol=1e-6)


def test_relative_indices_count_from_the_vertices_read_so_far(tmp_path):
    one, two = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\n", "v 0 0 5\nv 1 0 5\nv 0 1 5\nf -3 -2 -1\n"
    (tmp_path / "a.obj").write_text(one + two)
    assert_array_equal(read_mesh(tmp_path / "a.obj").triangles, [[0, 1, 2], [3, 4, 5]])


def test_a_surface_of_two_materials_stays_whole_and_has_their_colours(tmp_path):
    from PIL import Image

    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        Image.fromarray(np.full((4, 4, 3), colour, np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "a b.mtl").write_text("newmtl one\nmap_Kd red.png\nnewmtl two\nmap_Kd blue.png\n")
    faces = "usemtl one\nf 1/1 2/1 3/1\nusemtl two\nf 1/1 3/1 4/1\n"
    (tmp_path / "a.obj").write_text(f"mtllib a b.mtl\n{SQUARE}v 9 9 9\nvt 0.5 0.5\n{faces}")
    found = read_mesh(tmp_path / "a.obj")
    assert_array_equal(found.vertices[:, 0], (0, 1, 1, 0, 9))
    assert_array_equal(found.triangles, [(0, 1, 2), (0, 2, 3)])
    assert_allclose(found.colours, [(1, 0, 0), (1, 0, 0), (1, 0, 0), (0, 0, 1), (0.5, 0.5, 0.5)])


def test_vertices_at_one_place_are_one(textured, tmp_path):
    """The strip's middle edge is inside it, whatever the file."""
    soup = textured.vertices[textured.triangles].reshape(-1, 3)
    trimesh.Trimesh(soup, np.arange(len(soup)).reshape(-1, 3), process=False).export(tmp_path / "a.stl")
    write_mesh(tmp_path / "a.glb", textured)
    write_mesh(tmp_path / "a.obj", textured)
    for name, count in (("a.stl", 12), ("a.glb", 8), ("a.obj", 6)):
        found = read_mesh(tmp_path / name)
        assert len(found.vertices) == count
        assert open_boundary(found.triangles, count).edges.sum() == 6
        assert_allclose(found.vertices[found.triangles], textured.vertices[textured.triangles], atol=1e-5)


def test_the_other_side_of_a_triangle_and_lines_do_not_count(tmp_path):
    (tmp_path / "a.obj").write_text(f"{SQUARE}v -0 0 0\nf 1 2 3\nf 3 2 5\nf 1 5 2\nf 1 3 4\n")
    assert_array_equal(read_mesh(tmp_path / "a.obj").triangles, [(0, 1, 2), (0, 2, 3)])


@pytest.mark.parametrize("suffix", [".stl", ".off"])
def test_other_formats_are_read(mesh, tmp_path, suffix):
    trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False).export(tmp_path / f"a{suffix}")
    found = read_mesh(tmp_path / f"a{suffix}")
    assert_allclose(found.vertices[found.triangles], mesh.vertices[mesh.triangles], atol=2e-5)


def test_a_scene_becomes_one_mesh(tmp_path):
    one, two = trimesh.creation.box(), trimesh.creation.box()
    scene = trimesh.Scene([one])
    scene.add_geometry(two, transform=trimesh.transformations.translation_matrix((5, 0, 0)))
    scene.export(tmp_path / "a.glb")
    found = read_mesh(tmp_path / "a.glb", "mm")
    assert len(found.triangles) == 24
    assert_allclose(found.vertices.max(0), (5.5, 0.5, 0.5), atol=1e-6)


BROKEN = {
    "garbage.ply": (b"\x00\x01 not a mesh", "not readable as PLY"),
    "short.ply": (
        b"ply\nformat binary_little_endian 1.0\nelement vertex 9\nproperty float x\nend_header\n",
        "not readable as PLY",
    ),
    "empty.obj": (b"", "found none|not readable"),
    "points.obj": (SQUARE.encode(), "expected triangles, found none"),
    "nan.obj": (f"{SQUARE}v nan 0 0\nf 1 2 3\n".encode(), "1 of 5 vertices are not finite"),
    "range.off": (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", "outside the range of its vertices"),
    "range.obj": (f"{SQUARE}f 1 2 9\n".encode(), "vertex 8, but there are 4|not readable"),
    "mesh.txt": (b"", "expected a mesh file"),
    "points.ply": (trimesh.PointCloud(np.eye(3)).export(file_type="ply"), "expected triangles, found none"),
    "flat.obj": (b"v 0 0\nv 1 0\nv 0 1\nf 1 2 3\n", "expected vertices x y z|not readable"),
    "none.ply": (None, "no such file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_meshes_are_refused_in_one_line(tmp_path, name):
    content, message = BROKEN[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_mesh(tmp_path / name)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_half_written_stays(mesh, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write_mesh(tmp_path / "file" / "a.ply", mesh)
    with pytest.raises(DataError, match="not finite"):
        write_mesh(tmp_path / "a.ply", Mesh(mesh.vertices * np.nan, mesh.triangles))
    with pytest.raises(DataError, match="but there are 99"):
        write_mesh(tmp_path / "a.ply", Mesh(mesh.vertices[:99], mesh.triangles))
    with pytest.raises(OutputError, match="expected a name ending in"):
        write_mesh(tmp_path / "a.stl", mesh)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_landmarks_survive_a_round_trip(tmp_path, rng):
    points = rng.normal(size=(7, 3)) * 50
    write_landmarks(tmp_path / "a.csv", points)
    assert_allclose(read_landmarks(tmp_path / "a.csv"), points, atol=1e-6)
    assert_allclose(read_landmarks(tmp_path / "a.csv", "cm"), points * 10, atol=1e-5)


def test_landmarks_are_read_by_name(tmp_path):
    lines = [f"{name},{i},0,1" for i, name in enumerate(ALIGNMENT_POINTS)]
    (tmp_path / "a.csv").write_bytes("\r\n".join(["\ufeffname, x, y, z", *lines[::-1], ""]).encode())
    assert_array_equal(read_landmarks(tmp_path / "a.csv")[:, 0], range(7))


def test_further_landmarks_are_passed_over(tmp_path, rng):
    points = dict(zip(("chin_middle", *ALIGNMENT_POINTS), rng.normal(size=(8, 3)) * 50, strict=True))
    write_named_landmarks(tmp_path / "a.csv", points)
    assert (tmp_path / "a.csv").read_text().splitlines()[1].startswith("chin_middle,")
    assert_allclose(read_landmarks(tmp_path / "a.csv"), [points[name] for name in ALIGNMENT_POINTS], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "missing mouth_corner_left"),
        (
            lambda lines: [lines[0], "outer_eye_rihgt,0,0,1", *lines[2:], "chin,0,0,0"],
            "missing outer_eye_right; unknown outer_eye_rihgt, chin; expected the landmarks outer_eye_right",
        ),
        (lambda lines: [*lines, lines[1]], "outer_eye_right is there twice"),
        (lambda lines: [*lines[:-1], "mouth_corner_left,1,2"], "three finite numbers after mouth_corner_left"),
        (lambda lines: [*lines[:-1], "mouth_corner_left,1,2,nan"], "three finite numbers"),
        (lambda lines: lines[1:], "expected the header"),
        (lambda lines: [], "empty file"),
    ],
)
def test_broken_landmarks_are_refused(tmp_path, change, message):
    lines = ["name,x,y,z", *(f"{name},0,0,1" for name in ALIGNMENT_POINTS)]
    (tmp_path / "a.csv").write_text("\n".join(change(lines)))
    with pytest.raises(DataError, match=message):
        read_landmarks(tmp_path / "a.csv")


def test_without_open3d_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(UnavailableError, match="pip install"):
        import_open3d()
