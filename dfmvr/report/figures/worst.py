"""Why the worst samples are bad (Fig. 14): measures of every test sample, and words where a measure stands out.

Every measure is something that the stages left: errors of other methods, the parser's masks, measured poses, the
registration, the coefficients. A cause is named where the sample's value lies far off those of the others, and only
then; the rank correlations tell which measures go with the error at all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata

from dfmvr.conventions import CLASSES
from dfmvr.face_model.views import see_landmarks
from dfmvr.geometry.vectors import dot, length
from dfmvr.report.captions import caption
from dfmvr.report.context import WHOLE
from dfmvr.report.figures.exhibits import Exhibit
from dfmvr.report.source import TILE_PX
from dfmvr.report.tables.statistics import percentile_interval
from dfmvr.report.tables.table import number, percent
from dfmvr.study.methods import FLOOR, MEAN_FACE
from dfmvr.study.paper import PROTOCOL

FAR_OFF = 2.0
"""A value stands out from here on: robust deviation, (value - median) / (1.4826 MAD)."""

LEAST_SAMPLES = 8
"""Of fewer samples none is said to stand out."""

EXPECTED = [name for name in CLASSES if name not in ("background", "mouth")]
"""Classes that a face seen from the front shows; the inside of the mouth shows only where it is open."""


class Measure(NamedTuple):
    """Something measured on every sample. What is said where it is too high or too low is among the captions."""

    name: str  # in the table
    unit: str
    worse: str  # "high", "low" or "either": which values can be a cause of a large error
    least: float  # difference from the median below which nothing is said, however alike the other samples are
    digits: int = 2


MEASURES = {
    "mean_face_mm": Measure("error of the mean face", "mm", "high", 0.2),
    "identity": Measure("size of the identity", "", "high", 2, 1),
    "expression": Measure("size of the expression", "", "high", 2, 1),
    "floor_mm": Measure("error of the floor", "mm", "high", 0.1),
    "found": Measure("part of the identity found", "%", "low", 10, 0),
    "landmarks_px": Measure("landmarks off those of the photographs", "px", "high", 0.5, 1),
    "face_share": Measure("face found by the parser, poorest view", "%", "low", 10, 0),
    "missing": Measure("features that the parser missed", "", "high", 2, 0),
    "yaw_off": Measure("yaw off the usual one, worst view", "°", "high", 3, 1),
    "brightness": Measure("brightness of the face", "%", "either", 10, 0),
    "coverage": Measure("part of the crop measured", "%", "low", 2, 1),
    "size_off": Measure("size changed by the registration", "%", "high", 2, 1),
}
"""In the order in which causes are told: the face, the model, the network, the photographs, the measurement.

ASSUME: a difference below `least` does not make a sample bad, though it may stand out where the others are alike.
"""


def measure(exhibit: Exhibit, scores: pd.DataFrame) -> pd.DataFrame:
    """Every measure that can be taken, one row a sample; shares are in per cent.

    Args:
        exhibit: the data set; its files are read.
        scores: of all data sets.
    """
    source, samples = exhibit.source, list(exhibit.errors.index)
    table = pd.DataFrame(index=exhibit.errors.index)
    for name, method in (("mean_face_mm", MEAN_FACE), ("floor_mm", FLOOR)):
        if method in exhibit.errors:
            table[name] = exhibit.errors[method]
    if FLOOR in exhibit.errors:
        true, ours = ([source.coefficients(m, s) for s in samples] for m in (FLOOR, exhibit.ours))
        table["identity"] = [float(c.identity.norm()) for c in true]
        table["expression"] = [float(c.expression.norm()) for c in true]
        pairs = zip(true, ours, strict=True)
        table["found"] = [100 * float((t.identity * o.identity).sum() / t.identity.square().sum()) for t, o in pairs]
    table["landmarks_px"] = [_landmark_error(exhibit, sample) for sample in samples]
    table = table.join(_of_photographs(exhibit, samples))
    rows = _rows_of(exhibit, scores)
    coverage = rows[rows["region"] == WHOLE].set_index("sample")["coverage"]
    table["coverage"] = 100 * coverage.reindex(table.index)
    scales = [getattr(source.registration(exhibit.ours, sample), "scale", np.nan) for sample in samples]
    table["size_off"] = 100 * np.abs(np.log(np.array(scales, float)))
    return table[[name for name in MEASURES if name in table and table[name].notna().all()]]


def _rows_of(exhibit: Exhibit, scores: pd.DataFrame) -> pd.DataFrame:
    """The scores of DF-MVR on the data set."""
    ours = (scores["dataset"] == exhibit.dataset) & (scores["method"] == exhibit.ours)
    return scores[ours & (scores["protocol"] == PROTOCOL)]


def _landmark_error(exhibit: Exhibit, sample: str) -> float:
    """Mean distance of the reconstruction's landmarks from the photographs', px of a 224 px crop."""
    with torch.inference_mode():
        _, found = see_landmarks(exhibit.source.model, exhibit.source.coefficients(exhibit.ours, sample), TILE_PX)
    distances = np.linalg.norm(found[0].numpy() - exhibit.source.landmarks(sample), axis=-1)
    known = distances[np.isfinite(distances)]
    return float(known.mean() * 224 / TILE_PX) if len(known) else float("nan")


def _of_photographs(exhibit: Exhibit, samples: list[str]) -> pd.DataFrame:
    """What the photographs and their masks tell: share of the face found, features missed, yaw, brightness."""
    source = exhibit.source
    shares, missing, light, yaws = [], [], [], []
    for sample in samples:
        masks, crops = np.asarray(source.parsed("masks")[source.index(sample)]), source.crops(sample)
        face = masks > 0
        shares.append(face.mean((1, 2)))
        missing.append(sum(not (mask == CLASSES.index(name)).any() for mask in masks for name in EXPECTED))
        light.append(100 * crops[face].mean() / 255 if face.any() else 0.0)
        yaws.append(source.views(sample)[["yaw", "measured_yaw"]].to_numpy(float))
    found, (nominal, measured) = np.array(shares), np.moveaxis(np.array(yaws), -1, 0)
    usual = np.where(np.isfinite(nominal), nominal, pd.DataFrame(measured).median().to_numpy())
    columns = {
        "face_share": 100 * (found / np.maximum(np.median(found, 0), 1e-9)).min(1),
        "missing": np.array(missing, float),
        "yaw_off": np.abs(measured - usual).max(1),
        "brightness": light,
    }
    return pd.DataFrame(columns, index=samples)


def deviations(values: pd.Series) -> pd.Series:
    """How far each value lies off the median, in robust standard deviations; 0 where all values are the same.

    Source: Iglewicz & Hoaglin 1993, "How to Detect and Handle Outliers": the median absolute deviation or, where most
    values are the same and it is 0, the mean absolute deviation.
    """
    off = values - values.median()
    spread = 1.4826 * off.abs().median() or 1.2533 * off.abs().mean()
    return off / spread if spread > 0 else 0.0 * off


def causes(table: pd.DataFrame, sample: str) -> list[str]:
    """What stands out about a sample, in words.

    Args:
        table: what `measure` gives.
    """
    found = []
    for name in table.columns if len(table) >= LEAST_SAMPLES else []:
        rule, off = MEASURES[name], float(deviations(table[name])[sample])
        if abs(table.loc[sample, name] - table[name].median()) < rule.least:
            continue
        side = "high" if off >= FAR_OFF else "low" if off <= -FAR_OFF else "neither"
        if side == rule.worse or (rule.worse == "either" and side != "neither"):
            value, median = (shown(v, rule) for v in (table.loc[sample, name], table[name].median()))
            found.append(caption(f"cause_{name}_{side}", value=value, median=median))
    return found


def shown(value: float, rule: Measure) -> str:
    """A value with its unit."""
    if rule.unit == "%":
        return percent(value / 100, rule.digits)
    space = "" if rule.unit in ("", "°") else " "
    return f"{number(value, rule.digits)}{space}{rule.unit}"


class RegionErrors(NamedTuple):
    """The region of the face that a sample's error comes from most, beyond its usual share."""

    region: str
    rmse_mm: float
    usual_mm: float  # median over the samples
    share: float  # of the sample's squared error


