"""`dfmvr <stage>`: what every rule calls and a person can type.

A command is a module with two functions: `add_arguments(parser)` declares its files, `main(args, settings)` runs it
with its section of the configuration (all of it for the section `*`, None for a command without one). argparse does it,
not click or typer: the module is imported when its command is asked for, and nothing is to be installed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dfmvr import __version__
from dfmvr.errors import ConfigError, DfmvrError

if TYPE_CHECKING:
    from dfmvr.config.configuration import Config

WHOLE = "*"
"""Stands for the whole configuration where a section is named."""


class Command(NamedTuple):
    """What can be typed after `dfmvr`, in one word or two, and the module that does it."""

    name: str
    does: str
    module: str
    section: str | None


COMMANDS = (
    Command("face_model", "build the morphable face model", "dfmvr.face_model.command", "face_model"),
    Command("face_model preview", "draw faces of a face model", "dfmvr.face_model.preview", "face_model"),
    Command("face_model head", "continue it over the head", "dfmvr.face_model.anny.continuation", "face_model"),
    Command("simulate", "write the stand-in data sets", "dfmvr.simulate.command", "simulate"),
    Command("simulate real_scan", "photograph a real head scan", "dfmvr.simulate.real_scan", "simulate"),
    Command("fetch", "check the data that must be supplied, download what may be", "dfmvr.fetch.command", WHOLE),
    Command("mesh", "turn scans of every form into meshes and landmarks", "dfmvr.mesh.command", "mesh"),
    Command("align", "find landmarks and cut aligned crops", "dfmvr.align.command", "align"),
    Command("align pretrain", "train the networks that find faces and landmarks", "dfmvr.align.pretrain", None),
    Command("align learn_mediapipe", "learn what mediapipe's points mean", "dfmvr.align.learn_mediapipe", None),
    Command("parse pretrain", "train the face parse net", "dfmvr.parse.pretrain", "parse"),
    Command("parse", "write masks and weight maps of aligned crops", "dfmvr.parse.command", "parse"),
    Command("train", "train one variant of DF-MVR", "dfmvr.train.command", "train"),
    Command("train import", "take over the authors' released weights", "dfmvr.train.import_released", None),
    Command("train describe", "tell the size of a variant", "dfmvr.train.describe", "train"),
    Command("train pack", "pack a training into the files that ship", "dfmvr.train.pack", None),
    Command("reconstruct", "turn photographs into meshes", "dfmvr.reconstruct.command", None),
    Command("reconstruct dataset", "give the aligned samples to a trained network", "dfmvr.reconstruct.dataset", None),
    Command("reconstruct fitted", "fit a network's answers to the photographs", "dfmvr.reconstruct.fitted", "datasets"),
    Command("reconstruct mean_face", "predict the mean face for every sample", "dfmvr.reconstruct.mean_face", None),
    Command("reconstruct floor", "fit the face model to the scans", "dfmvr.reconstruct.floor", "register"),
    Command("app", "open a page to drop photographs on", "dfmvr.app.command", None),
    Command("register", "register meshes to scans", "dfmvr.register.command", "register"),
    Command("score", "measure the distance of meshes to scans", "dfmvr.score.command", "register"),
    Command("score two_meshes", "register one mesh to another and score it", "dfmvr.score.two_meshes", "register"),
    Command("report diagrams", "draw the networks of the study", "dfmvr.report.diagrams", WHOLE),
    Command("report", "make the tables, the figures and the page", "dfmvr.report.command", "report"),
)


def program_parser() -> argparse.ArgumentParser:
    """The parser of the program, up to the name of a stage."""
    lines = "\n".join(f"  {command.name:<22} {command.does}" for command in COMMANDS)
    parser = argparse.ArgumentParser(
        prog="dfmvr",
        description="Multi-view 3D face reconstruction with deep fusion.",
        epilog=f"stages, in order:\n{lines}\n\n`dfmvr STAGE --help` explains each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"dfmvr {__version__}")
    parser.add_argument("stage", choices=[c.name for c in COMMANDS if " " not in c.name], metavar="STAGE")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def command_parser(command: Command) -> argparse.ArgumentParser:
    """The parser of a command's own arguments, and of the settings that it takes."""
    parser = argparse.ArgumentParser(prog=f"dfmvr {command.name}", description=f"{command.does.capitalize()}.")
    importlib.import_module(command.module).add_arguments(parser)
    if command.section:
        group = parser.add_argument_group("settings")
        group.add_argument("--config", metavar="FILE", help="configuration file (default: the built-in defaults)")
        group.add_argument(
            "--set", metavar="SECTION.KEY=VALUE", action="append", default=[], help="override one key; may be repeated"
        )
        what = "configuration" if command.section == WHOLE else f"section {command.section}"
        group.add_argument("--settings", metavar="JSON", help=f"the whole {what} as JSON")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _configuration(section: str, args: argparse.Namespace) -> Config:
    """The configuration that a command is given, by `--settings` or by a file and overrides."""
    from dfmvr.config import configuration

    if args.settings is None:
        return configuration.load(args.config, args.set)
    try:
        told = json.loads(args.settings)
    except ValueError as error:
        raise ConfigError(f"--settings: not readable as JSON ({error})") from None
    return configuration.validate(told if section == WHOLE else {section: told}, "--settings")


def _check_output(args: argparse.Namespace) -> None:
    """Check that no file that is read is to be replaced by what is made of it.

    Raises:
        ConfigError: the output is one of the inputs.
    """
    output = getattr(args, "output", None)
    if output is None or not os.path.isfile(output):
        return
    for name, given in vars(args).items():
        for path in given if isinstance(given, list) else [given]:
            is_file = name != "output" and isinstance(path, Path | str) and os.path.isfile(path)
            if is_file and os.path.samefile(path, output):
                raise ConfigError(f"--output {output}: also given as --{name.replace('_', '-')}; name another file")


def run(command: Command, arguments: Sequence[str]) -> None:
    """Run one command with its arguments."""
    args = command_parser(command).parse_args(arguments)
    _check_output(args)
    settings = None
    if command.section:
        args.configuration = _configuration(command.section, args)  # for a command that looks beyond its own section
        settings = args.configuration if command.section == WHOLE else args.configuration.section(command.section)
    importlib.import_module(command.module).main(args, settings)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit code: 0, 2 for an error the user can mend, 130 when stopped, 141 when not read."""
    args = program_parser().parse_args(argv)
    commands = {command.name: command for command in COMMANDS}
    command, rest = commands[args.stage], args.arguments
    two_words = " ".join([args.stage, *rest[:1]])
    if two_words in commands:
        command, rest = commands[two_words], rest[1:]
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        run(command, rest)
        sys.stdout.flush()
    except BrokenPipeError:  # who read the output has had enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except DfmvrError as error:
        if "--debug" in args.arguments:
            raise
        sys.stderr.write(f"dfmvr {command.name}: error: {error}\n")
        return 2
    except ModuleNotFoundError as error:
        if "--debug" in args.arguments or (error.name or "dfmvr").partition(".")[0] == "dfmvr":
            raise
        remedy = f"{error.name} is not installed; `pip install 'dfmvr[study]'` brings all that the study needs"
        sys.stderr.write(f"dfmvr {command.name}: error: {remedy}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"dfmvr {command.name}: stopped\n")
        return 130
    return 0
