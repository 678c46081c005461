import importlib.util

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from dfmvr.conventions import CAMERA_DISTANCE_MM
from dfmvr.errors import DataError
from dfmvr.geometry.camera import focal_px, project
from dfmvr.losses import LossTarget, Prediction, rendered_losses
from dfmvr.rendering import visibility
from dfmvr.rendering.rasterizer import interpolate, rasterize
from dfmvr.rendering.renderer import render
from dfmvr.rendering.silhouette import with_silhouette_gradient
from dfmvr.rendering.visibility import NEAR_MM


def rasterize_naive(projected, triangles, size, cull_backfaces=False):
    """One pixel and one triangle at a time, in float64; depths equal in float32 are ties."""
    height, width = size
    face, depth, bary = np.full(size, -1), np.full(size, np.inf, np.float32), np.zeros((*size, 3))
    for index, triangle in enumerate(triangles):
        corners = projected[triangle]
        if not np.isfinite(corners).all() or corners[:, 2].min() <= NEAR_MM:
            continue
        for row in range(height):
            for column in range(width):
                x, y = (corners[:, :2] - (column + 0.5, row + 0.5)).T
                edges = np.array([x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]])
                area = edges.sum()
                if area == 0 or (cull_backfaces and area > 0) or (edges / area).min() < 0:
                    continue
                found = area / (edges / corners[:, 2]).sum()
                if np.float32(found) < depth[row, column]:
                    face[row, column], depth[row, column] = index, found
                    bary[row, column] = edges / corners[:, 2] * found / area
    return face, bary, np.where(face < 0, 0, depth)


def assert_same(fragments, expected, image=0):
    assert_array_equal(fragments.pix_to_face[image], expected[0])
    assert_allclose(fragments.bary[image], expected[1], atol=1e-9)
    assert_allclose(fragments.depth[image], expected[2], rtol=1e-6)


