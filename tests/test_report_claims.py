import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t
from toy_study import write_study

from dfmvr.config.configuration import Config
from dfmvr.config.evaluation import ReportSection
from dfmvr.report.context import read_context
from dfmvr.report.sections.reasons import reasons
from dfmvr.report.tables import best_view, orders
from dfmvr.report.tables.comparisons import bootstrapped, bootstrapped_std
from dfmvr.report.tables.errors import PairedErrors, errors_of, side_by_side
from dfmvr.report.tables.orders import people_needed, verdict_of_all
from dfmvr.report.tables.seeds import SeedSpread, seed_spread, with_seeds
from dfmvr.report.tables.statistics import Interval
from dfmvr.study.paper import ClaimedOrder, paper_claims

SETTINGS = ReportSection(bootstrap=300)


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    write_study(root, subjects=10, seeds=(1, 2))
    configuration = Config(report=SETTINGS)
    return read_context(root, configuration, root / "tables", configured=True)


# --- what is claimed


def test_an_order_is_a_sum_of_methods():
    assert ClaimedOrder("a", "b").weights == {"a": 1, "b": -1}
    assert ClaimedOrder("a - b", "c - a").weights == {"a": 2, "b": -1, "c": -1}
    assert ClaimedOrder("a - b", "c - b").weights == {"a": 1, "c": -1}
    assert ClaimedOrder("a", "b").plain
    assert not ClaimedOrder("a - b", "c - a").plain
    assert ClaimedOrder("a - b", "c").told({"a": "A", "b": "B", "c": "C"}) == ["A \N{MINUS SIGN} B", "C"]


def test_no_order_is_claimed_twice_by_a_table():
    claimed = [(claim.table, claim.of, order) for claim in paper_claims() for order in claim.orders]
    assert len(set(claimed)) == len(claimed)


def test_a_claim_is_found_where_all_of_its_orders_are():
    cases = {
        ("found", "found"): "found",
        ("found", "undecided"): "undecided",
        ("found", "not run"): "undecided",
        ("undecided", "contradicted", "found"): "contradicted",
        ("not run", "not run"): "not run",
    }
    assert [verdict_of_all(case) for case in cases] == list(cases.values())


# --- seeds


def test_the_spread_over_seeds_is_pooled_over_the_trainings(context):
    wide = side_by_side(context.scores, "pixel_face").dropna()
    means = {m: [wide[k].mean() for k in (m, f"{m}_seed1", f"{m}_seed2")] for m in ("dfmvr", "deng")}
    found = seed_spread(context, "pixel_face", "mean")
    assert found.degrees == 4
    assert found.std_mm == pytest.approx(np.sqrt(np.mean([np.var(own, ddof=1) for own in means.values()])))
    assert seed_spread(context, "bosphorus", "mean") == (0.0, 0)


def test_what_has_no_network_has_no_seeds():
    spread = SeedSpread(0.1, 3)
    seeds = {"dfmvr": 2, "deng": 1, "mean_face": 1}
    alone = spread.half_width({"dfmvr": 1, "mean_face": -1}, seeds)
    assert alone == pytest.approx(t.ppf(0.975, 3) * 0.1 / np.sqrt(2))
    assert spread.half_width({"dfmvr": 1, "deng": -1}, seeds) == pytest.approx(alone * np.sqrt(3))
    assert SeedSpread(0.0, 0).half_width({"dfmvr": 1}, seeds) == 0


def test_without_seeds_an_interval_stays_as_it_is():
    interval = Interval(1.0, 0.5, 2.0)
    assert with_seeds(interval, 0.0) == interval
    assert with_seeds(interval, 1.2) == pytest.approx((1.0, 1 - 1.3, 1 + np.hypot(1, 1.2)))


