"""What the theme's pages lack for those who use no mouse or do not see them."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

TREE = "furo_navigation_tree"


def mend(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Change what a page is made from."""
    context[TREE] = context.get(TREE, "").replace('role="heading"', 'role="heading" aria-level="2"')
    body = context.get("body", "").replace("<pre>", '<pre tabindex="0">')  # wide ones are scrolled by the arrow keys
    context["body"] = body.replace('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper')


def setup(app: Sphinx) -> dict[str, bool]:
    """Join in."""
    app.connect("html-page-context", mend, priority=900)  # after the theme
    return {"parallel_read_safe": True, "parallel_write_safe": True}
