"""An avatar's colours: from photographs of a head whose colours are known, and what goes on where they show nothing."""

import dataclasses

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from painted_heads import SKIN, TRESS, photographed
from scipy.spatial import cKDTree

from dfmvr.assets.files import asset
from dfmvr.assets.shipped import SHIPPED
from dfmvr.colour import decode_srgb
from dfmvr.conventions import VIEWS
from dfmvr.face_model.anny.parts import HAIR, IRIS_MM, NECK, PUPIL_MM
from dfmvr.face_model.packed import read_model
from dfmvr.geometry.normals import mesh_normals
from dfmvr.reconstruct.avatar.avatar import TEETH
from dfmvr.reconstruct.avatar.eyes import BROWN, eye_image, iris_and_white
from dfmvr.reconstruct.avatar.head import avatar_of
from dfmvr.reconstruct.avatar.mouth import CROWN_MM, FADE_MM, TOOTH_MM, teeth_image, tongue_image
from dfmvr.reconstruct.avatar.openings import EYES, IRISES, MOUTH, EyeColours, eye_colours, inside
from dfmvr.reconstruct.avatar.paint import paints_of
from dfmvr.reconstruct.export.atlas import Atlas
from dfmvr.reconstruct.photographs.reconstruction import SeenView


@pytest.fixture(scope="module")
def model():
    return read_model(asset(SHIPPED["face_model"]))


def painted(face):
    """The avatar, its paints, and the head's colours (V, 3) at its vertices."""
    avatar = avatar_of(face)
    paints = paints_of(face, avatar)
    head, image = avatar.head, paints["head"].image
    uv = head.unwrapping.uv[: len(head.vertices)]
    x, y = (np.clip((place * len(image)).astype(int), 0, len(image) - 1) for place in (uv[:, 0], 1 - uv[:, 1]))
    return avatar, paints, image[y, x].astype(int)


@pytest.mark.parametrize("names", [("front",), VIEWS])
def test_what_photographs_show_is_kept_and_goes_on(model, names):
    face = photographed(model, names)
    avatar, paints, found = painted(face)
    head = avatar.head
    assert paints["head"].image.shape[0] >= 1024
    x, _, z = head.vertices.T
    skin = (head.labels == 1) & (np.abs(x) < 40) & (z > -20)
    assert np.abs(np.median(found[skin], 0) - SKIN).max() < 6
    scalp = head.labels == HAIR
    from_line = cKDTree(head.vertices[~scalp]).query(head.vertices)[0]
    seen = scalp & (z > -90) & (np.abs(x) < 40) & (from_line > 12)
    assert seen.sum() > 20
    assert np.abs(np.median(found[seen], 0) - TRESS).max() < 15
    # the back of the head has the hair's colour, the neck the skin's, none of the ground's, and nothing is black
    back, neck = scalp & (z < -130), (head.labels == NECK) & (z < -60)
    assert np.abs(np.median(found[back], 0) - TRESS).max() < 25
    assert np.abs(np.median(found[neck], 0) - SKIN).max() < 45
    assert found[skin | neck | (head.labels == 1)].max(1).min() > 60
    outside = np.isin(head.labels, (1, 6, HAIR, NECK, 11))
    assert (found[outside, 2] - found[outside, 0] < 20).mean() > 0.995


def test_a_shaved_scalp_is_skin(model):
    avatar, _, found = painted(photographed(model, VIEWS, SKIN))
    back = (avatar.head.labels == HAIR) & (avatar.head.vertices[:, 2] < -130)
    assert np.abs(np.median(found[back], 0) - SKIN).max() < 40
    assert found[back].std(0).max() < 20


def test_hair_over_the_brow_is_painted_though_the_parser_leaves_it_out(model):
    face = photographed(model, ("front",))
    head, view = avatar_of(face).head, face.views[0]
    rows = face.project(view, head.vertices.astype(float))[:, 1]
    brows = head.vertices[np.isin(head.labels, (2, 3)), 1].max()
    fringe = int(rows[np.argmin(np.abs(head.vertices[:, 1] - brows - 8) + 100 * (head.labels != 1))])
    photo, mask = view.photo.copy(), np.ones((224, 224), np.uint8)
    photo[:fringe] = TRESS
    mask[: round(0.4 * fringe)] = 0
    face = dataclasses.replace(face, views=(view._replace(photo=photo, mask=mask),))
    _, _, found = painted(face)
    x, y, z = head.vertices.T
    front = (head.face >= 0) & (head.labels == 1) & (np.abs(x) < 30) & (z > -20)
    assert np.abs(np.median(found[front & (y > brows + 14)], 0) - TRESS).max() < 12
    assert np.abs(np.median(found[front & (y < brows)], 0) - SKIN).max() < 6


