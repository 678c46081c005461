"""The fit of a face to its photographs: derivatives, the flow between photographs, and the way back to a known face."""

import copy
import dataclasses
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from analytic_face import grid
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation
from toy_model import toy_coefficients, toy_model

from dfmvr.align.dense import shipped_dense
from dfmvr.assets.files import asset
from dfmvr.assets.shipped import SHIPPED
from dfmvr.conventions import CAMERA_DISTANCE_MM, VIEWS
from dfmvr.face_model.coefficients import mean_faces
from dfmvr.face_model.packed import read_model
from dfmvr.face_model.views import render_views
from dfmvr.geometry.adjacency import neighbours
from dfmvr.geometry.camera import focal_px
from dfmvr.geometry.subdivision import subdivide
from dfmvr.reconstruct.fit.agreement import Agreement, Asked, add_agreement, find_agreement
from dfmvr.reconstruct.fit.displacement import BEND, DISPLACED_MM, Displacer, bending, on_fine_mesh
from dfmvr.reconstruct.fit.equations import POSE, NormalEquations, left_of
from dfmvr.reconstruct.fit.fitter import PAIRS, REST_MM, FaceFitter, pairs_of
from dfmvr.reconstruct.fit.pictures import evened, picture_of, sample
from dfmvr.reconstruct.fit.seeing import FacePose, Seen
from dfmvr.reconstruct.fit.shapes import FitShapes
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction, SeenView

SIZE = 224


