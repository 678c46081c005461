"""The folders of Multi-PIE in either layout, listed a recording at a time; see multi_pie for their names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dfmvr.errors import DataError

ANNOTATION_SUFFIX = ".landmarks_68.txt"
CROPPED_ENDING, CROPPED_FOLDER = "_crop_128", "multi_PIE_crop_128"

_SESSION = re.compile(r"session[0-9]{2}")
_SUBJECT, _RECORDING = re.compile(r"[0-9]{3}"), re.compile(r"[0-9]{2}")
_PHOTO = re.compile(rf"([0-9]{{3}})_([0-9]{{2}})_([0-9]{{2}})_([0-9]{{3}})_([0-9]{{2}})({CROPPED_ENDING})?\.png")


class Shot(NamedTuple):
    """What the name of a photograph tells."""

    subject: str
    session: str
    recording: str
    camera: str
    illumination: str

    @property
    def stem(self) -> str:
        """Name of the file in the original layout, without its suffix."""
        return "_".join(self)

    def place(self, root: Path) -> Path:
        """Folder of the file in the original layout."""
        camera = f"{self.camera[:2]}_{self.camera[2]}"
        return root / f"session{self.session}" / "multiview" / self.subject / self.recording / camera


@dataclass(frozen=True)
class Choice:
    """What is listed; of sessions, recordings and illuminations nothing means all."""

    cameras: frozenset[str]
    sessions: tuple[int, ...] = ()
    recordings: tuple[int, ...] = ()
    illuminations: tuple[int, ...] = ()

    def includes(self, shot: Shot) -> bool:
        """Tell whether a photograph is listed."""
        numbers = (
            (self.sessions, shot.session),
            (self.recordings, shot.recording),
            (self.illuminations, shot.illumination),
        )
        return shot.camera in self.cameras and all(not chosen or int(number) in chosen for chosen, number in numbers)


@dataclass
class Moment:
    """A recording of a subject: its chosen files by camera and illumination."""

    subject: str
    session: str
    recording: str
    photos: dict[tuple[str, str], Path] = field(default_factory=dict)
    annotations: dict[tuple[str, str], Path] = field(default_factory=dict)


@dataclass
class PassedOver:
    """Files that are none of the layout's."""

    count: int = 0
    example: str = ""


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name; nothing if there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); check the folder") from None


def _folders(folder: Path, name: re.Pattern[str]) -> list[str]:
    """Names of the folders in a folder that match."""
    return [entry.name for entry in _entries(folder) if name.fullmatch(entry.name) and entry.is_dir()]


class _Tree:
    """What both layouts share."""

    def __init__(self, choice: Choice) -> None:
        self.choice, self.passed_over = choice, PassedOver()
        self.folders: dict[str, list[Path]] = {}
        """Of every subject, its folders."""

    def _add_photos(self, folder: Path, ending: str | None, known: tuple[str, ...], moments: dict) -> None:
        """Add the photographs of a folder, whose names begin with what is `known`, to their moments."""
        names = [entry.name for entry in _entries(folder)]
        there = set(names)
        for name in names:
            match = _PHOTO.fullmatch(name)
            shot = Shot(*match.groups()[:5]) if match else None
            if shot is None or match[6] != ending or shot[: len(known)] != known:
                if not name.endswith(ANNOTATION_SUFFIX):
                    self.passed_over = PassedOver(self.passed_over.count + 1, self.passed_over.example or name)
            elif self.choice.includes(shot):
                moment = moments.setdefault(shot[:3], Moment(*shot[:3]))
                moment.photos[shot[3:]] = folder / name
                annotation = name.removesuffix(".png") + ANNOTATION_SUFFIX
                if annotation in there:
                    moment.annotations[shot[3:]] = folder / annotation


class SessionTree(_Tree):
    """The original layout; only the folders of chosen cameras are looked into."""

    def __init__(self, root: Path, choice: Choice) -> None:
        """Find the sessions and subjects.

        Args:
            root: the folder of the sessions, or the one above their folder `data`.
            choice: what is listed.
        Raises:
            DataError: there is no session.
        """
        super().__init__(choice)
        top = next((folder for folder in (root, root / "data") if _folders(folder, _SESSION)), None)
        if top is None:
            raise DataError(
                f"{root}: expected the folders session01 to session04, found none; check the path or, for photographs "
                "cropped to 128 px, set datasets.multi_pie.layout: cropped_128"
            )
        for session in _folders(top, _SESSION):
            if not choice.sessions or int(session[-2:]) in choice.sessions:
                for subject in _folders(top / session / "multiview", _SUBJECT):
                    self.folders.setdefault(subject, []).append(top / session / "multiview" / subject)

    def moments(self, subject: str) -> Iterator[Moment]:
        """List the recordings of a subject."""
        for folder in self.folders[subject]:
            session, root = folder.parents[1].name[-2:], folder.parents[2]
            for recording in _folders(folder, _RECORDING):
                moments: dict[tuple[str, ...], Moment] = {}
                for camera in sorted(self.choice.cameras):
                    shot = Shot(subject, session, recording, camera, "")
                    self._add_photos(shot.place(root), None, shot[:4], moments)
                yield from moments.values()


class CroppedFolders(_Tree):
    """The layout cropped to 128 px."""

    def __init__(self, root: Path, choice: Choice) -> None:
        """Find the subjects.

        Args:
            root: the folder of the subjects, or the one above their folder `multi_PIE_crop_128`.
            choice: what is listed.
        Raises:
            DataError: there is no subject.
        """
        super().__init__(choice)
        top = next((folder for folder in (root, root / CROPPED_FOLDER) if _folders(folder, _SUBJECT)), None)
        if top is None:
            raise DataError(
                f"{root}: expected the folders of subjects, such as 001, found none; check the path or, for the tree "
                "of sessions, set datasets.multi_pie.layout: original"
            )
        self.folders = {subject: [top / subject] for subject in _folders(top, _SUBJECT)}

    def moments(self, subject: str) -> Iterator[Moment]:
        """List the recordings of a subject."""
        moments: dict[tuple[str, ...], Moment] = {}
        for folder in self.folders[subject]:
            self._add_photos(folder, CROPPED_ENDING, (subject,), moments)
        yield from (moments[key] for key in sorted(moments))
