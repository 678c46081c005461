"""Hair and what is worn in it: surfaces put over a head.

Hair is one shell about the skull, a grid of azimuths about the crown and rows from the crown to the hairline, that
long hair continues straight down; strands are a texture on it, cut off at the ends by transparency. A cap is the same
shell in cloth.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfmvr.geometry.normals import mesh_normals
from dfmvr.simulate.people.scalp import AZIMUTHS, Scalp, grid_triangles
from dfmvr.simulate.studio.noise import fractal
from dfmvr.simulate.studio.photograph import Hair

SCALP_ROWS, HANG_ROWS = 24, 12
STRAND_TEXTURE = (128, 1024)


class HairStyle(NamedTuple):
    """The hair of one person."""

    kind: str  # 'bald', 'buzz', 'short', 'long', 'cap'
    colour: np.ndarray  # (3,) linear RGB
    thickness_mm: float
    hairline: float  # shift of the hairline at the forehead, fraction of the way from the crown; negative recedes
    fringe: float  # how much further the hair of the forehead reaches, the same fraction
    length_mm: float  # below the hairline at the sides and the back
    open_azimuth: float  # radians; long hair hangs beyond this azimuth from the front
    softness: float  # of the ends, fraction of the way from the crown
    curl: float  # 0 straight to 1 curly
    parting: float  # azimuth of the parting, radians
    band: str  # a headband 'over' the head from ear to ear, 'round' the forehead, or '' for none
    band_colour: np.ndarray  # (3,)


def draw_hair(rng: np.random.Generator, colour: np.ndarray) -> HairStyle:
    """Draw a hair style for hair of a natural colour (3,), linear RGB."""
    kind = str(rng.choice(["bald", "buzz", "short", "long", "cap"], p=[0.05, 0.12, 0.42, 0.32, 0.09]))
    colour = np.clip(colour, 0.006, 1) * np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.04, size=3))
    if kind == "cap":
        colour = rng.uniform(0.01, 0.7, size=3) ** 1.5
    thick = {"bald": 0.0, "buzz": rng.uniform(1.0, 3), "short": rng.uniform(6, 26), "long": rng.uniform(6, 22)}
    band = str(rng.choice(["", "over", "round"], p=[0.86, 0.08, 0.06])) if kind in ("short", "long") else ""
    return HairStyle(
        kind=kind,
        colour=colour.astype(np.float32),
        thickness_mm=float(thick.get(kind, 7.0)),
        hairline=float(rng.normal(-0.02, 0.05) if kind != "cap" else rng.uniform(-0.02, 0.16)),
        fringe=float(rng.uniform(0.1, 0.36)) if kind in ("short", "long") and rng.uniform() < 0.35 else 0.0,
        length_mm=float(rng.uniform(60, 260)) if kind == "long" else 0.0,
        open_azimuth=float(np.radians(rng.uniform(54, 105))),
        softness=float({"buzz": 0.1, "cap": 0.004}.get(kind, rng.uniform(0.04, 0.12))),
        curl=float(np.clip(rng.normal(0.25, 0.3), 0, 1)),
        parting=float(rng.normal(0, 0.7)),
        band=band,
        band_colour=(rng.uniform(0.02, 0.8, size=3) ** 1.3).astype(np.float32),
    )


def draw_strands(style: HairStyle, rng: np.random.Generator) -> np.ndarray:
    """Draw the texture (STRAND_TEXTURE) of a style: streaks along the strands, rounder the curlier."""
    height, width = STRAND_TEXTURE
    stretch = round(2 + 14 * (1 - style.curl))
    wide = fractal(rng, (height, max(width // 2, 1)), 1, 16, 1.0)[..., 0]
    rows = np.linspace(0, height / stretch, height)
    low = np.floor(rows).astype(int)
    part = (rows - low)[:, None]
    fine = np.repeat(wide, 2, axis=1)
    streaks = fine[low % height] * (1 - part) + fine[(low + 1) % height] * part
    shift = (6 + 20 * style.curl) * np.sin(np.arange(height) / 12 + rng.uniform(0, 6))
    columns = (np.arange(width)[None] + shift[:, None]).astype(int) % width
    shade = np.take_along_axis(streaks, columns, 1)
    return (shade / (shade.std() + 1e-6)).astype(np.float32)


def draw_tousle(rng: np.random.Generator) -> np.ndarray:
    """Draw how untidy hair lies over the head: (rows, azimuths), about zero mean and unit variance."""
    tousle = fractal(rng, (SCALP_ROWS, AZIMUTHS + 1), 1, 3, 0.7)[..., 0]
    tousle[:, -1] = tousle[:, 0]
    return tousle


def band_plane(style: HairStyle, marks: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Plane in which a headband lies.

    Args:
        style: tells whether there is one.
        marks: (68, 3) mm, landmarks of the head.
        rng: source of where it is worn.
    Returns:
        (4,) n and d of n.x + d = 0 with |n| = 1, or None.
    """
    if not style.band:
        return None
    brow, ear = marks[17:27].max(0), marks[[0, 16]].mean(0)
    if style.band == "over":
        first, second = ear - [0, 0, 15.0], np.array([0, brow[1] + 85, ear[2] + rng.uniform(0, 25)])
    else:
        first, second = np.array([0, brow[1] + rng.uniform(18, 40), brow[2]]), np.array([0, brow[1] - 5, brow[2] - 180])
    along = second - first
    normal = np.array([0, -along[2], along[1]]) / np.hypot(along[1], along[2])
    return np.append(normal, -normal @ [0, first[1], first[2]]).astype(np.float32)


