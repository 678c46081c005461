"""From photographs to faces: the networks loaded once, then asked as often as you like."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dfmvr.align.by_mediapipe import is_available
from dfmvr.align.crop import PX_PER_MM_AT_REFERENCE, align_photo, standard_points
from dfmvr.align.find import AUTO, FINDERS, FoundFace, find_faces
from dfmvr.assets.files import asset
from dfmvr.assets.shipped import SHIPPED
from dfmvr.conventions import MOST_PHOTOS, REFERENCE_SIZE_PX, VIEWS
from dfmvr.datasets.images import WORKING_PIXELS
from dfmvr.datasets.landmark_files import read_landmark_file
from dfmvr.errors import ConfigError, DataError, UnavailableError
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.packed import read_model
from dfmvr.networks.checkpoint import Trained, file_beside
from dfmvr.networks.df_mvr import DFMVR
from dfmvr.parse.parser import FaceParser, load_parser, predict
from dfmvr.reconstruct.photographs.landmarks import (
    FaceChoice,
    beyond,
    check_choice,
    choose_face,
    contradiction,
    face_of,
    within,
)
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction, SeenView
from dfmvr.reconstruct.photographs.views import (
    Landmarks,
    Photo,
    put_by_pose,
    put_in_place,
    read_photo,
    side_of,
)
from dfmvr.reconstruct.regression import read_regressor, regress

if TYPE_CHECKING:
    from dfmvr.reconstruct.fit.fitter import FaceFitter

MOST_PIXELS = 90_000_000
"""So many of all photographs of a face are kept; with more, each is read in a smaller size. With three of 27 megapixels
that the face fills, the program takes 1.45 GiB."""

FACE_MM = 140.0
"""Width of a face."""

SMALL_FACE_PX = 80
"""Faces narrower than this are told to be small: on a head scan, the fit changes half as much as on large ones."""

NEAREST_MM = 200.0
"""ASSUME: no camera comes nearer to a face; a photograph that seems to be taken from there has been cropped since."""


class Reconstructor:
    """Turns photographs of a face into a `Reconstruction`.

    >>> reconstructor = Reconstructor.load()
    >>> face = reconstructor.fit(reconstructor("left.jpg", "front.jpg", "right.jpg"))
    >>> face.vertices  # (V, 3) mm
    """

    def __init__(
        self,
        trained: Trained,
        parser: FaceParser,
        model: MorphableModel,
        finder: str = AUTO,
        device: torch.device | str = "cpu",
    ) -> None:
        """Put the parts together.

        Args:
            trained: network of DF-MVR, from `read_regressor`.
            parser: of its masks.
            model: face model that both were trained with.
            finder: of landmarks, see `load`.
            device: where the networks run.
        Raises:
            ConfigError: an unknown finder, or a network that is not DF-MVR's.
        """
        if finder not in (AUTO, *FINDERS):
            raise ConfigError(f"finder: expected {AUTO}, {' or '.join(FINDERS)}, found {finder!r}")
        if not isinstance(trained.network, DFMVR):
            raise ConfigError(f"checkpoint: expected a network of DF-MVR, found one of {trained.about.get('method')}")
        self.device, self._finder = torch.device(device), finder
        self.model, self.about = model, trained.about
        self._standard = standard_points(model.mean.numpy(), model.landmarks_68.numpy())
        self.parser, self._network = parser.to(self.device), trained.network.to(self.device)

    @classmethod
    def load(
        cls,
        checkpoint: Path | str | None = None,
        *,
        parser: Path | str | None = None,
        face_model: Path | str | None = None,
        finder: str = AUTO,
        device: torch.device | str = "cpu",
    ) -> Reconstructor:
        """Load the networks that ship with the package, or those of a training of your own.

        Args:
            checkpoint: weights.safetensors of a training; None: what ships.
            parser, face_model: files that it was trained with; None: those that the checkpoint names, or what ships.
            finder: of landmarks: `own` ships with the package, `mediapipe` and `face_alignment` are the libraries of
                these names; `auto` is mediapipe where it is installed, and `own` where it is not or finds nothing.
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
        self,
        photo: Photo,
        landmarks: Landmarks | None = None,
        face: int = 1,
        label: str = "photograph",
        most: int = WORKING_PIXELS,
    ) -> SeenView:
        """Read a photograph and cut out its face.

        Args:
            photo: the photograph.
            landmarks: of the face, in pixels of the photograph's file; None: they are found.
            face: which face of a photograph with several, 1 being the largest.
            label: what messages call a photograph that is no file.
            most: pixels; a photograph of more is read in a smaller size.
        Returns:
            The photograph, whose place among the views is not known yet: its name is empty.
        Raises:
            DataError: unreadable, no face (or not as many as asked for), or landmarks that no face can have.
            UnavailableError: the finder's weights cannot be had.
        """
        label = str(photo) if isinstance(photo, Path | str) else label
        stored = read_photo(photo, label, most)
        pixels, source, dense, faces = stored.pixels, label, None, []
        notes = tuple(f"{label}: {doubt}" for doubt in stored.doubts)
        if landmarks is None:
            faces, said = self._find(pixels, face, label, stored.reduced)
            points, dense = faces[face - 1].landmarks.astype(np.float64), faces[face - 1].dense
            notes += said
        elif isinstance(landmarks, Path | str):
            source = f"{label}, {landmarks}"
            points = read_landmark_file(landmarks, sides=True) / stored.reduced
        else:
            points = np.asarray(landmarks, np.float64) / stored.reduced
        points, said = within(points, pixels.shape, source, given=landmarks is not None)
        notes += said
        try:
            crop, alignment = align_photo(pixels, points, self._standard, self.image_size, level=True)
        except DataError as error:
            raise DataError(f"{source}: {error}") from None
        if isinstance(landmarks, Path | str) and (wrong := self._contradiction(pixels, points, stored.reduced)):
            notes += (f"{source}: {wrong}",)
        width = FACE_MM * PX_PER_MM_AT_REFERENCE * self.image_size / REFERENCE_SIZE_PX
        width /= math.hypot(*alignment.affine[:, 0])
        if width < SMALL_FACE_PX:
            notes += (f"{label}: the face is only {width:.0f} px wide; one of 200 px tells more",)
        focal = None if stored.focal_px is None else stored.focal_px / stored.reduced
        if focal is not None and (distance := focal * FACE_MM / width) < NEAREST_MM:
            notes += (
                f"{label}: its EXIF data put the camera {distance:.0f} mm before the face, so it has been cropped; the "
                "focal length in them is not used",
            )
            focal = None
        if dense is not None:
            dense = np.where(beyond(dense, pixels.shape)[:, None], np.nan, dense)
        seen = SeenView("", pixels, points, alignment.affine, crop, alignment.yaw_deg, label, notes=notes, dense=dense)
        return seen._replace(focal_px=focal, file_size=stored.size, reduced=stored.reduced, faces=tuple(faces))

    def _find(self, pixels: np.ndarray, face: int, label: str, reduced: int) -> tuple[list[FoundFace], tuple[str, ...]]:
        """The faces, among them the one that is asked for, and what is to be said."""
        faces = find_faces(pixels, self._finder, self._standard, str(self.device))
        found, notes = choose_face(faces, face, label, reduced)
        if self._finder == AUTO and found.finder != "mediapipe" and is_available():
            notes += (
                f"{label}: mediapipe finds no face; the landmarks are those of the finder that ships, and less sure",
            )
        return faces, notes

    def _contradiction(self, pixels: np.ndarray, points: np.ndarray, reduced: int) -> str:
        """How the landmarks of a file contradict the faces that are found; empty if they do not or none is."""
        try:
            faces = find_faces(pixels, self._finder, self._standard, str(self.device))
        except UnavailableError:
            return ""  # the file may be given for that very reason
        return contradiction(points, faces, self._standard, reduced)

    def __call__(
        self,
        left: Photo | None = None,
        front: Photo | None = None,
        right: Photo | None = None,
        *,
        landmarks: Mapping[str, Landmarks] | None = None,
        face: FaceChoice = 1,
    ) -> Reconstruction:
        """Reconstruct the face of photographs whose sides are known.

        Args:
            left, front, right: the photographs; the nose points to the image's left in the left one. One is enough.
            landmarks: of some of them, by the view's name; the others' are found.
            face: which face of photographs with several, 1 being the largest; or by the view's name.
        Raises:
            ConfigError: no photograph, or a choice of a face that cannot be.
            DataError: a file is not there, or landmarks that no face can have; all photographs are damaged or show no
                face, of which some would be left out with a note.
        """
        given = {name: photo for name, photo in zip(VIEWS, (left, front, right), strict=True) if photo is not None}
        if not given:
            raise ConfigError("photographs: expected one to three, found none")
        check_choice(face, VIEWS)
        marks = landmarks or {}
        pairs = {name: (photo, marks.get(name)) for name, photo in given.items()}
        seen, left_out = self._see_all(pairs, face, "{} photograph")
        views, notes = put_in_place(_leave_out_copies(seen, left_out))
        return self.from_views([views], [[*left_out, *notes]])[0]

    def from_any(
        self, photos: Sequence[Photo], landmarks: Sequence[Landmarks | None] | None = None, face: FaceChoice = 1
    ) -> Reconstruction:
        """Reconstruct the face of one to twelve photographs in any order; which is which follows from their poses.

        The network sees three of them at the most; the others join in the fit. One that cannot be used is left out
        with a note, unless it is the only one, and so is one that is there twice.

        Args:
            photos: the photographs.
            landmarks: of each; None where they are to be found.
            face: which face of photographs with several, 1 being the largest; or by the photograph's number.
        Raises:
            ConfigError: none, or more than twelve, or a choice of a face that cannot be.
            DataError: as of a call, of all photographs.
        """
        if not 1 <= len(photos) <= MOST_PHOTOS:
            raise ConfigError(f"photographs: expected one to {MOST_PHOTOS}, found {len(photos)}")
        check_choice(face, range(1, len(photos) + 1))
        marks = landmarks or [None] * len(photos)
        pairs = dict(enumerate(zip(photos, marks, strict=True), start=1))
        seen, notes = self._see_all(pairs, face, "photograph {}")
        kept = _leave_out_copies(seen, notes)
        return self.from_views([put_by_pose(list(kept.values()))], [notes])[0]

    def _see_all(
        self, given: Mapping[Any, tuple[Photo, Landmarks | None]], face: FaceChoice, label: str
    ) -> tuple[dict[Any, SeenView], list[str]]:
        """Read photographs; those that are damaged or show no face are left out and told of.

        Args:
            given: photographs and their landmarks by name or number.
            face: which face of photographs with several; of all, or by their names or numbers.
            label: what messages call one that is no file, with a place for its name or number.
        Raises:
            DataError: none can be used, a file is not there, or the landmarks given with one are wrong.
        """
        seen, notes, first = {}, [], None
        most = min(WORKING_PIXELS, MOST_PIXELS // len(given))
        for key, (photo, marks) in given.items():
            try:
                seen[key] = self.see(photo, marks, face_of(face, key), label.format(key), most)
            except DataError as error:
                if marks is not None or (isinstance(photo, Path | str) and _is_missing(photo)):
                    raise
                first = first or error
                notes.append(f"left out: {error}")
        if first is not None and not seen:
            raise first
        return seen, notes

    def fit(
        self,
        face: Reconstruction,
        seconds: float = 60.0,
        progress: bool = False,
        same_expression: bool = False,
        within_model: bool = False,
        on_step: Callable[[int, int], None] | None = None,
    ) -> Reconstruction:
        """Fit a face to its photographs, starting from the network's answer; see `FaceFitter.fit`."""
        return self._fitter.fit(face, seconds, progress, same_expression, within_model, on_step)

    @cached_property
    def _fitter(self) -> FaceFitter:
        """What fits faces, prepared when the first one is."""
        from dfmvr.reconstruct.fit.fitter import FaceFitter

        return FaceFitter(self.model)

    def from_views(
        self, faces: Sequence[Sequence[SeenView]], notes: Sequence[Sequence[str]] | None = None
    ) -> list[Reconstruction]:
        """Reconstruct several faces in one pass of the network.

        Where a further photograph stands is what the network answers when it is put in the place of the view that it
        resembles.

        Args:
            faces: of each its views, those in the order of VIEWS first.
            notes: what there is to say about each.
        """
        rows = [(_shown(views), i, None) for i, views in enumerate(faces)]
        for i, views in enumerate(faces):
            for view in views[len(_seen_by_network(views)) :]:
                place = VIEWS.index(side_of(view.yaw_deg))
                others = [one for one in _seen_by_network(views) if one.place != place]
                rows.append((_shown([*others, view._replace(name=VIEWS[place])]), i, place))
        crops = np.zeros((len(rows), len(VIEWS), self.image_size, self.image_size, 3), np.uint8)
        seen = np.zeros((len(rows), len(VIEWS)), bool)
        for row, (shown, _, _) in enumerate(rows):
            for k, crop in shown.items():
                crops[row, k], seen[row, k] = crop, True
        masks = np.zeros(crops.shape[:-1], np.uint8)
        masks[seen] = predict(self.parser, crops[seen])
        images = torch.from_numpy(crops).to(self.device).permute(0, 1, 4, 2, 3).float() / 255
        answer = regress(self._network, images, torch.from_numpy(masks).to(self.device).long())
        found = []
        for i, views in enumerate(faces):
            own = [(row, place) for row, (_, of, place) in enumerate(rows) if of == i and place is not None]
            coefficients = Coefficients(
                *(tensor[i : i + 1] for tensor in answer[:3]),
                *(
                    torch.cat((tensor[i], *(tensor[row, place : place + 1] for row, place in own)))[None]
                    for tensor in answer[3:]
                ),
            )
            of_views = [masks[i, view.place] for view in _seen_by_network(views)] + [masks[at] for at in own]
            found.append(
                Reconstruction(
                    self.model,
                    coefficients,
                    tuple(view._replace(mask=mask) for view, mask in zip(views, of_views, strict=True)),
                    (*(notes[i] if notes else ()), *(note for view in views for note in view.notes)),
                )
            )
        return found


def _is_missing(photo: Path | str) -> bool:
    """Whether there is no such file; one of which that cannot be told, as its folder is closed, is not missing."""
    try:
        os.stat(photo)
    except (OSError, ValueError) as error:
        return isinstance(error, FileNotFoundError | NotADirectoryError | ValueError)
    return False


def _leave_out_copies(seen: Mapping[Any, SeenView], notes: list[str]) -> dict[Any, SeenView]:
    """The photographs without those that are there twice, which are noted; the front one is kept before others."""
    kept: dict[Any, SeenView] = {}
    for key in sorted(seen, key=lambda key: key != "front"):
        one = seen[key]
        same = next((other for other in kept.values() if np.array_equal(other.photo, one.photo)), None)
        if same is None:
            kept[key] = one
        else:
            notes.append(f"{one.label}: left out, the same photograph as {same.label}")
    return {key: kept[key] for key in seen if key in kept}


def _seen_by_network(views: Sequence[SeenView]) -> list[SeenView]:
    """The first of the views, which the network sees."""
    return [view for view in views if view.name in VIEWS]


def _shown(views: Sequence[SeenView]) -> dict[int, np.ndarray]:
    """What the network is shown: crops by their place.

    ASSUME: with the front and one side the mirror image of that side stands for the other one: the network was trained
    with three views or one, and a face is nearly its own mirror image.
    """
    left, front, right = range(len(VIEWS))
    shown = {view.place: view.crop for view in _seen_by_network(views)}
    for side, other in ((left, right), (right, left)):
        if set(shown) == {front, side}:
            return shown | {other: shown[side][:, ::-1]}
    return shown


def _file_of(checkpoint: Path | None, name: str, given: Path | str | None) -> Path:
    """A file that a network was trained with: the one given, the one that the checkpoint names, or what ships."""
    if given is not None:
        return Path(given)
    return asset(SHIPPED[name]) if checkpoint is None else file_beside(checkpoint, name)
