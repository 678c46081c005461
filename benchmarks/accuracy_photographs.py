r"""Measure how accurate reconstructions from photographs are, step by step; prints markdown.

    python benchmarks/accuracy_photographs.py --data FOLDER [--first 0] [--people 40] [--expressive | --mixed]
    python benchmarks/accuracy_photographs.py --scan FOLDER [--distance 1000] [--finder own]

The first takes test people of a data set in Pixel-Face's layout: neutral, in the expression that each has, or with that
expression from the front and neutral from the sides, as photographs of different moments have it. The second
photographs a head scan (head.obj, albedo.jpg, landmarks.csv) under three lights, from so many mm. All photographs'
landmarks are found. --short leaves out the fit without each of its terms and the front view alone, --network-alone the
fit.

RMSE in mm, protocol `paper`: seven landmarks and ICP with scale, 95 mm about the nose tip; `same point` is the distance
of corresponding points where the true surface is known, `nose`, `mouth` and so on that of theirs, and `neutral` that of
the face without its expression, where the person's neutral scan is. `landmarks` is how far the face's are from those
found in the photographs, the jaw's left out, in per cent of the distance of the eyes' outer corners. `better` and
`worst` compare RMSE with the network's answer to the same photographs; the interval (95 %, bootstrap over people) is
that of the mean difference. `colour` is the mean difference (CIEDE2000) of the face's own colours, lit, and the
photographs', over the crop's pixels that the parser calls skin; a second table has it by the photographed skin's tone
(classes of the individual typology angle, Chardon et al. 1991; what light does counts as tone). The networks are those
that ship, unless --checkpoint names others. Photographs of 768 px are made by

    dfmvr simulate --dataset pixel_face --heads results/face_model/heads.npz --output FOLDER \
        --set simulate.photo_height_px=768 --set simulate.seed=7 --set simulate.pixel_face.train_subjects=0 \
        --set simulate.pixel_face.test_subjects=100

and those of another population by `--dataset pixel_face_ict` with `--set simulate.ict_facekit=FOLDER` and
`--set simulate.ict_test_subjects=46`.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from skimage.color import deltaE_ciede2000, rgb2lab
from tqdm import tqdm

from dfmvr import Reconstruction, Reconstructor
from dfmvr.align.find import AUTO, FINDERS
from dfmvr.config.configuration import Config
from dfmvr.config.data import MeshSection
from dfmvr.config.evaluation import PROTOCOLS
from dfmvr.conventions import CAMERA_DISTANCE_MM, CLASSES, REGIONS, VIEWS
from dfmvr.datasets.layouts import open_dataset
from dfmvr.errors import DfmvrError
from dfmvr.face_model.coefficients import mean_faces
from dfmvr.geometry.surface import Surface
from dfmvr.mesh.pixel_face import normalise
from dfmvr.mesh.scan import FaceScan
from dfmvr.reconstruct.export.pictures import lit_albedo
from dfmvr.reconstruct.fit.fitter import TERMS, FaceFitter
from dfmvr.reconstruct.fit.landmarks import JAW
from dfmvr.reconstruct.photographs.reconstruction import SeenView
from dfmvr.reconstruct.scan_fit import ScanFitter
from dfmvr.register.crop import crop
from dfmvr.register.surface import register_surface
from dfmvr.rendering.rasterizer import interpolate_hits, rasterize_hits, scatter_pixels
from dfmvr.score.distances import ALL, correspondence_by_region, measure, measure_correspondence, summarise

PAPER = PROTOCOLS["paper"]
NETWORK = "network"
NEUTRAL, EXPRESSIVE = "01", "02"
"""Ends of the names of samples: every person's first expression is neutral."""


class Person(NamedTuple):
    """A face with photographs and a scan."""

    name: str
    photos: dict[str, np.ndarray]
    target: FaceScan
    neutral: FaceScan | None = None  # the person without expression
    focal_px: float | None = None  # of all cameras


def of_data(folder: Path, first: int, people: int, side: str, front: str) -> Iterator[Person]:
    """Test people of a data set, from the sides and from the front with their expressions of these numbers."""
    data = open_dataset("pixel_face", folder, Config().datasets.pixel_face)
    samples = {one.sample: one for one in data.samples() if one.split == "test"}
    chosen = [name for name in samples if name.endswith(NEUTRAL) and name[:-2] + front in samples]
    for name in chosen[first : first + people]:
        of_side, of_front, still = (samples[name[:-2] + number] for number in (side, front, NEUTRAL))
        files = [(of_front if view == "front" else of_side).photos[k] for k, view in enumerate(VIEWS)]
        photos = dict(zip(VIEWS, map(data.read_photo, files), strict=True))
        scans = [normalise(data, sample.scan, MeshSection())[0] for sample in (of_front, still)]
        yield Person(of_front.sample, photos, *scans)


