import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from test_rasterizer import sphere

from dfmvr.colour import decode_srgb, encode_srgb
from dfmvr.errors import ConfigError, DataError, UnavailableError
from dfmvr.geometry.camera import pose
from dfmvr.geometry.normals import mesh_normals, vertex_normals
from dfmvr.geometry.rotation import euler_to_rotmat
from dfmvr.losses import lighting_loss
from dfmvr.released.lighting import REFERENCE_VIEW, share_lighting
from dfmvr.rendering.renderer import render
from dfmvr.rendering.shading import sh_basis, shade


def directions(seed, count=200):
    vectors = np.random.default_rng(seed).normal(size=(count, 3))
    return torch.from_numpy(vectors / np.linalg.norm(vectors, axis=1)[:, None])


def quadrature(heights=16, turns=32):
    """Directions and weights that integrate polynomials up to degree 31 over the sphere exactly."""
    z, weight = np.polynomial.legendre.leggauss(heights)
    angle = np.arange(turns) * 2 * np.pi / turns
    z, angle = (grid.ravel() for grid in np.meshgrid(z, angle, indexing="ij"))
    ring = np.sqrt(1 - z**2)
    nodes = np.stack((ring * np.cos(angle), ring * np.sin(angle), z), -1)
    return torch.from_numpy(nodes), np.repeat(weight, turns) * 2 * np.pi / turns


def test_sh_basis_is_the_published_formula():
    normals = directions(0)
    x, y, z = normals.numpy().T
    a0, a1, a2 = np.pi, 2 * np.pi / np.sqrt(3), 2 * np.pi / np.sqrt(8)
    c0, c1, c2 = 1 / np.sqrt(4 * np.pi), np.sqrt(3) / np.sqrt(4 * np.pi), 3 * np.sqrt(5) / np.sqrt(12 * np.pi)
    expected = [a0 * c0 + 0 * x, -a1 * c1 * y, a1 * c1 * z, -a1 * c1 * x, a2 * c2 * x * y, -a2 * c2 * y * z]
    expected += [a2 * c2 * (3 * z**2 - 1) / (2 * np.sqrt(3)), -a2 * c2 * x * z, a2 * c2 * (x**2 - y**2) / 2]
    assert_allclose(sh_basis(normals), np.stack(expected, -1), atol=1e-12)


def test_sh_basis_is_orthogonal_with_norms_a_k():
    nodes, weights = quadrature()
    basis = sh_basis(nodes).numpy()
    attenuation = np.pi * np.array([1] + [2 / np.sqrt(3)] * 3 + [2 / np.sqrt(8)] * 5)
    assert_allclose((basis * weights[:, None]).T @ basis, np.diag(attenuation**2), atol=1e-10)


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_sh_basis_transforms_alike_within_a_degree(degree):
    part = slice(degree**2, (degree + 1) ** 2)
    squares = sh_basis(directions(1))[:, part].square().sum(-1)
    assert_allclose(squares, squares[0].expand(200), rtol=1e-12)


def test_shade_is_albedo_times_the_sum_over_harmonics():
    rng = np.random.default_rng(2)
    albedo, lighting = (torch.from_numpy(rng.normal(size=size)) for size in ((2, 100, 3), (2, 9, 3)))
    normals = directions(3).view(2, 100, 3)
    basis, expected = sh_basis(normals), torch.zeros(2, 100, 3, dtype=torch.float64)
    for channel in range(3):
        for k in range(9):
            gamma = lighting[:, k, channel] + (0.8 if k == 0 else 0)
            expected[..., channel] += albedo[..., channel] * basis[..., k] * gamma[:, None]
    assert_allclose(shade(albedo, normals, lighting), expected, atol=1e-12)


def test_no_lighting_coefficients_light_evenly():
    colours = shade(torch.ones(1, 200, 3, dtype=torch.float64), directions(4)[None], torch.zeros(1, 9, 3).double())
    assert_allclose(colours, np.full((1, 200, 3), 0.8 * np.sqrt(np.pi) / 2), rtol=1e-12)


