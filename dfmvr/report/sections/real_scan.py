"""The chapter about a head scan of a real person, whose photographs are simulated with the scan's own texture.

Read: score/<method>/real_scan.json, and the meshes that it names; the photographs lie beside the scan.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfmvr.conventions import VIEWS
from dfmvr.datasets.images import read_image, resize_image
from dfmvr.errors import DataError
from dfmvr.files import read_json
from dfmvr.geometry.meshes import read_landmarks, read_mesh
from dfmvr.geometry.surface import Surface
from dfmvr.mesh.scan import FaceScan
from dfmvr.register.icp import Registration
from dfmvr.report.captions import caption
from dfmvr.report.chapter import Chapter, chapter_of
from dfmvr.report.context import OK, Context
from dfmvr.report.figures import panels, pictures
from dfmvr.report.figures.gallery import OF_VIEWS
from dfmvr.report.source import TILE_PX, Shapes, registered_shapes
from dfmvr.report.tables.printed import real_scan_table
from dfmvr.study.paper import PROTOCOL

SCORE = "real_scan.json"


@chapter_of("A scan of a real person", "real_scan", "reconstruct", "score")
def real_scan_chapter(context: Context, chapter: Chapter) -> None:
    """Scores and shapes of every method on the scan; empty where it was not scored.

    Raises:
        DataError: a score file or what it names is missing or malformed.
    """
    paths = {method: context.root / "score" / method / SCORE for method in context.methods}
    scores = {method: _read(path) for method, path in paths.items() if path.exists()}
    if not scores:
        return
    chapter.say(caption("real_scan"))
    chapter.table(real_scan_table(_frame(scores)))
    scored = {m: s for m, s in scores.items() if s["protocols"][PROTOCOL]["status"] == OK}
    if context.configuration.report.panels and scored:
        _pictures(context, chapter, scored)


def _read(path: Path) -> dict[str, Any]:
    score = read_json(path)
    if PROTOCOL not in score.get("protocols", {}) or "ground_truth" not in score or "prediction" not in score:
        raise DataError(f"{path}: expected prediction, ground_truth and protocols with '{PROTOCOL}'; run `dfmvr score`")
    return score


def _frame(scores: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """One row a method and protocol."""
    rows = []
    for protocol in dict.fromkeys(name for score in scores.values() for name in score["protocols"]):
        for method, found in ((m, s["protocols"][protocol]) for m, s in scores.items() if protocol in s["protocols"]):
            numbers = {name: found.get(name, np.nan) for name in ("rmse_mm", "mean_mm", "points", "coverage")}
            rows.append({"protocol": protocol, "method": method, **numbers, "reason": found.get("reason", "")})
    return pd.DataFrame(rows)


def _pictures(context: Context, chapter: Chapter, scores: dict[str, dict[str, Any]]) -> None:
    """Photographs, scan, meshes and error maps."""
    folder = Path(next(iter(scores.values()))["ground_truth"]).parent
    photos = [[pictures.Tile(resize_image(read_image(folder / f"{view}.jpg"), TILE_PX)) for view in VIEWS]]
    shapes = _shapes(context, scores)
    errors = {method: score["protocols"][PROTOCOL]["rmse_mm"] for method, score in scores.items()}
    drawn = panels.shapes_panel(shapes, errors, panels.error_scale([shapes]))
    chapter.picture(pictures.grid(photos, OF_VIEWS, [""]), "real_scan_inputs", "real_scan_inputs")
    chapter.picture(drawn, "real_scan_shapes", "real_scan_shapes")


def _shapes(context: Context, scores: dict[str, dict[str, Any]]) -> Shapes:
    path = Path(next(iter(scores.values()))["ground_truth"])
    surface, landmarks = read_mesh(path), read_landmarks(path.with_suffix(".landmarks.csv"))
    scan = FaceScan(surface.vertices, landmarks, triangles=surface.triangles)
    surfaces, registrations = {}, {}
    for method, score in scores.items():
        mesh, found = read_mesh(score["prediction"]), score["protocols"][PROTOCOL]
        surfaces[method] = Surface(mesh.vertices, mesh.triangles)
        rotation, translation = np.array(found["rotation"]), np.array(found["translation"])
        registrations[method] = Registration(found["scale"], rotation, translation)
    protocol = context.configuration.register_.protocols[PROTOCOL]
    return registered_shapes(scan, surfaces, registrations, protocol)
