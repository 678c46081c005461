"""Measure the distance between scans and registered predictions; see `dfmvr.score.distances`.

needs   meshes and their registrations, or two meshes with their landmarks
gives   <output>.parquet, one row a sample, protocol and region; or <output>.json for two meshes
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from dfmvr.config.evaluation import RegisterSection
from dfmvr.datasets.manifest import samples_to_test
from dfmvr.errors import DataError, DfmvrError, UnavailableError
from dfmvr.files import read_npz
from dfmvr.geometry.surface import Surface
from dfmvr.register.icp import Registration
from dfmvr.register.registrations import OK, SET_ASIDE, Registrations, Surfaces
from dfmvr.register.target import Target, Targets, crop
from dfmvr.score.distances import (
    ALL,
    by_region,
    correspondence_by_region,
    match,
    measure,
    statistic,
)

log = logging.getLogger(__name__)


def score_sample(
    surface: Surface,
    target: Target,
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
            errors = measure(surface, crop(target, protocol), found)
        except DataError as error:
            rows.append(_set_aside(name, str(error)))
            continue
        corresponding = correspondence_by_region(match(surface, target, found, protocol), regions)
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
    scans: Path | None = None,
) -> pd.DataFrame:
    """Score the registered predictions in a folder against the scans of a manifest's test samples.

    Returns:
        One row a sample, protocol and region; regions only with a `face_model`, whose topology the meshes then have.
        A sample without registration, prediction or readable scan has one row a protocol that says why.
    """
    regions = None if face_model is None else read_npz(face_model, "regions", others=False)["regions"]
    surfaces, targets, rows = Surfaces(meshes), Targets(scans), []
    for sample in tqdm(samples_to_test(manifest), desc="score", unit="sample", mininterval=1):
        found = {name: registrations.get(sample.sample, name) for name in settings.protocols}
        try:
            if all(isinstance(result, str) for result in found.values()):
                scored = [_set_aside(name, result) for name, result in found.items()]
            else:
                target, (surface, _) = targets.read(sample), surfaces.read(sample.sample)
                _check_regions(surface, regions, sample.sample)
                scored = score_sample(surface, target, found, settings, regions)
        except UnavailableError:
            raise
        except DfmvrError as error:
            scored = [_set_aside(name, str(error)) for name in settings.protocols]
        rows += [{"sample": sample.sample, "subject": sample.subject, **row} for row in scored]
    return pd.DataFrame(rows)


def _check_regions(surface: Surface, regions: np.ndarray | None, sample: str) -> None:
    if regions is not None and len(regions) != len(surface.vertices):
        raise DataError(
            f"{sample}: expected the {len(regions)} vertices of the face model, found {len(surface.vertices)}; "
            "leave --face-model out for meshes of another topology"
        )
