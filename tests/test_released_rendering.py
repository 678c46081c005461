"""What the authors' released code sees and starts from, each against the formulae of what it is built on."""

import numpy as np
import pytest
import torch
from authors_network import AuthorsFace
from numpy.testing import assert_allclose
from toy_model import toy_coefficients, toy_model
from toy_network import QUICK, sizes, toy_batch

from dfmvr.config.training import ReleasedSection, TrainSection
from dfmvr.face_model.views import render_views
from dfmvr.geometry.camera import project
from dfmvr.geometry.normals import vertex_normals
from dfmvr.losses import photo_loss
from dfmvr.networks.heads import ANGLE_UNIT_RAD, LIGHTING_UNIT, TRANSLATION_UNIT_MM
from dfmvr.released.losses import pooled_photo_loss
from dfmvr.released.rendering import edge_alpha, on_their_screen, unit_vertex_normals
from dfmvr.rendering.rasterizer import rasterize
from dfmvr.train.methods.released_code import ReleasedTraining


@pytest.fixture
def batch(tmp_path):
    return toy_batch(tmp_path)[1]


def unit(vector):
    return vector / np.linalg.norm(vector)


def test_unit_normals_do_not_weigh_triangles_by_their_area():
    """A fan of four triangles of other sizes about a vertex."""
    vertices = torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 4, 0], [-1, 0, 0], [0, -1, 0]], dtype=torch.float64)
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 1]])
    found = unit_vertex_normals(vertices[None], triangles)[0]
    faces = [unit(np.cross(*(vertices[t[1:]] - vertices[t[0]]).numpy())) for t in triangles.numpy()]
    assert_allclose(found[0], unit(sum(faces)), atol=1e-12)
    assert_allclose(found[2], unit(faces[0] + faces[1]), atol=1e-12)
    assert (found - vertex_normals(vertices[None], triangles)[0]).norm(dim=1).max() > 0.1


def test_unit_normals_have_finite_gradients_at_degenerate_triangles():
    vertices = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [1, 0, 0], [5, 5, 5]]], requires_grad=True)
    unit_vertex_normals(vertices, torch.tensor([[0, 1, 2]])).sum().backward()
    assert vertices.grad.isfinite().all()


def test_alpha_is_half_on_edges_and_grows_with_the_distance_from_them():
    """A triangle of which one edge is upright at x = 2.5, the other two far away."""
    projected = torch.tensor([[[2.5, -90.0, 500.0], [2.5, 90.0, 500.0], [200.0, 0.0, 500.0]]])
    triangles = torch.tensor([[0, 1, 2]])
    faces = rasterize(projected, triangles, 16).pix_to_face
    alpha = edge_alpha(projected, triangles, faces)[0]
    assert torch.equal(alpha > 0, faces[0] >= 0)
    distance = (np.arange(2, 16) + 0.5 - 2.5) * 2 / 16
    assert_allclose(alpha[8, 2:], 1 / (1 + np.exp(-(distance**2) / 1e-4)), rtol=1e-5)
    assert alpha[8, 2] == 0.5


