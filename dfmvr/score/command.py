"""Measure the distance between scans and registered predictions; see `dfmvr.score.distances`.

needs   meshes and their registrations, or two meshes with their landmarks
gives   <output>.parquet, one row a sample, protocol and region; or <output>.json for two meshes
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from dfmvr.config.evaluation import RegisterSection
from dfmvr.errors import ConfigError
from dfmvr.files import write_json, writing
from dfmvr.geometry.meshes import MM_PER_UNIT
from dfmvr.register.registrations import DEFAULT_PROTOCOL, OK, Registrations
from dfmvr.score.distances import ALL
from dfmvr.score.samples import score_all
from dfmvr.score.two_meshes import score_two

log = logging.getLogger(__name__)

_TWO_MESHES = ("prediction", "ground_truth", "prediction_landmarks", "ground_truth_landmarks")
_STAGE = ("meshes", "manifest", "registration", "method", "dataset")


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
    many.add_argument("--manifest", type=Path, metavar="FILE", help="manifest.parquet of the aligned data set")
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
    """Score the predictions of a method, or one mesh against another."""
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
    table = score_all(args.meshes, args.manifest, registrations, settings, args.face_model)
    table.insert(2, "method", args.method)
    table.insert(3, "dataset", args.dataset)
    with writing(args.output) as partial:
        table.to_parquet(partial, index=False)
    scored = table[(table.protocol == DEFAULT_PROTOCOL) & (table.region == ALL) & (table.status == OK)]
    log.info("%s on %s: %.3f mm (%d samples)", args.method, args.dataset, scored.rmse_mm.mean(), len(scored))
