"""Run by torchrun: write the gradient that a team of processes finds for one batch, and the losses."""

import sys
from pathlib import Path

import numpy as np
import torch
from toy_model import SIZES, toy_model

from dfmvr.losses import LossWeights
from dfmvr.networks.df_mvr import DFMVR, NetworkSettings
from dfmvr.train import data, loop
from dfmvr.train.batch import Batch
from dfmvr.train.parallel import join, share_normalisation
from dfmvr.train.system import TrainingSystem


def network_to_train():
    torch.manual_seed(3)
    settings = NetworkSettings(width=4, backbone_width=16, depth=14, neck=16, quick_start=True)
    network = DFMVR(settings, 48, **SIZES).train()
    for head in network.heads.values():
        torch.nn.init.normal_(head.weight, std=0.05)  # a fresh head passes no gradient on
    return network


def gradients(folder, team, count=1):
    # In double precision, in which the two differ by what they compute and not by how kernels round.
    network = network_to_train().double()
    network.precision = torch.float64
    share_normalisation(network)
    wrapped = team.wrap(network, torch.device("cpu"))
    system = TrainingSystem(wrapped, toy_model().double(), None, LossWeights(mask=0.0), 48)
    batch = data.AlignedSamples(folder / "align", folder / "parse", "train").batch(np.arange(8))
    batch = Batch(*(values.double() if values.is_floating_point() else values for values in batch))
    pieces = batch.pieces(count, team.share)
    terms = loop.add_gradients(lambda _, piece: system.losses(piece)._asdict(), 0, pieces, team, wrapped)
    found = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return found | {f"running {name}": b for name, b in network.named_buffers() if "running" in name} | terms


if __name__ == "__main__":
    torch.set_num_threads(1)
    with join(torch.device("cpu")) as team:
        found = gradients(Path(sys.argv[1]), team)
        if team.leads:
            torch.save(found, sys.argv[2])
