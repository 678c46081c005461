"""Measure the distance between scans and registered predictions; see `dfmvr.score.distances`.

needs   meshes and their registrations, or two meshes with their landmarks
gives   <output>.parquet, one row a sample, protocol and region; or <output>.json for two meshes
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from dfmvr.config import RegisterSection
from dfmvr.datasets.manifest import samples_to_test
from dfmvr.errors import ConfigError, DataError, DfmvrError, UnavailableError
from dfmvr.files import read_npz, write_json, writing
from dfmvr.geometry.meshes import MM_PER_UNIT
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
    crop,
)
from dfmvr.score.distances import (
    ALL,
    Errors,
    Matches,
    Score,
    by_region,
    correspondence_by_region,
    match,
    measure,
    statistic,
    summarise,
)
from dfmvr.score.two_meshes import score_two

__all__ = [
    "ALL",
    "Errors",
    "Matches",
    "Score",
    "add_arguments",
    "by_region",
    "correspondence_by_region",
    "main",
    "match",
    "measure",
    "score_all",
    "score_sample",
    "score_two",
    "statistic",
    "summarise",
]

log = logging.getLogger(__name__)

_TWO_MESHES = ("prediction", "ground_truth", "prediction_landmarks", "ground_truth_landmarks")
_STAGE = ("meshes", "manifest", "registration", "method", "dataset")


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
        corresponding = correspondence_by_region(match(surface, target, found, protocol), regions)
        for region, score in by_region(errors, regions).items():
            row = {"protocol": name, "region": region, **score._asdict(), "error_mm": statistic(score, protocol)}
            row |= {"correspondence_mm": corresponding[region], "coverage": errors.coverage}
            rows.append({**row, "status": OK, "reason": ""})
    return rows


def _set_aside(protocol: str, reason: str) -> dict[str, Any]:
    nothing = {"rmse_mm": np.nan, "mean_mm": np.nan, "points": 0, "error_mm": np.nan}
    nothing |= {"correspondence_mm": np.nan, "coverage": np.nan}
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
    regions = None if face_model is None else read_npz(face_model, "regions", others=False)["regions"]
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
