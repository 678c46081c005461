"""An avatar on the page that shows faces."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dfmvr.colour import encode_srgb
from dfmvr.geometry.meshes import Mesh
from dfmvr.geometry.textured import Texture
from dfmvr.reconstruct.avatar.avatar import EYES, Avatar, Part
from dfmvr.reconstruct.avatar.glb import Paint
from dfmvr.reconstruct.export.viewer import ShownPart

_EYE_GLOSS = 0.8


def shown_avatar(avatar: Avatar, paints: Mapping[str, Paint]) -> tuple[list[ShownPart], dict[str, float]]:
    """Parts and strengths for `dfmvr.reconstruct.export.viewer.write_viewer`."""
    return [_shown(part, paints[part.name]) for part in avatar.parts], avatar.weights


def _shown(part: Part, paint: Paint) -> ShownPart:
    vertices = part.vertices.astype(np.float64)
    if paint.image is not None:
        mesh = Mesh(vertices, part.triangles, texture=Texture(paint.image, part.unwrapping))
    else:
        mesh = Mesh(vertices, part.triangles, np.tile(encode_srgb(np.array(paint.colour)), (len(vertices), 1)))
    return ShownPart(mesh, part.targets, paint.image is None, _EYE_GLOSS if part.name in EYES else 0.0)
