"""Score one mesh against another: registration and distances under all protocols, in one go.

needs   two meshes with their seven landmarks (csv: name,x,y,z)
gives   <output>.json
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from dfmvr.config.evaluation import RegisterSection
from dfmvr.errors import ConfigError, DataError
from dfmvr.files import write_json
from dfmvr.geometry.meshes import MM_PER_UNIT, read_landmarks, read_mesh
from dfmvr.geometry.surface import Surface
from dfmvr.mesh.scan import FaceScan
from dfmvr.register.crop import crop
from dfmvr.register.landmarks import check_landmarks
from dfmvr.register.registrations import DEFAULT_PROTOCOL, OK, SET_ASIDE
from dfmvr.register.surface import register_surface
from dfmvr.score.distances import measure, statistic, summarise

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the command."""
    for name in ("prediction", "ground-truth"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="MESH", help="PLY, OBJ, GLB, STL or OFF")
        text = "name,x,y,z of the seven points"
        parser.add_argument(f"--{name}-landmarks", type=Path, required=True, metavar="CSV", help=text)
        text = "of mesh and landmarks (default: mm)"
        parser.add_argument(f"--{name}-unit", choices=MM_PER_UNIT, default="mm", help=text)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="scores, .json")


def main(args: argparse.Namespace, settings: RegisterSection) -> None:
    """Score one mesh against another."""
    if args.output.suffix != ".json":
        raise ConfigError(f"--output {args.output}: expected a name ending in .json")
    landmarks = args.prediction_landmarks, args.ground_truth_landmarks
    units = args.prediction_unit, args.ground_truth_unit
    result = score_two(args.prediction, args.ground_truth, landmarks, units, settings)
    write_json(args.output, result)
    for name, row in result["protocols"].items():
        log.info("%s: %s", name, f"{row['error_mm']:.4f} mm" if row["status"] == OK else row["reason"])


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
            errors = measure(surface, crop(scan, protocol), found)
        except DataError as error:
            protocols[name] = {"status": SET_ASIDE, "reason": str(error)}
            continue
        score = summarise(errors)
        protocols[name] = {
            "status": OK,
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
    if all(row["status"] == SET_ASIDE for row in protocols.values()):
        raise DataError(f"{prediction}: {protocols[DEFAULT_PROTOCOL]['reason']}")
    return {"prediction": str(prediction), "ground_truth": str(truth), "protocols": protocols}
