"""Register predicted meshes to scans: a similarity of seven landmarks, then point-to-plane ICP (Sec. IV-A).

needs   meshes/<sample>.ply and .landmarks.csv   predictions, mm
        a manifest of an aligned data set        its test samples and their scans
        a folder of the scans' meshes            for scans that are range images (`dfmvr mesh`)
gives   <output>.npz                             prediction -> scan frame, one row a test sample; the arrays of the
                                                 protocol `paper` bear plain names, others end in `_<protocol>`
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dfmvr.config.evaluation import ProtocolSection, RegisterSection
from dfmvr.datasets.manifest import samples_to_test
from dfmvr.errors import DataError, DfmvrError, UnavailableError
from dfmvr.files import read_npz, write_npz
from dfmvr.geometry.meshes import read_landmarks, read_mesh
from dfmvr.geometry.surface import Boundary, Surface, open_boundary
from dfmvr.register.icp import Registration, icp
from dfmvr.register.target import (
    Target,
    Targets,
    align_landmarks,
    check_landmarks,
    crop,
)

log = logging.getLogger(__name__)

DEFAULT_PROTOCOL = "paper"
OK, SET_ASIDE = "ok", "set aside"


def register(
    surface: Surface,
    landmarks: np.ndarray,
    target: Target,
    protocol: ProtocolSection,
    iterations: int = 100,
    points: int = 5_000,
) -> Registration:
    """Register a prediction to a scan under one protocol.

    Args:
        surface: the prediction, mm (any unit if the protocol frees the scale).
        landmarks: (7, 3), its `conventions.ALIGNMENT_POINTS`.
        target: the scan.
        protocol: crop and degrees of freedom.
        iterations: steps of ICP at the most.
        points: of the scan that its last steps use; 0 takes all in the crop.
    Raises:
        DataError: wrong unit, mirrored, no scan in the crop, or hardly any of it covered.
    """
    check_landmarks(landmarks, target.landmarks, protocol.with_scale)
    start = align_landmarks(landmarks, target.landmarks, protocol.with_scale)
    return icp(surface, crop(target, protocol), start, protocol.with_scale, iterations, points)


class Surfaces:
    """Reads the predictions of one method, which share their topology, so that it is looked at only once."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; run `dfmvr reconstruct` first")
        self.folder = folder
        self._triangles = np.zeros((0, 3), np.int64)
        self._boundary: Boundary | None = None

    def read(self, sample: str) -> tuple[Surface, np.ndarray]:
        """Read the surface and the landmarks (7, 3), mm, of a sample's prediction.

        Raises:
            DataError: a file is missing or broken.
        """
        mesh = read_mesh(self.folder / f"{sample}.ply")
        landmarks = read_landmarks(self.folder / f"{sample}.landmarks.csv")
        if not np.array_equal(mesh.triangles, self._triangles):
            self._triangles, self._boundary = mesh.triangles, open_boundary(mesh.triangles, len(mesh.vertices))
        return Surface(mesh.vertices, mesh.triangles, self._boundary), landmarks


