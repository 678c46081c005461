"""Tables, figures and the page of the study.

needs   the outputs of all stages under one folder (see `dfmvr.report.context` and `dfmvr.report.source`)
gives   <output>             one HTML file that needs no network
        <tables>/*.csv       every table in full precision
        <tables>/*.tex       the same for LaTeX (booktabs), and *.html
        <tables>/made.json   what the tables were made from, for `--check`
        <tables>/figures/    plots as PDF, SVG and PNG, panels as JPEG
        <publish>/           with --publish, in place of all of these: see `dfmvr.report.publish`
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dfmvr.config.configuration import Config, validate
from dfmvr.config.evaluation import ReportSection
from dfmvr.errors import ConfigError
from dfmvr.files import write_json
from dfmvr.folders import writing_folder
from dfmvr.report import publish
from dfmvr.report.captions import caption
from dfmvr.report.check.compare import MADE, check_tables
from dfmvr.report.context import Context, read_context
from dfmvr.report.page import write_page
from dfmvr.report.sections.contents import chapters
from dfmvr.report.sections.learnt import findings
from dfmvr.report.tables.learning_curve import groups_of

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the stage."""
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="what all stages left (default: results)"
    )
    parser.add_argument(
        "--scores", nargs="+", type=Path, default=[], metavar="FILE", help="score files (default: all that are there)"
    )
    parser.add_argument("--benchmarks", type=Path, metavar="DIR", help="Snakemake's benchmark files (*.jsonl)")
    parser.add_argument("--study", metavar="JSON", help="the whole configuration of the run, to be shown on the page")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the page, .html")
    parser.add_argument("--tables", type=Path, metavar="DIR", help="folder of the tables and figures")
    parser.add_argument(
        "--publish",
        type=Path,
        metavar="DIR",
        help="in place of these: a small page, the tables as CSV and what --check needs, for a repository "
        "(docs/study); needs --config, and an unfinished study says what is missing",
    )
    parser.add_argument(
        "--earlier",
        type=Path,
        metavar="DIR",
        help="with --publish: a published study, such as DIR itself, whose tests count where the results have none; "
        "for a study of which parts were made on another machine",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="make nothing: compute every number of the tables in --tables anew from --results and compare",
    )


def main(args: argparse.Namespace, settings: ReportSection) -> None:
    """Make everything, or only check the tables.

    Raises:
        ConfigError: the page has no name, or `--study` is no configuration.
        DataError: something that is read is missing or malformed, or the check finds another number.
    """
    if args.tables is None and (args.check or args.publish is None):
        raise ConfigError("--tables: expected the folder of the tables; only --publish goes without")
    if args.check:
        check_tables(args.tables, args.results)
        return
    if args.earlier and args.publish is None:
        raise ConfigError("--earlier: expected --publish beside it; the whole report is of one results folder")
    if args.output is None and args.publish is None:
        raise ConfigError("--output: expected the name of the page, such as report.html; only --check goes without")
    configuration = _study(args.study) if args.study else args.configuration
    configuration = configuration.model_copy(update={"report": settings})
    configured = bool(args.study or args.config or args.set)
    if args.publish is not None:
        _publish(args, configuration, configured)
        return
    with writing_folder(args.tables, "report") as folder:
        context = read_context(args.results, configuration, folder, args.scores, args.benchmarks, configured)
        made = chapters(context)
        write_json(folder / MADE, _made_from(context))
        write_page(args.output, _lead(context), findings(context), made)
    log.info("%s: %d sections; tables and figures in %s", args.output, len(made), args.tables)


def _lead(context: Context) -> str:
    return caption("lead", data=" and ".join(map(context.name, context.datasets)))


def _publish(args: argparse.Namespace, configuration: Config, configured: bool) -> None:
    """Make a study's folder in a repository."""
    if not configured:
        raise ConfigError("--config: expected the configuration of the study, which tells what it is to hold")
    with TemporaryDirectory() as scratch, writing_folder(args.publish, publish.MAKER) as folder:
        read = args.scores, args.benchmarks, configured, args.earlier
        context = read_context(args.results, configuration, Path(scratch), *read)
        every = chapters(context, large=False)
        publish.leave_out_pictures(every)
        config = Path(args.config) if args.config else None
        made = [publish.publish_chapter(context, args.publish, config, args.set), *every]
        texts = [*publish.missing_texts(context), *findings(context)]
        write_page(folder / "index.html", _lead(context), texts, made)
        sources = publish.write_results(context, _made_from(context), folder / "results")
        publish.copy_tables(Path(scratch), folder / "tables", sources)
        size = publish.check_size(folder)
        check_tables(folder / "tables", folder / "results")
    log.info("%s: %.1f MB", args.publish, size / 1e6)


def _study(text: str) -> Config:
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--study: expected JSON ({error})") from None
    return validate(given, "--study")


def _made_from(context: Context) -> dict[str, Any]:
    """What a check of the tables must know."""
    root, settings, weights = context.root, context.configuration.report, context.configuration.train.loss
    inside = [path.relative_to(root) if path.is_relative_to(root) else path for path in context.files]
    return {
        "bootstrap": settings.bootstrap,
        "seed": settings.seed,
        "statistics": context.statistics,
        "scores": [path.as_posix() for path in inside],
        "trainings": {name: run.method for name, run in context.training.items()},
        "datasets": list(context.manifests),
        "curves": groups_of(context),
        "loss_weights": {"photo": weights.photo, "mask": weights.mask},
    }
