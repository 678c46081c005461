"""Measures of a population of heads, to compare with those of people, and of what the model can represent."""

from __future__ import annotations

import numpy as np

from dfmvr.face_model.anny.heads import HeadGenerator
from dfmvr.face_model.anny.parts import PARTS
from dfmvr.face_model.model import MorphableModel


def _zygion(generator: HeadGenerator) -> tuple[int, int]:
    """Vertices (right, left) of the mean head where the face is widest between eyes and nose, in front of the ears."""
    points = generator.subdivision @ generator.reference
    l68 = points[generator.landmarks_68]
    level = (points[:, 1] < l68[36, 1]) & (points[:, 1] > l68[33, 1])
    skin = np.flatnonzero(level & (generator.labels == 1) & (points[:, 2] > l68[1, 2]))
    return int(skin[points[skin, 0].argmin()]), int(skin[points[skin, 0].argmax()])


def anthropometry(heads: np.ndarray, generator: HeadGenerator) -> dict[str, list[float]]:
    """[mean, standard deviation] in mm, by name, of distances that are known of people, in base meshes (N, Vb, 3)."""
    l68, (right, left) = generator.landmarks_68, _zygion(generator)
    pairs = {
        "face_width": (right, left),
        "inner_eye_distance": (l68[39], l68[42]),
        "outer_eye_distance": (l68[36], l68[45]),
        "nasion_to_nose_tip": (l68[27], l68[30]),
        "nasion_to_subnasale": (l68[27], l68[33]),
        "nasion_to_chin": (l68[27], l68[8]),
        "nose_width": (generator.landmarks_106[80], generator.landmarks_106[81]),
        "mouth_width": (l68[48], l68[54]),
    }
    wanted = generator.subdivision[np.array([v for pair in pairs.values() for v in pair])]
    points = np.stack([wanted @ head for head in heads]).reshape(len(heads), -1, 2, 3)
    distances = dict(zip(pairs, np.linalg.norm(points[:, :, 0] - points[:, :, 1], axis=-1).T, strict=True))
    eyes = [heads[:, generator.base_part == PARTS.index(f"{side}_eye")].mean(1) for side in ("left", "right")]
    distances = {"interpupillary_distance": np.linalg.norm(eyes[0] - eyes[1], axis=1)} | distances
    return {name: [round(float(v.mean()), 2), round(float(v.std()), 2)] for name, v in distances.items()}


def spread(generator: HeadGenerator, model: MorphableModel, coefficients: list[np.ndarray]) -> dict[str, float]:
    """Distance of heads from the mean face and from the model's nearest face (least squares), vertex to vertex.

    The heads are given by their coefficients, from `sample_identity`; the distances are root mean squares over vertices
    and heads, mm.
    """
    mean = model.mean.numpy()
    basis = model.identity_basis.numpy().reshape(model.identity_size, -1).T
    shapes = np.stack([generator.vertices(c)[generator.face_index] - mean for c in coefficients])
    flat = shapes.reshape(len(shapes), -1).T
    rest = flat - basis @ np.linalg.lstsq(basis, flat, rcond=None)[0]
    rms = [float(np.sqrt(np.square(d.reshape(-1, 3, d.shape[1])).sum(1).mean())) for d in (flat, rest)]
    return {"mean_face": round(rms[0], 3), "model": round(rms[1], 3)}
