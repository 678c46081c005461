"""Albedos of heads: skin tone, lips, brows, eyes, hair, beard, make-up, redness, moles and freckles.

Everything is drawn in pigments (see skin_colour) or displayed colour and mixed per vertex.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfmvr.colour import from_hex
from dfmvr.face_model.anny.parts import IRIS_MM, NECK, PUPIL_MM
from dfmvr.face_model.anny.skin_colour import skin_lookup

WAVES = 48
"""Number of smooth functions from which uneven skin tone is mixed."""

# ASSUME: colours as displayed (sRGB), of hair from black to white and of irises from dark brown to blue.
HAIR_COLOURS = from_hex("1c1816 2c211b 402e22 5c422c 886842 b09264 783c22 96928e")
IRIS_COLOURS = from_hex("342218 4e3220 684a2c 62623e 5c7670 627c94")
_MOUTH = from_hex("3a1818 984e4c 965450 a89882 a89882")
_SCLERA, _PUPIL = from_hex("c4bab2 0e0c0c")


class AlbedoMaps(NamedTuple):
    """Where on the head each colour goes; V vertices of the fine head."""

    labels: np.ndarray  # (V,) class ids of the head
    brow: np.ndarray  # (V,) from 0 to 1
    lips: np.ndarray  # (V,) from 0 to 1
    redness: np.ndarray  # (V,) cheeks, nose, ears: from 0 to 1
    beard: np.ndarray  # (V,) from 0 to 1
    shadow: np.ndarray  # (V,) dark rings below the eyes, from 0 to 1
    lid: np.ndarray  # (V,) upper lid, for make-up
    iris: np.ndarray  # (V,) mm from the eye's axis, infinite off the eyeballs
    teeth: np.ndarray  # (V,) 0 cavity, 0.3 tongue, 0.5 gum, 1 tooth
    hair: np.ndarray  # (V,) share of hair, soft at the hairline
    waves: np.ndarray  # (V, WAVES) smooth functions of unit variance
    points: np.ndarray  # (V, 3) mm, mean head


def blob(points: np.ndarray, centre: np.ndarray, sigma: float) -> np.ndarray:
    """A bell (V,) of height 1 about a centre (3,), at points (V, 3)."""
    return np.exp(-0.5 * (np.square(points - centre).sum(-1) / sigma**2))


class Colouring(NamedTuple):
    """What makes one person's colours."""

    melanin: float
    blood: float
    hair: np.ndarray  # (3,) displayed colour
    iris: np.ndarray  # (3,) displayed colour
    brow: float  # strength, 0 to 1
    beard: float  # strength, 0 to 1
    redness: float
    shadow: float
    lipstick: float
    lipstick_colour: np.ndarray  # (3,)
    uneven: np.ndarray  # (2, WAVES) of melanin and blood


def sample_colouring(rng: np.random.Generator) -> Colouring:
    """Draw one person's colours.

    ASSUME: melanin is log-uniform over the human range; hair and eyes go with it (light ones in fair skin only);
    half of the people can have a beard, few of them a full one; one in six wears visible lipstick.
    """
    dark = rng.uniform()
    melanin = np.exp(np.interp(dark, [0, 1], np.log([0.008, 0.24])))
    light = dark < 0.45
    shade = rng.uniform(0, 6.99) if light else rng.uniform(0, 2.2)
    low = int(shade)
    hair = HAIR_COLOURS[low] + (shade - low) * (HAIR_COLOURS[min(low + 1, 6)] - HAIR_COLOURS[low])
    grey = rng.beta(0.4, 1.6)
    eye = rng.uniform(0, 4.99) if light else rng.uniform(0, 1.8)
    iris = IRIS_COLOURS[int(eye)] + (eye % 1) * (IRIS_COLOURS[int(eye) + 1] - IRIS_COLOURS[int(eye)])
    male = rng.uniform() < 0.5
    rouge = np.array([rng.uniform(0.45, 0.72), rng.uniform(0.12, 0.35), rng.uniform(0.16, 0.38)])
    return Colouring(
        melanin=float(melanin),
        blood=float(np.exp(rng.normal(np.log(0.018), 0.3))),
        hair=hair + grey * (HAIR_COLOURS[7] - hair),
        iris=iris,
        brow=rng.uniform(0.35, 0.95),
        beard=float(rng.beta(0.8, 2.0)) if male else 0.0,
        redness=abs(rng.normal(0, 0.45)),
        shadow=abs(rng.normal(0, 0.35)),
        lipstick=0.0 if male or rng.uniform() > 1 / 3 else rng.uniform(0.3, 0.8),
        lipstick_colour=rouge,
        uneven=rng.normal(0, 0.014, (2, WAVES)),
    )


