"""Multi-PIE: people photographed at once by 15 cameras, in up to four sessions and 20 illuminations; no scans.

original       session<NN>/multiview/<subject>/<recording>/<camera, as 05_1>/
               <subject>_<session>_<recording>_<camera>_<illumination>.png
cropped_128    <subject>/<subject>_01_<recording>_<camera>_<illumination>_crop_128.png; session 1 alone

A stand-in has `<stem of the photograph>.landmarks_68.txt` beside each photograph.

A sample is a front photograph and what the two other cameras of a triplet took at the same moment.
Source: idiap's bob.bio.face and ports of TP-GAN, for names and yaws; data_loader.py of github.com/bluer555/CR-GAN, for
the cropped version.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dfmvr.config.data import MultiPieData
from dfmvr.datasets.images import read_image, write_image
from dfmvr.datasets.landmark_files import read_landmark_file, write_landmark_file
from dfmvr.datasets.multi_pie.folders import (
    ANNOTATION_SUFFIX,
    CROPPED_ENDING,
    Choice,
    CroppedFolders,
    Moment,
    SessionTree,
    Shot,
)
from dfmvr.datasets.sample import Sample
from dfmvr.datasets.splits import last_subjects
from dfmvr.errors import ConfigError, DataError

log = logging.getLogger(__name__)

YAWS = {
    "110": -90.0,
    "120": -75.0,
    "090": -60.0,
    "080": -45.0,
    "130": -30.0,
    "140": -15.0,
    "051": 0.0,
    "050": 15.0,
    "041": 30.0,
    "190": 45.0,
    "200": 60.0,
    "010": 75.0,
    "240": 90.0,
    "081": -45.0,  # from above
    "191": 45.0,  # from above
}
"""Nominal yaw of each camera, degrees.

