"""CelebAMask-HQ: portraits with one mask a part of the face, read in the ten classes of the face parser.

    CelebA-HQ-img/<id>.jpg                                     the image, 1024 px
    CelebAMask-HQ-mask-anno/<id // 2000>/<id:05d>_<part>.png   what is not 0 belongs to the part, 512 px
    CelebA-HQ-to-CelebA-mapping.txt                            id, id in CelebA, file name in CelebA

A part that is not visible has no file. The split follows the id in CelebA.

ASSUME: `l_` means the person's own left; `swap_sides` reads it as the image's left instead, and `check_sides` tells
which of the two the masks show.
Source: g_mask.py and g_partition.py of github.com/switchablenorms/CelebAMask-HQ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfmvr.conventions import CLASSES, MIRRORED_CLASS
from dfmvr.datasets import images
from dfmvr.datasets.listing import list_folder, read_lines
from dfmvr.datasets.sample import SPLITS
from dfmvr.errors import DataError
from dfmvr.files import writing

FIRST_CELEBA_ID = {"train": 0, "val": 162771, "test": 182638}

PARTS = {
    "skin": "skin",
    "eye_g": "skin",  # ASSUME: glasses lie on the face, whose outline they do not change; eyes are seen through them
    "l_brow": "left_brow",
    "r_brow": "right_brow",
    "l_eye": "left_eye",
    "r_eye": "right_eye",
    "l_ear": "background",
    "r_ear": "background",
    "ear_r": "background",
    "nose": "nose",
    "mouth": "mouth",
    "u_lip": "upper_lip",
    "l_lip": "lower_lip",
    "neck": "background",
    "neck_l": "background",
    "cloth": "background",
    "hair": "background",
    "hat": "background",
}
"""Class of every part, in the order in which later parts are painted over earlier ones."""

IMAGES, MASKS, MAPPING = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno", "CelebA-HQ-to-CelebA-mapping.txt"

MAX_MASK_PIXELS = 4096**2
"""A small file may announce any number of pixels; the real masks have 512 x 512."""


@dataclass(frozen=True)
class Item:
    """One image and where its masks lie."""

    id: int
    split: str  # 'train', 'val' or 'test'
    image: Path
    mask_folder: Path

    def mask_file(self, part: str) -> Path:
        """Place of the mask of one part; missing if the part is not visible."""
        return self.mask_folder / f"{self.id:05d}_{part}.png"


def split_of(celeba_id: int) -> str:
    """Tell the official split of an image by its id in CelebA."""
    return max((split for split in SPLITS if celeba_id >= FIRST_CELEBA_ID[split]), key=SPLITS.index)


def _item(root: Path, identifier: int, split: str) -> Item:
    return Item(identifier, split, root / IMAGES / f"{identifier}.jpg", root / MASKS / str(identifier // 2000))


def read_items(root: Path | str) -> list[Item]:
    """List the images that are there, by id. Images of the mapping that were not copied are passed over.

    Raises:
        DataError: the mapping is missing or malformed, or not one of its images is there.
    """
    root = Path(root)
    path = root / MAPPING
    lines = read_lines(path, f"is {root} the folder of CelebAMask-HQ?")
    present = {entry.name for entry in list_folder(root / IMAGES)}
    items: dict[int, Item] = {}
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields or fields[0] == "idx":
            continue
        numbers = [int(field) for field in fields[:2] if field.isascii() and field.isdigit() and len(field) < 10]
        if len(numbers) < 2:
            raise DataError(f"{path}, line {number}: expected `id, CelebA id, file`, found {line[:60]!r}")
        identifier, celeba_id = numbers
        if identifier in items:
            raise DataError(f"{path}, line {number}: id {identifier} comes twice; download it again")
        items[identifier] = _item(root, identifier, split_of(celeba_id))
    result = [items[identifier] for identifier in sorted(items) if items[identifier].image.name in present]
    if not result:
        raise DataError(f"{root / IMAGES}: not one of the {len(items)} images of {MAPPING} is there; copy them")
    return result


def read_image(item: Item, size: int | None = None) -> np.ndarray:
    """Read an image as uint8 RGB (H, W, 3), resized to (size, size) if asked.

    Raises:
        DataError: the file is missing or not a whole image.
    """
    image = images.read_image(item.image)
    return image if size is None else images.resize_image(image, size)


def _read_part(path: Path) -> np.ndarray | None:
    """Where a part is, bool (H, W), or None if it has no file."""
    if not path.exists():
        return None
    if not path.is_file():
        raise DataError(f"{path}: expected a mask, found no regular file; remove it")
    with images.open_image(path, "PNG") as image:
        width, height = image.size
        if width * height > MAX_MASK_PIXELS:
            raise DataError(f"{path}: expected 512 x 512 pixels, found {width} x {height}; download it again")
        return np.array(image.convert("L")) != 0


def read_mask(item: Item, size: int | None = None, swap_sides: bool = False) -> np.ndarray:
    """Read the parts of an image as class ids uint8 (H, W) (conventions.CLASSES).

    Args:
        item: the image.
        size: resize to (size, size) by the nearest pixel; None keeps the masks' own 512.
        swap_sides: take `l_` as the image's left, hence the person's right: `datasets.celebamask_hq.swap_sides`.
    Raises:
        DataError: a mask is damaged, two differ in size, or there is none.
    """
    mask: np.ndarray | None = None
    for part, name in PARTS.items():
        where = _read_part(item.mask_file(part))
        if where is None:
            continue
        if mask is None:
            mask = np.zeros(where.shape, np.uint8)
        if where.shape != mask.shape:
            raise DataError(
                f"{item.mask_file(part)}: expected {mask.shape} pixels as its other parts, found {where.shape}"
            )
        mask[where] = CLASSES.index(name)
    if mask is None:
        raise DataError(f"{item.mask_folder}: no mask of image {item.id}; copy its masks or leave the image out")
    if swap_sides:
        mask = np.array(MIRRORED_CLASS, np.uint8)[mask]
    return mask if size is None else images.resize_mask(mask, size)


def write_item(root: Path | str, identifier: int, image: np.ndarray, mask: np.ndarray, jpeg_quality: int = 95) -> None:
    """Write one image and one mask a visible part.

    Args:
        root: the data set's folder.
        identifier: id of the image, 0 to 29999.
        image: uint8 RGB (H, W, 3).
        mask: class ids uint8 (h, w); its size may differ from the image's.
        jpeg_quality: 1 to 100.
    Raises:
        OutputError: a file cannot be written.
    """
    item = _item(Path(root), identifier, "")
    images.write_image(item.image, image, jpeg_quality)
    names = {name: part for part, name in reversed(PARTS.items()) if name != "background"}
    for name, part in names.items():
        where = mask == CLASSES.index(name)
        if where.any():
            images.write_image(item.mask_file(part), where.astype(np.uint8) * 255)


def write_mapping(root: Path | str, splits: Mapping[int, str]) -> None:
    """Write the mapping so that every id falls into its split ('train', 'val' or 'test').

    Raises:
        OutputError: the file cannot be written.
    """
    following = dict(FIRST_CELEBA_ID)
    lines = ["idx\torig_idx\torig_file"]
    for identifier, split in sorted(splits.items()):
        celeba_id = following[split]
        following[split] += 1
        lines.append(f"{identifier}\t{celeba_id}\t{celeba_id + 1:06d}.jpg")
    with writing(Path(root) / MAPPING) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _shows_own_sides(mask: np.ndarray) -> bool | None:
    """Whether the left brow and eye lie on the image's right; None if there is no such pair."""
    votes = []
    for part in ("brow", "eye"):
        columns = [np.flatnonzero((mask == CLASSES.index(f"{side}_{part}")).any(0)) for side in ("left", "right")]
        if all(column.size for column in columns):
            votes.append(float(columns[0].mean() - columns[1].mean()))
    return sum(votes) > 0 if votes else None


def check_sides(items: Iterable[Item], swap_sides: bool, where: Path | str) -> str | None:
    """Look whether the person's left is on the image's right, as in every upright photograph that is not mirrored.

    Args:
        items: a handful of images.
        swap_sides: as in `read_mask`.
        where: what the finding calls the data set.
    Returns:
        None if most images agree or none can tell, else a sentence naming the key to change.
    Raises:
        DataError: a mask is damaged or missing.
    """
    seen = [_shows_own_sides(read_mask(item, swap_sides=swap_sides)) for item in items]
    told = [agrees for agrees in seen if agrees is not None]
    wrong = len(told) - sum(told)
    if 2 * wrong <= len(told):
        return None
    return (
        f"{where}: in {wrong} of {len(told)} images the person's left brow and eye lie on the image's left; "
        f"set datasets.celebamask_hq.swap_sides: {'false' if swap_sides else 'true'}"
    )
