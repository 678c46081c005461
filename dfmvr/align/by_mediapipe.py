"""Faces and 478 points of each by the library `mediapipe`: https://pypi.org/project/mediapipe/ (Apache-2.0).

Its detectors name places, at four rotations of the photograph, so that no face is too much tilted. Its face mesh then
looks at each place twice, the second time at the upright face of the first answer, always at the same size: what it
answers does not depend on where and how a face stands in the photograph.
Source: Bazarevsky et al. 2019, "BlazeFace"; Kartynnik et al. 2019, "Real-time facial surface geometry".
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from dfmvr.align.crop import crop_photo, map_points
from dfmvr.align.frame import Frame, affine_to, inverse_affine, turned_back
from dfmvr.align.places import keep_best
from dfmvr.errors import UnavailableError

CROP_PX = 384
"""Width and height of what the face mesh is shown; it looks at 192 px of it."""

SHARE = 0.5
"""ASSUME: a face takes this share of the crop's width and height."""

SEARCHED_PX = 640
"""Longer side of the picture in which the detectors search; they shrink it to 128 and 192 px."""

MIN_PLACE = 0.5
"""Score of a detection from which its place is looked at."""

MAX_FACES = 16
LOOKS = 2
MAX_ROLL_DEG = 30.0
"""ASSUME: a face that is still tilted by this when it was levelled was none."""

BROW, CHIN, LEFT, RIGHT = 10, 152, 234, 454
"""Points of the mesh at the ends of the face: below the hair, of the chin, and beside the ears."""

TILES = ((0.5, 3), (0.25, 6))
"""Sides of the parts in which faces are searched that are too small to be seen at once, and how many a row has."""

_lock = threading.Lock()


class DenseFace(NamedTuple):
    """A face that the library has found."""

    points: np.ndarray  # (478, 2) px of the photograph, continuous (first pixel's centre 0.5)
    confidence: float  # 0 to 1, of the detector


class _Library(NamedTuple):
    """The library's graphs, which hold its networks; each serves one thread at a time."""

    detectors: tuple[Any, ...]
    mesh: Any


@functools.cache
def is_available() -> bool:
    """Tell whether the library can be imported and still has the models that it is asked for."""
    try:
        _library()
    except UnavailableError:
        return False
    return True


