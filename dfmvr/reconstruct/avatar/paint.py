"""The colours of an avatar: from the photographs where they show it, and what goes on from there where they do not.

In     a `Reconstruction` and its `Avatar`.
Gives  a `Paint` for each part.

Face, ears, neck and scalp are looked up in the photographs as the face's own texture is. What no photograph shows is
the face model's albedo on the face and one tone beyond it, lit as what is seen, and as much brighter, darker, redder as
what is seen next to it: the difference is carried on over the surface and fades. The scalp goes on from what is seen
over the hairline, hair or skin. Irises and the whites of the eyes have the photographs' colour where dense landmarks
tell where they are; mouth, teeth and tongue have plain ones, darker toward the throat.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates

from dfmvr.colour import decode_srgb
from dfmvr.conventions import CLASSES
from dfmvr.face_model.anny.parts import HAIR
from dfmvr.geometry.normals import mesh_normals
from dfmvr.reconstruct.avatar.avatar import EYES, HEAD, TEETH, Avatar, Part
from dfmvr.reconstruct.avatar.eyes import eye_image, iris_and_white
from dfmvr.reconstruct.avatar.glb import Paint
from dfmvr.reconstruct.avatar.mouth import dimmed, teeth_image, tongue_image
from dfmvr.reconstruct.avatar.openings import eye_colours, inside
from dfmvr.reconstruct.export.atlas import Atlas
from dfmvr.reconstruct.export.blending import FACING_POWER, SeenSurface
from dfmvr.reconstruct.export.texture import fill, painted, see
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction

LEAST_PX = 1024
"""Width and height of the head's texture, at the least: half a millimetre a texel."""

REACH_MM, FADE_MM = 80.0, 40.0
"""ASSUME: so far the brightness of the skin that is seen goes on over what is not, and so far that of hair."""

LEAST_SEEN = 8
"""Vertices of the scalp that photographs must show, for it to go on from there."""

BESIDE_MM = 0.8
"""ASSUME: nearer to an opening than this no skin is seen for certain; twice as far, it is."""

_SKIN, _MOUTH = CLASSES.index("skin"), CLASSES.index("mouth")
_OF_EYES = [CLASSES.index(f"{side}_eye") for side in ("left", "right")]
_BROWS = [CLASSES.index(f"{side}_brow") for side in ("left", "right")]
_DARK = 0.02  # in linear light: below, brightness is noise


def paints_of(face: Reconstruction, avatar: Avatar, from_photos: bool = True) -> dict[str, Paint]:
    """Paint every part of an avatar.

    Args:
        face: the face.
        avatar: made of it.
        from_photos: otherwise in the model's own colours.
    """
    colours = eye_colours(face.views if from_photos else ())
    white = iris_and_white(colours)[1]
    teeth, tongue = max(float(white.mean()), 0.7) * np.array((1, 0.95, 0.86)), white.mean() * np.array((0.55, 0.2, 0.2))
    paints = {HEAD: Paint(_head(face, avatar, from_photos), roughness=0.7)}
    for part in avatar.parts[1:]:
        if part.name in EYES:
            paints[part.name] = Paint(eye_image(colours, part.width_mm), roughness=0.15)
        elif part.name in TEETH:
            paints[part.name] = Paint(teeth_image(part, teeth), roughness=0.35)
        else:
            paints[part.name] = Paint(tongue_image(part, tongue), roughness=0.5)
    return paints


def _moved(part: Part, strengths: dict[str, float]) -> np.ndarray:
    """A part's vertices (V, 3) with an expression."""
    return part.vertices + sum(strengths[name] * field for name, field in part.targets.items())


def _over_brows(head: Part) -> np.ndarray:
    """(V,) bool: where hair that falls over the brow, or a hat, is shown as it is on the scalp, of which it goes on."""
    brows = head.vertices[np.isin(head.labels, _BROWS), 1].max()
    return (head.face >= 0) & (head.labels == _SKIN) & (head.vertices[:, 1] > brows)


def _surface(face: Reconstruction, avatar: Avatar) -> SeenSurface:
    """The head in the photographs, behind whose lids and lips the other parts stand."""
    head = avatar.head
    owned = head.face >= 0
    shapes = []
    for view in face.views:
        strengths = avatar.weights if view.expression is None else face.as_in(view).actions
        parts = [_moved(part, strengths) for part in avatar.parts]
        parts[0][owned] = face.vertices_in(view)[head.face[owned]]
        shapes.append(np.concatenate(parts).astype(np.float64))
    starts = np.cumsum([0] + [len(part.vertices) for part in avatar.parts[:-1]])
    triangles = np.concatenate([part.triangles + start for part, start in zip(avatar.parts, starts, strict=True)])
    expressed = _moved(head, avatar.weights)
    expressed[owned] = face.vertices[head.face[owned]]
    atlas = Atlas(head.vertices.astype(np.float64), head.triangles, (head.unwrapping, head.width_mm))
    parsed = owned & (head.labels != _MOUTH) & ~_over_brows(head)
    return SeenSurface(face, atlas, mesh_normals(expressed, head.triangles), tuple(shapes), triangles, parsed)