def test_alpha_of_a_face_is_that_of_each_pixels_own_triangle():
    model = toy_model()
    views = render_views(model, toy_coefficients(1), 48)
    projected, faces = project(views.posed.flatten(0, 1), 48), views.fragments.pix_to_face
    alpha = edge_alpha(projected, model.triangles, faces)
    for view, row, column in np.argwhere(faces.numpy() >= 0)[::97]:
        corners = projected[view, model.triangles[faces[view, row, column]], :2].double().numpy()
        centre, distances = np.array([column + 0.5, row + 0.5]), []
        for start, end in zip(corners, np.roll(corners, -1, 0), strict=True):
            along = np.clip((centre - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
            distances.append(np.linalg.norm(centre - start - along * (end - start)) / 24)
        assert alpha[view, row, column].item() == pytest.approx(
            1 / (1 + np.exp(-(min(distances) ** 2) / 1e-4)), abs=1e-3
        )


def test_landmarks_are_where_their_screen_has_them():
    model = {"meanshape": np.random.default_rng(0).normal(0, 0.5, (68, 3))}
    model |= {name: np.zeros((1, 68, 3)) for name in ("idBase", "exBase")}
    answers = {"id": [[0.0]], "exp": [[0.0]], "rotate_ft": [[0.1, -0.3, 0.2]]}
    answers |= {"offset_xy_ft": [[0.1, 0.2]], "offset_z_ft": [[-9.1]]}
    x, y, z = AuthorsFace(model, {name: np.array(value) for name, value in answers.items()}).posed("ft").T
    theirs = np.stack((111.5 + 1010.5 * x / (1 - z), 111.5 - 1010.5 * y / (1 - z)), 1) + 0.5
    ours = project(torch.tensor(100 * np.stack((x, y, z + 9), 1)), 224)[:, :2]
    assert_allclose(on_their_screen(ours, 224), theirs, atol=5e-3)  # 1015 * 223 / 224 is 1010.469


def test_pooled_pixels_weigh_alike_whatever_their_sample():
    generator = torch.Generator().manual_seed(0)
    rendered, photo = torch.rand(2, 2, 3, 3, 8, 9, generator=generator)
    coverage, weights = torch.rand(2, 2, 3, 8, 9, generator=generator)
    coverage[0, :, 3:] = 0
    expected = []
    for view in range(3):
        distance = np.linalg.norm((rendered - photo)[:, view].numpy(), axis=1)
        weight = (coverage * weights)[:, view].numpy()
        expected.append((distance * weight).sum() / weight.sum())
    found = pooled_photo_loss(rendered, photo, coverage, weights)
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-5)
    assert found.item() != pytest.approx(photo_loss(rendered, photo, coverage, weights).item(), rel=1e-4)
    one = [values[:1] for values in (rendered, photo, coverage, weights)]
    assert pooled_photo_loss(*one).item() == pytest.approx(photo_loss(*one).item(), rel=1e-6)


@pytest.mark.parametrize("shared", [True, False])
def test_plain_heads_are_torchs_own_in_the_authors_units(shared):
    settings = TrainSection(network=QUICK, released=ReleasedSection(plain_heads=True, shared_lighting=shared))
    network = ReleasedTraining.make_network(settings, sizes())
    ReleasedTraining.start(network, settings)
    features = network.neck.out_features
    units = {"angles": ANGLE_UNIT_RAD, "lighting": LIGHTING_UNIT}
    units["translation"] = torch.tensor(TRANSLATION_UNIT_MM).repeat(3) / 100
    weights = []
    for name, head in network.heads.items():
        unit_of = units.get(name, 1.0)
        bias = head.bias * unit_of
        if name == "angles":
            bias = bias + network.mean_angles.flatten()  # unturned in all views
        elif name == "translation":
            bias = bias - torch.tensor([0.0, 0, 9]).repeat(3)  # 1 dm before the camera
        assert bias.abs().max() <= features**-0.5 + 1e-5
        weights.append((head.weight.T * unit_of).flatten())
    weights = torch.cat(weights) * features**0.5
    assert weights.abs().max() <= 1 + 1e-5
    assert weights.std().item() == pytest.approx(3**-0.5, rel=0.05)


CHANGED = {
    "unit_normals": {"photo"},
    "alpha_weight": {"photo"},
    "pooled_photo": {"photo"},
    "small_screen": {"landmark_2d"},
}


@pytest.mark.parametrize("switch", CHANGED)
def test_each_switch_changes_its_own_loss(batch, switch):
    losses = {}
    for value in (False, True):
        settings = TrainSection(network=QUICK, released=ReleasedSection(albedo=5.0, **{switch: value}))
        torch.manual_seed(0)
        network = ReleasedTraining.make_network(settings, sizes()).train()
        with torch.no_grad():
            network.heads["lighting"].bias[3:].fill_(0.4)  # a light from aside, so that normals matter
        losses[value] = ReleasedTraining(settings, network, toy_model(), None, 48).losses(batch)
    names = set(losses[True]._fields) - {"total"}
    changed = {
        name
        for name in names
        if not torch.equal(*(losses[v][losses[v]._fields.index(name)].nan_to_num() for v in losses))
    }
    assert changed == CHANGED[switch]
    assert losses[True].total.isfinite()
