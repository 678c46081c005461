"""Pixel-Face: three photographs, a scan with 106 keypoints and a registered mesh a sample.

    release_id/split/release_train.txt   samples for training
    release_id/split/release_eva.txt     samples for testing
    release_id/split/release_id.txt      all samples
    release_id/split/release_info.txt    subject, sample, gender (1 or 0), age, expression; 0 = undefined
    <sample>/<0|1|2>/t.bmp               photograph of the left, front and right view (also .jpg, .png)
    <sample>/<0|1|2>/landmarks_68.txt    68 landmarks of the upright photograph; stand-ins only
    <sample>/fusion/gt.mat               ground truth, decimetres, y up, z toward the camera

ASSUME: the text files hold one sample a line, fields separated by blanks or commas; a line of a split file may name a
subject instead, which means all its samples. The release's readme names the files and fields, not their syntax.
Source: readme.md and util/read_data.py of github.com/zyg11/Pixel-Face.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr.conventions import VIEWS
from dfmvr.datasets.ground_truth import GroundTruth, read_ground_truth, read_landmarks_106, write_ground_truth
from dfmvr.datasets.images import read_image, write_image
from dfmvr.datasets.landmark_files import read_landmark_file, write_landmark_file
from dfmvr.errors import DataError
from dfmvr.files import writing

__all__ = [
    "GroundTruth",
    "Sample",
    "SampleInfo",
    "read_annotation",
    "read_ground_truth",
    "read_landmarks_106",
    "read_photo",
    "read_samples",
    "write_sample",
    "write_splits",
]

log = logging.getLogger(__name__)

VIEW_FOLDERS = ("0", "1", "2")
IMAGE_SUFFIXES = (".bmp", ".jpg", ".png")
SPLIT_FILES = {"train": "release_train.txt", "test": "release_eva.txt"}
ANNOTATION = "landmarks_68.txt"

PHOTO_ORIENTATION = "rotated_mirrored"
"""How the release stores photographs; a key of ORIENTATIONS."""

ORIENTATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "upright": lambda image: image,
    # Turned by 90 degrees clockwise and then mirrored it is upright: together that exchanges rows and columns, which
    # is its own inverse, so one function serves the reader and the writer.
    "rotated_mirrored": lambda image: image.swapaxes(0, 1),
}


@dataclass(frozen=True)
class Sample:
    """One expression of one subject: the files that exist. Views are in the order left, front, right."""

    sample: str
    subject: str
    expression: str
    split: str  # 'train' or 'test'
    photos: tuple[Path | None, Path | None, Path | None]
    annotations: tuple[Path | None, Path | None, Path | None]
    ground_truth: Path | None


class SampleInfo(NamedTuple):
    """One line of release_info.txt and the sample's split; 0 = undefined."""

    sample: str
    subject: str
    split: str  # 'train' or 'test'
    expression: str = "0"
    gender: int = 0
    age: int = 0


