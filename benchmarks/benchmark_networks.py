"""Measure the network against the same network written the obvious way, side by side; prints markdown.

    python benchmarks/benchmark_networks.py --threads 1 --repeats 5

The obvious way unfolds a buffer for every involution, keeps the default layout of tensors and single precision, and
runs layer by layer. Both are the same sums, so the largest difference of the results, in parts of the largest value,
stands beside the times. The ways take turns, so that what else the machine does meets all of them.

With --steps: whole steps of training at the default size, where the maps of 8 to 64 channels are bound by memory. What
was tried there and did not pay (Xeon with AMX, one thread): torch.compile, 1.09 times as fast after 80 s of compiling;
normalisations folded into the gates' 1x1 convolutions by the covariance of their inputs, 0.97 to 1.03; huge pages,
1.03; bfloat16 inside the convolutions alone, 1.06. `train.precision: bfloat16`, 1.2, is not the same sums.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

import dfmvr.losses as losses
import dfmvr.networks.involution as involution
from dfmvr.assets.files import asset
from dfmvr.config.configuration import load
from dfmvr.face_model.packed import read_model
from dfmvr.networks.df_mvr import DFMVR
from dfmvr.networks.heads import NetworkSizes
from dfmvr.networks.inference import for_inference
from dfmvr.networks.rednet import RedNet
from dfmvr.parse.parser import load_parser
from dfmvr.train.command import training_of
from dfmvr.train.memory import keep_freed_memory
from dfmvr.train.samples import Batch

CONFIG = Path(__file__).resolve().parents[1] / "config"
PAPER, DEFAULT = CONFIG / "paper.yaml", CONFIG / "config.yaml"

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


class TapByTap(torch.autograd.Function):
    """Involution whose gradients are found one entry of the kernel at a time, from tensors laid out anew."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, kernel_size: int, stride: int) -> Tensor:
        """See `involve`."""
        ctx.save_for_backward(x, weight)
        ctx.kernel_size, ctx.stride = kernel_size, stride
        return involution._involve(x, weight, kernel_size, stride)[0].contiguous()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Of x and weight."""
        x, weight = ctx.saved_tensors
        taps = ctx.kernel_size**2
        layout = involution.Layout(x.shape, weight.shape, weight.shape[1] // taps, ctx.kernel_size, ctx.stride)
        phases, kernel, grad = layout.phases(x), layout.maps(weight), layout.maps(grad)
        grad_phases, grad_kernel = torch.zeros_like(phases), torch.empty_like(kernel)
        for k in range(taps):
            layout.tap(grad_phases, k).addcmul_(grad, kernel[k])
            torch.sum(grad * layout.tap(phases, k), 0, out=grad_kernel[k])
        return layout.from_phases(grad_phases).contiguous(), layout.from_maps(grad_kernel).contiguous(), None, None


def involve_tap_by_tap(x: Tensor, weight: Tensor, kernel_size: int, stride: int = 1) -> Tensor:
    """The same as `involve`."""
    return TapByTap.apply(x, weight, kernel_size, stride)


def obviously(run: Run) -> Run:
    """The same with unfolded involutions."""

    def unfolded() -> list[Tensor]:
        with mock.patch.object(involution, "involve", involve_unfolded):
            return run()

    return unfolded


def median_seconds(runs: dict[str, Run], repeats: int) -> dict[str, float]:
    """Median processor times of calls that take turns, after one of each that warms up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(repeats + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if i:
                times[name].append(time.process_time() - start)
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


def norm_of_planes(rendered: Tensor, photo: Tensor, coverage: Tensor, weights: Tensor) -> Tensor:
    """The photo loss as usually written: the norm over an axis that is not the last."""
    distance = torch.linalg.vector_norm(rendered - photo, dim=2)
    return losses._weighted_mean(distance, weights.to(distance.dtype) * coverage.detach())


def compare_steps(repeats: int) -> list[Row]:
    """Time whole steps of training at the default size, with landmarks alone and with renderings, and their losses.

    One after the other, a plainer way is put back: unfolded involutions, or their gradients tap by tap; all vertices
    where only landmarks count; a norm over planes in the photo loss.
    """
    settings = load(DEFAULT, []).train
    size, count = load(DEFAULT, []).align.image_size, settings.batch_size
    model, parser = read_model(asset("face_model.npz")), load_parser(asset("parser.safetensors"))
    torch.manual_seed(0)
    sizes = NetworkSizes(size, model.identity_size, model.expression_size, model.texture_size)
    network = training_of(settings).make_network(settings, sizes).train()
    for head in network.heads.values():
        torch.nn.init.normal_(head.weight, std=0.01)  # a fresh head passes no gradient on
    system = training_of(settings)(settings, network, model, parser, size)
    batch = Batch(
        torch.rand(count, 3, 3, size, size),
        torch.randint(0, 10, (count, 3, size, size)),
        torch.rand(count, 3, size, size),
        size * torch.rand(count, 3, 68, 2),
        40 * torch.randn(count, 101, 3),
        torch.ones(count, 3, dtype=torch.bool),
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=0.0, fused=True)  # all ways answer the same weights

    def step(rendered: bool) -> list[Tensor]:
        optimiser.zero_grad(set_to_none=True)
        total = system.losses(batch, rendered).total
        total.backward()
        optimiser.step()
        return [total.detach(), network.neck.linear.weight.grad]

    plainly = {
        "involutions unfolded": mock.patch.object(involution, "involve", involve_unfolded),
        "involutions tap by tap": mock.patch.object(involution, "involve", involve_tap_by_tap),
        "all vertices": mock.patch.object(system, "landmarks", system.model),
        "norm over planes": mock.patch.object(
            losses, "rendered_losses", partial(losses.rendered_losses, compare=norm_of_planes)
        ),
    }

    def without(*names: str, rendered: bool) -> Run:
        def run() -> list[Tensor]:
            with ExitStack() as stack:
                for name in names:
                    stack.enter_context(plainly[name])
                return step(rendered)

        return run

    rows = []
    for rendered, what in ((False, "with landmarks alone"), (True, "with renderings")):
        names = [name for name in plainly if name != ("all vertices" if rendered else "norm over planes")]
        runs = {name: without(name, rendered=rendered) for name in names}
        runs |= {"all but the first": without(*names[1:], rendered=rendered), "ours": partial(step, rendered)}
        seconds, expected = median_seconds(runs, repeats), step(rendered)
        for name in [*names, "all but the first"]:
            difference = relative_difference(expected, runs[name]())
            rows.append(Row(f"step {what}, plain: {name}", seconds["ours"], seconds[name], difference))
    return rows


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
    parser.add_argument("--steps", action="store_true", help="measure whole steps at the default size instead")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    keep_freed_memory()
    about = f"{args.threads} thread(s), torch {torch.__version__}, median processor time of {args.repeats}"
    if args.steps:
        rows = compare_steps(args.repeats)
        print(f"DF-MVR of the default study, 16 samples, {about}.\n")
    else:
        rows = [*compare_layers(args.image_size, args.repeats), *compare_networks(args.image_size, args.repeats)]
        if args.training:
            rows += compare_training(args.image_size, args.repeats)
        print(f"One sample, {args.image_size} px, {about}; DF-MVR of width 64 with RedNet-50.\n")
    print("| what | ours | plain | plain / ours | largest difference |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for what, ours, plain, difference in rows:
        factor, unit = (1e3, "ms") if difference is not None else (2**-20, "MiB")
        last = "" if difference is None else f"{difference:.1e}"
        print(f"| {what} | {factor * ours:.1f} {unit} | {factor * plain:.1f} {unit} | {plain / ours:.2f} | {last} |")


if __name__ == "__main__":
    main()
