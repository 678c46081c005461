r"""Measure how accurate reconstructions from photographs are, step by step; prints markdown.

    python benchmarks/accuracy_photographs.py --data FOLDER [--first 0] [--people 40] [--expressive]
    python benchmarks/accuracy_photographs.py --scan FOLDER [--finder own]

The first takes test people of a data set in Pixel-Face's layout, neutral or in the expression that each has; the second
photographs a head scan (head.obj, albedo.jpg, landmarks.csv) under three lights. All photographs' landmarks are found.
RMSE in mm, protocol `paper`: seven landmarks and ICP with scale, 95 mm about the nose tip; `same point` and `mouth` are
distances of corresponding points, of all and of the mouth's, where the true surface is known. `better` and `worst`
compare RMSE with the network's answer to the same photographs. The networks are those that ship, unless --checkpoint
names others. Photographs of 768 px are made by

    dfmvr simulate --dataset pixel_face --heads results/face_model/heads.npz --output FOLDER \
        --set simulate.photo_height_px=768 --set simulate.seed=7 --set simulate.pixel_face.train_subjects=0 \
        --set simulate.pixel_face.test_subjects=100
"""

from __future__ import annotations

import argparse
import dataclasses
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
from dfmvr.face_model.coefficients import mean_faces
from dfmvr.geometry.surface import Surface
from dfmvr.mesh.pixel_face import normalise
from dfmvr.mesh.scan import FaceScan
from dfmvr.reconstruct.fit.fitter import TERMS, FaceFitter
from dfmvr.reconstruct.scan_fit import ScanFitter
from dfmvr.register.crop import crop
from dfmvr.register.surface import register_surface
from dfmvr.score.distances import ALL, correspondence_by_region, measure, measure_correspondence, summarise

PAPER = PROTOCOLS["paper"]
NETWORK = "network"


class Person(NamedTuple):
    """A face with photographs and a scan."""

    name: str
    photos: dict[str, np.ndarray]
    target: FaceScan


def of_data(folder: Path, first: int, people: int, expressive: bool) -> Iterator[Person]:
    """Test samples of a data set, one a person: the first expression, which is neutral, or the second."""
    data = open_dataset("pixel_face", folder, Config().datasets.pixel_face)
    chosen = [
        one for one in data.samples() if one.split == "test" and one.sample.endswith("02" if expressive else "01")
    ]
    for sample in chosen[first : first + people]:
        photos = dict(zip(VIEWS, map(data.read_photo, sample.photos), strict=True))
        yield Person(sample.sample, photos, normalise(data, sample.scan, MeshSection())[0])


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
        yield Person(name, photos, target)


class Errors(NamedTuple):
    """Of a reconstruction, mm; NaN where the true surface is not known."""

    rmse: float
    same_point: float
    mouth: float


def errors_of(face: Reconstruction, target: FaceScan) -> Errors:
    """Register a face to the scan and measure it."""
    surface = Surface(face.vertices, face.triangles)
    found = register_surface(surface, face.vertices[face.model.alignment.numpy()], target, PAPER)
    apart = correspondence_by_region(measure_correspondence(surface, target, found, PAPER), face.model.regions.numpy())
    return Errors(summarise(measure(surface, crop(target, PAPER), found)).rmse_mm, apart[ALL], apart["mouth"])


def ways(reconstructor: Reconstructor, fitters: dict[str, FaceFitter], person: Person) -> Iterator[tuple[str, Errors]]:
    """The errors of the reconstructions that are compared."""
    network = reconstructor(**person.photos)
    still = {name: torch.zeros_like(getattr(network.coefficients, name)) for name in ("identity", "expression")}
    nothing = network.coefficients._replace(**still)
    yield "mean face", errors_of(dataclasses.replace(network, coefficients=nothing), person.target)
    yield NETWORK, errors_of(network, person.target)
    for name, fitter in fitters.items():
        yield name, errors_of(fitter.fit(network), person.target)
    front = reconstructor(front=person.photos["front"])
    yield "network, the front view alone", errors_of(front, person.target)
    yield "fit, the front view alone", errors_of(fitters["fit"].fit(front), person.target)


def floor_of(reconstructor: Reconstructor, fitter: ScanFitter, person: Person) -> Errors:
    """The errors of the face model fitted to the scan."""
    found = fitter.fit(person.target, PAPER)
    identity, expression = (torch.from_numpy(values)[None].float() for values in (found.identity, found.expression))
    coefficients = mean_faces(reconstructor.model, 1)._replace(identity=identity, expression=expression)
    return errors_of(Reconstruction(reconstructor.model, coefficients, ()), person.target)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path)
    source.add_argument("--scan", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--expressive", action="store_true")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--finder", choices=(AUTO, *FINDERS), default=AUTO)
    args = parser.parse_args()
    reconstructor = Reconstructor.load(args.checkpoint, finder=args.finder)
    fitters = {
        "fit": FaceFitter(reconstructor.model),
        **{f"fit without {term}": FaceFitter(reconstructor.model, set(TERMS) - {term}) for term in TERMS},
    }
    floors, errors, failed = ScanFitter(reconstructor.model), {}, 0
    people = of_scan(args.scan) if args.scan else of_data(args.data, args.first, args.people, args.expressive)
    for person in tqdm(people, unit="face"):
        try:
            found = dict(ways(reconstructor, fitters, person)) | {"floor": floor_of(reconstructor, floors, person)}
        except DfmvrError as error:
            failed += 1
            tqdm.write(f"{person.name}: {error}")
            continue
        for name, value in found.items():
            errors.setdefault(name, []).append(value)
    network = np.array(errors[NETWORK])
    print(f"{len(network)} faces, {failed} set aside\n")
    print("| from | RMSE | of the network's | better for | worst | same point | mouth |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, values in ((name, np.array(values)) for name, values in errors.items()):
        mean, change = values.mean(0), values[:, 0] - network[:, 0]
        share = f"{mean[0] / network[:, 0].mean():.3f} | {(change < 0).mean():.0%} | {change.max():+.2f}"
        print(f"| {name} | {mean[0]:.3f} | {share} | {mean[1]:.2f} | {mean[2]:.2f} |")


if __name__ == "__main__":
    main()