def _rows(path: Path) -> list[list[str]]:
    """Get the fields of every line of a text file that is not empty."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; is this the folder of the Pixel-Face release?") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable as text ({error}); copy it from the release again") from None
    return [fields for line in lines if (fields := line.replace(",", " ").split())]


def _read_info(path: Path) -> dict[str, tuple[str, str]]:
    """Subject and expression of every sample of release_info.txt, in its order."""
    info = {}
    for number, fields in enumerate(_rows(path), start=1):
        if len(fields) != 5:
            raise DataError(
                f"{path}, line {number}: expected subject, sample, gender, age, expression, found {' '.join(fields)!r}"
            )
        subject, sample, _gender, _age, expression = fields
        if sample != Path(sample).name or sample in info:
            raise DataError(f"{path}, line {number}: sample {sample!r} is no folder name or comes twice; mend the line")
        info[sample] = (subject, expression)
    return info


def _read_split(root: Path, info: dict[str, tuple[str, str]]) -> dict[str, str]:
    """Split of every listed sample, training first."""
    members: dict[str, list[str]] = {}
    for sample, (subject, _) in info.items():
        members.setdefault(subject, []).append(sample)
    split_of: dict[str, str] = {}
    for split, name in SPLIT_FILES.items():
        path = root / "release_id" / "split" / name
        for entry, *_ in _rows(path):
            samples = [entry] if entry in info else members.get(entry)
            if samples is None:
                raise DataError(
                    f"{path}: {entry!r} is neither a sample nor a subject of release_info.txt; add it there"
                )
            for sample in samples:
                if split_of.setdefault(sample, split) != split:
                    raise DataError(f"{path}: sample {sample!r} is also in the {split_of[sample]} split; remove one")
    return split_of


def _existing(folder: Path, *names: str) -> Path | None:
    """Find the first of `names` that is a file in `folder`."""
    return next((path for name in names if (path := folder / name).is_file()), None)


def read_samples(root: Path | str) -> list[Sample]:
    """List the samples of the two splits, training first, in the order of the split files.

    A photograph, annotation or scan that is not there is None: who needs it sets the sample aside.

    Raises:
        DataError: a split file is missing or malformed, a sample is in both splits, or there is no sample at all.
    """
    root = Path(root)
    info = _read_info(root / "release_id" / "split" / "release_info.txt")
    split_of = _read_split(root, info)
    if not split_of:
        raise DataError(f"{root}: no sample in {' and '.join(SPLIT_FILES.values())}; name the samples there")
    subjects = {split: {info[s][0] for s, of in split_of.items() if of == split} for split in SPLIT_FILES}
    if shared := subjects["train"] & subjects["test"]:
        log.warning("%s: %d subjects are in both splits, such as %s", root, len(shared), min(shared))
    samples = []
    for sample, split in split_of.items():
        folders = [root / sample / view for view in VIEW_FOLDERS]
        photos = tuple(_existing(folder, *(f"t{suffix}" for suffix in IMAGE_SUFFIXES)) for folder in folders)
        annotations = tuple(_existing(folder, ANNOTATION) for folder in folders)
        ground_truth = _existing(root / sample / "fusion", "gt.mat")
        samples.append(Sample(sample, *info[sample], split, photos, annotations, ground_truth))
    return samples


def read_photo(path: Path | str, orientation: str = PHOTO_ORIENTATION) -> np.ndarray:
    """Read a photograph as upright uint8 RGB (H, W, 3).

    Args:
        path: the image file.
        orientation: how it is stored, a key of ORIENTATIONS.
    Raises:
        DataError: the file is missing or not a whole image.
    """
    return np.ascontiguousarray(ORIENTATIONS[orientation](read_image(path)))


def read_annotation(path: Path | str) -> np.ndarray:
    """Read a stand-in's 68 landmarks (68, 2) in pixels of the upright photograph, first pixel's centre at 0.5.

    Raises:
        DataError: the file is missing or does not hold 68 points.
    """
    return read_landmark_file(path, counts=(68,))


def write_sample(
    root: Path | str,
    sample: str,
    photos: Sequence[np.ndarray | None],
    ground_truth: GroundTruth | None = None,
    annotations: Sequence[np.ndarray | None] | None = None,
    image_format: str = "jpg",
    jpeg_quality: int | Sequence[int] = 95,
) -> None:
    """Write the folder of one sample as the release stores it.

    Args:
        root: the data set's folder.
        sample: name of the sample's folder.
        photos: three upright photographs, uint8 (H, W, 3), left, front, right; None leaves a view out.
        ground_truth: scan and registration in mm; None leaves gt.mat out.
        annotations: three times 68 landmarks (68, 2), pixels of the upright photographs.
        image_format: 'jpg', 'png' or 'bmp'; the release has bmp.
        jpeg_quality: 1 to 100, for all views or one a view.
    Raises:
        OutputError: a file cannot be written.
    """
    folder = Path(root) / sample
    qualities = np.broadcast_to(jpeg_quality, len(VIEWS))
    points = annotations if annotations is not None else (None,) * len(VIEWS)
    for view, photo, landmarks, quality in zip(VIEW_FOLDERS, photos, points, qualities, strict=True):
        if photo is not None:
            stored = ORIENTATIONS[PHOTO_ORIENTATION](photo)
            write_image(folder / view / f"t.{image_format}", stored, int(quality))
        if landmarks is not None:
            write_landmark_file(folder / view / ANNOTATION, landmarks)
    if ground_truth is not None:
        write_ground_truth(folder / "fusion" / "gt.mat", ground_truth)


def write_splits(root: Path | str, infos: Iterable[SampleInfo]) -> None:
    """Write the four text files of release_id/split.

    Raises:
        OutputError: a file cannot be written.
    """
    infos = list(infos)
    folder = Path(root) / "release_id" / "split"
    rows = {name: [i.sample for i in infos if i.split == split] for split, name in SPLIT_FILES.items()}
    rows["release_id.txt"] = [i.sample for i in infos]
    rows["release_info.txt"] = [f"{i.subject} {i.sample} {i.gender} {i.age} {i.expression}" for i in infos]
    for name, lines in rows.items():
        with writing(folder / name) as partial:
            partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
