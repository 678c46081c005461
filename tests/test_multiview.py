"""Multi-view geometry: against planes and spheres in closed form, exact projections, and finite differences."""

import math

import numpy as np
import pytest
import torch
import trimesh
from toy_model import toy_coefficients, toy_model

from dfmvr.conventions import CAMERA_DISTANCE_MM
from dfmvr.geometry.camera import focal_px, pose, project
from dfmvr.rendering.rasterizer import rasterize
from dfmvr.rendering.renderer import render
from dfmvr.train.methods import multiview
from dfmvr.train.methods.multiview import (
    Motion,
    Pose,
    backproject,
    carry_depth,
    covisible,
    epipolar_distance,
    follow,
    fundamental_matrix,
    motion_between,
    move,
    move_back,
    pixel_centres,
    sample,
    visible_vertices,
)

SIZE = 96
CAMERA = torch.tensor([0.0, 0.0, CAMERA_DISTANCE_MM], dtype=torch.float64)


def a_pose(yaw_deg, tilt=0.1, shift=(4.0, -3.0, 20.0)):
    angles = torch.tensor([[tilt, math.radians(yaw_deg), -tilt]], dtype=torch.float64)
    return Pose(angles, torch.tensor([shift], dtype=torch.float64))


TARGET, SOURCE = a_pose(3, 0.05), a_pose(-33, 0.1, (-6.0, 5.0, -15.0))
MOTION = motion_between(TARGET, SOURCE)


def posed(points, where):
    return pose(points, where.angles, where.translation)


def rays(size):
    """Directions (S, S, 3) of the pixel centres, by the definition of the camera, not by `backproject`."""
    steps = (np.arange(size) + 0.5 - size / 2) / focal_px(size)
    x, y = np.meshgrid(steps, -steps)
    return torch.from_numpy(np.stack((x, y, -np.ones_like(x)), -1))


def plane_depth(normal, offset, size):
    """Depth (1, S, S) of the plane normal . x = offset."""
    return ((offset - normal @ CAMERA) / (rays(size) @ normal))[None]


def sphere_depth(centre, radius, size):
    """Depth (1, S, S) of a sphere, 0 beside it."""
    direction, start = rays(size), CAMERA - centre
    b, c = direction @ start, start @ start - radius**2
    a = direction.square().sum(-1)
    root = b.square() - a * c
    return torch.where(root > 0, (-b - root.clamp_min(0).sqrt()) / a, 0.0)[None]


def textured_sphere():
    mesh = trimesh.creation.icosphere(subdivisions=5, radius=80.0)
    return torch.from_numpy(np.array(mesh.vertices))[None], torch.from_numpy(np.array(mesh.faces))


def paint(vertices):
    """Smooth colours in [0, 1] that belong to the surface."""
    return 0.5 + 0.5 * torch.sin(vertices / 12)