def test_the_models_own_colours_need_no_photograph(model):
    face = photographed(model, ("front",))
    avatar = avatar_of(face)
    image = paints_of(face, avatar, from_photos=False)["head"].image
    blue = image[..., 2].astype(int) - image[..., 0]
    assert blue.max() < 20
    # nor does what they show matter
    black = dataclasses.replace(face, views=tuple(view._replace(photo=0 * view.photo) for view in face.views))
    assert np.array_equal(paints_of(black, avatar, from_photos=False)["head"].image, image)


def test_colours_go_on_without_a_step():
    """On a strip, whose solution is that of x'' = (x - far) / reach^2: exponential from the edge of what is known."""
    width, rows = 80, 4
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(rows)), -1).reshape(-1, 2).astype(float)
    mean = np.column_stack([grid, np.zeros(len(grid))])
    corner = (np.arange(rows - 1)[:, None] * width + np.arange(width - 1)).reshape(-1, 1)
    steps = np.array([(0, 1, width + 1), (0, width + 1, width)])
    triangles = (corner + steps[:, None]).reshape(-1, 3)
    atlas = Atlas(mean, triangles)
    known = (grid[:, 0] < 10).astype(float)
    found = atlas.continued(np.full((len(grid), 1), 3.0), known, np.ones((len(grid), 1)), 8.0)[:, 0]
    assert_allclose(found[grid[:, 0] < 5], 3, atol=0.02)
    assert_allclose(found[grid[:, 0] > 75], 1, atol=0.02)
    middle = found.reshape(rows, width)[:2].mean(0)
    assert (np.diff(middle) < 1e-9).all()
    assert np.abs(np.diff(middle)).max() < 0.35
    rates = np.log((middle[15:40] - 1) / (middle[16:41] - 1))
    assert_allclose(rates, rates.mean(), rtol=0.05)  # exponential


def texels_of(part, image):
    """Colours (M, 3) in linear light of the texels of a part's image, and what interpolates vertices there."""
    unwrapped = (part.unwrapping, part.width_mm)
    texels = Atlas(part.vertices.astype(float), part.triangles, unwrapped).texels(len(image))
    return decode_srgb(image.reshape(-1, 3)[texels.pixel] / 255), texels.weights


@pytest.mark.parametrize("name", TEETH)
def test_teeth_stand_apart_at_their_widths_in_gums(model, name):
    part = next(part for part in avatar_of(photographed(model, ("front",))).parts if part.name == name)
    colours, weights = texels_of(part, teeth_image(part, np.full(3, 0.8)))
    points, normals = weights @ part.vertices, weights @ mesh_normals(part.vertices, part.triangles)
    front = (normals[:, 2] > 0.6) & (points[:, 2] > points[:, 2].max() - 4)
    bite = points[front, 1].min() if name == "teeth_upper" else points[front, 1].max()
    # across the two foremost teeth, half way up: dark between them and at their far sides, nowhere else
    x, height = points[:, 0], np.abs(points[:, 1] - bite)
    across = front & (height > 2) & (height < 5)
    places = np.arange(-TOOTH_MM[name][0] - 1, TOOTH_MM[name][0] + 1.1, 0.25)
    green = np.array([np.median(colours[across & (np.abs(x - place) < 0.25), 1]) for place in places])
    dark = places[1:-1][(green[1:-1] < green[:-2]) & (green[1:-1] <= green[2:]) & (green[1:-1] < 0.8 * green.max())]
    assert len(dark) == 3
    assert_allclose(dark, TOOTH_MM[name][0] * np.array((-1, 0, 1)), atol=1)
    gum = front & (height > CROWN_MM[0] + 1.5)
    assert (colours[gum, 0] > 2 * colours[gum, 1]).all()
    crown = across & (np.abs(np.abs(x) - TOOTH_MM[name][0] / 2) < 1)
    assert (colours[crown, 1] > 0.8 * colours[crown, 0]).all()


