"""The account of a run: samples kept and set aside, run times, versions, settings."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

import pandas as pd

from dfmvr import __version__
from dfmvr.report.inputs import WHOLE, Study
from dfmvr.study.methods import read_key

PACKAGES = ("torch", "numpy", "scipy", "pandas", "open3d-cpu", "open3d", "opencv-python-headless", "pillow", "anny")
_OK = "ok"


def _step(method: str) -> str:
    return f"score, {read_key(method).name}"


def count_frame(study: Study, protocol: str, names: dict[str, str]) -> pd.DataFrame:
    """Samples that entered each step, were kept and set aside, and registrations that did not converge.

    Returns:
        data, dataset, step, samples, kept, set_aside, coverage, not_converged; NaN where a column does not apply.
    """
    rows = []
    for dataset, manifest in study.manifests.items():
        samples = manifest.assign(kept=manifest["status"] == _OK).groupby(["split", "sample"])["kept"].all()
        place = {"data": names.get(dataset, dataset), "dataset": dataset}
        for split, kept in samples.groupby("split", sort=False):
            rows.append(place | {"step": f"align, {split}", **_counts(kept)})
        for method, scored in _scored(study, dataset, protocol).items():
            rows.append(place | {"step": _step(method), **_counts(scored["status"] == _OK)})
            rows[-1]["coverage"] = scored["coverage"].mean()
            if (method, dataset) in study.converged:
                rows[-1]["not_converged"] = int((~study.converged[method, dataset]).sum())
    columns = ["data", "dataset", "step", "samples", "kept", "set_aside", "coverage", "not_converged"]
    return pd.DataFrame(rows, columns=columns)


def _scored(study: Study, dataset: str, protocol: str) -> dict[str, pd.DataFrame]:
    """Of every method that was tried on a data set, one row a sample that had been aligned."""
    scores, manifest = study.scores, study.manifests[dataset]
    whole = scores[(scores["dataset"] == dataset) & (scores["protocol"] == protocol) & (scores["region"] == WHOLE)]
    aligned = whole[~whole["sample"].isin(manifest.loc[manifest["status"] != _OK, "sample"])]
    groups = dict(iter(aligned.drop_duplicates(["method", "sample"]).groupby("method")))
    return {method: groups[method] for method in study.methods if method in groups}


def _counts(kept: pd.Series) -> dict[str, int]:
    return {"samples": len(kept), "kept": int(kept.sum()), "set_aside": int((~kept).sum())}


def set_aside_frame(study: Study, protocol: str, names: dict[str, str]) -> pd.DataFrame:
    """One row a sample and step that set it aside: data, dataset, step, sample, reason."""
    parts = []
    for dataset, manifest in study.manifests.items():
        place = {"data": names.get(dataset, dataset), "dataset": dataset}
        aside = manifest[manifest["status"] != _OK].drop_duplicates("sample")
        steps = [(None, aside)]
        for method, scored in _scored(study, dataset, protocol).items():
            steps.append((_step(method), scored[scored["status"] != _OK]))
        for step, rows in steps:
            step_of = ["align, " + split for split in rows["split"]] if step is None else step
            parts.append(rows[["sample", "reason"]].assign(**place, step=step_of))
    columns = ["data", "dataset", "step", "sample", "reason"]
    return pd.concat(parts, ignore_index=True)[columns]


def runtime_frame(benchmarks: pd.DataFrame) -> pd.DataFrame:
    """Run time of every stage: stage, jobs, seconds summed, peak memory."""
    groups = benchmarks.groupby("stage", sort=False)
    return groups.agg(
        jobs=("job", "nunique"), seconds=("seconds", "sum"), memory_mib=("memory_mib", "max")
    ).reset_index()


def versions() -> list[tuple[str, str]]:
    """Names and versions of this program, Python and the packages that compute."""
    found = [("dfmvr", __version__), ("Python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return [*found, ("machine", f"{platform.system()} {platform.machine()}")]


def seeds(settings: dict[str, Any], place: str = "") -> list[tuple[str, str]]:
    """Every key named `seed` of nested settings, with its place, such as `train.seed`."""
    found = []
    for key, value in settings.items():
        if isinstance(value, dict):
            found += seeds(value, f"{place}{key}.")
        elif key == "seed":
            found.append((f"{place}{key}", str(value)))
    return found
