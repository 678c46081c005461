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
from dfmvr.datasets.images import write_image
from dfmvr.datasets.landmark_files import write_landmark_file
from dfmvr.datasets.multi_pie.folders import ANNOTATION_SUFFIX, PhotoName, PhotoTree, Recording
from dfmvr.datasets.multiview import MultiviewDataset
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


class MultiPie(MultiviewDataset):
    """Multi-PIE in either layout; see the module.

    Its folder is that of the sessions (original) or of the subjects (cropped), or the one above it. The constructor
    raises ConfigError if a camera is none of Multi-PIE's.
    """

    key = "multi_pie"

    def __init__(self, root: Path | str, settings: MultiPieData) -> None:
        super().__init__(root, settings)
        self.triplets = list(dict.fromkeys(settings.cameras))
        if unknown := sorted({camera for triplet in self.triplets for camera in triplet} - set(YAWS)):
            raise ConfigError(f"datasets.multi_pie.cameras: no camera {unknown[0]!r}; there are {', '.join(YAWS)}")

    def samples(self) -> Iterator[Sample]:
        """List the samples, training first, then by subject, session, recording, illumination and triplet.

        A side view that is not there is None: who needs it sets the sample aside. Files with other names are passed
        over and counted.

        Raises:
            DataError: the folder is not of this layout, or holds no front photograph of those that are chosen.
        """
        tree = PhotoTree(self.root, self.settings)
        share, people = self.settings.test_share, len(tree.folders)
        tested = last_subjects(tree.folders, max(share, 1 / people) if share and people > 1 else 0)
        count = 0
        for subject in sorted(tree.folders, key=lambda subject: (subject in tested, subject)):
            for recording in tree.recordings(subject):
                for sample in self._samples_of(recording, "test" if subject in tested else "train"):
                    count += 1
                    yield sample
        if tree.passed_over:
            log.warning(
                "%s: %d files passed over, whose names are of no photograph of their folder, such as %r",
                *(self.root, tree.passed_over, tree.example),
            )
        if not count:
            raise DataError(
                f"{self.root}: expected photographs of the front cameras, found none; check the keys of "
                "datasets.multi_pie that choose sessions, recordings, illuminations and cameras"
            )

    def _samples_of(self, found: Recording, split: str) -> Iterator[Sample]:
        """Samples of one recording: every illumination and triplet with a front photograph."""
        exchanged = self.settings.exchange_sides
        for illumination in sorted({illumination for _, illumination in found.photos}):
            for triplet in self.triplets:
                if (triplet[1], illumination) not in found.photos:
                    continue
                cameras = triplet[::-1] if exchanged else triplet
                keys = [(camera, illumination) for camera in cameras]
                yield Sample(
                    "_".join((found.subject, found.session, found.recording, illumination, "".join(triplet))),
                    found.subject,
                    split,
                    tuple(found.photos.get(key) for key in keys),
                    tuple(found.annotations.get(key) for key in keys),
                    expression=EXPRESSIONS.get((int(found.session), int(found.recording)), ""),
                    illumination=illumination,
                    yaws=tuple((-1 if exchanged else 1) * YAWS[camera] + 0.0 for camera in cameras),  # never -0.0
                )


def write_photo(
    root: Path, name: PhotoName, image: np.ndarray, annotation: np.ndarray | None = None, layout: str = "original"
) -> None:
    """Write one photograph.

    Args:
        root: the folder of the sessions (`original`) or the subjects (`cropped_128`: 128 px wide, of session 1).
        name: what it shows. Multi-PIE has four sessions, whose recordings EXPRESSIONS names, and 20 illuminations.
        image: uint8 RGB (H, W, 3).
        annotation: 68 landmarks (68, 2) in its pixels; None leaves them out.
        layout: where it lies.
    Raises:
        ValueError: a camera that is none of YAWS.
        OutputError: a file cannot be written.
    """
    if name.camera not in YAWS:
        raise ValueError(f"no camera {name.camera}")
    path = name.path(root, layout)
    write_image(path, image)
    if annotation is not None:
        write_landmark_file(path.with_suffix(ANNOTATION_SUFFIX), annotation)
