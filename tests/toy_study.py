"""Results of a study in the real formats without any photograph or mesh: scores drawn at random about known means."""

from dataclasses import replace

import numpy as np
import pandas as pd
from toy_manifest import write_manifest

from dfmvr.config.evaluation import StudySection
from dfmvr.conventions import REGIONS
from dfmvr.datasets.sample import RANDOM_LIGHT, Sample
from dfmvr.files import write_npz

TESTS = StudySection().tests

YAWS = (-10.0, -20.0, -30.0, -45.0)

MEANS = {
    "mean_face": 1.70,
    "shang": 1.60,
    "deng": 1.52,
    "dfmvr_cnn": 1.45,
    "dfmvr_unet": 1.40,
    "dfmvr_resnet": 1.38,
    "dfmvr_without_mask": 1.345,
    "dfmvr_without_l3d": 1.50,
    "dfmvr_mixed_from_front": 1.43,
    "dfmvr_mixed": 1.36,
    "dfmvr": 1.34,
    "floor": 0.35,
}
"""Mean errors, mm; those of the longest name that a method's begins with."""


def mean_of(method):
    return MEANS[max((name for name in MEANS if method.startswith(name)), key=len)]


def write_study(root, tests=TESTS, subjects=20, seeds=(), set_aside=(), yaws=YAWS, trained=(), relit=True):
    """Write scores, manifests, registrations and metrics of the methods of `tests`.

    Args:
        seeds: further seeds of `dfmvr` and `deng` on pixel_face.
        set_aside: pairs (method, sample) that could not be scored.
        yaws: of the side view that varies on bosphorus, a sample each; the right one where they are positive.
        relit: whether subjects have a further one whose yaw and light were drawn at random.
        trained: trainings whose metrics there are.
    """
    rng = np.random.default_rng(11)
    for dataset, methods in tests.items():
        methods = list(methods)
        if dataset == "pixel_face":
            methods += [f"{m}_seed{s}" for s in seeds for m in methods if m in ("dfmvr", "deng")]
        samples = _samples(dataset, subjects, yaws=yaws, relit=relit)
        write_manifest(root / "align" / dataset / "manifest.parquet", samples)
        hard = {s.subject: rng.normal(0, 0.2) for s in samples}
        for method in methods:
            aside = {sample for name, sample in set_aside if name == method}
            _write_scores(root, dataset, method, samples, hard, aside, rng)
            _write_registrations(root / "register" / method / f"{dataset}.npz", samples, aside)
    write_manifest(root / "align" / "multi_pie" / "manifest.parquet", _samples("multi_pie", 6, "train"))
    _write_metrics(root, trained)


def _samples(dataset, subjects, split="test", yaws=YAWS, relit=False):
    if dataset == "bosphorus":
        views = {y: (y, 0.0, 45.0) if y < 0 else (-45.0, 0.0, y) for y in yaws}
        names = [(f"bs{i:03d}_R{abs(y):.0f}", f"bs{i:03d}", views[y]) for i in range(subjects) for y in yaws]
    else:
        names = [(f"{i:04d}_{e}", f"{i:04d}", (np.nan,) * 3) for i in range(subjects) for e in (1, 2)]
    samples = [Sample(name, subject, split, (None,) * 3, yaws=yaws) for name, subject, yaws in names]
    if dataset == "bosphorus" and relit:
        lit = {"illumination": RANDOM_LIGHT}
        samples += [replace(s, sample=f"{s.subject}_relit", **lit) for s in samples[:: len(yaws) + 1]]
    return samples


def _write_scores(root, dataset, method, samples, hard, aside, rng):
    rows = []
    for sample in samples:
        base = max(0.1, mean_of(method) + hard[sample.subject] + rng.normal(0, 0.1))
        for protocol, factor in (("paper", 1.0), ("metrical", 1.3), ("released_code", 0.9)):
            for region in ("all", *REGIONS):
                rmse = float(base * factor * (1 + 0.1 * rng.normal()))
                row = {"sample": sample.sample, "subject": sample.subject, "protocol": protocol, "region": region}
                row |= {"rmse_mm": rmse, "mean_mm": 0.8 * rmse, "points": 100, "error_mm": rmse, "coverage": 0.9}
                row["correspondence_mm"] = 1.5 * rmse + 0.2 if dataset == "pixel_face" else np.nan
                if sample.sample not in aside:
                    rows.append(row | {"status": "ok", "reason": ""})
                elif region == "all":
                    nothing = dict.fromkeys(
                        ("rmse_mm", "mean_mm", "error_mm", "coverage", "correspondence_mm"), np.nan
                    ) | {"points": 0}
                    rows.append(row | nothing | {"status": "set aside", "reason": "no mesh, no score"})
    path = root / "score" / method / f"{dataset}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).assign(method=method, dataset=dataset).to_parquet(path)


def _write_registrations(path, samples, aside):
    names = np.array([sample.sample for sample in samples])
    registered = ~np.isin(names, list(aside))
    converged = registered & (np.arange(len(names)) % 7 > 0)
    write_npz(path, sample=names, status=np.where(registered, "ok", "set aside"), converged=converged)


LOSSES = {
    "deng": ("photo", "landmark_2d", "regularisation", "lighting", "albedo", "perceptual"),
    "shang": ("photo", "landmark_2d", "shape", "texture", "perceptual", "pixel", "depth", "epipolar"),
    "dfmvr": ("photo", "mask", "landmark_2d", "landmark_3d", "regularisation"),
}


def _write_metrics(root, runs):
    for run in runs:
        steps = np.arange(60)
        frame = pd.DataFrame({"step": steps, "epoch": steps // 10, "learning_rate": 1e-3})
        for i, name in enumerate(LOSSES.get(run.partition("_")[0], LOSSES["dfmvr"])):
            frame[name] = np.nan if name == "perceptual" else (i + 1) / (1 + steps / 10)
        path = root / "train" / run / "metrics.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.assign(total=5 / (1 + steps / 10)).to_csv(path, index=False)
