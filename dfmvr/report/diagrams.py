"""Draw the networks of the study after the paper's Figs. 1, 3 and 8: from the code and the settings alone, untrained.

gives   <output>/*.pdf, *.svg, *.png   the method, each kind of fusion, and the inputs of the mixed training
        <output>/figures.json          what each shows, for the page
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.figure import Figure

from dfmvr.conventions import CLASSES, VIEWS
from dfmvr.files import write_json
from dfmvr.folders import writing_folder
from dfmvr.networks.bisenet import BiSeNet
from dfmvr.networks.df_mvr import DFMVR
from dfmvr.networks.flow import NetworkBlock, data_flow
from dfmvr.networks.heads import NetworkSizes
from dfmvr.report.figures import diagrams
from dfmvr.report.figures.style import save_figure
from dfmvr.study.methods import ours_among, read_key

if TYPE_CHECKING:
    from dfmvr.config.configuration import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the command."""
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the figures")


def main(args: argparse.Namespace, study: Config) -> None:
    """Draw the networks.

    Raises:
        ConfigError: a setting or the image size does not fit.
    """
    shown: dict[str, dict[str, Any]] = {}
    with writing_folder(args.output, "report diagrams") as folder:
        for name, figure, facts in figures(study):
            save_figure(figure, name, folder)
            shown[name] = facts
        write_json(folder / "figures.json", shown)


def figures(study: Config) -> list[tuple[str, Figure, dict[str, Any]]]:
    """Every figure with its name, the name of its caption as `told`, and what the caption needs."""
    trained = [name for name in study.trained_on() if study.variant(name).method == "df_mvr"]
    if not trained:
        return []
    first = ours_among(trained) or trained[0]
    made = [_overview(study, first)]
    kinds: dict[tuple[Any, ...], str] = {}
    for name in [first, *trained]:
        network = study.variant(name).network
        kinds.setdefault((network.fusion, network.width, network.last_concat), name)
    for name in kinds.values():
        facts = _facts(study, name, "fusion_figure") | {"fusion": diagrams.FUSIONS[study.variant(name).network.fusion]}
        made.append((f"fusion_{name}", diagrams.fusion(blocks_of(study, name)), facts))
    mixed = [name for name in trained if study.variant(name).single_view_share > 0]
    for name in mixed[:1]:
        figure = diagrams.inputs(study.variant(name).single_view_share)
        made.append((f"inputs_{name}", figure, _facts(study, name, "inputs_figure")))
    return made


def blocks_of(study: Config, name: str) -> list[NetworkBlock]:
    """The blocks of the network of a variant, see `data_flow`."""
    settings, face = study.variant(name), study.face_model
    sizes = (study.align.image_size, face.identity_components, face.expression_components, face.albedo_components)
    lightings = 1 if settings.released.shared_lighting else len(VIEWS)
    return data_flow(lambda: DFMVR(settings.network, NetworkSizes(*sizes), lightings), study.align.image_size)


def _overview(study: Config, name: str) -> tuple[str, Figure, dict[str, Any]]:
    """The method as a whole."""
    with torch.device("meta"):
        parser = BiSeNet(len(CLASSES), study.parse.width, study.parse.output_stride)
    blocks = blocks_of(study, name)
    figure = diagrams.overview(blocks, study.variant(name), sum(p.numel() for p in parser.parameters()))
    facts = _facts(study, name, "overview_figure") | {"parameters": diagrams.parameters(blocks)}
    return f"overview_{name}", figure, facts


def _facts(study: Config, name: str, told: str) -> dict[str, Any]:
    """What every caption needs."""
    return {"told": told, "method": read_key(name).name, "size": study.align.image_size}
