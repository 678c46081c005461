"""Displayed colours: the transfer curve of sRGB (IEC 61966-2-1), grey, and colours as the web writes them."""

from __future__ import annotations

import numpy as np

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey value, ITU-R BT.601."""


def from_hex(colours: str) -> np.ndarray:
    """N displayed colours (N, 3) in [0, 1], written as `rrggbb rrggbb ...`."""
    return np.array([tuple(bytes.fromhex(colour)) for colour in colours.split()]) / 255


def encode_srgb(linear: np.ndarray) -> np.ndarray:
    """Encode linear light, 0 to 1, for display; what lies outside is not clipped."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)


def decode_srgb(encoded: np.ndarray) -> np.ndarray:
    """Turn display values into linear light; inverse of `encode_srgb`."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((np.maximum(encoded, 0) + 0.055) / 1.055) ** 2.4)