def soup(seed, triangles=40, batch=2, reach=(60, 50)):
    """Triangles with corners in and about an image of 41 x 37 pixels."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform((-15, -12, 900), (*reach, 1100), (batch, 3 * triangles, 3))
    return torch.from_numpy(corners), torch.arange(3 * triangles).view(-1, 3)


def sphere(subdivisions=4, radius=80.0):
    """Vertices and triangles, counter-clockwise from outside."""
    mesh = trimesh.creation.icosphere(subdivisions, radius)
    return torch.from_numpy(np.array(mesh.vertices)), torch.from_numpy(np.array(mesh.faces))


@pytest.mark.parametrize("cull", [False, True])
def test_rasterize_equals_the_naive_twin(cull):
    projected, triangles = soup(0)
    fragments = rasterize(projected, triangles, (37, 41), cull)
    for image in range(2):
        assert_same(fragments, rasterize_naive(projected[image].numpy(), triangles.numpy(), (37, 41), cull), image)


# eighths of a pixel and few depths: borders through pixel centres, degenerate triangles and ties of depth are common
coordinate = st.integers(-24, 88).map(lambda i: i / 8)
corner = st.tuples(coordinate, coordinate, st.sampled_from([-5.0, 0.0, 0.5, 2.0, 2.5, 1000.0, float("nan")]))
front_corner = st.tuples(coordinate, coordinate, st.sampled_from([2.0, 2.5, 1000.0]))
any_triangle = st.one_of(st.tuples(corner, corner, corner), st.tuples(*[front_corner] * 3))


@settings(max_examples=150, deadline=None)
@given(st.lists(any_triangle, min_size=0, max_size=6))
def test_rasterize_equals_the_naive_twin_on_any_triangles(corners):
    projected = torch.tensor(corners, dtype=torch.float64).reshape(1, -1, 3)
    triangles = torch.arange(projected.shape[1]).view(-1, 3)
    expected = rasterize_naive(projected[0].numpy(), triangles.numpy(), (7, 8))
    fragments = rasterize(projected, triangles, (7, 8))
    # the same depth by different roundings in float64 may be two numbers in float32: then either face is right
    other = fragments.pix_to_face[0].numpy() != expected[0]
    assert_allclose(fragments.depth[0], expected[2], rtol=1e-6)
    assert_allclose(fragments.bary[0][~other], expected[1][~other], atol=1e-9)
    assert ((fragments.pix_to_face[0].numpy() < 0) == (expected[0] < 0)).all()


def test_equal_depths_go_to_the_lowest_index():
    square = torch.tensor([[[0, 0, 1024.0], [8, 0, 1024], [8, 8, 1024], [0, 8, 1024]]]).repeat(3, 1, 1)
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3], [1, 2, 0], [2, 3, 0]])
    faces = rasterize(square, triangles, 8).pix_to_face
    # the diagonal runs through pixel centres and belongs to both halves
    assert_array_equal(faces, np.tril(np.ones((8, 8), int), -1)[None].repeat(3, 0))


def test_large_meshes_in_parts_give_the_same_fragments(monkeypatch):
    projected, triangles = soup(1, batch=5)
    whole = rasterize(projected, triangles, (37, 41))
    monkeypatch.setattr(visibility, "_limit", lambda device: 90)
    parts = rasterize(projected, triangles, (37, 41))
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_triangles_much_larger_than_the_image():
    huge = torch.tensor([[[-1e6, -1e6, 1000.0], [1e6, -1e6, 1000], [0, 2e6, 1000]]])
    fragments = rasterize(huge, torch.tensor([[0, 1, 2]]), (50, 70))
    assert (fragments.pix_to_face == 0).all()
    assert_allclose(fragments.depth, 1000, rtol=1e-6)


def test_no_cracks_between_triangles():
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(-2, 70), np.arange(-2, 70)), -1).reshape(-1, 2).astype(float)
    # float32, corners on a raster of 1/4 px: many pixel centres lie on edges or corners
    grid += rng.integers(-1, 2, grid.shape) / 4
    points = np.concatenate((grid, rng.uniform(900, 1000, (len(grid), 1))), 1)
    i = np.arange(71 * 72).reshape(71, 72)[:, :-1].ravel()
    triangles = np.concatenate((np.stack((i, i + 1, i + 73), -1), np.stack((i, i + 73, i + 72), -1)))
    faces = rasterize(torch.tensor(points[None], dtype=torch.float32), torch.from_numpy(triangles), 64).pix_to_face
    assert (faces >= 0).all()


def test_depth_and_attributes_of_a_tilted_plane_equal_ray_plane_intersections():
    size, normal, offset = 32, np.array([0.5, -0.3, 1.0]), 20.0
    xy = np.array([[-60, -60], [60, -60], [60, 60], [-60, 60]], float)
    plane = np.column_stack((xy, (offset - xy @ normal[:2]) / normal[2]))
    vertices, triangles = torch.from_numpy(plane)[None], torch.tensor([[0, 1, 2], [0, 2, 3]])
    fragments = rasterize(project(vertices, size), triangles, size)
    seen = interpolate(fragments, triangles, vertices)[0].numpy()
    u, v = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    ray = np.stack((u - size / 2, size / 2 - v, np.full_like(u, -focal_px(size))), -1)
    distance = (offset - normal[2] * 1000) / (ray @ normal)
    hit = np.array([0, 0, 1000]) + distance[..., None] * ray
    inside = fragments.pix_to_face[0].numpy() >= 0
    assert inside.sum() > 100
    assert_allclose(seen[inside], hit[inside], atol=1e-9)
    assert_allclose(fragments.depth[0].numpy()[inside], 1000 - hit[inside][:, 2], atol=1e-9)


def test_a_sphere_shows_the_disc_and_the_depths_of_its_closed_form():
    radius, size = 80.0, 112
    vertices, triangles = sphere(5, radius)
    fragments = rasterize(project(vertices[None], size), triangles, size, cull_backfaces=True)
    u, v = np.meshgrid(np.arange(size) + 0.5 - size / 2, size / 2 - np.arange(size) - 0.5)
    ray = np.stack((u, v, np.full_like(u, -focal_px(size))), -1) / focal_px(size)
    # |c + s ray|^2 = radius^2 with the camera at c = (0, 0, 1000)
    a, b, c = (ray**2).sum(-1), 1000 * ray[..., 2], 1000**2 - radius**2
    root = b**2 - a * c
    rim = focal_px(size) * radius / np.sqrt(1000**2 - radius**2)
    off_rim = np.abs(np.hypot(u, v) - rim) > 0.1
    assert_array_equal((fragments.pix_to_face[0].numpy() >= 0)[off_rim], (root > 0)[off_rim])
    middle = np.hypot(u, v) < 0.9 * rim
    depth = (-b - np.sqrt(np.maximum(root, 0))) / a
    assert_allclose(fragments.depth[0].numpy()[middle], depth[middle], atol=0.1)


def test_culling_keeps_only_triangles_that_face_the_camera():
    vertices, triangles = sphere(3)
    projected = project(vertices[None], 48)
    outside, inside = rasterize(projected, triangles, 48, True), rasterize(projected, triangles.flip(1), 48, True)
    assert torch.equal(rasterize(projected, triangles, 48).pix_to_face, outside.pix_to_face)
    seen = outside.pix_to_face >= 0
    assert torch.equal(seen, inside.pix_to_face >= 0)
    # turned inside out, the near half is gone and the far half shows
    assert (outside.depth[seen] < 1000).all()
    assert (inside.depth[seen] > 990).all()


@pytest.mark.parametrize(
    "corners",
    [
        [[0, 0, 900], [8, 0, 900], [0, 8, 900]],
        [[0, 0, 900], [8, 8, 900], [4, 4, 900]],
        [[3, 3, 900], [3, 3, 900], [3, 3, 900]],
        [[0, 0, -900], [8, 0, -900], [0, 8, -900]],
        [[0, 0, 900], [8, 0, 900], [0, 8, -900]],
        [[0, 0, 900], [8, 0, 900], [0, float("inf"), 900]],
        [[0, 0, 900], [8, 0, 900], [0, 8, float("nan")]],
        [[-9, 0, 900], [-1, 0, 900], [-9, 8, 900]],
        [[9, 0, 900], [18, 0, 900], [9, 8, 900]],
        [[0.6, 0.6, 900], [0.9, 0.6, 900], [0.6, 0.9, 900]],
    ],
    ids=["shown", "line", "point", "behind", "crossing", "inf", "nan", "left", "right", "between centres"],
)
def test_unusable_triangles_leave_background_and_finite_gradients(request, corners):
    projected = torch.tensor([corners], dtype=torch.float32, requires_grad=True)
    fragments = rasterize(projected, torch.tensor([[0, 1, 2]]), 8)
    (fragments.bary.sum() + fragments.depth.sum()).backward()
    assert bool((fragments.pix_to_face >= 0).any()) == ("shown" in request.node.name)
    assert projected.grad is None or torch.isfinite(projected.grad).all()


def test_thin_triangles_in_float32_never_give_nan():
    rng = np.random.default_rng(5)
    start, along = rng.integers(0, 64, (4000, 1, 2)) + 0.5, rng.normal(size=(4000, 1, 2)) * 40
    corners = start + along * rng.uniform(-1, 1, (4000, 3, 1)) + rng.normal(size=(4000, 3, 2)) * 1e-6
    points = np.concatenate((corners, rng.uniform(900, 1000, (4000, 3, 1))), -1).reshape(1, -1, 3)
    projected = torch.tensor(points, dtype=torch.float32, requires_grad=True)
    fragments = rasterize(projected, torch.arange(12000).view(-1, 3), 64)
    (fragments.bary.square().sum() + fragments.depth.sum()).backward()
    assert (fragments.pix_to_face >= 0).any()
    assert torch.isfinite(projected.grad).all()
    assert fragments.bary.min() > -0.02


def test_nothing_to_draw_is_background():
    for vertices, triangles in ((torch.zeros(2, 0, 3), []), (torch.zeros(0, 4, 3), [[0, 1, 2]])):
        triangles = torch.tensor(triangles, dtype=torch.int64).view(-1, 3)
        fragments = rasterize(vertices, triangles, (5, 6))
        assert fragments.pix_to_face.shape == (len(vertices), 5, 6)
        assert (fragments.pix_to_face == -1).all()
        assert interpolate(fragments, triangles, vertices).shape == (len(vertices), 5, 6, 3)


def test_interpolate_takes_any_attribute_and_zero_at_background():
    projected, triangles = soup(2, triangles=4)
    fragments = rasterize(projected, triangles, (37, 41))
    ones = interpolate(fragments, triangles, torch.ones(2, 12, 5, dtype=torch.float64))
    assert_allclose(ones, (fragments.pix_to_face >= 0)[..., None].expand(-1, -1, -1, 5), atol=1e-12)


def test_gradients_equal_finite_differences():
    projected, triangles = soup(3, triangles=5, batch=1, reach=(20, 20))
    attributes = torch.rand(1, 15, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def image(points, values):
        fragments = rasterize(points, triangles, 9)
        return interpolate(fragments, triangles, values), fragments.depth

    assert (rasterize(projected, triangles, 9).pix_to_face >= 0).sum() > 20
    assert torch.autograd.gradcheck(image, (projected.requires_grad_(), attributes.requires_grad_()), eps=1e-7)


def test_same_input_same_bits():
    projected, triangles = soup(4, triangles=300, batch=4)
    first, second = (rasterize(projected.float(), triangles, (37, 41)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("projected", "triangles", "size", "message"),
    [
        (torch.zeros(4, 3), torch.zeros(1, 3).long(), 8, r"\(B, V, 3\)"),
        (torch.zeros(1, 4, 3), torch.zeros(1, 4).long(), 8, r"\(F, 3\)"),
        (torch.zeros(1, 4, 3), torch.full((1, 3), 4), 8, "0 to 3, found 4 to 4"),
        (torch.zeros(1, 4, 3), torch.full((1, 3), -1), 8, "found -1"),
        (torch.zeros(1, 4, 3), torch.zeros(1, 3).long(), 0, "at least 1 x 1"),
    ],
)
def test_wrong_input_is_named(projected, triangles, size, message):
    with pytest.raises(DataError, match=message):
        rasterize(projected, triangles, size)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_cpu():
    vertices, triangles = sphere()
    points = project(vertices[None].float(), 96)
    cpu, gpu = rasterize(points, triangles, 96), rasterize(points.cuda(), triangles.cuda(), 96)
    same = cpu.pix_to_face == gpu.pix_to_face.cpu()
    assert same.float().mean() > 0.999
    assert_allclose(cpu.bary[same], gpu.bary.cpu()[same], atol=1e-4)


def two_spheres():
    """Vertices (2, V, 3) and triangles, no pixel's centre of a 96 px image on an edge: PyTorch3D leaves such out.

    Hence the shift, some tenths of a pixel, out of which the spheres' own symmetry would put centres there.
    """
    vertices, triangles = sphere()
    return vertices[None].float() + torch.tensor([[[12.6, -8.9, 30.0]], [[0.6, -1.9, 0.0]]]), triangles


def test_what_is_compared_with_pytorch3d_has_no_centre_on_an_edge():
    fragments = rasterize(project(two_spheres()[0], 96), two_spheres()[1], 96)
    covered = fragments.pix_to_face >= 0
    assert covered.float().mean() > 0.3
    assert fragments.bary[covered].min() > 5e-5  # single precision knows the side of every edge


@pytest.mark.skipif(importlib.util.find_spec("pytorch3d") is None, reason="PyTorch3D is not installed")
def test_pytorch3d_shows_the_same():
    vertices, triangles = two_spheres()
    ours, theirs = (render(vertices, triangles, vertices, 96, backend=backend) for backend in ("torch", "pytorch3d"))
    assert torch.equal(ours.fragments.pix_to_face, theirs.fragments.pix_to_face)
    assert_allclose(ours.image, theirs.image, atol=0.02)
    assert_allclose(ours.fragments.depth, theirs.fragments.depth, rtol=1e-4)


def grown(scale, shift):
    """A finely meshed sphere that fills much of the image, scaled and shifted in the image: its projection."""
    sphere = trimesh.creation.icosphere(4, 60.0)
    vertices = scale * torch.from_numpy(sphere.vertices)[None] + torch.cat((shift, shift.new_zeros(1)))
    return project(vertices, 64), torch.from_numpy(sphere.faces)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_silhouette_that_moves_covers_what_it_sweeps(axis):
    """Of a white disc: the area grows with the square of its size, and its first moment with the way that it goes."""
    scale, shift = torch.ones((), dtype=torch.double, requires_grad=True), torch.zeros(2, dtype=torch.double)
    shift.requires_grad_()
    projected, triangles = grown(scale, shift)
    fragments = rasterize(projected, triangles, 64, cull_backfaces=True)
    image = (fragments.pix_to_face >= 0)[:, None].double()
    soft = with_silhouette_gradient(image, fragments, projected, triangles)
    assert torch.equal(soft, image)
    area = float(image.sum())
    assert area > 500
    # the silhouette of a sphere so near is not its equator, but grows with it
    assert torch.autograd.grad(soft.sum(), scale, retain_graph=True)[0] == pytest.approx(2 * area, rel=0.06)
    along = torch.arange(64, dtype=torch.double) + 0.5
    moment = (soft[0, 0] * (along if axis == 0 else along[:, None])).sum()
    moved = torch.autograd.grad(moment, shift)[0]
    px_per_mm = focal_px(64) / CAMERA_DISTANCE_MM
    assert abs(float(moved[axis])) == pytest.approx(area * px_per_mm, rel=0.06)
    assert abs(float(moved[1 - axis])) < 0.02 * area * px_per_mm


@pytest.mark.parametrize("silhouette", [False, True])
def test_a_face_drawn_too_small_is_drawn_larger_where_its_silhouette_counts(silhouette):
    """The mask says that the face is larger; a parser that takes white for face then pulls at the silhouette alone."""
    scale = torch.ones((), dtype=torch.double, requires_grad=True)
    projected, triangles = grown(scale, torch.zeros(2, dtype=torch.double))
    larger, _ = grown(torch.tensor(1.1, dtype=torch.double), torch.zeros(2, dtype=torch.double))
    fragments, wanted = (rasterize(each, triangles, 64, cull_backfaces=True) for each in (projected, larger))
    cover = (fragments.pix_to_face >= 0)[:, None].double()
    image = cover.expand(-1, 3, -1, -1).contiguous().requires_grad_()
    shown = with_silhouette_gradient(image, fragments, projected, triangles) if silhouette else None
    masks = (wanted.pix_to_face >= 0)[:, None].long()
    prediction = Prediction(
        image[:, None], cover, *(torch.zeros(1),) * 2, None, None if shown is None else shown[:, None]
    )
    target = LossTarget(image.detach()[:, None], masks, masks, *(torch.zeros(1),) * 2)
    _, loss = rendered_losses(
        prediction, target, lambda seen: 4 * torch.cat((0.5 - seen, seen - 0.5), 1)[:, [0, 3]], uncovered=True
    )
    (pull,) = torch.autograd.grad(loss, scale, allow_unused=True)
    assert (pull < 0) if silhouette else pull is None


def test_without_a_background_the_silhouette_moves_nothing():
    projected = torch.tensor([[[-99.0, -99, 500], [200, -99, 500], [-99, 200, 500]]], requires_grad=True)
    triangles = torch.tensor([[0, 1, 2]])
    fragments = rasterize(projected, triangles, 16)
    assert (fragments.pix_to_face == 0).all()
    soft = with_silhouette_gradient(torch.ones(1, 3, 16, 16), fragments, projected, triangles)
    (gradient,) = torch.autograd.grad(soft.sum(), projected)
    assert not gradient.any()
