"""Tables, figures and the page of the study.

needs   the outputs of all stages under one folder (see `dfmvr.report.inputs` and `dfmvr.report.panels`)
gives   <output>             one HTML file that needs no network
        <tables>/*.csv       every table in full precision
        <tables>/*.tex       the same for LaTeX
        <tables>/figures/    plots as PDF, SVG and PNG, panels as JPEG
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

from dfmvr import config
from dfmvr.config import ReportSection
from dfmvr.errors import ConfigError
from dfmvr.files import writing_folder
from dfmvr.report import background, real_scan, sections
from dfmvr.report.captions import caption
from dfmvr.report.inputs import read_study
from dfmvr.report.page import write_page

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
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the page, .html")
    parser.add_argument("--tables", type=Path, required=True, metavar="DIR", help="folder of the tables and figures")


def main(args: argparse.Namespace, settings: ReportSection) -> None:
    """Run the stage."""
    study = read_study(args.results, args.scores, args.benchmarks)
    configuration = _configuration(args, settings)
    with writing_folder(args.tables) as folder:
        report = sections.Report(study, settings, configuration, folder)
        samples = sections.panel_section(report)  # first, as it reads most files: what is missing is told at once
        parts = [
            *sections.comparison_sections(report),
            sections.distribution_section(report),
            sections.region_section(report),
            sections.protocol_section(report),
            real_scan.real_scan_section(report),
            samples,
            background.training_section(report),
            background.parser_section(report),
            background.face_model_section(report),
            background.account_section(report),
            background.method_section(report),
        ]
        lead = caption("lead", data=" and ".join(report.name(d) for d in study.datasets))
        write_page(args.output, TITLE, lead, sections.findings(report), parts)
    log.info("%s: %d sections; tables and figures in %s", args.output, len(parts), args.tables)


def _configuration(args: argparse.Namespace, settings: ReportSection) -> dict[str, Any]:
    """The whole configuration as nested plain values, as far as it is known."""
    if args.study is not None:
        try:
            given = json.loads(args.study)
        except ValueError as error:
            raise ConfigError(f"--study: expected JSON ({error})") from None
        return config.validate(given, "--study").model_dump(mode="json", by_alias=True)
    if getattr(args, "config", None) or getattr(args, "set", None):
        return config.load(args.config, args.set).model_dump(mode="json", by_alias=True)
    return {"report": settings.model_dump(mode="json")}
