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
from dfmvr.face_model.anny.heads import HeadGenerator
from dfmvr.face_model.anny.parts import HAIR, PARTS
from dfmvr.simulate.people.population import Anatomy, fine_mesh

FINE_FROM_PX = 360
"""Height of a photograph from which its pixels are finer than the coarser mesh."""


class AnnyHeads:
    """A `HeadSource` drawn from a HeadGenerator, which also varies in ways that its face model has never seen.

    Args of the constructor: `path` of heads.npz; `photo_height_px`, which decides how fine a mesh photographs need.

    Raises:
        DataError: the file is missing or broken.
    """

    def __init__(self, path: Path | str, photo_height_px: int = 256) -> None:
        generator = self.generator = HeadGenerator.load(path)
        generator.targets = generator.targets.astype(np.float32, copy=False)
        triangles = fine = generator.triangles.astype(np.int64)
        if photo_height_px < FINE_FROM_PX:
            triangles = coarser(triangles)
        rows = np.union1d(triangles, np.concatenate((generator.landmarks_68, generator.landmarks_106)))
        self._matrix = generator.subdivision[rows].astype(np.float32)
        maps = generator.albedo_sampler.maps
        self._albedo = AlbedoSampler(AlbedoMaps(*(np.asarray(field)[rows] for field in maps)))
        self.anatomy = self._make_anatomy(triangles, rows)
        hair, mouth = generator.labels == HAIR, generator.labels == CLASSES.index("mouth")
        self.fine = fine_mesh(fine, hair, mouth, generator.landmarks_106, generator.face_index)

    def _make_anatomy(self, triangles: np.ndarray, rows: np.ndarray) -> Anatomy:
        """Describe the mean head, on the mesh of the photographs, whose vertices are `rows` of the finest."""
        generator = self.generator
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
        return self.generator.sample_identity(rng, hidden=True).astype(np.float32)

    def draw_albedo(self, rng: np.random.Generator) -> np.ndarray:
        """Draw sRGB-encoded colours (V, 3)."""
        return self._albedo.sample(rng, details=True)

    def draw_expression(self, rng: np.random.Generator, shares: Mapping[str, float]) -> np.ndarray | None:
        """Draw the weighted sum of expressions named in `face_model.expressions.KINDS`; of none, None: neutral."""
        drawn = [share * self.generator.sample_expression(rng, kind) for kind, share in shares.items()]
        return np.sum(drawn, 0) if drawn else None

    def vertices(self, shape: np.ndarray, expression: np.ndarray | None) -> np.ndarray:
        """Vertices (V, 3) mm of a head; None is neutral."""
        points = self.generator.base_vertices(shape)
        if expression is not None:
            points = points + np.tensordot(expression.astype(np.float32), self.generator.expression, 1)
        return self._matrix @ points.astype(np.float32)

    def fine_vertices(self, shape: np.ndarray, expression: np.ndarray | None) -> np.ndarray:
        """Vertices (W, 3) mm of the same head on the finest mesh, for scanning."""
        return self.generator.vertices(shape, expression)


def coarser(triangles: np.ndarray) -> np.ndarray:
    """Undo the last subdivision of triangles (4 F, 3) made by `geometry.subdivision`: (F, 3).

    Each triangle was split into three at its corners and one in the middle, in this order.
    """
    return np.stack((triangles[0::4, 0], triangles[1::4, 1], triangles[2::4, 2]), -1)
