"""Registration: known motions come back, wrong units and mirrored faces are refused, broken samples are set aside."""

import numpy as np
import pytest
import torch
from analytic_face import MOTION, face
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from dfmvr.assets.files import asset
from dfmvr.assets.shipped import SHIPPED
from dfmvr.config.configuration import load
from dfmvr.config.evaluation import ProtocolSection, RegisterSection
from dfmvr.conventions import ALIGNMENT_IN_68, ALIGNMENT_POINTS
from dfmvr.errors import ConfigError, DataError
from dfmvr.face_model.packed import read_model
from dfmvr.geometry.normals import mesh_normals
from dfmvr.geometry.surface import Surface, barycentric_of_closest, open_boundary, turned_share
from dfmvr.mesh.scan import FaceScan
from dfmvr.register.crop import crop
from dfmvr.register.icp import Registration, icp, take_evenly
from dfmvr.register.landmarks import TYPICAL, check_landmarks, check_order
from dfmvr.register.registrations import Registrations
from dfmvr.register.surface import register_surface

PAPER, METRICAL = ProtocolSection(), ProtocolSection(with_scale=False)
RELEASED_CODE = RegisterSection().protocols["released_code"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def closest_naive(points, vertices, triangles):
    """Distance (N,) to the closest of all triangles, each solved by projection on its plane, edges and corners."""
    best = np.full(len(points), np.inf)
    for corners in vertices[triangles]:
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        weights = np.linalg.solve(
            np.column_stack([corners[1] - corners[0], corners[2] - corners[0], normal]), (points - corners[0]).T
        )
        inside = (weights[0] >= 0) & (weights[1] >= 0) & (weights[0] + weights[1] <= 1)
        distance = np.where(inside, np.abs(weights[2]) * np.linalg.norm(normal), np.inf)
        for k in range(3):
            along = corners[(k + 1) % 3] - corners[k]
            t = np.clip((points - corners[k]) @ along / (along @ along), 0, 1)[:, None]
            distance = np.minimum(distance, np.linalg.norm(points - corners[k] - t * along, axis=1))
        best = np.minimum(best, distance)
    return best


def test_closest_points_equal_the_naive_ones(rng):
    vertices, triangles, _ = face(14)
    vertices = vertices + np.array((500, 0, 0))
    points = rng.normal(size=(300, 3)) * (90, 110, 40) + (500, 0, 60)
    found = Surface(vertices, triangles).closest(points)
    distance = np.linalg.norm(points - found.points, axis=1)
    assert_allclose(distance, closest_naive(points, vertices, triangles), atol=1e-6)


def test_barycentric_weights_beyond_corners_edges_and_inside():
    corners = np.array([(0, 0, 0), (2, 0, 0), (0, 2, 0)], float)
    points = np.array([(-1, -1, 3), (3, -1, 3), (-1, 3, 3), (1, -1, 3), (-1, 1, 3), (2, 2, 3), (0.5, 0.5, 3)], float)
    expected = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5), (0.5, 0.25, 0.25)]
    assert_allclose(barycentric_of_closest(points, np.tile(corners, (7, 1, 1))), expected, atol=1e-15)


def test_normals_and_boundary_of_a_grid():
    vertices, triangles, _ = face(9)
    flat = vertices * (1, 1, 0)
    assert_allclose(mesh_normals(flat, triangles), np.tile((0, 0, 1), (81, 1)), atol=1e-12)
    ids = np.arange(81).reshape(9, 9)
    boundary = open_boundary(triangles, 81)
    assert_array_equal(np.flatnonzero(~boundary.vertices), ids[1:-1, 1:-1].ravel())
    assert boundary.edges.sum() == 32


def test_a_point_beside_the_surface_is_on_the_boundary():
    vertices, triangles, _ = face(9)
    beside = Surface(vertices, triangles).closest(np.array([(200.0, 0, 40), (5.0, 5, 200), (200, 300, 0)]))
    assert_array_equal(beside.on_boundary, [True, False, True])


@pytest.mark.parametrize("protocol", [PAPER, RELEASED_CODE])
def test_a_known_similarity_comes_back(rng, protocol):
    vertices, triangles, landmarks = face()
    marks = MOTION.apply(landmarks) + rng.normal(size=(7, 3)) * 2
    found = register_surface(Surface(vertices, triangles), landmarks, FaceScan(MOTION.apply(vertices), marks), protocol)
    assert found.converged
    assert_allclose(found.apply(vertices), MOTION.apply(vertices), atol=1e-4)
    assert_allclose(found.scale, MOTION.scale, rtol=1e-6)
    assert found.rmse_mm[0] > 0.1 > 1e-5 > found.rmse_mm[-1]


def test_a_known_rigid_motion_comes_back_without_scale(rng):
    vertices, triangles, landmarks = face()
    motion = MOTION._replace(scale=1.0)
    target = FaceScan(motion.apply(vertices), motion.apply(landmarks) + rng.normal(size=(7, 3)) * 2)
    found = register_surface(Surface(vertices, triangles), landmarks, target, METRICAL)
    assert found.scale == 1
    assert_allclose(found.apply(vertices), target.vertices, atol=1e-4)


