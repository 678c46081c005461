"""The guide's pages as they are written, and what stands in them to be run."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks(page, language):
    """The blocks of code of a page that are in a language, or in none."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(page, defining):
    """Run the block of Python that defines a name; gives what it defines."""
    (block,) = (block for block in blocks(page, "python") if f"def {defining}(" in block)
    names = {}
    exec(compile(block, page, "exec"), names)
    return names
