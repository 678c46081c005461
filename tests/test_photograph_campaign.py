"""One photograph stored in some three hundred ways: the answer is that for the plain file, or one line of error."""

import hashlib
import itertools
from functools import cache

import numpy as np
import pytest
from icc_profiles import as_black_ink, decode, from_srgb, grey_profile, ink_profile, rgb_profile
from PIL import Image
from real_photographs import hopper

from dfmvr.align.find import find_faces
from dfmvr.datasets.images import read_photograph
from dfmvr.errors import DataError

PX = (250, 300)
BACK = dict(
    zip(
        range(1, 9),
        (
            *(None, Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM),
            *(Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE),
            Image.Transpose.ROTATE_270,
        ),
        strict=True,
    )
)
"""What makes of an upright picture the one that is stored with an orientation; by the EXIF standard."""

FORMATS = {
    "png": {},
    "tif": {},
    "webp": {"lossless": True, "exact": True},
    "jpg": {"quality": 92},
    "jpg, progressive": {"quality": 92, "progressive": True},
    "heic": {"quality": 90},
    "avif": {"quality": 90},
}
PLAIN_FORMATS = {
    "tif, packed": {"compression": "tiff_lzw"},
    "bmp": {},
    "ppm": {},
    "gif": {},
    "tga": {},
    "jp2": {"irreversible": False},
}
"""Formats that tell no orientation, or cannot be written with one here."""

NAMES = {"own suffix": "{0}", "upper case": "{1}", "another's suffix": "{2}", "no suffix": ""}
LOSSY = {"jpg": 4.0, "jpg, progressive": 4.0, "heic": 3.0, "avif": 3.0, "gif": 6.0}
"""Levels of 255 by which a format changes this picture, on average."""

GAMMA = 461 / 256
"""Of greys, as a profile can say it."""

LEAST_SHIFT = 0.02
"""By this part of the face's size the landmarks may differ: they are found in a slightly other picture."""


@cache
def plain():
    """The picture, (H, W, 3) uint8."""
    return np.array(Image.fromarray(hopper()).resize(PX, Image.Resampling.LANCZOS))


@cache
def _faces_of(digest, shape):
    pixels = np.frombuffer(_pixels[digest], np.uint8).reshape(shape)
    return [face.landmarks for face in find_faces(pixels, "own", upright=True)]


_pixels = {}


def landmarks_of(pixels):
    """Those of the largest face; the same picture is looked at once."""
    content = np.ascontiguousarray(pixels).tobytes()
    digest = hashlib.sha256(content).hexdigest()
    _pixels[digest] = content
    return _faces_of(digest, pixels.shape)[0]


def store(path, picture, kind, orientation=1, **more):
    """Write a picture as a camera that was held in some way would."""
    suffix = kind.partition(",")[0]
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "camera", orientation
    exif.get_ifd(0x8769)[0xA405] = 26
    turned = picture if BACK[orientation] is None else picture.transpose(BACK[orientation])
    options = FORMATS[kind] | {"exif": exif.tobytes()} if kind in FORMATS else PLAIN_FORMATS[kind]
    if suffix == "heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    form = {"jpg": "JPEG", "tif": "TIFF", "heic": "HEIF", "jp2": "JPEG2000", "ppm": "PPM"}.get(suffix, suffix.upper())
    turned.save(path, form, **options, **more)
    return path


def name_of(how, kind):
    suffix = kind.partition(",")[0]
    end = NAMES[how].format(suffix, suffix.upper(), "jpg" if suffix != "jpg" else "png")
    return f"photo.{end}" if end else "photo"


def check(path, expected, tolerance=0.0, focal=True):
    """The photograph is as expected, to a mean difference of levels, and so are its landmarks."""
    found = read_photograph(path)
    assert found.pixels.shape == expected.shape
    assert found.size == expected.shape[:2]
    assert np.abs(found.pixels.astype(int) - expected).mean() <= tolerance
    size = np.ptp(landmarks_of(expected), axis=0).max()
    off = np.linalg.norm(landmarks_of(found.pixels) - landmarks_of(expected), axis=1).mean()
    assert off <= LEAST_SHIFT * size
    assert found.focal_px == (pytest.approx(26 * np.hypot(*PX) / 43.2666, rel=1e-4) if focal else None)
    return found


