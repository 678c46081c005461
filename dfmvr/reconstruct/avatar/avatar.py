"""What an avatar is: parts with morph targets, millimetres in the canonical frame, the face neutral.

Each part is a welded mesh, on which normals have no seams, with an unwrapping of its own: a file's vertices are the
rows of the unwrapping (`vertices[unwrapping.vertex]`, normals and targets alike). `dfmvr.reconstruct.avatar.head` has
`avatar_of(face: Reconstruction) -> Avatar`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfmvr.geometry.textured import Unwrapping

HEAD = "head"
"""The part that is skin: face, ears, scalp and neck, with the cavities of mouth, nose and eyes."""

EYES = ("eye_left", "eye_right")
"""The parts that are eyeballs, left and right the person's own."""

TEETH, TONGUE = ("teeth_upper", "teeth_lower"), "tongue"

PARTS = (HEAD, *EYES, *TEETH, TONGUE)
"""Names of the parts, in order."""


class Part(NamedTuple):
    """A mesh of its own of an avatar."""

    name: str  # of PARTS
    vertices: np.ndarray  # (V, 3) float32 mm, canonical frame, neutral face
    triangles: np.ndarray  # (F, 3) int64, counter-clockwise seen from outside
    unwrapping: Unwrapping  # of these triangles into an image of the part's own
    width_mm: float  # the length that this image's width stands for
    targets: dict[str, np.ndarray]  # (V, 3) float32 mm at full strength, by ARKit's name; only those that move it
    face: np.ndarray  # (V,) int64 the vertex of the face model that each vertex is, -1 where it is none
    labels: np.ndarray  # (V,) uint8, index into `dfmvr.face_model.anny.parts.HEAD_CLASSES`
    pivot: np.ndarray | None = None  # (3,) mm, the centre about which an eyeball turns


class Avatar(NamedTuple):
    """A head that moves."""

    parts: tuple[Part, ...]  # in the order of PARTS
    weights: dict[str, float]  # all 52 ARKit names in order, 0 to 1: the expression that the face was given

    @property
    def head(self) -> Part:
        """The skin."""
        return self.parts[0]
