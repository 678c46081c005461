"""The stage itself: reads a data set, sets broken samples aside, writes the crops, their arrays and the manifest."""

from __future__ import annotations

import argparse
import collections
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

import numpy as np
import pandas as pd
from tqdm import tqdm

from dfmvr.align.crop import align_photo, map_points, read_standard_points
from dfmvr.align.detect import detect_landmarks
from dfmvr.config import AlignSection
from dfmvr.conventions import DROPPED_FROM_106, VIEWS
from dfmvr.datasets import pixel_face
from dfmvr.datasets.pixel_face import Sample
from dfmvr.errors import DataError
from dfmvr.files import write_npz, writing_folder

log = logging.getLogger(__name__)

FORMATS = ("pixel_face",)
IMAGES, SAMPLES, MANIFEST = "images.npy", "samples.npz", "manifest.parquet"
KEPT, SET_ASIDE = "ok", "set aside"
BATCH = 64


class Aligned(NamedTuple):
    """One usable sample."""

    images: np.ndarray  # (3, S, S, 3) uint8
    landmarks: np.ndarray  # (3, 68, 2), px of the crops
    crop: np.ndarray  # (3, 2, 3), photo pixels to crop pixels
    landmarks_3d: np.ndarray  # (101, 3) mm, NaN where absent


class RowWriter:
    """Write arrays of one shape as the rows of an `.npy` file whose number of rows is not known beforehand."""

    def __init__(self, path: Path, row_shape: tuple[int, ...]) -> None:
        self.row_shape, self.count = row_shape, 0
        self._file: BinaryIO = path.open("wb")
        self._write_header()

    def _write_header(self) -> None:
        # NumPy pads the header so that the first axis can grow in place.
        shape = (self.count, *self.row_shape)
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": np.dtype(np.uint8).str, "fortran_order": False, "shape": shape}
        )

    def append(self, row: np.ndarray) -> int:
        """Write one row, uint8, and return its index."""
        if row.shape != self.row_shape or row.dtype != np.uint8:
            raise ValueError(f"expected uint8 {self.row_shape}, found {row.dtype} {row.shape}")
        self._file.write(np.ascontiguousarray(row).data)
        self.count += 1
        return self.count - 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.seek(0)
            self._write_header()


def _align_view(sample: Sample, view: int, standard: np.ndarray, settings: AlignSection) -> tuple[np.ndarray, ...]:
    """Crop, landmarks and affine map of one view."""
    path = sample.photos[view]
    if path is None:
        raise DataError("no photograph; supply it or leave the sample out")
    photo = pixel_face.read_photo(path)
    if settings.landmarks == "annotated":
        annotation = sample.annotations[view]
        if annotation is None:
            raise DataError("no annotated landmarks; supply them or set align.landmarks: face_alignment")
        landmarks = pixel_face.read_annotation(annotation)
    else:
        landmarks = detect_landmarks(photo)
    image, affine = align_photo(photo, landmarks, standard, settings.image_size)
    return image, map_points(affine, landmarks), affine


def _read_landmarks_101(path: Path | None) -> np.ndarray:
    """Read the 101 landmarks of the scan, (101, 3) mm, NaN where there are none."""
    landmarks = None if path is None else pixel_face.read_landmarks_106(path)
    if landmarks is None:
        return np.full((106 - len(DROPPED_FROM_106), 3), np.nan)
    return np.delete(landmarks, DROPPED_FROM_106, axis=0)


def align_sample(sample: Sample, standard: np.ndarray, settings: AlignSection) -> Aligned | str:
    """Align the three views of a sample.

    Args:
        sample: its files.
        standard: (5, 3) mm, the mean face's five points.
        settings: section `align`.
    Returns:
        The aligned sample, or the reason for setting it aside: each broken view by name.
    Raises:
        UnavailableError: the landmark detector is not to be had here.
    """
    views, reasons = [], []
    for view, name in enumerate(VIEWS):
        try:
            views.append(_align_view(sample, view, standard, settings))
        except DataError as error:
            reasons.append(f"{name}: {error}")
    try:
        landmarks_3d = _read_landmarks_101(sample.ground_truth)
    except DataError as error:
        reasons.append(f"scan: {error}")
    if reasons:
        return "; ".join(reasons)
    images, landmarks, crops = (np.stack(part) for part in zip(*views, strict=True))
    return Aligned(images, landmarks, crops, landmarks_3d)