def worst_region(scores: pd.DataFrame, exhibit: Exhibit, sample: str) -> RegionErrors | None:
    """The region whose share of the squared error most exceeds its median share; None without regions."""
    rows = _rows_of(exhibit, scores)
    rows = rows[(rows["region"] != WHOLE) & (rows["points"] > 0) & rows["sample"].isin(exhibit.errors.index)]
    if sample not in set(rows["sample"]):
        return None
    rows = rows.assign(squares=rows["rmse_mm"] ** 2 * rows["points"])
    squares = rows.pivot_table(index="sample", columns="region", values="squares", fill_value=0.0)
    shares = squares.div(squares.sum(axis=1), axis=0)
    region = (shares.loc[sample] - shares.median()).idxmax()
    errors = rows[rows["region"] == region].set_index("sample")["rmse_mm"]
    return RegionErrors(region, float(errors[sample]), float(errors.median()), float(shares.loc[sample, region]))


def not_converged(exhibit: Exhibit, sample: str) -> bool:
    """Whether the registration of DF-MVR's mesh was stopped before it came to rest."""
    return not getattr(exhibit.source.registration(exhibit.ours, sample), "converged", True)


def correlations(exhibit: Exhibit, table: pd.DataFrame, resamples: int, seed: int) -> pd.DataFrame:
    """Spearman's rank correlation of every measure with DF-MVR's error, with its interval over subjects.

    Returns:
        measure (its key), correlation, low, high, n, in the order of falling magnitude.
    """
    error = exhibit.errors[exhibit.ours].to_numpy()
    names, place = np.unique(exhibit.subjects.to_numpy(), return_inverse=True)
    members = [np.flatnonzero(place == i) for i in range(len(names))]
    rng = np.random.default_rng(seed)
    draws = [np.concatenate([members[i] for i in rng.integers(len(names), size=len(names))]) for _ in range(resamples)]
    # draws of one length at once: ranking row by row takes twenty times as long
    draws = [np.stack([draw for draw in draws if len(draw) == size]) for size in sorted({len(draw) for draw in draws})]
    rows = []
    for name in table.columns:
        values = table[name].to_numpy()
        drawn = np.concatenate([spearman(values[some], error[some]) for some in draws])
        drawn = drawn[np.isfinite(drawn)]
        low, high = percentile_interval(drawn, len(names)) if len(drawn) else (np.nan, np.nan)
        rows.append((name, float(spearman(values, error)), low, high, len(error)))
    frame = pd.DataFrame(rows, columns=["measure", "correlation", "low", "high", "n"])
    return frame.sort_values("correlation", key=lambda c: -c.abs(), ignore_index=True)


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rank correlation (...) of rows (..., N), ties sharing their mean rank; NaN where one of the two does not vary."""
    a, b = (rank - rank.mean(-1, keepdims=True) for rank in (rankdata(a, axis=-1), rankdata(b, axis=-1)))
    scale = length(a) * length(b)
    return np.divide(dot(a, b), scale, out=np.full(scale.shape, np.nan), where=scale > 0)
