import itertools

import numpy as np
import pytest
from damage import flips, read_all, truncations
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from dfmvr.conventions import CLASSES, MIRRORED_CLASS
from dfmvr.datasets import celebamask_hq
from dfmvr.datasets.celebamask_hq import Item
from dfmvr.errors import DataError

EVERY_CLASS = np.repeat(np.arange(10, dtype=np.uint8).reshape(2, 5), 8, axis=0).repeat(8, axis=1)


def image(size=64):
    ramp = np.linspace(0, 255, size)
    return np.stack([ramp[:, None] + 0 * ramp, ramp + 0 * ramp[:, None], np.full((size, size), 90)], -1).astype(
        np.uint8
    )


@pytest.fixture
def root(tmp_path):
    for identifier in (0, 1999, 2000):
        celebamask_hq.write_item(tmp_path, identifier, image(), EVERY_CLASS)
    celebamask_hq.write_mapping(tmp_path, {0: "train", 1999: "val", 2000: "test", 2001: "train"})
    return tmp_path


def paint(folder, part, where, identifier=7):
    Image.fromarray(where.astype(np.uint8) * 255).save(folder / f"{identifier:05d}_{part}.png")


def test_items_come_back_with_their_split(root):
    items = celebamask_hq.read_items(root)
    assert [(item.id, item.split) for item in items] == [(0, "train"), (1999, "val"), (2000, "test")]
    for item in items:
        assert_array_equal(celebamask_hq.read_mask(item), EVERY_CLASS)
        assert_allclose(celebamask_hq.read_image(item).astype(float), image(), atol=8)


def test_layout_is_the_public_one(root):
    assert (root / "CelebA-HQ-img" / "1999.jpg").is_file()
    assert (root / "CelebAMask-HQ-mask-anno" / "0" / "01999_l_brow.png").is_file()
    assert (root / "CelebAMask-HQ-mask-anno" / "1" / "02000_skin.png").is_file()
    assert (root / "CelebA-HQ-to-CelebA-mapping.txt").read_text().split()[:3] == ["idx", "orig_idx", "orig_file"]


@pytest.mark.parametrize(
    ("celeba_id", "split"), [(0, "train"), (162770, "train"), (162771, "val"), (182637, "val"), (182638, "test")]
)
def test_split_thresholds(celeba_id, split):
    assert celebamask_hq.split_of(celeba_id) == split


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("skin", "skin"),
        ("l_brow", "left_brow"),
        ("r_eye", "right_eye"),
        ("nose", "nose"),
        ("mouth", "mouth"),
        ("u_lip", "upper_lip"),
        ("l_lip", "lower_lip"),
        ("eye_g", "skin"),
        ("hair", "background"),
        ("hat", "background"),
        ("cloth", "background"),
        ("neck", "background"),
        ("r_ear", "background"),
    ],
)
def test_part_becomes_class(tmp_path, part, name):
    where = np.zeros((6, 6), bool)
    where[2:4, 1:5] = True
    paint(tmp_path, part, where)
    mask = celebamask_hq.read_mask(Item(7, "train", tmp_path / "7.jpg", tmp_path))
    assert_array_equal(mask, where * CLASSES.index(name))


def test_later_parts_are_painted_over_earlier_ones(tmp_path):
    everywhere = np.ones((4, 4), bool)
    left = everywhere & (np.arange(4) < 2)
    paint(tmp_path, "skin", everywhere)
    paint(tmp_path, "l_eye", left)
    paint(tmp_path, "hair", left & (np.arange(4)[:, None] == 0))
    paint(tmp_path, "eye_g", left & (np.arange(4)[:, None] == 3))
    mask = celebamask_hq.read_mask(Item(7, "train", tmp_path / "7.jpg", tmp_path))
    assert mask[:, 0].tolist() == [0, 4, 4, 4]  # eyes are seen through glasses
    assert mask[:, 3].tolist() == [1, 1, 1, 1]


def test_anything_but_zero_belongs_to_the_part(tmp_path):
    Image.fromarray(np.array([[0, 1, 128, 255]], np.uint8)).save(tmp_path / "00007_nose.png")
    Image.fromarray(np.array([[0, 9, 9, 0]], np.uint8)).convert("RGB").save(tmp_path / "00007_mouth.png")
    mask = celebamask_hq.read_mask(Item(7, "train", tmp_path / "7.jpg", tmp_path))
    assert mask.tolist() == [[0, 7, 7, 6]]


def test_sides_can_be_swapped(root):
    item = celebamask_hq.read_items(root)[0]
    assert_array_equal(celebamask_hq.read_mask(item, swap_sides=True), np.array(MIRRORED_CLASS)[EVERY_CLASS])


def test_image_and_mask_are_resized_alike(root):
    item = celebamask_hq.read_items(root)[0]
    mask = celebamask_hq.read_mask(item, 20)
    assert mask.shape == (20, 20)
    assert set(np.unique(mask)) == set(range(10))
    assert_array_equal(mask[::10, ::4], np.arange(10).reshape(2, 5))
    small = celebamask_hq.read_image(item, 32).astype(float)
    assert_allclose(small, image().reshape(32, 2, 32, 2, 3).mean((1, 3)), atol=8)


def test_missing_images_are_passed_over_unless_all_are(root):
    (root / "CelebA-HQ-img" / "1999.jpg").unlink()
    assert [item.id for item in celebamask_hq.read_items(root)] == [0, 2000]
    for path in (root / "CelebA-HQ-img").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="not one of the 4 images"):
        celebamask_hq.read_items(root)


