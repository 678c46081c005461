"""A real head scan photographed by our camera: its points must be seen where its skin is."""

from pathlib import Path

import numpy as np
import pytest

from dfmvr import cli
from dfmvr.conventions import VIEWS
from dfmvr.datasets.images import read_image
from dfmvr.datasets.landmark_files import read_landmark_file
from dfmvr.errors import DataError
from dfmvr.geometry.meshes import read_landmarks, read_mesh
from dfmvr.simulate.real_scan import camera_of, read_head_scan

SCAN = Path(__file__).parents[2] / "shared" / "scans" / "lee_perry_smith"
needs_scan = pytest.mark.skipif(not SCAN.exists(), reason=f"no head scan at ../shared/scans/{SCAN.name}")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan") / "photographs"
    arguments = ["simulate", "real_scan", "--output", str(folder), "--set", f"simulate.real_scan={SCAN}"]
    assert cli.main(arguments) == 0
    return folder


@needs_scan
def test_the_pupils_of_the_scan_are_63_mm_apart():
    landmarks = read_head_scan(SCAN, 50.0).landmarks
    eyes = [(landmarks[0] + landmarks[1]) / 2, (landmarks[2] + landmarks[3]) / 2]
    assert np.linalg.norm(eyes[1] - eyes[0]) == pytest.approx(63, abs=1.5)


@needs_scan
def test_the_nose_points_to_the_side_that_names_the_view(photographs):
    points = {view: read_landmark_file(photographs / f"{view}.txt") for view in VIEWS}
    off = {view: p[2, 0] - p[:2, 0].mean() for view, p in points.items()}
    assert off["left"] < -10
    assert abs(off["front"]) < 8
    assert off["right"] > 10


@needs_scan
@pytest.mark.parametrize("view", VIEWS)
def test_the_points_lie_on_skin(photographs, view):
    photo = read_image(photographs / f"{view}.jpg").astype(int)
    for x, y in read_landmark_file(photographs / f"{view}.txt"):
        red, _, blue = photo[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].reshape(-1, 3).mean(0)
        assert red > blue + 15  # the wall is grey


@needs_scan
def test_the_scan_written_is_the_scan_photographed(photographs):
    mesh, seven = read_mesh(photographs / "scan.ply"), read_landmarks(photographs / "scan.landmarks.csv")
    distance = np.linalg.norm(mesh.vertices[:, None] - seven[None], axis=-1).min(0)
    assert distance.max() < 4  # marked by hand on the surface; the vertices are some 4 mm apart
    seen = camera_of("front").project(seven)
    assert np.allclose(read_landmark_file(photographs / "front.txt")[2], seen[4, :2], atol=1e-3)


def test_a_folder_without_a_scan_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"expected head\.obj with texture coordinates and albedo\.jpg"):
        read_head_scan(tmp_path, 1.0)


def test_no_scan_configured_is_one_line(tmp_path, capsys):
    assert cli.main(["simulate", "real_scan", "--output", str(tmp_path / "x")]) == 2
    assert "simulate.real_scan: missing" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
