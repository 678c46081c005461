"""The head about the face that ships: joined without a seam, like the population, and of that face model alone."""

import numpy as np
import pytest
from toy_model import toy_model

from dfmvr.assets.files import asset, list_sums, read_sums
from dfmvr.assets.shipped import SHIPPED
from dfmvr.errors import ConfigError, DataError
from dfmvr.face_model.anny.heads import rigid_to
from dfmvr.face_model.anny.parts import EAR, HAIR, NECK, PARTS
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.packed import read_model
from dfmvr.face_model.whole_head import FADE_MM, WholeHead, once_finer
from dfmvr.files import read_npz
from dfmvr.geometry.normals import mesh_normals, triangle_normals
from dfmvr.geometry.sphere import fit_sphere
from dfmvr.geometry.subdivision import subdivide
from dfmvr.geometry.surface import open_boundary


@pytest.fixture(scope="module")
def model():
    return read_model(asset(SHIPPED["face_model"]))


@pytest.fixture(scope="module")
def head(model):
    return WholeHead.load(asset("head.npz"), model)


def test_a_sphere_is_found_through_a_part_of_it():
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(50, 3)) * (1, 1, 0.2) + (0, 0, 1)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    centre, radius = fit_sphere(np.array([310.0, 37.0, -9.0]) + 12.5 * directions)
    assert centre == pytest.approx([310, 37, -9], abs=1e-9)
    assert radius == pytest.approx(12.5, abs=1e-9)


def test_the_mesh_is_the_first_vertices_of_the_one_twice_subdivided():
    triangles = np.array([[0, 1, 2], [0, 2, 3], [1, 0, 4]])
    matrix, finer = once_finer(triangles, 5)
    whole, levels = subdivide(triangles, 5, 2)
    assert np.array_equal(finer, levels[1])
    assert abs(matrix - whole[: matrix.shape[0]]).max() < 1e-12


def test_the_whole_face_is_in_the_head_and_every_part_is_there(head, model):
    places = head.face[head.face >= 0]
    assert np.array_equal(np.sort(places), np.arange(model.coarse_vertices))
    for name in PARTS:
        assert head.of(name).any()
    assert (head.face[head.of("tongue")] < 0).all()
    assert (head.face[np.isin(head.labels, (EAR, HAIR, NECK)) & (head.mean[:, 2] < -60)] < 0).all()
    # the skin is closed but for the neck
    edge = open_boundary(head.triangles, len(head.face)).vertices & head.of("skin")
    assert head.mean[edge, 1].max() < head.mean[head.labels == EAR, 1].min() - 10


def test_coefficients_of_zero_are_the_mean_head(head, model):
    mean = model.mean.numpy()
    assert head.around(mean, np.zeros(model.identity_size)) == pytest.approx(head.mean, abs=1e-9)
    inside = head.face >= 0
    assert np.array_equal(head.mean[inside].astype(np.float32), mean[head.face[inside]])
    mirrored = head.mean * (-1, 1, 1)
    nearest = np.linalg.norm(head.mean[head.of("tongue")][:, None] - mirrored[head.of("tongue")], axis=2).min(1)
    assert nearest.max() < 1e-3


def displaced_face(model):
    """The mean face, each vertex of the coarse mesh moved smoothly along its normal by up to some 5 mm."""
    count = model.coarse_vertices
    points = model.mean.numpy()[:count].astype(np.float64)
    normals = mesh_normals(points, model.coarse_triangles.numpy())
    return points + (3 + 2 * np.sin(points[:, :1] / 25) * np.cos(points[:, 1:2] / 30)) * normals


