"""Pixel-Face: three photographs, a scan with 106 keypoints and a registered mesh a sample.

The public release (the folders of the authors' code are described in authors):

    release_id/split/release_train.txt   samples for training
    release_id/split/release_eva.txt     samples for testing
    release_id/split/release_id.txt      all samples
    release_id/split/release_info.txt    subject, sample, gender (1 or 0), age, expression; 0 = undefined
    <sample>/<0|1|2>/                    photographs; see views
    <sample>/fusion/gt.mat               ground truth, decimetres, y up, z toward the camera

ASSUME: the text files hold one sample a line, fields separated by blanks or commas; a line of a split file may name a
subject instead, which means all its samples. The release's readme names the files and fields, not their syntax.
Source: readme.md and util/read_data.py of github.com/zyg11/Pixel-Face.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr.conventions import DROPPED_FROM_106
from dfmvr.datasets.images import read_image, read_image_size
from dfmvr.datasets.listing import read_words
from dfmvr.datasets.multiview import MultiviewDataset
from dfmvr.datasets.pixel_face.authors import (
    Place,
    keypoints_of_mesh,
    list_places,
    read_keypoints,
    read_registered_mesh,
)
from dfmvr.datasets.pixel_face.ground_truth import (
    GroundTruth,
    read_ground_truth,
    read_landmarks_106,
    write_ground_truth,
)
from dfmvr.datasets.pixel_face.views import ANNOTATION, ORIENTATIONS, PHOTOS, find_in_views, write_views
from dfmvr.datasets.sample import SPLITS, Sample
from dfmvr.datasets.splits import Assignment, assign, last_subjects, read_split_file, warn_of_shared_subjects
from dfmvr.errors import DataError
from dfmvr.files import writing

log = logging.getLogger(__name__)

LISTS = Path("release_id", "split")
INFO = "release_info.txt"
SPLIT_FILES = {"train": "release_train.txt", "test": "release_eva.txt"}
TEST_SHARE = 0.2
"""Of the subjects, in the split `authors`."""

_REMEDY = (
    "is this the folder of the Pixel-Face release? For the folders of the authors' code set "
    "datasets.pixel_face.layout: authors"
)


class SampleInfo(NamedTuple):
    """One line of release_info.txt and the sample's split; 0 = undefined."""

    sample: str
    subject: str
    split: str  # 'train' or 'test'
    expression: str = "0"
    gender: int = 0
    age: int = 0


def _list_release(root: Path) -> dict[str, Place]:
    """Samples of release_info.txt by name, in its order."""
    places: dict[str, Place] = {}
    for where, words in read_words(root / LISTS / INFO, _REMEDY):
        if len(words) != 5:
            raise DataError(
                f"{where}: expected subject, sample, gender, age, expression, found {' '.join(words)[:80]!r}"
            )
        subject, sample, _gender, _age, expression = words
        if sample in (".", "..") or "/" in sample or "\\" in sample or sample in places:
            raise DataError(f"{where}: sample {sample[:80]!r} is no folder name or comes twice; mend the line")
        folder = root / sample
        places[sample] = Place(subject, expression, folder, (folder / "fusion" / "gt.mat",))
    return places


def _release_split(root: Path) -> Iterator[Assignment]:
    """What the release's split files say, training first."""
    for split, name in SPLIT_FILES.items():
        for where, (entry, *_) in read_words(root / LISTS / name, _REMEDY):
            yield Assignment(where, entry, split)


