"""The section about a head scan of a real person, whose photographs are simulated with the scan's own texture.

Read: score/<method>/real_scan.json, and the meshes that it names; the photographs lie beside the scan.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfmvr.conventions import VIEWS
from dfmvr.errors import DataError
from dfmvr.files import read_json
from dfmvr.report.captions import caption
from dfmvr.report.figures import panels, pictures, style
from dfmvr.report.page import Section
from dfmvr.report.sections.results import PROTOCOL, Report, protocol_settings
from dfmvr.report.tables import printed

SCORE = "real_scan.json"


def real_scan_section(report: Report) -> Section:
    """Scores and shapes of every method on the scan; empty where it was not scored.

    Raises:
        DataError: a score file or what it names is missing or malformed.
    """
    section = Section("A scan of a real person", "real_scan")
    paths = {m: report.study.root / "score" / m / SCORE for m in report.study.methods}
    scores = {method: _read(path) for method, path in paths.items() if path.exists()}
    if not scores:
        return section
    section.paragraphs.append(caption("real_scan"))
    report.table(section, printed.real_scan_table(_frame(scores)))
    scored = {m: s for m, s in scores.items() if s["protocols"][PROTOCOL]["status"] == "ok"}
    if report.settings.panels and scored:
        _pictures(report, section, scored)
    return section


def _read(path: Path) -> dict[str, Any]:
    score = read_json(path)
    if PROTOCOL not in score.get("protocols", {}) or "ground_truth" not in score or "prediction" not in score:
        raise DataError(f"{path}: expected prediction, ground_truth and protocols with '{PROTOCOL}'; run `dfmvr score`")
    return score


def _frame(scores: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """One row a method and protocol."""
    rows = []
    for method, score in scores.items():
        for protocol, found in score["protocols"].items():
            numbers = {name: found.get(name, np.nan) for name in ("rmse_mm", "mean_mm", "points", "coverage")}
            rows.append({"protocol": protocol, "method": method, **numbers, "reason": found.get("reason", "")})
    frame = pd.DataFrame(rows)
    order = list(dict.fromkeys(frame["protocol"]))
    return frame.sort_values("protocol", key=lambda names: names.map(order.index), kind="stable", ignore_index=True)


def _pictures(report: Report, section: Section, scores: dict[str, dict[str, Any]]) -> None:
    """Photographs, scan, meshes and error maps."""
    from dfmvr.datasets.images import read_image, resize_image

    folder = Path(next(iter(scores.values()))["ground_truth"]).parent
    size = pictures.TILE_PX
    photos = [[pictures.Tile(resize_image(read_image(folder / f"{view}.jpg"), size)) for view in VIEWS]]
    shapes = _shapes(report, scores)
    errors = {method: score["protocols"][PROTOCOL]["rmse_mm"] for method, score in scores.items()}
    shown = panels.shapes_panel(shapes, errors, panels.error_scale([shapes]))
    images = {
        "inputs": (pictures.grid(photos, [f"{view} view" for view in VIEWS], [""]), "Photographs of the scan"),
        "shapes": (shown, "Scan, meshes and error maps of a real person"),
    }
    for kind, (image, alt) in images.items():
        picture = pictures.encode(image)
        style.save_picture(picture, f"real_scan_{kind}", report.folder / "figures")
        section.figure(picture, alt, caption(f"real_scan_{kind}", protocol=PROTOCOL), 0.8)


def _shapes(report: Report, scores: dict[str, dict[str, Any]]) -> panels.Shapes:
    from dfmvr.geometry.meshes import read_landmarks, read_mesh
    from dfmvr.geometry.surface import Surface
    from dfmvr.mesh.scan import FaceScan
    from dfmvr.register.icp import Registration

    path = Path(next(iter(scores.values()))["ground_truth"])
    surface = read_mesh(path)
    landmarks = read_landmarks(path.with_suffix(".landmarks.csv"))
    scan = FaceScan(surface.vertices, landmarks, triangles=surface.triangles)
    surfaces, registrations = {}, {}
    for method, score in scores.items():
        mesh, found = read_mesh(score["prediction"]), score["protocols"][PROTOCOL]
        surfaces[method] = Surface(mesh.vertices, mesh.triangles)
        rotation, translation = np.array(found["rotation"]), np.array(found["translation"])
        registrations[method] = Registration(found["scale"], rotation, translation)
    return panels.registered_shapes(scan, surfaces, registrations, protocol_settings(report))