def test_a_motion_takes_one_view_to_the_other():
    points = 80 * torch.randn(2, 50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first = Pose(torch.cat((TARGET.angles, SOURCE.angles)), torch.cat((TARGET.translation, SOURCE.translation)))
    second = Pose(first.angles.flip(0), first.translation.flip(0))
    motion = motion_between(first, second)
    torch.testing.assert_close(move(posed(points, first), motion), posed(points, second))
    torch.testing.assert_close(move_back(posed(points, second), motion), posed(points, first))


def test_backprojection_undoes_projection():
    points = 80 * torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x, y, depth = project(points, SIZE).unbind(-1)
    torch.testing.assert_close(backproject(torch.stack((x, y), -1), depth, SIZE), points)


def test_pixel_centres_are_those_of_the_camera():
    expected = CAMERA + 700 * rays(SIZE)
    depth = torch.full((SIZE, SIZE), 700.0, dtype=torch.float64)
    torch.testing.assert_close(backproject(pixel_centres(SIZE, depth), depth, SIZE), expected)


def test_a_plane_is_followed_by_its_homography():
    normal, offset = torch.tensor([0.2, -0.1, 1.0], dtype=torch.float64), 12.0
    pixels = follow(plane_depth(normal, offset, SIZE), MOTION)
    # x' = R x + t with n . x = d for x from the camera's place: H = K (R + t n^T / d) K^-1 in the camera's own axes.
    flip = np.diag([1.0, -1.0, -1.0])
    rotation, translation = MOTION.rotation[0].numpy(), MOTION.translation[0].numpy()
    n, d = flip @ normal.numpy(), offset - float(normal @ CAMERA)
    t = flip @ (rotation @ CAMERA.numpy() + translation - CAMERA.numpy())
    k = np.array([[focal_px(SIZE), 0, SIZE / 2], [0, focal_px(SIZE), SIZE / 2], [0, 0, 1]])
    homography = k @ (flip @ rotation @ flip + np.outer(t, n) / d) @ np.linalg.inv(k)
    grid = pixel_centres(SIZE, normal).numpy()
    expected = np.concatenate((grid, np.ones((SIZE, SIZE, 1))), -1) @ homography.T
    np.testing.assert_allclose(pixels[0].numpy(), expected[..., :2] / expected[..., 2:], atol=1e-9)


def test_the_depth_of_a_plane_comes_back_exactly():
    normal, offset = torch.tensor([0.2, -0.1, 1.0], dtype=torch.float64), 12.0
    target = plane_depth(normal, offset, SIZE)
    moved = MOTION.rotation[0] @ normal
    source = plane_depth(moved, offset + moved @ MOTION.translation[0], SIZE)
    pixels = follow(target, MOTION)
    carried, known = carry_depth(source, pixels, MOTION)
    inside = ((pixels > 0.5) & (pixels < SIZE - 0.5)).all(-1)
    assert torch.equal(known, inside)
    assert 0.3 < known.double().mean() < 1
    torch.testing.assert_close(carried[known], target[known], atol=1e-9, rtol=0)


def test_the_depth_of_a_sphere_comes_back_within_the_error_of_interpolation():
    centre, radius = torch.tensor([[5.0, -4.0, 10.0]], dtype=torch.float64), 80.0
    there = move(centre, MOTION)[0, 0]
    target, source = sphere_depth(centre[0], radius, SIZE), sphere_depth(there, radius, SIZE)
    pixels = follow(target, MOTION)
    carried, known = carry_depth(source, pixels, MOTION)
    points = move(backproject(pixel_centres(SIZE, target), target, SIZE).flatten(1, 2), MOTION)[0]
    slant = torch.nn.functional.cosine_similarity(points - there, CAMERA - points, dim=1).view_as(target)
    front = (target > 0) & (slant > 0.5)
    assert known[front].all()
    # A chord of one pixel (2.3 mm) on a sphere of 80 mm is 0.01 mm below it; at a slant of 0.5 eight times as much.
    assert (carried - target)[front].abs().max() < 0.1
    hidden = (target > 0) & known & (slant < -0.5)
    assert (carried - target)[hidden].abs().min() > 10


@pytest.mark.parametrize("size", [48, 96])
def test_a_sphere_is_covisible_where_both_cameras_are_above_its_horizon(size):
    vertices, triangles = textured_sphere()
    target, source = posed(vertices, TARGET), posed(vertices, SOURCE)
    faces = rasterize(project(target, size), triangles, size).pix_to_face
    visible = visible_vertices(project(source, 192), triangles, 192)
    found = covisible(faces, triangles, visible)
    # Seen from c is what lies on c's side of the plane (x - o) . (c - o) = r^2.
    height = (source - SOURCE.translation) @ (CAMERA - SOURCE.translation[0]) / (CAMERA - SOURCE.translation[0]).norm()
    above = height - 80.0**2 / (CAMERA - SOURCE.translation[0]).norm()
    of_pixel = above[0, triangles].mean(-1)[faces.clamp_min(0)]
    assert not found[faces < 0].any()
    clear = 8.0  # two rings of triangles of 3 mm, and the horizon's pixels
    assert found[(faces >= 0) & (of_pixel > clear)].all()
    assert not found[(faces >= 0) & (of_pixel < -clear)].any()
    assert 0.3 < found[faces >= 0].double().mean() < 0.9


def plate(half, z, cells):
    steps = np.linspace(-half, half, cells + 1)
    x, y = np.meshgrid(steps, steps)
    ids = np.arange((cells + 1) ** 2).reshape(cells + 1, -1)
    a, b, c, d = ids[:-1, :-1].ravel(), ids[:-1, 1:].ravel(), ids[1:, 1:].ravel(), ids[1:, :-1].ravel()
    triangles = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)])
    return np.stack((x, y, np.full_like(x, z)), -1).reshape(-1, 3), triangles