ASSUME: at negative yaws the nose points to the image's left. Sources agree on the size of the angles and on which
cameras face each other, not on the side; `datasets.multi_pie.exchange_sides` turns it over.
"""

EXPRESSIONS = {
    (1, 1): "neutral",
    (1, 2): "smile",
    (2, 1): "neutral",
    (2, 2): "surprise",
    (2, 3): "squint",
    (3, 1): "neutral",
    (3, 2): "smile",
    (3, 3): "disgust",
    (4, 1): "neutral",
    (4, 2): "neutral",
    (4, 3): "scream",
}
"""Expression of each session and recording."""


class MultiPie:
    """Multi-PIE in either layout; see the module."""

    sides_key = "datasets.multi_pie.exchange_sides"

    def __init__(self, root: Path | str, settings: MultiPieData) -> None:
        """Name the data set's folder and how it is to be read.

        Args:
            root: the folder of the sessions (original) or of the subjects (cropped), or the one above it.
            settings: section `datasets.multi_pie`.
        Raises:
            ConfigError: a camera is none of Multi-PIE's.
            DataError: there is no such folder.
        """
        self.root, self.settings = Path(root), settings
        self.triplets = list(dict.fromkeys(settings.cameras))
        cameras = frozenset(camera for triplet in self.triplets for camera in triplet)
        if unknown := sorted(cameras - set(YAWS)):
            raise ConfigError(f"datasets.multi_pie.cameras: no camera {unknown[0]!r}; there are {', '.join(YAWS)}")
        if not self.root.is_dir():
            raise DataError(f"{root}: no such folder; set datasets.multi_pie.root to the folder of Multi-PIE")
        self._choice = Choice(cameras, settings.sessions, settings.recordings, settings.illuminations)

    def samples(self) -> Iterator[Sample]:
        """List the samples, training first, then by subject, session, recording, illumination and triplet.

        A side view that is not there is None: who needs it sets the sample aside. Files with other names are passed
        over and counted.

        Raises:
            DataError: the folder is not of this layout, or holds no front photograph of those that are chosen.
        """
        tree = (SessionTree if self.settings.layout == "original" else CroppedFolders)(self.root, self._choice)
        tested = last_subjects(tree.folders, self.settings.test_share)
        count = 0
        for subject in sorted(tree.folders, key=lambda subject: (subject in tested, subject)):
            for moment in tree.moments(subject):
                for sample in self._samples_of(moment, "test" if subject in tested else "train"):
                    count += 1
                    yield sample
        if tree.passed_over.count:
            log.warning(
                "%s: %d files passed over, whose names are of no photograph of their folder, such as %r",
                *(self.root, tree.passed_over.count, tree.passed_over.example),
            )
        if not count:
            raise DataError(
                f"{self.root}: expected photographs of the front cameras, found none; check the keys of "
                "datasets.multi_pie that choose sessions, recordings, illuminations and cameras"
            )

    def _samples_of(self, moment: Moment, split: str) -> Iterator[Sample]:
        """Samples of one recording: every illumination and triplet with a front photograph."""
        order = slice(None, None, -1 if self.settings.exchange_sides else 1)
        session, recording = int(moment.session), int(moment.recording)
        for illumination in sorted({illumination for _, illumination in moment.photos}):
            for triplet in self.triplets:
                keys = [(camera, illumination) for camera in triplet][order]
                if keys[1] not in moment.photos:
                    continue
                yield Sample(
                    "_".join((moment.subject, moment.session, moment.recording, illumination, "".join(triplet))),
                    moment.subject,
                    split,
                    tuple(moment.photos.get(key) for key in keys),
                    tuple(moment.annotations.get(key) for key in keys),
                    expression=EXPRESSIONS.get((session, recording), ""),
                    illumination=illumination,
                    yaws=tuple(self._yaw(camera) for camera, _ in keys),
                )

    def _yaw(self, camera: str) -> float:
        """Nominal yaw of a camera, degrees."""
        yaw = YAWS[camera]
        return -yaw if yaw and self.settings.exchange_sides else yaw

    def read_photo(self, path: Path) -> np.ndarray:
        """Read a photograph as upright uint8 RGB (H, W, 3).

        Raises:
            DataError: the file is missing or not a whole image.
        """
        return read_image(path)

    def read_annotation(self, path: Path) -> np.ndarray:
        """Read a stand-in's 68 landmarks (68, 2) in pixels of the photograph.

        Raises:
            DataError: the file is missing or does not hold 68 points.
        """
        return read_landmark_file(path, counts=(68,))


def write_photo(  # noqa: PLR0913, they are the fields of a file's name
    root: Path | str,
    subject: int,
    session: int,
    recording: int,
    camera: str,
    illumination: int,
    image: np.ndarray,
    annotation: np.ndarray | None = None,
) -> None:
    """Write one photograph in the original layout.

    Args:
        root: the folder of the sessions.
        subject: 1 to 999.
        session: 1 to 99; Multi-PIE has four.
        recording: 1 to 99; of each session, EXPRESSIONS names them.
        camera: a key of YAWS.
        illumination: 0 to 99; Multi-PIE has 20.
        image: uint8 RGB (H, W, 3).
        annotation: 68 landmarks (68, 2) in its pixels; None leaves them out.
    Raises:
        ValueError: a number or camera that has no name in this layout.
        OutputError: a file cannot be written.
    """
    shot = _shot(subject, session, recording, camera, illumination)
    _write(shot.place(Path(root)) / shot.stem, image, annotation)


def write_cropped_photo(  # noqa: PLR0913, as above
    root: Path | str,
    subject: int,
    session: int,
    recording: int,
    camera: str,
    illumination: int,
    image: np.ndarray,
    annotation: np.ndarray | None = None,
) -> None:
    """Write one photograph in the cropped layout; see `write_photo`. The real one is 128 px wide and of session 1."""
    shot = _shot(subject, session, recording, camera, illumination)
    _write(Path(root) / shot.subject / (shot.stem + CROPPED_ENDING), image, annotation)


def _shot(subject: int, session: int, recording: int, camera: str, illumination: int) -> Shot:
    """Fields of a name; refused if the reader would pass them over."""
    numbers = ((subject, 999), (session, 99), (recording, 99), (illumination, 99))
    if camera not in YAWS or not all(0 <= number <= last for number, last in numbers):
        raise ValueError(f"no name for subject, session, recording, illumination {numbers} and camera {camera}")
    return Shot(f"{subject:03d}", f"{session:02d}", f"{recording:02d}", camera, f"{illumination:02d}")


def _write(stem: Path, image: np.ndarray, annotation: np.ndarray | None) -> None:
    """Write a photograph and its landmarks."""
    write_image(stem.with_name(stem.name + ".png"), image)
    if annotation is not None:
        write_landmark_file(stem.with_name(stem.name + ANNOTATION_SUFFIX), annotation)
