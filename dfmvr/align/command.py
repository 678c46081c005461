"""The stage itself: reads a data set, sets broken samples aside, writes the crops, their arrays and the manifest."""

from __future__ import annotations

import argparse
import collections
import itertools
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from tqdm import tqdm

from dfmvr.align.crop import align_photo, map_points, read_standard_points
from dfmvr.align.find import find_faces
from dfmvr.config.training import AlignSection
from dfmvr.conventions import VIEWS
from dfmvr.datasets.layouts import LANDMARKED, MULTIVIEW, SCANNED, open_dataset, reading_options
from dfmvr.datasets.manifest import ManifestWriter, rows_of
from dfmvr.datasets.multiview import MultiviewDataset
from dfmvr.datasets.sample import Sample
from dfmvr.errors import DataError
from dfmvr.files import write_npz
from dfmvr.folders import writing_folder
from dfmvr.mesh.scan import NormalisedScans

log = logging.getLogger(__name__)

IMAGES, SAMPLES, MANIFEST = "images.npy", "samples.npz", "manifest.parquet"
BATCH = 64
SHOWN_SET_ASIDE = 20

SIDES_AFTER = 20
"""Samples after which left and right are checked for the first time, lest a whole data set be aligned in vain."""

SIDES_DEG = 10.0
"""ASSUME: median yaws of the two side views that are this far the wrong way round are no accident."""


class AlignedSample(NamedTuple):
    """One usable sample."""

    images: np.ndarray  # (3, S, S, 3) uint8
    landmarks: np.ndarray  # (3, 68, 2) float32, px of the crops; NaN where unknown
    crop: np.ndarray  # (3, 2, 3) float32, photo pixels to crop pixels
    landmarks_3d: np.ndarray  # (101, 3) float32 mm, NaN where absent
    yaws: np.ndarray  # (3,) degrees, measured


def _align_view(
    data: MultiviewDataset, sample: Sample, view: int, standard: np.ndarray, settings: AlignSection
) -> tuple[np.ndarray, ...]:
    """Crop, landmarks, affine map and yaw of one view."""
    path = sample.photos[view]
    if path is None:
        raise DataError("no photograph; supply it or leave the sample out")
    photo = data.read_photo(path)
    if settings.landmarks == "annotated":
        annotation = sample.annotations[view]
        if annotation is None:
            raise DataError("no annotated landmarks; supply them or set align.landmarks: face_alignment")
        landmarks = data.read_annotation(annotation)
    else:
        faces = find_faces(photo, settings.landmarks, standard, upright=True)
        if not faces:
            raise DataError("no face found; use a clearer photograph or another source of landmarks")
        landmarks = faces[0].landmarks
    image, found = align_photo(photo, landmarks, standard, settings.image_size)
    points = map_points(found.affine, landmarks)
    if settings.truncate_landmarks:
        points = np.trunc(points)  # Code: the released code keeps whole pixels of the crop
    return image, points, found.affine, np.array(found.yaw_deg)


def align_sample(
    data: MultiviewDataset, sample: Sample, scans: NormalisedScans, standard: np.ndarray, settings: AlignSection
) -> AlignedSample | str:
    """Align the three views of a sample.

    Args:
        data: its data set.
        sample: its files.
        scans: what is known of the data set's scans.
        standard: (68, 3) mm, the mean face's landmarks.
        settings: section `align`.
    Returns:
        The aligned sample, or the reason for setting it aside: each broken view by name.
    Raises:
        UnavailableError: the landmark detector is not to be had here.
    """
    views, reasons = [], []
    for view, name in enumerate(VIEWS):
        try:
            views.append(_align_view(data, sample, view, standard, settings))
        except DataError as error:
            reasons.append(f"{name}: {error}")
    try:
        landmarks_3d = scans.landmarks_101_of(sample)
    except DataError as error:
        reasons.append(f"scan: {error}")
    if reasons:
        return "; ".join(reasons)
    images, landmarks, crops, yaws = (np.stack(part) for part in zip(*views, strict=True))
    floats = (np.asarray(part, np.float32) for part in (landmarks, crops, landmarks_3d))
    return AlignedSample(images, *floats, yaws)


def _align_all(
    data: MultiviewDataset, scans: NormalisedScans, standard: np.ndarray, settings: AlignSection, workers: int
) -> Iterator[tuple[Sample, AlignedSample | str]]:
    """Align samples in their order, `workers` at a time, holding no more than a batch.

    Given with each is the sample with its scan as all further stages know it.
    """
    work = partial(align_sample, data, scans=scans, standard=standard, settings=settings)
    samples = iter(data.samples())
    with ThreadPoolExecutor(workers) as pool, tqdm(desc="align", unit=" samples", mininterval=1) as bar:
        while batch := list(itertools.islice(samples, BATCH)):
            for sample, result in zip(batch, pool.map(work, batch), strict=True):
                bar.update()
                yield replace(sample, scan=scans.file_of(sample)), result


def check_sides(yaws: np.ndarray, data: MultiviewDataset) -> None:
    """Check that left views look left and right views right.

    Args:
        yaws: (N, 3) degrees, measured.
        data: where they come from.
    Raises:
        DataError: they look the other way, and which key exchanges them.
    """
    left, right = np.median(yaws[:, 0]), np.median(yaws[:, 2])
    if left > right + SIDES_DEG:
        raise DataError(
            f"left and right view are exchanged: the faces of the left views are turned by {left:+.0f} degrees, those "
            f"of the right views by {right:+.0f} (negative: the nose points to the image's left), medians of "
            f"{len(yaws)} samples; turn over {data.sides_key}"
        )