def _head(face: Reconstruction, avatar: Avatar, from_photos: bool) -> np.ndarray:
    """The texture of the head (H, W, 3) uint8."""
    part, surface = avatar.head, _surface(face, avatar)
    sight, atlas = see(surface, LEAST_PX), surface.atlas
    if not from_photos:
        sight = sight._replace(weights=[0 * weight for weight in sight.weights])
    owned, scalp = part.face >= 0, part.labels == HAIR
    mouth = part.labels == _MOUTH
    cavity = mouth | (np.isin(part.labels, _OF_EYES) & ~owned)
    even = owned & (part.labels == _SKIN)
    colours, seen = sight.blended(sight.weights)
    alike = _likeness(colours, colours[even & (seen > 0.5)])
    trust = np.where(owned | scalp, 1, alike) * ~cavity
    trust = np.minimum(trust, atlas.smooth(trust, 6.0))
    trusted = [trust * _closed(surface, place) for place in range(len(face.views))]
    weights = [weight * share**FACING_POWER for weight, share in zip(sight.weights, trusted, strict=True)]
    colours, seen = sight.blended(weights)
    albedo = np.zeros((len(owned), 3))
    albedo[owned] = decode_srgb(face.albedo)[part.face[owned]]
    tone = np.broadcast_to(albedo[even].mean(0), albedo.shape)
    albedo[~owned] = atlas.continued(albedo, owned & ~mouth, tone, FADE_MM)[~owned]
    # strands of hair on the brow and the temples are no skin that could go on
    skin = _skin(surface, albedo, colours, seen * ~scalp * np.where(even, alike, 1))
    bare, hair, strands = skin, seen * scalp, 0.0
    if hair.sum() > LEAST_SEEN:
        known = colours[hair > 0.5 * hair.max()]
        middle = np.median(known, 0)
        bare = atlas.continued(colours, hair**2, np.broadcast_to(middle, colours.shape), FADE_MM)
        # as uneven as what is seen, if that is another colour than skin
        unlike = np.abs(np.log((middle + _DARK) / (np.median(colours[even & (seen > 0.5)], 0) + _DARK))).mean()
        strands = float(np.log(known.mean(1) + _DARK).std() * min(1, 2 * unlike))
    share = atlas.smooth(scalp.astype(float), 6.0)[:, None]
    filling = share * bare + (1 - share) * skin
    filling[cavity] *= (0.5, 0.25, 0.25)
    filling[mouth] *= dimmed(part.vertices[mouth, 2].max() - part.vertices[mouth, 2:])
    spread = np.column_stack([part.vertices, share])
    baked = painted(sight, weights, np.clip(filling, 0, 1), lambda texels: _grain(texels.weights @ spread, strands))
    return baked.texture.image


def _skin(surface: SeenSurface, albedo: np.ndarray, colours: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Skin (V, 3) that goes on from what is seen (V,), of an albedo (V, 3); colours are in linear light."""
    lit = fill(albedo, surface.normals, colours, seen)
    known = seen > 0.5
    if known.any():  # not as dark behind as one lamp in front would leave it
        lit = np.sqrt(lit * albedo * np.median(lit[known] / np.maximum(albedo[known], _DARK), 0))
    ratio = np.log((colours + _DARK) / (lit + _DARK))
    return lit * np.exp(surface.atlas.continued(ratio, seen**2, np.zeros_like(ratio), REACH_MM))


def _grain(spread: np.ndarray, strands: float) -> np.ndarray:
    """Brightness (M,) about 1 that makes even colours look like skin and hair.

    Args:
        spread: (M, 4) where the places are on the head, mm, and how much of a scalp they are, 0 to 1.
        strands: how uneven the scalp is, as a part of its brightness.
    """
    lattice = np.random.default_rng(0).normal(size=(32, 32, 32)).astype(np.float32)

    def noise(*places: np.ndarray) -> np.ndarray:
        return map_coordinates(lattice, places, np.float32, order=1, mode="grid-wrap")

    x, y, z, scalp = spread.T.astype(np.float32)
    skin = 0.03 * noise(x / 1.2, y / 1.2, z / 1.2) + 0.03 * noise(x / 5, y / 5, z / 5)
    # strands run down from the crown
    turn = np.arctan2(x, z - np.float32(np.median(z))) * 16 / np.float32(np.pi)
    hair = noise(8 * turn, y / 20, 0 * x) + noise(2 * turn, y / 30, 0 * x + 9)
    return np.exp(skin + 0.5 * strands * scalp * hair)


def _closed(surface: SeenSurface, place: int) -> np.ndarray:
    """How far the vertices (V,) are beside what a photograph shows between lids and lips, 0 to 1."""
    face, view = surface.face, surface.face.views[place]
    pixels = face.project(view, surface.shapes[place][: surface.atlas.vertex_count])[:, :2]
    beside_mm = -inside(view, pixels) / face.camera(view).px_per_mm
    return np.clip((beside_mm - BESIDE_MM) / BESIDE_MM, 0, 1)


def _likeness(colours: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """How far colours (V, 3), in linear light, are those of a person's skin (N, 3), 0 to 1, by hue and brightness."""
    if len(skin) < 20:
        return np.zeros(len(colours))

    def told(values: np.ndarray) -> np.ndarray:
        red, green, blue = np.log(values + _DARK / 4).T
        return np.column_stack([red - green, blue - green, (red + green + blue) / 6])  # shadows are no other skin

    known = told(skin)
    spread = np.linalg.inv(np.cov(known.T) + 0.06**2 * np.eye(3))
    away = told(colours) - np.median(known, 0)
    alike = np.exp(-np.einsum("vi,ij,vj->v", away, spread, away) / 4)
    return np.clip(2 * alike - 0.5, 0, 1)
