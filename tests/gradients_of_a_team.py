"""Run by torchrun: write the gradient that a team of processes finds for one batch, and the losses."""

import sys
from pathlib import Path

import numpy as np
import torch
from toy_model import toy_model
from toy_network import SMALL, small_network, training

from dfmvr.networks.parallel import join, share_normalisation
from dfmvr.networks.training import add_gradients
from dfmvr.train.samples import AlignedSamples, Batch


def gradients(folder, team, count=1):
    # In double precision, in which the two differ by what they compute and not by how kernels round.
    network = small_network(SMALL.model_copy(update={"neck": 16, "quick_start": True}), seed=3).double().train()
    network.precision = torch.float64
    for head in network.heads.values():
        torch.nn.init.normal_(head.weight, std=0.05)  # a fresh head passes no gradient on
    share_normalisation(network)
    wrapped = team.wrap(network, torch.device("cpu"))
    system = training(wrapped, toy_model().double(), mask=0.0)
    batch = AlignedSamples(folder / "align", folder / "parse", "train").batch(np.arange(8))
    batch = Batch(*(values.double() if values.is_floating_point() else values for values in batch))
    pieces = batch.pieces(count, team.share)
    terms = add_gradients(lambda _, piece: system.losses(piece)._asdict(), 0, pieces, team, wrapped)
    found = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return found | {f"running {name}": b for name, b in network.named_buffers() if "running" in name} | terms


if __name__ == "__main__":
    torch.set_num_threads(1)
    with join(torch.device("cpu")) as team:
        found = gradients(Path(sys.argv[1]), team)
        if team.leads:
            torch.save(found, sys.argv[2])
