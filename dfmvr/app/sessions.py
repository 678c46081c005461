"""What each page has: its photographs, the face that is being made of them and the one that was made, in a folder."""

from __future__ import annotations

import itertools
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dfmvr.app.making import FaceWish, LookedAt
from dfmvr.app.workshop import CANCELLED, DONE, WAITING, FaceInMaking, Workshop
from dfmvr.conventions import MOST_PHOTOS
from dfmvr.errors import ConfigError

LEFT_SECONDS, SILENT_SECONDS = 60.0, 12 * 3600.0
"""A session ends so long after its page was left, unless it comes back, as when it is loaded again; or fell silent."""

SWEEP_SECONDS = 10.0
"""Between two looks at which pages are gone."""

MAX_NAME = 100
_OPTIONS = ("same_expression", "within_model", "fast", "avatar")


class DroppedPhotograph:
    """A photograph on a page."""

    def __init__(self, number: int, path: Path) -> None:
        self.number, self.path = number, path
        self.face = 1  # which of its faces, 1 being the largest
        self.found: LookedAt | None = None  # None until it has been looked at

    def told(self, view: str) -> dict[str, Any]:
        """What the page shows of it, places as shares of the picture's width and height."""
        known = {"number": self.number, "name": self.path.name, "face": self.face, "view": view}
        found = self.found
        if found is None:
            return known | {"looked": False}
        seen = found.seen
        told = known | {"looked": True, "picture": bool(found.picture), "problem": found.problem, "notes": []}
        told |= {"aspect": found.shape[1] / found.shape[0], "faces": [], "landmarks": [], "yaw": 0.0}
        if seen is None:
            return told
        size = np.array(found.shape[::-1])
        marks = np.round(seen.landmarks[np.isfinite(seen.landmarks).all(1)] / size, 4).tolist()
        boxes = [np.round(face.box / np.tile(size, 2), 4).tolist() for face in seen.faces]
        return told | {"notes": seen.notes, "faces": boxes, "landmarks": marks, "yaw": round(seen.yaw_deg)}


