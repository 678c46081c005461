"""Training by several processes at once, one a GPU: each computes the gradient of its rows of every batch.

In     the environment that `torchrun --nproc-per-node N -m dfmvr train ...` sets up (RANK, WORLD_SIZE, LOCAL_RANK).
Gives  the steps of one process with the whole batch: gradients are averaged, and batch normalisation sees all rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn


class Team(NamedTuple):
    """One process among all that train together."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def share(self, tensor: Tensor) -> Tensor:
        """Take the rows of this process from a tensor whose first axis is the batch."""
        return tensor.tensor_split(self.size)[self.rank]

    def mean(self, values: Tensor) -> Tensor:
        """Mean of a tensor over the processes; no gradient."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
            values = values / self.size
        return values

    def wrap(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Let the gradients of a network be averaged over the processes, and its batch normalisations see all rows."""
        if self.size == 1:
            return network
        if device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        else:
            share_normalisation(network)
        # Heads that a phase of the training does not use have no gradient.
        return nn.parallel.DistributedDataParallel(network, broadcast_buffers=False, find_unused_parameters=True)


def accumulating(network: nn.Module, last: bool) -> AbstractContextManager:
    """Keep the gradients of all but the last piece of a batch within the process."""
    return nullcontext() if last or not hasattr(network, "no_sync") else network.no_sync()


@contextmanager
def join(device: torch.device) -> Iterator[Team]:
    """Join the processes that torchrun has started; without it, be alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Team(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()


def local_rank() -> int:
    """The number of this process on its machine, hence of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


class _Sum(torch.autograd.Function):
    """Sum over the processes; so is its gradient."""

    @staticmethod
    def forward(context: object, values: Tensor) -> Tensor:
        result = values.clone()
        dist.all_reduce(result)
        return result

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:
        result = gradient.contiguous().clone()
        dist.all_reduce(result)
        return result


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation over the rows of all processes; torch's own knows GPUs only."""

    def _check_input_dim(self, x: Tensor) -> None:
        """Take any number of axes."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, ...) over all axes but the second, and over the processes."""
        if not self.training:
            return super().forward(x)
        axes = [0, *range(2, x.dim())]
        wide = x.double()  # so that the difference of two large numbers, the variance, is exact
        sums = torch.cat((wide.sum(axes), wide.square().sum(axes), wide.new_tensor([x.numel() // x.shape[1]])))
        sums = _Sum.apply(sums)
        count = sums[-1]
        mean, square = (sums[:-1] / count).chunk(2)
        variance = square - mean.square()
        if self.track_running_stats:
            with torch.no_grad():
                unbiased = variance * count / (count - 1)
                self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
                self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)
                self.num_batches_tracked += 1
        shape = (1, -1, *[1] * (x.dim() - 2))
        result = (wide - mean.view(shape)) * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            result = result * self.weight.view(shape) + self.bias.view(shape)
        return result.to(x.dtype)


def share_normalisation(network: nn.Module) -> None:
    """Turn every batch normalisation of a network into a `SharedBatchNorm` with the same parameters and statistics."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.__class__ = SharedBatchNorm
