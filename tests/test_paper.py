"""docs/paper.md leads to what there is, and to every departure that the code marks."""

import re

import pytest
from test_structure import MODULES, ROOT, tree_of

from dfmvr.config.configuration import Config, load
from dfmvr.study.methods import VARIANTS
from dfmvr.train.foretell import steps_of, training_samples

TEXT = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
LINKS = sorted(set(re.findall(r"\[`([\w.]+)`\]\(\.\./(dfmvr/[\w/]+\.py)\)", TEXT)))
FILES = {str(file.relative_to(ROOT)): name for name, file in MODULES.items()}


def defined(module):
    """Names that a module defines: functions, classes with their methods, constants."""
    names = set()
    for node in tree_of(module).body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        names |= {target.id for target in targets if getattr(target, "id", None)}
        names |= {node.name} if hasattr(node, "name") else set()
        names |= {f"{node.name}.{part.name}" for part in getattr(node, "body", []) if hasattr(part, "name")}
    return names


@pytest.mark.parametrize(("name", "file"), LINKS)
def test_a_link_leads_to_what_is_defined_there(name, file):
    assert name in defined(FILES[file])


def test_every_link_is_one_of_those_and_every_file_is_there():
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert all(((ROOT / "docs" / link).resolve()).is_file() for link in links)
    assert len(LINKS) > 40
    assert {f"../{file}" for _, file in LINKS} == {link for link in links if link.endswith(".py")}


def test_every_key_and_file_that_it_names_is_one():
    keys = set(re.findall(r"`((?:train|datasets|parse|face_model|align|register)\.[\w.]+)`", TEXT))
    assert len(keys) > 8
    assert keys <= {key for key, _ in Config.leaves()}
    files = re.findall(r"`((?:config|benchmarks)/[\w./]+)`", TEXT)
    assert all((ROOT / file).is_file() for file in files)


def test_every_departure_in_the_code_is_in_the_table():
    marked = {
        file for file, name in FILES.items() if re.search(r"\bPaper: ", MODULES[name].read_text(encoding="utf-8"))
    }
    told = {file for _, file in LINKS} | {"dfmvr/config/data.py"}  # whose keys stand there by name
    assert marked <= told


def test_the_trainings_are_those_of_the_study():
    trainings = re.findall(r"^\| `(\w+)` \| ([IV, v1-6;]+) \|", TEXT, re.MULTILINE)
    study = load(ROOT / "config" / "paper.yaml")
    assert [name for name, _ in trainings] == [name for name in VARIANTS if name in study.trained_on()]
    numerals = dict(zip(("I", "II", "III", "IV", "V"), range(1, 6), strict=True))
    for name, tables in trainings:
        told = {f"table_{numerals[word]}" for word in re.findall(r"\b[IV]+\b", tables)}
        assert told == set(VARIANTS[name].tables), name


def test_the_trainings_have_the_steps_that_it_tells():
    study = load(ROOT / "config" / "paper.yaml")
    for data in ("pixel_face", "multi_pie"):
        assert f"{steps_of(study.train, training_samples(study, data)):,}" in TEXT


def test_its_tables_have_four_columns_or_five():
    rows = [line for line in TEXT.splitlines() if line.startswith("|")]
    assert {line.count(" | ") + (line.endswith("| |")) + 1 for line in rows} <= {4, 5}