def _align_all(
    samples: list[Sample], standard: np.ndarray, settings: AlignSection, workers: int
) -> Iterator[tuple[Sample, Aligned | str]]:
    """Align samples in their order, `workers` at a time, holding no more than a batch."""
    work = partial(align_sample, standard=standard, settings=settings)
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(samples), desc="align", unit="sample") as bar:
        for start in range(0, len(samples), BATCH):
            batch = samples[start : start + BATCH]
            for sample, result in zip(batch, pool.map(work, batch), strict=True):
                bar.update()
                yield sample, result


def _manifest_rows(sample: Sample, index: int, reason: str) -> list[dict[str, object]]:
    """Make one row a view; index -1 and a reason if the sample is set aside."""
    return [
        {
            "sample": sample.sample,
            "subject": sample.subject,
            "expression": sample.expression,
            "split": sample.split,
            "view": name,
            "index": index,
            "photo": str(photo or ""),
            "scan": str(sample.ground_truth or ""),
            "status": SET_ASIDE if reason else KEPT,
            "reason": reason,
        }
        for name, photo in zip(VIEWS, sample.photos, strict=True)
    ]


def align_dataset(
    samples: list[Sample], standard: np.ndarray, output: Path | str, settings: AlignSection, workers: int = 1
) -> pd.DataFrame:
    """Align a data set and write its folder as a whole.

    Args:
        samples: what `read_samples` of a data set lists.
        standard: (5, 3) mm, the mean face's five points.
        output: folder that gets images.npy uint8 (N, 3, S, S, 3); samples.npz with landmarks (N, 3, 68, 2) px,
            landmarks_3d (N, 101, 3) mm, crop (N, 3, 2, 3), sample, subject and split (N,); manifest.parquet.
        settings: section `align`.
        workers: threads.
    Returns:
        The manifest, one row a view of every sample.
    Raises:
        DataError: no sample is usable.
        OutputError: the folder cannot be written.
        UnavailableError: the landmark detector is not to be had here.
    """
    kept: list[tuple[Sample, Aligned]] = []
    rows: list[dict[str, object]] = []
    size = settings.image_size
    with writing_folder(output) as folder:
        with RowWriter(folder / IMAGES, (len(VIEWS), size, size, 3)) as images:
            for sample, result in _align_all(samples, standard, settings, workers):
                if isinstance(result, str):
                    rows += _manifest_rows(sample, -1, result)
                    continue
                rows += _manifest_rows(sample, images.append(result.images), "")
                kept.append((sample, result._replace(images=np.zeros(0, np.uint8))))
        if not kept:
            reasons = collections.Counter(str(row["reason"]) for row in rows)
            example = f", for example: {reasons.most_common(1)[0][0]}" if reasons else ""
            raise DataError(f"none of {len(samples)} samples can be used{example}")
        write_npz(
            folder / SAMPLES,
            landmarks=np.stack([a.landmarks for _, a in kept]).astype(np.float32),
            landmarks_3d=np.stack([a.landmarks_3d for _, a in kept]).astype(np.float32),
            crop=np.stack([a.crop for _, a in kept]).astype(np.float32),
            sample=np.array([s.sample for s, _ in kept]),
            subject=np.array([s.subject for s, _ in kept]),
            split=np.array([s.split for s, _ in kept]),
        )
        manifest = pd.DataFrame(rows)
        manifest.to_parquet(folder / MANIFEST, index=False)
    return manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the stage's files."""
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="the data set")
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="its layout")
    parser.add_argument("--face-model", type=Path, required=True, metavar="FILE", help="the face model (.npz)")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder of the aligned samples")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="threads (default: 1)")


def main(args: argparse.Namespace, settings: AlignSection) -> None:
    """Run the stage."""
    samples = pixel_face.read_samples(args.data)
    standard = read_standard_points(args.face_model)
    manifest = align_dataset(samples, standard, args.output, settings, max(1, args.workers))
    aside = manifest[manifest.status == SET_ASIDE].drop_duplicates("sample")
    for row in aside.itertuples():
        log.info("set aside %s: %s", row.sample, row.reason)
    log.info("%d of %d samples aligned, %d set aside", len(samples) - len(aside), len(samples), len(aside))