class PageSession:
    """The photographs and faces of one page.

    Args of the constructor: a folder of its own; who does the work.
    """

    def __init__(self, folder: Path, workshop: Workshop) -> None:
        self.folder, self._workshop = folder, workshop
        self.photographs: dict[int, DroppedPhotograph] = {}
        self.run: FaceInMaking | None = None  # the last that was begun
        self.made: FaceInMaking | None = None  # the last that was made
        self._count, self._begun = 0, 0
        self.heard, self.left = time.monotonic(), False
        (folder / "photographs").mkdir(parents=True)

    def place_for(self, name: str) -> DroppedPhotograph:
        """A photograph of a name, whose file is empty and still to be written; it joins by `add`.

        Raises:
            ConfigError: there are as many as a face can have.
        """
        self._check_room()
        self._count += 1
        return DroppedPhotograph(self._count, self._free(name))

    def _free(self, name: str) -> Path:
        """An empty file that no photograph has, named as it came as far as files can be."""
        letters = "".join(letter for letter in name if letter.isprintable() and letter not in '/\\:*?"<>|')
        plain = Path(letters.strip(" .") or "photograph")
        stem, suffix = plain.stem[:MAX_NAME], plain.suffix[:10]
        place = self.folder / "photographs"
        taken = {path.name.casefold() for path in place.iterdir()}
        names = (f"{stem} ({k}){suffix}" if k > 1 else f"{stem}{suffix}" for k in itertools.count(1))
        free = place / next(one for one in names if one.casefold() not in taken)
        free.touch()
        return free

    def add(self, photograph: DroppedPhotograph) -> None:
        """Take a photograph whose file is there, and have it looked at.

        Raises:
            ConfigError: others have come meanwhile, and there are as many as a face can have.
        """
        try:
            self._check_room()
        except ConfigError:
            self.give_up(photograph)
            raise
        self.photographs[photograph.number] = photograph
        self.choose(photograph, 1)

    def choose(self, photograph: DroppedPhotograph, face: int) -> None:
        """Take another face of a photograph."""
        photograph.face, photograph.found = face, None

        def then(found: LookedAt) -> None:
            if photograph.face == face:
                photograph.found = found

        self._workshop.look(photograph.path, face, then)

    def remove(self, photograph: DroppedPhotograph) -> None:
        """Take a photograph off the page.

        Raises:
            ConfigError: a face is being made of it.
        """
        self._check_idle()
        self.photographs.pop(photograph.number, None)
        self.give_up(photograph)

    def give_up(self, photograph: DroppedPhotograph) -> None:
        """Remove the file of a photograph that is not on the page; another one may have its name."""
        photograph.path.unlink(missing_ok=True)

    def _check_room(self) -> None:
        if len(self.photographs) >= MOST_PHOTOS:
            raise ConfigError(f"photographs: expected one to {MOST_PHOTOS}, found {MOST_PHOTOS + 1}")

    def _check_idle(self) -> None:
        if self.run is not None and self.run.is_open:
            raise ConfigError("a face is being made of these photographs; wait for it or cancel it")

    def start(self, told: Mapping[str, Any]) -> None:
        """Have a face made.

        Args:
            told: the options; `sides`: null, or the number of a photograph by view.
        Raises:
            ConfigError: options that cannot be, no photograph, or one face is being made already.
        """
        self._check_idle()
        if not self.photographs:
            raise ConfigError(f"photographs: expected one to {MOST_PHOTOS}, found none")
        sides = told.get("sides")
        try:
            named = None if sides is None else {view: self.photographs[n].path for view, n in sides.items()}
        except (AttributeError, KeyError, TypeError):
            raise ConfigError("views: expected numbers of photographs by view") from None
        photos = {
            one.path: one.face for one in self.photographs.values() if named is None or one.path in named.values()
        }
        wish = FaceWish(photos, named, **{name: bool(told.get(name)) for name in _OPTIONS})
        self._begun += 1
        self.run = FaceInMaking(wish, self.folder / f"face{self._begun}", self._begun)
        self._workshop.make(self.run)

    def cancel(self) -> None:
        """Stop the face that is being made, at once or before its next step."""
        if self.run is not None and self.run.is_open:
            self.run.stop.set()
            if self.run.state == WAITING:
                self.run.state = CANCELLED

    def told(self) -> dict[str, Any]:
        """All that the page shows."""
        self._keep_the_last()
        workshop, views = self._workshop, self._views()
        return {
            "ready": workshop.loaded.done(),
            "problem": workshop.problem,
            "photographs": [one.told(views.get(number, "")) for number, one in list(self.photographs.items())],
            "run": None if self.run is None else self._told_of(self.run),
            "made": None if self.made is None else self._told_of(self.made),
        }

    def _views(self) -> dict[int, str]:
        """Which view each photograph would be, by its number, if the program tells."""
        found = [(n, one.found) for n, one in list(self.photographs.items())]
        seen = [found.seen._replace(label=str(n)) for n, found in found if found is not None and found.seen]
        if not seen:
            return {}
        from dfmvr.reconstruct.photographs.views import put_by_pose  # as slow to import as the networks that saw them

        return {int(view.label): view.name for view in put_by_pose(seen)}

    def _told_of(self, run: FaceInMaking) -> dict[str, Any]:
        told = {"number": run.number, "state": run.state, "stage": run.stage, "share": round(run.share, 3)}
        told |= {"ahead": self._workshop.ahead_of(run), "stopping": run.stop.is_set()}
        return told | {"problem": run.problem, "notes": run.notes, "avatar": run.wish.avatar}

    def _keep_the_last(self) -> None:
        """Keep the face that was made last, and the files of no other."""
        run = self.run
        if run is None or run.is_open or run is self.made:
            return
        if run.state == DONE:
            self.made, run = run, self.made
        if run is not None:
            shutil.rmtree(run.folder, ignore_errors=True)


class PageSessions:
    """The sessions of all pages.

    Args of the constructor: a folder; who does the work.
    """

    def __init__(self, folder: Path, workshop: Workshop) -> None:
        self._folder, self._workshop = folder, workshop
        self._sessions: dict[str, PageSession] = {}

    def create(self) -> str:
        """Begin a session; its name, which cannot be guessed."""
        self.sweep(time.monotonic())
        name = secrets.token_urlsafe(16)
        self._sessions[name] = PageSession(self._folder / name, self._workshop)
        return name

    def find(self, name: str) -> PageSession | None:
        """The session of a name, whose page has come back if it was left."""
        session = self._sessions.get(name)
        if session is not None:
            session.heard, session.left = time.monotonic(), False
        return session

    def sweep(self, now: float) -> None:
        """End the sessions whose pages are gone; one whose face is just being written, the next time."""
        for name, session in list(self._sessions.items()):
            if now - session.heard > (LEFT_SECONDS if session.left else SILENT_SECONDS):
                session.cancel()
                if session.run is None or not session.run.is_open:
                    self._sessions.pop(name, None)
                    shutil.rmtree(session.folder, ignore_errors=True)

    @contextmanager
    def swept(self) -> Iterator[None]:
        """End sessions whose pages are gone, as long as the block runs, whether or not another page is opened."""
        ended = threading.Event()

        def work() -> None:
            while not ended.wait(SWEEP_SECONDS):
                self.sweep(time.monotonic())

        thread = threading.Thread(target=work, name="sweep", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