def grow(
    style: HairStyle,
    scalp: Scalp,
    head: np.ndarray,
    tousle: np.ndarray,
    strands: np.ndarray,
    band: np.ndarray | None,
) -> Hair:
    """Put a style on a head.

    Args:
        style: the hair.
        scalp: of the head's population.
        head: (V, 3) the person's neutral head, mm.
        tousle, strands, band: from `draw_tousle`, `draw_strands` and `band_plane`.
    """
    azimuth = np.linspace(-np.pi, np.pi, AZIMUTHS + 1)
    facing = np.exp(-((azimuth / 0.75) ** 2))
    natural = scalp.end(np.abs(azimuth)) * (1 + style.hairline * facing)
    reach = 1 + style.fringe * np.exp(-((azimuth / 0.55) ** 4))
    if style.kind == "cap":
        natural = np.minimum(natural, np.radians(100.0))
    rows = np.linspace(0, 1, SCALP_ROWS) * 1.12
    directions = scalp.grid(natural * reach, rows)
    centre, radius = scalp.skull_radius(head, directions)
    part = np.exp(-(((azimuth - style.parting) / 0.25) ** 2)) * (np.abs(azimuth) < 1.3)
    # volume falls off to the ends unless a fringe or long hair goes on beyond them
    runs_on = np.maximum(np.clip(style.fringe * 4, 0, 1) * facing, _hanging(style, azimuth))
    body = 1 - (1 - 0.45 * runs_on) * np.clip(rows[:, None], 0, 1) ** 4
    thick = style.thickness_mm * body * (1 + 0.22 * tousle * (1 + style.curl)) * (1 - 0.3 * part) + 0.8
    points = centre + directions * (radius + thick)[..., None]
    cover = (1 - rows[:, None]) / style.softness + np.zeros((1, AZIMUTHS + 1))
    along = np.cumsum(np.linalg.norm(np.diff(points, axis=0, prepend=points[:1]), axis=2), 0)
    if style.length_mm > 0:
        points, cover, along = _hang(style, points, cover, along, azimuth, tousle)
    vertices, triangles = points.reshape(-1, 3).astype(np.float32), grid_triangles(*cover.shape)
    across = np.broadcast_to(azimuth / (2 * np.pi) + 0.5, cover.shape)
    cap = style.kind == "cap"
    return Hair(
        vertices=vertices,
        triangles=triangles,
        normals=mesh_normals(vertices, triangles),
        texture=np.stack((across, along), -1).reshape(-1, 2),
        cover=cover.reshape(-1),
        strands=strands,
        colour=style.colour,
        ragged=0.0 if cap else 0.8,
        gloss=0.05 if cap else 0.5 * (1 - 0.6 * style.curl),
        band=band,
        band_colour=style.band_colour,
    )


def _hanging(style: HairStyle, azimuth: np.ndarray) -> np.ndarray:
    """How much of the full length hangs at each azimuth, 0 to 1."""
    if style.length_mm <= 0:
        return np.zeros_like(azimuth)
    return np.clip((np.abs(azimuth) - style.open_azimuth) / 0.25, 0, 1)


def _hang(
    style: HairStyle, points: np.ndarray, cover: np.ndarray, along: np.ndarray, azimuth: np.ndarray, tousle: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Let the hair fall straight down from where it is widest; see `grow`."""
    share = _hanging(style, azimuth)
    # the widest row of each azimuth: from there hair hangs in the air instead of following the head
    outward = points[..., 0] * np.sin(azimuth) + (points[..., 2] - points[0, 0, 2]) * np.cos(azimuth)
    widest = np.clip(outward.argmax(0), SCALP_ROWS // 3, SCALP_ROWS - 1)
    falls = (np.arange(SCALP_ROWS)[:, None] > widest) & (share > 0)
    anchor = points[widest, np.arange(len(azimuth))]
    sway = 3 * tousle * (1 + 2 * style.curl)
    fallen = points.copy()
    fallen[..., 0] = anchor[:, 0] + sway * np.sin(azimuth)
    fallen[..., 2] = anchor[:, 2] + sway * np.cos(azimuth)
    points = np.where(falls[..., None], share[:, None] * fallen + (1 - share[:, None]) * points, points)
    steps = np.linspace(0, 1, HANG_ROWS + 1)[1:, None]
    below = np.repeat(points[-1:], HANG_ROWS, 0)
    below[..., 1] -= steps * style.length_mm * share
    wave = 4 * (0.3 + style.curl) * np.sin(steps * style.length_mm / 25 + 5 * np.sin(3 * azimuth))
    below[..., 0] += share * np.sin(azimuth) * (wave + 12 * steps)
    below[..., 2] += share * np.cos(azimuth) * (wave + 5 * steps)
    ends = (1 - steps) / 0.25 * share - (1 - share) * 5
    cover = np.concatenate((np.where(share > 0, np.maximum(cover, 4 * share - 2), cover), ends))
    along = np.concatenate((along, along[-1:] + steps * style.length_mm))
    return np.concatenate((points, below)), cover, along
