"""Measure what a face costs, from photographs' files to files of meshes, by part; prints markdown. Linux.

    python benchmarks/benchmark_reconstruct.py LEFT FRONT RIGHT [--repeats 5] [--threads 2]

Start-up is the time from the call of `dfmvr reconstruct` to that of the first network, the shortest of some, each in a
process of its own; importing torch is a part of it. The other parts are medians over repeats after a first face that
does not count: that one prepares what depends on the face model alone, and has its own line. Peak memory is this
process's.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dfmvr import Reconstructor
from dfmvr.conventions import VIEWS
from dfmvr.datasets.images import read_image
from dfmvr.geometry.meshes import write_mesh
from dfmvr.reconstruct.export.files import coloured, export
from dfmvr.reconstruct.export.pictures import overlay, turntable
from dfmvr.reconstruct.photographs.views import put_in_place

STARTS = 5
START = """
import os, sys, time
first = time.time()
import torch
imported = time.time() - first
def called(*_, **__):
    print(time.time() - float(sys.argv[1]), imported, flush=True)
    os._exit(0)
torch.nn.Module.__call__ = called
from dfmvr.cli import main
sys.exit(main(["reconstruct", *sys.argv[2:], "-o", os.path.join(os.sep, "nowhere")]))
"""
"""Prints the seconds since a given time to the first call of a network, and those of importing torch."""

TO_GLB = ("read", "find landmarks, align", "parse, network", "fit", "texture", "GLB")


class Clock:
    """Notes how long calls take."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, function: Callable[..., Any], *given: Any) -> Any:
        """Call a function and note the time."""
        begin = time.perf_counter()
        result = function(*given)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin
        return result


def one_face(reconstructor: Reconstructor, files: list[Path], folder: Path) -> dict[str, float]:
    """Seconds of every part of one face."""
    clock = Clock()
    photos = [clock("read", read_image, path) for path in files]
    seen = [clock("find landmarks, align", reconstructor.see, photo) for photo in photos]
    views, notes = put_in_place(dict(zip(VIEWS, seen, strict=True)))
    (face,) = clock("parse, network", reconstructor.from_views, [views], [notes])
    face = clock("fit", reconstructor.fit, face)
    mesh = clock("texture", coloured, face)
    clock("GLB", write_mesh, folder / "face.glb", mesh)
    clock("OBJ, PLY", write_mesh, folder / "face.obj", mesh)
    clock("OBJ, PLY", write_mesh, folder / "face.ply", mesh)
    for view in face.views:
        clock("overlays", overlay, face, view)
    clock("turntable", turntable, face, mesh.texture, mesh.colours)
    return clock.seconds


def start_up(photos: list[Path]) -> tuple[float, float]:
    """Seconds to the first network call, and those of importing torch in that run."""
    runs = []
    for _ in range(STARTS):
        command = [sys.executable, "-c", START, str(time.time()), *map(str, photos)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        runs.append(tuple(map(float, out.split())))
    return min(runs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", nargs=3, type=Path, metavar="PHOTO")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    started, imported = start_up(args.photos)
    reconstructor = Reconstructor.load()
    with tempfile.TemporaryDirectory() as folder:
        first = sum(one_face(reconstructor, args.photos, Path(folder)).values())
        runs = [one_face(reconstructor, args.photos, Path(folder)) for _ in range(args.repeats)]
        begin = time.perf_counter()
        export(Path(folder), reconstructor.fit(reconstructor(*args.photos)))
        everything = time.perf_counter() - begin
    medians = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    print("| part | seconds |\n| --- | ---: |")
    for name, seconds in medians.items():
        print(f"| {name} | {seconds:.3f} |")
    print(f"| **files to GLB** | **{sum(medians[name] for name in TO_GLB):.2f}** |")
    print(f"| all files of a face | {everything:.2f} |")
    print(f"| the first face, all parts | {first:.2f} |")
    print(f"| start-up to the first network call | {started:.2f} |\n| of that, importing torch | {imported:.2f} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{args.threads} threads, {args.repeats} repeats; peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
