"""An avatar in plain colours: each part in the mean of the face model's albedo of it."""

from __future__ import annotations

import numpy as np

from dfmvr.colour import decode_srgb
from dfmvr.conventions import CLASSES
from dfmvr.reconstruct.avatar.avatar import HEAD, Avatar
from dfmvr.reconstruct.avatar.glb import Paint
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction


def plain_paints(face: Reconstruction, avatar: Avatar) -> dict[str, Paint]:
    """Paint the parts of a face's avatar; the tongue, which the model has not, is as the mouth about it."""
    linear, labels = decode_srgb(face.albedo), face.model.labels.numpy()
    paints = {}
    for part in avatar.parts:
        of_part = part.face[part.face >= 0]
        if part.name == HEAD:
            of_part = of_part[face.model.skin.numpy()[of_part]]
        elif not len(of_part):
            of_part = np.flatnonzero(labels == CLASSES.index("mouth"))
        red, green, blue = linear[of_part].mean(0).tolist()
        paints[part.name] = Paint(colour=(red, green, blue))
    return paints
