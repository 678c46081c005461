"""The package as others install it: the wheel in an environment of its own, with what it asks for and nothing else."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from real_photographs import hopper

from dfmvr.datasets.images import write_image
from dfmvr.geometry.meshes import read_mesh

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BLOCKED = (
    "snakemake",
    "open3d",
    "pandas",
    "pandera",
    "numba",
    "anny",
    "face_alignment",
    "mediapipe",
    "matplotlib",
    "yaml",
    "trimesh",
)

# What is installed beside these tests stands in for a package index. Other packages than those named are not to be had.
FINDER = """
import sys
from importlib.machinery import PathFinder


class Exposed:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, {places!r}) if name in {names!r} else None


sys.meta_path.append(Exposed)
"""


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(requirements):
    """The distributions that these requirements bring, directly or by others."""
    found, waiting = set(), [Requirement(line) for line in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonical(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        try:
            waiting += [Requirement(line) for line in importlib.metadata.requires(name) or ()]
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
    return found


@cache
def owners():
    return importlib.metadata.packages_distributions()


def modules_of(distributions):
    """Names that these distributions let a program import."""
    return {module for module, names in owners().items() if distributions & set(map(canonical, names))}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built in a copy of the sources."""
    copy = tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "dfmvr", copy / "dfmvr", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", copy, copy]
    subprocess.run(command, check=True, env=plain_environment())
    (path,) = copy.glob("dfmvr-*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """The folder of programs of an environment with the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    command = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet", "--no-deps"]
    subprocess.run([*command, "--no-index", wheel], check=True, env=plain_environment())
    (site,) = (folder / "lib").glob("python*/site-packages")
    names = modules_of(wanted(PROJECT["dependencies"]))
    places = sorted({str(Path(np.__file__).parents[1])})
    (site / "exposed.py").write_text(FINDER.format(places=places, names=sorted(names)))
    (site / "exposed.pth").write_text("import exposed\n")
    return folder / "bin"


def plain_environment():
    """The environment's variables without those by which Python would find this repository."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def run(program, *arguments, cwd):
    return subprocess.run(
        [program, *arguments], cwd=cwd, env=plain_environment(), capture_output=True, text=True, check=False
    )


def test_the_wheel_has_every_file_of_the_package(wheel):
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("dfmvr/")}
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "dfmvr").rglob("*") if path.is_file()}
    assert packed == {name for name in files if "__pycache__" not in name} - {"dfmvr/assets/README.md"}


def test_a_photograph_becomes_a_glb_with_nothing_else_installed(environment, tmp_path):
    write_image(tmp_path / "me.jpg", hopper())
    done = run(environment / "dfmvr", "reconstruct", "me.jpg", "-o", "face", "--format", "glb", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    mesh = read_mesh(tmp_path / "face" / "face.glb")
    assert len(mesh.triangles) > 70_000
    assert 110 < np.ptp(mesh.vertices[:, 0]) < 190  # mm: a person's face


def test_what_the_study_needs_is_named_where_it_is_missing(environment, tmp_path):
    code = f"import importlib.util as u; print([n for n in {BLOCKED} if u.find_spec(n)])"
    assert run(environment / "python", "-c", code, cwd=tmp_path).stdout == "[]\n"
    done = run(environment / "dfmvr", "report", "--help", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().endswith(
        "is not installed; `pip install 'dfmvr[study]'` brings all that the study needs"
    )
    assert "Traceback" not in done.stderr


def test_every_package_that_is_imported_is_asked_for():
    extras = PROJECT["optional-dependencies"]
    named = ("study", "app", "face-alignment", "pytorch3d")
    asked = [*PROJECT["dependencies"], *(line for name in named for line in extras[name])]
    own = {canonical(Requirement(line).name) for line in asked}
    known = modules_of(own) | {"pytorch3d", "dfmvr", "face_alignment", "mediapipe"} | set(sys.stdlib_module_names)
    imported = set()
    for file in (ROOT / "dfmvr").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.partition(".")[0])
    assert imported - known == set()
