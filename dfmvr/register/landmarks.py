"""Registration by the seven landmarks, and what they tell of a wrong unit, order or mesh, or a mirrored face."""

from __future__ import annotations

import itertools

import numpy as np

from dfmvr.conventions import ALIGNMENT_POINTS
from dfmvr.errors import DataError
from dfmvr.geometry.meshes import MM_PER_UNIT
from dfmvr.geometry.similarity import fit_similarity
from dfmvr.geometry.surface import Surface
from dfmvr.geometry.vectors import length
from dfmvr.register.icp import Registration

_OUTER_EYES_MM = 90.0  # ASSUME: distance of the outer eye corners of a person; only its power of ten is used.
_MIRRORED_MM = 4.0  # ASSUME: seven landmarks of a face fit those of another to better than this (RMS).
TYPICAL = np.array(
    [(-44, 36, -2), (-18, 34, 2), (18, 34, 2), (44, 36, -2), (0, -4, 35), (-25, -37, 10), (25, -37, 10)], float
)
"""ASSUME: (7, 3) mm, the points of a face in general: the mean of the face model that ships, rounded."""

_UNLIKE_MM = 8.0  # ASSUME: RMS from `TYPICAL` above which an order that fits far better is believed, not the names.
_NO_FACE_MM = 15.0  # ASSUME: RMS from `TYPICAL` of what is no face; shapes and expressions reach 9 mm.
_BESIDE = 0.25  # ASSUME: a landmark is nearer to its surface than this share of the outer eye corners' distance.
_EXCHANGED = (3, 2, 1, 0, 4, 6, 5)  # left and right
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
        power = _power_of_size(size)
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
        faces = {"prediction": prediction, "ground truth": truth}
        likely = max(faces, key=lambda name: _unlike_face(faces[name]))
        raise DataError(
            f"the landmarks fit the scan to {proper:.1f} mm, their mirror image to {mirrored:.1f} mm: the {likely} "
            "is mirrored, or the names left and right are exchanged (right is the person's right)"
        )


def _unlike_face(landmarks: np.ndarray) -> np.ndarray:
    """Root mean square distance of landmarks (..., 7, 3) from `TYPICAL` ones, after the best similarity, mm."""
    centred, typical = landmarks - landmarks.mean(-2, keepdims=True), TYPICAL - TYPICAL.mean(0)
    left, along, right = np.linalg.svd(np.swapaxes(centred, -1, -2) @ typical)
    along[..., -1] *= np.sign(np.linalg.det(left) * np.linalg.det(right))  # no reflection
    explained = along.sum(-1) ** 2 / np.maximum((centred**2).sum((-1, -2)), 1e-30)
    return np.sqrt(np.maximum((typical**2).sum() - explained, 0) / len(typical))


def check_order(landmarks: np.ndarray, where: str) -> None:
    """Refuse landmarks (7, 3) of any unit that are no face's, or of a face in another order than their names tell.

    A mirrored face passes: two of them can be compared.

    Raises:
        DataError: they are not those of a face, or would be in another order.
    """
    found = min(_unlike_face(landmarks), _unlike_face(landmarks[list(_EXCHANGED)]))
    if found <= _UNLIKE_MM:
        return
    orders = np.array(list(itertools.permutations(range(len(landmarks)))))
    unlike = _unlike_face(landmarks[orders])
    best, order = unlike.min(), orders[unlike.argmin()]
    if best < 0.6 * found:
        wrong = [f"{ALIGNMENT_POINTS[i]} is called {ALIGNMENT_POINTS[k]}" for i, k in enumerate(order) if i != k]
        raise DataError(
            f"{where}: the landmarks are in another order than their names tell: likely {', '.join(wrong)} (they are "
            f"{found:.0f} mm from a face's, and then {best:.0f}); right is the person's right"
        )
    if found > _NO_FACE_MM:
        raise DataError(
            f"{where}: the landmarks are not those of a face (they are {found:.0f} mm from a face's of the same size "
            f"and pose); check the numbers and the names {', '.join(ALIGNMENT_POINTS)}"
        )


def check_belonging(surface: Surface, landmarks: np.ndarray, where: str, option: str, units: tuple[str, str]) -> None:
    """Refuse landmarks (7, 3) mm that are not those of their surface, and say what is likely.

    Args:
        surface: of the mesh, mm.
        landmarks: in mm.
        where: the mesh, for the messages.
        option: that names it, such as `--prediction`; with `-unit` and `-landmarks-unit` those of the units.
        units: in which mesh and landmarks were taken to be.
    Raises:
        DataError: a landmark is far from the surface.
    """
    size = _eye_distance(landmarks)
    away = length(surface.closest(landmarks).points - landmarks)
    if away.max() <= _BESIDE * size:
        return
    farthest = f"{ALIGNMENT_POINTS[away.argmax()]} is {away.max():.4g} mm from the surface"
    likely = _likely_change(surface, landmarks)
    if likely is None:
        raise DataError(
            f"{where}: the landmarks are not those of this mesh: {farthest}; one of the two is of another face, or "
            "was moved since"
        )
    factor, axes = likely
    hints = []
    if factor != 1:
        # the landmarks tell how large they should be, and the factor how large the mesh
        right = 10.0 ** -_power_of_size(size)
        lengths = MM_PER_UNIT[units[0]] * right / factor, MM_PER_UNIT[units[1]] * right
        names = [
            next((n for n, mm in MM_PER_UNIT.items() if np.isclose(mm, found)), "another one") for found in lengths
        ]
        hints.append(f"set {option}-unit to {names[0]} and {option}-landmarks-unit to {names[1]}")
    if axes != "x, y, z":
        hints.append(f"export both with the same axes (those of the mesh are {axes} of the landmarks)")
    raise DataError(
        f"{where}: the landmarks do not lie on this mesh: {farthest}; they would if you {' and '.join(hints)}"
    )


def _likely_change(surface: Surface, landmarks: np.ndarray) -> tuple[float, str] | None:
    """A factor and an exchange of axes by which landmarks (7, 3) come to lie on a surface; None if there are none.

    The simplest: neither before either alone, these before both.
    """
    changes = []
    for order, signs in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
        axes = ", ".join("-" * (sign < 0) + "xyz"[axis] for axis, sign in zip(order, signs, strict=True))
        changes += [(10.0**power, axes, landmarks[:, order] * signs) for power in range(-6, 7)]
    changes.sort(key=lambda change: ((change[0] != 1) + (change[1] != "x, y, z"), change[1].count("-")))
    moved = np.concatenate([factor * points for factor, _, points in changes])
    away = length(surface.closest(moved).points - moved).reshape(len(changes), -1).max(1)
    for (factor, axes, _), distance in zip(changes, away, strict=True):
        if distance <= _BESIDE * factor * _eye_distance(landmarks):
            return factor, axes
    return None


def _landmark_rms(source: np.ndarray, target: np.ndarray) -> float:
    """Root mean square distance of the landmarks after the best similarity, mm."""
    residual = align_landmarks(source, target).apply(source) - target
    return float(np.sqrt((residual**2).sum(1).mean()))


def _power_of_size(size: float) -> int:
    """The power of ten by which a distance of outer eye corners is too large."""
    return round(np.log10(max(size, 1e-9) / _OUTER_EYES_MM))


def _eye_distance(landmarks: np.ndarray) -> float:
    """Distance of the outer eye corners, in the unit of the landmarks."""
    right, left = landmarks[_OUTER_EYES]
    return float(np.linalg.norm(right - left))
