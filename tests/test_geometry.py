import itertools

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from dfmvr.geometry.adjacency import neighbours
from dfmvr.geometry.camera import focal_px, pose, project
from dfmvr.geometry.resampling import sample
from dfmvr.geometry.rotation import euler_to_rotmat
from dfmvr.geometry.similarity import fit_similarity
from dfmvr.geometry.vectors import dot, length, unit


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def normal(rng, *size):
    return torch.from_numpy(rng.normal(size=size))


def test_project_by_hand():
    # 100 mm right, 50 mm up, 200 mm toward the camera: 800 mm away, magnified 1015 / 800 px a mm at 224 px
    points = torch.tensor([[0.0, 0, 0], [100, 50, 200]], dtype=torch.float64)
    expected = [[112, 112, 1000], [112 + 126.875, 112 - 63.4375, 800]]
    assert_allclose(project(points, 224), expected, rtol=1e-12)


def test_project_scales_with_the_image(rng):
    points = normal(rng, 4, 10, 3) * 50
    small, large = project(points, 96), project(points, 224)
    assert_allclose(small[..., :2] * 224 / 96, large[..., :2], rtol=1e-12)
    assert_allclose(focal_px(96), 435)


def test_pose_turns_then_moves(rng):
    points, angles, translation = normal(rng, 2, 5, 3), normal(rng, 2, 3), normal(rng, 2, 3)
    for i in range(2):
        turned = Rotation.from_euler("xyz", angles[i].numpy()).apply(points[i].numpy())
        assert_allclose(pose(points, angles, translation)[i], turned + translation[i].numpy(), atol=1e-12)


def test_a_positive_y_angle_turns_the_nose_to_the_right_of_the_image():
    nose = pose(torch.tensor([[0.0, 0, 100]]), torch.tensor([0.0, 0.5, 0]), torch.zeros(3))
    assert project(nose, 224)[0, 0] > 112


def test_rotation_order_is_scipys_extrinsic_xyz(rng):
    angles = rng.uniform(-np.pi, np.pi, (50, 3))
    expected = Rotation.from_euler("xyz", angles).as_matrix()
    assert_allclose(euler_to_rotmat(torch.from_numpy(angles)), expected, atol=1e-12)


def test_rotation_gradients_equal_finite_differences(rng):
    assert torch.autograd.gradcheck(euler_to_rotmat, normal(rng, 4, 3).requires_grad_())


@pytest.mark.parametrize("with_scale", [True, False])
def test_similarity_recovers_the_map(rng, with_scale):
    source, rotation = normal(rng, 6, 7, 3) * 40, euler_to_rotmat(normal(rng, 6, 3))
    scale = torch.from_numpy(rng.uniform(0.5, 2, 6)) if with_scale else torch.ones(6, dtype=torch.float64)
    translation = normal(rng, 6, 3) * 100
    target = scale[:, None, None] * source @ rotation.transpose(1, 2) + translation[:, None]
    found = fit_similarity(source, target, with_scale)
    for value, expected in zip(found, (scale, rotation, translation), strict=True):
        assert_allclose(value, expected, atol=1e-9)
    assert_allclose(found.apply(source), target, atol=1e-9)


@pytest.mark.parametrize("noise", [0, 0.1])
def test_similarity_never_reflects(rng, noise):
    source = normal(rng, 20, 9, 3)
    target = source * torch.tensor([1, 1, -1]) + noise * normal(rng, 20, 9, 3)
    assert_allclose(torch.linalg.det(fit_similarity(source, target).rotation), np.ones(20), rtol=1e-9)


