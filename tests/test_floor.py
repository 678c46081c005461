"""The floor: a scan made by the model is fitted to nothing, one that is not is fitted better than by the mean face."""

import logging

import numpy as np
import pytest
import torch
from analytic_face import MOTION, SEVEN, face, height
from numpy.testing import assert_allclose, assert_array_equal
from toy_manifest import scanned, write_manifest

from dfmvr.cli import main
from dfmvr.config.evaluation import ProtocolSection
from dfmvr.conventions import ALIGNMENT_IN_101, DROPPED_FROM_106
from dfmvr.face_model.model import MorphableModel
from dfmvr.geometry.meshes import read_landmarks, read_mesh
from dfmvr.geometry.surface import Surface
from dfmvr.mesh.scan import FaceScan, write_scan
from dfmvr.reconstruct import floor
from dfmvr.reconstruct.floor import reconstruct_floor
from dfmvr.reconstruct.scan_fit import ScanFitter
from dfmvr.register.crop import crop
from dfmvr.register.surface import register_surface
from dfmvr.score.distances import measure, summarise

PAPER = ProtocolSection()
GRID = 61
MOTION = MOTION._replace(scale=1.0)


def bumps(vertices, centres, width):
    """Smooth displacements (K, V, 3) mm, one standard deviation each, in the direction k mod 3."""
    distance = ((vertices[None, :, :2] - centres[:, None]) ** 2).sum(-1)
    basis = np.zeros((len(centres), len(vertices), 3))
    for k in range(len(centres)):
        basis[k, :, (2, 2, 0, 1)[k % 4]] = 5 * np.exp(-distance[k] / width**2)
    return basis


