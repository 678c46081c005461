"""The files of an avatar of the model that ships, in Khronos's validator and in three.js."""

import numpy as np
import pytest
from in_three import in_three
from npm_modules import khronos_report
from painted_heads import photographed

from dfmvr.assets.files import asset
from dfmvr.assets.shipped import SHIPPED
from dfmvr.face_model.packed import read_model
from dfmvr.reconstruct.avatar.head import avatar_of
from dfmvr.reconstruct.export.files import export


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The folder and the avatar of a face of the model that ships."""
    face = photographed(read_model(asset(SHIPPED["face_model"])), ("front",))
    folder = tmp_path_factory.mktemp("real")
    files = export(folder, face, ("ply",), viewer=True, pictures=False, avatar=True)
    assert {"avatar.glb", "viewer.html"} < {path.name for path in files if path.is_file()}
    return folder, avatar_of(face)


def test_a_real_avatar_is_small_and_without_fault(real):
    folder, head = real
    report = khronos_report(folder / "avatar.glb")
    assert report["issues"]["numErrors"] == report["issues"]["numWarnings"] == 0, report["issues"]["messages"]
    assert report["info"]["totalTriangleCount"] == sum(len(part.triangles) for part in head.parts)
    assert (folder / "avatar.glb").stat().st_size < 8e6
    assert (folder / "viewer.html").stat().st_size < 6e6


def test_a_real_avatar_moves_where_it_should_in_three(real):
    folder, head = real
    middle = np.concatenate([part.vertices for part in head.parts])
    middle = (middle.min(0) + middle.max(0)) / 2
    with in_three(folder / "avatar.glb") as three:
        assert [part["name"] for part in three.parts()] == [part.name for part in head.parts]
        assert three.parts()[0]["names"] == list(head.weights)
        still = three.picture({}).astype(int)
        side = {}
        for name, depth in (("jawOpen", 20), ("mouthSmileLeft", 20), ("eyeBlinkLeft", 10)):
            changed = np.abs(three.picture({name: 1}).astype(int) - still).max(-1) > 12
            assert changed.mean() > 0.001, name
            row, column = np.nonzero(changed)
            scale = len(still) / (2 * np.tan(np.radians(10)))
            moves = [np.linalg.norm(part.targets.get(name, np.zeros((1, 3))), axis=1) > 0.3 for part in head.parts]
            moving = [part.vertices[move] for part, move in zip(head.parts, moves, strict=True) if move.any()]
            points = np.concatenate(moving)
            far = 1000 - (points[:, 2] - middle[2])
            x = still.shape[1] / 2 + scale * points[:, 0] / far
            y = len(still) / 2 - scale * (points[:, 1] - middle[1]) / far
            away = np.hypot(column[:, None] - x, row[:, None] - y).min(1)
            assert (away < depth).mean() > 0.97, name
            side[name] = column.mean() - still.shape[1] / 2
            assert abs(row.mean() - np.median(y)) < 0.15 * len(still), name
    assert side["eyeBlinkLeft"] > 10
    assert side["mouthSmileLeft"] > 5
    assert abs(side["jawOpen"]) < 5
