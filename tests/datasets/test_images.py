import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pillow_heif
import pytest
from damage import flips, read_all, truncations
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from PIL import Image

from dfmvr.datasets.images import read_image, read_image_size, read_photograph, write_image
from dfmvr.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def png(width, height, pixels=b"\0" * 99):
    """A PNG whose header says what it likes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    shape = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", shape) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["png", "bmp"]), st.integers(0, 99))
def test_png_and_bmp_come_back_to_the_bit(tmp_path_factory, height, width, suffix, seed):
    path = tmp_path_factory.getbasetemp() / f"image.{suffix}"
    write_image(path, noise(height, width, seed))
    assert_array_equal(read_image(path), noise(height, width, seed))
    assert read_image_size(path) == (height, width)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_that_of_the_image_turned_upright(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(noise(6, 9)).save(tmp_path / "a.jpg", exif=exif)
    assert read_image_size(tmp_path / "a.jpg") == read_image(tmp_path / "a.jpg").shape[:2]


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((50_000, 50_000), "100 megapixels at the most, the header promises more"),
        ((12_000, 10_000), "12000 x 10000 pixels, expected 100 megapixels at the most"),
        ((9_000, 9_000), "bytes cannot hold 9000 x 9000 pixels"),
        ((40, 40), "truncated"),
    ],
)
def test_image_that_promises_too_much_is_refused(size, message, tmp_path):
    (tmp_path / "a.png").write_bytes(png(*size))
    with pytest.raises(DataError, match=message):
        read_image(tmp_path / "a.png")


def test_promises_cost_no_memory(tmp_path):
    for width, height in ((50_000, 50_000), (12_000, 10_000), (9_000, 9_000)):
        (tmp_path / f"{width}.png").write_bytes(png(width, height))
    code = f"""
import pathlib, resource, sys, warnings
from dfmvr.datasets.images import read_image
warnings.simplefilter("ignore")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in pathlib.Path({str(tmp_path)!r}).iterdir():
    try:
        read_image(path)
    except ValueError:
        continue
    raise SystemExit("read")
unit = 1 if sys.platform == "darwin" else 1024
print(unit * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 20)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(result.stdout) < 64  # MiB, of the 243 that the smallest promises


def test_flat_image_packs_as_much_as_deflate_can_and_is_read(tmp_path):
    Image.new("1", (4096, 4096)).save(tmp_path / "flat.png", optimize=True)
    assert (tmp_path / "flat.png").stat().st_size < 4096 * 4096 / 5000
    assert read_image(tmp_path / "flat.png").shape == (4096, 4096, 3)


@pytest.mark.parametrize("suffix", ["png", "bmp", "jpg"])
def test_image_cut_anywhere_or_with_flipped_bytes_is_refused_or_read(suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    write_image(path, noise(12, 8))
    whole = path.read_bytes()
    # the last bytes of a PNG are checksums of pixels that are all there
    _, read = read_all(read_image, path, truncations(whole[:-20]))
    assert read == 0
    tried, _ = read_all(read_image, path, flips(whole, 700))
    assert tried == 700


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_large_photograph_is_read_in_a_smaller_size_in_place(suffix, orientation, tmp_path):
    """Squares of two or more pixels become one, however the file is turned and though its sides are odd."""
    plain = np.array(Image.fromarray(noise(9, 13)).resize((131, 91), Image.Resampling.BICUBIC))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0xA405] = 26
    Image.fromarray(plain).save(tmp_path / f"a.{suffix}", exif=exif, **({"quality": 98} if suffix == "jpg" else {}))
    whole = read_photograph(tmp_path / f"a.{suffix}")
    assert (whole.reduced, whole.doubts, whole.size) == (1, (), whole.pixels.shape[:2])
    for most, reduced in ((91 * 131, 1), (91 * 131 - 1, 2), (1000, 4)):
        found = read_photograph(tmp_path / f"a.{suffix}", most)
        height, width = (-(-side // reduced) for side in whole.size)
        assert (found.reduced, found.size, found.focal_px) == (reduced, whole.size, whole.focal_px)
        assert found.pixels.shape[:2] == (height, width)
        inside = [slice(1, side // reduced - 1) for side in whole.size]  # what sides are rounded to is at either end
        if orientation == 1:
            squares = np.array(Image.fromarray(whole.pixels).reduce(reduced))
            assert np.abs(found.pixels.astype(int) - squares)[tuple(inside)].mean() < (2.5 if suffix == "jpg" else 0.01)
        assert ("read in" in " ".join(found.doubts)) == (reduced > 1)


def test_a_photograph_of_108_megapixels_is_read_in_little_memory(tmp_path):
    """Of 412 MiB that its pixels take."""
    Image.new("RGB", (12_000, 9_000), (90, 70, 60)).save(tmp_path / "a.jpg", quality=50)
    code = f"""
import resource, sys, warnings
warnings.simplefilter("error")
from dfmvr.datasets.images import read_photograph
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = read_photograph({str(tmp_path / "a.jpg")!r})
assert found.pixels.shape == (4500, 6000, 3) and found.reduced == 2
unit = 1 if sys.platform == "darwin" else 1024
print(unit * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 20)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(result.stdout) < 350


def test_more_than_the_decoder_can_make_smaller_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(png(12_000, 10_000))
    with pytest.raises(DataError, match="expected 110 megapixels at the most"):
        read_photograph(tmp_path / "a.png")


def test_a_pipe_is_read_once(tmp_path):
    write_image(tmp_path / "a.png", noise(20, 30))
    code = "import sys; from dfmvr.datasets.images import read_photograph; "
    code += "print(read_photograph('/dev/stdin').pixels.sum(), file=sys.stdout)"
    command = f"cat '{tmp_path}/a.png' | '{sys.executable}' -c \"{code}\""
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert int(result.stdout) == noise(20, 30).sum()
    empty = subprocess.run(
        ["sh", "-c", f"'{sys.executable}' -c \"{code}\" < /dev/null"], capture_output=True, text=True
    )
    assert "/dev/stdin: not a readable image" in empty.stderr.splitlines()[-1]


def test_a_preview_in_a_raw_file_is_not_the_photograph(tmp_path):
    Image.fromarray(noise(12, 16)).save(tmp_path / "a.nef", "TIFF", tiffinfo={254: 1})
    with pytest.raises(DataError, match="raw file, or a preview alone"):
        read_photograph(tmp_path / "a.nef")


def test_a_colour_space_that_exif_data_alone_tell_is_said(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}  # DCF 2.0: Adobe RGB
    Image.fromarray(noise(12, 16)).save(tmp_path / "a.jpg", exif=exif)
    assert "Adobe RGB" in read_photograph(tmp_path / "a.jpg").doubts[0]


@pytest.mark.parametrize(("numbers", "said"), [((12, 13), "Display P3"), ((9, 16), "PQ"), ((1, 13), "")])
def test_a_colour_space_that_heic_tells_by_numbers_is_said(numbers, said, tmp_path):
    pillow_heif.register_heif_opener()
    told = dict(zip(("color_primaries", "transfer_characteristics"), numbers, strict=True))
    Image.fromarray(noise(64, 64)).save(tmp_path / "a.heic", **told)
    doubts = read_photograph(tmp_path / "a.heic").doubts
    assert (said in doubts[0] and "taken as sRGB" in doubts[0]) if said else doubts == ()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_of_16_bits_a_channel_the_upper_8_count(suffix, tmp_path):
    pixels = noise(30, 20)
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), pixels[..., ::-1].astype(np.uint16) * 257)
    assert_array_equal(read_image(tmp_path / f"a.{suffix}"), pixels)
