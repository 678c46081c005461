"""Measure how accurate reconstructions from photographs are, with the landmarks annotated and found; prints markdown.

    python benchmarks/accuracy_photographs.py --data results/simulate/pixel_face [--samples 40] [--refine SECONDS]
    python benchmarks/accuracy_photographs.py --scan FOLDER [--refine SECONDS] [--finder own]

The first takes test samples of a data set in Pixel-Face's layout (the first expression of each person), the second
photographs a head scan (head.obj, albedo.jpg, landmarks.csv) under three lights. RMSE in mm, protocol `paper`: seven
landmarks and ICP with scale, 95 mm about the nose tip. The networks are those that ship, unless --checkpoint names
others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from dfmvr import Reconstruction, Reconstructor
from dfmvr.align.find import AUTO, FINDERS
from dfmvr.config.configuration import Config
from dfmvr.config.data import MeshSection
from dfmvr.config.evaluation import PROTOCOLS
from dfmvr.conventions import VIEWS
from dfmvr.datasets.layouts import open_dataset
from dfmvr.errors import DfmvrError
from dfmvr.geometry.surface import Surface
from dfmvr.mesh.pixel_face import normalise
from dfmvr.mesh.scan import FaceScan
from dfmvr.reconstruct.fit.descent import refine
from dfmvr.register.crop import crop
from dfmvr.register.surface import register_surface
from dfmvr.score.distances import measure, summarise

PAPER = PROTOCOLS["paper"]


class Person(NamedTuple):
    """A face with photographs and a scan."""

    name: str
    photos: dict[str, np.ndarray]
    landmarks: dict[str, np.ndarray]
    target: FaceScan


def of_data(folder: Path, most: int) -> Iterator[Person]:
    """Test samples of a data set, one a person."""
    data, seen = open_dataset("pixel_face", folder, Config().datasets.pixel_face), set()
    for sample in data.samples():
        if sample.split != "test" or sample.subject in seen or len(seen) == most:
            continue
        seen.add(sample.subject)
        photos = dict(zip(VIEWS, map(data.read_photo, sample.photos), strict=True))
        marks = dict(zip(VIEWS, map(data.read_annotation, sample.annotations), strict=True))
        yield Person(sample.sample, photos, marks, normalise(data, sample.scan, MeshSection())[0])


def of_scan(folder: Path) -> Iterator[Person]:
    """A head scan under three lights: as in the study, from the other side, and from above with little else."""
    from dfmvr.simulate import real_scan

    scan = real_scan.read_head_scan(folder, 50.0)
    target = FaceScan(real_scan.visible_surface(scan).vertices, scan.landmarks)
    base = real_scan.LIGHT
    lights = {
        "daylight": base,
        "from the other side, warm": base._replace(
            directions=base.directions * np.float32((-1, 0.6, 1)), colours=base.colours * np.float32((1.15, 0.95, 0.7))
        ),
        "from above, dim room": base._replace(
            directions=base.directions * np.float32((0.1, 1.6, 0.6)), sky=base.sky * np.float32(0.35)
        ),
    }
    for name, light in lights.items():
        photos = {view: real_scan.photograph_scan(scan, view, light) for view in VIEWS}
        marks = {view: real_scan.five_of(real_scan.camera_of(view).project(scan.landmarks)[:, :2]) for view in VIEWS}
        yield Person(name, photos, marks, target)


def error_of(face: Reconstruction, target: FaceScan) -> float:
    """RMSE, mm."""
    surface = Surface(face.vertices, face.triangles)
    found = register_surface(surface, face.vertices[face.model.alignment.numpy()], target, PAPER)
    return summarise(measure(surface, crop(target, PAPER), found)).rmse_mm


def ways(reconstructor: Reconstructor, person: Person, seconds: float) -> Iterator[tuple[str, Reconstruction]]:
    """The reconstructions that are compared."""
    photos, marks = person.photos, person.landmarks
    annotated = reconstructor(**photos, landmarks=marks)
    nothing = annotated.coefficients._replace(
        identity=torch.zeros_like(annotated.coefficients.identity),
        expression=torch.zeros_like(annotated.coefficients.expression),
    )
    yield "mean face", Reconstruction(annotated.model, nothing, annotated.views)
    yield "three views, annotated landmarks", annotated
    found = reconstructor(**photos)
    yield "three views", found
    yield "front view alone", reconstructor(front=photos["front"])
    if seconds:
        yield "three views, refined", refine(found, reconstructor.parser.settings, seconds)
        yield "three views, annotated landmarks, refined", refine(annotated, reconstructor.parser.settings, seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path)
    source.add_argument("--scan", type=Path)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--refine", type=float, default=0.0)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--finder", choices=(AUTO, *FINDERS), default=AUTO)
    args = parser.parse_args()
    reconstructor = Reconstructor.load(args.checkpoint, finder=args.finder)
    errors: dict[str, list[float]] = {}
    failed = 0
    for person in tqdm(of_scan(args.scan) if args.scan else of_data(args.data, args.samples), unit="face"):
        try:
            found = {name: error_of(face, person.target) for name, face in ways(reconstructor, person, args.refine)}
        except DfmvrError as error:
            failed += 1
            tqdm.write(f"{person.name}: {error}")
            continue
        for name, value in found.items():
            errors.setdefault(name, []).append(value)
        if args.scan:
            tqdm.write(f"{person.name}: " + ", ".join(f"{name} {value:.3f}" for name, value in found.items()))
    means = np.array(errors["mean face"])
    print(f"{len(means)} faces, {failed} set aside\n\n| from | mean RMSE (mm) | of the mean face's | better for |")
    print("| --- | ---: | ---: | ---: |")
    for name, values in errors.items():
        ratio, better = np.mean(values) / means.mean(), (np.array(values) < means).mean()
        print(f"| {name} | {np.mean(values):.3f} | {ratio:.3f} | {better:.0%} |")


if __name__ == "__main__":
    main()