def test_broken_masks_are_refused(root):
    first, second, third = celebamask_hq.read_items(root)
    path = first.mask_file("nose")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"00000_nose\.png: not a readable image"):
        celebamask_hq.read_mask(first)
    Image.fromarray(np.ones((3, 3), np.uint8)).save(second.mask_file("hat"))
    with pytest.raises(DataError, match=r"01999_hat\.png: expected \(16, 40\) pixels"):
        celebamask_hq.read_mask(second)
    for path in third.mask_folder.glob("02000_*.png"):
        path.unlink()
    with pytest.raises(DataError, match="no mask of image 2000"):
        celebamask_hq.read_mask(third)


@pytest.mark.parametrize(("line", "message"), [("0 x y", "line 6: expected"), ("0 5 5.jpg", "id 0 comes twice")])
def test_broken_mapping_is_refused(root, line, message):
    (root / "CelebA-HQ-to-CelebA-mapping.txt").open("a").write(line + "\n")
    with pytest.raises(DataError, match=message):
        celebamask_hq.read_items(root)


def test_wrong_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"mapping\.txt: no such file; is .* the folder of CelebAMask-HQ"):
        celebamask_hq.read_items(tmp_path)


RIGHT, LEFT = slice(25, 33), slice(5, 12)


def face(left_columns, right_columns):
    """A mask with nothing but brows and eyes, those of the person's left and right in these columns of the image."""
    mask = np.ones((16, 40), np.uint8)
    for part, rows in (("brow", slice(2, 4)), ("eye", slice(6, 9))):
        mask[rows, left_columns] = CLASSES.index(f"left_{part}")
        mask[rows, right_columns] = CLASSES.index(f"right_{part}")
    return mask


@pytest.mark.parametrize(
    ("mirrored", "swap", "remedy"), [(1, False, None), (1, True, "false"), (2, False, "true"), (2, True, None)]
)
def test_sides_are_checked_against_the_image(tmp_path, mirrored, swap, remedy):
    for identifier in range(3):
        mask = face(LEFT, RIGHT) if identifier < mirrored else face(RIGHT, LEFT)
        celebamask_hq.write_item(tmp_path, identifier, image(), mask)
    celebamask_hq.write_mapping(tmp_path, dict.fromkeys(range(3), "train"))
    found = celebamask_hq.check_sides(celebamask_hq.read_items(tmp_path), swap, tmp_path)
    if remedy is None:
        assert found is None
    else:
        assert "in 2 of 3 images" in found
        assert found.endswith(f"set datasets.celebamask_hq.swap_sides: {remedy}")


def test_faces_without_brows_and_eyes_tell_nothing_about_sides(tmp_path):
    celebamask_hq.write_item(tmp_path, 0, image(), np.ones((8, 8), np.uint8))
    celebamask_hq.write_mapping(tmp_path, {0: "train"})
    assert celebamask_hq.check_sides(celebamask_hq.read_items(tmp_path), False, tmp_path) is None


def test_a_mask_that_announces_too_many_pixels_is_refused(tmp_path):
    Image.new("1", (10000, 2000)).save(tmp_path / "00007_nose.png")
    with pytest.raises(DataError, match=r"nose\.png: expected 512 x 512 pixels, found 10000 x 2000"):
        celebamask_hq.read_mask(Item(7, "train", tmp_path / "7.jpg", tmp_path))


def test_other_formats_and_folders_are_no_masks(tmp_path):
    Image.new("L", (4, 4), 1).save(tmp_path / "a.bmp")
    (tmp_path / "a.bmp").rename(tmp_path / "00007_nose.png")
    (tmp_path / "00008_nose.png").mkdir()
    for identifier, message in ((7, "not a readable image"), (8, "no regular file")):
        with pytest.raises(DataError, match=message):
            celebamask_hq.read_mask(Item(identifier, "train", tmp_path / "7.jpg", tmp_path))


def test_a_huge_mapping_is_refused_unread(root):
    with (root / "CelebA-HQ-to-CelebA-mapping.txt").open("r+b") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(DataError, match="expected a text of 8192 KiB at the most"):
        celebamask_hq.read_items(root)


def test_damaged_masks_are_one_kind_of_error(tmp_path):
    where = np.random.default_rng(0).random((24, 24)) < 0.5
    item = Item(7, "train", tmp_path / "7.jpg", tmp_path)
    for mode in ("L", "P", "RGB"):
        Image.fromarray(where.astype(np.uint8) * 255).convert(mode).save(tmp_path / "mask.png")
        content = (tmp_path / "mask.png").read_bytes()
        contents = itertools.chain(truncations(content, step=4), flips(content, 600))
        tried, whole = read_all(lambda _: celebamask_hq.read_mask(item), item.mask_file("nose"), contents)
        assert whole < tried / 2


def test_damaged_mappings_are_one_kind_of_error(root):
    def read(_):
        items = celebamask_hq.read_items(root)
        assert {item.id for item in items} <= {0, 1999, 2000}
        assert all(item.image.parent == root / "CelebA-HQ-img" for item in items)

    path = root / "CelebA-HQ-to-CelebA-mapping.txt"
    content = path.read_bytes()
    tried, whole = read_all(read, path, itertools.chain(truncations(content), flips(content, 2000)))
    assert 0 < whole < tried - 500
