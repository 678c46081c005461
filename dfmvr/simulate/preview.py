"""A contact sheet of a stand-in: what a person should look at before using it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dfmvr.config.data import PixelFaceData
from dfmvr.conventions import CLASSES
from dfmvr.datasets import celebamask_hq
from dfmvr.datasets.bosphorus.range_image import RangeImage, read_bnt
from dfmvr.datasets.images import read_image, resize_image, write_image
from dfmvr.datasets.multi_pie.dataset import YAWS
from dfmvr.datasets.pixel_face.dataset import PixelFace
from dfmvr.geometry.vectors import unit

ROWS, COLUMNS = 5, 2
HEIGHT_PX = 192
MASK_COLOURS = np.array(
    (
        *((20, 20, 20), (205, 175, 150), (95, 60, 20), (150, 95, 30), (40, 90, 220)),
        *((70, 200, 230), (60, 160, 80), (170, 20, 40), (230, 70, 140), (240, 150, 60)),
    ),
    np.uint8,
)
LAMP = np.array([-0.4, 0.4, 0.82])  # that lights range images


def write_preview(root: Path, dataset: str) -> None:
    """Write preview.jpg with up to ten samples of a finished data set.

    Args:
        root: folder of the data set.
        dataset: a name of `dfmvr.simulate.command.DATASETS`.
    Raises:
        OutputError: the file cannot be written.
    """
    rows = _PICTURES[dataset](root)
    rows += [np.zeros_like(rows[0])] * (-len(rows) % COLUMNS)
    columns = [np.concatenate(rows[i::COLUMNS], 0) for i in range(COLUMNS)]
    write_image(root / "preview.jpg", np.concatenate(columns, 1), 92)


def _spread(count: int) -> list[int]:
    """Up to ten numbers below `count`, evenly spread."""
    return sorted(set(np.linspace(0, count - 1, min(count, ROWS * COLUMNS)).astype(int).tolist()))


def _small(image: np.ndarray) -> np.ndarray:
    width = round(image.shape[1] * HEIGHT_PX / image.shape[0])
    return resize_image(image, (HEIGHT_PX, width))


def _triplets(root: Path) -> list[np.ndarray]:
    """The three views of some samples side by side."""
    dataset = PixelFace(root, PixelFaceData())
    samples = list(dataset.samples())
    chosen = [samples[i] for i in _spread(len(samples))]
    return [np.concatenate([_small(dataset.read_photo(path)) for path in s.photos if path], 1) for s in chosen]


def _portraits(root: Path) -> list[np.ndarray]:
    """Image and mask of some portraits side by side."""
    items = celebamask_hq.read_items(root)
    chosen = [items[i] for i in _spread(len(items))]
    colours = MASK_COLOURS[: len(CLASSES)]
    pairs = ((celebamask_hq.read_image(i), colours[celebamask_hq.read_mask(i)]) for i in chosen)
    return [np.concatenate((_small(image), _small(mask)), 1) for image, mask in pairs]


def _moments(root: Path) -> list[np.ndarray]:
    """What up to five cameras took of some recordings, in the order of their yaws."""
    moments: dict[tuple[str, ...], dict[float, Path]] = {}
    for path in sorted(root.glob("session*/multiview/*/*/*/*.png")):
        subject, session, recording, camera, illumination = path.stem.split("_")
        moments.setdefault((subject, session, recording, illumination), {})[YAWS[camera]] = path
    keys = list(moments)
    rows = []
    for key in (keys[i] for i in _spread(len(keys))):
        photos = [moments[key][yaw] for yaw in sorted(moments[key])]
        chosen = sorted(set(np.linspace(0, len(photos) - 1, 5).astype(int)))
        rows.append(np.concatenate([_small(read_image(photos[i])) for i in chosen], 1))
    return rows


def _turns(root: Path) -> list[np.ndarray]:
    """Photograph and range image, from the front and turned, of some subjects."""
    subjects = sorted(root.glob("bs*"))
    rows = []
    for folder in (subjects[i] for i in _spread(len(subjects))):
        stems = [folder / f"{folder.name}_{kind}_0" for kind in ("N_N", "YR_R30", "YR_L45")]
        tiles = [(_small(read_image(f"{stem}.png")), _relief(read_bnt(f"{stem}.bnt"))) for stem in stems]
        rows.append(np.concatenate([tile for pair in tiles for tile in pair], 1))
    return rows


def _relief(image: RangeImage) -> np.ndarray:
    """A range image lit from the upper left, on a black square."""
    across, down = np.diff(image.points, axis=1)[:-1], np.diff(image.points, axis=0)[:, :-1]
    normals = np.cross(across, -down)
    light = unit(normals) @ LAMP
    grey = np.where(np.isfinite(light), 40 + 215 * np.clip(light, 0, 1), 0).astype(np.uint8)
    square = np.zeros((max(grey.shape),) * 2, np.uint8)
    left = (len(square) - grey.shape[1]) // 2
    square[: grey.shape[0], left : left + grey.shape[1]] = grey
    return resize_image(np.repeat(square[..., None], 3, 2), HEIGHT_PX)


_PICTURES: dict[str, Callable[[Path], list[np.ndarray]]] = {
    "pixel_face": _triplets,
    "pixel_face_ict": _triplets,
    "celebamask_hq": _portraits,
    "multi_pie": _moments,
    "bosphorus": _turns,
}
