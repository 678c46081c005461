"""The house: a module imports from its own folder and lower floors, in no circle, and no two classes share a name."""

import ast
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dfmvr"

FLOORS = (
    "errors conventions colour dependencies",
    "files",
    "folders",
    "study",
    "config",
    "geometry",
    "rendering",
    "datasets assets webpage",
    "face_model",
    "networks",
    "losses",
    "released",
    "simulate mesh",
    "align",
    "parse",
    "train fetch",
    "register",
    "reconstruct score",
    "report",
    "app",
    "cli",
    "__main__",
)
"""From the ground up; what stands on one floor does not know its neighbours."""

FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms.split()}


def name_of(file):
    """A module's name within the package; empty for the package itself."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")


MODULES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree_of(module):
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@cache
def imports_of(module):
    """The modules of the package that a module imports, for type checkers too."""
    found = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            found |= {(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
    names = {f"{origin}.{name}" if f"{origin}.{name}"[6:] in MODULES else origin for origin, name in found}
    return {name[6:] for name in names if name.startswith("dfmvr.")} - {module}


def test_every_room_has_its_floor():
    assert {module.split(".")[0] for module in MODULES if module} <= set(FLOOR)


def test_imports_lead_to_lower_floors_only():
    upward = {
        (module, target)
        for module in MODULES
        for target in imports_of(module)
        if module and module.split(".")[0] != target.split(".")[0]
        if FLOOR[target.split(".")[0]] >= FLOOR[module.split(".")[0]]
    }
    assert upward == set()


def test_no_module_needs_itself():
    graph = {module: imports_of(module) for module in MODULES if module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_a_class_name_stands_for_one_class():
    places = defaultdict(set)
    for module in MODULES:
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.ClassDef):
                places[node.name].add(module)
    assert {name for name, modules in places.items() if len(modules) > 1} == set()


def test_the_face_of_a_folder_is_a_docstring():
    told = {
        module
        for module, file in MODULES.items()
        if module
        and file.name == "__init__.py"
        and (len(tree_of(module).body) != 1 or not ast.get_docstring(tree_of(module)))
    }
    assert told == set()


def test_the_package_gives_only_its_version_and_its_product():
    """What it gives at request is found by a name in a text, which nothing that follows imports can see."""
    asked = {
        alias.name
        for module in MODULES
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.ImportFrom) and node.module == "dfmvr"
        for alias in node.names
        if alias.name not in MODULES
    }
    assert asked == {"__version__"}


def test_what_the_rules_share_is_short():
    assert len((ROOT / "workflow" / "rules" / "common.smk").read_text(encoding="utf-8").splitlines()) <= 100
