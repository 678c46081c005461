"""Colour of skin from its chromophores: melanin in the epidermis, haemoglobin in the dermis.

Source: the biophysical model of Krishnaswamy and Baranoski 2004 in its simplest form: the epidermis absorbs on the way
in and out (melanin: Jacques 1998, 6.6e11 l^-3.33 per cm; baseline: 0.244 + 85.3 exp(-(l - 154)/66.2) per cm), the
dermis scatters back (diffuse reflectance: Jensen et al. 2001, eq. 15; scattering: Jacques 2013, 46 (l/500)^-1.42 per
cm). Haemoglobin: Prahl 1999, molar extinction. Colour matching functions: Wyman et al. 2013; white: CIE D65.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from dfmvr.colour import encode_srgb

_WAVELENGTHS = np.arange(400.0, 701.0, 10.0)  # nm
# cm^-1 / (mol/l), Prahl 1999, at a selection of wavelengths
_NM = (*range(400, 461, 10), *range(480, 521, 20), *range(530, 571, 10), 576, 580, 590, *range(600, 701, 20))
_OXY = (266232, 466840, 480360, 246072, 102580, 62816, 44480, 26629, 20933, 24202, 39957, 53236, 43016, 32613, 44496)
_OXY += (55540, 50104, 14401, 3200, 942, 442, 320, 278, 290)
_DEOXY = (223296, 303956, 407560, 528600, 413280, 103292, 23389, 14550, 20862, 31590, 39036, 46592, 53412, 53788, 45072)
_DEOXY += (39640, 37020, 28324, 14677, 6510, 4345, 3227, 2408, 1794)
# CIE D65, every 20 nm
_D65 = (82.75, 93.43, 104.86, 117.81, 115.92, 109.35, 104.79, 104.41, 100.0, 95.79, 90.01, 87.70, 83.70, 80.21, 78.28)
_D65 += (71.61,)

_XYZ_TO_RGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])

# ASSUME: thickness of the epidermis, mean factor of the path through it for diffuse light, oxygenation of the blood.
_EPIDERMIS_CM, _PATH, _OXYGENATION = 0.006, 2.0, 0.75
# ASSUME: what the surface reflects before any pigment (index 1.4, roughly 3 % for diffuse light); without it dark skin
# would be a saturated red brown that nobody has.
_SURFACE = 0.035
_HAEMOGLOBIN_G_PER_L, _GRAM_PER_MOL = 150.0, 64500.0

MELANIN = np.geomspace(0.005, 0.6, 40)
"""Grid of volume fractions of melanin in the epidermis: 0.01 is very fair skin, 0.4 very dark."""
BLOOD = np.geomspace(0.002, 0.3, 24)
"""Grid of volume fractions of blood in the dermis: 0.01 to 0.03 in skin, more in lips."""


def _lobe(x: np.ndarray, peak: float, left: float, right: float) -> np.ndarray:
    return np.exp(-0.5 * ((x - peak) * np.where(x < peak, left, right)) ** 2)


def _matching_functions(x: np.ndarray) -> np.ndarray:
    """CIE 1931 colour matching functions (3, N) at wavelengths x (N,) nm (Wyman et al. 2013)."""
    red = 0.362 * _lobe(x, 442.0, 0.0624, 0.0374) + 1.056 * _lobe(x, 599.8, 0.0264, 0.0323)
    red -= 0.065 * _lobe(x, 501.1, 0.0490, 0.0382)
    green = 0.821 * _lobe(x, 568.8, 0.0213, 0.0247) + 0.286 * _lobe(x, 530.9, 0.0613, 0.0322)
    blue = 1.217 * _lobe(x, 437.0, 0.0845, 0.0278) + 0.681 * _lobe(x, 459.0, 0.0385, 0.0725)
    return np.stack((red, green, blue))


def reflectance(melanin: np.ndarray, blood: np.ndarray) -> np.ndarray:
    """Diffuse reflectance of skin.

    Args:
        melanin, blood: volume fractions, of shapes that broadcast.
    Returns:
        (..., 31) from 0 to 1, at 400, 410, ... 700 nm.
    """
    x = _WAVELENGTHS
    baseline = 0.244 + 85.3 * np.exp(-(x - 154) / 66.2)
    melanin, blood = np.asarray(melanin)[..., None], np.asarray(blood)[..., None]
    epidermis = melanin * 6.6e11 * x**-3.33 + (1 - melanin) * baseline
    molar = _OXYGENATION * np.interp(x, _NM, _OXY) + (1 - _OXYGENATION) * np.interp(x, _NM, _DEOXY)
    dermis = blood * np.log(10) * molar * _HAEMOGLOBIN_G_PER_L / _GRAM_PER_MOL + (1 - blood) * baseline
    scattering = 46.0 * (x / 500) ** -1.42
    albedo = scattering / (scattering + dermis)
    depth = np.sqrt(3 * (1 - albedo))
    boundary = 3.25  # (1 + F_dr) / (1 - F_dr) for index 1.4
    back = albedo / 2 * (1 + np.exp(-4 / 3 * boundary * depth)) * np.exp(-depth)
    return _SURFACE + (1 - _SURFACE) * np.exp(-2 * _PATH * _EPIDERMIS_CM * epidermis) * back


def spectrum_to_srgb(spectrum: np.ndarray) -> np.ndarray:
    """Displayed colour (..., 3) in [0, 1] of reflectances (..., 31) under D65, white being 1."""
    white = np.interp(_WAVELENGTHS, np.arange(400, 701, 20), _D65)
    weights = _matching_functions(_WAVELENGTHS) * white
    weights /= weights[1].sum()
    return encode_srgb(np.clip(spectrum @ weights.T @ _XYZ_TO_RGB.T, 0, 1))


def skin_lookup() -> RegularGridInterpolator:
    """Table from (log melanin, log blood) to displayed colour (3,), for many vertices at once."""
    table = spectrum_to_srgb(reflectance(MELANIN[:, None], BLOOD[None, :]))
    grid = (np.log(MELANIN), np.log(BLOOD))
    return RegularGridInterpolator(grid, table, bounds_error=False, fill_value=None)
