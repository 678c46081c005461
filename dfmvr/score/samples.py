"""Score the registered predictions of a method on a data set: one row a sample, protocol and region."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfmvr.config.evaluation import RegisterSection
from dfmvr.errors import DataError
from dfmvr.files import read_npz
from dfmvr.geometry.surface import Surface
from dfmvr.mesh.scan import FaceScan
from dfmvr.register.crop import crop
from dfmvr.register.icp import Registration
from dfmvr.register.inputs import PredictedSurfaces, scans_to_test
from dfmvr.register.registrations import OK, SET_ASIDE, Registrations
from dfmvr.score.distances import (
    ALL,
    by_region,
    correspondence_by_region,
    measure,
    measure_correspondence,
    statistic,
)


def score_sample(
    surface: Surface,
    scan: FaceScan,
    registrations: dict[str, Registration | str],
    settings: RegisterSection,
    regions: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """Score one registered prediction under all protocols: one row a protocol and region."""
    rows = []
    for name, protocol in settings.protocols.items():
        found = registrations[name]
        if isinstance(found, str):
            rows.append(_set_aside(name, found))
            continue
        try:
            errors = measure(surface, crop(scan, protocol), found)
        except DataError as error:
            rows.append(_set_aside(name, str(error)))
            continue
        corresponding = correspondence_by_region(measure_correspondence(surface, scan, found, protocol), regions)
        for region, score in by_region(errors, regions).items():
            row = {"protocol": name, "region": region, **score._asdict(), "error_mm": statistic(score, protocol)}
            row |= {"correspondence_mm": corresponding[region], "coverage": errors.coverage}
            rows.append({**row, "status": OK, "reason": ""})
    return rows


def _set_aside(protocol: str, reason: str) -> dict[str, Any]:
    nothing = {"rmse_mm": np.nan, "mean_mm": np.nan, "points": 0, "error_mm": np.nan}
    nothing |= {"correspondence_mm": np.nan, "coverage": np.nan}
    return {"protocol": protocol, "region": ALL, **nothing, "status": SET_ASIDE, "reason": reason}


def score_all(
    meshes: Path,
    manifest: Path,
    registrations: Registrations,
    settings: RegisterSection,
    face_model: Path | None = None,
) -> pd.DataFrame:
    """Score the registered predictions in a folder against the scans of a manifest's test samples.

    Returns:
        One row a sample, protocol and region; regions only with a `face_model`, whose topology the meshes then have.
        A sample without registration, prediction or readable scan has one row a protocol that says why.
    """
    regions = None if face_model is None else read_npz(face_model, "regions", others=False)["regions"]
    surfaces, rows = PredictedSurfaces(meshes), []
    for sample, scan in scans_to_test(manifest, "score"):
        found = {name: registrations.get(sample.sample, name) for name in settings.protocols}
        try:
            if all(isinstance(result, str) for result in found.values()):
                scored = [_set_aside(name, result) for name, result in found.items()]
            elif isinstance(scan, str):
                raise DataError(scan)
            else:
                surface, _ = surfaces.read(sample.sample)
                _check_regions(surface, regions, sample.sample)
                scored = score_sample(surface, scan, found, settings, regions)
        except DataError as error:
            scored = [_set_aside(name, str(error)) for name in settings.protocols]
        rows += [{"sample": sample.sample, "subject": sample.subject, **row} for row in scored]
    return pd.DataFrame(rows)


def _check_regions(surface: Surface, regions: np.ndarray | None, sample: str) -> None:
    if regions is not None and len(regions) != len(surface.vertices):
        raise DataError(
            f"{sample}: expected the {len(regions)} vertices of the face model, found {len(surface.vertices)}; "
            "leave --face-model out for meshes of another topology"
        )
