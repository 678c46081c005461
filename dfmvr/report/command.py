"""Tables, figures and the page of the study.

needs   the outputs of all stages under one folder (see `dfmvr.report.inputs` and `dfmvr.report.figures.panels`)
gives   <output>             one HTML file that needs no network
        <tables>/*.csv       every table in full precision
        <tables>/*.tex       the same for LaTeX (booktabs), and *.html
        <tables>/made.json   what the tables were made from, for `--check`
        <tables>/figures/    plots as PDF, SVG and PNG, panels as JPEG
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

from dfmvr.config.configuration import load, validate
from dfmvr.config.evaluation import ReportSection
from dfmvr.config.training import LossSection
from dfmvr.errors import ConfigError
from dfmvr.files import write_json, writing_folder
from dfmvr.report import check
from dfmvr.report.captions import caption
from dfmvr.report.figures import exhibits
from dfmvr.report.inputs import Study, read_study
from dfmvr.report.page import write_page
from dfmvr.report.sections import analysis, background, figures, learnt, provenance, real_scan, results, views
from dfmvr.study.methods import OVERRIDES

log = logging.getLogger(__name__)

TITLE = "DF-MVR: multi-view face reconstruction"


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
    parser.add_argument("--tables", type=Path, required=True, metavar="DIR", help="folder of the tables and figures")
    parser.add_argument(
        "--check",
        action="store_true",
        help="make nothing: compute every number of the tables in --tables anew from --results and compare",
    )


def main(args: argparse.Namespace, settings: ReportSection) -> None:
    """Run the stage."""
    if getattr(args, "check", False):
        check.check_tables(args.tables, args.results)
        return
    if args.output is None:
        raise ConfigError("--output: expected the name of the page, such as report.html; only --check goes without")
    configuration = _configuration(args, settings)
    study = read_study(args.results, args.scores, args.benchmarks, _trainings(configuration))
    with writing_folder(args.tables) as folder:
        report = results.Report(study, settings, configuration, folder)
        samples = results.panel_section(report)  # first, as it reads most files: what is missing is told at once
        tables = results.compared(report)
        shown = exhibits.gather(report)
        parts = [
            learnt.learnt_section(report, tables),
            *results.comparison_sections(report, tables),
            results.distribution_section(report, tables),
            results.region_section(report, tables),
            results.correspondence_section(report),
            results.protocol_section(report),
            real_scan.real_scan_section(report),
            *figures.figure_sections(report, shown),
            *views.view_sections(report, shown),
            *analysis.analysis_sections(report, shown),
            samples,
            background.training_section(report),
            background.parser_section(report),
            background.face_model_section(report),
            background.account_section(report),
            background.method_section(report),
        ]
        parts.append(provenance.name_makers(report, parts))
        loss = configuration.get("train", {}).get("loss", {})
        write_json(folder / check.MADE, _made_from(study, settings, report.statistics, loss))
        lead = caption("lead", data=" and ".join(report.name(d) for d in study.datasets))
        write_page(args.output, TITLE, lead, learnt.findings(report, tables), parts)
    log.info("%s: %d sections; tables and figures in %s", args.output, len(parts), args.tables)


def _trainings(configuration: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What each variant is trained with, as far as it differs from the defaults of the report."""
    base = {key: value for key, value in configuration.get("train", {}).items() if key in ("method", "data")}
    variants = configuration.get("variants", OVERRIDES)
    return {name: base | differs for name, differs in variants.items()}


def _configuration(args: argparse.Namespace, settings: ReportSection) -> dict[str, Any]:
    """The whole configuration as nested plain values, as far as it is known."""
    if args.study is not None:
        try:
            given = json.loads(args.study)
        except ValueError as error:
            raise ConfigError(f"--study: expected JSON ({error})") from None
        return validate(given, "--study").model_dump(mode="json", by_alias=True)
    if getattr(args, "config", None) or getattr(args, "set", None):
        return load(args.config, args.set).model_dump(mode="json", by_alias=True)
    return {"report": settings.model_dump(mode="json")}


def _made_from(
    study: Study, settings: ReportSection, statistics: dict[str, str], loss: dict[str, Any]
) -> dict[str, Any]:
    """What a check must know, as JSON."""
    weights = LossSection.model_validate(loss)
    inside = [path.relative_to(study.root) if path.is_relative_to(study.root) else path for path in study.files]
    return {
        "bootstrap": settings.bootstrap,
        "seed": settings.seed,
        "statistics": statistics,
        "scores": [path.as_posix() for path in inside],
        "trainings": {name: run.method for name, run in study.training.items()},
        "datasets": list(study.manifests),
        "loss_weights": {"photo": weights.photo, "mask": weights.mask},
    }
