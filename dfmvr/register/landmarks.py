"""Registration by the seven landmarks, and what they tell of a wrong unit or a mirrored face."""

from __future__ import annotations

import numpy as np

from dfmvr.conventions import ALIGNMENT_POINTS
from dfmvr.errors import DataError
from dfmvr.geometry.similarity import fit_similarity
from dfmvr.register.icp import Registration

_OUTER_EYES_MM = 90.0  # ASSUME: distance of the outer eye corners of a person; only its power of ten is used.
_MIRRORED_MM = 4.0  # ASSUME: seven landmarks of a face fit those of another to better than this (RMS).
_OUTER_EYES = [ALIGNMENT_POINTS.index(f"outer_eye_{side}") for side in ("right", "left")]


def align_landmarks(source: np.ndarray, target: np.ndarray, with_scale: bool = True) -> Registration:
    """Similarity (or rigid motion) between the seven landmarks (7, 3) of a prediction and of its scan; Eq. 5."""
    return Registration(*fit_similarity(source, target, with_scale))


def check_landmarks(prediction: np.ndarray, truth: np.ndarray, with_scale: bool = True) -> None:
    """Refuse landmarks (7, 3) that betray a wrong unit or a mirrored face, which ICP would hide or make worse.

    Args:
        prediction, truth: (7, 3) mm.
        with_scale: False also refuses a prediction of another size, which no rigid motion can register.
    Raises:
        DataError: a size is off by a power of ten, or a mirror image fits far better than the face itself.
    """
    sizes = {
        "ground truth": _eye_distance(truth),
        "prediction": _eye_distance(prediction),
    }
    for name, size in sizes.items():
        option = f"--{name.replace(' ', '-')}-unit"
        power = round(np.log10(max(size, 1e-9) / _OUTER_EYES_MM))
        near = abs(np.log10(max(size, 1e-9) / _OUTER_EYES_MM) - power) < np.log10(2)
        # A prediction of no unit at all (a size that is no power of ten off) may still be scored with a free scale.
        if power and (near or name == "ground truth"):
            how = f"{10.0 ** abs(power):g} times too {'small' if power < 0 else 'large'}"
            raise DataError(
                f"the outer eye corners of the {name} are {size:.4g} mm apart, about {how}: its unit is another one; "
                f"set {option} to mm, cm, dm or m"
            )
    factor = sizes["prediction"] / sizes["ground truth"]
    if not with_scale and not 0.5 < factor < 2:
        raise DataError(
            f"the prediction is {factor:.3g} times as large as the scan, and this protocol keeps its size: give it in "
            "a unit of length (--prediction-unit), or read the protocols with a free scale only"
        )
    proper = _landmark_rms(prediction, truth)
    mirrored = _landmark_rms(prediction * (-1, 1, 1), truth)
    if proper > _MIRRORED_MM and mirrored < proper / 2:
        raise DataError(
            f"the landmarks fit the scan to {proper:.1f} mm, their mirror image to {mirrored:.1f} mm: the prediction "
            "is mirrored, or the names left and right are exchanged (right is the person's right)"
        )


def _landmark_rms(source: np.ndarray, target: np.ndarray) -> float:
    """Root mean square distance of the landmarks after the best similarity, mm."""
    residual = align_landmarks(source, target).apply(source) - target
    return float(np.sqrt((residual**2).sum(1).mean()))


def _eye_distance(landmarks: np.ndarray) -> float:
    """Distance of the outer eye corners, in the unit of the landmarks."""
    right, left = landmarks[_OUTER_EYES]
    return float(np.linalg.norm(right - left))
