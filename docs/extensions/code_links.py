"""Links to modules of the package: to their files where the pages are read as they are, to the API in the site."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

OF_A_NAME = re.compile(r"\[`([\w.]+)`\]\((?:\.\./)+(dfmvr/[\w/]+)\.py\)")
OF_A_MODULE = re.compile(r"\[([^\]`]+)\]\((?:\.\./)+(dfmvr/[\w/]+)\.py\)")


def lead_to_api(app: Sphinx, docname: str, source: list[str]) -> None:
    """Change a page's text before it is parsed."""
    text = OF_A_NAME.sub(lambda m: f"{{py:obj}}`{m[1]} <{m[2].replace('/', '.')}.{m[1]}>`", source[0])
    source[0] = OF_A_MODULE.sub(lambda m: f"{{py:mod}}`{m[1]} <{m[2].replace('/', '.')}>`", text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Join in."""
    app.connect("source-read", lead_to_api)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
