"""Who is photographed: a population of heads, and persons drawn from it with skin, hair and clothes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from dfmvr.colour import decode_srgb
from dfmvr.geometry.normals import mesh_normals
from dfmvr.simulate.people.clothes import Clothes, draw_clothes, shoulders
from dfmvr.simulate.people.hair import BAND_MM, HairStyle, Shell, Strands, band_plane, draw_hair, draw_strands, grow
from dfmvr.simulate.people.scalp import Scalp
from dfmvr.simulate.people.skin import PAINT_SIZE, Canvas, paint_skin
from dfmvr.simulate.studio.light import Light
from dfmvr.simulate.studio.photograph import Body, Hair, Shadow, cast_shadow

SKY_DIRECTIONS = 20
IRISES = ((0.035, 0.016, 0.008), (0.08, 0.04, 0.015), (0.12, 0.1, 0.04), (0.12, 0.17, 0.24), (0.16, 0.2, 0.17))


class Anatomy(NamedTuple):
    """What all heads of a population share; V vertices."""

    reference: np.ndarray  # (V, 3) mm, the mean head in the frame of `dfmvr.conventions`
    triangles: np.ndarray  # (F, 3)
    labels: np.ndarray  # (V,) class of the face parser
    outer: np.ndarray  # (V,) bool, skin that can be seen from outside
    scalp: np.ndarray  # (V,) share of hair, 0 to 1
    eye: np.ndarray  # (V,) 0 none, 1 the person's left, 2 the right eyeball
    landmarks_68: np.ndarray  # (68,) vertex ids
    landmarks_106: np.ndarray  # (106,)


class Surface(NamedTuple):
    """One head as it is scanned; V vertices, not those of the photographs."""

    vertices: np.ndarray  # (V, 3) mm
    triangles: np.ndarray  # (F, 3)
    hair: np.ndarray  # (V,) bool, where hair grows
    mouth: np.ndarray  # (V,) bool, between the lips
    landmarks: np.ndarray  # (106, 3) mm
    face: np.ndarray  # (K, 3) mm, the registered mesh
    face_triangles: np.ndarray  # (M, 3)
    keypoints: np.ndarray  # (106,) the landmarks among its vertices


class Population(Protocol):
    """A source of heads."""

    anatomy: Anatomy

    def draw_shape(self, rng: np.random.Generator) -> np.ndarray:
        """Draw the coefficients of one head."""

    def vertices(self, shape: np.ndarray, expression: np.ndarray | None) -> np.ndarray:
        """Vertices (V, 3) mm of a head; None is neutral."""

    def surface(self, shape: np.ndarray, expression: np.ndarray | None) -> Surface:
        """The same head for scanning."""

    def draw_albedo(self, rng: np.random.Generator) -> np.ndarray:
        """Draw sRGB-encoded colours (V, 3)."""

    def draw_expression(self, rng: np.random.Generator, number: int) -> np.ndarray | None:
        """Draw an expression; number 0 is neutral."""

    def blend_expression(self, rng: np.random.Generator, shares: Mapping[str, float]) -> np.ndarray | None:
        """Draw the weighted sum of expressions named in `face_model.expressions.KINDS`; of none, neutral."""


class Person(NamedTuple):
    """One person, apart from the expression."""

    shape: np.ndarray
    paint: np.ndarray  # (V, PAINT_SIZE)
    style: HairStyle
    strands: Strands
    shell: Shell | None
    clothes: Clothes
    torso: tuple[np.ndarray, np.ndarray, np.ndarray]  # vertices, triangles, paint
    iris: np.ndarray  # (3,) linear RGB
    bump: np.ndarray  # (V, 3) unevenness of the skin, added to normals
    band: np.ndarray | None  # (4,) plane of the headband


class Studio:
    """A population and all that is computed once for it."""

    def __init__(self, population: Population) -> None:
        anatomy = population.anatomy
        self.population, self.anatomy = population, anatomy
        self.scalp = Scalp(anatomy.reference, anatomy.outer, anatomy.landmarks_68)
        self.canvas = Canvas(
            anatomy.reference,
            anatomy.labels,
            ~anatomy.outer & (anatomy.eye == 0),
            anatomy.reference[anatomy.landmarks_68],
            anatomy.scalp,
        )
        self.rim = _rim(anatomy)
        self.openness = _sky(anatomy)

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """Unit normals (V, 3) of a head."""
        return mesh_normals(np.asarray(vertices, np.float32), self.anatomy.triangles)

    def draw_person(self, rng: np.random.Generator) -> Person:
        """Draw a person."""
        shape = self.population.draw_shape(rng)
        head = self.population.vertices(shape, None)
        albedo = self.population.draw_albedo(rng)
        fair = _fairness(albedo[self.anatomy.outer])
        style = draw_hair(rng, decode_srgb(np.median(albedo[self.anatomy.scalp > 0.9], 0).astype(np.float32)))
        brow = self.anatomy.reference[self.anatomy.landmarks_68[17:27], 1].max()
        forehead = (self.anatomy.labels == 1) & (self.anatomy.scalp < 0.01) & (self.anatomy.reference[:, 1] > brow + 8)
        covered = decode_srgb(np.median(albedo[forehead], 0).astype(np.float32)) if style.kind == "bald" else None
        paint = paint_skin(self.canvas, albedo, covered, rng)
        shell = None if style.kind == "bald" else grow(style, self.scalp, head, rng)
        clothes = draw_clothes(rng)
        bump = rng.normal(0, rng.uniform(0.02, 0.08), size=head.shape)
        band = band_plane(style, head, self.anatomy.landmarks_68, rng)
        if style.band == "round":
            on_band = np.abs(head @ band[:3] + band[3]) < BAND_MM
            paint[on_band & self.anatomy.outer & ~self.scalp.ear] = (*style.band_colour, 0.05, 6, 0.1, 0.1, 0.1)
        light_eyes = 0.45 * fair
        chances = [0.7 - light_eyes, 0.3 - light_eyes / 3, light_eyes / 3, 2 * light_eyes / 3, light_eyes / 3]
        iris = np.array(IRISES[rng.choice(5, p=chances)]) * np.exp(rng.normal(0, 0.25))
        torso = self._torso(head, paint, clothes, rng)
        strands = draw_strands(style, rng)
        return Person(shape, paint, style, strands, shell, clothes, torso, iris.astype(np.float32), bump, band)

    def draw_bareheaded(self, rng: np.random.Generator) -> Person:
        """Draw a person who wears nothing on the head, as many laboratories ask."""
        while True:
            person = self.draw_person(rng)
            if person.style.kind != "cap" and not person.style.band:
                return person

    def _torso(
        self, head: np.ndarray, paint: np.ndarray, clothes: Clothes, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shoulders below the neck of a head: vertices, triangles, paint."""
        points, triangles, along = shoulders(head[self.rim], clothes)
        result = np.empty((len(points), PAINT_SIZE), np.float32)
        skin = np.median(paint[self.rim], 0)
        result[:] = skin
        dressed = along > clothes.neckline_mm
        stripe = clothes.stripes_mm > 0 and rng.uniform() < 0.8
        odd = (points[:, 1] // max(clothes.stripes_mm, 1)) % 2 == 1 if stripe else np.zeros(len(points), bool)
        folds = np.exp(0.12 * rng.normal(size=len(points)))[:, None]
        cloth = np.where(odd[:, None], clothes.second, clothes.colour) * folds
        result[dressed, :3] = cloth[dressed]
        result[dressed, 3:] = (0.08, 6, 0.1, 0.1, 0.1)
        return points, triangles, result

    def body(self, person: Person, expression: np.ndarray | None, rng: np.random.Generator) -> tuple[np.ndarray, Body]:
        """Let a person make a face.

        Returns:
            vertices (V, 3) of the head, and the body to be photographed, whose first V vertices they are.
        """
        anatomy = self.anatomy
        head = self.population.vertices(person.shape, expression)
        torso, torso_triangles, torso_paint = person.torso
        eyes = np.stack([_middle(head[anatomy.eye == side]) for side in (1, 2)])
        gaze = np.array([rng.normal(0, 0.1), rng.normal(0, 0.06), 1.0])
        bumpy = self.normals(head) + person.bump * (anatomy.eye == 0)[:, None]
        torso_normals = mesh_normals(torso.astype(np.float32), torso_triangles)
        blank = np.zeros(len(torso), np.uint8)
        return head, Body(
            vertices=np.concatenate((head, torso)).astype(np.float32),
            triangles=np.concatenate((anatomy.triangles, torso_triangles + len(head))),
            normals=np.concatenate((bumpy, torso_normals)),
            paint=np.concatenate((person.paint, torso_paint)),
            openness=np.concatenate((self.openness, np.full(len(torso), 0.75, np.float32))),
            labels=np.concatenate((anatomy.labels, blank)),
            eye=np.concatenate((anatomy.eye, blank)),
            eyes=eyes.astype(np.float32),
            gaze=(gaze / np.linalg.norm(gaze)).astype(np.float32),
            iris=person.iris,
        )

    def hair(self, person: Person) -> Hair | None:
        """The hair of a person, to be photographed."""
        shell, style = person.shell, person.style
        if shell is None:
            return None
        points = shell.vertices.astype(np.float32)
        normals = mesh_normals(points, shell.triangles)
        cap = style.kind == "cap"
        return Hair(
            vertices=points,
            triangles=shell.triangles,
            normals=normals,
            texture=shell.texture,
            cover=shell.cover,
            strands=person.strands,
            colour=style.colour,
            ragged=0.0 if cap else 0.8,
            gloss=0.05 if cap else 0.5 * (1 - 0.6 * style.curl),
            band=person.band,
            band_colour=style.band_colour,
        )


def _fairness(albedo: np.ndarray) -> float:
    """How fair a skin is, 0 to 1, from sRGB-encoded colours (N, 3): fair people have light eyes and hair more often."""
    return float(np.clip((np.median(albedo, 0).mean() - 0.45) / 0.25, 0, 1))


def _middle(points: np.ndarray) -> np.ndarray:
    """Middle of the bounding box of points (N, 3): an eyeball's mean is no centre, as its front is denser."""
    return (points.min(0) + points.max(0)) / 2


def shadow_of(light: Light, body: Body, hair: Hair | None) -> Shadow:
    """Shadow map of the first source of a light."""
    meshes = [(body.vertices, body.triangles)]
    if hair is not None:
        solid = (hair.cover[hair.triangles] > 0.3).all(1)
        meshes.append((hair.vertices, hair.triangles[solid]))
    return cast_shadow(light.directions[0], meshes)


def _rim(anatomy: Anatomy) -> np.ndarray:
    """Vertices of the open edge at the neck."""
    edges = np.sort(anatomy.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    open_vertices = np.unique(unique[counts == 1])
    chin = anatomy.reference[anatomy.landmarks_68[8], 1]
    low = anatomy.reference[open_vertices, 1] < chin + 5
    return open_vertices[low & anatomy.outer[open_vertices]]


def _sky(anatomy: Anatomy) -> np.ndarray:
    """(V,) cosine-weighted share of the sky that each vertex of the mean head sees (ambient occlusion)."""
    points = anatomy.reference.astype(np.float32)
    normals = mesh_normals(points, anatomy.triangles)
    index = np.arange(SKY_DIRECTIONS) + 0.5
    polar, turn = np.arccos(1 - 2 * index / SKY_DIRECTIONS), np.pi * (1 + 5**0.5) * index
    directions = np.stack((np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)), 1)
    seen, total = np.zeros(len(points), np.float32), np.full(len(points), 1e-3, np.float32)
    for direction in directions:
        cosine = np.clip(normals @ direction, 0, 1).astype(np.float32)
        seen += cosine * cast_shadow(direction, [(points, anatomy.triangles)]).lit(points)
        total += cosine
    return seen / total
