"""Fit what a network answered for the samples of an aligned data set to their photographs: a method of the study.

needs   folders of the aligned samples, of their masks, and of the network's answers, and the face model
gives   what `dfmvr reconstruct dataset` gives, but for the time; the meshes are those of the coefficients, displaced

Nothing but the photographs is looked at: their pixels, the landmarks that the samples were aligned by and, where
mediapipe is installed, its points.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from dfmvr.align.crop import map_points
from dfmvr.align.find import find_dense_of
from dfmvr.align.frame import inverse_affine
from dfmvr.conventions import VIEWS
from dfmvr.datasets.layouts import MULTIVIEW, open_dataset, reading_options
from dfmvr.datasets.manifest import read_manifest
from dfmvr.datasets.multiview import MultiviewDataset
from dfmvr.errors import DataError
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.files import open_npy, read_npz
from dfmvr.folders import writing_folder
from dfmvr.reconstruct.fit.fitter import FaceFitter
from dfmvr.reconstruct.fit.seeing import FacePose
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction, SeenView
from dfmvr.reconstruct.sample_files import add_output_arguments, write_samples

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the command."""
    parser.add_argument("--answers", type=Path, required=True, help="folder of what `dfmvr reconstruct dataset` gave")
    parser.add_argument("--align", type=Path, required=True, help="folder of the aligned data set")
    parser.add_argument("--parse", type=Path, required=True, help="folder of its masks")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set itself")
    parser.add_argument("--layout", choices=MULTIVIEW, default=MULTIVIEW[0], help="its layout (default: %(default)s)")
    parser.add_argument("--reading", metavar="JSON", help="the section datasets.LAYOUT as JSON")
    parser.add_argument("--face-model", type=Path, required=True, help="the face model (.npz)")
    parser.add_argument("--view", choices=VIEWS, help="look at this view alone (default: all three)")
    add_output_arguments(parser)


def main(args: argparse.Namespace, settings: None) -> None:
    """Fit and write.

    Raises:
        DataError: an input is unreadable, or they do not belong together; or no sample could be fitted.
        OutputError: the folder cannot be written.
    """
    model = MorphableModel.load(args.face_model)
    data = open_dataset(args.layout, args.data, reading_options(args, args.layout))
    answered = AnsweredSamples(args.answers, args.align, args.parse, data, model)
    fitter, names, found, displacements = FaceFitter(model), [], [], []
    for name in tqdm(answered.names, desc="fit", unit="face", mininterval=1):
        try:
            face = fitter.fit(answered.face(name, (args.view,) if args.view else VIEWS))
            names.append(name)
            found.append(of_one_focal_length(face))
            displacements.append(face.displacement)
        except DataError as error:
            log.info("set aside: %s: %s", name, error)
    if not found:
        raise DataError(f"{args.align}: none of {len(answered.names)} samples could be fitted; see above")
    coefficients = Coefficients(*map(torch.cat, zip(*found, strict=True)))
    with writing_folder(args.output, "reconstruct fitted") as folder:
        write_samples(folder, model, np.array(names), coefficients, args.format, displacements=displacements)


def of_one_focal_length(face: Reconstruction) -> Coefficients:
    """The coefficients of a fitted face for the network's camera: a distance that shows it as large stands for zoom."""
    translation = face.coefficients.translation.clone()
    for view in face.views:
        translation[0, view.place] = torch.from_numpy(FacePose.of(face.camera(view), 1.0).translation)
    return face.coefficients._replace(translation=translation)


class AnsweredSamples:
    """The samples that a network has answered, as reconstructions of their photographs."""

    def __init__(
        self, answers: Path, aligned: Path, parsed: Path, data: MultiviewDataset, model: MorphableModel
    ) -> None:
        """Open the outputs of the stages.

        Raises:
            DataError: a file is missing or unreadable.
        """
        self._model, self._data, self._places = model, data, f"{answers} and {aligned}"
        self._answers = read_npz(answers / "coefficients.npz", "sample", *Coefficients._fields)
        self._samples = read_npz(aligned / "samples.npz", "sample", "landmarks", "crop")
        self._crops = open_npy(aligned / "images.npy", "dfmvr align")
        self._masks = open_npy(parsed / "masks.npy", "dfmvr parse")
        manifest = read_manifest(aligned / "manifest.parquet")
        self._photos = {
            (sample, view): Path(path)
            for sample, view, path in manifest[["sample", "view", "image"]].itertuples(index=False)
        }
        self.names = [str(name) for name in self._answers["sample"]]

    def face(self, name: str, views: tuple[str, ...] = VIEWS) -> Reconstruction:
        """What the network answered for a sample, with its photographs.

        Raises:
            DataError: the sample was not aligned, or a photograph cannot be read.
        """
        found = np.flatnonzero(self._samples["sample"] == name)
        if not len(found):
            raise DataError(
                f"{name}: expected the same samples in {self._places}, found none of that name; run it anew"
            )
        row, answer = found[0], self.names.index(name)
        coefficients = Coefficients(
            *(torch.from_numpy(self._answers[key][answer : answer + 1]) for key in Coefficients._fields)
        )
        return Reconstruction(self._model, coefficients, tuple(self._view(name, row, view) for view in views))

    def _view(self, name: str, row: int, view: str) -> SeenView:
        """A photograph of a sample."""
        place, path = VIEWS.index(view), self._photos[name, view]
        photo = self._data.read_photo(path)
        affine = self._samples["crop"][row, place].astype(np.float64)
        landmarks = map_points(inverse_affine(affine), self._samples["landmarks"][row, place])
        crop, mask = (np.array(arrays[row, place]) for arrays in (self._crops, self._masks))
        dense = find_dense_of(photo, landmarks)
        return SeenView(view, photo, landmarks, affine, crop, label=str(path), mask=mask, dense=dense)
