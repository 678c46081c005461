"""Landmark detection by the library face-alignment (Bulat and Tzimiropoulos 2017)."""

from __future__ import annotations

import functools
import pickle
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np

from dfmvr.errors import UnavailableError

ALTERNATIVE = "or give landmark files (align.landmarks: annotated)"

_lock = threading.Lock()


@functools.cache
def _detector(device: str) -> Any:
    """Build the detector, downloading its weights on first use."""
    try:
        import face_alignment
        import torch
        from face_alignment.api import models_urls
        from face_alignment.detection.sfd.sfd_detector import models_urls as face_urls
    except ImportError as error:
        raise UnavailableError(
            f"landmarks by face_alignment: the package cannot be imported ({error}); "
            f"`pip install face-alignment`, {ALTERNATIVE}"
        ) from None
    try:
        # The points of the 3D method are those of its 2.5D one with a depth that we have no use for.
        kind = face_alignment.LandmarksType.TWO_HALF_D
        return face_alignment.FaceAlignment(kind, device=device, compile=False)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        urls = (face_urls["s3fd"], models_urls["3DFAN-4"])
        missing = [url for url in urls if not (folder / Path(urlparse(url).path).name).is_file()]
        todo = f"download {' and '.join(missing)} into" if missing else "a weight file is damaged: remove it from"
        reason = str(error).strip().partition("\n")[0]
        raise UnavailableError(
            f"landmarks by face_alignment: its weights cannot be had ({reason}); {todo} {folder}, {ALTERNATIVE}"
        ) from error


def find_by_library(photo: np.ndarray, device: str = "cpu") -> list[tuple[np.ndarray, float]]:
    """Find the 68 landmarks of all faces.

    Paper: the 3D method, whose jaw line follows the turned face and not its outline in the image.

    Args:
        photo: uint8 RGB (H, W, 3), upright.
        device: 'cpu', 'cuda' or 'mps'.
    Returns:
        For each face its landmarks (68, 2) px, first pixel's centre at 0.5, and the score of its box, 0 to 1.
    Raises:
        UnavailableError: the package or its weights are not to be had here.
    """
    with _lock:  # one network serves all threads
        found = _detector(device).get_landmarks_from_image(photo, return_bboxes=True)
    faces, _, boxes = found or (None, None, None)
    if not faces:
        return []
    # The library cuts its continuous coordinates down to whole numbers, by half a pixel on average.
    points = [face[:, :2].astype(np.float64) + 0.5 for face in faces]
    return [(face, float(box[4])) for face, box in zip(points, boxes, strict=True)]
