"""A page that shows a face in three dimensions: one HTML file that asks for nothing from a network.

In     a mesh, its texture or its colours, and the vertices without expression.
Gives  the page. Its JSON holds the face; arrays are base64 of little-endian numbers.

    low, step           a stored coordinate c (uint16) stands for low + step * c, mm; conventions' canonical frame
    positions, neutral  (V, 3) uint16; `neutral` is null where it is the same
    vertex              (T,) uint32: the vertex of each row that the triangles name
    triangles           (F, 3) uint32, rows
    paint               (T, 3) uint16 / 65535: u, v (downward) and 0, or the colour, sRGB-encoded
    image               the texture as a data URI, or null
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dfmvr.geometry.meshes import Mesh
from dfmvr.webpage.pages import Templates, data_uri, held_json, held_numbers, scene_script

_SAME_MM = 0.05
"""Vertices that an expression moves by less than this look the same."""


def write_viewer(path: Path, mesh: Mesh, still: np.ndarray, title: str) -> None:
    """Write the page.

    Args:
        path: of the HTML file.
        mesh: mm, canonical frame, with a texture or colours.
        still: (V, 3) mm, the vertices without expression.
        title: of the page.
    Raises:
        OutputError: the file cannot be written.
    """
    templates, held = Templates(__package__), scene(mesh, still)
    templates.write(
        path,
        "viewer.html",
        title=title,
        textured=held["image"] is not None,
        expression=held["neutral"] is not None,
        css=templates.part("viewer.css"),
        scripts=[scene_script(), templates.part("viewer.js")],
        scene=held_json(held),
    )


def scene(mesh: Mesh, still: np.ndarray) -> dict[str, Any]:
    """What the page's script needs (see the module), ready for JSON."""
    moves = np.abs(mesh.vertices - still).max() > _SAME_MM
    every = np.concatenate([mesh.vertices, still])
    low = every.min(0)
    step = max(float(np.ptp(every, axis=0).max()), 1e-6) / 65535
    vertex, triangles, paint, image = np.arange(len(mesh.vertices)), mesh.triangles, mesh.colours, None
    if mesh.texture is not None:
        unwrapping = mesh.texture.unwrapping
        vertex, triangles = unwrapping.vertex, unwrapping.triangles
        paint = np.column_stack([unwrapping.uv * (1, -1) + (0, 1), np.zeros(len(vertex))])
        image = data_uri(mesh.texture.jpeg)
    elif paint is None:
        paint = np.full((len(vertex), 3), 0.7)
    return {
        "low": low.tolist(),
        "step": step,
        "positions": held_numbers((mesh.vertices - low) / step, np.uint16),
        "neutral": held_numbers((still - low) / step, np.uint16) if moves else None,
        "vertex": held_numbers(vertex, np.uint32),
        "triangles": held_numbers(triangles, np.uint32),
        "paint": held_numbers(np.clip(paint, 0, 1) * 65535, np.uint16),
        "image": image,
    }
