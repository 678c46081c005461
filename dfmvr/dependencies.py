"""Which files of this package a module runs on: what a rule of the workflow depends on, read off the imports.

Followed are all import statements, those within functions included, but not those for type checkers alone. Beside the
modules count the other files that they name, each as a text of its own (`"captions.yaml"`): those that lie in the
module's folder, in its `templates`, or in the folder of a package that it imports, such as the shipped assets.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent

NOT_FOLLOWED = "dfmvr.config"
"""The configuration reaches a rule by value, with all defaults filled in, as its `params`. So the code that it runs
takes nothing from there but the classes of the sections, and makes none of them with defaults of its own."""


@cache
def file_of(module: str) -> Path | None:
    """The file of a module of this package, or None where it has no such module."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)


@cache
def _nodes(file: Path) -> tuple[ast.AST, ...]:
    """All that stands in a module but under `if TYPE_CHECKING:`."""

    def below(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            for_type_checkers = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
            for kept in child.orelse if for_type_checkers else [child]:
                yield kept
                yield from below(kept)

    return tuple(below(ast.parse(file.read_text(encoding="utf-8"))))


@cache
def imported_by(module: str) -> frozenset[str]:
    """The modules of this package that a module's import statements name."""
    found: set[str] = set()
    for node in _nodes(file_of(module)):
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
        if module in reached or f"{module}.".startswith(f"{NOT_FOLLOWED}."):
            continue
        if file_of(module) is None:
            raise ModuleNotFoundError(f"no module {module}")
        reached.add(module)
        waiting += imported_by(module)
        if "." in module:
            waiting.append(module.rpartition(".")[0])
    return reached


@cache
def _files_named_by(module: str) -> frozenset[Path]:
    """The files beside the code that a module names."""
    file = file_of(module)
    texts = {node.value for node in _nodes(file) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    folders = {file.parent, file.parent / "templates"} | {file_of(name).parent for name in imported_by(module)}
    return frozenset(
        path
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
        if path.name in texts and path.is_file()
    )


@cache
def files_reached(*roots: str) -> tuple[Path, ...]:
    """The files of `modules_reached` and those that they name, in order."""
    modules = modules_reached(*roots)
    return tuple(sorted({file_of(module) for module in modules}.union(*map(_files_named_by, modules))))
