"""CONTRIBUTING.md tells of what there is: its files, rules and functions, and who calls whom, never upward."""

import ast
import re

import pytest
from test_structure import FLOOR, MODULES, ROOT, tree_of

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RULES = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "workflow" / "rules").glob("*.smk"))
WALKS = re.findall(r"```\n((?:cli|rule) ?.*?)```", TEXT, re.DOTALL)


def find(place):
    """The module of a function or method, `module.name`, which must be there."""
    module, _, name = place.rpartition(".")
    names = [name]
    if module not in MODULES:
        module, _, owner = module.rpartition(".")
        names.insert(0, owner)
    body = tree_of(module).body
    for part in names:
        found = [node for node in body if getattr(node, "name", "") == part]
        assert found, f"there is no {place}"
        body = found[0].body
    return module


def test_the_files_that_it_names_are_there():
    names = {name for name in re.findall(r"`([\w./-]+/[\w./-]*|[\w-]+\.\w+)`", TEXT) if not name.startswith("results/")}
    folders = ("", "dfmvr/", "dfmvr/face_model/", "dfmvr/report/sections/", "dfmvr/face_model/anny/")
    assert [name for name in sorted(names) if not any((ROOT / folder / name).exists() for folder in folders)] == []


def test_the_names_that_it_says_are_defined():
    names = set(re.findall(r"`([A-Z]\w+)`", TEXT)) - {"ASSUME", "Paper"}
    code = "".join(file.read_text(encoding="utf-8") for file in MODULES.values())
    assert {name for name in names if not re.search(rf"^(class )?{name}\b", code, re.MULTILINE)} == set()


@pytest.mark.parametrize("walk", WALKS)
def test_the_walk_passes_what_there_is_and_takes_no_step_up(walk):
    above = []
    for line in walk.splitlines():
        if line.startswith("rule "):
            assert f"    {line}:" in RULES or f"\n{line}:" in RULES
            continue
        depth, place = (len(line) - len(line.lstrip())) // 2, line.strip()
        module = find(place)
        above[depth:] = [module]
        if depth:
            caller = above[-2]
            assert FLOOR[module.split(".")[0]] <= FLOOR[caller.split(".")[0]], line
            named = {getattr(node, "id", None) or getattr(node, "attr", None) for node in ast.walk(tree_of(caller))}
            assert place.rpartition(".")[2] in named, line


def test_it_is_one_page_with_two_walks():
    assert len(WALKS) == 2
    assert len(TEXT.splitlines()) <= 150