def released_colours(albedo, normals, lighting, angles):
    """Lit vertices (B, V, 3) of the released code: one lighting, the normals as the right view turns them."""
    turned = normals @ euler_to_rotmat(angles[:, REFERENCE_VIEW]).transpose(-1, -2)
    basis, ambient = sh_basis(turned), torch.zeros(9, 1, dtype=torch.float64)
    ambient[0] = 0.8
    return albedo * (basis @ (lighting + ambient))


def shared_colours(albedo, normals, lighting, angles):
    """Lit vertices (B, 3, V, 3) of each view, the one lighting told to it in its own frame."""
    turned = normals[:, None] @ euler_to_rotmat(angles).transpose(-1, -2)
    of_views = share_lighting(lighting, angles)
    return torch.stack([shade(albedo, turned[:, v], of_views[:, v]) for v in range(3)], 1)


def test_a_shared_lighting_lights_all_views_as_the_released_codes_right_normals_do():
    rng = np.random.default_rng(7)
    sizes = ((2, 100, 3), (2, 9, 3), (2, 3, 3))
    albedo, lighting, angles = (torch.from_numpy(rng.normal(size=size)).requires_grad_() for size in sizes)
    inputs = (albedo, directions(8).view(2, 100, 3), lighting, angles)
    expected, found = released_colours(*inputs), shared_colours(*inputs)
    assert_allclose(found.detach(), expected.detach()[:, None].expand_as(found), atol=1e-10)
    # The gradient too: all three views' colours move the right view's angles and no other's.
    weights = torch.from_numpy(rng.normal(size=found.shape))
    theirs, ours = (
        torch.autograd.grad((colours * weights).sum(), (albedo, lighting, angles))
        for colours in (expected[:, None].expand_as(found), found)
    )
    for one, other in zip(theirs, ours, strict=True):
        assert_allclose(one, other, atol=1e-9)
    assert theirs[2][:, REFERENCE_VIEW].abs().min() > 0
    assert not theirs[2][:, :REFERENCE_VIEW].any()


def test_a_light_of_each_view_is_another_thing():
    rng = np.random.default_rng(9)
    albedo, lighting, angles = (torch.from_numpy(rng.normal(size=size)) for size in ((1, 100, 3), (1, 9, 3), (1, 3, 3)))
    normals = directions(10, 100).view(1, 100, 3)
    turned = normals[:, None] @ euler_to_rotmat(angles).transpose(-1, -2)
    apart = [shade(albedo, turned[:, v], lighting) for v in range(3)]  # fixed to the camera
    expected = released_colours(albedo, normals, lighting, angles)
    assert_allclose(apart[REFERENCE_VIEW], expected, atol=1e-12)
    assert all((apart[v] - expected).abs().max() > 0.5 for v in (0, 1))


def test_a_shared_lighting_is_as_grey_in_every_frame():
    rng = np.random.default_rng(11)
    lighting, angles = torch.from_numpy(rng.normal(size=(4, 9, 3))), torch.from_numpy(rng.normal(size=(4, 3, 3)))
    assert lighting_loss(share_lighting(lighting, angles)).item() == pytest.approx(lighting_loss(lighting).item())


def test_vertex_normals_of_a_sphere_point_outside():
    vertices, triangles = sphere()
    normals = vertex_normals(torch.stack((vertices, 2 * vertices + 5)), triangles)
    assert_allclose(normals.norm(dim=-1), np.ones(normals.shape[:2]), rtol=1e-12)
    assert_allclose(normals, (vertices / 80).expand(2, -1, -1), atol=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normals_of_arrays_are_those_of_tensors_to_the_last_bit(dtype):
    vertices, triangles = sphere()
    vertices = (vertices * torch.rand(vertices.shape, generator=torch.Generator().manual_seed(3))).to(dtype)
    found = mesh_normals(vertices.numpy(), triangles.numpy())
    assert found.dtype == vertices.numpy().dtype
    assert_array_equal(found, vertex_normals(vertices[None], triangles)[0])


def test_vertex_normals_of_lone_vertices_are_zero_with_finite_gradient():
    vertices = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5]]], requires_grad=True)
    normals = vertex_normals(vertices, torch.tensor([[0, 1, 2], [1, 1, 2]]))
    normals.square().sum().backward()
    assert normals[0, :, 2].tolist() == [1, 1, 1, 0]
    assert torch.isfinite(vertices.grad).all()


