"""The page: chapters set by one template into a single file.

Everything the page needs is inside it: style, script and pictures. It asks for nothing from a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dfmvr.report.chapter import Chapter, marked
from dfmvr.webpage.pages import Templates, shared

TITLE = "DF-MVR: multi-view face reconstruction"


def write_page(path: Path, lead: str, findings: Sequence[str], chapters: Sequence[Chapter]) -> None:
    """Write the page.

    Raises:
        OutputError: the file cannot be written.
    """
    templates = Templates(__package__)
    shown = [chapter for chapter in chapters if chapter.parts]
    scripts = [templates.part("page.js")]
    if any(part["kind"] == "scene" for chapter in shown for part in chapter.parts):
        scripts += [shared("scene.js"), templates.part("viewer.js")]
    texts = {"title": TITLE, "lead": marked(lead), "findings": [marked(sentence) for sentence in findings]}
    templates.write(path, "page.html", **texts, sections=shown, css=templates.part("page.css"), scripts=scripts)
