"""What a prediction is compared with: the scan, its seven landmarks, its crop."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr.config.evaluation import ProtocolSection
from dfmvr.conventions import ALIGNMENT_IN_101, ALIGNMENT_POINTS, DROPPED_FROM_106
from dfmvr.datasets.manifest import TestSample
from dfmvr.errors import DataError
from dfmvr.geometry.meshes import Mesh, read_landmarks, read_mesh
from dfmvr.geometry.similarity import fit_similarity
from dfmvr.geometry.vectors import dot
from dfmvr.register.icp import Registration

_OUTER_EYES_MM = 90.0  # ASSUME: distance of the outer eye corners of a person; only its power of ten is used.
_MIRRORED_MM = 4.0  # ASSUME: seven landmarks of a face fit those of another to better than this (RMS).
_NOSE = ALIGNMENT_POINTS.index("nose_tip")
_EYES = [ALIGNMENT_POINTS.index(f"{which}_eye_{side}") for which in ("outer", "inner") for side in ("right", "left")]


class Target(NamedTuple):
    """What a prediction is compared with."""

    vertices: np.ndarray  # (N, 3) points of the scan, mm
    landmarks: np.ndarray  # (7, 3) mm, conventions.ALIGNMENT_POINTS
    landmarks_101: np.ndarray | None = None  # (101, 3) mm, for those who have them
    triangles: np.ndarray | None = None  # (M, 3), where the scan is drawn
    registered: Mesh | None = None  # the same face in the topology of some face model: its vertices correspond


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
        "ground truth": float(np.linalg.norm(truth[_EYES[0]] - truth[_EYES[1]])),
        "prediction": float(np.linalg.norm(prediction[_EYES[0]] - prediction[_EYES[1]])),
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


def crop(target: Target, protocol: ProtocolSection) -> np.ndarray:
    """Take the points (n, 3) of the scan that the protocol evaluates, mm; see `inside_crop`."""
    return target.vertices[inside_crop(target, protocol)]


def inside_crop(target: Target, protocol: ProtocolSection) -> np.ndarray:
    """Tell which points (N,) of the scan the protocol evaluates.

    Raises:
        DataError: hardly any.
    """
    centre, radius = crop_sphere(target, protocol)
    inside = in_sphere(target.vertices, centre, radius)
    if inside.sum() < len(ALIGNMENT_POINTS):
        raise DataError(
            f"the scan has {inside.sum()} points within {radius:.0f} mm of the centre of the face; check that its "
            "landmarks and vertices share one frame and unit"
        )
    return inside


def crop_sphere(target: Target, protocol: ProtocolSection) -> tuple[np.ndarray, float]:
    """Centre (3,) and radius, mm, of what the protocol evaluates.

    Source: `face_sphere` is the crop of the authors' released code, after the NoW benchmark, with the nose tip in
    place of the nose bottom: centre 0.3 of the way from there to the bridge (between the inner eye corners), radius
    1.4 times the mean of the outer eye distance and the nose length.
    """
    nose = target.landmarks[_NOSE]
    if protocol.crop == "nose_sphere":
        return nose, protocol.crop_radius_mm
    outer_right, outer_left, inner_right, inner_left = target.landmarks[_EYES]
    to_bridge = (inner_right + inner_left) / 2 - nose
    radius = 1.4 * (np.linalg.norm(outer_right - outer_left) + np.linalg.norm(to_bridge)) / 2
    return nose + 0.3 * to_bridge, float(radius)


def in_sphere(points: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    """Tell which points (N, 3) lie in a sphere."""
    away = points - centre
    return dot(away, away) <= radius**2


class Targets:
    """Reads the scans of samples; several samples in a row that share one get the same object.

    Args of the constructor: `meshes`, folder of <stem>.ply and <stem>.landmarks.csv, what `dfmvr mesh` makes of range
    images (.bnt).
    """

    def __init__(self, meshes: Path | None = None) -> None:
        self.meshes = meshes
        self._last: tuple[Path, Target] | None = None

    def read(self, sample: TestSample) -> Target:
        """Read the scan and landmarks of a sample.

        Raises:
            DataError: the sample was set aside, has no scan, or its scan is broken or lacks landmarks.
        """
        if sample.reason:
            raise DataError(sample.reason)
        if sample.scan is None:
            raise DataError("the sample has no scan; copy it from the data set again")
        if self._last is None or self._last[0] != sample.scan:
            target = self._read_mesh(sample.scan) if sample.scan.suffix == ".bnt" else _read_annotated(sample.scan)
            check_target(target, str(sample.scan))
            self._last = sample.scan, target
        return self._last[1]

    def _read_mesh(self, scan: Path) -> Target:
        """Read the mesh that was made of a range image."""
        if self.meshes is None:
            raise DataError(f"{scan}: a range image; run `dfmvr mesh` and name its folder with --scans")
        path = self.meshes / f"{scan.stem}.ply"
        mesh = read_mesh(path)
        return Target(mesh.vertices, read_landmarks(path.with_suffix(".landmarks.csv")), None, mesh.triangles)


def _read_annotated(path: Path) -> Target:
    """Read a scan in the form of Pixel-Face."""
    from dfmvr.datasets.pixel_face.dataset import read_ground_truth

    truth = read_ground_truth(path)
    if truth.scan_landmarks_106 is None:
        raise DataError(f"{path}: expected 106 keypoints of the scan, found none; leave the sample out")
    landmarks = np.delete(np.asarray(truth.scan_landmarks_106, np.float64), DROPPED_FROM_106, 0)
    vertices = np.asarray(truth.scan_vertices, np.float64)
    registered = None
    if truth.registration_vertices is not None and truth.registration_triangles is not None:
        registered = Mesh(truth.registration_vertices, truth.registration_triangles)
    return Target(vertices, landmarks[list(ALIGNMENT_IN_101)], landmarks, truth.scan_triangles, registered)


def check_target(target: Target, where: str) -> None:
    """Check that all points and landmarks of a scan are finite.

    Raises:
        DataError: some are not.
    """
    broken = int((~np.isfinite(target.vertices).all(1)).sum())
    if broken:
        raise DataError(
            f"{where}: {broken} of {len(target.vertices)} points of the scan are not finite (NaN or infinite); "
            "remove them"
        )
    lost = [n for n, point in zip(ALIGNMENT_POINTS, target.landmarks, strict=True) if not np.isfinite(point).all()]
    if lost:
        raise DataError(f"{where}: the landmarks {', '.join(lost)} of the scan are not finite; annotate them")