def test_what_a_plate_hides_from_the_source_is_not_covisible():
    back, front = plate(90.0, 0.0, 60), plate(30.0, 40.0, 20)
    vertices = torch.from_numpy(np.concatenate((back[0], front[0])))[None]
    triangles = torch.from_numpy(np.concatenate((back[1], front[1] + len(back[0]))))
    straight, turned = a_pose(0, 0.0, (0.0, 0.0, 0.0)), a_pose(-30, 0.0, (0.0, 0.0, 0.0))
    fragments = rasterize(project(posed(vertices, straight), SIZE), triangles, SIZE)
    visible = visible_vertices(project(posed(vertices, turned), 192), triangles, 192)
    found = covisible(fragments.pix_to_face, triangles, visible)[0]
    points = backproject(pixel_centres(SIZE, fragments.depth), fragments.depth[0], SIZE)
    # Where the source's camera stands in the target's frame, and where its line of sight crosses the front plate.
    camera = move_back(CAMERA[None, None], motion_between(straight, turned))[0, 0]
    share = ((40.0 - points[..., 2]) / (camera[2] - points[..., 2]))[..., None]
    crossing = (points + share * (camera - points))[..., :2].abs().amax(-1)
    on_back = (fragments.pix_to_face[0] >= 0) & (points[..., 2].abs() < 1)
    clear = 7.0  # two rings of triangles of 3 mm
    assert found[on_back & (crossing > 30 + clear) & (points[..., :2].abs().amax(-1) < 90 - clear)].all()
    hidden = on_back & (crossing < 30 - clear)
    assert hidden.sum() > 50
    assert not found[hidden].any()
    assert found[(points[..., 2] - 40).abs() < 1].all()


def test_a_surface_seen_from_inside_is_not_visible():
    vertices, triangles = (torch.from_numpy(array) for array in plate(60.0, 0.0, 12))
    seen = visible_vertices(project(vertices[None], SIZE), triangles, SIZE)
    assert seen.all()
    assert not visible_vertices(project(vertices[None], SIZE), triangles.flip(1), SIZE).any()


def test_a_warped_view_shows_the_colours_of_the_other():
    vertices, triangles = textured_sphere()
    colours = paint(vertices)
    target, source = (render(posed(vertices, where), triangles, colours, 128) for where in (TARGET, SOURCE))
    warped = sample(source.image, follow(target.fragments.depth, MOTION))
    visible = visible_vertices(project(posed(vertices, SOURCE), 256), triangles, 256)
    _, known = carry_depth(source.fragments.depth, follow(target.fragments.depth, MOTION), MOTION)
    mask = covisible(target.fragments.pix_to_face, triangles, visible) & known
    error = (warped - target.image).abs().amax(1)[mask]
    unmoved = (source.image - target.image).abs().amax(1)[mask]
    assert mask.double().mean() > 0.2
    assert error.mean() < 0.005
    # at the horizon a pixel of the source spans ten millimetres and more
    assert error.quantile(0.98) < 0.05
    assert unmoved.mean() > 0.3


def test_a_face_warps_onto_itself_by_the_coefficients_of_its_views():
    model, truth = toy_model(), toy_coefficients(1)
    vertices = model.shape(truth.identity, truth.expression).expand(3, -1, -1)
    where = Pose(truth.angles[0], truth.translation[0])
    images, _, fragments = render(posed(vertices, where), model.triangles, paint(vertices), 128)
    for source in (0, 2):
        motion = motion_between(*(Pose(*(values[view : view + 1] for values in where)) for view in (1, source)))
        pixels = follow(fragments.depth[1:2], motion)
        seen = visible_vertices(project(posed(vertices, where), 128)[[source]], model.triangles, 128)
        _, known = carry_depth(fragments.depth[[source]], pixels, motion)
        mask = covisible(fragments.pix_to_face[1:2], model.triangles, seen) & known
        error = (sample(images[[source]], pixels) - images[1:2]).abs().amax(1)[mask]
        assert mask.sum() > 0.8 * (fragments.pix_to_face[1] >= 0).sum()
        assert error.mean() < 0.01


