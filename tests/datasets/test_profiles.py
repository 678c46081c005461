"""Colours: what a profile says becomes sRGB."""

import numpy as np
import pytest
from icc_profiles import SPACES, as_black_ink, encode, from_srgb, grey_profile, ink_profile, rgb_profile, to_srgb
from numpy.testing import assert_array_equal
from PIL import Image

from dfmvr.datasets import profiles
from dfmvr.datasets.images import read_image, read_photograph


def colours(seed=0, height=40, width=60):
    """Blotches of colours, so that JPEG has them too."""
    small = np.random.default_rng(seed).integers(20, 236, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("name", [name for name in SPACES if name != "srgb"])
def test_colours_of_other_spaces_become_srgb(name, tmp_path):
    stored = from_srgb(colours(), name)
    Image.fromarray(stored).save(tmp_path / "a.png", icc_profile=rgb_profile(name))
    found = read_image(tmp_path / "a.png").astype(int)
    assert np.abs(found - colours()).mean() < 1
    assert np.abs(found - to_srgb(stored, name)).max() < 2
    assert np.abs(stored.astype(int) - colours()).mean() > 3
    assert read_photograph(tmp_path / "a.png").doubts == ()


@pytest.mark.parametrize("profile", [b"", rgb_profile("srgb")])
def test_pixels_of_srgb_are_left_to_the_bit(profile, tmp_path):
    Image.fromarray(colours()).save(tmp_path / "a.png", icc_profile=profile)
    assert_array_equal(read_image(tmp_path / "a.png"), colours())


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_inks_are_what_their_profile_says(suffix, tmp_path):
    grey = colours()[..., 0]
    inks = np.dstack([np.zeros((*grey.shape, 3), np.uint8), as_black_ink(grey)])
    options = {"quality": 100} if suffix == "jpg" else {}
    Image.fromarray(inks, "CMYK").save(tmp_path / f"a.{suffix}", icc_profile=ink_profile(), **options)
    found = read_image(tmp_path / f"a.{suffix}").astype(int)
    assert np.abs(found - grey[..., None]).mean() < 1.5
    Image.fromarray(inks, "CMYK").save(tmp_path / f"b.{suffix}", **options)
    assert "without a profile" in read_photograph(tmp_path / f"b.{suffix}").doubts[0]


def test_greys_with_a_gamma_become_srgb(tmp_path):
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    Image.fromarray(ramp).save(tmp_path / "a.png", icc_profile=grey_profile(1.75))
    right = 255 * encode((np.arange(256) / 255) ** 1.75)
    assert np.abs(read_image(tmp_path / "a.png")[0] - right[:, None]).max() < 2


@pytest.mark.parametrize(
    ("profile", "said"), [(b"nothing", "damaged"), (rgb_profile("adobe rgb")[:200], "damaged"), (ink_profile(), "CMYK")]
)
def test_a_profile_that_cannot_be_used_is_said_and_left_out(profile, said, tmp_path):
    Image.fromarray(colours()).save(tmp_path / "a.png", icc_profile=profile)
    assert_array_equal(read_image(tmp_path / "a.png"), colours())
    assert said in read_photograph(tmp_path / "a.png").doubts[0]


def test_strips_are_as_the_whole(tmp_path, monkeypatch):
    Image.fromarray(from_srgb(colours(), "adobe rgb")).save(tmp_path / "a.png", icc_profile=rgb_profile("adobe rgb"))
    whole, half = read_image(tmp_path / "a.png"), read_photograph(tmp_path / "a.png", most=1000).pixels
    monkeypatch.setattr(profiles, "STRIP_PIXELS", 200)
    assert_array_equal(read_image(tmp_path / "a.png"), whole)
    assert_array_equal(read_photograph(tmp_path / "a.png", most=1000).pixels, half)
    assert_array_equal(half, np.array(Image.fromarray(whole).reduce(2)))