def of_scan(folder: Path, distance_mm: float) -> Iterator[Person]:
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
    focal_px = real_scan.camera_of("front", distance_mm).focal_px
    for name, light in lights.items():
        photos = {view: real_scan.photograph_scan(scan, view, light, distance_mm) for view in VIEWS}
        yield Person(name, photos, target, focal_px=focal_px)


COLUMNS = ("RMSE", "same point", *REGIONS[1:], "neutral", "landmarks", "colour", "tone")
SKIN = [CLASSES.index(name) for name in ("skin", "nose")]
TONES = {"dark": -30, "brown": 10, "tan": 28, "intermediate": 41, "light": 55, "very light": 90}
"""Largest individual typology angle of each tone, degrees."""


def errors_of(face: Reconstruction, person: Person) -> list[float]:
    """Register a face to the scan and measure it: numbers by COLUMNS, NaN where the truth is not known."""
    rmse, apart = _measured(face, person.target)
    neutral = np.nan if person.neutral is None else _measured(face.neutral(), person.neutral)[1][ALL]
    regions = (apart[name] for name in REGIONS[1:])
    return [rmse, apart[ALL], *regions, neutral, _landmarks_apart(face), *colours_apart(face)]


def colours_apart(face: Reconstruction) -> tuple[float, float]:
    """CIEDE2000 between the face's skin and its photographs', and the photographed tone, degrees; see the module."""
    apart, tones = [], []
    for view in face.views:
        drawn, covered = lit_in_crop(face, view)
        skin = covered & np.isin(view.mask, SKIN)
        photographed = rgb2lab(view.crop)[skin]
        apart.append(deltaE_ciede2000(photographed, rgb2lab(drawn)[skin]).mean())
        lightness, _, yellow = np.median(photographed, 0)
        tones.append(np.degrees(np.arctan2(lightness - 50, yellow)))
    return (float(np.mean(apart)), float(np.mean(tones))) if apart else (np.nan, np.nan)


def lit_in_crop(face: Reconstruction, view: SeenView) -> tuple[np.ndarray, np.ndarray]:
    """The face's own colours (S, S, 3) in [0, 1] under the light found, in the crop, and where they are (S, S)."""
    place = face.project(view)
    place[:, :2] = place[:, :2] @ view.affine[:, :2].T + view.affine[:, 2]
    with torch.no_grad():
        _, lit = lit_albedo(face, view)
        size = view.crop.shape[:2]
        faces, hits = rasterize_hits(torch.from_numpy(place).float()[None], face.model.triangles, size)
        planes = scatter_pixels(hits, interpolate_hits(hits, lit), tuple(faces.shape))[:, 0]
    return planes.permute(1, 2, 0).numpy(), faces[0].numpy() >= 0


def _landmarks_apart(face: Reconstruction) -> float:
    """How far the landmarks are from those found, see the module's docstring; NaN without photographs."""
    places, apart = face.model.landmarks_68.numpy(), []
    eyes = np.linalg.norm(np.subtract(*face.vertices[places[[36, 45]]]))
    for view in face.views:
        seen = face.project(view)[places, :2]
        distance = np.linalg.norm(seen - view.landmarks, axis=1)[JAW:]
        apart.append(np.nanmean(distance) / (face.camera(view).px_per_mm * eyes))
    return 100 * float(np.mean(apart)) if apart else np.nan


def _measured(face: Reconstruction, target: FaceScan) -> tuple[float, dict[str, float]]:
    """RMSE, and the distances of corresponding points by region."""
    surface = Surface(face.vertices, face.triangles)
    found = register_surface(surface, face.vertices[face.model.alignment.numpy()], target, PAPER)
    apart = correspondence_by_region(measure_correspondence(surface, target, found, PAPER), face.model.regions.numpy())
    return summarise(measure(surface, crop(target, PAPER), found)).rmse_mm, apart


def ways(
    reconstructor: Reconstructor, fitters: dict[str, FaceFitter], person: Person, same_expression: bool, short: bool
) -> Iterator[tuple[str, list[float]]]:
    """The errors of the reconstructions that are compared."""
    network = reconstructor(**person.photos)
    still = {name: torch.zeros_like(getattr(network.coefficients, name)) for name in ("identity", "expression")}
    nothing = network.coefficients._replace(**still)
    yield "mean face", errors_of(dataclasses.replace(network, coefficients=nothing), person)
    yield NETWORK, errors_of(network, person)
    for name, fitter in fitters.items():
        yield name, errors_of(fitter.fit(network), person)
    if not fitters:
        return
    if not same_expression:
        yield "fit, one expression for all", errors_of(fitters["fit"].fit(network, same_expression=True), person)
    if person.focal_px:
        views = tuple(view._replace(focal_px=person.focal_px) for view in network.views)
        known = dataclasses.replace(network, views=views)
        yield "fit, focal length known", errors_of(fitters["fit"].fit(known), person)
    if short:
        return
    front = reconstructor(front=person.photos["front"])
    yield "network, the front view alone", errors_of(front, person)
    yield "fit, the front view alone", errors_of(fitters["fit"].fit(front), person)


