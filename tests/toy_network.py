"""Networks of a few channels, what trains them, and one that answers something, as a training leaves it."""

from pathlib import Path

import numpy as np
import torch
from toy_model import SIZES, toy_model, toy_samples

from dfmvr.config.configuration import load
from dfmvr.config.training import LossSection, SingleImageSection, TrainSection
from dfmvr.networks.checkpoint import network_header, write_network
from dfmvr.networks.df_mvr import DFMVR
from dfmvr.networks.heads import NetworkSizes
from dfmvr.parse.parser import FaceParser, ParserSpec, save_parser
from dfmvr.train.methods.df_mvr import DFMVRTraining
from dfmvr.train.samples import AlignedSamples

SIZE = 48
PAPER = load(Path(__file__).parents[1] / "config" / "paper.yaml").train
PAPERS_RESNET = SingleImageSection(backbone_width=64, depth=50, stem_pool=True, neck=0, fine=0, quick_start=False)
SMALL = PAPER.network.model_copy(update={"width": 4, "backbone_width": 16, "depth": 14})
QUICK = SMALL.model_copy(update={"last_concat": True, "neck": 64, "quick_start": True})


def sizes(image_size=SIZE):
    return NetworkSizes(image_size, **SIZES)


def small_network(settings=QUICK, seed=0, size=SIZE):
    torch.manual_seed(seed)
    return DFMVR(settings, sizes(size))


def random_parser(size=SIZE):
    torch.manual_seed(5)
    return FaceParser(ParserSpec(size, width=8))


def training(network, model=None, parser=None, size=SIZE, precision="float32", **weights):
    """DF-MVR's training under other weights of the losses."""
    settings = TrainSection(loss=LossSection(**weights), precision=precision)
    return DFMVRTraining(settings, network, model or toy_model(), parser, size)


def torchvision_resnet(blocks=(1, 1, 1, 1), width=16, seed=0):
    """A state dict with the names and shapes of torchvision's ResNet, of random numbers."""
    rng, found = torch.Generator().manual_seed(seed), {}

    def convolution(name, norm, outputs, inputs, size):
        weights = torch.randn(outputs, inputs, size, size, generator=rng, dtype=torch.double)
        found[f"{name}.weight"] = weights / (inputs * size**2) ** 0.5
        for key in ("weight", "bias", "running_mean"):
            found[f"{norm}.{key}"] = torch.randn(outputs, generator=rng, dtype=torch.double)
        found[f"{norm}.running_var"] = 0.5 + torch.rand(outputs, generator=rng, dtype=torch.double)
        found[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    convolution("conv1", "bn1", width, 3, 7)
    channels = width
    for stage, count in enumerate(blocks):
        mid = width * 2**stage
        for block in range(count):
            place = f"layer{stage + 1}.{block}"
            convolution(f"{place}.conv1", f"{place}.bn1", mid, channels, 1)
            convolution(f"{place}.conv2", f"{place}.bn2", mid, mid, 3)
            convolution(f"{place}.conv3", f"{place}.bn3", 4 * mid, mid, 1)
            if block == 0:
                convolution(f"{place}.downsample.0", f"{place}.downsample.1", 4 * mid, channels, 1)
            channels = 4 * mid
    return found | {"fc.weight": torch.zeros(1000, channels), "fc.bias": torch.zeros(1000)}


def toy_batch(folder, count=2, size=SIZE):
    """The model and one batch of all `toy_samples`."""
    model, _ = toy_samples(folder, count, size)
    return model, AlignedSamples(folder / "align", folder / "parse", "train").batch(np.arange(count))


def learn(network, losses, steps, rate, course=lambda step, steps: 1.0):
    """Follow losses(step) with Adam; gives their course."""
    optimiser, history = torch.optim.Adam(network.parameters()), []
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * course(step, steps)
        loss = losses(step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(float(loss.detach()))
    return history


def write_toy_training(folder):
    """Write network.safetensors, parser.safetensors and model.npz into a folder."""
    network = small_network(SMALL).eval()
    for head in network.heads.values():
        torch.nn.init.normal_(head.weight, std=0.1)
    about = network_header("df_mvr", SMALL, sizes())
    write_network(
        folder / "network.safetensors", network, about | {"face_model": "model.npz", "parser": "parser.safetensors"}
    )
    save_parser(folder / "parser.safetensors", FaceParser(ParserSpec(SIZE, width=8)))
    toy_model().save(folder / "model.npz")
    return folder
