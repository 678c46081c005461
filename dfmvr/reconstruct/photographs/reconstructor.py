"""From photographs to faces: the networks loaded once, then asked as often as you like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dfmvr.align.crop import standard_points
from dfmvr.align.find import FINDERS, find_faces
from dfmvr.assets import asset
from dfmvr.assets.shipped import SHIPPED
from dfmvr.conventions import VIEWS
from dfmvr.errors import ConfigError
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.packed import read_model
from dfmvr.networks.checkpoint import Trained, file_beside
from dfmvr.networks.df_mvr import DFMVR
from dfmvr.parse.parser import FaceParser, load_parser, predict
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction, SeenView
from dfmvr.reconstruct.photographs.views import Landmarks, Photo, put_by_pose, put_in_place, see
from dfmvr.reconstruct.regression import read_regressor, regress


class Reconstructor:
    """Turns one to three photographs of a face into a `Reconstruction`.

    >>> reconstructor = Reconstructor.load()
    >>> face = reconstructor("left.jpg", "front.jpg", "right.jpg")
    >>> face.vertices  # (V, 3) mm
    """

    def __init__(
        self,
        trained: Trained,
        parser: FaceParser,
        model: MorphableModel,
        finder: str = "own",
        device: torch.device | str = "cpu",
    ) -> None:
        """Put the parts together.

        Args:
            trained: network of DF-MVR, from `read_regressor`.
            parser: of its masks.
            model: face model that both were trained with.
            finder: of landmarks, `own` or `face_alignment`.
            device: where the networks run.
        Raises:
            ConfigError: an unknown finder, or a network that is not DF-MVR's.
        """
        if finder not in FINDERS:
            raise ConfigError(f"finder: expected {' or '.join(FINDERS)}, found {finder!r}")
        if not isinstance(trained.network, DFMVR):
            raise ConfigError(f"checkpoint: expected a network of DF-MVR, found one of {trained.about.get('method')}")
        self.device = torch.device(device)
        self.model, self.about = model, trained.about
        self.parser, self._network = parser.to(self.device), trained.network.to(self.device)
        self._standard = standard_points(model)
        self._find = partial(find_faces, source=finder, standard=self._standard, device=str(device))

    @classmethod
    def load(
        cls,
        checkpoint: Path | str | None = None,
        *,
        parser: Path | str | None = None,
        face_model: Path | str | None = None,
        finder: str = "own",
        device: torch.device | str = "cpu",
    ) -> Reconstructor:
        """Load the networks that ship with the package, or those of a training of your own.

        Args:
            checkpoint: weights.safetensors of a training; None: what ships.
            parser, face_model: files that it was trained with; None: those that the checkpoint names, or what ships.
            finder: of landmarks: `own` ships with the package, `face_alignment` is the library of that name.
            device: where the networks run.
        Raises:
            ConfigError: the checkpoint names a file that is not there.
            DataError: a file is missing, damaged, or they do not belong together.
            UnavailableError: the package was installed without its weights.
        """
        path = None if checkpoint is None else Path(checkpoint)
        model = read_model(_file_of(path, "face_model", face_model))
        trained = read_regressor(path or asset(SHIPPED["checkpoint"]), model, device)
        return cls(trained, load_parser(_file_of(path, "parser", parser)), model, finder, device)

    @property
    def image_size(self) -> int:
        """Width and height of the crops that the network sees, px."""
        return self.about["image_size"]

    def see(
        self, photo: Photo, landmarks: Landmarks | None = None, face: int = 1, label: str = "photograph"
    ) -> SeenView:
        """Read a photograph, find its face's landmarks unless they are given, and cut the face out; see `views.see`."""
        return see(photo, landmarks, self._find, self._standard, self.image_size, face, label)

    def __call__(
        self,
        left: Photo | None = None,
        front: Photo | None = None,
        right: Photo | None = None,
        *,
        landmarks: Mapping[str, Landmarks] | None = None,
        face: int = 1,
    ) -> Reconstruction:
        """Reconstruct the face of photographs whose sides are known.

        Args:
            left, front, right: the photographs; the nose points to the image's left in the left one. One is enough.
            landmarks: of some of them, by the view's name; the others' are found.
            face: which face of photographs with several, 1 being the largest.
        Raises:
            ConfigError: no photograph.
            DataError: unreadable, without a face, or landmarks that no face can have.
        """
        given = {name: photo for name, photo in zip(VIEWS, (left, front, right), strict=True) if photo is not None}
        if not given:
            raise ConfigError("photographs: expected one to three, found none")
        marks = landmarks or {}
        seen = {name: self.see(photo, marks.get(name), face, f"{name} photograph") for name, photo in given.items()}
        return self._of(*put_in_place(seen))

    def from_any(
        self, photos: Sequence[Photo], landmarks: Sequence[Landmarks | None] | None = None, face: int = 1
    ) -> Reconstruction:
        """Reconstruct the face of one to three photographs in any order; which is which follows from their poses.

        Args:
            photos: the photographs.
            landmarks: of each; None where they are to be found.
            face: which face of photographs with several, 1 being the largest.
        Raises:
            ConfigError: none, or more than three.
            DataError: as of a call; or two of the same side.
        """
        marks = landmarks or [None] * len(photos)
        pairs = enumerate(zip(photos, marks, strict=True), start=1)
        seen = [self.see(photo, mark, face, f"photograph {number}") for number, (photo, mark) in pairs]
        return self._of(*put_by_pose(seen))

    def _of(self, views: dict[str, SeenView], notes: Sequence[str]) -> Reconstruction:
        return self.from_views([views], [notes])[0]

    def from_views(
        self, faces: Sequence[Mapping[str, SeenView]], notes: Sequence[Sequence[str]] | None = None
    ) -> list[Reconstruction]:
        """Reconstruct several faces in one pass of the network.

        Args:
            faces: of each its views by name.
            notes: what there is to say about each.
        """
        crops = np.zeros((len(faces), len(VIEWS), self.image_size, self.image_size, 3), np.uint8)
        seen = np.zeros((len(faces), len(VIEWS)), bool)
        for i, views in enumerate(faces):
            for k, crop in _shown(views).items():
                crops[i, k], seen[i, k] = crop, True
        masks = np.zeros(crops.shape[:-1], np.uint8)
        masks[seen] = predict(self.parser, crops[seen])
        images = torch.from_numpy(crops).to(self.device).permute(0, 1, 4, 2, 3).float() / 255
        answer = regress(self._network, images, torch.from_numpy(masks).to(self.device).long())
        return [
            Reconstruction(
                self.model,
                Coefficients(*(tensor[i : i + 1] for tensor in answer)),
                tuple(views[n]._replace(mask=masks[i, k]) for k, n in enumerate(VIEWS) if n in views),
                tuple(notes[i]) if notes else (),
            )
            for i, views in enumerate(faces)
        ]


def _shown(views: Mapping[str, SeenView]) -> dict[int, np.ndarray]:
    """What the network is shown: crops by their place.

    ASSUME: with the front and one side the mirror image of that side stands for the other one: the network was trained
    with three views or one, and a face is nearly its own mirror image.
    """
    shown = {view.place: view.crop for view in views.values()}
    if set(views) in ({"left", "front"}, {"front", "right"}):
        (side,) = set(views) - {"front"}
        shown[VIEWS.index("right" if side == "left" else "left")] = views[side].crop[:, ::-1]
    return shown


def _file_of(checkpoint: Path | None, name: str, given: Path | str | None) -> Path:
    """A file that a network was trained with: the one given, the one that the checkpoint names, or what ships."""
    if given is not None:
        return Path(given)
    return asset(SHIPPED[name]) if checkpoint is None else file_beside(checkpoint, name)
