"""Compare our renderer with a loop over triangles in NumPy and, where installed, with PyTorch3D.

    python benchmarks/benchmark_rendering.py [--threads 1] [--rounds 7]

The scene is a bumpy half-ellipsoid of the size of a face; the last one has about as many triangles as the Basel Face
Model, at the paper's 224 px. Contenders take turns within a round; each time is the median
over the rounds, each ratio the median of the rounds' ratios. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dfmvr.geometry.camera import pose, project
from dfmvr.rendering.renderer import render


def face_like(columns: int) -> tuple[Tensor, Tensor]:
    """Vertices (V, 3) in mm and triangles (F, 3), counter-clockwise from outside, of a grid of columns^2 vertices."""
    angle = torch.linspace(-1.35, 1.35, columns)
    v, u = torch.meshgrid(angle, angle, indexing="ij")
    bumps = 3 * torch.sin(9 * u) * torch.sin(8 * v)
    vertices = torch.stack((75 * u.sin() * v.cos(), 100 * v.sin(), 80 * u.cos() * v.cos() + bumps), -1).reshape(-1, 3)
    i = torch.arange(columns * (columns - 1)).view(-1, columns)[:, :-1].reshape(-1, 1)
    steps = torch.tensor([[0, 1, columns + 1], [0, columns + 1, columns]])
    return vertices, (i[:, None] + steps).reshape(-1, 3)


def render_by_triangle(vertices: Tensor, triangles: Tensor, colours: Tensor, size: int) -> np.ndarray:
    """Render (B, V, 3) meshes a triangle at a time, its bounding box at once, in float64: (B, 3, H, W)."""
    images = np.zeros((len(vertices), 3, size, size))
    for image, points, shown in zip(images, project(vertices, size).double().numpy(), colours.numpy(), strict=True):
        nearest = np.full((size, size), np.inf)
        for triangle in triangles.numpy():
            x, y, depth = points[triangle].T
            left, top = (max(int(np.ceil(c.min() - 0.5)), 0) for c in (x, y))
            right, bottom = (min(int(np.floor(c.max() - 0.5)), size - 1) for c in (x, y))
            if left > right or top > bottom:
                continue
            dx = x[:, None, None] - (np.arange(left, right + 1) + 0.5)
            dy = y[:, None, None] - (np.arange(top, bottom + 1)[:, None] + 0.5)
            area = dx[[1, 2, 0]] * dy[[2, 0, 1]] - dx[[2, 0, 1]] * dy[[1, 2, 0]]
            whole = area.sum(0)
            if not whole.flat[0]:
                continue
            weight = area / whole / depth[:, None, None]
            z = 1 / weight.sum(0)
            box = np.s_[top : bottom + 1, left : right + 1]
            wins = (area / whole >= 0).all(0) & (z < nearest[box])
            nearest[box][wins] = z[wins]
            colour = np.einsum("kyx,kc->cyx", weight, shown[triangle]) * z
            image[:, *box][:, wins] = colour[:, wins]
    return images


def measure(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contender in each round, after one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def compare(columns: int, batch: int, size: int, rounds: int) -> None:
    """Print one line for each way to render `batch` views."""
    generator = torch.Generator().manual_seed(0)
    face, triangles = face_like(columns)
    angles = torch.randn(batch, 3, generator=generator) * 0.2
    angles[:, 1] += torch.tensor([-0.7, 0, 0.7]).repeat(batch)[:batch]
    vertices = pose(face.expand(batch, -1, -1), angles, torch.zeros(batch, 3)).requires_grad_()
    colours = torch.rand(vertices.shape, generator=generator).requires_grad_()

    def ours() -> Tensor:
        with torch.no_grad():
            return render(vertices, triangles, colours, size).image

    def trained() -> None:
        render(vertices, triangles, colours, size).image.square().sum().backward()

    def pytorch3d() -> Tensor:
        with torch.no_grad():
            return render(vertices, triangles, colours, size, backend="pytorch3d").image

    contenders = {"ours": ours, "ours, with gradient": trained}
    if batch <= 3:
        contenders["loop"] = lambda: render_by_triangle(vertices.detach(), triangles, colours.detach(), size)
        if importlib.util.find_spec("pytorch3d"):  # on a CPU it takes seconds a view, hence few of them
            contenders["PyTorch3D"] = pytorch3d
    seconds = measure(contenders, rounds)
    image = ours().numpy()
    for name, times in seconds.items():
        ratio = statistics.median(t / o for t, o in zip(times, seconds["ours"], strict=True))
        other = None if name.startswith("ours") else np.abs(np.asarray(contenders[name]()) - image)
        # near ties of depth may show another triangle, hence the share of pixels besides the largest difference
        far = "" if other is None else f"{other.max():.1e} | {(other.max(1) > 1e-3).mean():.1e}"
        scene = f"{batch} x {len(triangles):,} | {size}"
        print(
            f"| {scene} | {name} | {statistics.median(times) * 1e3:.1f} | {ratio:.1f} | {far or '- | -'} |", flush=True
        )


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch")
    parser.add_argument("--rounds", type=int, default=7, help="rounds after the warm-up")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| views x triangles | px | renderer | ms | x ours | largest difference | pixels that differ by 0.001 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for columns, batch, size in ((84, 3, 96), (84, 48, 72), (84, 48, 96), (180, 1, 256), (180, 1, 512), (200, 1, 224)):
        compare(columns, batch, size, options.rounds)


if __name__ == "__main__":
    main()