def test_intervals_with_seeds_cover_as_often_as_they_say():
    """Two methods of the same mean error, trained twice as two others are: how often the interval holds 0."""
    rng = np.random.default_rng(0)
    people, runs, of_seed, of_person = 40, 2000, 0.03, 0.15
    covered = {"people": 0, "both": 0}
    for _ in range(runs):
        trainings = rng.normal(0, of_seed, (4, 2))
        apart = trainings[0].mean() - trainings[1].mean() + rng.normal(0, of_person, people)
        half = t.ppf(0.975, people - 1) * apart.std(ddof=1) / np.sqrt(people)
        over_people = Interval(apart.mean(), apart.mean() - half, apart.mean() + half)
        spread = SeedSpread(float(np.sqrt(trainings.var(axis=1, ddof=1).mean())), 4)
        both = with_seeds(over_people, spread.half_width({"dfmvr": 1, "deng": -1}, {"dfmvr": 2, "deng": 2}))
        for name, (_, low, high) in (("people", over_people), ("both", both)):
            covered[name] += low <= 0 <= high
    assert covered["both"] / runs == pytest.approx(0.955, abs=0.02)
    assert covered["people"] / runs < 0.85


# --- standard deviations


def test_standard_deviations_are_resampled_as_their_definition_has_it():
    rng = np.random.default_rng(3)
    errors, subjects = rng.gamma(4, 0.3, (12, 3)), np.repeat(np.arange(6), 2)
    index = pd.MultiIndex.from_arrays([subjects, range(12)], names=["subject", "sample"])
    every = pd.DataFrame(errors, index, pd.MultiIndex.from_tuples([("deng", 0), ("deng", 1), ("dfmvr", 0)]))
    table = pd.DataFrame({"deng": errors[:, :2].mean(1), "dfmvr": errors[:, 2]}, index)
    paired = PairedErrors("pixel_face", table, {"deng": 2, "dfmvr": 1}, {}, every)
    found = bootstrapped_std(paired, SETTINGS).resampled
    assert found.means == pytest.approx([errors[:, :2].std(0, ddof=1).mean(), errors[:, 2].std(ddof=1)])
    means = bootstrapped(paired, SETTINGS).resampled.replicates
    # of means and of standard deviations the same people are drawn: those that give this mean of one method
    drawn = [np.array(people) for people in np.ndindex(*(6,) * 6) if list(people) == sorted(people)]
    for mean, std in zip(means[:5], found.replicates[:5], strict=True):
        samples = min(
            (np.concatenate([np.flatnonzero(subjects == p) for p in people]) for people in drawn),
            key=lambda rows, mean=mean: abs(errors[rows, 2].mean() - mean[1]),
        )
        naive = [errors[samples, k].std() * np.sqrt(12 / 11) for k in range(3)]
        assert std == pytest.approx([np.mean(naive[:2]), naive[2]])


# --- people needed


def test_as_many_people_as_are_needed_tell_the_difference():
    needed = people_needed(Interval(0.0, -0.2, 0.2), 0.0, -0.1, 40)
    assert needed == 160  # twice as narrow
    with_those = with_seeds(Interval(0.0, -0.2 * np.sqrt(40 / 190), 0.2 * np.sqrt(40 / 190)), 0.04)
    assert people_needed(Interval(0.0, -0.2, 0.2), 0.04, -0.1, 40) == 191
    assert with_those.high == pytest.approx(0.1, abs=1e-3)
    assert np.isnan(people_needed(Interval(0.0, -0.2, 0.2), 0.11, -0.1, 40))
    assert np.isnan(people_needed(Interval(0.0, -0.2, 0.2), 0.0, np.nan, 40))


# --- the best of three views


def test_the_best_view_is_worth_what_the_scores_say(context):
    wide = side_by_side(context.scores, "pixel_face").loc[errors_of(context.scores, "pixel_face").table.index]
    frame = best_view.worth_frame(context).set_index(["dataset", "method", "rule"]).sort_index()
    for variant in ("shang", "dfmvr_mixed"):
        views = np.stack([wide[f"{variant}_from_{view}"] for view in ("left", "front", "right")])
        own = frame.loc["pixel_face", variant]
        expected = {"best": views.min(0).mean(), "mean": views.mean(), "front": views[1].mean()}
        assert own["mean_mm"].to_dict() == pytest.approx(expected)
        for rule in ("mean", "front"):
            row = own.loc[rule]
            assert row["worth_mm"] == pytest.approx(expected[rule] - expected["best"])
            assert 0 < row["worth_mm_low"] < row["worth_mm"] < row["worth_mm_high"]