class PixelFace(MultiviewDataset):
    """Pixel-Face in either layout; see the module. The views' nominal yaws are not known."""

    key = "pixel_face"

    def samples(self) -> Iterator[Sample]:
        """List the samples of all splits, training first, in the order of the split files or of the names.

        Without its mesh, the scan of a sample in the authors' folders is the file of its keypoints.

        Raises:
            DataError: a list is missing or malformed, a sample is in two splits, or there is no sample at all.
        """
        places = list_places(self.root) if self.settings.layout == "authors" else _list_release(self.root)
        subject_of = {sample: place.subject for sample, place in places.items()}
        split_of = self._splits(places, subject_of)
        if not split_of:
            raise DataError(f"{self.root}: no sample in any split; name the samples in the lists of the splits")
        warn_of_shared_subjects(split_of, subject_of, self.root)
        oriented = False
        for split in SPLITS:
            for sample in (name for name, of in split_of.items() if of == split):
                found = self._sample(sample, split, places[sample])
                oriented = oriented or self._check_orientation(found)
                yield found

    def _splits(self, places: dict[str, Place], subject_of: dict[str, str]) -> dict[str, str]:
        """Split of every sample that has one."""
        choice = self.settings.split
        if choice == "release" and self.settings.layout == "authors":
            return {sample: place.split for sample, place in places.items()}
        if choice == "release":
            return assign(_release_split(self.root), subject_of)
        if choice == "authors":
            # ASSUME: which subjects is not told in print, so the last ones by name; the authors' lists have 105 of 524.
            tested = last_subjects(subject_of.values(), TEST_SHARE)
            return {sample: "test" if subject in tested else "train" for sample, subject in subject_of.items()}
        remedy = "set datasets.pixel_face.split to `release`, `authors` or the path of such a file"
        return assign(read_split_file(choice, remedy), subject_of)

    def _sample(self, sample: str, split: str, place: Place) -> Sample:
        """Look up the files of one sample."""
        order = slice(None, None, -1 if self.settings.exchange_sides else 1)
        return Sample(
            sample,
            place.subject,
            split,
            find_in_views(place.views, *PHOTOS)[order],
            find_in_views(place.views, ANNOTATION)[order],
            next((path for path in place.scans if path.is_file()), None),
            sample,
            place.expression,
        )

    def _check_orientation(self, sample: Sample) -> bool:
        """Warn if a sample's first photograph, a portrait, would be wider than high; tell if one could be looked at."""
        upright = self.settings.orientation == "upright"
        for photo in filter(None, sample.photos):
            with suppress(DataError):  # who reads the photograph will tell
                height, width = read_image_size(photo)
                if (width > height) == upright and width != height:
                    log.warning(
                        "%s: a portrait that would be wider than high, so faces may lie on their side; if they do, "
                        "change datasets.pixel_face.orientation, which is %s",
                        *(photo, self.settings.orientation),
                    )
                return True
        return False

    def read_photo(self, path: Path) -> np.ndarray:
        """Read a photograph as upright uint8 RGB (H, W, 3), as `datasets.pixel_face.orientation` says.

        Raises:
            DataError: the file is missing or not a whole image.
        """
        return np.ascontiguousarray(ORIENTATIONS[self.settings.orientation](read_image(path)))

    def read_landmarks_101(self, scan: Path) -> np.ndarray | None:
        """Read the 101 landmarks (101, 3) mm of gt.mat, a mesh of val_obj or nicp_106_pts.txt; None if not marked.

        Raises:
            DataError: the file is missing, damaged or inconsistent.
        """
        if scan.suffix not in (".obj", ".txt"):
            landmarks = read_landmarks_106(scan)
        else:
            keypoints = scan if scan.suffix == ".txt" else keypoints_of_mesh(scan)
            landmarks = None if keypoints is None else read_keypoints(keypoints)
        return None if landmarks is None else np.delete(landmarks, DROPPED_FROM_106, axis=0)

    def read_scan(self, scan: Path) -> GroundTruth:
        """Read gt.mat or a mesh of val_obj.

        Raises:
            DataError: the file is missing, damaged or inconsistent, or holds keypoints alone.
        """
        if scan.suffix == ".txt":
            raise DataError(f"{scan}: keypoints without a mesh; copy val_obj/<subject><expression>.obj of the sample")
        return read_registered_mesh(scan) if scan.suffix == ".obj" else read_ground_truth(scan)


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
        photos, annotations, image_format, jpeg_quality: as in `write_views`; the release has 'bmp'.
        ground_truth: scan and registration in mm; None leaves gt.mat out.
    Raises:
        OutputError: a file cannot be written.
    """
    folder = Path(root) / sample
    write_views(folder, photos, annotations, image_format, jpeg_quality)
    if ground_truth is not None:
        write_ground_truth(folder / "fusion" / "gt.mat", ground_truth)


def write_splits(root: Path | str, infos: Iterable[SampleInfo]) -> None:
    """Write the four text files of release_id/split.

    Raises:
        OutputError: a file cannot be written.
    """
    infos = list(infos)
    rows = {name: [i.sample for i in infos if i.split == split] for split, name in SPLIT_FILES.items()}
    rows["release_id.txt"] = [i.sample for i in infos]
    rows[INFO] = [f"{i.subject} {i.sample} {i.gender} {i.age} {i.expression}" for i in infos]
    for name, lines in rows.items():
        with writing(Path(root) / LISTS / name) as partial:
            partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
