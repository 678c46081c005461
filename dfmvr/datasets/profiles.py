"""Colours of images: from the profile that a file brings along to sRGB.

Source: ICC.1:2010; the conversion itself is Little CMS's, by way of Pillow.
"""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image, ImageCms

UNSEEN = 3
"""ASSUME: a profile that moves no colour by more than this, of 255, is one of sRGB; the pixels are left as they are."""

STRIP_PIXELS = 1 << 22
"""So many pixels are converted at once, as each takes up to 12 bytes meanwhile."""

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""Pillow's names of the colour spaces that a profile can have."""

_PLAIN = {"1": "L", "L": "L", "LA": "L", "CMYK": "CMYK", "LAB": "LAB"}
"""The colour space of Pillow's modes; all others are or become RGB."""


def to_srgb(image: Image.Image, reduced: int = 1) -> tuple[Image.Image, str]:
    """An image in mode RGB with colours of sRGB; transparency is left out.

    Args:
        image: 8 bits a channel.
        reduced: squares of so many pixels each way become one, their mean.
    Returns:
        The image, and what is to be said of its colours; empty if nothing.
    """
    mode, transform, doubt = _conversion(image)
    if transform is None and reduced == 1:
        return image.convert("RGB"), doubt
    width, height = (-(-side // reduced) for side in image.size)
    result = Image.new("RGB", (width, height))
    rows = max(1, STRIP_PIXELS // (image.width * reduced))
    for top in range(0, height, rows):
        part = image.crop((0, top * reduced, image.width, min((top + rows) * reduced, image.height))).convert(mode)
        if transform is not None:
            part = ImageCms.applyTransform(part, transform)
        result.paste(part.reduce(reduced) if reduced > 1 else part, (0, top))
    return result, doubt


def _conversion(image: Image.Image) -> tuple[str, ImageCms.ImageCmsTransform | None, str]:
    """The mode in which an image is converted, how (None: as Pillow does), and what is to be said of it."""
    profile, space = image.info.get("icc_profile"), _PLAIN.get(image.mode, "RGB")
    if not profile:
        rough = "its colours are those of a printer (CMYK) without a profile, and rough"
        return "RGB", None, rough if space == "CMYK" else ""
    mode, transform = _transform(bytes(profile))
    if not mode:
        return "RGB", None, "its colour profile is damaged and not used"
    if mode != space and (mode, space) != ("RGB", "L"):
        return "RGB", None, f"its colour profile is one of {mode}, but the picture is {space}; not used"
    return (mode if transform is not None else "RGB"), transform, ""


@functools.lru_cache(8)
def _transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """The mode of the colours of a profile, empty if it cannot be used, and the way to sRGB, None if they are that."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES.get(opened.profile.xcolor_space.strip(), "")
        if not mode:
            return "", None
        relative, black = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(opened, srgb, mode, "RGB", renderingIntent=relative, flags=black)
        if mode in ("RGB", "L"):
            levels = np.linspace(0, 255, 18).round().astype(np.uint8)
            colours = np.stack(np.meshgrid(*(levels,) * len(mode), indexing="ij"), -1).reshape(1, -1, len(mode))
            before = Image.fromarray(colours if mode == "RGB" else colours[..., 0])
            after = np.asarray(ImageCms.applyTransform(before, transform), np.int16)
            if np.abs(after - np.asarray(before.convert("RGB"), np.int16)).max() <= UNSEEN:
                return mode, None
        return mode, transform
    except (ImageCms.PyCMSError, OSError, ValueError):
        return "", None
