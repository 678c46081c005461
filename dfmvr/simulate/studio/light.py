"""Light on skin: coloured sources with soft shadows, a sky of spherical harmonics, gloss.

Everything is linear RGB; 1 is the light that a white matt surface facing the mean source sends back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Light(NamedTuple):
    """The light in a room, in the frame of the person (z is where the face looks)."""

    directions: np.ndarray  # (L, 3) unit vectors toward the sources; the first casts the shadows
    colours: np.ndarray  # (L, 3)
    sky: np.ndarray  # (4, 3): constant and x, y, z slope of the ambient light

    def seen_from(self, turn: np.ndarray) -> Light:
        """Light of a room in the frame of a person; `turn` (3, 3) leads from that to the room's."""
        sky = np.concatenate((self.sky[:1], turn.T @ self.sky[1:]), dtype=np.float32)
        return Light((self.directions @ turn).astype(np.float32), self.colours, sky)


GLOSS, SHARPNESS, SOFTNESS, PAINT_SIZE = 3, 4, slice(5, 8), 8
"""Columns of paint, which is how a surface answers to light: (N, 8) linear albedo, strength of the mirror part, its
Blinn-Phong exponent, and how far light wraps round the terminator, for each colour."""


def draw_light(rng: np.random.Generator) -> Light:
    """Draw the light of a room: a main source, often a second, sometimes a rim light, and the ambient."""
    directions = [_direction(rng, azimuth_deg=45, elevation_deg=(-5, 60))]
    warmth = rng.normal(0, 1)
    colours = [_tint(warmth, rng) * 1.0]
    if rng.uniform() < 0.7:
        directions.append(_direction(rng, azimuth_deg=70, elevation_deg=(-20, 60)))
        colours.append(_tint(warmth + rng.normal(0, 1.0), rng) * rng.uniform(0.05, 0.8))
    if rng.uniform() < 0.25:
        side = rng.choice([-1, 1]) * rng.uniform(110, 160)
        directions.append(direction_of(side, rng.uniform(0, 50)))
        colours.append(_tint(rng.normal(0, 1.5), rng) * rng.uniform(0.3, 1.5))
    ambient = rng.uniform(0.15, 1.2) * _tint(warmth + rng.normal(0, 0.8), rng)
    slope = rng.normal([0, 0.25, 0.1], 0.25)
    sky = np.concatenate((ambient[None], slope[:, None] * ambient * (1 + rng.normal(0, 0.2, size=(3, 3)))))
    return Light(np.stack(directions).astype(np.float32), np.stack(colours).astype(np.float32), sky.astype(np.float32))


def direction_of(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """Unit vector at an azimuth from +z toward +x and an elevation toward +y."""
    a, e = np.radians([azimuth_deg, elevation_deg])
    return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])


def _direction(rng: np.random.Generator, azimuth_deg: float, elevation_deg: tuple[float, float]) -> np.ndarray:
    """A direction whose azimuth has the given standard deviation (cut at two of them)."""
    azimuth = np.clip(rng.normal(0, azimuth_deg), -2 * azimuth_deg, 2 * azimuth_deg)
    return direction_of(azimuth, rng.uniform(*elevation_deg))


def _tint(warmth: float, rng: np.random.Generator) -> np.ndarray:
    """Colour of a lamp: positive warmth is orange, negative blue; luminance about 1."""
    colour = np.exp(0.09 * warmth * np.array([1.0, 0.1, -1.1]) + rng.normal(0, 0.02, size=3))
    return colour / (colour @ [0.3, 0.6, 0.1])


def shade(
    light: Light, paint: np.ndarray, normals: np.ndarray, to_camera: np.ndarray, lit: np.ndarray, openness: np.ndarray
) -> np.ndarray:
    """Light that comes from the surface toward the camera.

    Args:
        light: the sources.
        paint: (N, 8) of the surface, see PAINT_SIZE.
        normals, to_camera: (N, 3) unit vectors in the person's frame.
        lit: (N,) share of the first source that arrives (0 in its shadow).
        openness: (N,) share of the sky that the point sees.
    Returns:
        (N, 3) float32 linear RGB.
    Source: wrapped Lambert (Green 2004, "Real-time approximations to subsurface scattering"), normalised Blinn-Phong.
    """
    # a row a colour or axis: numpy computes rows of N several times faster than rows of three
    paint, normals, to_camera = (np.ascontiguousarray(value.T) for value in (paint, normals, to_camera))
    albedo, gloss, sharpness, softness = paint[:3], paint[GLOSS], paint[SHARPNESS], paint[SOFTNESS]
    ambient = light.sky[0][:, None]
    matt = np.maximum(ambient + light.sky[1:].T @ normals, 0.03 * ambient) * openness
    mirror = np.zeros_like(matt)
    spread, height = (1 + softness) ** 2, (sharpness + 8) / 25
    for number, (direction, colour) in enumerate(zip(light.directions, light.colours[..., None], strict=True)):
        cosine = direction @ normals
        arrives = lit if number == 0 else np.sqrt(openness)
        matt += np.maximum((cosine + softness) / spread, 0) * arrives * colour
        half = to_camera + direction[:, None]
        half /= np.sqrt((half * half).sum(0)) + 1e-6
        peak = np.maximum((normals * half).sum(0), 0) ** sharpness * height
        fresnel = 0.04 + 0.96 * (1 - np.clip((to_camera * half).sum(0), 0, 1)) ** 5
        mirror += gloss * peak * fresnel * np.maximum(cosine, 0) * arrives * colour
    return np.ascontiguousarray((albedo * matt + mirror).T, np.float32)


def mean_light(light: Light) -> np.ndarray:
    """(3,) light that a matt white sphere facing the camera receives on average, to set the exposure by."""
    grid = np.stack([direction_of(a, e) for a in (-60, -30, 0, 30, 60) for e in (-45, 0, 45)]).astype(np.float32)
    matt = np.maximum(light.sky[0] + grid @ light.sky[1:], 0)
    for direction, colour in zip(light.directions, light.colours, strict=True):
        matt += np.maximum(grid @ direction, 0)[:, None] * colour
    return matt.mean(0)
