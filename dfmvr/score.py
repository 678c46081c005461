"""Measure the distance between scans and registered predictions (Sec. IV-A).

Each point of the cropped scan is measured against the prediction's surface, twice: `rmse_mm` is the root mean square
of its distance along the normal (interpolated from the vertices, so that it is unique on edges too) at the closest
point of the surface; `mean_mm` is the mean of its unsigned distance from that point. Points whose closest point lies
on an open edge of the prediction are beside it and do not count; `coverage` is the share of the others.

needs   meshes and their registrations, or two meshes with their landmarks
gives   <output>.parquet, one row a sample, protocol and region; or <output>.json for two meshes
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from dfmvr.config import ProtocolSection, RegisterSection
from dfmvr.conventions import REGIONS
from dfmvr.datasets.manifest import samples_to_test
from dfmvr.errors import ConfigError, DataError, DfmvrError, UnavailableError
from dfmvr.files import read_npz, write_json, writing
from dfmvr.geometry.meshes import MM_PER_UNIT, read_landmarks, read_mesh
from dfmvr.geometry.surface import Surface
from dfmvr.register import (
    DEFAULT_PROTOCOL,
    OK,
    SET_ASIDE,
    Registration,
    Registrations,
    Surfaces,
    Target,
    Targets,
    add_scan_arguments,
    check_landmarks,
    crop,
    pair,
    register,
)

log = logging.getLogger(__name__)

ALL = "all"
"""Region of a row about the whole crop."""

_TWO_MESHES = ("prediction", "ground_truth", "prediction_landmarks", "ground_truth_landmarks")
_STAGE = ("meshes", "manifest", "registration", "method", "dataset")


class Errors(NamedTuple):
    """Distances of the covered points of a scan from a registered prediction."""

    plane_mm: np.ndarray  # (n,) along the normal, positive outside the prediction
    surface_mm: np.ndarray  # (n,) unsigned, from the closest point
    vertex: np.ndarray  # (n,) the prediction's vertex that weighs most in the closest point
    coverage: float  # n over the number of points in the crop


class Score(NamedTuple):
    """Statistics of one region; NaN where it has no points."""

    rmse_mm: float
    mean_mm: float
    points: int


def measure(surface: Surface, scan: np.ndarray, registration: Registration) -> Errors:
    """Measure the points (N, 3) of a scan, mm, against a prediction registered to it."""
    pairs = pair(surface, scan, registration)
    kept, closest = pairs.kept, pairs.closest
    heaviest = closest.barycentric.argmax(1)
    vertex = surface.triangles[closest.triangles, heaviest]
    distance = np.linalg.norm(scan - pairs.points, axis=1)
    return Errors(pairs.residual[kept], distance[kept], vertex[kept], float(kept.mean()))


def summarise(errors: Errors, chosen: np.ndarray | slice = slice(None)) -> Score:
    """Reduce the errors of the `chosen` points to numbers."""
    plane, surface = errors.plane_mm[chosen], errors.surface_mm[chosen]
    if len(plane) == 0:
        return Score(np.nan, np.nan, 0)
    return Score(float(np.sqrt((plane**2).mean())), float(surface.mean()), len(plane))


def by_region(errors: Errors, regions: np.ndarray | None) -> dict[str, Score]:
    """Score the whole and, given the region (V,) of each vertex of the prediction, each region of the face."""
    result = {ALL: summarise(errors)}
    if regions is not None:
        of_point = regions[errors.vertex]
        result |= {name: summarise(errors, of_point == i) for i, name in enumerate(REGIONS)}
    return result


def statistic(score: Score, protocol: ProtocolSection) -> float:
    """What the protocol calls its error, mm."""
    return score.rmse_mm if protocol.statistic == "rms_point_to_plane" else score.mean_mm


def score_sample(
    surface: Surface,
    target: Target,
    registrations: dict[str, Registration | str],
    settings: RegisterSection,
    regions: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """Score one registered prediction under all protocols: one row a protocol and region."""
    rows = []
    for name, protocol in settings.protocols.items():
        found = registrations[name]
        if isinstance(found, str):
            rows.append(_set_aside(name, found))
            continue
        try:
            errors = measure(surface, crop(target, protocol), found)
        except DataError as error:
            rows.append(_set_aside(name, str(error)))
            continue
        for region, score in by_region(errors, regions).items():
            row = {"protocol": name, "region": region, **score._asdict(), "error_mm": statistic(score, protocol)}
            rows.append({**row, "coverage": errors.coverage, "status": OK, "reason": ""})
    return rows


def _set_aside(protocol: str, reason: str) -> dict[str, Any]:
    nothing = {"rmse_mm": np.nan, "mean_mm": np.nan, "points": 0, "error_mm": np.nan, "coverage": np.nan}
    return {"protocol": protocol, "region": ALL, **nothing, "status": SET_ASIDE, "reason": reason}


def score_all(
    meshes: Path,
    manifest: Path,
    registrations: Registrations,
    settings: RegisterSection,
    face_model: Path | None = None,
    scans: Path | None = None,
) -> pd.DataFrame:
    """Score the registered predictions in a folder against the scans of a manifest's test samples.

    Returns:
        One row a sample, protocol and region; regions only with a `face_model`, whose topology the meshes then have.
        A sample without registration, prediction or readable scan has one row a protocol that says why.
    """
    regions = None if face_model is None else read_npz(face_model, "regions")["regions"]
    surfaces, targets, rows = Surfaces(meshes), Targets(scans), []
    for sample in tqdm(samples_to_test(manifest), desc="score", unit="sample", mininterval=1):
        found = {name: registrations.get(sample.sample, name) for name in settings.protocols}
        try:
            if all(isinstance(result, str) for result in found.values()):
                scored = [_set_aside(name, result) for name, result in found.items()]
            else:
                target, (surface, _) = targets.read(sample), surfaces.read(sample.sample)
                _check_regions(surface, regions, sample.sample)
                scored = score_sample(surface, target, found, settings, regions)
        except UnavailableError:
            raise
        except DfmvrError as error:
            scored = [_set_aside(name, str(error)) for name in settings.protocols]
        rows += [{"sample": sample.sample, "subject": sample.subject, **row} for row in scored]
    return pd.DataFrame(rows)


def _check_regions(surface: Surface, regions: np.ndarray | None, sample: str) -> None:
    if regions is not None and len(regions) != len(surface.vertices):
        raise DataError(
            f"{sample}: expected the {len(regions)} vertices of the face model, found {len(surface.vertices)}; "
            "leave --face-model out for meshes of another topology"
        )


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
    mesh, scan = read_mesh(prediction, units[0]), read_mesh(truth, units[1])
    points = read_landmarks(landmarks[0], units[0])
    target = Target(scan.vertices, read_landmarks(landmarks[1], units[1]))
    check_landmarks(points, target.landmarks)
    surface = Surface(mesh.vertices, mesh.triangles)
    protocols: dict[str, dict[str, Any]] = {}
    for name, protocol in settings.protocols.items():
        try:
            found = register(surface, points, target, protocol, settings.iterations)
            protocols[name] = {"status": OK, **_two_row(surface, target, found, protocol)}
        except DataError as error:
            protocols[name] = {"status": SET_ASIDE, "reason": str(error)}
    if all(row["status"] == SET_ASIDE for row in protocols.values()):
        raise DataError(f"{prediction}: {protocols[DEFAULT_PROTOCOL]['reason']}")
    return {
        "prediction": str(prediction),
        "ground_truth": str(truth),
        "protocols": protocols,
    }


def _two_row(surface: Surface, target: Target, found: Registration, protocol: ProtocolSection) -> dict[str, Any]:
    errors = measure(surface, crop(target, protocol), found)
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the stage."""
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="scores: .json or .parquet")
    two = parser.add_argument_group("two meshes (output: .json)")
    two.add_argument("--prediction", type=Path, metavar="MESH", help="PLY, OBJ, GLB, STL or OFF")
    two.add_argument("--ground-truth", type=Path, metavar="MESH", help="the scan, as the prediction")
    two.add_argument("--prediction-landmarks", type=Path, metavar="CSV", help="name,x,y,z of the seven points")
    two.add_argument("--ground-truth-landmarks", type=Path, metavar="CSV", help="the same of the scan")
    two.add_argument("--prediction-unit", choices=MM_PER_UNIT, default="mm", help="of mesh and landmarks (default mm)")
    two.add_argument(
        "--ground-truth-unit", choices=MM_PER_UNIT, default="mm", help="of mesh and landmarks (default mm)"
    )
    many = parser.add_argument_group("meshes of a method on a data set (output: .parquet)")
    many.add_argument("--meshes", type=Path, metavar="DIR", help="folder of <sample>.ply")
    add_scan_arguments(many, required=False)
    many.add_argument("--registration", type=Path, metavar="FILE", help="what `dfmvr register` has written")
    many.add_argument("--method", metavar="NAME", help="name of the method, for the table")
    many.add_argument("--dataset", metavar="NAME", help="name of the data set, for the table")
    many.add_argument("--face-model", type=Path, metavar="FILE", help="face model of the meshes, for errors by region")