def attempt(path):
    """The photograph, or the one line that says why not."""
    try:
        return read_photograph(path), ""
    except DataError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
        return None, str(error)


@pytest.mark.parametrize("orientation", BACK)
@pytest.mark.parametrize("kind", FORMATS)
def test_held_in_any_way_and_called_anything(kind, orientation, tmp_path):
    """7 formats, 8 orientations, 4 names: 224."""
    for how in NAMES:
        path = store(tmp_path / name_of(how, kind), Image.fromarray(plain()), kind, orientation)
        assert check(path, plain(), LOSSY.get(kind, 0)).doubts == ()


@pytest.mark.parametrize("kind", PLAIN_FORMATS)
def test_formats_without_orientation(kind, tmp_path):
    for how in NAMES:
        path = tmp_path / name_of(how, kind)
        if kind == "tga" and how != "own suffix":
            continue  # Targa has no mark of its own by which a content could be known
        check(store(path, Image.fromarray(plain()), kind), plain(), LOSSY.get(kind, 0), focal=False)


def grey():
    return np.array(Image.fromarray(plain()).convert("L"))


def modes():
    """Pictures of every mode, and what they show: {name: (picture, (H, W, 3))}."""
    colour, level = Image.fromarray(plain()), grey()
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, PX[0]).astype(np.uint8), (PX[1], 1)))
    palette = colour.quantize(200)
    shown = np.repeat(level[..., None], 3, -1)
    ink = np.dstack([255 - plain(), np.zeros_like(level)])
    return {
        "grey": (Image.fromarray(level), shown),
        "grey, alpha": (Image.merge("LA", (Image.fromarray(level), alpha)), shown),
        "alpha": (Image.merge("RGBA", (*colour.split(), alpha)), plain()),
        "palette": (palette, np.array(palette.convert("RGB"))),
        "inks": (Image.fromarray(ink, "CMYK"), plain()),
        "16 bit": (Image.fromarray(level.astype(np.uint16) * 257), shown),
        "32 bit": (Image.fromarray(level.astype(np.int32)), shown),
        "float": (Image.fromarray(level / np.float32(255)), shown),
        "black and white": (Image.fromarray(level).convert("1"), None),
    }


HOLDS = {
    "png": ("grey", "grey, alpha", "alpha", "palette", "16 bit", "black and white"),
    "tif": ("grey", "grey, alpha", "alpha", "palette", "inks", "16 bit", "32 bit", "float", "black and white"),
    "webp": ("grey", "alpha"),
    "jpg": ("grey", "inks"),
    "jpg, progressive": ("grey", "inks"),
    "heic": ("grey", "alpha", "16 bit"),
    "avif": ("grey", "alpha"),
}


@pytest.mark.parametrize("orientation", [1, 6, 7])
@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, held in HOLDS.items() for mode in held])
def test_of_any_mode(kind, mode, orientation, tmp_path):
    """26 kinds, 3 orientations: 78."""
    picture, shown = modes()[mode]
    path = store(tmp_path / f"a.{kind.partition(',')[0]}", picture, kind, orientation)
    found, said = attempt(path)
    if found is None:
        assert mode in ("16 bit", "32 bit", "float")
        assert "expected 8 bits a channel" in said
        return
    assert mode != "float"
    assert ("without a profile" in " ".join(found.doubts)) == (mode == "inks")
    if shown is not None:
        check(path, shown, LOSSY.get(kind, 0.5))


PROFILES = {
    "srgb": lambda: (plain(), rgb_profile("srgb")),
    "adobe rgb": lambda: (from_srgb(plain(), "adobe rgb"), rgb_profile("adobe rgb")),
    "display p3": lambda: (from_srgb(plain(), "display p3"), rgb_profile("display p3")),
    "prophoto": lambda: (from_srgb(plain(), "prophoto"), rgb_profile("prophoto")),
    "damaged": lambda: (plain(), rgb_profile("display p3")[:150]),
    "of inks": lambda: (plain(), ink_profile()),
    "of greys": lambda: (plain(), grey_profile(2.2)),
}