def floor_of(reconstructor: Reconstructor, fitter: ScanFitter, person: Person) -> list[float]:
    """The errors of the face model fitted to the scan."""
    found = fitter.fit(person.target, PAPER)
    identity, expression = (torch.from_numpy(values)[None].float() for values in (found.identity, found.expression))
    coefficients = mean_faces(reconstructor.model, 1)._replace(identity=identity, expression=expression)
    return errors_of(Reconstruction(reconstructor.model, coefficients, ()), person)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path)
    source.add_argument("--scan", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--people", type=int, default=40)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--expressive", action="store_true")
    kind.add_argument("--mixed", action="store_true")
    parser.add_argument("--distance", type=float, default=CAMERA_DISTANCE_MM)
    parser.add_argument("--short", action="store_true", help="neither the fit without its terms nor the front alone")
    parser.add_argument("--network-alone", action="store_true", help="without the fit")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--finder", choices=(AUTO, *FINDERS), default=AUTO)
    args = parser.parse_args()
    reconstructor = Reconstructor.load(args.checkpoint, finder=args.finder)
    fitters = {} if args.network_alone else {"fit": FaceFitter(reconstructor.model)}
    if fitters and not args.short:
        fitters |= {f"fit without {term}": FaceFitter(reconstructor.model, set(TERMS) - {term}) for term in TERMS}
    floors, errors, failed = ScanFitter(reconstructor.model), {}, 0
    side, front = (EXPRESSIVE if given else NEUTRAL for given in (args.expressive, args.expressive or args.mixed))
    people = (
        of_scan(args.scan, args.distance) if args.scan else of_data(args.data, args.first, args.people, side, front)
    )
    names = []
    for person in tqdm(people, unit="face"):
        try:
            found = dict(ways(reconstructor, fitters, person, side == front, args.short))
            found["floor"] = floor_of(reconstructor, floors, person)
        except DfmvrError as error:
            failed += 1
            tqdm.write(f"{person.name}: {error}")
            continue
        names.append(person.name)
        for name, value in found.items():
            errors.setdefault(name, []).append(value)
    tell(errors, names, failed)


def tell(errors: dict[str, list[list[float]]], names: list[str], failed: int) -> None:
    """Print the errors by way and person; `failed` people were set aside."""
    network, fit = (np.array(errors[name])[:, 0] for name in (NETWORK, "fit" if "fit" in errors else NETWORK))
    order = np.argsort(fit - network)
    told = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    print(f"{len(network)} faces, {failed} set aside; by what the fit gains: ", end="")
    print(", ".join(f"{what} {names[k]} ({fit[k] - network[k]:+.2f})" for what, k in told.items()), end="\n\n")
    heads = ["RMSE", "of the network's", "interval", "better for", "worst", *COLUMNS[1:-1]]
    print(f"| from | {' | '.join(heads)} |")
    print(f"| --- |{' ---: |' * len(heads)}")
    for name, values in ((name, np.array(values)) for name, values in errors.items()):
        mean, change = values.mean(0), values[:, 0] - network
        low, high = _interval(change)
        share = f"{mean[0] / network.mean():.3f} | {low:+.3f} to {high:+.3f}"
        more = " | ".join("" if np.isnan(value) else f"{value:.2f}" for value in mean[1:-1])
        print(f"| {name} | {mean[0]:.3f} | {share} | {(change < 0).mean():.0%} | {change.max():+.2f} | {more} |")
    tell_colours(errors)


def tell_colours(errors: dict[str, list[list[float]]]) -> None:
    """Print how far colours are, by tone; `errors` by way and person."""
    ways = [name for name in (NETWORK, "fit") if name in errors]
    print(f"\n| colour, by tone | people | {' | '.join(ways)} |\n| --- | ---: |{' ---: |' * len(ways)}")
    colours = np.stack([np.array(errors[name])[:, -2] for name in ways], 1)
    tones = np.searchsorted(list(TONES.values()), np.array(errors[NETWORK])[:, -1])
    for place, name in enumerate(TONES):
        if (of_tone := tones == place).any():
            print(f"| {name} | {of_tone.sum()} | {' | '.join(f'{one:.1f}' for one in colours[of_tone].mean(0))} |")


def _interval(change: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean, resampled."""
    drawn = np.random.default_rng(0).integers(0, len(change), (10000, len(change)))
    return tuple(np.percentile(change[drawn].mean(1), (2.5, 97.5)))


if __name__ == "__main__":
    main()
