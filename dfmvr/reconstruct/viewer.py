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

import base64
import json
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from dfmvr.files import writing
from dfmvr.geometry.meshes import Mesh

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
    templates = resources.files(__package__).joinpath("templates")

    def read(name: str) -> str:
        return templates.joinpath(name).read_text(encoding="utf-8")

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    held = scene(mesh, still)
    page = environment.get_template("viewer.html").render(
        title=title,
        textured=held["image"] is not None,
        expression=held["neutral"] is not None,
        css=_safe(read("viewer.css")),
        script=_safe(read("viewer.js")),
        scene=_safe(json.dumps(held, separators=(",", ":")).replace("<", "\\u003c")),
    )
    with writing(path) as partial:
        partial.write_text(page, encoding="utf-8")


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
        image = "data:image/jpeg;base64," + base64.b64encode(mesh.texture.jpeg).decode("ascii")
    elif paint is None:
        paint = np.full((len(vertex), 3), 0.7)
    return {
        "low": low.tolist(),
        "step": step,
        "positions": _encode((mesh.vertices - low) / step, np.uint16),
        "neutral": _encode((still - low) / step, np.uint16) if moves else None,
        "vertex": _encode(vertex, np.uint32),
        "triangles": _encode(triangles, np.uint32),
        "paint": _encode(np.clip(paint, 0, 1) * 65535, np.uint16),
        "image": image,
    }


def _encode(values: np.ndarray, kind: type[np.generic]) -> str:
    """Numbers, rounded, as base64."""
    numbers = np.rint(values).astype(np.dtype(kind).newbyteorder("<"))
    return base64.b64encode(np.ascontiguousarray(numbers)).decode("ascii")


def _safe(markup: str) -> jinja2.utils.markupsafe.Markup:
    return jinja2.utils.markupsafe.Markup(markup)  # files of this package, and JSON without `<`
