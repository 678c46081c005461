"""Which files of this package a module runs on: what a rule of the workflow depends on, read off the imports.

Followed are all import statements, those within functions included, but not those for type checkers alone. Beside the
modules count the texts that lie with them (YAML, HTML, CSS, scripts, JSON) and the shipped assets that they name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
ASSETS = PACKAGE / "assets"

NOT_FOLLOWED = ("dfmvr.config",)
"""The configuration reaches a rule by value, as `params`; a key that no rule is given changes no result."""

TEXTS = {".yaml", ".html", ".css", ".js", ".json"}


def file_of(module: str) -> Path | None:
    """The file of a module of this package, or None where it has no such module."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below `node` but what stands under `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            children = child.orelse
        else:
            children = [child]
        for kept in children:
            yield kept
            yield from _statements(kept)


@cache
def imported_by(module: str) -> frozenset[str]:
    """The modules of this package that a module's import statements name."""
    found: set[str] = set()
    for node in _statements(ast.parse(file_of(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in found if name.split(".")[0] == PACKAGE.name and file_of(name))


def modules_reached(*roots: str) -> set[str]:
    """These modules, the packages that they lie in, and all that they import, directly or by others.

    Raises:
        ModuleNotFoundError: this package has no module of such a name.
    """
    reached: set[str] = set()
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module in reached or module.startswith(NOT_FOLLOWED):
            continue
        if file_of(module) is None:
            raise ModuleNotFoundError(f"no module {module}")
        reached.add(module)
        waiting += imported_by(module)
        if "." in module:
            waiting.append(module.rpartition(".")[0])
    return reached


def _named_assets(file: Path) -> set[Path]:
    """The shipped files whose names stand in a module as text."""
    texts = {
        node.value for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)
    }
    return {path for path in ASSETS.iterdir() if path.suffix != ".py" and path.name in texts}


def files_reached(*roots: str) -> list[Path]:
    """The files of `modules_reached`, in order, with the texts beside them and the assets that they name."""
    files: set[Path] = set()
    for module in modules_reached(*roots):
        file = file_of(module)
        files |= {file} | _named_assets(file)
        if file.parent not in (PACKAGE, ASSETS):
            beside = (*file.parent.iterdir(), *file.parent.glob("templates/*"))
            files |= {path for path in beside if path.suffix in TEXTS}
    return sorted(files)