def some_matches(count=30, seed=2):
    points = 70 * torch.randn(1, count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return tuple(project(posed(points, where), SIZE)[..., :2] for where in (TARGET, SOURCE))


def test_exact_projections_lie_on_their_epipolar_lines():
    target, source = some_matches()
    assert epipolar_distance(target, source, MOTION, SIZE).max() < 1e-9


def epipolar_distance_naive(target, source, motion, size):
    """The line as what the other view sees of two points of a ray; one point at a time."""

    def to_line(point, other, there):
        ray = backproject(point.expand(2, 2), torch.tensor([800.0, 1200.0], dtype=torch.float64), size)
        (x, y), (u, v) = project(there(ray[None])[0], size)[:, :2].tolist()
        length = math.hypot(u - x, v - y)
        return abs((u - x) * (y - float(other[1])) - (x - float(other[0])) * (v - y)) / length

    pairs = zip(target[0], source[0], strict=True)
    back = [
        (to_line(t, s, lambda p: move(p, motion)) + to_line(s, t, lambda p: move_back(p, motion))) / 2 for t, s in pairs
    ]
    return torch.tensor([back], dtype=torch.float64)


def test_epipolar_distances_equal_the_naive_twin(monkeypatch):
    monkeypatch.setattr(multiview, "SMALLEST_BASELINE_MM", 0.0)
    target, source = some_matches()
    source = source + 3 * torch.randn(source.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    found = epipolar_distance(target, source, MOTION, SIZE)
    assert found.mean() > 0.5
    torch.testing.assert_close(found, epipolar_distance_naive(target, source, MOTION, SIZE))


def test_the_fundamental_matrix_is_of_rank_two_and_holds_the_epipoles():
    matrix = fundamental_matrix(MOTION, SIZE)[0]
    values = torch.linalg.svdvals(matrix)
    assert values[2] < 1e-12 * values[0]
    # The epipole: where the target sees the camera of the source.
    x, y, depth = project(move_back(CAMERA[None, None], MOTION)[0], SIZE)[0]
    assert depth != 0
    assert (matrix @ torch.stack((x, y, torch.ones_like(x)))).abs().max() < 1e-10 * values[0] * x.abs()


def test_cameras_in_one_place_have_no_epipolar_lines():
    where = Pose(*(values.clone().requires_grad_() for values in TARGET))
    target, source = some_matches()
    loss = epipolar_distance(target, source, motion_between(TARGET, where), SIZE).mean()
    loss.backward()
    assert loss < 1e-9
    assert torch.isfinite(where.angles.grad).all()


def gradcheck(function, *inputs):
    return torch.autograd.gradcheck(function, [values.clone().requires_grad_() for values in inputs], atol=1e-6)


def test_gradients_of_warps_equal_finite_differences():
    centre = torch.tensor([[5.0, -4.0, 10.0]], dtype=torch.float64)
    size = 9
    target = sphere_depth(centre[0], 150.0, size)
    source = sphere_depth(move(centre, MOTION)[0, 0], 150.0, size)
    images = torch.rand(1, 2, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    assert gradcheck(lambda depth, *motion: follow(depth, Motion(*motion)), target, *MOTION)
    pixels = follow(target, MOTION)
    assert gradcheck(sample, images, pixels)
    assert carry_depth(source, pixels, MOTION)[1].sum() > 20
    assert gradcheck(lambda depth, p, *motion: carry_depth(depth, p, Motion(*motion))[0], source, pixels, *MOTION)


def test_gradients_of_epipolar_distances_equal_finite_differences():
    target, source = (points[:, :6] for points in some_matches())

    def distance(points, *where):
        return epipolar_distance(target, points, motion_between(TARGET, Pose(*where)), SIZE)

    assert gradcheck(distance, source + torch.arange(12.0).view(1, 6, 2) / 3 + 1, *SOURCE)


def test_background_has_finite_gradients():
    depth = sphere_depth(CAMERA * 0, 60.0, 24).requires_grad_()
    pixels = follow(depth, MOTION)
    carried, known = carry_depth(depth, pixels, MOTION)
    assert torch.isfinite(carried).all()
    assert not known.all()
    carried[known & (depth > 0)].sum().backward()
    assert torch.isfinite(depth.grad).all()