def test_gradients_of_shading_equal_finite_differences():
    rng = np.random.default_rng(5)
    vertices, triangles = sphere(1)
    points = vertices + torch.from_numpy(rng.normal(size=(2, *vertices.shape)))
    albedo, lighting = (torch.from_numpy(rng.uniform(size=(2, count, 3))) for count in (len(vertices), 9))
    inputs = [value.requires_grad_() for value in (points, albedo, lighting)]
    assert torch.autograd.gradcheck(lambda p, a, g: shade(a, vertex_normals(p, triangles), g), inputs)


def test_gradients_of_images_equal_finite_differences():
    rng = np.random.default_rng(6)
    vertices, triangles = sphere(1)
    angles, lighting = (torch.from_numpy(rng.normal(size=size) * 0.3) for size in ((2, 3), (2, 9, 3)))
    translation = torch.from_numpy(rng.normal(size=(2, 3)) * 5)
    albedo = torch.from_numpy(rng.uniform(size=(2, len(vertices), 3)))

    def image(points, albedo, lighting, angles, translation):
        posed = pose(points.expand(2, -1, -1), angles, translation)
        return render(posed, triangles, shade(albedo, vertex_normals(posed, triangles), lighting), 9).image

    inputs = [value.requires_grad_() for value in (vertices, albedo, lighting, angles, translation)]
    assert (image(*inputs) != 0).sum() > 30
    assert torch.autograd.gradcheck(image, inputs, eps=1e-7, fast_mode=True)


def test_render_shows_colours_on_black():
    vertices, triangles = sphere()
    posed = (vertices + torch.tensor([20.0, 10, 0]))[None].expand(2, -1, -1)
    colour = torch.tensor([[0.2, 0.4, 0.6], [0.9, 0.1, 0.5]], dtype=torch.float64)
    image, alpha, fragments = render(posed, triangles, colour[:, None].expand(posed.shape), 64)
    assert_allclose(image, colour[:, :, None, None] * alpha, atol=1e-12)
    assert torch.equal(alpha[:, 0] > 0, fragments.pix_to_face >= 0)
    rows, columns = (alpha[0, 0].double().nonzero().double().mean(0) + 0.5).tolist()
    # 20 mm to the right and 10 mm up, at 1 px a mm for 224 px
    assert_allclose((columns, rows), (32 + 20 * 1015 / 1000 * 64 / 224, 32 - 10 * 1015 / 1000 * 64 / 224), atol=0.2)


def test_a_camera_that_sees_nothing_gives_black_and_zero_gradients():
    vertices, triangles = sphere(2)
    points = (vertices[None] + torch.tensor([0, 0, 2000.0])).requires_grad_()
    image, alpha, _ = render(points, triangles, torch.ones_like(points), 16)
    image.sum().backward()
    assert not image.any()
    assert not alpha.any()
    assert not points.grad.any()


def test_render_names_what_is_wrong():
    vertices, triangles = sphere(1)
    with pytest.raises(ConfigError, match="torch, pytorch3d"):
        render(vertices[None], triangles, vertices[None], 8, backend="nvdiffrast")
    with pytest.raises(DataError, match="colours"):
        render(vertices[None], triangles, vertices[None, :5], 8)


def test_a_missing_pytorch3d_is_reported_with_its_remedy(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pytorch3d", None)
    monkeypatch.setitem(__import__("sys").modules, "pytorch3d.renderer.mesh", None)
    vertices, triangles = sphere(1)
    with pytest.raises(UnavailableError, match="conda-forge"):
        render(vertices[None], triangles, vertices[None], 8, backend="pytorch3d")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_srgb_curve_is_the_standards(dtype):
    found = encode_srgb(np.array([0, 0.0031308, 0.214041, 1], dtype))
    assert found.dtype == dtype
    assert_allclose(found, [0, 0.04045, 0.5, 1], atol=1e-4)
    values = np.linspace(0, 1, 50, dtype=dtype)
    assert_allclose(decode_srgb(encode_srgb(values)), values, atol=1e-6)