def two_meshes():
    """Vertices and triangles of the face, and triangles of a mesh of half as many points a side over the first."""
    vertices, triangles, _ = face(GRID)
    ids = np.arange(GRID * GRID).reshape(GRID, GRID)
    order = np.concatenate((ids[::2, ::2].ravel(), np.setdiff1d(ids, ids[::2, ::2])))
    return vertices[order], np.argsort(order)[triangles], face(GRID // 2 + 1)[1]


@pytest.fixture(scope="module")
def model():
    """A face model in closed form, with 12 + 4 components."""
    vertices, triangles, coarse = two_meshes()
    rng = np.random.default_rng(0)
    identity = bumps(vertices, rng.uniform(-70, 70, (12, 2)), 40)
    expression = bumps(vertices, rng.uniform(-40, 40, (4, 2)) - (0, 30), 25)
    seven = [int(np.argmin(((vertices[:, :2] - point) ** 2).sum(1))) for point in SEVEN]
    kept = np.linspace(3 * GRID, len(vertices) - 3 * GRID, 101).astype(int)
    kept[list(ALIGNMENT_IN_101)] = seven
    all_106 = np.zeros(106, int)
    all_106[np.setdiff1d(np.arange(106), DROPPED_FROM_106)] = kept
    albedo = np.full((len(vertices), 3), 0.6)
    return MorphableModel(
        {
            "mean": vertices - vertices.mean(0),
            "identity": identity,
            "expression": expression,
            "albedo_mean": albedo,
            "albedo": np.zeros((2, *albedo.shape)),
            "triangles": triangles,
            "coarse_triangles": coarse,
            "coarse_vertices": np.array(int(coarse.max()) + 1),
            "labels": np.ones(len(vertices), int),
            "regions": np.ones(len(vertices), int),
            "landmarks_68": np.zeros(68, int),
            "landmarks_106": all_106,
            "expression_names": np.array(list("abcd")),
            "name": np.array("analytic"),
        }
    )


def shape(model, coefficients):
    """Vertices (V, 3) of identity and expression coefficients in one array (16,)."""
    identity, expression = torch.from_numpy(coefficients[None].astype(np.float32)).split((12, 4), 1)
    return model.shape(identity, expression)[0].double().numpy()


def scan_of(model, coefficients, noise=0.0, seed=0):
    """A scan of the model's face between its vertices, with noise along the line of sight, moved by MOTION."""
    rng = np.random.default_rng(seed)
    vertices = shape(model, coefficients)
    corners = vertices[model.triangles.numpy()]
    weights = rng.dirichlet((1, 1, 1), (2, len(corners)))
    points = np.einsum("rfk,fki->rfi", weights, corners).reshape(-1, 3)
    points[:, 2] += rng.normal(size=len(points)) * noise
    return FaceScan(
        MOTION.apply(points),
        MOTION.apply(vertices[model.alignment.numpy()]),
        MOTION.apply(vertices[model.landmarks_101.numpy()]),
    )


def error(vertices, model, target):
    """RMS point-to-plane distance under the protocol `paper`, mm."""
    surface = Surface(vertices, model.triangles.numpy())
    found = register_surface(surface, vertices[model.alignment.numpy()], target, PAPER)
    return summarise(measure(surface, crop(target, PAPER), found)).rmse_mm


def test_a_model_without_a_coarser_mesh_is_fitted_too(model):
    arrays = model.arrays() | {"coarse_triangles": np.zeros((0, 3), int), "coarse_vertices": np.array(0)}
    alone = MorphableModel(arrays)
    target = scan_of(model, np.random.default_rng(6).normal(size=16), noise=0.1)
    one, two = ScanFitter(model).fit(target, PAPER), ScanFitter(alone).fit(target, PAPER)
    assert_allclose(one.vertices, two.vertices, atol=0.02)


@pytest.mark.parametrize("landmarks", [101, 7])
def test_a_face_of_the_model_is_fitted_exactly(model, landmarks):
    truth = np.random.default_rng(1).normal(size=16)
    target = scan_of(model, truth)
    fit = ScanFitter(model).fit(target if landmarks == 101 else target._replace(landmarks_101=None), PAPER)
    assert error(model.mean.double().numpy(), model, target) > 0.5
    assert error(fit.vertices, model, target) < 0.01
    assert_allclose(np.concatenate((fit.identity, fit.expression)), truth, atol=0.1)


def test_no_more_than_the_noise_is_left_over(model):
    truth = np.random.default_rng(2).normal(size=16)
    target = scan_of(model, truth, noise=0.2)
    fit = ScanFitter(model).fit(target, PAPER)
    best = error(shape(model, truth), model, target)
    freedom = np.sqrt(1 - (16 + 7) / len(crop(target, PAPER)))
    assert best * (1 - 2 * (1 - freedom)) < error(fit.vertices, model, target) < best


def test_no_coefficients_nearby_are_better(model):
    target = scan_of(model, np.random.default_rng(3).normal(size=16), noise=0.3)
    fit = ScanFitter(model).fit(target, PAPER)
    best = error(fit.vertices, model, target)
    basis = np.concatenate((model.identity_basis.numpy(), model.expression_basis.numpy()))
    for k in range(0, 16, 3):
        for step in (-0.1, 0.1):
            assert error(fit.vertices + step * basis[k], model, target) > best


def test_another_face_is_fitted_better_than_by_the_mean(model):
    x, y = model.mean[:, 0].numpy(), model.mean[:, 1].numpy()
    vertices = two_meshes()[0]
    other = vertices + np.column_stack([0 * x, 0 * y, height(1.1 * x, 0.95 * y) - height(x, y)])
    ids = model.landmarks_101.numpy()
    target = FaceScan(other, other[model.alignment.numpy()], other[ids])
    fit = ScanFitter(model).fit(target, PAPER)
    assert error(fit.vertices, model, target) < 0.6 * error(vertices, model, target)


def test_the_fit_is_deterministic_and_consistent(model):
    target = scan_of(model, np.random.default_rng(4).normal(size=16), noise=0.1)
    one, two = ScanFitter(model).fit(target, PAPER), ScanFitter(model).fit(target, PAPER)
    assert_array_equal(one.vertices, two.vertices)
    assert_allclose(shape(model, np.concatenate((one.identity, one.expression))), one.vertices, atol=1e-4)


def test_the_protocol_says_where_the_fit_is_close(model):
    target = scan_of(model, np.random.default_rng(7).normal(size=16))
    away = np.linalg.norm(target.vertices - target.landmarks[4], axis=1)
    lifted = target._replace(vertices=target.vertices + np.where(away > 45, 4.0, 0.0)[:, None] * MOTION.rotation[:, 2])
    near = [
        summarise(measure(Surface(fit.vertices, model.triangles.numpy()), target.vertices[away < 40], fit.registration))
        for fit in (ScanFitter(model).fit(lifted, ProtocolSection(crop_radius_mm=radius)) for radius in (40, 95))
    ]
    assert 3 * near[0].rmse_mm < near[1].rmse_mm


def test_the_command_fits_under_the_protocol_that_it_is_given(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(floor.MorphableModel, "load", lambda path: path)
    monkeypatch.setattr(floor, "reconstruct_floor", lambda *arguments: seen.append(arguments[3]))
    files = ["--manifest", "m.parquet", "--face-model", "f.npz", "--output", str(tmp_path)]
    given = ["--set", 'register.protocols.paper={"crop": "face_sphere", "crop_radius_mm": 80}']
    assert main(["reconstruct", "floor", *files, *given]) == 0
    assert seen == [ProtocolSection(crop="face_sphere", crop_radius_mm=80)]


def test_the_method_floor_writes_what_other_methods_write(model, tmp_path, caplog):
    target = scan_of(model, np.random.default_rng(5).normal(size=16))
    write_scan(tmp_path / "d" / "a.npz", target)
    samples = [scanned(tmp_path / "d", name, "p") for name in ("a", "b")]
    manifest = write_manifest(tmp_path / "manifest.parquet", samples)
    with caplog.at_level(logging.INFO):
        assert list(reconstruct_floor(model, manifest, tmp_path / "out", PAPER)) == ["b"]
    mesh = read_mesh(tmp_path / "out" / "meshes" / "a.ply")
    assert error(mesh.vertices, model, target) < 0.01
    assert_allclose(mesh.colours, 0.6, atol=1e-6)
    written = read_landmarks(tmp_path / "out" / "meshes" / "a.landmarks.csv")
    assert_allclose(written, mesh.vertices[model.alignment.numpy()], atol=1e-4)
    with np.load(tmp_path / "out" / "coefficients.npz") as arrays:
        shapes = {name: arrays[name].shape for name in arrays.files}
    expected = {"sample": (1,), "identity": (1, 12), "expression": (1, 4), "texture": (1, 2)}
    assert shapes == expected | {"lighting": (1, 3, 9, 3), "angles": (1, 3, 3), "translation": (1, 3, 3)}
