"""From photographs to faces: the networks loaded once, then asked as often as you like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from dfmvr.align.crop import standard_points
from dfmvr.align.find import SOURCES
from dfmvr.assets import asset
from dfmvr.conventions import VIEWS
from dfmvr.errors import ConfigError, DataError
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.packed import read_model
from dfmvr.networks.checkpoint import Trained, read_about
from dfmvr.networks.df_mvr import DFMVR
from dfmvr.networks.inference import for_inference
from dfmvr.parse.masks import predict
from dfmvr.parse.parser import FaceParser, load_parser
from dfmvr.reconstruct.network import load_for_model
from dfmvr.reconstruct.photographs import Eye, Landmarks, Photo, put_by_pose, put_in_place
from dfmvr.reconstruct.reconstruction import Reconstruction, SeenView

SHIPPED = {"checkpoint": "network.safetensors", "parser": "parser.safetensors", "face_model": "face_model.npz"}
"""What ships with the package, by what it is."""


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
            trained: network of DF-MVR.
            parser: of its masks.
            model: face model that both were trained with.
            finder: of landmarks, `own` or `face_alignment`.
            device: where the networks run.
        Raises:
            ConfigError: an unknown finder, or a network that is not DF-MVR's.
        """
        if finder not in SOURCES:
            raise ConfigError(f"finder: expected {' or '.join(SOURCES)}, found {finder!r}")
        if not isinstance(trained.network, DFMVR):
            raise ConfigError(f"checkpoint: expected a network of DF-MVR, found one of {trained.about.get('method')}")
        self.device = torch.device(device)
        self.model, self.about = model, trained.about
        self._parser = parser.to(self.device)
        self._network = for_inference(trained.network.to(self.device))
        self.eye = Eye(standard_points(model), trained.about["image_size"], finder, device=str(device))

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
        model = read_model(file_of(path, "face_model", face_model))
        trained = load_for_model(path or asset(SHIPPED["checkpoint"]), model)
        return cls(trained, load_parser(file_of(path, "parser", parser)), model, finder, device)

    @property
    def image_size(self) -> int:
        """Width and height of the crops that the network sees, px."""
        return self.eye.size

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
        eye = self.eye._replace(face=face)
        marks = landmarks or {}
        seen = {name: eye.look(photo, marks.get(name), f"{name} photograph") for name, photo in given.items()}
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
        eye, marks = self.eye._replace(face=face), landmarks or [None] * len(photos)
        labels = [f"photograph {number}" for number in range(1, len(photos) + 1)]
        seen = [eye.look(*one) for one in zip(photos, marks, labels, strict=True)]
        return self._of(*put_by_pose(seen))

    def _of(self, views: dict[str, SeenView], notes: Sequence[str]) -> Reconstruction:
        return self.from_views([views], [notes])[0]

    @torch.inference_mode()
    def from_views(
        self, faces: Sequence[Mapping[str, SeenView]], notes: Sequence[Sequence[str]] | None = None
    ) -> list[Reconstruction]:
        """Reconstruct several faces in one pass of the network.

        Args:
            faces: of each its views by name.
            notes: what there is to say about each.
        """
        size = self.eye.size
        crops = np.zeros((len(faces), len(VIEWS), size, size, 3), np.uint8)
        seen = np.zeros((len(faces), len(VIEWS)), bool)
        for i, views in enumerate(faces):
            for k, crop in _shown(views).items():
                crops[i, k], seen[i, k] = crop, True
        masks = np.zeros(crops.shape[:-1], np.uint8)
        masks[seen] = predict(self._parser, crops[seen])
        images = torch.from_numpy(crops).to(self.device).permute(0, 1, 4, 2, 3).float() / 255
        answer = self._network(images, torch.from_numpy(masks).to(self.device).long())
        answer = Coefficients(*(tensor.float().cpu() for tensor in answer))
        if not all(torch.isfinite(tensor).all() for tensor in answer):
            raise DataError("the network's answer is not finite; use another checkpoint")
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


def file_of(checkpoint: Path | None, name: str, given: Path | str | None) -> Path:
    """A file that a network was trained with: the one given, else the one that the checkpoint names, else what ships.

    Raises:
        ConfigError: the checkpoint names a file that is not there.
        DataError: the checkpoint is unreadable.
    """
    if given is not None:
        return Path(given)
    if checkpoint is None:
        return asset(SHIPPED[name])
    path = checkpoint.parent / str(read_about(checkpoint).get(name, "nothing"))
    if not path.exists():
        option = "--" + name.replace("_", "-")
        raise ConfigError(f"{option}: {checkpoint} was trained with {path}, which is not there; name the file")
    return path
