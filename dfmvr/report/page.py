"""The page: sections of paragraphs, tables, figures and lists, set by one template into a single file.

Everything the page needs is inside it: style, script and pictures. It asks for nothing from a network.
"""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from dfmvr.files import writing
from dfmvr.report.tables import Table, html_table, to_html

_TYPES = {b"\x89PNG": "png", b"\xff\xd8\xff\xe0": "jpeg", b"\xff\xd8\xff\xe1": "jpeg", b"RIFF": "webp"}


@dataclass
class Section:
    """One section, which is one entry of the table of contents."""

    title: str
    anchor: str
    paragraphs: list[str] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)

    def table(self, table: Table) -> None:
        """Add a table."""
        self.parts.append(
            {
                "kind": "table",
                "title": table.title,
                "html": _safe(html_table(table)),
                "caption": _text(table.caption),
            }
        )

    def figure(self, picture: bytes, alt: str, caption: str, scale: float = 1.0) -> None:
        """Add a picture of PNG, JPEG or WebP bytes; it is shown at `scale` times its size in pixels, at the most."""
        with Image.open(io.BytesIO(picture)) as image:
            width, height = (round(scale * side) for side in image.size)
        size = {"width": width, "height": height}
        self.parts.append({"kind": "figure", "uri": data_uri(picture), "alt": alt, "caption": _text(caption), **size})

    def heading(self, text: str) -> None:
        """Add a heading within the section."""
        self.parts.append({"kind": "heading", "text": _text(text)})

    def note(self, text: str) -> None:
        """Add a paragraph in small print."""
        self.parts.append({"kind": "note", "text": _text(text)})

    def pairs(self, title: str, rows: list[tuple[str, str]]) -> None:
        """Add a list of names and values."""
        self.parts.append({"kind": "pairs", "title": title, "rows": [(_text(n), _text(v)) for n, v in rows]})

    def code(self, text: str, title: str = "") -> None:
        """Add text in the machine's letters, folded away under `title` if there is one."""
        self.parts.append({"kind": "code", "text": text, "title": title})


def data_uri(picture: bytes) -> str:
    """The bytes of a PNG, JPEG or WebP picture as a URI that holds them."""
    kind = next((name for start, name in _TYPES.items() if picture.startswith(start)), None)
    if kind is None:
        raise ValueError(f"expected a PNG, JPEG or WebP picture, found bytes starting {picture[:4]!r}")
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def write_page(path: Path, title: str, lead: str, findings: list[str], sections: list[Section]) -> None:
    """Write the page.

    Raises:
        OutputError: the file cannot be written.
    """
    templates = resources.files(__package__).joinpath("templates")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: templates.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html").render(
        title=title,
        lead=_text(lead),
        findings=[_text(sentence) for sentence in findings],
        sections=[_with_markup(section) for section in sections if section.parts or section.paragraphs],
        css=_safe(templates.joinpath("page.css").read_text(encoding="utf-8")),
        js=_safe(templates.joinpath("page.js").read_text(encoding="utf-8")),
    )
    with writing(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _with_markup(section: Section) -> dict[str, Any]:
    return {
        "title": section.title,
        "anchor": section.anchor,
        "paragraphs": [_text(paragraph) for paragraph in section.paragraphs],
        "parts": section.parts,
    }


def _safe(markup: str) -> jinja2.utils.markupsafe.Markup:
    return jinja2.utils.markupsafe.Markup(markup)  # made by this package from escaped text


def _text(text: str) -> jinja2.utils.markupsafe.Markup:
    """Escaped text with its subscripts and its `code` set."""
    return _safe(re.sub(r"`([^`]+)`", r"<code>\1</code>", to_html(text)))
