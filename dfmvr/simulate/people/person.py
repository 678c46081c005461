"""People: heads drawn from a population, with skin, hair and clothes, and the faces that they make."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfmvr.colour import decode_srgb
from dfmvr.geometry.normals import mesh_normals
from dfmvr.geometry.surface import open_boundary
from dfmvr.simulate.people.clothes import Torso, draw_clothes, dress
from dfmvr.simulate.people.hair import HairStyle, band_plane, draw_hair, draw_strands, draw_tousle, grow
from dfmvr.simulate.people.population import Anatomy, HeadSource
from dfmvr.simulate.people.scalp import Scalp
from dfmvr.simulate.people.skin import paint_skin
from dfmvr.simulate.studio.photograph import BAND_MM, Hair, Sitter, cast_shadow
from dfmvr.simulate.studio.scanner import HeadSurface

SKY_DIRECTIONS = 20
IRISES = ((0.035, 0.016, 0.008), (0.08, 0.04, 0.015), (0.12, 0.1, 0.04), (0.12, 0.17, 0.24), (0.16, 0.2, 0.17))


class Person(NamedTuple):
    """One person, apart from the expression."""

    shape: np.ndarray  # coefficients of the population
    paint: np.ndarray  # (V, 8) see light.PAINT_SIZE
    bump: np.ndarray  # (V, 3) unevenness of the skin, added to normals
    iris: np.ndarray  # (3,) linear RGB
    style: HairStyle
    hair: Hair | None
    torso: Torso


class People:
    """A population, and all that is computed once to draw people from it."""

    def __init__(self, population: HeadSource) -> None:
        self.population, self.anatomy = population, population.anatomy
        self._scalp = Scalp(self.anatomy)
        self._rim = _rim(self.anatomy)
        self._openness = _sky(self.anatomy)

    def draw_person(self, rng: np.random.Generator) -> Person:
        """Draw a person."""
        anatomy, shape = self.anatomy, self.population.draw_shape(rng)
        head = self.population.vertices(shape, None)
        albedo = self.population.draw_albedo(rng)
        style = draw_hair(rng, _median_light(albedo[anatomy.scalp > 0.9]))
        bald = style.kind == "bald"
        brow = anatomy.reference[anatomy.landmarks_68[17:27], 1].max()
        forehead = (anatomy.labels == 1) & (anatomy.scalp < 0.01) & (anatomy.reference[:, 1] > brow + 8)
        paint = paint_skin(anatomy, albedo, _median_light(albedo[forehead]) if bald else None, rng)
        tousle = None if bald else draw_tousle(rng)
        clothes = draw_clothes(rng)
        bump = rng.normal(0, rng.uniform(0.02, 0.08), size=head.shape)
        band = band_plane(style, head[anatomy.landmarks_68], rng)
        if style.band == "round":
            on_band = np.abs(head @ band[:3] + band[3]) < BAND_MM
            paint[on_band & anatomy.outer & ~self._scalp.ear] = (*style.band_colour, 0.05, 6, 0.1, 0.1, 0.1)
        light_eyes = 0.45 * _fairness(albedo[anatomy.outer])
        chances = [0.7 - light_eyes, 0.3 - light_eyes / 3, light_eyes / 3, 2 * light_eyes / 3, light_eyes / 3]
        iris = np.array(IRISES[rng.choice(5, p=chances)]) * np.exp(rng.normal(0, 0.25))
        torso = dress(head[self._rim], np.median(paint[self._rim], 0), clothes, rng)
        strands = draw_strands(style, rng)
        hair = None if bald else grow(style, self._scalp, head, tousle, strands, band)
        return Person(shape, paint, bump, iris.astype(np.float32), style, hair, torso)

    def draw_bareheaded(self, rng: np.random.Generator) -> Person:
        """Draw a person who wears nothing on the head, as many laboratories ask."""
        while True:
            person = self.draw_person(rng)
            if person.style.kind != "cap" and not person.style.band:
                return person

    def pose(self, person: Person, expression: np.ndarray | None, rng: np.random.Generator) -> Sitter:
        """Let a person make a face and look about ahead."""
        anatomy, torso = self.anatomy, person.torso
        head = self.population.vertices(person.shape, expression)
        eyeballs = (head[anatomy.eye == side] for side in (1, 2))
        gaze = np.array([rng.normal(0, 0.1), rng.normal(0, 0.06), 1.0])
        bumpy = mesh_normals(head, anatomy.triangles) + person.bump * (anatomy.eye == 0)[:, None]
        blank = np.zeros(len(torso.vertices), np.uint8)
        return Sitter(
            vertices=np.concatenate((head, torso.vertices)).astype(np.float32),
            triangles=np.concatenate((anatomy.triangles, torso.triangles + len(head))),
            normals=np.concatenate((bumpy, torso.normals)),
            paint=np.concatenate((person.paint, torso.paint)),
            openness=np.concatenate((self._openness, np.full(len(blank), 0.75, np.float32))),
            labels=np.concatenate((anatomy.labels, blank)),
            eye=np.concatenate((anatomy.eye, blank)),
            # their mean is no centre, as their front is denser
            eyes=np.stack([(points.min(0) + points.max(0)) / 2 for points in eyeballs]).astype(np.float32),
            gaze=(gaze / np.linalg.norm(gaze)).astype(np.float32),
            iris=person.iris,
            hair=person.hair,
            landmarks=head[anatomy.landmarks_68],
            keypoints=head[anatomy.landmarks_106],
        )

    def surface(self, person: Person, expression: np.ndarray | None) -> HeadSurface:
        """The true surface of a person's head, for scanning."""
        fine, vertices = self.population.fine, self.population.fine_vertices(person.shape, expression)
        hidden = fine.mouth | (fine.hair & (person.hair is not None))
        return HeadSurface(vertices, fine.triangles, hidden, vertices[fine.keypoints])


def _median_light(albedo: np.ndarray) -> np.ndarray:
    """Median (3,) linear RGB of sRGB-encoded colours (N, 3)."""
    return decode_srgb(np.median(albedo, 0).astype(np.float32))


def _fairness(albedo: np.ndarray) -> float:
    """How fair a skin is, 0 to 1, from sRGB-encoded colours (N, 3): fair people have light eyes and hair more often."""
    return float(np.clip((np.median(albedo, 0).mean() - 0.45) / 0.25, 0, 1))


def _rim(anatomy: Anatomy) -> np.ndarray:
    """Vertices of the open edge at the neck."""
    low = anatomy.reference[:, 1] < anatomy.reference[anatomy.landmarks_68[8], 1] + 5  # than the chin
    return np.flatnonzero(open_boundary(anatomy.triangles, len(low)).vertices & low & anatomy.outer)


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