@settings(max_examples=10, deadline=None)
@given(
    st.floats(0.8, 1.25),
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.tuples(*[st.floats(-2000, 2000)] * 3),
)
def test_any_similarity_comes_back(scale, turn, shift):
    vertices, triangles, landmarks = face(40)
    motion = Registration(scale, Rotation.from_rotvec(turn).as_matrix(), np.array(shift))
    target = FaceScan(motion.apply(vertices), motion.apply(landmarks + np.sin(np.arange(21)).reshape(7, 3)))
    found = register_surface(Surface(vertices, triangles), landmarks, target, PAPER)
    assert_allclose(found.apply(vertices), target.vertices, atol=1e-4)


def test_without_scale_the_size_of_the_prediction_stays():
    vertices, triangles, landmarks = face()
    target = FaceScan(1.1 * vertices, 1.1 * landmarks)
    free = register_surface(Surface(vertices, triangles), landmarks, target, PAPER)
    rigid = register_surface(Surface(vertices, triangles), landmarks, target, METRICAL)
    assert_allclose(free.scale, 1.1, rtol=1e-6)
    assert rigid.scale == 1
    assert rigid.rmse_mm[-1] > 0.1 > 1e-5 > free.rmse_mm[-1]


@pytest.mark.parametrize("count", [1, 7, 10, 99])
def test_points_are_taken_evenly(count):
    taken = take_evenly(np.arange(10)[:, None], count)[:, 0]
    assert len(taken) == min(count, 10)
    assert set(np.diff(taken)) <= {10 // count, -(-10 // count)}


def test_a_part_of_the_points_registers_as_well_as_their_noise_allows(rng):
    vertices, triangles, landmarks = face(120)
    noise = 0.2
    noisy = vertices + noise * rng.normal(size=(len(vertices), 1)) * mesh_normals(vertices, triangles)
    surface, target = Surface(vertices, triangles), FaceScan(noisy, landmarks)
    inside = crop(target, PAPER)
    shift = {}
    for points in (0, 3000):
        found = register_surface(surface, landmarks, target, PAPER, points=points)
        assert found.converged
        shift[points] = found.apply(inside) - inside
    # 7 numbers found from n noisy distances: the surface is off by noise sqrt(7 / n) along its normals.
    normal = surface.closest(inside).normals
    for points, count in ((0, len(inside)), (3000, 3000)):
        off = np.sqrt((np.einsum("ni,ni->n", shift[points], normal) ** 2).mean())
        assert off < 2 * noise * np.sqrt(7 / count)


def test_few_steps_are_reported_as_not_converged(rng):
    vertices, triangles, landmarks = face()
    target = FaceScan(vertices, landmarks + rng.normal(size=(7, 3)) * 3)
    found = register_surface(Surface(vertices, triangles), landmarks, target, PAPER, iterations=2)
    assert not found.converged
    assert len(found.rmse_mm) == 2


def test_a_plane_is_registered_in_the_directions_it_determines():
    vertices, triangles, _ = face(30)
    flat, lift = vertices * (1, 1, 0), np.array((0, 0, 2))
    found = icp(Surface(flat, triangles), flat[400:600] + lift, Registration(1, np.eye(3), np.zeros(3)), True, 20)
    assert_allclose(found.apply(flat), flat + lift, atol=1e-6)


def test_edges_between_opposite_triangles_are_counted():
    triangles = face(9)[1]
    assert turned_share(triangles) == turned_share(triangles[:, ::-1]) == turned_share(triangles[:1]) == 0
    inner = 3 * len(triangles) - open_boundary(triangles, 81).edges.sum()
    open_edges = open_boundary(triangles, 81).edges.sum(1)
    one = triangles.copy()
    one[np.flatnonzero(open_edges == 0)[0]] = one[np.flatnonzero(open_edges == 0)[0], ::-1]
    assert_allclose(turned_share(one), 3 / (inner / 2))


@pytest.mark.parametrize("factor", [0.001, 0.01, 0.1, 10, 100, 1000])
def test_units_that_are_off_are_named(factor):
    landmarks = face(5)[2]
    with pytest.raises(DataError, match=r"of the prediction are .* --prediction-unit"):
        check_landmarks(landmarks * factor, landmarks)
    with pytest.raises(DataError, match=r"of the ground truth are .* --ground-truth-unit"):
        check_landmarks(landmarks, landmarks * factor)


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_faces_of_other_sizes_are_no_unit_errors(factor):
    landmarks = face(5)[2]
    check_landmarks(landmarks * factor, landmarks, with_scale=False)
    check_landmarks(landmarks, landmarks * factor)


def test_a_prediction_without_unit_needs_a_free_scale():
    landmarks = face(5)[2]
    check_landmarks(landmarks / 28, landmarks)
    with pytest.raises(DataError, match="this protocol keeps its size"):
        check_landmarks(landmarks / 28, landmarks, with_scale=False)


@pytest.fixture(scope="module")
def faces():
    """The seven points (7, 3) of the shipped model's mean and of 30 faces of it with expressions, mm."""
    model = read_model(asset(SHIPPED["face_model"]))
    chosen = model.landmarks_68[list(ALIGNMENT_IN_68)]
    random = torch.Generator().manual_seed(0)
    found = [model.mean[chosen].numpy()]
    for _ in range(30):
        identity = torch.randn(1, model.identity_size, generator=random)
        expression = torch.randn(1, model.expression_size, generator=random)
        found.append(model.shape(identity, expression)[0, chosen].numpy())
    return [points.astype(float) for points in found]


def test_the_typical_face_is_that_of_the_model(faces):
    assert_allclose(TYPICAL, faces[0], atol=1.0)


def test_faces_are_in_the_order_of_their_names_in_any_unit_and_mirrored(faces):
    for points in faces:
        for scale in (1.0, 0.001, -3.0):
            check_order(scale * points, "points")


@pytest.mark.parametrize("first", range(7))
@pytest.mark.parametrize("second", range(7))
def test_two_points_that_are_exchanged_are_told(faces, first, second):
    if first == second:
        return
    order = np.arange(7)
    order[[first, second]] = order[[second, first]]
    name, other = ALIGNMENT_POINTS[first], ALIGNMENT_POINTS[second]
    for points in faces[:2]:
        with pytest.raises(DataError, match=f"likely.* {name} is called {other}"):
            check_order(points[order], "points")


def test_a_mirrored_face_is_refused(rng):
    landmarks = face(5)[2]
    check_landmarks(landmarks + rng.normal(size=(7, 3)) * 2, landmarks)
    with pytest.raises(DataError, match="mirrored, or the names left and right"):
        check_landmarks(landmarks * (-1, 1, 1), MOTION.apply(landmarks))


def test_crops_are_the_published_spheres():
    vertices, _, landmarks = face(60)
    target = FaceScan(vertices, landmarks)
    distance = np.linalg.norm(vertices - landmarks[ALIGNMENT_POINTS.index("nose_tip")], axis=1)
    assert_array_equal(crop(target, PAPER), vertices[distance <= 95])
    p1, p2, p3, p4, p5, _, _ = landmarks
    bridge = (p2 + p3) / 2
    centre, radius = p5 + 0.3 * (bridge - p5), 1.4 * (np.linalg.norm(p1 - p4) + np.linalg.norm(bridge - p5)) / 2
    assert_array_equal(crop(target, RELEASED_CODE), vertices[np.linalg.norm(vertices - centre, axis=1) <= radius])


def test_a_scan_elsewhere_is_refused():
    vertices, triangles, landmarks = face(30)
    with pytest.raises(DataError, match="0 points within 95 mm"):
        register_surface(Surface(vertices, triangles), landmarks, FaceScan(vertices + 1000, landmarks), PAPER)


def test_a_prediction_that_covers_nothing_is_refused():
    vertices, triangles, landmarks = face(30)
    corner = triangles[(vertices[triangles][:, :, 1] > 95).all(1)]
    with pytest.raises(DataError, match="the prediction covers"):
        register_surface(Surface(vertices, corner), landmarks, FaceScan(vertices, landmarks), PAPER)


def test_a_registration_that_runs_away_is_refused():
    vertices, triangles, _ = face(30)
    far = Registration(1.0, np.eye(3), np.zeros(3))
    with pytest.raises(DataError, match="runs away"):
        icp(Surface(vertices, triangles), 3 * vertices[300:600], far, True, 50)


def test_chained_motions_are_one_after_the_other(rng):
    points = rng.normal(size=(5, 3))
    other = Registration(0.9, Rotation.from_rotvec([1.0, 2, 3]).as_matrix(), np.arange(3.0))
    assert_allclose(MOTION.followed_by(other).apply(points), other.apply(MOTION.apply(points)), atol=1e-12)
    assert_allclose(MOTION.undo(MOTION.apply(points)), points, atol=1e-12)


def test_registrations_survive_a_round_trip(tmp_path):
    written = Registrations(["paper", "metrical"])
    written.add("a", "paper", MOTION._replace(rmse_mm=np.array([2.0, 1.0])))
    written.add("a", "metrical", "too large")
    written.add("b", "paper", "no scan")
    written.write(tmp_path / "r.npz")
    back = Registrations.read(tmp_path / "r.npz")
    assert_allclose(back.get("a", "paper").rotation, MOTION.rotation)
    assert_array_equal(back.get("a", "paper").rmse_mm, [2, 1])
    assert (back.get("a", "metrical"), back.get("b", "paper")) == ("too large", "no scan")
    assert "register these meshes again" in back.get("c", "paper")


def test_protocols_of_the_configuration_change_or_join_the_built_in_ones():
    protocols = load(None, ["register.protocols.metrical.crop_radius_mm=80", "register.protocols.small={}"]).register_
    assert list(protocols.protocols) == ["paper", "metrical", "released_code", "small"]
    changed = protocols.protocols["metrical"]
    assert (changed.crop_radius_mm, changed.with_scale) == (80, False)
    with pytest.raises(ConfigError, match="crop_radius"):
        load(None, ["register.protocols.paper.crop_radius=80"])