@functools.cache
def _library() -> _Library:
    """Load the library's networks, once."""
    try:
        with _quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its dependencies' old ways
            from mediapipe.python.solutions.face_detection import FaceDetection
            from mediapipe.python.solutions.face_mesh import FaceMesh

            kinds = (0, 1)  # of near faces and of far ones
            detectors = tuple(FaceDetection(min_detection_confidence=MIN_PLACE, model_selection=kind) for kind in kinds)
            library = _Library(detectors, FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True))
            for graph in (*library.detectors, library.mesh):
                graph.process(np.zeros((64, 64, 3), np.uint8))  # makes all of it start, while it may not talk
        return library
    except (ImportError, AttributeError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise UnavailableError(
            f"landmarks by mediapipe: the package cannot be used ({error}); `pip install 'dfmvr[mediapipe]'` and then "
            "`pip install --no-deps mediapipe==0.10.14` (Python 3.12 or older), or use another finder"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what native code writes to the standard error stream from the user, as the library tells of its threads."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, AttributeError, ValueError):
        yield  # there is no such stream
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def find_dense(photo: np.ndarray, mirrored: np.ndarray | None = None) -> list[DenseFace]:
    """Find the faces of a photograph, however they are tilted, and 478 points of each.

    Args:
        photo: uint8 RGB (H, W, 3).
        mirrored: (478,) which point each becomes in the mirror (`dfmvr.align.dense`): the answer is then the mean of a
            look at the face and one at its mirror image, and nearer to the truth by a tenth. None: the first alone.
    Returns:
        The faces, in no order.
    Raises:
        UnavailableError: the library is not to be had here.
    """
    library = _library()
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        faces = _look_at(library, photo, _places(library, photo, [(0.0, 0.0, 1.0)]), mirrored)
        for side, count in TILES:
            if faces or max(photo.shape[:2]) < 256:
                break
            corners = np.linspace(0, 1 - side, count)
            parts = [(x, y, side) for y in corners for x in corners]
            faces = _look_at(library, photo, _places(library, photo, parts), mirrored)
    return faces


def _look_at(
    library: _Library, photo: np.ndarray, places: list[tuple[Frame, float]], mirrored: np.ndarray | None
) -> list[DenseFace]:
    """The faces that the mesh confirms in places, the surest first; no face holds the middle of another."""
    faces: list[DenseFace] = []
    for frame, score in sorted(places, key=lambda place: -place[1]):
        points = _points_at(library, photo, frame, mirrored)
        if points is not None:
            one = DenseFace(points, score)
            if not any(_holds(one, other) or _holds(other, one) for other in faces):
                faces.append(one)
    return faces


def _holds(face: DenseFace, other: DenseFace) -> bool:
    """Tell whether the middle of another face lies within the box of a face."""
    middle = other.points.mean(0)
    return bool(((middle >= face.points.min(0)) & (middle <= face.points.max(0))).all())


def _places(library: _Library, photo: np.ndarray, parts: list[tuple[float, float, float]]) -> list[tuple[Frame, float]]:
    """Where the detectors see faces, and how sure they are.

    Args:
        parts: of the photograph: left, top and side, in shares of its width and height.
    """
    height, width = photo.shape[:2]
    frames, scores, boxes = [], [], []
    for left, top, side in parts:
        x, y = int(left * width), int(top * height)
        part = photo[y : y + max(1, int(side * height)), x : x + max(1, int(side * width))]
        scale = min(1.0, SEARCHED_PX / max(part.shape[:2]))
        small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else part
        ratio = np.array(part.shape[1::-1]) / small.shape[1::-1]
        for quarter in range(4):
            turned = np.ascontiguousarray(np.rot90(small, quarter))
            for frame, score in _detect(library, turned):
                ((u, v),) = turned_back([(frame.centre.real, frame.centre.imag)], quarter, small.shape) * ratio + (x, y)
                frames.append(Frame(frame.turn * 1j**quarter * ratio.mean(), complex(u, v)))
                half = abs(frames[-1].turn) / 2
                boxes.append([u - half, v - half, u + half, v + half])
                scores.append(score)
    if not frames:
        return []
    return [(frames[i], scores[i]) for i in keep_best(np.array(boxes), np.array(scores), MAX_FACES)]


def _detect(library: _Library, picture: np.ndarray) -> list[tuple[Frame, float]]:
    """Faces of a picture by both detectors, tilted by up to 60 degrees: places and scores."""
    height, width = picture.shape[:2]
    found = []
    for detector in library.detectors:
        for one in detector.process(picture).detections or ():
            data = one.location_data
            box = data.relative_bounding_box
            eyes = [complex(p.x * width, p.y * height) for p in data.relative_keypoints[:2]]
            mouth = complex(data.relative_keypoints[3].x * width, data.relative_keypoints[3].y * height)
            down = mouth - sum(eyes) / 2
            centre = complex((box.xmin + box.width / 2) * width, (box.ymin + box.height / 2) * height)
            size = max(box.width * width, box.height * height)
            if abs(down) > 0 and size > 8:
                found.append((Frame(size * down / abs(down) / 1j, centre), float(one.score[0])))
    return found


def _points_at(library: _Library, photo: np.ndarray, frame: Frame, mirrored: np.ndarray | None) -> np.ndarray | None:
    """The 478 points (478, 2) px of a face in a place; None if the mesh sees none there."""
    for _ in range(LOOKS):
        affine = affine_to(frame, SHARE * CROP_PX, CROP_PX / 2 * (1 + 1j))
        crop = crop_photo(photo, affine, CROP_PX)
        seen = _mesh(library, crop)
        if seen is None:
            return None
        points = map_points(inverse_affine(affine), seen)
        frame = mesh_frame(points)
    upright = seen[CHIN] - seen[BROW]
    if abs(np.degrees(np.arctan2(-upright[0], upright[1]))) > MAX_ROLL_DEG or not _is_inside(points, photo.shape):
        return None
    other = None if mirrored is None else _mesh(library, np.ascontiguousarray(crop[:, ::-1]))
    if other is None:
        return points
    return map_points(inverse_affine(affine), (seen + other[mirrored] * (-1, 1) + (CROP_PX, 0)) / 2)


def _mesh(library: _Library, crop: np.ndarray) -> np.ndarray | None:
    """The mesh's answer in a crop (S, S, 3): (478, 2) px of it; None if it sees no face."""
    answer = library.mesh.process(crop).multi_face_landmarks
    return len(crop) * np.array([(p.x, p.y) for p in answer[0].landmark]) if answer else None


def _is_inside(points: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Tell whether most of a face lies in the photograph."""
    return bool(((points >= 0) & (points <= shape[1::-1])).all(1).mean() > 0.5)


def mesh_frame(points: np.ndarray) -> Frame:
    """Where the face of 478 points (478, 2) px stands: as large as its bounding square, upright from chin to brow."""
    z = points[:, 0] + 1j * points[:, 1]
    down = z[CHIN] - z[BROW]
    turn = down / max(abs(down), 1e-9) / 1j
    level = z / turn
    low, high = complex(level.real.min(), level.imag.min()), complex(level.real.max(), level.imag.max())
    size = max(high.real - low.real, high.imag - low.imag)
    return Frame(turn * size, turn * (low + high) / 2)
