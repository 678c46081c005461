"""Notebooks as pages: their text and their code, as they are kept, without what a run makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx


def as_markdown(cell: dict[str, Any]) -> str:
    """A cell of a notebook."""
    text = "".join(cell["source"])
    return f"```python\n{text}\n```" if cell["cell_type"] == "code" else text


class NotebookParser(MystParser):
    """Reads a notebook's cells."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Fill the document."""
        name = Path(document["source"]).name
        itself = f"To run it, or to change it: {{download}}`{name} <{name}>`."
        super().parse("\n\n".join([*map(as_markdown, json.loads(inputstring)["cells"]), itself]), document)


def setup(app: Sphinx) -> dict[str, bool]:
    """Join in."""
    app.add_source_suffix(".ipynb", "notebook")
    app.add_source_parser(NotebookParser)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
