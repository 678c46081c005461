"""Meshes of other programs, varied by rule: the same surface or an error of one line, never another surface."""

import time
from dataclasses import replace

import numpy as np
import pytest
from mesh_files import TRIANGLES, VERTICES, all_cases
from scipy.spatial import cKDTree

from dfmvr.errors import DataError
from dfmvr.geometry.meshes import MM_PER_UNIT, read_mesh
from dfmvr.geometry.surface import open_boundary

CASES = {case.name: case for case in all_cases()}
SECONDS = 5.0  # of processor time; the slowest takes a hundredth of it


def rotated(triangles):
    """Triangles with their least corner first, sorted."""
    first = triangles.argmin(1)
    turned = triangles[np.arange(len(triangles))[:, None], (first[:, None] + np.arange(3)) % 3]
    return turned[np.lexsort(turned.T)]


def same_surface(mesh, case):
    """The mesh has the plain triangles, joined where they are joined, and the vertices in their order."""
    distance, vertex = cKDTree(VERTICES).query(mesh.vertices)
    used = np.unique(mesh.triangles)
    assert distance[used].max() < case.tolerance
    assert len(used) == len(VERTICES)
    found = vertex[mesh.triangles]
    np.testing.assert_array_equal(rotated(found), rotated(TRIANGLES))
    border, plain = open_boundary(mesh.triangles, len(mesh.vertices)), open_boundary(TRIANGLES, len(VERTICES))
    assert border.edges.sum() == plain.edges.sum()
    if case.ordered:
        assert np.abs(mesh.vertices[: len(VERTICES)] - VERTICES).max() < case.tolerance
    return True


@pytest.mark.parametrize("name", CASES)
def test_a_mesh_is_the_same_or_an_error(tmp_path, name):
    case = CASES[name]
    for file, data in case.files.items():
        (tmp_path / file).write_bytes(data)
    start, problem = time.process_time(), ""
    try:
        mesh = read_mesh(tmp_path / next(iter(case.files)))
    except DataError as error:
        problem = str(error)
    assert time.process_time() - start < SECONDS
    if problem:
        assert not case.read, problem
        assert "\n" not in problem
        assert len(problem) < 600
    else:
        assert same_surface(mesh, case)


@pytest.mark.parametrize("unit", MM_PER_UNIT)
@pytest.mark.parametrize("name", ["OBJ", "PLY ascii", "PLY binary_big_endian", "STL binary", "OFF", "GLB"])
def test_a_unit_that_is_told_holds(tmp_path, name, unit):
    case = CASES[name]
    file, data = next(iter(case.files.items()))
    (tmp_path / file).write_bytes(data)
    factor = MM_PER_UNIT[unit] / MM_PER_UNIT["m" if name == "GLB" else "mm"]
    mesh = read_mesh(tmp_path / file, unit)
    assert same_surface(replace(mesh, vertices=mesh.vertices / factor), case)


def test_there_are_enough_of_them():
    assert len(CASES) == len(all_cases()) > 300
    assert sum(case.read for case in CASES.values()) > 150
