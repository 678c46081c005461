"""Score one mesh against another: registration and distances under all protocols, in one go.

needs   two meshes with their seven landmarks (name,x,y,z)
gives   <output>.json
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfmvr.config.evaluation import RegisterSection
from dfmvr.errors import ConfigError, DataError
from dfmvr.files import write_json
from dfmvr.geometry.meshes import MM_PER_UNIT, Unit, read_landmarks, read_mesh, unit_of
from dfmvr.geometry.surface import Surface, turned_share
from dfmvr.mesh.scan import FaceScan
from dfmvr.register.crop import crop
from dfmvr.register.landmarks import check_belonging, check_landmarks, check_order
from dfmvr.register.registrations import DEFAULT_PROTOCOL, OK, SET_ASIDE
from dfmvr.register.surface import register_surface
from dfmvr.score.distances import measure, statistic, summarise

log = logging.getLogger(__name__)


MOST_TURNED = 0.02
"""ASSUME: programs leave fewer edges between triangles of opposite sides; these change no error by 0.01 %."""


class MeshFiles(NamedTuple):
    """The files of a face."""

    mesh: Path
    landmarks: Path  # csv of the seven alignment points
    unit: Unit | None = None  # of the mesh; None is mm, and m for glTF, whose standard fixes it
    landmarks_unit: Unit | None = None  # None is that given for the mesh, else mm

    def read(self, option: str) -> tuple[Surface, np.ndarray]:
        """Read the surface and the landmarks (7, 3), both in mm.

        Args:
            option: that named the mesh, for the messages.
        Raises:
            DataError: a file is broken, or the landmarks are not those of a face or of this mesh.
        """
        mesh = read_mesh(self.mesh, self.unit)
        landmarks_unit = self.landmarks_unit or self.unit or "mm"
        landmarks = read_landmarks(self.landmarks, landmarks_unit)
        check_order(landmarks, str(self.landmarks))
        surface = Surface(mesh.vertices, mesh.triangles)
        units = unit_of(self.mesh, self.unit), landmarks_unit
        check_belonging(surface, landmarks, str(self.mesh), option, units)
        return surface, landmarks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the command."""
    for name in ("prediction", "ground-truth"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="MESH", help="PLY, OBJ, GLB, STL or OFF")
        text = "name,x,y,z of the seven points (default: MESH with the suffix .landmarks.csv)"
        parser.add_argument(f"--{name}-landmarks", type=Path, metavar="CSV", help=text)
        text = "of the mesh (default: mm, and m for GLB and glTF)"
        parser.add_argument(f"--{name}-unit", choices=MM_PER_UNIT, help=text)
        text = f"of the landmarks (default: what --{name}-unit says, else mm)"
        parser.add_argument(f"--{name}-landmarks-unit", choices=MM_PER_UNIT, help=text)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="scores, .json")


def _files(args: argparse.Namespace, name: str) -> MeshFiles:
    """The files of one of the two faces.

    Raises:
        ConfigError: its landmarks are not named, nor beside it.
    """
    mesh, named, *units = (getattr(args, name + what) for what in ("", "_landmarks", "_unit", "_landmarks_unit"))
    landmarks = named or mesh.with_suffix(".landmarks.csv")
    if named is None and mesh.is_file() and not landmarks.is_file():
        option = f"--{name.replace('_', '-')}-landmarks"
        raise ConfigError(f"{mesh}: no landmarks beside it ({landmarks.name}); name the file by {option}")
    return MeshFiles(mesh, landmarks, *units)


def main(args: argparse.Namespace, settings: RegisterSection) -> None:
    """Score one mesh against another."""
    if args.output.suffix != ".json":
        raise ConfigError(f"--output {args.output}: expected a name ending in .json")
    prediction, truth = (_files(args, name) for name in ("prediction", "ground_truth"))
    result = score_two(prediction, truth, settings)
    write_json(args.output, result)
    for name, row in result["protocols"].items():
        log.info("%s: %s", name, f"{row['error_mm']:.4f} mm" if row["status"] == OK else row["reason"])


def score_two(prediction: MeshFiles, truth: MeshFiles, settings: RegisterSection) -> dict[str, Any]:
    """Register one mesh to another and score it, under all protocols.

    Args:
        prediction, truth: the files.
        settings: the protocols.
    Returns:
        What the JSON file holds; a protocol that cannot be computed has a status and a reason.
    Raises:
        DataError: a file is broken, a unit is wrong, landmarks are in another order or of another mesh, triangles
            of the prediction face both ways, one of the two is mirrored, or no protocol can be computed.
    """
    surface, points = prediction.read("--prediction")
    if (turned := turned_share(surface.triangles)) > MOST_TURNED:
        raise DataError(
            f"{prediction.mesh}: {turned:.0%} of its edges lie between triangles that face opposite ways, so that it "
            "has no normals; let your program make them face outside (recalculate normals) and export again"
        )
    measured, landmarks = truth.read("--ground-truth")
    # Of the vertices of a file, those of its surface: where this is cut, the file has them twice.
    scan = FaceScan(measured.vertices[np.unique(measured.triangles)], landmarks)
    check_landmarks(points, scan.landmarks)
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
        raise DataError(f"{prediction.mesh}: {protocols[DEFAULT_PROTOCOL]['reason']}")
    return {"prediction": str(prediction.mesh), "ground_truth": str(truth.mesh), "protocols": protocols}
