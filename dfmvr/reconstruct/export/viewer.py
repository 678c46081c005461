"""A page that shows a face in three dimensions: one HTML file that asks for nothing from a network.

In     a face's mesh, its texture or its colours, and the vertices without expression; or an avatar's parts.
Gives  the page. Its JSON holds what is shown; arrays are base64 of little-endian numbers.

    low, step           a stored coordinate c (uint16) stands for low + step * c, mm; conventions' canonical frame
    shift_low, shift_step   the same of displacements, one number each
    strengths           how strongly the face does each of its actions, by name
    parts               meshes of V vertices, each with
      positions         (V, 3) uint16, without expression
      vertex            (T,) uint32: the vertex of each row that the triangles name
      triangles         (F, 3) uint32, rows
      paint             (T, 3) uint16 / 65535: u, v (downward) and 0, or the colour, sRGB-encoded
      image             the texture as a data URI, or null
      lit               whether light falls on it: its colours hold none; and how much it mirrors, 0 to 1
      targets           what actions move, by name: rows (K,) uint16 (uint32 where V > 65536), vertices, and shifts
                        (K, 3) uint16, at full strength
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfmvr.geometry.meshes import Mesh
from dfmvr.webpage.pages import Templates, data_uri, held_json, held_numbers, shared

_SAME_MM = 0.05
"""Vertices that an expression moves by less than this look the same."""

EXPRESSION = "expression"
"""The one action of a face that is not an avatar."""

GROUPS = {
    "Eyes": "eye",
    "Brows": "brow",
    "Jaw": "jaw",
    "Mouth": "mouth",
    "Cheeks": "cheek",
    "Nose": "nose",
    "Tongue": "tongue",
}
"""Actions by the beginning of their names."""


class ShownPart(NamedTuple):
    """A mesh on the page."""

    mesh: Mesh  # without expression, with a texture or colours
    targets: Mapping[str, np.ndarray]  # (V, 3) mm at full strength
    lit: bool = False
    gloss: float = 0.0  # how much it mirrors, 0 to 1


def write_viewer(path: Path, parts: list[ShownPart], strengths: Mapping[str, float], title: str) -> None:
    """Write the page.

    Args:
        path: of the HTML file.
        parts: what is shown, in the canonical frame.
        strengths: of every action, 0 to 1: the expression at first.
        title: of the page.
    Raises:
        OutputError: the file cannot be written.
    """
    templates, held = Templates(__package__), scene(parts, strengths)
    templates.write(
        path,
        "viewer.html",
        title=title,
        textured=held["parts"][0]["image"] is not None,
        expression=bool(held["strengths"]),
        groups=groups_of(held["strengths"]),
        css=shared("colours.css") + templates.part("viewer.css"),
        scripts=[shared("scene.js"), templates.part("viewer.js")],
        scene=held_json(held),
    )


def shown_face(mesh: Mesh, still: np.ndarray) -> tuple[list[ShownPart], dict[str, float]]:
    """Parts and strengths of a face's mesh, whose vertices (V, 3) without expression are given."""
    moved = mesh.vertices - still
    targets = {EXPRESSION: moved} if np.abs(moved).max() > _SAME_MM else {}
    return [ShownPart(Mesh(still, mesh.triangles, mesh.colours, mesh.texture), targets)], dict.fromkeys(targets, 1.0)


def groups_of(strengths: Mapping[str, float]) -> dict[str, list[tuple[str, str]]]:
    """Names of actions and what the page calls them, by group; an expression as a whole is in none."""
    told = {
        name: "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name) for name in strengths
    }
    groups = {
        group: [(name, words.capitalize()) for name, words in told.items() if name.startswith(start)]
        for group, start in GROUPS.items()
    }
    return {group: actions for group, actions in groups.items() if actions}


def scene(parts: list[ShownPart], strengths: Mapping[str, float]) -> dict[str, Any]:
    """What the page's script needs (see the module), ready for JSON."""
    every = np.concatenate([part.mesh.vertices for part in parts])
    low, step = every.min(0), _step(np.ptp(every, axis=0).max())
    shifts = [shift for part in parts for shift in part.targets.values()] or [np.zeros((1, 3))]
    lowest, highest = min(shift.min() for shift in shifts), max(shift.max() for shift in shifts)
    shift_low, shift_step = float(lowest), _step(highest - lowest)

    def target(shift: np.ndarray) -> dict[str, str]:
        rows = np.flatnonzero(np.square(shift).sum(1) > (_SAME_MM / 2) ** 2)
        return {
            "rows": held_numbers(rows, np.uint16 if len(shift) <= 65536 else np.uint32),
            "shifts": held_numbers((shift[rows] - shift_low) / shift_step, np.uint16),
        }

    def told(part: ShownPart) -> dict[str, Any]:
        positions = held_numbers((part.mesh.vertices - low) / step, np.uint16)
        targets = {name: target(shift) for name, shift in part.targets.items()}
        looks = {"lit": part.lit, "gloss": part.gloss, "targets": targets}
        return {"positions": positions} | _painted(part.mesh) | looks

    return {
        "low": low.tolist(),
        "step": step,
        "shift_low": shift_low,
        "shift_step": shift_step,
        "strengths": {name: round(float(strength), 4) for name, strength in strengths.items()},
        "parts": [told(part) for part in parts],
    }


def _step(span: float) -> float:
    return max(float(span), 1e-6) / 65535


def _painted(mesh: Mesh) -> dict[str, Any]:
    """A mesh's rows, triangles and colours."""
    vertex, triangles, paint, image = np.arange(len(mesh.vertices)), mesh.triangles, mesh.colours, None
    if mesh.texture is not None:
        unwrapping = mesh.texture.unwrapping
        vertex, triangles = unwrapping.vertex, unwrapping.triangles
        paint = np.column_stack([unwrapping.uv * (1, -1) + (0, 1), np.zeros(len(vertex))])
        image = data_uri(mesh.texture.jpeg)
    elif paint is None:
        paint = np.full((len(vertex), 3), 0.7)
    return {
        "vertex": held_numbers(vertex, np.uint32),
        "triangles": held_numbers(triangles, np.uint32),
        "paint": held_numbers(np.clip(paint, 0, 1) * 65535, np.uint16),
        "image": image,
    }