class Registrations:
    """The registrations of all test samples of one method on one data set, by protocol; `.npz` on disk."""

    def __init__(self, protocols: list[str]) -> None:
        self.protocols = protocols
        self.samples: list[str] = []
        self._found: dict[tuple[str, str], Registration] = {}
        self._reasons: dict[tuple[str, str], str] = {}

    def add(self, sample: str, protocol: str, result: Registration | str) -> None:
        """Note a registration or, if the sample is set aside, the reason."""
        if sample not in self.samples:
            self.samples.append(sample)
        if isinstance(result, str):
            self._reasons[sample, protocol] = result
        else:
            self._found[sample, protocol] = result

    def get(self, sample: str, protocol: str) -> Registration | str:
        """Look up a registration, or the reason why there is none."""
        missing = "not registered: register these meshes again with the same data set and protocols"
        return self._found.get((sample, protocol)) or self._reasons.get((sample, protocol), missing)

    def _reason(self, sample: str, protocol: str) -> str:
        result = self.get(sample, protocol)
        return result if isinstance(result, str) else ""

    def write(self, path: Path | str) -> None:
        """Write all as `.npz`; rows of samples set aside hold NaN."""
        nothing = Registration(np.nan, np.full((3, 3), np.nan), np.full(3, np.nan), False, np.zeros(0))
        arrays: dict[str, np.ndarray] = {
            "sample": np.array(self.samples, str),
            "protocol": np.array(self.protocols, str),
        }
        for protocol in self.protocols:
            rows = [self._found.get((sample, protocol), nothing) for sample in self.samples]
            reasons = [self._reason(sample, protocol) for sample in self.samples]
            history = np.full((len(rows), max([len(row.rmse_mm) for row in rows], default=0)), np.nan)
            for place, row in zip(history, rows, strict=True):
                place[: len(row.rmse_mm)] = row.rmse_mm
            columns = {
                "scale": np.array([row.scale for row in rows]),
                "rotation": np.array([row.rotation for row in rows]),
                "translation": np.array([row.translation for row in rows]),
                "converged": np.array([row.converged for row in rows]),
                "history": history,
                "status": np.array([SET_ASIDE if reason else OK for reason in reasons]),
                "reason": np.array(reasons, str),
            }
            arrays |= {_key(name, protocol): column for name, column in columns.items()}
        write_npz(path, **arrays)

    @classmethod
    def read(cls, path: Path | str) -> Registrations:
        """Read what `write` has written.

        Raises:
            DataError: the file is missing or lacks an array.
        """
        arrays = read_npz(path, "sample", "protocol", "scale", "rotation", "translation", "status", "reason")
        result = cls([str(name) for name in arrays["protocol"]])
        for protocol in result.protocols:
            column = {
                name: arrays[_key(name, protocol)]
                for name in ("scale", "rotation", "translation", "converged", "history", "reason")
            }
            for i, sample in enumerate(arrays["sample"]):
                history = column["history"][i]
                result.add(
                    str(sample),
                    protocol,
                    str(column["reason"][i])
                    or Registration(
                        float(column["scale"][i]),
                        column["rotation"][i],
                        column["translation"][i],
                        bool(column["converged"][i]),
                        history[np.isfinite(history)],
                    ),
                )
        return result


def _key(name: str, protocol: str) -> str:
    """Name an array of a protocol."""
    return name if protocol == DEFAULT_PROTOCOL else f"{name}_{protocol}"


def register_all(meshes: Path, manifest: Path, settings: RegisterSection, scans: Path | None = None) -> Registrations:
    """Register the predictions in a folder to the scans of a manifest's test samples, under all protocols.

    A sample with a broken scan, without a prediction, or that cannot be registered is set aside with its reason.
    """
    surfaces, targets, result = Surfaces(meshes), Targets(scans), Registrations(list(settings.protocols))
    before: tuple[Target, np.ndarray, str] | None = None
    for sample in tqdm(samples_to_test(manifest), desc="register", unit="sample", mininterval=1):
        try:
            target = targets.read(sample)
            surface, landmarks = surfaces.read(sample.sample)
        except UnavailableError:
            raise
        except DfmvrError as error:
            for name in settings.protocols:
                result.add(sample.sample, name, str(error))
            continue
        same = before is not None and before[0] is target and np.array_equal(before[1], surface.vertices)
        for name, protocol in settings.protocols.items():
            if same:  # as for a method that gives several samples of one scan the same answer
                result.add(sample.sample, name, result.get(before[2], name))
                continue
            try:
                found = register(surface, landmarks, target, protocol, settings.iterations, settings.points)
                result.add(sample.sample, name, found)
            except DataError as error:
                result.add(sample.sample, name, str(error))
        before = target, surface.vertices, sample.sample
    return result
