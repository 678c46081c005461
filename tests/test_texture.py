"""Texture: the unwrapping of a mesh, and what is baked from photographs whose colours are known."""

import dataclasses

import numpy as np
import pytest
import torch
import trimesh
from numpy.testing import assert_allclose, assert_array_equal
from toy_reconstruction import toy_reconstruction, with_views

from dfmvr.colour import decode_srgb, encode_srgb
from dfmvr.conventions import VIEWS
from dfmvr.reconstruct.export.atlas import Atlas, atlas_of
from dfmvr.reconstruct.export.blending import surface_of, view_weights
from dfmvr.reconstruct.export.texture import bake, even_exposures, fill, texture_size


@pytest.fixture(scope="module")
def face():
    return toy_reconstruction()


def _head(radius=90.0):
    """A closed head with a ball inside, of which nothing is seen."""
    outer, inner = trimesh.creation.icosphere(3, radius), trimesh.creation.icosphere(2, 0.3 * radius)
    vertices = np.concatenate([outer.vertices * (0.8, 1.2, 1), inner.vertices])
    return vertices, np.concatenate([outer.faces, inner.faces + len(outer.vertices)]).astype(np.int64)


@pytest.mark.parametrize("closed", [False, True])
def test_every_triangle_has_texels_of_its_own(face, closed):
    mean, triangles = _head() if closed else (face.model.mean.numpy(), face.triangles)
    unwrapping = Atlas(mean, triangles).unwrapping
    assert_array_equal(unwrapping.vertex[unwrapping.triangles], triangles)
    assert_array_equal(unwrapping.vertex[: len(mean)], np.arange(len(mean)))
    assert unwrapping.uv.min() >= 0
    assert unwrapping.uv.max() <= 1
    corners = unwrapping.uv[unwrapping.triangles]
    edges = corners[:, 1:] - corners[:, :1]
    area = (edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]) / 2
    assert (area > 0).all()
    covered = len(Atlas(mean, triangles).texels(1024).pixel) / 1024**2
    assert covered == pytest.approx(area.sum(), rel=0.01)  # less if triangles overlapped


def test_the_cut_at_the_back_of_a_closed_head_stretches_nothing():
    mean, triangles = _head()
    atlas = Atlas(mean, triangles)
    corners = atlas.unwrapping.uv[atlas.unwrapping.triangles] * atlas.width_mm
    lengths = np.linalg.norm(corners - np.roll(corners, 1, 1), axis=-1)
    solid = np.linalg.norm(mean[triangles] - np.roll(mean[triangles], 1, 1), axis=-1)
    equator = np.abs(mean[triangles][..., 1]).max(1) < 50  # a cylinder widens what lies near its ends
    assert equator.sum() > 400
    assert (lengths[equator] < 1.7 * solid[equator]).all()


def test_texels_are_told_their_place_on_the_mesh():
    mean, triangles = _head()
    atlas = Atlas(mean, triangles)
    texels = atlas.texels(512)
    assert_allclose(texels.weights.sum(1), 1, atol=1e-4)
    found = texels.weights @ mean
    outside = np.linalg.norm(found, axis=1) > 50
    shape = np.linalg.norm(found[outside] / (0.8, 1.2, 1), axis=1)
    assert_allclose(shape, 90, atol=1.0)  # the chords of the triangles
    assert len(np.unique(np.concatenate([texels.pixel, texels.bare]))) == 512**2
    rows, nearest = np.divmod(texels.pixel[texels.nearest[::997]], 512), np.divmod(texels.bare[::997], 512)
    every = np.stack(np.divmod(texels.pixel, 512))
    for row, column, r, c in zip(*rows, *nearest, strict=True):
        best = np.hypot(*(every - [[r], [c]])).min()
        assert np.hypot(row - r, column - c) == pytest.approx(best)


def test_the_atlas_is_made_once_for_a_model(face):
    assert atlas_of(face.model) is atlas_of(face.model)
    assert atlas_of(face.model).texels(512) is atlas_of(face.model).texels(512)


@pytest.mark.parametrize("names", [VIEWS, ("left", "right"), ("front",), ("right",)])
def test_white_light_gives_the_albedo_back(face, names):
    shown = with_views(face, *names)
    baked = bake(shown)
    size = baked.texture.image.shape[0]
    texels = atlas_of(face.model).texels(size)
    truth = texels.weights @ face.albedo
    seen = texels.weights @ baked.seen > 0.999
    found = baked.texture.image.reshape(-1, 3)[texels.pixel] / 255
    error = np.abs(found - truth)
    assert seen.mean() > 0.3
    assert error[seen].mean() < 0.005
    assert error[seen].max() < 0.03
    # what no photograph shows is the albedo under the same light
    assert error.mean() < 0.01
    assert error.max() < 0.1
    assert_allclose(baked.vertices[baked.seen > 0.999], face.albedo[baked.seen > 0.999], atol=0.03)


def test_a_view_shows_nothing_that_lies_behind_another_part():
    face = _turned(toy_reconstruction(n=32), 1.3)
    view = face.views[0]
    weights = view_weights(surface_of(face))[0]
    posed = face.camera(view).posed(face.vertices)
    hidden = np.array([_ray_is_stopped(posed, face.triangles, index) for index in range(len(posed))])
    assert 20 < hidden.sum() < len(posed) / 2
    assert (weights[hidden] == 0).mean() > 0.97
    assert (weights > 0.05).mean() > 0.1


