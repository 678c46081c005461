"""The file of an avatar, read by trimesh, Khronos's validator, three.js in a browser, and Blender where it is there."""

import json
import struct

import numpy as np
import pytest
import trimesh
from in_three import in_three
from npm_modules import khronos_report
from numpy.testing import assert_allclose
from toy_avatar import toy_avatar

from dfmvr.reconstruct.avatar.glb import LEAST_MM, LEAST_TURN, Paint, write_avatar


@pytest.fixture(scope="module")
def avatar():
    return toy_avatar()


def checked():
    """A picture of coloured squares."""
    return np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8).repeat(8, 0).repeat(8, 1)


@pytest.fixture(scope="module")
def file(avatar, tmp_path_factory):
    path = tmp_path_factory.mktemp("avatar") / "avatar.glb"
    skin, eye = Paint(checked(), roughness=0.6), Paint(colour=(0.8, 0.7, 0.6), roughness=0.2)
    write_avatar(path, avatar, {part.name: skin if part.name == "head" else eye for part in avatar.parts})
    return path


def parts_of(path):
    """The tree of a GLB file and its buffer."""
    content = path.read_bytes()
    length = struct.unpack_from("<I", content, 12)[0]
    return json.loads(content[20 : 20 + length]), content[28 + length :]


def test_khronos_finds_no_fault_with_it(file, avatar):
    report = khronos_report(file)
    assert report["issues"]["numErrors"] == 0, report["issues"]["messages"]
    assert report["issues"]["numWarnings"] == 0, report["issues"]["messages"]
    info = report["info"]
    assert info["totalTriangleCount"] == sum(len(part.triangles) for part in avatar.parts)
    assert info["maxAttributes"] == 3
    assert info["hasMorphTargets"]
    assert "extensionsUsed" not in info


def test_trimesh_reads_the_parts_at_their_places(file, avatar):
    scene = trimesh.load(file, process=False)
    assert set(scene.graph.nodes_geometry) == {part.name for part in avatar.parts}
    for part in avatar.parts:
        place, name = scene.graph[part.name]
        found = scene.geometry[name]
        points = trimesh.transform_points(found.vertices, place) * 1000
        rows = part.unwrapping
        assert_allclose(points[found.faces], part.vertices[part.triangles], atol=2e-4)
        if part.name == "head":
            assert_allclose(found.visual.uv[found.faces], rows.uv[rows.triangles], atol=1e-6)


@pytest.fixture(scope="module")
def three(file):
    with in_three(file) as shown:
        yield shown


def test_three_reads_targets_names_weights_and_nodes(three, avatar):
    found = three.parts()
    assert [part["name"] for part in found] == [part.name for part in avatar.parts]
    for part, told in zip(avatar.parts, found, strict=True):
        middle = np.zeros(3) if part.pivot is None else part.pivot
        assert_allclose(told["place"], middle / 1000, atol=1e-7)
        assert told["rough"] == pytest.approx(0.6 if part.name == "head" else 0.2)
        assert told["metal"] == 0
        if part.name != "head":
            assert told["names"] == []
            continue
        assert told["names"] == list(avatar.weights)
        assert_allclose(told["weights"], list(avatar.weights.values()))
        for name, moved in zip(told["names"], told["targets"], strict=True):
            truth = part.targets.get(name, np.zeros_like(part.vertices))[part.unwrapping.vertex]
            assert_allclose(np.reshape(moved, (-1, 3)) * 1000, truth, atol=LEAST_MM)
        normals = np.asarray(trimesh.Trimesh(part.vertices, part.triangles, process=False).vertex_normals)
        for name, turned in zip(told["names"], told["turned"], strict=True):
            moved = part.vertices + part.targets.get(name, 0)
            truth = np.asarray(trimesh.Trimesh(moved, part.triangles, process=False).vertex_normals)
            found = normals[part.unwrapping.vertex] + np.reshape(turned, (-1, 3))
            # which corners a normal weighs how is each library's own, so what is a little off is off in both
            assert np.quantile(np.abs(found - truth[part.unwrapping.vertex]), 0.99) < 2 * LEAST_TURN, name


def test_three_moves_what_a_target_names_and_nothing_else(three):
    still = three.picture({}).astype(int)
    places = {"jawOpen": (0, -45), "mouthSmileLeft": (30, -35), "eyeBlinkLeft": (30, 40)}
    for name, place in places.items():
        changed = np.abs(three.picture({name: 1}).astype(int) - still).max(-1) > 12
        row, column = np.nonzero(changed)
        assert changed.mean() > 0.005, name
        # the ball is 200 mm wide, in the middle of the picture
        mm = 1000 * 2 * np.tan(np.radians(10)) / len(still)
        x, y = (column - still.shape[1] / 2) * mm, (len(still) / 2 - row) * mm
        assert (np.hypot(x - place[0], y - place[1]) < 75).mean() > 0.97, name


def test_three_turns_the_eyes(three):
    still = three.picture({}).astype(int)
    turned = three.picture({}, turns={"eye_left": [0, 1.2, 0]}).astype(int)
    assert np.abs(turned - still).max(-1).any()


def test_targets_tell_only_what_moves(file, avatar):
    tree, _ = parts_of(file)
    targets = tree["meshes"][0]["primitives"][0]["targets"]
    told = [tree["accessors"][target["POSITION"]] for target in targets]
    assert all("bufferView" not in accessor for accessor in told)
    rows = avatar.head.unwrapping.vertex
    for name, accessor in zip(avatar.weights, told, strict=True):
        moved = np.linalg.norm(avatar.head.targets.get(name, np.zeros((len(rows), 3)))[rows], axis=1) >= LEAST_MM
        assert accessor.get("sparse", {"count": 0})["count"] == moved.sum()


def test_blender_finds_the_shape_keys_by_name(file, avatar):
    bpy = pytest.importorskip("bpy", reason="Blender's module bpy is not installed")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=str(file))
    found = {thing.name: thing for thing in bpy.data.objects if thing.type == "MESH"}
    assert set(found) == {part.name for part in avatar.parts}
    keys = found["head"].data.shape_keys.key_blocks
    assert list(keys.keys()) == ["Basis", *avatar.weights]
    assert_allclose([keys[name].value for name in avatar.weights], list(avatar.weights.values()), atol=1e-6)
    for name, moved in avatar.head.targets.items():
        along = np.array([a.co - b.co for a, b in zip(keys[name].data, keys["Basis"].data, strict=True)])
        longest = 1000 * np.linalg.norm(along, axis=1).max()
        assert longest == pytest.approx(np.linalg.norm(moved, axis=1).max(), rel=1e-3)
    for part in avatar.parts[1:]:
        x, y, z = np.array(found[part.name].matrix_world.translation) * 1000
        assert_allclose((x, z, -y), part.pivot, atol=1e-3)  # Blender's z is up
        assert found[part.name].parent == found["head"]
