"""The folders of Multi-PIE in either layout, listed a recording at a time; see dataset for their names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from dfmvr.config.data import MultiPieData
from dfmvr.datasets.listing import list_folder, list_subfolders
from dfmvr.errors import DataError

ANNOTATION_SUFFIX = ".landmarks_68.txt"
CROPPED_ENDING = "_crop_128"

_SESSION, _SUBJECT, _RECORDING = re.compile("session[0-9]{2}"), re.compile("[0-9]{3}"), re.compile("[0-9]{2}")
_PHOTO = re.compile(rf"([0-9]{{3}})_([0-9]{{2}})_([0-9]{{2}})_([0-9]{{3}})_([0-9]{{2}})({CROPPED_ENDING})?\.png")
_TOPS = {"original": ("data", _SESSION), "cropped_128": ("multi_PIE_crop_128", _SUBJECT)}
"""Of each layout a folder that may lie above its own, and how the folders in that are named."""

_REMEDIES = {
    "original": "expected the folders session01 to session04, found none; check the path or, for photographs cropped "
    "to 128 px, set datasets.multi_pie.layout: cropped_128",
    "cropped_128": "expected the folders of subjects, such as 001, found none; check the path or, for the tree of "
    "sessions, set datasets.multi_pie.layout: original",
}


class PhotoName(NamedTuple):
    """What the name of a photograph tells."""

    subject: str
    session: str
    recording: str
    camera: str
    illumination: str

    @classmethod
    def of(cls, subject: int, session: int, recording: int, camera: str, illumination: int) -> Self:
        """Name a photograph of subject 1 to 999, session, recording and illumination 0 to 99.

        Raises:
            ValueError: a number or camera that has no name.
        """
        name = cls(f"{subject:03d}", f"{session:02d}", f"{recording:02d}", camera, f"{illumination:02d}")
        if not _PHOTO.fullmatch(f"{name.stem}.png"):
            raise ValueError(f"no name for {name}")
        return name

    @property
    def stem(self) -> str:
        """Name of the file in the original layout, without its suffix."""
        return "_".join(self)

    def path(self, root: Path, layout: str) -> Path:
        """The file; in the original layout that of the sessions' folders, in the cropped one that of the subjects'."""
        if layout == "cropped_128":
            return root / self.subject / f"{self.stem}{CROPPED_ENDING}.png"
        subject = root / f"session{self.session}" / "multiview" / self.subject
        return subject / self.recording / f"{self.camera[:2]}_{self.camera[2:]}" / f"{self.stem}.png"


@dataclass
class Recording:
    """A recording of a subject: its chosen files by camera and illumination."""

    subject: str
    session: str
    recording: str
    photos: dict[tuple[str, str], Path] = field(default_factory=dict)
    annotations: dict[tuple[str, str], Path] = field(default_factory=dict)


class PhotoTree:
    """The tree of a layout; only the folders of chosen cameras are looked into.

    Args of the constructor: `root`, the folder of the sessions or subjects, or the one above; `settings`, the section
    `datasets.multi_pie`. Raises DataError if there is no session or subject.
    """

    def __init__(self, root: Path, settings: MultiPieData) -> None:
        self.settings, self.layout = settings, settings.layout
        self.cameras = {camera for triplet in settings.cameras for camera in triplet}
        self.passed_over, self.example = 0, ""
        """Number of files that are none of the layout's, and the name of one."""
        above, name = _TOPS[self.layout]
        self.top = next((top for top in (root, root / above) if list_subfolders(top, name)), None)
        if self.top is None:
            raise DataError(f"{root}: {_REMEDIES[self.layout]}")
        self.folders: dict[str, list[Path]] = {}
        """Of every subject, its folders."""
        for one in list_subfolders(self.top, name):
            if self.layout == "cropped_128":
                self.folders[one] = [self.top / one]
            elif not settings.sessions or int(one[-2:]) in settings.sessions:
                people = self.top / one / "multiview"
                for subject in list_subfolders(people, _SUBJECT):
                    self.folders.setdefault(subject, []).append(people / subject)

    def recordings(self, subject: str) -> Iterator[Recording]:
        """List the recordings of a subject."""
        for folder in self.folders[subject]:
            if self.layout == "cropped_128":
                yield from self._recordings_in([folder], (subject,))
                continue
            for recording in list_subfolders(folder, _RECORDING):
                known = (subject, folder.parents[1].name[-2:], recording)
                names = (PhotoName(*known, camera, "") for camera in sorted(self.cameras))
                cameras = [name.path(self.top, self.layout).parent for name in names]
                yield from self._recordings_in([camera for camera in cameras if camera.is_dir()], known)

    def _recordings_in(self, folders: list[Path], known: tuple[str, ...]) -> Iterator[Recording]:
        """List what the photographs of some folders, whose names begin with what is `known`, belong to, in order."""
        found: dict[tuple[str, ...], Recording] = {}
        ending = CROPPED_ENDING if self.layout == "cropped_128" else None
        for folder in folders:
            names = [entry.name for entry in list_folder(folder)]
            there = set(names)
            for file in names:
                match = _PHOTO.fullmatch(file)
                name = PhotoName(*match.groups()[:5]) if match else None
                if name is None or match[6] != ending or name[: len(known)] != known:
                    if not file.endswith(ANNOTATION_SUFFIX):
                        self.passed_over, self.example = self.passed_over + 1, self.example or file
                elif self._is_chosen(name):
                    one = found.setdefault(name[:3], Recording(*name[:3]))
                    one.photos[name[3:]] = folder / file
                    annotation = file.removesuffix(".png") + ANNOTATION_SUFFIX
                    if annotation in there:
                        one.annotations[name[3:]] = folder / annotation
        yield from (found[key] for key in sorted(found))

    def _is_chosen(self, name: PhotoName) -> bool:
        """Tell whether a photograph is listed; of sessions, recordings and illuminations nothing chosen means all."""
        chosen = self.settings.sessions, self.settings.recordings, self.settings.illuminations
        numbers = zip(chosen, (name.session, name.recording, name.illumination), strict=True)
        return name.camera in self.cameras and all(not some or int(number) in some for some, number in numbers)
