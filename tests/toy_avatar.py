"""An avatar of balls: a head with two eyes in front of it and three targets."""

import numpy as np
import trimesh

from dfmvr.geometry.textured import Unwrapping
from dfmvr.reconstruct.avatar.avatar import EYES, HEAD, Avatar, Part

NAMES = ("eyeBlinkLeft", "jawOpen", "mouthSmileLeft", "tongueOut")
"""Of its targets; the last moves nothing."""


def ball(name, radius, middle, targets=(), pivot=None):
    """A part of one sphere about `middle`; its targets name the direction and the height of what they move."""
    sphere = trimesh.creation.icosphere(3, radius)
    vertices = (sphere.vertices + middle).astype(np.float32)
    triangles = sphere.faces.astype(np.int64)
    uv = np.clip(sphere.vertices[:, :2] / (2 * radius) + 0.5, 0, 1)
    # the back has rows of its own
    behind = (sphere.vertices[triangles][..., 2] < -0.2 * radius).all(1)
    cut, numbers = np.unique(triangles[behind], return_inverse=True)
    rows = triangles.copy()
    rows[behind] = (len(vertices) + numbers).reshape(-1, 3)
    unwrapping = Unwrapping(np.concatenate((uv, uv[cut])), np.append(np.arange(len(vertices)), cut), rows)
    moved = {}
    for target, (place, direction) in dict(targets).items():
        near = np.exp(-np.square(vertices - place).sum(1) / (2 * (0.2 * radius) ** 2))
        moved[target] = (near[:, None] * direction).astype(np.float32)
    none, labels = np.full(len(vertices), -1), np.ones(len(vertices), np.uint8)
    return Part(name, vertices, triangles, unwrapping, 2 * radius, moved, none, labels, pivot)


def toy_avatar():
    """Eyes at +-30, 30 and 80 mm, a mouth at -40 mm; left is +x, the person's own."""
    targets = {
        "eyeBlinkLeft": ((30, 40, 75), (0, -8, 2)),
        "jawOpen": ((0, -45, 85), (0, -30, 0)),
        "mouthSmileLeft": ((30, -35, 80), (15, 12, 0)),
    }
    head = ball(HEAD, 100.0, np.zeros(3), targets)
    eyes = [
        ball(name, 14.0, np.array([x, 30.0, 88.0]), {}, np.array([x, 30.0, 88.0], np.float32))
        for name, x in zip(EYES, (30.0, -30.0), strict=True)
    ]
    strengths = (0.0, 0.25, 0.5, 0.0)
    return Avatar((head, *eyes), dict(zip(NAMES, strengths, strict=True)))