class AlbedoSampler:
    """Draws albedos of the fine head."""

    def __init__(self, maps: AlbedoMaps) -> None:
        self.maps = maps
        self._skin = skin_lookup()

    def sample(self, rng: np.random.Generator, details: bool) -> np.ndarray:
        """Draw a head's albedo (V, 3), sRGB-encoded, in [0, 1].

        `details` adds moles, freckles and single hairs, which no small basis can represent.
        """
        person = sample_colouring(rng)
        melanin, blood = self._pigments(person)
        if details:
            melanin, blood = self._details(rng, person, melanin, blood)
        colour = self._skin(np.stack((np.log(melanin), np.log(blood)), -1)).astype(np.float32)
        noise = rng.normal(size=len(colour)) if details else np.zeros(len(colour))
        colour = self._hair(colour, person, noise)
        return self._eyes_and_mouth(colour, person).clip(0, 1)

    def _pigments(self, person: Colouring) -> tuple[np.ndarray, np.ndarray]:
        """Volume fractions of melanin and blood (V,)."""
        m = self.maps
        melanin = np.log(person.melanin) + m.waves @ person.uneven[0] + 0.35 * person.shadow * m.shadow
        melanin += np.where(m.labels == NECK, 0.06, 0)
        blood = np.log(person.blood) + m.waves @ person.uneven[1]
        blood = blood + 1.3 * person.redness * m.redness + 0.5 * person.shadow * m.shadow
        # Lips have a thin epidermis with little melanin above much blood.
        melanin = melanin + m.lips * (-0.25 - 0.06 * np.log(person.melanin / 0.008))
        blood = blood + 1.5 * m.lips
        return np.exp(melanin).clip(0.005, 0.6), np.exp(blood).clip(0.002, 0.3)

    def _details(
        self, rng: np.random.Generator, person: Colouring, melanin: np.ndarray, blood: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Add moles, freckles and pimples at random places."""
        points, log_melanin, log_blood = self.maps.points, np.log(melanin), np.log(blood)
        face = np.flatnonzero((self.maps.labels == 1) | (self.maps.labels == 6))
        fair = person.melanin < 0.05
        freckles = int(rng.exponential(60)) if fair and rng.uniform() < 0.3 else 0
        spots = [(log_melanin, 1.6, 1.2)] * rng.poisson(3) + [(log_blood, 1.0, 1.6)] * rng.poisson(2)
        spots += [(log_melanin, 0.7, 1.1)] * freckles
        for (field, strength, size), centre in zip(spots, points[rng.choice(face, len(spots))], strict=True):
            near = np.flatnonzero(np.abs(points - centre).max(1) < 6)
            field[near] += strength * rng.uniform(0.4, 1) * blob(points[near], centre, size * rng.uniform(0.7, 1.3))
        return np.exp(log_melanin).clip(0.005, 0.6), np.exp(log_blood).clip(0.002, 0.3)

    def _hair(self, colour: np.ndarray, person: Colouring, noise: np.ndarray) -> np.ndarray:
        """Paint brows, beard and scalp."""
        m = self.maps
        brow = person.brow * np.clip(2.2 * m.brow - 0.6, 0, 1) * (0.9 + 0.1 * noise).clip(0, 1)
        colour = colour + brow[:, None] * (0.85 * person.hair - colour)
        # A shaved beard is a bluish shadow, a grown one has the colour of the hair.
        stubble = 0.5 * person.hair + 0.5 * colour * [0.8, 0.86, 0.95]
        beard = m.beard * np.clip(0.9 * person.beard * (1 + 0.12 * noise), 0, 1)
        colour = colour + beard[:, None] * (stubble - colour)
        hair = (m.hair * (0.95 + 0.05 * noise)).clip(0, 1)
        return colour + hair[:, None] * (person.hair * (1 + 0.08 * noise[:, None]) - colour)

    def _eyes_and_mouth(self, colour: np.ndarray, person: Colouring) -> np.ndarray:
        """Paint lipstick, eyeballs, teeth and the cavity of the mouth."""
        m = self.maps
        colour = colour + (person.lipstick * m.lips)[:, None] * (person.lipstick_colour - colour)
        colour = colour + (0.4 * person.lipstick * m.lid)[:, None] * (0.6 * colour - colour)
        ball = np.isfinite(m.iris)
        # ASSUME: the iris has a dark ring of 0.6 mm around it.
        distance = m.iris[ball, None]
        iris = person.iris * np.interp(distance, [PUPIL_MM, 5.0, IRIS_MM], [1.1, 1.0, 0.45])
        eye = np.where(distance < IRIS_MM, iris, _SCLERA)
        eye = np.where(distance < PUPIL_MM, _PUPIL, eye)
        rim = np.interp(distance, [IRIS_MM, 6.6, 9, 13], [0.8, 1, 0.92, 0.7])
        colour[ball] = np.where(distance < IRIS_MM, eye, eye * rim)
        mouth = m.labels == 7
        ramp = [np.interp(m.teeth[mouth], [0, 0.3, 0.5, 0.75, 1], _MOUTH[:, k]) for k in range(3)]
        colour[mouth] = np.stack(ramp, -1)
        return colour