@pytest.mark.parametrize("with_scale", [True, False])
@pytest.mark.parametrize("mirrored", [1, -1])
def test_similarity_of_arrays_is_that_of_tensors(rng, with_scale, mirrored):
    source, noise = rng.normal(size=(2, 5, 7, 3)) * 40
    target = source * [1, 1, mirrored] + 0.1 * noise
    found = fit_similarity(source, target, with_scale)
    expected = fit_similarity(torch.from_numpy(source), torch.from_numpy(target), with_scale)
    for ours, theirs in zip(found, expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    one = fit_similarity(source[0], target[0], with_scale)
    assert_allclose(one.apply(source[0]), expected.apply(torch.from_numpy(source))[0], atol=1e-9)


def test_similarity_of_points_in_a_plane_is_a_rotation(rng):
    source = normal(rng, 8, 3) * torch.tensor([1, 1, 0])
    rotation = euler_to_rotmat(torch.tensor([0.4, -2.0, 1.0], dtype=torch.float64))
    assert_allclose(fit_similarity(source, source @ rotation.T).rotation, rotation, atol=1e-9)


def test_similarity_is_the_least_squares_optimum(rng):
    source, target = normal(rng, 30, 3), normal(rng, 30, 3)
    best = fit_similarity(source, target)

    def cost(scale, angles, translation):
        turned = source @ (euler_to_rotmat(angles) @ best.rotation).T
        return (scale * turned + translation - target).square().sum()

    parameters = (best.scale, torch.zeros(3, dtype=torch.float64), best.translation)
    gradients = torch.autograd.functional.jacobian(cost, parameters)
    assert all(gradient.abs().max() < 1e-9 for gradient in gradients)
    for _ in range(200):
        step = [value + 0.05 * torch.from_numpy(rng.normal(size=tuple(value.shape))) for value in parameters]
        assert cost(*step) > cost(*parameters)


@pytest.mark.parametrize("with_scale", [True, False])
def test_similarity_gradients_equal_finite_differences(rng, with_scale):
    inputs = normal(rng, 2, 5, 3).requires_grad_(), normal(rng, 2, 5, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: tuple(fit_similarity(a, b, with_scale)), inputs)


def test_similarity_gradients_of_points_as_wide_as_high_equal_finite_differences():
    # a regular octahedron: all singular values are equal, where the gradient of an SVD does not exist
    source = torch.cat((torch.eye(3), -torch.eye(3))).double().requires_grad_()
    target = (source @ euler_to_rotmat(torch.tensor([0.3, -0.5, 0.9]).double()).T).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: tuple(fit_similarity(a, b)), (source, target))


def test_similarity_gradients_of_mirrored_points_equal_finite_differences(rng):
    source = (normal(rng, 6, 3) * torch.tensor([3, 2, 1])).requires_grad_()
    target = (source * torch.tensor([1, 1, -1]) + 0.1 * normal(rng, 6, 3)).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: tuple(fit_similarity(a, b)), (source, target))


@pytest.mark.parametrize("shape", [(3,), (5, 3), (4, 5, 3)])
def test_vectors_of_any_number(rng, shape):
    a, b = rng.normal(size=shape), rng.normal(size=shape)
    assert_allclose(dot(a, b), (a * b).sum(-1), rtol=1e-12, atol=1e-12)
    assert_allclose(length(a), np.linalg.norm(a, axis=-1), rtol=1e-12)
    assert_allclose(unit(a) * np.linalg.norm(a, axis=-1)[..., None], a, rtol=1e-12)


def test_unit_of_zero_is_zero_and_keeps_the_precision():
    found = unit(np.array([[0, 0, 0], [0, 3, -4]], np.float32))
    assert found.dtype == np.float32
    assert_allclose(found, [[0, 0, 0], [0, 0.6, -0.8]], rtol=1e-7)


@pytest.mark.parametrize("count", [0, 1, 40_000])
def test_a_ramp_is_sampled_at_continuous_pixels(count):
    y, x = np.mgrid[0:40, 0:50].astype(np.float32) + 0.5
    ramp = np.stack((x, y), -1)
    places = np.random.default_rng(0).uniform((-20, -20), (70, 60), (count, 2))
    inside = np.clip(places, 0.5, (49.5, 39.5))  # beyond the centres of the last pixels nothing changes any more
    assert_allclose(sample(ramp, places), inside, atol=1 / 32)  # OpenCV's steps


def test_neighbours_are_joined_by_an_edge():
    triangles = np.array([[0, 1, 2], [1, 3, 2], [5, 6, 7]])  # vertex 4 is of none, 5 to 7 are a part of their own
    naive = np.zeros((8, 8), np.float32)
    for triangle in triangles:
        for one, other in itertools.permutations(triangle, 2):
            naive[one, other] = 1
    assert_array_equal(neighbours(triangles, 8).toarray(), naive)