def _turned(face, yaw):
    """The face with its first view's angle about y."""
    angles = face.coefficients.angles.clone()
    angles[0, face.views[0].place] = torch.tensor([0.0, yaw, 0.0])
    return dataclasses.replace(face, coefficients=face.coefficients._replace(angles=angles))


def _ray_is_stopped(posed, triangles, index, clear_mm=3.0):
    """Whether a triangle lies between a vertex and the camera, by Moller and Trumbore's test of each."""
    start, camera = posed[index], np.array([0.0, 0.0, 1000.0])
    distance = np.linalg.norm(camera - start)
    ray = (camera - start) / distance
    corner = posed[triangles]
    first, second = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    across = np.cross(ray, second)
    scale = (first * across).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = start - corner[:, 0]
        u = (offset * across).sum(1) / scale
        around = np.cross(offset, first)
        v, along = around @ ray / scale, (around * second).sum(1) / scale
        return bool(((u >= 0) & (v >= 0) & (u + v <= 1) & (along > clear_mm)).any())


def test_weights_fall_to_nothing_at_the_edges_of_a_photograph(face):
    view = with_views(face, "front").views[0]
    narrow = view._replace(photo=np.ascontiguousarray(view.photo[:, : view.photo.shape[1] // 2]))
    cut = dataclasses.replace(face, views=(narrow,))
    weights = view_weights(surface_of(cut))[0]
    column = cut.project(narrow)[:, 0]
    assert (weights[column >= narrow.photo.shape[1]] == 0).all()
    assert (weights[column < 0.9 * narrow.photo.shape[1]] > 0.3).any()
    assert np.isfinite(bake(cut).vertices).all()


@pytest.mark.parametrize("names", [("front",), VIEWS])
def test_what_the_parser_does_not_take_for_the_face_is_left_out(face, names):
    shown = with_views(face, *names)
    masks = []
    for view in shown.views:  # a hand before the upper half of the face
        photo, mask = view.photo.copy(), np.ones(view.crop.shape[:2], np.uint8)
        middle = round((32 - view.affine[1, 2]) / view.affine[1, 1])
        photo[:middle], mask[:32] = (0, 255, 0), 0
        masks.append(view._replace(photo=photo, mask=mask))
    with_hand = bake(dataclasses.replace(shown, views=tuple(v._replace(mask=None) for v in masks)))
    without = bake(dataclasses.replace(shown, views=tuple(masks)))
    upper = face.project(shown.views[0])[:, 1] < middle - 8
    errors = [np.abs(baked.vertices - face.albedo).max(1) for baked in (with_hand, without)]
    assert np.median(errors[0][upper]) > 0.2
    assert errors[1].max() < 0.25
    assert without.seen[upper].max() == 0


@pytest.mark.parametrize("gain", [0.5, 1.15])
def test_exposures_are_evened(face, gain):
    left, front, right = face.views
    changed = decode_srgb(left.photo / 255) * (gain, 1, gain**0.5)
    darker = left._replace(photo=np.round(255 * encode_srgb(np.clip(changed, 0, 1))).astype(np.uint8))
    before, after = bake(face), bake(dataclasses.replace(face, views=(darker, front, right)))
    seen = before.seen > 0.999
    assert_allclose(after.vertices[seen], before.vertices[seen], atol=0.04)


def test_gains_solve_for_all_pairs():
    generator = np.random.default_rng(0)
    truth, colours = (
        np.array([[0.6, 1.0, 1.5], [1.0, 1.0, 1.0], [1.2, 0.9, 0.7]]),
        generator.uniform(0.1, 0.9, (500, 3)),
    )
    weights = [np.where(np.arange(500) < 200, 1.0, 0), np.ones(500), np.where(np.arange(500) > 150, 0.5, 0)]
    found = even_exposures([colours / gain for gain in truth], weights)
    assert_allclose(found, truth, rtol=1e-4)
    apart = [np.where(np.arange(500) < 200, 1.0, 0), np.where(np.arange(500) > 200, 1.0, 0)]
    assert_allclose(even_exposures([colours, 2 * colours], apart), 1)


def test_filling_is_lit_like_what_is_seen():
    generator = np.random.default_rng(0)
    normals = generator.normal(size=(3000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    albedo = generator.uniform(0.2, 0.8, (3000, 3))
    light = 0.7 + 0.1 * normals[:, :1] + np.array([0.0, 0.05, 0.1])
    seen = (normals[:, 2] > 0).astype(float)
    found = fill(albedo, normals, albedo * light * seen[:, None], seen)
    assert_allclose(found[seen > 0], (albedo * light)[seen > 0], rtol=0.03)
    assert_allclose(found, albedo * light, rtol=0.15)
    nothing = fill(albedo, normals, np.zeros_like(albedo), np.zeros(3000))
    assert np.isfinite(nothing).all()


def test_sharper_photographs_get_larger_textures(face):
    atlas = atlas_of(face.model)
    assert texture_size(face, atlas) == 512
    # a photograph of more pixels a millimetre
    sharp = tuple(view._replace(affine=view.affine * 0.25) for view in face.views)
    assert texture_size(dataclasses.replace(face, views=sharp), atlas) > 512
    sharp = tuple(view._replace(affine=view.affine * 0.01) for view in face.views)
    assert texture_size(dataclasses.replace(face, views=sharp), atlas) == 2048
