"""Measure the network against the same network written the obvious way, side by side; prints markdown.

    python benchmarks/benchmark_networks.py --threads 1 --repeats 5

The obvious way unfolds a buffer for every involution, keeps the default layout of tensors and single precision, and
runs layer by layer. Both are the same sums, so the largest difference of the results, in parts of the largest value,
stands beside the times. The ways take turns, so that what else the machine does meets all of them.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

import dfmvr.networks.involution as involution
from dfmvr.config.configuration import load
from dfmvr.networks.df_mvr import DFMVR
from dfmvr.networks.heads import NetworkSizes
from dfmvr.networks.inference import for_inference
from dfmvr.networks.rednet import RedNet

PAPER = Path(__file__).resolve().parents[1] / "config" / "paper.yaml"

Run = Callable[[], list[Tensor]]


class Row(NamedTuple):
    """One line of the table."""

    what: str
    ours: float  # seconds, or bytes
    plain: float
    difference: float | None  # largest, in parts of the largest value


def involve_unfolded(x: Tensor, weight: Tensor, kernel_size: int, stride: int = 1) -> Tensor:
    """Involution as usually written: every place's neighbourhood unfolded, times its kernel."""
    images, channels = x.shape[:2]
    groups, size = weight.shape[1] // kernel_size**2, weight.shape[-2:]
    taps = F.unfold(x, kernel_size, padding=kernel_size // 2, stride=stride)
    taps = taps.view(images, groups, channels // groups, kernel_size**2, *size)
    kernels = weight.view(images, groups, 1, kernel_size**2, *size)
    return (taps * kernels).sum(3).view(images, channels, *size)


def obviously(run: Run) -> Run:
    """The same with unfolded involutions."""

    def unfolded() -> list[Tensor]:
        with mock.patch.object(involution, "involve", involve_unfolded):
            return run()

    return unfolded


def median_seconds(runs: dict[str, Run], repeats: int) -> dict[str, float]:
    """Median times of calls that take turns, after one of each that warms up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if i:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in times.items()}


def relative_difference(ours: list[Tensor], other: list[Tensor]) -> float:
    """Largest difference, in parts of the largest value of its tensor."""
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(ours, other, strict=True))


def compare(runs: dict[str, Run], repeats: int) -> list[Row]:
    """Time all runs against the one named `plain`."""
    seconds = median_seconds(runs, repeats)
    expected = runs["plain"]()
    others = [name for name in runs if name != "plain"]
    return [Row(n, seconds[n], seconds["plain"], relative_difference(runs[n](), expected)) for n in others]


def layer_inputs(image_size: int) -> list[tuple[Tensor, Tensor, int, int]]:
    """Arguments of every involution of RedNet-50 for one image: the stem's and those of 16 blocks."""
    calls = []

    def record(x: Tensor, weight: Tensor, kernel_size: int, stride: int = 1) -> Tensor:
        calls.append((x.clone(), weight.clone(), kernel_size, stride))
        return involve(x, weight, kernel_size, stride)

    involve = involution.involve
    with torch.no_grad(), mock.patch.object(involution, "involve", record):
        RedNet(64).eval()(torch.randn(1, 64, image_size, image_size))
    return calls


def compare_layers(image_size: int, repeats: int) -> list[Row]:
    """Time forward, and forward with backward, over all involutions."""
    calls = [(x.requires_grad_(), w.requires_grad_(), k, s) for x, w, k, s in layer_inputs(image_size)]
    grads = [torch.randn_like(involution.involve(*call)) for call in calls]

    def forward() -> list[Tensor]:
        with torch.no_grad():
            return [involution.involve(*call) for call in calls]

    def both() -> list[Tensor]:
        outs = [involution.involve(*call) for call in calls]
        return [
            g
            for out, call, grad in zip(outs, calls, grads, strict=True)
            for g in torch.autograd.grad(out, call[:2], grad)
        ]

    name = f"{len(calls)} involutions of RedNet-50"
    rows = compare({"plain": obviously(forward), f"{name}, forward": forward}, repeats)
    return rows + compare({"plain": obviously(both), f"{name}, forward and backward": both}, repeats)


def full_size(image_size: int) -> tuple[DFMVR, tuple[Tensor, Tensor]]:
    """The network at the paper's size as after some training, and one sample."""
    torch.manual_seed(0)
    settings = load(PAPER, ["train.network.last_concat=true"]).train.network
    net = DFMVR(settings, NetworkSizes(image_size, 80, 64, 80))
    # A fresh network answers zeros and has its residual branches, hence its involutions, switched off.
    torch.nn.init.normal_(net.heads["identity"].weight)
    # Branches at full strength would double the signal, and float32's rounding, from block to block.
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.weight, 0.1 if name.endswith("bn3") else 1.0)
            module.momentum = 1.0
    sample = torch.rand(1, 3, 3, image_size, image_size), torch.randint(0, 10, (1, 3, image_size, image_size))
    with torch.no_grad():
        net(*sample)  # in training mode: sets the statistics of the batch normalisations
    return net, sample


def compare_networks(image_size: int, repeats: int) -> list[Row]:
    """Time the answers to one sample."""
    net, sample = full_size(image_size)
    net.eval()
    plain = copy.deepcopy(net).to(memory_format=torch.contiguous_format)

    def answer(network: DFMVR) -> Run:
        @torch.inference_mode()
        def run() -> list[Tensor]:
            return [network(*sample).identity]

        return run

    ways = {
        "as trained": net,
        "for_inference": for_inference(copy.deepcopy(net)),
        "for_inference, bfloat16": for_inference(copy.deepcopy(net), torch.bfloat16),
    }
    runs = {f"forward, {way}": answer(network) for way, network in ways.items()}
    return compare({"plain": obviously(answer(plain)), **runs}, repeats)


def compare_training(image_size: int, repeats: int) -> list[Row]:
    """Time forward and backward of one sample, and count what is kept for the backward pass."""
    net, sample = full_size(image_size)
    plain = copy.deepcopy(net).to(memory_format=torch.contiguous_format)

    def step(network: DFMVR, mixed: bool) -> Run:
        def run() -> list[Tensor]:
            network.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                answer = network(*sample).identity
            answer.square().sum().backward()
            return [network.heads["identity"].weight.grad]

        return run

    runs = {"plain": obviously(step(plain, False)), "training step": step(net, False)}
    runs["training step, bfloat16"] = step(net, True)
    kept = {name: kept_bytes(run, net if name != "plain" else plain) for name, run in runs.items()}
    rows = compare(runs, repeats)
    return rows + [Row(f"kept for the gradients, {n}", kept[n], kept["plain"], None) for n in runs if n != "plain"]


def kept_bytes(run: Run, network: DFMVR) -> int:
    """Bytes of all tensors, but for the parameters, that a step keeps from its forward to its backward pass."""
    known = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = tensor  # alive, so that no other gets its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--repeats", type=int, default=5, help="calls of which the median time is taken")
    parser.add_argument("--image-size", type=int, default=224, help="pixels; the paper has 224")
    parser.add_argument("--training", action="store_true", help="measure training steps too (minutes)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    rows = [*compare_layers(args.image_size, args.repeats), *compare_networks(args.image_size, args.repeats)]
    if args.training:
        rows += compare_training(args.image_size, args.repeats)
    print(f"One sample, {args.image_size} px, {args.threads} thread(s), torch {torch.__version__}, median of", end=" ")
    print(f"{args.repeats}; DF-MVR of width 64 with RedNet-50.\n")
    print("| what | ours | plain | plain / ours | largest difference |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for what, ours, plain, difference in rows:
        factor, unit = (1e3, "ms") if difference is not None else (2**-20, "MiB")
        last = "" if difference is None else f"{difference:.1e}"
        print(f"| {what} | {factor * ours:.1f} {unit} | {factor * plain:.1f} {unit} | {plain / ours:.2f} | {last} |")


if __name__ == "__main__":
    main()
