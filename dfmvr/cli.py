"""`dfmvr <stage>`: what every rule calls and a person can type.

A stage is a module with two functions: `add_arguments(parser)` declares its files, `main(args, settings)` runs it
with its section of the configuration (all of it for the section `*`, None for a stage without one).
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from dfmvr import __version__
from dfmvr.errors import ConfigError, DfmvrError

WHOLE = "*"
"""Stands for the whole configuration where a section is named."""


class Stage(NamedTuple):
    """One command."""

    name: str
    does: str
    module: str
    section: str | None


STAGES = (
    Stage("face_model", "build the morphable face model", "dfmvr.face_model.command", "face_model"),
    Stage("simulate", "write the stand-in data sets", "dfmvr.simulate.command", "simulate"),
    Stage("simulate real_scan", "photograph a real head scan", "dfmvr.simulate.real_scan", "simulate"),
    Stage("fetch", "check the data that must be supplied, download what may be", "dfmvr.fetch.command", WHOLE),
    Stage("mesh", "turn range images into triangle meshes", "dfmvr.mesh.command", "mesh"),
    Stage("align", "find landmarks and cut aligned crops", "dfmvr.align.command", "align"),
    Stage("align pretrain", "train the networks that find faces and landmarks", "dfmvr.align.pretrain", None),
    Stage("parse", "train the face parse net, write masks and weight maps", "dfmvr.parse.command", "parse"),
    Stage("train", "train one variant of DF-MVR", "dfmvr.train.command", "train"),
    Stage("train import", "take over the authors' released weights", "dfmvr.released.import_checkpoint", None),
    Stage("train describe", "tell the size of a variant", "dfmvr.train.describe", "train"),
    Stage("train pack", "pack a training into the files that ship", "dfmvr.train.pack", None),
    Stage("reconstruct", "turn photographs into meshes", "dfmvr.reconstruct.command", None),
    Stage("reconstruct dataset", "give the aligned samples to a trained network", "dfmvr.reconstruct.dataset", None),
    Stage("reconstruct mean_face", "predict the mean face for every sample", "dfmvr.reconstruct.mean_face", None),
    Stage("reconstruct floor", "fit the face model to the scans", "dfmvr.reconstruct.floor", "register"),
    Stage("register", "register meshes to scans", "dfmvr.register.command", "register"),
    Stage("score", "measure the distance of meshes to scans", "dfmvr.score.command", "register"),
    Stage("report", "make the tables, the figures and the page", "dfmvr.report.command", "report"),
)


def parser(stage: Stage | None = None) -> argparse.ArgumentParser:
    """Make the parser of the program or, with a stage, of that stage's arguments."""
    if stage is None:
        lines = "\n".join(f"  {s.name:<22} {s.does}" for s in STAGES)
        result = argparse.ArgumentParser(
            prog="dfmvr",
            description="Multi-view 3D face reconstruction with deep fusion.",
            epilog=f"stages, in order:\n{lines}\n\n`dfmvr STAGE --help` explains each.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        result.add_argument("--version", action="version", version=f"dfmvr {__version__}")
        result.add_argument("stage", choices=[s.name for s in STAGES if " " not in s.name], metavar="STAGE")
        result.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
        return result
    module = importlib.import_module(stage.module)
    result = argparse.ArgumentParser(prog=f"dfmvr {stage.name}", description=f"{stage.does.capitalize()}.")
    module.add_arguments(result)
    if stage.section:
        group = result.add_argument_group("settings")
        group.add_argument("--config", metavar="FILE", help="configuration file (default: the built-in defaults)")
        group.add_argument(
            "--set", metavar="SECTION.KEY=VALUE", action="append", default=[], help="override one key; may be repeated"
        )
        what = "configuration" if stage.section == WHOLE else f"section {stage.section}"
        group.add_argument("--settings", metavar="JSON", help=f"the whole {what} as JSON")
    result.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return result


def _read_json(text: str) -> dict[str, Any]:
    """Read an object from JSON."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--settings: not readable as JSON ({error})") from None
    if not isinstance(value, dict):
        raise ConfigError(f"--settings: expected sections as one JSON object, found {type(value).__name__}")
    return value


def run(stage: Stage, arguments: Sequence[str]) -> None:
    """Run one stage with its command line arguments."""
    args = parser(stage).parse_args(arguments)
    settings = None
    if stage.section:
        from dfmvr.config import configuration

        if args.settings is None:
            loaded = configuration.load(args.config, args.set)
        elif stage.section == WHOLE:
            loaded = configuration.validate(_read_json(args.settings), "--settings")
        else:
            loaded = configuration.load(None, [f"{stage.section}={args.settings}"])
        settings = loaded if stage.section == WHOLE else loaded.section(stage.section)
        args.configuration = loaded  # for a stage that looks beyond its own section
    importlib.import_module(stage.module).main(args, settings)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit code: 0, 2 for an error the user can mend, 130 when stopped."""
    args = parser().parse_args(argv)
    stages = {stage.name: stage for stage in STAGES}
    stage, rest = stages[args.stage], args.arguments
    two_words = " ".join([args.stage, *rest[:1]])
    if two_words in stages:
        stage, rest = stages[two_words], rest[1:]
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        run(stage, rest)
    except DfmvrError as error:
        if "--debug" in args.arguments:
            raise
        sys.stderr.write(f"dfmvr {stage.name}: error: {error}\n")
        return 2
    except ModuleNotFoundError as error:
        if "--debug" in args.arguments or (error.name or "dfmvr").partition(".")[0] == "dfmvr":
            raise
        remedy = f"{error.name} is not installed; `pip install 'dfmvr[study]'` brings all that the study needs"
        sys.stderr.write(f"dfmvr {stage.name}: error: {remedy}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"dfmvr {stage.name}: stopped\n")
        return 130
    return 0
