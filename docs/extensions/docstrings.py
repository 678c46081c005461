"""Docstrings as the package writes them, made what Sphinx reads: text with `code`, units in comments of fields."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

FIELD_OF_A_TUPLE = re.compile(r"Alias for field number \d+")
KEPT = re.compile(r" .*|\S.*? {2,}.*")
"""A line of a module's docstring that keeps its blanks: indented, or in columns such as `Gives  the files`."""


@cache
def comments_of(file: Path) -> dict[str, str]:
    """What comments at the end of their lines say of the fields of a module's classes, by `Class.field`."""
    text = file.read_text(encoding="utf-8")
    lines, found = text.splitlines(), {}

    def look(body: list[ast.stmt], owner: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                look(node.body, f"{owner}{node.name}.")
            elif owner and isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                _, mark, comment = lines[node.end_lineno - 1][node.end_col_offset :].partition("# ")
                found[owner + node.target.id] = comment if mark else ""

    look(ast.parse(text).body, "")
    return found


def escaped(line: str) -> str:
    """A line whose signs outside of `code` stand for themselves."""
    parts = re.split(r"(``.*?``|`[^`]*`)", line)
    return "".join(part if part.startswith("`") else re.sub(r"([\\*|]|_(?!\w))", r"\\\1", part) for part in parts)


def laid_out(lines: list[str]) -> list[str]:
    """A module's docstring: what stands in columns as it stands, the rest escaped."""
    result: list[str] = []
    kept = False
    for line in lines:
        if line and kept != bool(KEPT.fullmatch(line)):
            kept = not kept
            result += ["", "::", ""] if kept else [""]
        result.append(f"    {line}" if kept else escaped(line))
    return result


def mend(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Change the lines of a docstring in place, before others read them."""
    if what == "attribute" and (not lines or FIELD_OF_A_TUPLE.match(lines[0])):
        lines[:] = [_comment(app, name)]
    lines[:] = laid_out(lines) if what == "module" else map(escaped, lines)
    app.env.temp_data["as written"] = list(lines)


def keep(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Undo what napoleon makes of values, where it takes what stands before a colon for a type."""
    if what in ("attribute", "data", "property"):
        lines[:] = app.env.temp_data["as written"]


def leave_out(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out methods that libraries give to classes of ours."""
    of_library = inspect.isroutine(obj) and not (getattr(obj, "__module__", None) or "dfmvr").startswith("dfmvr")
    return True if of_library else None


def _comment(app: Sphinx, name: str) -> str:
    """What the comment of a field says, by its full name."""
    for module, file in _files(Path(app.srcdir).parent / "dfmvr").items():
        if name.startswith(module + ".") and (said := comments_of(file).get(name.removeprefix(module + "."))):
            return said
    return ""


@cache
def _files(package: Path) -> dict[str, Path]:
    """The modules of a package and their files."""
    return {
        ".".join(file.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__"): file
        for file in package.rglob("*.py")
    }


def setup(app: Sphinx) -> dict[str, bool]:
    """Join in."""
    app.connect("autodoc-process-docstring", mend, priority=100)  # before napoleon
    app.connect("autodoc-process-docstring", keep, priority=900)  # after it
    app.connect("autodoc-skip-member", leave_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
