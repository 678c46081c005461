"""A chapter of the page: paragraphs, tables, figures and lists. What it shows, it also writes as files of their own."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from dfmvr.files import writing
from dfmvr.report.captions import caption
from dfmvr.report.context import Context
from dfmvr.report.figures.pictures import encode
from dfmvr.report.figures.style import save_figure
from dfmvr.report.tables.table import Table, html_table, to_html, write_table
from dfmvr.webpage.pages import Markup, data_uri, held_json

PX_PER_PT = 2.5
"""Pixels that a point of a vector picture counts as: those of the same figure as PNG (180 dpi)."""


SHAPES_FROM = ("align", "reconstruct", "register", "score")
"""The steps that pictures of registered meshes are made from."""


@dataclass
class Chapter:
    """One entry of the table of contents. One that shows nothing but paragraphs is left out of the page."""

    title: str
    anchor: str
    folder: Path
    """Where the files of its tables go, and in `figures` those of its pictures."""
    made_by: tuple[str, ...] = ()
    """The steps that made its numbers, named at its foot."""
    paragraphs: list[Markup] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Add a paragraph; all stand before the parts."""
        self.paragraphs.append(marked(text))

    def table(self, table: Table, shown: int | None = None) -> None:
        """Write a table's files and show it, or its first rows only."""
        write_table(table, self.folder)
        table = table if shown is None else table._replace(frame=table.frame.head(shown))
        html = Markup(html_table(table))
        self.parts.append({"kind": "table", "title": table.title, "html": html, "caption": marked(table.caption)})

    def plot(self, figure: Figure, name: str, told: str, **facts: object) -> None:
        """Write a plot as PDF, SVG and PNG, and show it; the last two arguments are those of `figure`."""
        self.figure(save_figure(figure, name, self.folder / "figures"), 0.55, told, **facts)

    def picture(self, image: Image.Image, name: str, told: str, **facts: object) -> None:
        """Write a picture as JPEG, and show it; the last two arguments are those of `figure`."""
        picture = encode(image)
        with writing(self.folder / "figures" / f"{name}.jpg") as partial:
            partial.write_bytes(picture)
        self.figure(picture, 0.8, told, **facts)

    def figure(self, picture: bytes, scale: float, told: str, **facts: object) -> None:
        """Show PNG, JPEG, WebP or SVG bytes, at `scale` times their size in pixels, at the most.

        Args:
            picture: an SVG picture needs width and height in points.
            told: name of its caption; `alt_` before it is that of what stands for the picture where it is not seen.
            facts: what fills the places of both texts.
        """
        self.parts.append({"kind": "figure", **_shown(picture, scale, told, facts)})

    def scene(self, title: str, scene: dict[str, Any], picture: bytes, told: str, **facts: object) -> None:
        """Add meshes that can be turned (see `scenes.scene`), with a picture for where they cannot."""
        ramp = (f"rgb({' '.join(f'{100 * channel:.1f}%' for channel in stop)})" for stop in scene["stops"])
        bar = {"scale": f"{scene['scale_mm']:g}", "ramp": ", ".join(ramp), "scene": held_json(scene)}
        self.parts.append({"kind": "scene", "title": title, **bar, **_shown(picture, 1.0, told, facts)})

    def heading(self, text: str, anchor: str = "") -> None:
        """Add a heading, with an anchor if links shall lead to it."""
        self.parts.append({"kind": "heading", "text": marked(text), "anchor": anchor})

    def note(self, text: str) -> None:
        """Add a paragraph in small print."""
        self.parts.append({"kind": "note", "text": marked(text)})

    def verdict(self, kind: str, word: str, text: str, lines: list[str]) -> None:
        """Add a verdict, `word` in bold letters before what it is about, with lines that tell it; `kind` colours it."""
        told = {"verdict": kind.replace(" ", "-"), "word": word, "text": marked(text)}
        self.parts.append({"kind": "verdict", **told, "lines": list(map(marked, lines))})

    def pairs(self, title: str, rows: list[tuple[str, str]]) -> None:
        """Add a list of names and values."""
        self.parts.append({"kind": "pairs", "title": title, "rows": [(marked(n), marked(v)) for n, v in rows]})

    def code(self, text: str, title: str = "") -> None:
        """Add text in the machine's letters, folded away under `title` if there is one."""
        self.parts.append({"kind": "code", "text": text, "title": title})


def chapter_of(
    title: str, anchor: str, *steps: str
) -> Callable[[Callable[[Context, Chapter], None]], Callable[[Context], Chapter]]:
    """Make a function that fills a chapter with what some steps left into one that gives it."""

    def decorate(fill: Callable[[Context, Chapter], None]) -> Callable[[Context], Chapter]:
        @wraps(fill)
        def make(context: Context) -> Chapter:
            chapter = Chapter(title, anchor, context.folder, (*steps, "report"))
            fill(context, chapter)
            return chapter

        return make

    return decorate


def marked(text: str) -> Markup:
    """Escaped text with its subscripts and its `code` set."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", to_html(text)))


def _shown(picture: bytes, scale: float, told: str, facts: dict[str, object]) -> dict[str, Any]:
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
    texts = {"caption": marked(caption(told, **facts)), "alt": caption(f"alt_{told}", **facts)}
    return {**texts, "uri": uri, "width": round(scale * width), "height": round(scale * height)}