def test_the_mouth_is_darker_toward_the_throat(model):
    tongue = avatar_of(photographed(model, ("front",))).parts[-1]
    colours, weights = texels_of(tongue, tongue_image(tongue, np.array((0.5, 0.2, 0.2))))
    x, _, z = (weights @ tongue.vertices).T
    beside = np.abs(x) > 4  # of the furrow
    assert_allclose(colours[beside, 0], 0.5 * np.exp((z - z.max()) / FADE_MM)[beside], atol=0.02)


def eyes_of(iris, white, opening=12.0):
    """A photograph of two eyes and a mouth on skin, drawn, and its dense landmarks."""
    photo = np.full((200, 300, 3), SKIN, np.uint8)
    dense = np.full((478, 2), np.nan)
    for middle, outline, points in zip(((90, 80), (210, 80)), EYES, IRISES, strict=True):
        angle = np.pi - np.arange(16) * 2 * np.pi / 16
        dense[list(outline)] = middle + np.column_stack([26 * np.cos(angle), opening * np.sin(angle)])
        dense[list(points)] = middle + 8.0 * np.array([(0, 0), (1, 0), (0, -1), (-1, 0), (0, 1)])
        cv2.fillPoly(photo, [np.rint(dense[list(outline)] - 0.5).astype(np.int32)], white)
        cv2.circle(photo, np.array(middle) - 1, 8, iris, -1)
        cv2.circle(photo, np.array(middle) - 1, 3, (0, 0, 0), -1)
        photo[80 + round(opening) :] = SKIN
        photo[: 80 - round(opening)] = SKIN
    angle = np.pi - np.arange(20) * 2 * np.pi / 20
    dense[list(MOUTH)] = np.column_stack([150 + 40 * np.cos(angle), 150 + 8 * np.sin(angle)])
    crop = np.zeros((8, 8, 3), np.uint8)
    return SeenView("front", photo, np.zeros((68, 2)), np.eye(2, 3), crop, dense=dense)


def test_eyes_have_the_colours_of_the_photograph():
    found = eye_colours((eyes_of((70, 110, 150), (210, 200, 190)),))
    assert_allclose(found.iris, decode_srgb(np.array((70, 110, 150)) / 255), atol=0.01)
    assert_allclose(found.white, decode_srgb(np.array((210, 200, 190)) / 255), atol=0.02)
    assert eye_colours((eyes_of((70, 110, 150), (210, 200, 190), opening=2.0),)) == (None, None)
    assert eye_colours((eyes_of((0, 0, 0), (9, 9, 9))._replace(dense=None),)) == (None, None)
    assert eye_colours(()) == (None, None)


def test_openings_are_told_by_their_distance():
    view = eyes_of((70, 110, 150), (210, 200, 190))
    points = np.array([(90, 80), (90, 95), (150, 150), (150, 40), (210, 92)], float)
    assert_allclose(inside(view, points)[[0, 1, 2]], (12, -3, 8), atol=0.5)
    assert inside(view, points)[3] < -20
    assert (inside(view._replace(dense=None), points) == -np.inf).all()


def test_the_picture_of_an_eye_is_round_about_its_middle():
    colours = EyeColours(decode_srgb(np.array((0.2, 0.4, 0.6))), np.array((0.6, 0.6, 0.6)))
    width = 100.0
    image = eye_image(colours, width).astype(int)
    middle, mm = len(image) // 2, len(image) / width
    assert image[middle, middle].max() < 25
    for x, y in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        at = [image[int(middle + y * r * mm), int(middle + x * r * mm)] for r in (0.9 * PUPIL_MM, 4.0, 1.4 * IRIS_MM)]
        assert at[0].max() < 60
        assert at[1][2] > at[1][0] + 25
        assert at[2].min() > 150


def test_colours_of_eyes_are_plausible_whatever_is_found():
    for dark in (0.0, 0.001, 5.0):
        iris, white = iris_and_white(EyeColours(np.full(3, dark), np.full(3, dark)))
        assert iris.mean() < 0.3 < white.mean() < 0.9
    iris, white = iris_and_white(EyeColours(None, None))
    assert_allclose(iris, BROWN, atol=1e-3)
    assert white.min() > 0.5
