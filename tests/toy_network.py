"""A small network that answers something, with its parser and face model, as a training leaves them."""

import torch
from toy_model import SIZES, toy_model

from dfmvr.networks.checkpoint import write_network
from dfmvr.networks.df_mvr import DFMVR, NetworkSettings
from dfmvr.parse.parser import FaceParser, ParserSpec, save_parser

SMALL = {"width": 4, "backbone_width": 16, "depth": 14}
SIZE = 48


def write_toy_training(folder):
    """Write network.safetensors, parser.safetensors and model.npz into a folder."""
    torch.manual_seed(0)
    network = DFMVR(NetworkSettings(**SMALL), SIZE, **SIZES).eval()
    for head in network.heads.values():
        torch.nn.init.normal_(head.weight, std=0.1)
    about = {"network": SMALL, "image_size": SIZE, **SIZES, "face_model": "model.npz", "parser": "parser.safetensors"}
    write_network(folder / "network.safetensors", network, about)
    save_parser(folder / "parser.safetensors", FaceParser(ParserSpec(SIZE, width=8)))
    toy_model().save(folder / "model.npz")
    return folder
