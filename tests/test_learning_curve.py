"""The law through errors after several numbers of steps, against closed forms, and its chapter."""

import json
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares
from toy_study import MEANS, write_study

from dfmvr import cli
from dfmvr.config import configuration
from dfmvr.errors import DataError
from dfmvr.report.check.compare import check_tables
from dfmvr.report.tables.power_law import PowerLaw, fit, fit_curve, steepens

ROOT = Path(__file__).parents[1]

STEPS = np.array([50, 150, 450, 1350])


@pytest.mark.parametrize("points", [3, 4])
@pytest.mark.parametrize("exponent", [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("floor", [0.4, 1.2])
def test_a_law_is_found_again(points, exponent, floor):
    law = PowerLaw(*map(np.array, (floor, 3.0, exponent)))
    found = fit(STEPS[:points], law.error(STEPS[:points]), 0.35)
    # the shorter and the flatter, the less a point tells of where it ends
    assert found == pytest.approx((floor, 3.0, exponent), rel=2e-3)


def test_many_laws_are_fitted_as_each_alone():
    errors = np.random.default_rng(0).uniform(1, 2, (3, 2, 4)).cumsum(-1)[..., ::-1]
    found = fit(STEPS, errors, 0.3)
    assert found.floor.shape == (3, 2)
    alone = fit(STEPS, errors[2, 1], 0.3)
    np.testing.assert_array_equal([part[2, 1] for part in found], alone)


@pytest.mark.parametrize("seed", range(6))
def test_no_other_law_is_nearer(seed):
    """Against a general optimiser, begun in many places."""
    rng = np.random.default_rng(seed)
    errors, least = 1.2 + np.sort(rng.uniform(0, 0.6, 4))[::-1], 0.9 + 0.3 * (seed % 2)

    def off(law):
        return law[0] + law[1] * (STEPS / 50.0) ** -law[2] - errors

    ends = ([least, 0, 0.05], [np.inf, np.inf, 3.0])
    starts = [(least + 0.1, a, b) for a in (0.1, 1.0) for b in (0.1, 0.5, 1.5, 2.9)]
    best = min(least_squares(off, start, bounds=ends, xtol=1e-14, ftol=1e-14).cost for start in starts)
    found = fit(STEPS, errors, least)
    assert found.floor >= least
    assert ((found.error(STEPS) - errors) ** 2).sum() / 2 <= best * (1 + 1e-6) + 1e-12


def test_errors_that_grow_give_no_law_that_falls():
    found = fit(STEPS, np.array([1.0, 1.1, 1.2, 1.3]))
    assert found.factor == 0
    assert found.floor == pytest.approx(1.15)
    assert found.steps(np.array(1.1)) == np.inf


def test_steps_are_those_after_which_the_error_is_reached():
    law = PowerLaw(*map(np.array, (0.5, 4.0, 0.4)))
    steps = np.array([10.0, 1e3, 1e6])
    for many in steps:
        assert law.steps(law.error(np.array([many]))[0]) == pytest.approx(many)
    assert law.steps(np.array(0.5)) == law.steps(np.array(0.4)) == np.inf


def test_errors_that_fall_ever_faster_follow_no_such_law():
    assert steepens(STEPS, np.array([1.70, 1.67, 1.50, 1.10]), 0.35)
    for floor in (0.35, 0.8):
        for exponent in (0.1, 0.5, 2.0):
            law = PowerLaw(*map(np.array, (floor, 3.0, exponent)))
            assert not steepens(STEPS, law.error(STEPS) + 1e-9 * np.arange(4), 0.35)


def test_two_lengths_are_too_few():
    with pytest.raises(ValueError, match="3 different numbers"):
        fit(np.array([10, 100, 100]), np.ones(3))


def test_intervals_hold_the_true_law():
    """Errors of people about a law: its exponent, floor and steps lie within their intervals as often as they say."""
    law, target = PowerLaw(*map(np.array, (0.8, 4.0, 0.45))), 0.95
    true = {"floor": 0.8, "exponent": 0.45, "steps": float(law.steps(np.array(target)))}
    rng, held, runs, people = np.random.default_rng(1), dict.fromkeys(true, 0), 60, 40
    for _ in range(runs):
        errors = law.error(STEPS) + rng.normal(0, 0.2, (people, 1)) + rng.normal(0, 0.05, (people, 4))
        errors -= errors[:, -1:].mean() - law.error(STEPS)[-1] + rng.normal(0, 0.008)
        draws = rng.multinomial(people, [1 / people] * people, 300) / people
        curve = fit_curve(STEPS, errors.mean(0), draws @ errors, 0.3, people, rng.normal(size=(300, 4)))
        found = {name: curve.interval(name) for name in ("floor", "exponent")}
        found["steps"] = curve.steps_to(target, np.full(300, target))
        for name, (_, low, high) in found.items():
            held[name] += low <= true[name] <= high
    assert min(held.values()) / runs > 0.85, held


# --- the chapter


def test_the_configuration_has_two_curves_by_the_settings_of_the_night():
    given, night = (configuration.load(ROOT / "config" / f"{name}.yaml") for name in ("learning_curve", "night"))
    curves = defaultdict(set)
    for name in given.trained_on():
        training = json.loads(given.training(name))
        base = "dfmvr" if training["loss"]["landmark_3d"] else "dfmvr_without_l3d"
        curves[base].add(training["epochs"])
        assert training | {"epochs": 0} == json.loads(night.training(base)) | {"epochs": 0}, name
    assert curves == {"dfmvr": {1, 3, 9, 27}, "dfmvr_without_l3d": {1, 3, 9, 27}}


LENGTHS = {"dfmvr_1_epoch": 50, "dfmvr_3_epochs": 150, "dfmvr_9_epochs": 450}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    given = {"dfmvr_1_epoch": 1.65, "dfmvr_3_epochs": 1.4, "dfmvr_9_epochs": 1.25, "dfmvr_masked": 1.3}
    MEANS.update(given)
    try:
        write_study(root, {"pixel_face": ("mean_face", *given, "floor")}, subjects=10, trained=tuple(given))
    finally:
        for name in given:
            del MEANS[name]
    for name, steps in (LENGTHS | {"dfmvr_masked": 900}).items():
        frame = pd.DataFrame({"step": range(steps), "epoch": np.arange(steps) // 50, "total": 1.0})
        frame.to_csv(root / "train" / name / "metrics.csv", index=False)
    variants = {name: {"epochs": steps // 50} for name, steps in LENGTHS.items()}
    variants["dfmvr_masked"] = {"epochs": 18, "loss": {"mask": 1.0}}
    given_study = json.dumps({"variants": variants, "study": {"tests": {"pixel_face": list(variants)}}})
    given = ["--settings", '{"bootstrap": 200, "panels": 0}', "--study", given_study]
    paths = ["--results", root, "--tables", root / "tables", "--output", root / "report.html"]
    assert cli.main(["report", *map(str, paths), *given]) == 0
    return root


def test_trainings_that_differ_in_length_alone_are_one_curve(study):
    points = pd.read_csv(study / "tables" / "learning_curve.csv")
    assert set(points["curve"]) == {"dfmvr"}
    assert dict(zip(points["method"], points["steps"], strict=True)) == LENGTHS
    assert points["mean_mm"].is_monotonic_decreasing
    fits = pd.read_csv(study / "tables" / "learning_curve_fit.csv").iloc[0]
    law = PowerLaw(*(np.array(fits[name]) for name in ("floor_mm", "factor_mm", "exponent")))
    np.testing.assert_allclose(law.error(points["steps"]), points["mean_mm"], atol=1e-3)
    assert fits["steps_20_low"] <= fits["steps_20"] <= fits["steps_40"] <= fits["steps_40_high"]
    text = (study / "report.html").read_text(encoding="utf-8")
    assert "steps at which so much of the gap is closed" in text
    assert (study / "tables" / "figures" / "learning_curve.svg").exists()


def test_the_law_passes_the_check_and_another_does_not(study, tmp_path):
    check_tables(study / "tables", study)
    tables = shutil.copytree(study / "tables", tmp_path / "tables")
    for name, column in (("learning_curve", "steps"), ("learning_curve_fit", "exponent_high")):
        frame = pd.read_csv(tables / f"{name}.csv")
        frame.assign(**{column: frame[column] * 1.001}).to_csv(tables / f"{name}.csv", index=False)
    with pytest.raises(DataError, match=r"learning_curve_fit\.csv, pixel_face dfmvr, exponent_high: expected"):
        check_tables(tables, study)
