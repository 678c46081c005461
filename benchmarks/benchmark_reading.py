"""Measure how fast data sets are indexed and training batches fed, and in how much memory; prints markdown. Linux.

    python benchmarks/benchmark_reading.py [--files 150000] [--samples 2000] [--threads 1]

First, trees of Multi-PIE in both layouts, all of links to one photograph of a pixel, are listed once, just written and
hence in the cache of the system. Then an epoch of batches is read from random aligned samples on disk and compared with
what training steps of the default network consume. These steps have a toy face model and no mask loss, so real ones
take longer.

A process's own (anonymous) memory is what it cannot give back. Pages of the files that it maps count as its as well
while they are in the cache of the system, which drops them when others need the room. Before the first line of memory
some batches have been read; from then on it goes up and down by a batch or two.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from dfmvr.config.data import MultiPieData
from dfmvr.config.training import LossSection, TrainSection
from dfmvr.datasets.images import write_image
from dfmvr.datasets.multi_pie.dataset import YAWS, MultiPie
from dfmvr.datasets.multi_pie.folders import PhotoName

LINKS = 30_000  # to one file; ext4 allows 65,000
ILLUMINATIONS, RECORDINGS = 20, 2
SIZE = 64
WARM_UP = 20  # batches


def memory_mib(*fields: str) -> list[float]:
    """Read fields of /proc/self/status: VmHWM is the peak, RssAnon what is the process's own, RssFile mapped files."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return [int(lines[field].split()[0]) / 1024 for field in fields]


def link_tree(root: Path, files: int, cropped: bool) -> int:
    """Fill a folder with photographs of session 1; gives their number."""
    subjects = -(-files // (len(YAWS) * ILLUMINATIONS * RECORDINGS))
    numbers = itertools.product(range(1, subjects + 1), range(1, RECORDINGS + 1), YAWS, range(ILLUMINATIONS))
    source = root / "0.png"
    made: set[Path] = set()
    for count, (subject, recording, camera, illumination) in enumerate(itertools.islice(numbers, files)):
        if count % LINKS == 0:
            source = root / f"{count}.png"
            write_image(source, np.zeros((1, 1, 3), np.uint8))
        name = PhotoName.of(subject, 1, recording, camera, illumination)
        path = name.path(root, "cropped_128" if cropped else "original")
        if path.parent not in made:
            path.parent.mkdir(parents=True)
            made.add(path.parent)
        os.link(source, path)
    return files


def measure_listing(files: int) -> None:
    """Print a line for each way to list a tree."""
    print("| data set | files | cameras | samples | s | peak of memory before, MiB | and after |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    every = tuple(zip(*[iter(YAWS)] * 3, strict=True))
    for layout in ("original", "cropped_128"):
        with tempfile.TemporaryDirectory() as folder:
            count = link_tree(Path(folder), files, layout == "cropped_128")
            for cameras in (MultiPieData().cameras, every):
                (before,) = memory_mib("VmHWM")
                start = time.perf_counter()
                samples = sum(1 for _ in MultiPie(folder, MultiPieData(layout=layout, cameras=cameras)).samples())
                seconds = time.perf_counter() - start
                (after,) = memory_mib("VmHWM")
                used = len({camera for triplet in cameras for camera in triplet})
                print(
                    f"| {layout} | {count:,} | {used} | {samples:,} | {seconds:.2f} | {before:.0f} | {after:.0f} |",
                    flush=True,
                )


def write_aligned(folder: Path, samples: int) -> None:
    """Write random samples as the stages align and parse do, a piece at a time."""
    rng = np.random.default_rng(0)
    shape = (samples, 3, SIZE, SIZE)
    arrays = (("images", (*shape, 3), 256), ("masks", shape, 10), ("weights", shape, 255))
    for name, whole, end in arrays:
        array = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, whole)
        for first in range(0, samples, 100):
            array[first : first + 100] = rng.integers(0, end, (min(100, samples - first), *whole[1:]), np.uint8)
        array.flush()
    np.savez(
        folder / "samples.npz",
        landmarks=rng.uniform(0, SIZE, (samples, 3, 68, 2)).astype(np.float32),
        landmarks_3d=rng.normal(0, 40, (samples, 101, 3)).astype(np.float32),
        sample=np.array([f"s{i}" for i in range(samples)]),
        subject=np.array([f"p{i}" for i in range(samples)]),
        split=np.array(["train"] * samples),
    )


def step_seconds(step: Callable[[], None], repeats: int) -> float:
    """Median time of a training step, after one that warms up."""
    step()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure_steps(samples: object, batch_size: int, repeats: int) -> list[tuple[str, float]]:
    """Images a second that training steps consume, with landmarks alone and with the photo loss as well."""
    import torch
    from toy_model import SIZES, toy_model

    from dfmvr.networks.heads import NetworkSizes
    from dfmvr.train.batches import training_batch
    from dfmvr.train.methods.df_mvr import DFMVRTraining

    torch.manual_seed(0)
    settings = TrainSection(loss=LossSection(mask=0.0), augment=False, batch_size=batch_size)
    network = DFMVRTraining.make_network(settings, NetworkSizes(SIZE, **SIZES)).train()
    system = DFMVRTraining(settings, network, toy_model(), None, SIZE)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-6)
    batch = training_batch(samples, 0, settings, torch.arange(101))

    def run(rendered: bool) -> None:
        optimiser.zero_grad(set_to_none=True)
        system.losses(batch, rendered).total.backward()
        optimiser.step()

    return [
        (name, 3 * batch_size / step_seconds(lambda rendered=rendered: run(rendered), repeats))
        for name, rendered in (("step, landmark losses", False), ("step, photo loss as well", True))
    ]