@pytest.fixture(scope="module")
def known():
    """A toy face, and the reconstruction that is right: three photographs that show exactly that."""
    model, truth = toy_model(60), toy_coefficients(1)
    spots = torch.randn(model.albedo_mean.shape[0], 1, generator=torch.Generator().manual_seed(0))
    model.albedo_mean += 0.08 * spots  # skin has details, by which photographs can be compared
    views = render_views(model, truth, SIZE)
    images = (views.image[0].clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    same = np.eye(2, 3)
    seen = tuple(
        SeenView(
            name,
            images[k],
            views.landmarks[0, k].double().numpy(),
            same,
            images[k],
            mask=views.alpha[0, k].byte().numpy(),
        )
        for k, name in enumerate(VIEWS)
    )
    return Reconstruction(model, truth, seen)


def seen_by(face, step=None, coefficients=None):
    """How the cameras see a face, one of them moved by a step."""
    shapes = FitShapes(face.model)
    if coefficients is None:
        coefficients = torch.cat(face.coefficients[:2], 1)[0].double().numpy()
    vertices = shapes.vertices(coefficients)
    poses = [FacePose.of(face.camera(view)) for view in face.views]
    if step is not None:
        poses[0] = poses[0].moved(step)
    pictures = [picture_of(view, SIZE) for view in face.views]
    return [Seen(shapes, vertices, *pair) for pair in zip(poses, pictures, strict=True)], pictures


def test_places_are_those_of_the_photographs_camera(known):
    for one, view in zip(seen_by(known)[0], known.views, strict=True):
        assert_allclose(one.pixels, known.project(view)[:, :2], atol=1e-3)


def test_derivatives_are_those_of_finite_differences(known):
    points = np.array([7, 900, 1800])
    one = seen_by(known)[0][0]
    of_shape, of_pose = one.derivative(points[:, None], np.ones((3, 1)))
    for number, by in enumerate(np.eye(POSE) * 1e-4):
        plus, minus = (seen_by(known, sign * by)[0][0].pixels[points] for sign in (1, -1))
        assert_allclose(of_pose[:, :, number], (plus - minus) / 2e-4, rtol=1e-3, atol=1e-3)
    start = torch.cat(known.coefficients[:2], 1)[0].double().numpy()
    for number, by in enumerate(np.eye(len(start)) * 0.25):  # linear but for perspective
        plus, minus = (seen_by(known, None, start + sign * by)[0][0].pixels[points] for sign in (1, -1))
        assert_allclose(of_shape[:, :, number], (plus - minus) / 0.5, rtol=1e-2, atol=5e-3)


def test_a_point_made_of_corners_moves_as_they_do(known):
    one = seen_by(known)[0][0]
    corners, shares = np.array([[10, 11, 12]]), np.array([[0.2, 0.3, 0.5]])
    found = one.derivative(corners, shares)
    for name in found._fields:
        parts = [
            share * getattr(one.derivative(np.array([[c]]), np.ones((1, 1))), name)
            for c, share in zip(*corners, *shares, strict=True)
        ]
        assert_allclose(getattr(found, name), sum(parts), rtol=1e-5, atol=1e-6)


def test_hidden_vertices_are_not_shown(known):
    left = seen_by(known)[0][VIEWS.index("left")]
    naive = np.zeros(left.shapes.drawn, bool)
    corners = left.pixels[left.shapes.triangles.numpy()]
    facing = left.cosine > 0
    for vertex, (x, y) in enumerate(left.pixels[: left.shapes.drawn]):
        inside = (
            (corners[..., 0].min(1) < x)
            & (corners[..., 0].max(1) > x)
            & (corners[..., 1].min(1) < y)
            & (corners[..., 1].max(1) > y)
        )
        naive[vertex] = inside.any() and facing[vertex]
    assert (left.shown > 0.5)[~facing & ~naive].mean() < 0.2
    assert (left.shown > 0.5)[left.cosine > 0.5].mean() > 0.9


def test_light_and_exposure_drop_out():
    rng = np.random.default_rng(0)
    crop = cv2.GaussianBlur(rng.uniform(0, 255, (120, 120, 3)).astype(np.float32), (0, 0), 1.0)
    light = np.linspace(0.5, 1.0, 120)[None, :, None]
    bright, dim = (evened((crop * gain).astype(np.uint8)).astype(float) for gain in (1.0, 0.6 * light))
    assert np.corrcoef(bright.ravel(), dim.ravel())[0, 1] > 0.98


def test_samples_are_interpolated_between_centres():
    picture = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert_allclose(sample(picture, np.array([[0.5, 0.5], [1.0, 0.5], [3.5, 2.5], [2.5, 2.0]])), [0, 0.5, 11, 8])


def test_photographs_of_the_true_face_agree(known):
    seen, pictures = seen_by(known)
    found = find_agreement(seen[1], seen[0], (pictures[1], pictures[0]))
    off = np.linalg.norm(found.target - seen[0].pixels[found.points], axis=1)
    assert np.median(off) < 0.5
    start = torch.cat(known.coefficients[:2], 1)[0].double().numpy()
    wrong, _ = seen_by(known, None, start + np.eye(len(start))[0])
    moved = find_agreement(wrong[1], wrong[0], (pictures[1], pictures[0]))
    assert np.median(np.linalg.norm(moved.target - wrong[0].pixels[moved.points], axis=1)) > 2 * np.median(off)


def test_agreement_leads_toward_the_true_pose(known):
    """A camera turned by a known angle is turned back by the flow alone."""
    step = np.array([0, 0.02, 0, 0, 0, 0, 0])
    seen, pictures = seen_by(known, step)
    equations = NormalEquations(known.model.identity_size, known.model.expression_size, 3)
    for first, second in ((1, 0), (0, 1)):
        found = find_agreement(seen[first], seen[second], (pictures[first], pictures[second]))
        add_agreement(equations, found, (seen[first], seen[second]), (first, second))
    holds = [(equations.identity, 1e9), (equations.expression(0), 1e9)]
    holds += [(equations.pose(place), hold) for place, hold in enumerate((1e-3, 1e9, 1e9))]
    for place, hold in holds:
        size = place.stop - place.start
        equations.add_prior(place, np.eye(size) * hold, np.zeros(size))
    *_, moves = equations.parts(equations.solve())
    assert_allclose(moves[0][:3], -step[:3], atol=0.006)


def off_by(face, rng, sigma=0.5):
    """The face as a network answers it: near the truth."""
    truth = face.coefficients
    noise = torch.randn(truth.identity.shape, generator=torch.Generator().manual_seed(rng))
    return dataclasses.replace(
        face, coefficients=truth._replace(identity=truth.identity + sigma * noise, angles=truth.angles + 0.01)
    )


def test_the_fit_finds_back_to_the_face_of_the_photographs(known):
    off = off_by(known, 0)
    found = FaceFitter(known.model).fit(off)
    before, after = (np.abs(one.vertices - known.vertices).mean() for one in (off, found))
    assert after < 0.6 * before
    for view, again in zip(known.views, found.views, strict=True):
        miss = np.linalg.norm(found.project(again)[:, :2] - known.project(view)[:, :2], axis=1)
        assert np.median(miss) < 1.5


def test_the_fit_shows_the_colours_of_the_photographs(known):
    grey = dataclasses.replace(
        known,
        coefficients=known.coefficients._replace(
            texture=0 * known.coefficients.texture, lighting=0 * known.coefficients.lighting
        ),
    )
    found = FaceFitter(known.model).fit(grey)

    def differs(face):
        shown = render_views(face.model, face.coefficients, SIZE)
        inside = shown.alpha[0] > 0
        photos = torch.from_numpy(np.stack([view.photo for view in known.views])).float() / 255
        return float((shown.image[0].permute(0, 2, 3, 1) - photos)[inside].abs().mean())

    assert differs(found) < 0.4 * differs(grey)


def test_each_photograph_may_have_its_own_expression(known):
    """The front photograph shows another expression than the sides; one for all can follow neither."""
    truth = known.coefficients
    other = truth.expression + torch.tensor([[2.0, -2.0] + [0.0] * (truth.expression.shape[1] - 2)])
    shown = render_views(known.model, truth._replace(expression=other), SIZE)
    image = (shown.image[0, 1].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    points = shown.landmarks[0, 1].double().numpy()
    left, _, right = known.views
    views = (left, known.views[1]._replace(photo=image, crop=image, landmarks=points), right)
    mixed = dataclasses.replace(off_by(known, 4), views=views)
    smiling = dataclasses.replace(known, coefficients=truth._replace(expression=other))
    own, one = (FaceFitter(known.model).fit(mixed, same_expression=same) for same in (False, True))
    misses = [np.abs(face.vertices - smiling.vertices).mean() for face in (own, one)]
    assert misses[0] < 0.8 * misses[1]
    still = own.vertices_in(own.views[0])
    assert np.abs(still - known.vertices).mean() < np.abs(still - smiling.vertices).mean()
    assert_allclose(own.as_in(own.views[0]).vertices, still)
    assert_allclose(own.vertices, own.vertices_in(own.views[1]), atol=1e-4)
    assert all(view.expression is None for view in one.views)


def test_a_photograph_of_another_person_is_noticed(known):
    model, truth = known.model, known.coefficients
    someone = copy.copy(model)
    someone.albedo_mean = model.albedo_mean.flip(0)  # with moles in other places
    shown = render_views(someone, truth._replace(identity=-truth.identity), SIZE)
    image = (shown.image[0, 0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    points = shown.landmarks[0, 0].double().numpy()
    another = known.views[0]._replace(photo=image, crop=image, landmarks=points, label="a.jpg")
    fitter = FaceFitter(model)
    assert fitter.fit(known).notes == ()
    found = fitter.fit(dataclasses.replace(known, views=(another, *known.views[1:])))
    assert found.notes == ("a.jpg: agrees with no other photograph; is it of another person?",)


def test_a_known_focal_length_tells_the_distance(known):
    """Landmarks as a camera of half the focal length sees them from half as far."""
    landmarks, half = known.model.landmarks_68.numpy(), CAMERA_DISTANCE_MM / 2
    translation = known.coefficients.translation.clone()
    translation[..., 2] += half
    near = dataclasses.replace(known, coefficients=known.coefficients._replace(translation=translation))
    near = dataclasses.replace(near, views=tuple(view._replace(zoom=0.5) for view in near.views))
    seen = [near.project(view)[landmarks, :2] for view in near.views]
    asked = tuple(view._replace(landmarks=points) for view, points in zip(known.views, seen, strict=True))
    told = tuple(view._replace(focal_px=focal_px(SIZE) / 2) for view in asked)
    fitter = FaceFitter(known.model, {"landmarks"})
    guessed, found = (fitter.fit(dataclasses.replace(known, views=views)) for views in (asked, told))
    for view in found.views:
        assert view.zoom == pytest.approx(0.5, rel=0.02)
        assert np.linalg.norm(found.camera(view).position) == pytest.approx(half, rel=0.05)
    assert np.abs(found.vertices - known.vertices).mean() < 0.7 * np.abs(guessed.vertices - known.vertices).mean()


def test_pairs_are_those_that_tell_most():
    turned = [
        FacePose(Rotation.from_euler("y", yaw, degrees=True).as_matrix(), np.zeros(3)) for yaw in range(0, 100, 10)
    ]
    pairs = pairs_of(turned)
    assert len(pairs) == PAIRS * len(turned)
    for first, second in pairs:
        others = {k for one, k in pairs if one == first}
        passed_over = set(range(len(turned))) - others - {first}
        assert abs(10 * abs(first - second) - 30) <= min(abs(10 * abs(first - k) - 30) for k in passed_over)
    assert sorted(pairs_of(turned[:3])) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    assert pairs_of([turned[0], turned[0]]) == []  # no turn, nothing to tell


def test_the_fit_keeps_to_its_time(known):
    off = off_by(known, 1)
    found = FaceFitter(known.model).fit(off, seconds=0.0)
    assert torch.equal(found.coefficients.identity, off.coefficients.identity)


def test_one_photograph_is_fitted_by_its_landmarks(known):
    alone = dataclasses.replace(off_by(known, 2), views=known.views[1:2])
    found = FaceFitter(known.model).fit(alone)
    landmarks = known.model.landmarks_68.numpy()
    miss = [
        np.linalg.norm((f.project(f.views[0])[:, :2] - known.project(known.views[1])[:, :2])[landmarks], axis=1).mean()
        for f in (alone, found)
    ]
    assert miss[1] < 0.6 * miss[0]
    others = [place for place in range(3) if place != found.views[0].place]
    assert torch.equal(found.coefficients.angles[:, others], alone.coefficients.angles[:, others])


def test_steps_end_where_the_face_rests(known, monkeypatch):
    """Nothing but the prior: the first step of each size stays at the network's answer."""
    moved = []
    taken = FaceFitter._step

    def counted(*args):
        state = taken(*args)
        moved.append(state.moved)
        return state

    monkeypatch.setattr(FaceFitter, "_step", counted)
    FaceFitter(known.model, ()).fit(off_by(known, 5))
    assert len(moved) == 2
    assert max(moved) < REST_MM


def test_a_face_that_the_model_lacks_is_displaced(known):
    """A cheek that no coefficients have: the model that draws the photographs has another mean."""
    x, y, _ = known.model.mean.T
    bump = 4.0 * torch.exp(-((x - 30) ** 2 + (y + 5) ** 2) / (2 * 10.0**2))
    truth = copy.deepcopy(known.model)
    truth.mean = known.model.mean + bump[:, None] * torch.tensor([0.0, 0.0, 1.0])
    shown = render_views(truth, known.coefficients, SIZE)
    images = [(one.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy() for one in shown.image[0]]
    views = tuple(view._replace(photo=one, crop=one) for view, one in zip(known.views, images, strict=True))
    face, fitter = dataclasses.replace(known, views=views), FaceFitter(known.model)
    found, within = fitter.fit(face), fitter.fit(face, within_model=True)
    assert within.displacement is None
    wanted = dataclasses.replace(known, model=truth).vertices[:, 2]
    of_cheek = (bump > 1).numpy()
    missed = [np.abs((one.vertices[:, 2] - wanted)[of_cheek]).mean() for one in (found, within, known)]
    assert missed[0] < 0.8 * missed[1] < missed[2]
    assert_allclose(found.neutral().displacement, found.displacement)
    away = np.linalg.norm(found.vertices - dataclasses.replace(found, displacement=None).vertices, axis=1)
    assert_allclose(away, np.abs(found.displacement), atol=1e-6)


def test_a_plane_does_not_bend():
    flat, triangles = grid(6)
    bend = bending(neighbours(triangles, len(flat)))
    assert_allclose(bend.sum(1), 0, atol=1e-12)
    inner = (np.abs(flat[:, :2] - 2.5) < 2).all(1)
    assert_allclose((bend @ (3 * flat[:, 0] - flat[:, 1]))[inner], 0, atol=1e-12)
    lonely = bending(neighbours(triangles, len(flat) + 1))
    assert not lonely[[-1]].toarray().any()


def test_displacements_are_those_of_least_squares(known):
    rng, shapes = np.random.default_rng(0), FitShapes(known.model)
    points = rng.permutation(shapes.drawn)[:200]
    one = Asked(points, [], rng.normal(size=(200, 2)), rng.uniform(0.5, 2, 200), rng.normal(size=(200, 2)))
    start = 0.1 * rng.normal(size=shapes.drawn)
    found = start
    for _ in range(3):  # what a step leaves is taken up by the next
        rest = one.residual - one.along_normal * (found - start)[points, None]
        found = Displacer(shapes).step(found, [(one, rest)])
    bend = bending(neighbours(shapes.triangles.numpy(), shapes.drawn)).toarray()
    rows = np.zeros((400, shapes.drawn))
    for k, point in enumerate(points):
        rows[2 * k : 2 * k + 2, point] = np.sqrt(one.weight[k]) * one.along_normal[k]
    target = np.sqrt(one.weight).repeat(2) * (one.residual + one.along_normal * start[points, None]).ravel()
    every = np.concatenate((rows, np.sqrt(BEND) * bend, np.eye(shapes.drawn) / DISPLACED_MM))
    naive = np.linalg.lstsq(every, np.concatenate((target, np.zeros(2 * shapes.drawn))), rcond=None)[0]
    assert_allclose(found, naive, atol=1e-4 * np.abs(naive).max())


def test_a_finer_mesh_is_displaced_as_the_coarse_one_is():
    flat, triangles = grid(5)
    matrix, levels = subdivide(triangles, len(flat), 1)
    along = 2 * flat[:, 0] + flat[:, 1]
    found = on_fine_mesh(along, levels[1], matrix.shape[0], len(flat))
    ends = np.concatenate((flat, np.zeros((matrix.shape[0] - len(flat), 3))))
    for new in range(len(flat), matrix.shape[0]):  # the middle of the edge that it halves
        near = np.unique(levels[1][(levels[1] == new).any(1)])
        ends[new] = flat[near[near < len(flat)]].mean(0)
    assert_allclose(found, 2 * ends[:, 0] + ends[:, 1], atol=1e-12)
    assert_allclose(on_fine_mesh(along[:10], triangles, 25, 0)[:10], along[:10])


def test_the_same_photographs_give_the_same_face(known):
    off = off_by(known, 3)
    first, second = (FaceFitter(known.model).fit(off) for _ in range(2))
    assert torch.equal(first.coefficients.identity, second.coefficients.identity)


@pytest.mark.parametrize("same", [True, False])
def test_equations_are_those_of_least_squares(same):
    """Two photographs, identity of two coefficients, expression of three."""
    rng = np.random.default_rng(0)
    first, second, of_pose, residual = (rng.normal(size=(30, 2, n)) for n in (5, 5, POSE, 1))
    weight = rng.uniform(0.5, 2, 30)
    equations = NormalEquations(2, 3, 2, same_expression=same)
    terms = [*equations.shape(first, 0), *equations.shape(second, 1), (equations.pose(1), of_pose)]
    equations.add(terms, residual[..., 0], weight)
    shape = 2 + 3 * equations.expressions
    equations.add_prior(slice(0, shape), np.eye(shape), np.ones(shape))
    equations.add_prior(equations.pose(0), np.eye(POSE), np.zeros(POSE))
    step = equations.solve()
    identity, expressions, moves = equations.parts(step)
    of_expressions = [first[..., 2:] + second[..., 2:]] if same else [first[..., 2:], second[..., 2:]]
    columns = np.concatenate((first[..., :2] + second[..., :2], *of_expressions, of_pose), 2)
    root = np.sqrt(weight)[:, None, None]
    matrix = np.vstack(((columns * root).reshape(60, -1), np.eye(shape, shape + POSE)))
    naive = np.linalg.lstsq(matrix, np.concatenate(((residual * root).ravel(), np.ones(shape))), rcond=None)[0]
    assert_allclose(np.concatenate((identity, expressions.ravel(), moves[1])), naive, rtol=1e-4, atol=1e-5)
    assert_allclose(moves[0], 0, atol=1e-12)
    left = residual[..., 0] - np.einsum("mip,p->mi", columns, naive)
    assert_allclose(left_of(residual[..., 0], terms, step), left, atol=1e-4)


def test_an_expression_that_the_landmarks_show_is_followed():
    """The 478 points alone, where the model says they are, move the mouth."""
    model = read_model(asset(SHIPPED["face_model"]))
    still, places = mean_faces(model, 1), shipped_dense().at(0.0)
    moved = still.expression.clone()
    moved[0, :6] = torch.tensor([1.5, -1.0, 1.0, 1.5, -1.5, 1.0])
    blank = np.zeros((SIZE, SIZE, 3), np.uint8)
    view = SeenView("front", blank, np.full((68, 2), np.nan), np.eye(2, 3), blank)
    true = Reconstruction(model, still._replace(expression=moved), (view,))
    dense = (places.weights[..., None] * true.project(view)[places.vertices, :2]).sum(1)
    face = Reconstruction(model, still, (view._replace(dense=dense),))
    lips = model.landmarks_68[48:68].numpy()
    before, after = (
        np.linalg.norm((one.vertices - true.vertices)[lips], axis=1).mean()
        for one in (face, FaceFitter(model).fit(face))
    )
    assert before > 2.0
    assert after < 0.5 * before


def test_the_dense_landmarks_are_those_of_one_mesh(open_model, known):
    """A model of the same name with other subdivisions has other vertices: there the 68 landmarks count."""
    face = Reconstruction(open_model, mean_faces(open_model, 1), known.views)
    dense = np.full((478, 2), SIZE / 2)
    fits = [
        FaceFitter(open_model, {"landmarks"}).fit(
            dataclasses.replace(face, views=tuple(view._replace(dense=points) for view in known.views))
        )
        for points in (None, dense)
    ]
    assert torch.equal(fits[0].coefficients.identity, fits[1].coefficients.identity)


def test_what_a_photograph_misses_is_told_in_mm_whatever_its_size():
    """The camera shows 1.015 px a mm in a crop of 224 px."""
    for size in (224, 448):
        pixels = np.random.default_rng(0).uniform(0, size, (9, 2))
        off = np.array((3, 4)) * size / 224
        found = Agreement(np.arange(5), pixels[:5] + off, 0.1, np.ones(5), np.ones(5))
        assert found.missed(SimpleNamespace(pixels=pixels, size=size)) == pytest.approx(5 / 1.015)
