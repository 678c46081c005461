"""Stage `fetch`: checks the data that a user must supply, and downloads what may be downloaded.

needs   the whole configuration: which data sets, face model and weights it names, and where
gives   a table of what is there, complete or not; with --json the same for a program; with --check an error if a stage
        that the configuration asks for cannot run

A data set without a folder is not needed: its stand-in serves.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dfmvr.errors import DataError, UnavailableError
from dfmvr.fetch.finding import Finding, table
from dfmvr.fetch.obtain import DOWNLOADABLE, obtain
from dfmvr.fetch.sources import sources
from dfmvr.files import write_json

if TYPE_CHECKING:
    from dfmvr.config.configuration import Config


def check(config: Config, names: Sequence[str] = ()) -> list[Finding]:
    """Check what the configuration asks for; nothing is downloaded or written.

    Args:
        config: the whole configuration.
        names: keys of sources(); none means all.
    Returns:
        One finding for each, also of what is not needed.
    """
    from dfmvr.fetch import datasets, models

    ways = {
        "celebamask_hq": datasets.check_celebamask_hq,
        "bfm_2009": models.check_face_model,
        "ict_facekit": models.check_face_model,
        "face_alignment": models.check_face_alignment,
        "facexlib": models.check_weights,
        "resnet50": models.check_weights,
    }
    return [ways.get(name, datasets.check_multiview)(name, config) for name in sources() if not names or name in names]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the stage."""
    parser.add_argument(
        "--check", action="store_true", help="fail if a stage that the configuration asks for cannot run"
    )
    parser.add_argument(
        "--dataset",
        choices=list(sources()),
        action="append",
        default=[],
        help="look at this one alone and describe it; may be repeated",
    )
    parser.add_argument(
        "--download",
        choices=DOWNLOADABLE,
        action="append",
        default=[],
        help="download it first, to where the configuration says; may be repeated",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found as JSON")


def main(args: argparse.Namespace, settings: Config) -> None:
    """Run the stage.

    Raises:
        ConfigError: a download lacks its keys.
        DataError: with --check, data that a stage needs is missing or damaged.
        OutputError: a file cannot be written.
        UnavailableError: a download is not to be had; with --check, a package or weights are not.
    """
    for name in args.download:
        obtain(name, settings)
    findings = check(settings, args.dataset)
    parts = [sources()[finding.name].description() for finding in findings] if args.dataset else []
    sys.stdout.write("\n".join([*parts, table(findings)]))
    stopped = [finding for finding in findings if finding.blocking]
    if args.json:
        write_json(args.json, {"ready": not stopped, "findings": [finding.as_json() for finding in findings]})
    if args.check and stopped:
        kind = UnavailableError if all(finding.unavailable for finding in stopped) else DataError
        raise kind("; ".join(problem for finding in stopped for problem in finding.blocking))