def creases(head, points):
    """Angles in degrees across the edges of the skin, and which of them are the face's outer border."""
    skin = head.triangles[head.of("skin")[head.triangles].all(1)]
    edges = np.sort(np.stack([skin, np.roll(skin, -1, 1)], -1).reshape(-1, 2), axis=1)
    order = np.lexsort(edges.T)
    same = (edges[order][1:] == edges[order][:-1]).all(1)
    one, other = (order[:-1][same] // 3), (order[1:][same] // 3)
    normals = triangle_normals(points[skin])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    angle = np.degrees(np.arccos(np.clip((normals[one] * normals[other]).sum(1), -1, 1)))
    inside = (head.face[skin] >= 0).all(1)
    lids = np.isin(head.labels[skin], (4, 5)).any(1)  # the other border, inside the eyes, is an edge by itself
    return angle, (inside[one] != inside[other]) & ~lids[one] & ~lids[other]


def test_face_and_head_join_without_a_seam(head, model):
    face = displaced_face(model)
    whole = head.around(face, np.zeros(model.identity_size))
    inside = head.face >= 0
    assert np.abs(whole[inside] - face[head.face[inside]]).max() < 1e-9
    before, border = creases(head, head.mean)
    after, _ = creases(head, whole)
    change = np.abs(after - before)
    assert border.sum() > 100
    assert change[border].max() < 6
    assert change[border].mean() < 2
    # a displacement that ends at the border would crease it
    cut = np.where(inside[:, None], whole, head.mean)
    creased, _ = creases(head, cut)
    assert np.abs(creased - before)[border].mean() > 5 * change[border].mean()


def test_what_the_model_lacks_fades_out_over_the_skin(head, model):
    face = model.mean.numpy()[: model.coarse_vertices] + np.array([0.0, 0, 4])
    whole = head.around(face, np.zeros(model.identity_size))
    moved = (whole - head.mean)[:, 2]
    skin = head.of("skin")
    edge = np.unique(head.triangles[(head.face[head.triangles] >= 0).any(1) & (head.face[head.triangles] < 0).any(1)])
    rim = edge[(head.face[edge] < 0) & skin[edge]]
    assert moved[rim].min() > 3.2  # next to the face, nearly all of it
    assert moved[skin].max() < 4.6
    known = head.mean[skin & (head.face >= 0)]
    rest = np.flatnonzero(skin & (head.face < 0) & (head.mean[:, 2] < known[:, 2].min() - 2.5 * FADE_MM))
    assert np.abs(moved[rest]).max() < 0.8
    assert (moved[head.of("tongue")] == 0).all()


def people_of(built, head, model, count):
    """Heads drawn from the population, on the head's mesh and in its frame, with coefficients of their faces."""
    generator = built[1]
    matrix, _ = once_finer(read_npz(asset("head.npz"))["triangles"].astype(np.int64), len(generator.template))
    anchors = np.flatnonzero((head.face >= 0) & head.of("skin"))
    flat = model.identity_basis[:, : model.coarse_vertices].numpy().reshape(model.identity_size, -1).T
    rng = np.random.default_rng(7)
    for hidden in [False] * count + [True] * count:
        points = matrix @ generator.base_vertices(generator.sample_identity(rng, hidden))
        points = rigid_to(points, head.mean, anchors)
        face = np.empty((model.coarse_vertices, 3))
        face[head.face[head.face >= 0]] = points[head.face >= 0]
        offset = (face - model.mean.numpy()[: len(face)]).ravel()
        yield hidden, points, face, np.linalg.lstsq(flat, offset, rcond=None)[0]


def test_ears_and_neck_of_the_population_come_nearer_than_the_mean_heads(built, head, model):
    beyond = {"ears": head.labels == EAR, "neck": head.labels == NECK, "back": head.labels == HAIR}
    errors = {(name, hidden): [] for name in beyond for hidden in (False, True)}
    for hidden, points, face, coefficients in people_of(built, head, model, 6):
        whole = head.around(face, coefficients)
        inside = head.face >= 0
        assert np.abs(whole[inside] - points[inside]).max() < 1e-4
        for name, where in beyond.items():
            rms = [np.sqrt(((h - points)[where & ~inside] ** 2).sum(1).mean()) for h in (whole, head.mean)]
            errors[name, hidden].append(rms)
    for (name, hidden), rms in errors.items():
        found, of_mean = np.mean(rms, 0)
        assert found < (0.75 if hidden else 0.6) * of_mean, (name, hidden, found, of_mean)


def test_another_face_model_is_refused_in_a_line(model):
    arrays = read_npz(asset("head.npz"))
    for other in (toy_model(), MorphableModel(model.arrays() | {"name": np.array("BFM 2009")})):
        with pytest.raises(ConfigError, match="the whole head is known for the open model that ships alone") as told:
            WholeHead(arrays, other)
        assert "\n" not in str(told.value)


def test_a_model_of_the_same_mesh_with_other_components_is_refused(model):
    arrays = model.arrays()
    arrays["identity"] = arrays["identity"][::-1].copy()
    with pytest.raises(ConfigError, match="known for the open model"):
        WholeHead(read_npz(asset("head.npz")), MorphableModel(arrays))


def test_damaged_head_files_are_told(model):
    arrays = read_npz(asset("head.npz"))
    for name, wrong, told in (
        ("labels", arrays["labels"][:-1], "labels"),
        ("stored", arrays["stored"].astype(np.int64) + 5000, "stored"),
        ("identity", arrays["identity"][:, :-1], "identity"),
    ):
        with pytest.raises(DataError, match=told):
            WholeHead(arrays | {name: wrong}, model)


def test_a_list_of_sums_keeps_the_lines_of_others(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        list_sums(tmp_path, [name])
    assert set(read_sums(tmp_path / "SHA256SUMS")) == {"a", "b"}