def _mode(args: argparse.Namespace) -> tuple[str, ...]:
    """Tell which of the two groups of options is given, and that it is complete."""
    given = [any(getattr(args, name) is not None for name in group) for group in (_TWO_MESHES, _STAGE)]
    chosen = _TWO_MESHES if given[0] else _STAGE
    lacking = [f"--{name.replace('_', '-')}" for name in chosen if getattr(args, name) is None]
    if all(given) or lacking:
        raise ConfigError(
            "give either --prediction, --ground-truth and their landmarks, or --meshes, --manifest, --registration, "
            f"--method and --dataset{'; not both' if all(given) else '; missing: ' + ', '.join(lacking)}"
        )
    suffix = ".json" if chosen is _TWO_MESHES else ".parquet"
    if args.output.suffix != suffix:
        raise ConfigError(f"--output {args.output}: expected a name ending in {suffix}")
    return chosen


def main(args: argparse.Namespace, settings: RegisterSection) -> None:
    """Run the stage."""
    if _mode(args) is _TWO_MESHES:
        result = score_two(
            args.prediction,
            args.ground_truth,
            (args.prediction_landmarks, args.ground_truth_landmarks),
            (args.prediction_unit, args.ground_truth_unit),
            settings,
        )
        write_json(args.output, result)
        for name, row in result["protocols"].items():
            log.info("%s: %s", name, f"{row['error_mm']:.4f} mm" if row["status"] == OK else row["reason"])
        return
    registrations = Registrations.read(args.registration)
    table = score_all(args.meshes, args.manifest, registrations, settings, args.face_model, args.scans)
    table.insert(2, "method", args.method)
    table.insert(3, "dataset", args.dataset)
    with writing(args.output) as partial:
        table.to_parquet(partial, index=False)
    scored = table[(table.protocol == DEFAULT_PROTOCOL) & (table.region == ALL) & (table.status == OK)]
    log.info("%s on %s: %.3f mm (%d samples)", args.method, args.dataset, scored.rmse_mm.mean(), len(scored))
