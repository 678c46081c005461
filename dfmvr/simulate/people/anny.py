"""The population of the default face model: heads of the generator that `dfmvr face_model` writes.

Photographs show the generator's mesh one subdivision coarser (edges of 2 mm, its vertices lie on the fine surface)
unless they are large; scans always measure the finest.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dfmvr.conventions import CLASSES
from dfmvr.face_model.anny.albedo import AlbedoMaps, AlbedoSampler
from dfmvr.face_model.anny.head import PARTS
from dfmvr.face_model.anny.heads import HeadGenerator
from dfmvr.face_model.anny.labels import HAIR
from dfmvr.simulate.people.person import Anatomy, Surface

FINE_FROM_PX = 360
"""Height of a photograph from which its pixels are finer than the coarser mesh."""


class Heads:
    """A `people.Population` drawn from a HeadGenerator.

    Args of the constructor: `path` of heads.npz; `photo_height_px`, which decides how fine a mesh photographs need;
    `hidden`, whether heads also vary in ways that the face model built from the same source has never seen.

    Raises:
        DataError: the file is missing or broken.
    """

    def __init__(self, path: Path | str, photo_height_px: int = 256, hidden: bool = True) -> None:
        generator = HeadGenerator.load(path)
        generator.targets = generator.targets.astype(np.float32, copy=False)
        self.generator, self.hidden = generator, hidden
        triangles = generator.triangles.astype(np.int64)
        if photo_height_px < FINE_FROM_PX:
            triangles = coarser(triangles)
        marks = np.concatenate((generator.landmarks_68, generator.landmarks_106))
        self._rows = np.union1d(np.unique(triangles), marks)
        self._matrix = generator.subdivision[self._rows].astype(np.float32)
        maps = generator.albedo_sampler.maps
        self._albedo = AlbedoSampler(AlbedoMaps(*(np.asarray(field)[self._rows] for field in maps)))
        self.anatomy = self._make_anatomy(triangles)
        self._face_triangles = _within(generator.triangles, generator.face_index, len(generator.labels))
        self._hair = generator.labels == HAIR
        self._mouth = generator.labels == CLASSES.index("mouth")

    def _make_anatomy(self, triangles: np.ndarray) -> Anatomy:
        """Describe the mean head, on the mesh of the photographs."""
        generator, rows = self.generator, self._rows
        place = np.full(len(generator.labels), -1)
        place[rows] = np.arange(len(rows))
        labels, part = generator.labels[rows], generator.part[rows]
        sockets = np.isin(labels, [CLASSES.index(name) for name in ("left_eye", "right_eye", "mouth")])
        left, right = PARTS.index("left_eye"), PARTS.index("right_eye")
        return Anatomy(
            reference=(self._matrix @ generator.reference).astype(np.float32),
            triangles=place[triangles],
            labels=np.where(labels < len(CLASSES), labels, 0).astype(np.uint8),
            outer=(part == PARTS.index("skin")) & ~sockets,
            scalp=np.asarray(generator.albedo_sampler.maps.hair)[rows],
            eye=np.select([part == left, part == right], [1, 2], 0).astype(np.uint8),
            landmarks_68=place[generator.landmarks_68],
            landmarks_106=place[generator.landmarks_106],
        )

    def draw_shape(self, rng: np.random.Generator) -> np.ndarray:
        """Draw the coefficients of one head."""
        return self.generator.sample_identity(rng, hidden=self.hidden).astype(np.float32)

    def _base(self, shape: np.ndarray, expression: np.ndarray | None) -> np.ndarray:
        """Vertices of the unsubdivided head."""
        points = self.generator.base_vertices(shape)
        if expression is not None:
            points = points + np.tensordot(expression.astype(np.float32), self.generator.expression, 1)
        return points.astype(np.float32)

    def vertices(self, shape: np.ndarray, expression: np.ndarray | None) -> np.ndarray:
        """Vertices (V, 3) mm of a head; None is neutral."""
        return self._matrix @ self._base(shape, expression)

    def surface(self, shape: np.ndarray, expression: np.ndarray | None) -> Surface:
        """The same head as the finest mesh, for scanning."""
        generator = self.generator
        points = generator.vertices(shape, expression)
        place = np.full(len(points), -1)
        place[generator.face_index] = np.arange(len(generator.face_index))
        return Surface(
            vertices=points,
            triangles=generator.triangles.astype(np.int64),
            hair=self._hair,
            mouth=self._mouth,
            landmarks=points[generator.landmarks_106],
            face=points[generator.face_index],
            face_triangles=self._face_triangles,
            keypoints=place[generator.landmarks_106],
        )

    def draw_albedo(self, rng: np.random.Generator) -> np.ndarray:
        """Draw sRGB-encoded colours (V, 3)."""
        return self._albedo.sample(rng, details=True)

    def draw_expression(self, rng: np.random.Generator, number: int) -> np.ndarray | None:
        """Draw an expression; number 0 is neutral."""
        return None if number == 0 else self.generator.sample_expression(rng, "random")

    def blend_expression(self, rng: np.random.Generator, shares: Mapping[str, float]) -> np.ndarray | None:
        """Draw the weighted sum of expressions named in `face_model.expressions.KINDS`; of none, neutral."""
        drawn = [share * self.generator.sample_expression(rng, kind) for kind, share in shares.items()]
        return np.sum(drawn, 0) if drawn else None


def coarser(triangles: np.ndarray) -> np.ndarray:
    """Undo the last subdivision of triangles (4 F, 3) made by `geometry.subdivision`: (F, 3).

    Each triangle was split into three at its corners and one in the middle, in this order.
    """
    return np.stack((triangles[0::4, 0], triangles[1::4, 1], triangles[2::4, 2]), -1)


def _within(triangles: np.ndarray, index: np.ndarray, count: int) -> np.ndarray:
    """Triangles whose corners are all among the vertices `index`, counted within `index`."""
    place = np.full(count, -1)
    place[index] = np.arange(len(index))
    inside = place[triangles]
    return inside[(inside >= 0).all(1)]
