"""Who does the work of all pages: one set of networks, a thread that looks at photographs and one that makes faces.

The networks are loaded in the background, so that the page is there at once. Faces are made one after the other, each
with all processors.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from dfmvr.app.making import FaceWish, LookedAt, look_at, make_face, without_folder
from dfmvr.errors import DfmvrError

if TYPE_CHECKING:
    from dfmvr.reconstruct.photographs.reconstructor import Reconstructor

log = logging.getLogger(__name__)

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"


class _StoppedError(Exception):
    """The face is no longer wanted."""


class FaceInMaking:
    """A face that is waited for: `state`, what is being done and how much has been, and what came of it."""

    def __init__(self, wish: FaceWish, folder: Path, number: int) -> None:
        self.wish, self.folder, self.number = wish, folder, number
        self.state, self.stage, self.share = WAITING, "", 0.0
        self.problem, self.notes = "", list[str]()
        self.stop = threading.Event()

    @property
    def is_open(self) -> bool:
        """Whether it waits or is being made."""
        return self.state in (WAITING, RUNNING)

    def tell(self, stage: str, share: float) -> None:
        """Note how far it is; end it if it shall be stopped."""
        if self.stop.is_set():
            raise _StoppedError
        self.stage, self.share = stage, share


class Workshop:
    """The networks and the threads.

    Args of the constructor: what loads the networks, in the background.
    """

    def __init__(self, load: Callable[[], Reconstructor]) -> None:
        self._looking, self._making = (ThreadPoolExecutor(1, name) for name in ("look", "make"))
        self._open: list[FaceInMaking] = []
        self.loaded: Future[Reconstructor] = self._looking.submit(load)

    @property
    def problem(self) -> str:
        """Why there are no networks; empty while they are loaded, and when they have been."""
        error = self.loaded.exception() if self.loaded.done() else None
        return str(error) if error else ""

    def look(self, path: Path, face: int, then: Callable[[LookedAt], None]) -> None:
        """Look at a photograph as soon as there is time."""

        def work() -> None:
            try:
                found = look_at(self.loaded.result(), path, face)
            except DfmvrError as error:
                found = LookedAt(b"", None, (1, 1), without_folder(str(error), path.parent))
            except Exception as error:
                found = LookedAt(b"", None, (1, 1), f"{path.name}: {_defect(error)}")
            then(found)

        self._looking.submit(work)

    def make(self, face: FaceInMaking) -> None:
        """Make a face as soon as those before it have been made."""
        self._open.append(face)
        self._making.submit(self._work, face)

    def ahead_of(self, face: FaceInMaking) -> int:
        """How many faces will have been made before this one is begun."""
        waiting = list(self._open)
        return waiting.index(face) if face in waiting else 0

    def _work(self, face: FaceInMaking) -> None:
        folder = next(iter(face.wish.photos)).parent
        try:
            face.tell("", 0.0)
            face.state = RUNNING
            face.folder.mkdir()
            made = make_face(self.loaded.result(), face.wish, face.folder, face.tell)
            face.notes = [without_folder(note, folder) for note in made.notes]
            face.state = DONE
        except _StoppedError:
            face.state = CANCELLED
        except DfmvrError as error:
            face.problem, face.state = without_folder(str(error), folder), FAILED
        except Exception as error:  # the page must tell of a defect too, and go on
            face.problem, face.state = _defect(error), FAILED
        finally:
            self._open.remove(face)

    def close(self) -> None:
        """Stop what is being made and wait for the threads' end."""
        for face in list(self._open):
            face.stop.set()
        for threads in (self._looking, self._making):
            threads.shutdown(cancel_futures=True)


def _defect(error: Exception) -> str:
    """What the page tells of an error that is no user's; the terminal gets all of it."""
    log.error("a defect of the program", exc_info=error)
    return f"a defect of the program ({type(error).__name__}: {error})"
