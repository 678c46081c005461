"""Score one mesh against another: registration and distances under all protocols, in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dfmvr.config.evaluation import ProtocolSection, RegisterSection
from dfmvr.errors import DataError
from dfmvr.geometry.meshes import read_landmarks, read_mesh
from dfmvr.geometry.surface import Surface
from dfmvr.mesh.scan import FaceScan
from dfmvr.register.crop import crop
from dfmvr.register.icp import Registration
from dfmvr.register.landmarks import check_landmarks
from dfmvr.register.registrations import DEFAULT_PROTOCOL, OK, SET_ASIDE
from dfmvr.register.surface import register_surface
from dfmvr.score.distances import measure, statistic, summarise


def score_two(
    prediction: Path, truth: Path, landmarks: tuple[Path, Path], units: tuple[str, str], settings: RegisterSection
) -> dict[str, Any]:
    """Register one mesh to another and score it, under all protocols.

    Args:
        prediction, truth: mesh files.
        landmarks: csv files of the prediction's and the truth's seven alignment points.
        units: unit of the prediction's and the truth's files, landmarks included: mm, cm, dm or m.
        settings: the protocols.
    Returns:
        What the JSON file holds; a protocol that cannot be computed has a status and a reason.
    Raises:
        DataError: a file is broken, a unit is wrong, the prediction is mirrored, or no protocol can be computed.
    """
    mesh, points = read_mesh(prediction, units[0]), read_landmarks(landmarks[0], units[0])
    scan = FaceScan(read_mesh(truth, units[1]).vertices, read_landmarks(landmarks[1], units[1]))
    check_landmarks(points, scan.landmarks)
    surface = Surface(mesh.vertices, mesh.triangles)
    protocols: dict[str, dict[str, Any]] = {}
    for name, protocol in settings.protocols.items():
        try:
            found = register_surface(surface, points, scan, protocol, settings.iterations, settings.points)
            protocols[name] = {"status": OK, **_two_row(surface, scan, found, protocol)}
        except DataError as error:
            protocols[name] = {"status": SET_ASIDE, "reason": str(error)}
    if all(row["status"] == SET_ASIDE for row in protocols.values()):
        raise DataError(f"{prediction}: {protocols[DEFAULT_PROTOCOL]['reason']}")
    return {
        "prediction": str(prediction),
        "ground_truth": str(truth),
        "protocols": protocols,
    }


def _two_row(surface: Surface, scan: FaceScan, found: Registration, protocol: ProtocolSection) -> dict[str, Any]:
    errors = measure(surface, crop(scan, protocol), found)
    score = summarise(errors)
    return {
        "error_mm": statistic(score, protocol),
        **score._asdict(),
        "coverage": errors.coverage,
        "scale": found.scale,
        "rotation": found.rotation.tolist(),
        "translation": found.translation.tolist(),
        "converged": found.converged,
        "rmse_history_mm": found.rmse_mm.tolist(),
        **protocol.model_dump(),
    }