def measure_feeding(count: int, repeats: int) -> None:
    """Print speed and memory of an epoch of batches, and the speed of training steps."""
    import torch

    from dfmvr.train.batches import steps_per_epoch, training_batch
    from dfmvr.train.samples import AlignedSamples

    with tempfile.TemporaryDirectory() as folder:
        write_aligned(Path(folder), count)
        samples = AlignedSamples(folder, folder, "train")
        settings, mirrored = TrainSection(), torch.arange(101)
        batch_size = settings.batch_size
        steps = steps_per_epoch(len(samples), batch_size)
        marks = {round(steps * share / 4): f"{share / 4:.0%}" for share in range(5)}
        rows, seconds = [], 0.0
        for step in range(steps, steps + WARM_UP):
            training_batch(samples, step, settings, mirrored)
        for step in range(steps + 1):
            if step in marks:
                rows.append((marks[step], *memory_mib("RssAnon", "RssFile")))
            start = time.perf_counter()
            if step < steps:
                training_batch(samples, step, settings, mirrored)
                seconds += time.perf_counter() - start
        fed = 3 * batch_size * steps / seconds
        print(f"\n{count:,} samples of three images, {SIZE} px, batches of {batch_size}:\n")
        print("| of the epoch | own memory, MiB | mapped files, MiB |\n| ---: | ---: | ---: |")
        for share, own, mapped in rows:
            print(f"| {share} | {own:.1f} | {mapped:.1f} |")
        print("\n| what | images/s | in parts of feeding |\n| --- | ---: | ---: |")
        for name, rate in (("feeding", fed), *measure_steps(samples, batch_size, repeats)):
            print(f"| {name} | {rate:.0f} | {rate / fed:.3f} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=150_000, help="photographs in a tree")
    parser.add_argument("--samples", type=int, default=2000, help="aligned samples of an epoch")
    parser.add_argument("--repeats", type=int, default=7, help="training steps of which the median time is taken")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    args = parser.parse_args()
    measure_listing(args.files)
    import torch  # after the lists, lest its size count as theirs

    torch.set_num_threads(args.threads)
    measure_feeding(args.samples, args.repeats)


if __name__ == "__main__":
    main()