def test_orders_without_the_choice_are_those_of_the_other_rule(context):
    wide = side_by_side(context.scores, "pixel_face").loc[errors_of(context.scores, "pixel_face").table.index]
    frame = (
        best_view.orders_frame(context)
        .query("dataset == 'pixel_face'")
        .set_index(["better", "worse", "rule"])
        .sort_index()
    )
    shang = wide[[f"shang_from_{view}" for view in ("left", "front", "right")]]
    mixed = wide[[f"dfmvr_mixed_from_{view}" for view in ("left", "front", "right")]]
    ours = wide["dfmvr_mixed_from_front"]
    expected = {
        "best": ours - shang.min(axis=1),
        "mean": ours - shang.mean(axis=1),
        "front": ours - shang["shang_from_front"],
        "both": mixed.min(axis=1) - shang.min(axis=1),
    }
    own = frame.loc["dfmvr_mixed_from_front", "shang_best"]["difference_mm"]
    assert own.to_dict() == pytest.approx({rule: apart.mean() for rule, apart in expected.items()})
    assert set(frame.loc["dfmvr", "shang_best"].index) == {"best", "mean", "front"}
    claims = orders.tested_claims(context).query("dataset == 'pixel_face' and of == 'mean' and table == 'table_1'")
    claims = claims.set_index(["better", "worse"])
    assert frame.loc["dfmvr", "shang_best", "best"]["difference_mm"] == pytest.approx(
        claims.loc["dfmvr", "shang_best"]["difference_mm"]
    )


# --- words


ROW = {
    **{"dataset": "d", "table": "table_1", "better": "dfmvr", "worse": "shang_best", "of": "mean", "left_yaw": ""},
    **{"difference_mm": 0.02, "difference_mm_low": -0.01, "difference_mm_high": 0.05, "verdict": "undecided"},
    **{"decided_low": -0.01, "decided_high": 0.05, "seeds_mm": 0.0, "paper_difference_mm": -0.3, "subjects": 40},
    **{"gap_better": 0.5, "gap_worse": 0.4, "people_needed": 1},
    **{"same_point_mm": np.nan, "same_point_mm_low": np.nan, "same_point_mm_high": np.nan},
}
WORTH = pd.DataFrame(
    [{"dataset": "d", "method": "shang", "rule": "mean", "worth_mm": 0.07, "worth_mm_low": 0.05, "worth_mm_high": 0.08}]
)
RULES = pd.DataFrame([ROW | {"rule": "mean", "difference_mm": -0.05, "decided_low": -0.08, "decided_high": -0.02}])
RULES["verdict"] = "found"


def _reasons(**changed):
    rules = RULES if changed.pop("choice", False) else RULES.iloc[:0]
    return " ".join(reasons(pd.Series(ROW | changed), WORTH, rules))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"verdict": "found"}, ""),
        ({"difference_mm": np.nan, "verdict": "not run"}, ""),
        ({}, "A difference as large as the paper's, −0.300 mm, is excluded."),
        ({"paper_difference_mm": np.nan}, "The scores tell no reason."),
        ({"gap_better": 0.05, "gap_worse": 0.1}, "they close 5 % and 10 % of the gap"),
        ({"paper_difference_mm": -0.005, "people_needed": 700.0}, "need some 700 people, where there are 40"),
        ({"paper_difference_mm": -0.005, "people_needed": np.nan}, "Seeds differ by as much as the paper's"),
        ({"difference_mm_low": 0.01, "seeds_mm": 0.03}, "alone it would be contradicted, but another seed may move"),
        ({"same_point_mm": -0.1, "same_point_mm_low": -0.2, "same_point_mm_high": -0.05}, "it is found: −0.100 mm"),
        ({"choice": True}, "worth 0.070 mm (0.050 to 0.080) to Shang et al.; without it"),
        ({"choice": True}, "the difference is −0.050 mm (−0.080 to −0.020), found"),
    ],
)
def test_reasons_are_told_where_the_numbers_have_them(changed, told):
    found = _reasons(**changed)
    assert told in found
    assert bool(told) == bool(found)


def test_reasons_are_not_told_where_the_numbers_have_none():
    found = _reasons(paper_difference_mm=-0.005, people_needed=30)
    assert found == "The scores tell no reason."
    assert not re.search("close|people", _reasons(gap_worse=0.19, gap_better=0.21))
