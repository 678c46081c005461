"""The page: sections of paragraphs, tables, figures and lists, set by one template into a single file.

Everything the page needs is inside it: style, script and pictures. It asks for nothing from a network.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from dfmvr.report.tables.table import Table, html_table, to_html
from dfmvr.webpage import Markup, Templates, data_uri, held_json, scene_script

PX_PER_PT = 2.5
"""Pixels that a point of a vector picture counts as: those of the same figure as PNG (180 dpi)."""


class Maker(NamedTuple):
    """A step that made numbers of a section, and the place of the page that tells of it."""

    name: str
    anchor: str


@dataclass
class Section:
    """One section, which is one entry of the table of contents."""

    title: str
    anchor: str
    paragraphs: list[str] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    makers: list[Maker] = field(default_factory=list)
    """What made the section's numbers, shown at its foot."""

    def table(self, table: Table) -> None:
        """Add a table."""
        self.parts.append(
            {
                "kind": "table",
                "title": table.title,
                "html": Markup(html_table(table)),
                "caption": _text(table.caption),
            }
        )

    def figure(self, picture: bytes, alt: str, caption: str, scale: float = 1.0) -> None:
        """Add a picture of PNG, JPEG, WebP or SVG bytes; it is shown at `scale` times its size in pixels, at the most.

        An SVG picture needs width and height in points.
        """
        self.parts.append({"kind": "figure", "caption": _text(caption), **_picture(picture, alt, scale)})

    def scene(self, title: str, scene: dict[str, Any], picture: bytes, alt: str, caption: str) -> None:
        """Add meshes that can be turned (see `viewer.scene`), with a picture for where they cannot."""
        parts = {"kind": "scene", "title": title, "caption": _text(caption), **_picture(picture, alt, 1.0)}
        ramp = (f"rgb({' '.join(f'{100 * channel:.1f}%' for channel in stop)})" for stop in scene["stops"])
        parts |= {"scale": f"{scene['scale_mm']:g}", "ramp": ", ".join(ramp)}
        self.parts.append({**parts, "scene": held_json(scene)})

    def heading(self, text: str, anchor: str = "") -> None:
        """Add a heading within the section, with an anchor if links shall lead to it."""
        self.parts.append({"kind": "heading", "text": _text(text), "anchor": anchor})

    def note(self, text: str) -> None:
        """Add a paragraph in small print."""
        self.parts.append({"kind": "note", "text": _text(text)})

    def pairs(self, title: str, rows: list[tuple[str, str]]) -> None:
        """Add a list of names and values."""
        self.parts.append({"kind": "pairs", "title": title, "rows": [(_text(n), _text(v)) for n, v in rows]})

    def code(self, text: str, title: str = "") -> None:
        """Add text in the machine's letters, folded away under `title` if there is one."""
        self.parts.append({"kind": "code", "text": text, "title": title})


def _picture(picture: bytes, alt: str, scale: float) -> dict[str, Any]:
    """What the template needs to show a picture."""
    uri = data_uri(picture)
    if uri.startswith("data:image/svg"):
        tag = picture.partition(b"<svg")[2].partition(b">")[0]
        sides = [re.search(rb'\s%b="([\d.]+)pt"' % name, tag) for name in (b"width", b"height")]
        if None in sides:
            raise ValueError(f"expected an SVG picture with width and height in pt, found {tag[:80]!r}")
        width, height = (PX_PER_PT * float(side[1]) for side in sides)
    else:
        with Image.open(io.BytesIO(picture)) as image:
            width, height = image.size
    return {"uri": uri, "alt": alt, "width": round(scale * width), "height": round(scale * height)}


def write_page(path: Path, title: str, lead: str, findings: list[str], sections: list[Section]) -> None:
    """Write the page.

    Raises:
        OutputError: the file cannot be written.
    """
    templates = Templates(__package__)
    shown = [section for section in sections if section.parts or section.paragraphs]
    scripts = [templates.part("page.js")]
    if any(part["kind"] == "scene" for section in shown for part in section.parts):
        scripts += [scene_script(), templates.part("viewer.js")]
    templates.write(
        path,
        "page.html",
        title=title,
        lead=_text(lead),
        findings=[_text(sentence) for sentence in findings],
        sections=[_with_markup(section) for section in shown],
        css=templates.part("page.css"),
        scripts=scripts,
    )


def _with_markup(section: Section) -> dict[str, Any]:
    return {
        "title": section.title,
        "anchor": section.anchor,
        "paragraphs": [_text(paragraph) for paragraph in section.paragraphs],
        "parts": section.parts,
        "makers": section.makers,
    }


def _text(text: str) -> Markup:
    """Escaped text with its subscripts and its `code` set."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", to_html(text)))