class AlignedWriter:
    """Writes aligned samples one after the other into a folder; how many there are is not known beforehand."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.shape = folder, (len(VIEWS), size, size, 3)
        self.kept: list[tuple[Sample, AlignedSample]] = []
        self.reasons: collections.Counter[str] = collections.Counter()
        self.manifest = ManifestWriter(folder / MANIFEST)
        self.images = (folder / IMAGES).open("wb")
        self._write_header(self.images)

    def _write_header(self, file: BinaryIO) -> None:
        # NumPy pads the header so that the first axis can grow in place.
        shape = (len(self.kept), *self.shape)
        header = {"descr": np.dtype(np.uint8).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)

    def add(self, sample: Sample, result: AlignedSample | str) -> None:
        """Write one sample, or the reason why it is set aside."""
        if isinstance(result, str):
            self.reasons[result] += 1
            if self.reasons.total() <= SHOWN_SET_ASIDE:
                log.info("set aside %s: %s", sample.sample, result)
            self.manifest.add(rows_of(sample, -1, result))
            return
        if result.images.shape != self.shape or result.images.dtype != np.uint8:
            raise ValueError(f"expected uint8 {self.shape}, found {result.images.dtype} {result.images.shape}")
        self.images.write(np.ascontiguousarray(result.images).data)
        self.manifest.add(rows_of(sample, len(self.kept), measured_yaws=result.yaws))
        self.kept.append((sample, result._replace(images=np.zeros(0, np.uint8))))

    @property
    def yaws(self) -> np.ndarray:
        """Measured yaws (N, 3) so far."""
        return np.array([kept.yaws for _, kept in self.kept]).reshape(-1, len(VIEWS))

    def finish(self) -> None:
        """Write how many images there are, and the arrays of all samples.

        Raises:
            DataError: no sample was usable.
        """
        if not self.kept:
            example = f", for example: {self.reasons.most_common(1)[0][0]}" if self.reasons else ""
            raise DataError(f"none of {self.reasons.total()} samples can be used{example}")
        with (self.folder / IMAGES).open("r+b") as file:
            self._write_header(file)
        numbers = ("landmarks", "landmarks_3d", "crop")
        arrays = {name: np.stack([getattr(kept, name) for _, kept in self.kept]) for name in numbers}
        names = ("sample", "subject", "split")
        arrays |= {name: np.array([getattr(sample, name) for sample, _ in self.kept]) for name in names}
        write_npz(self.folder / SAMPLES, **arrays)


def align_dataset(
    data: MultiviewDataset,
    scans: NormalisedScans,
    standard: np.ndarray,
    output: Path | str,
    settings: AlignSection,
    workers: int = 1,
) -> tuple[int, int]:
    """Align a data set and write its folder as a whole.

    Args:
        data: the data set; its samples are read as a stream.
        scans: what is known of its scans.
        standard: (68, 3) mm, the mean face's landmarks.
        output: folder that gets images.npy uint8 (N, 3, S, S, 3); samples.npz with landmarks (N, 3, 68, 2) px,
            landmarks_3d (N, 101, 3) mm, crop (N, 3, 2, 3), sample, subject and split (N,); manifest.parquet.
        settings: section `align`.
        workers: threads.
    Returns:
        Numbers of samples aligned and set aside.
    Raises:
        DataError: no sample is usable, or left and right views are exchanged.
        OutputError: the folder cannot be written.
        UnavailableError: the landmark detector is not to be had here.
    """
    with writing_folder(output, "align") as folder:
        writer = AlignedWriter(folder, settings.image_size)
        with writer.images, writer.manifest:
            for sample, result in _align_all(data, scans, standard, settings, workers):
                writer.add(sample, result)
                if len(writer.kept) == SIDES_AFTER:
                    check_sides(writer.yaws, data)
        writer.finish()
        check_sides(writer.yaws, data)
    return len(writer.kept), writer.reasons.total()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the stage's files."""
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="the data set")
    parser.add_argument("--format", choices=MULTIVIEW, default=MULTIVIEW[0], help="its layout (default: %(default)s)")
    parser.add_argument("--reading", metavar="JSON", help="the section datasets.FORMAT as JSON")
    parser.add_argument("--mesh", type=Path, metavar="FOLDER", help="what `dfmvr mesh` has made of its scans, if any")
    parser.add_argument("--face-model", type=Path, required=True, metavar="FILE", help="the face model (.npz)")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder of the aligned samples")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="threads (default: 1)")


def main(args: argparse.Namespace, settings: AlignSection) -> None:
    """Align a data set."""
    data = open_dataset(args.format, args.data, reading_options(args, args.format))
    if args.mesh is None and args.format in SCANNED:
        log.info("without --mesh no scan is named, hence nothing can be scored or trained with 3D landmarks")
    scans = NormalisedScans(args.mesh, args.format in LANDMARKED)
    standard = read_standard_points(args.face_model)
    kept, aside = align_dataset(data, scans, standard, args.output, settings, max(1, args.workers))
    log.info("%d of %d samples aligned, %d set aside", kept, kept + aside, aside)
