"""Measure involution and the whole network against the same with an unfolded buffer; prints markdown.

    python benchmarks/benchmark_networks.py --threads 1 --repeats 5

Both are the same sums, so the largest difference of the results, in parts of the largest value, stands beside
the times.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

import dfmvr.networks.involution as involution
from dfmvr.networks import DFMVR, NetworkSettings, RedNet


def involve_unfolded(x: Tensor, weight: Tensor, kernel_size: int, stride: int = 1) -> Tensor:
    """Involution as usually written: every place's neighbourhood unfolded, times its kernel."""
    images, channels = x.shape[:2]
    groups, size = weight.shape[1] // kernel_size**2, weight.shape[-2:]
    taps = F.unfold(x, kernel_size, padding=kernel_size // 2, stride=stride)
    taps = taps.view(images, groups, channels // groups, kernel_size**2, *size)
    kernels = weight.view(images, groups, 1, kernel_size**2, *size)
    return (taps * kernels).sum(3).view(images, channels, *size)


def median_seconds(function: Callable[[], object], repeats: int) -> float:
    """Median time of a call, after one that warms up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def relative_difference(ours: Tensor, other: Tensor) -> float:
    """Largest difference, in parts of the largest value."""
    return ((ours - other).abs().max() / other.abs().max()).item()


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


def compare_layers(image_size: int, repeats: int) -> list[tuple[str, float, float, float]]:
    """Time forward, and forward with backward, over all layers; (what, ours, unfolded, largest difference)."""
    calls = [(x.requires_grad_(), w.requires_grad_(), k, s) for x, w, k, s in layer_inputs(image_size)]
    grads = [torch.randn_like(involution.involve(*call)) for call in calls]
    ways = (involution.involve, involve_unfolded)

    def forward(way: Callable[..., Tensor]) -> list[Tensor]:
        with torch.no_grad():
            return [way(*call) for call in calls]

    def backward(way: Callable[..., Tensor]) -> list[Tensor]:
        return [
            g for call, grad in zip(calls, grads, strict=True) for g in torch.autograd.grad(way(*call), call[:2], grad)
        ]

    rows = []
    for name, run in (("forward", forward), ("forward and backward", backward)):
        ours, unfolded = (median_seconds(lambda run=run, way=way: run(way), repeats) for way in ways)
        difference = max(relative_difference(a, b) for a, b in zip(*map(run, ways), strict=True))
        rows.append((f"{len(calls)} involutions of RedNet-50, {name}", ours, unfolded, difference))
    return rows


def compare_networks(image_size: int, repeats: int) -> tuple[str, float, float, float]:
    """Time DF-MVR at the paper's width, one sample, with both involutions."""
    torch.manual_seed(0)
    net = DFMVR(NetworkSettings(), image_size, 80, 64, 80)
    # A fresh network answers zeros and has its residual branches, hence its involutions, switched off.
    torch.nn.init.normal_(net.heads["identity"].weight)
    # Branches at full strength would double the signal, and float32's rounding, from block to block.
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.weight, 0.1 if name.endswith("bn3") else 1.0)
            module.momentum = 1.0
    images = torch.rand(1, 3, 3, image_size, image_size)
    masks = torch.randint(0, 10, (1, 3, image_size, image_size))

    def run() -> Tensor:
        with torch.no_grad():
            return net(images, masks).identity

    run()  # in training mode: sets the statistics of the batch normalisations
    net.eval()

    ours, out = median_seconds(run, repeats), run()
    with mock.patch.object(involution, "involve", involve_unfolded):
        unfolded, other = median_seconds(run, repeats), run()
    return "DF-MVR, width 64, RedNet-50, forward", ours, unfolded, relative_difference(out, other)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--repeats", type=int, default=5, help="calls of which the median time is taken")
    parser.add_argument("--image-size", type=int, default=224, help="pixels; the paper has 224")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    rows = [*compare_layers(args.image_size, args.repeats), compare_networks(args.image_size, args.repeats)]
    print(f"One sample, {args.image_size} px, {args.threads} thread(s), torch {torch.__version__}, median of", end=" ")
    print(f"{args.repeats}.\n")
    print("| what | ours, ms | unfolded, ms | ratio | largest difference |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, ours, unfolded, difference in rows:
        print(f"| {name} | {1e3 * ours:.1f} | {1e3 * unfolded:.1f} | {unfolded / ours:.2f} | {difference:.1e} |")


if __name__ == "__main__":
    main()