@pytest.mark.parametrize("orientation", [1, 8])
@pytest.mark.parametrize("kind", FORMATS)
def test_with_any_profile(kind, orientation, tmp_path):
    """7 profiles, 7 formats, 2 orientations: 98, less the damaged ones that the writers refuse."""
    for name, make in PROFILES.items():
        pixels, profile = make()
        try:
            path = store(tmp_path / "a.jpg", Image.fromarray(pixels), kind, orientation, icc_profile=profile)
        except (OSError, ValueError, RuntimeError):
            assert name == "damaged"
            continue
        wider = 2.0 if name == "prophoto" else 1.3  # a step of a level is a larger one in sRGB
        found = check(path, plain(), 1 + wider * LOSSY.get(kind, 0))
        if name in ("of inks", "of greys"):
            assert "its colour profile is one of" in " ".join(found.doubts)


@pytest.mark.parametrize("orientation", [1, 6])
def test_inks_and_greys_with_their_profiles(orientation, tmp_path):
    level, black = grey(), as_black_ink(grey())
    inks = Image.fromarray(np.dstack([np.zeros((*black.shape, 3), np.uint8), black]), "CMYK")
    shown = np.repeat(level[..., None], 3, -1)
    for kind in ("tif", "jpg", "jpg, progressive"):
        check(store(tmp_path / "a", inks, kind, orientation, icc_profile=ink_profile()), shown, 1 + LOSSY.get(kind, 0))
    stored = Image.fromarray(np.round(255 * decode(level / 255) ** (1 / GAMMA)).astype(np.uint8))
    for kind in ("png", "jpg"):
        path = store(tmp_path / "b", stored, kind, orientation, icc_profile=grey_profile(GAMMA))
        check(path, shown, 1.5 + LOSSY.get(kind, 0))


@pytest.mark.parametrize("kind", [*FORMATS, *PLAIN_FORMATS])
def test_cut_short_it_is_refused_or_whole(kind, tmp_path):
    """13 formats, 7 lengths: 91."""
    path = store(tmp_path / "a.jpg" if kind != "tga" else tmp_path / "a.tga", Image.fromarray(plain()), kind)
    content, whole = path.read_bytes(), read_photograph(path).pixels
    for share in (0, 0.001, 0.02, 0.3, 0.6, 0.9, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        found, said = attempt(path)
        if found is None:
            assert said.startswith(str(path))
        else:
            assert np.array_equal(found.pixels, whole), f"{share} of the file"


@pytest.mark.parametrize("kind", ["png", "tif", "webp", "jpg", "jpg, progressive", "heic"])
@pytest.mark.parametrize("times", [2, 4])
def test_of_any_size(kind, times, tmp_path):
    """More pixels than are wanted: read in the size of the plain file, with the places that its pixels have."""
    large = Image.fromarray(plain()).resize((times * PX[0], times * PX[1]), Image.Resampling.BICUBIC)
    for orientation in (1, 6, 3):
        found = read_photograph(store(tmp_path / "a", large, kind, orientation), most=PX[0] * PX[1])
        assert (found.reduced, found.size) == (times, (times * PX[1], times * PX[0]))
        assert found.pixels.shape == plain().shape
        size = np.ptp(landmarks_of(plain()), axis=0).max()
        off = np.linalg.norm(landmarks_of(found.pixels) - landmarks_of(plain()), axis=1).mean()
        assert off < LEAST_SHIFT * size
        assert found.focal_px == pytest.approx(times * 26 * np.hypot(*PX) / 43.2666, rel=1e-4)


def test_there_are_more_than_two_hundred():
    kinds = itertools.product(FORMATS, BACK, NAMES)
    assert len(list(kinds)) + 3 * sum(map(len, HOLDS.values())) > 300
