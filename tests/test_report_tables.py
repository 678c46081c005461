import html
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import kendalltau
from toy_study import MEANS, YAWS, write_study

from dfmvr import cli
from dfmvr.config import configuration
from dfmvr.config.evaluation import ReportSection
from dfmvr.errors import DataError
from dfmvr.files import read_json, write_json
from dfmvr.report.check.compare import check_tables
from dfmvr.report.context import SCORE_COLUMNS
from dfmvr.report.tables.comparisons import bootstrapped, compare, samples_by_yaw
from dfmvr.report.tables.errors import errors_of, side_by_side
from dfmvr.report.tables.orders import paper_difference, ranking_frame, verdict
from dfmvr.study.paper import COMPARISONS, paper_numbers

SUBJECTS = 12
ASIDE = (("dfmvr", "0003_1"), ("deng_multi_pie", "bs002_R30"), ("dfmvr_cnn", "0004_2"))
TRAINED = ("dfmvr", "dfmvr_cnn", "deng", "deng_multi_pie", "shang")


# --- errors side by side


def _scores(errors, dataset="pixel_face", **columns):
    """Score rows of errors {method: list}; two samples a subject."""
    rows = [
        {"sample": f"s{i}", "subject": f"p{i // 2}", "method": method, "dataset": dataset, "protocol": "paper"}
        | {"region": "all", "rmse_mm": value, "mean_mm": value / 2, "points": 10, "coverage": 1.0}
        | {"status": "ok" if np.isfinite(value) else "set aside", "reason": "" if np.isfinite(value) else "no scan"}
        for method, values in errors.items()
        for i, value in enumerate(values)
    ]
    return pd.DataFrame(rows)[SCORE_COLUMNS].assign(**columns)


def test_only_samples_that_every_method_was_scored_on_are_compared():
    scores = _scores({"floor": [1, 1, np.nan, 1], "dfmvr": [2, np.nan, 2, 3]})
    for table in (side_by_side(scores, "pixel_face").dropna(), errors_of(scores, "pixel_face").table):
        assert list(table.columns) == ["dfmvr", "floor"]
        assert list(table.index.get_level_values("sample")) == ["s0", "s3"]
    assert len(errors_of(scores, "pixel_face", methods=["floor"]).table) == 3


def test_seeds_are_averaged_sample_by_sample():
    errors = errors_of(_scores({"deng": [1.0, 2], "deng_seed1": [3, 3], "deng_seed2": [2, 4]}), "pixel_face")
    assert errors.table["deng"].tolist() == [2, 3]
    assert errors.seeds == {"deng": 3}
    assert errors.seed_std["deng"] == pytest.approx(np.std([1.5, 3, 3], ddof=1))


def test_the_best_view_is_chosen_for_each_sample_within_each_seed():
    views = {"shang_from_left": [1, 5], "shang_from_front": [2, 4], "shang_from_right": [3, 6]}
    other = {"shang_seed1_from_left": [7, 1], "shang_seed1_from_front": [5, 1], "shang_seed1_from_right": [6, 1]}
    errors = errors_of(_scores(views), "pixel_face")
    assert errors.table.to_dict("list") == {"shang_best": [1, 4], "shang_mean": [2, 5]}
    errors = errors_of(_scores(views | other), "pixel_face")
    assert errors.table["shang_best"].tolist() == [3, 2.5]  # not the smallest of all six
    assert errors.seeds["shang_best"] == 2


def test_views_of_which_one_is_missing_are_no_best():
    scores = _scores({"shang_from_left": [1, 5], "shang_from_front": [2, 4]})
    assert list(errors_of(scores, "pixel_face").table) == ["shang_from_left", "shang_from_front"]
    assert errors_of(scores, "pixel_face", methods=["shang_best", "shang_mean"]).table.empty


def test_comparison_numbers_follow_their_definitions():
    scores = _scores({"mean_face": [4, 2, 3, 3], "dfmvr": [2, 1, 2, 2], "floor": [1, 1, 1, 1]})
    errors = errors_of(scores, "pixel_face")
    rows = compare(bootstrapped(errors, ReportSection(bootstrap=200)), "dfmvr").set_index("method")
    assert rows.loc["dfmvr", "mean_mm"] == 1.75
    assert rows.loc["dfmvr", "std_mm"] == 0.5
    assert rows.loc["dfmvr", "ratio_to_mean_face"] == pytest.approx(1.75 / 3)
    assert rows.loc["mean_face", "difference_to_dfmvr_mm"] == 1.25
    assert rows.loc["dfmvr", "gap_closed"] == pytest.approx(1.25 / 2)
    assert rows.loc[["mean_face", "floor"], "gap_closed"].isna().all()
    assert np.isnan(rows.loc["dfmvr", "difference_to_dfmvr_mm"])
    assert rows["seed_std_mm"].isna().all()


# --- yaws


def _by_yaw(missing=()):
    yaws = (-10, -30, -45)
    rows = [(f"p{i}_{-y}", f"p{i}", y) for i in range(30) for y in yaws if (i, y) not in missing]
    frame = pd.DataFrame(rows, columns=["sample", "subject", "left_yaw"])
    return _scored(frame.assign(illumination=""))


def _scored(frame):
    frame = frame.assign(method="deng", dataset="bosphorus", protocol="paper", region="all", status="ok", rmse_mm=1.0)
    return frame, errors_of(frame, "bosphorus")


def test_columns_of_yaws_have_the_same_subjects():
    found = samples_by_yaw(*_by_yaw({(3, -30), (7, -45)}), 0)
    assert list(found) == ["10", "30", "45", "random"]
    subjects = [{name.partition("_")[0] for name in samples} for samples in found.values()]
    assert subjects[0] == {f"p{i}" for i in range(30)} - {"p3", "p7"}
    assert all(one == subjects[0] for one in subjects)
    assert [len(samples) for samples in found.values()] == [28] * 4


def test_random_yaws_are_drawn_anew_with_another_seed_only():
    draws = [samples_by_yaw(*_by_yaw(), seed)["random"] for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    shares = pd.Series([s.partition("_")[2] for seed in range(40) for s in samples_by_yaw(*_by_yaw(), seed)["random"]])
    np.testing.assert_allclose(shares.value_counts(normalize=True), 1 / 3, atol=0.05)


def test_yaws_drawn_with_the_light_are_the_random_column():
    frame, _ = _by_yaw({(3, -30)})
    people = [i for i in range(30) if i != 7]
    relit = pd.DataFrame({"sample": [f"p{i}_relit" for i in people], "subject": [f"p{i}" for i in people]})
    frame = pd.concat([frame, relit.assign(left_yaw=np.nan, illumination="random")])
    found = samples_by_yaw(*_scored(frame), 0)
    subjects = {f"p{i}" for i in people} - {"p3"}
    assert set(found["random"]) == {f"{subject}_relit" for subject in subjects}
    assert set(found) == {"10", "30", "45", "random"}
    assert all({name.partition("_")[0] for name in samples} == subjects for samples in found.values())


def test_one_yaw_has_no_random_column_and_unknown_yaws_have_none():
    frame, errors = _by_yaw()
    only = frame[frame["left_yaw"] == -45]
    assert list(samples_by_yaw(only, errors_of(only, "bosphorus"), 0)) == ["45"]
    assert samples_by_yaw(frame.assign(left_yaw=np.nan), errors, 0) == {}


# --- what the paper reports


def test_the_papers_numbers_are_those_it_prints():
    printed = {row["method"]: (row["mean"], row["std"]) for row in paper_numbers()["table_1"]}
    assert printed["DF-MVR"] == (1.4402, 0.2959)
    assert printed["Shang et al."] == (1.8877, 0.4378)


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda c: c.name)
def test_every_row_of_the_paper_stands_beside_one_of_ours(comparison):
    printed = [row.get("method", row.get("variant")) for row in paper_numbers()[comparison.name]]
    assert sorted(row.paper for row in comparison.rows.values() if row.paper) == sorted(printed)


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda c: c.name)
def test_the_papers_numbers_have_the_orders_that_are_looked_for(comparison):
    yaws = ("10", "20", "30", "45", "random") if comparison.by_yaw else ("",)
    assert comparison.claims
    for claim in comparison.claims:
        for order in claim.orders:
            found = [paper_difference(comparison, claim, order, yaw) for yaw in yaws]
            assert all(difference < 0 for difference in found) or "without numbers" in claim.place, order


def test_the_papers_numbers_equal_the_shared_ones():
    shared = Path(__file__).parents[2] / "shared" / "paper" / "tables.yaml"
    if not shared.exists():
        pytest.skip("the shared tables of the paper are not here")
    assert paper_numbers() == yaml.safe_load(shared.read_text(encoding="utf-8"))


def test_only_an_interval_without_0_decides():
    cases = {
        (-2, -3, -1): "found",
        (2, 1, 3): "contradicted",
        (-1, -3, 1): "undecided",
        (-1, np.nan, np.nan): "undecided",
    }
    assert [verdict(found) for found in cases] == list(cases.values())


def test_ranks_and_kendalls_tau():
    errors = {"paper": (1, 2, 3, 4), "metrical": (4, 3, 2, 1), "released_code": (1, 3, 2, 4)}
    rows = [
        {"dataset": "d", "protocol": p, "method": m, "rmse_mm": e, "mean_mm": -e}
        for p, values in errors.items()
        for m, e in [*zip("abcd", values, strict=True), ("floor", 0)]
    ]
    frame = ranking_frame(pd.DataFrame(rows), dict.fromkeys(errors, "rmse_mm"), "paper").set_index("protocol")
    assert set(frame["method"]) == set("abcd")
    tau = frame["kendall_tau"].groupby(level=0).first()
    assert tau.to_dict() == {"paper": 1, "metrical": -1, "released_code": pytest.approx(4 / 6)}
    assert frame.loc["metrical", "rank"].tolist() == [4, 3, 2, 1]


# --- a whole study, with scores drawn at random


def _make(root, *arguments):
    given = ["--results", str(root), "--tables", str(root / "tables"), "--settings", '{"bootstrap": 200, "panels": 0}']
    return cli.main(["report", *given, "--output", str(root / "report.html"), *arguments])


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    write_study(root, subjects=SUBJECTS, seeds=(1, 2), set_aside=ASIDE, trained=TRAINED)
    assert _make(root) == 0
    return root


def _table(study, name):
    return pd.read_csv(study / "tables" / f"{name}.csv")


def _errors(study, dataset, method):
    """Errors of a method by sample, as its file has them."""
    rows = pd.read_parquet(study / "score" / method / f"{dataset}.parquet").query(
        "protocol == 'paper' and region == 'all'"
    )
    return rows.set_index("sample")["rmse_mm"].dropna()


def test_every_table_of_the_paper_is_there(study):
    text = (study / "report.html").read_text(encoding="utf-8")
    for comparison in COMPARISONS:
        assert f'<section id="{comparison.name}">' in text
        table = _table(study, comparison.name)
        assert {"mean_face", "floor", comparison.ours} <= set(table["method"])
        assert table["mean_mm"].notna().all()
        assert len(table["samples"].unique()) == 1


def test_each_table_keeps_the_samples_that_its_own_methods_have(study):
    sizes = {name: _table(study, name)["samples"].iloc[0] for name in ("table_1", "table_3", "table_4")}
    assert sizes == {"table_1": 2 * SUBJECTS - 1, "table_3": 2 * SUBJECTS, "table_4": 2 * SUBJECTS - 2}
    assert _table(study, "table_2")["samples"].iloc[0] == SUBJECTS
    # one lacks the view at 30 degrees, two that under another light
    assert _table(study, "table_5")["subjects"].iloc[0] == SUBJECTS - 1 - 2


def test_table_1_holds_the_best_view_and_the_mean_of_the_seeds(study):
    table = _table(study, "table_1").set_index("method")
    samples = _errors(study, "pixel_face", "dfmvr").index
    views = np.stack([_errors(study, "pixel_face", f"shang_from_{v}")[samples] for v in ("left", "front", "right")])
    seeds = np.stack([_errors(study, "pixel_face", m)[samples] for m in ("deng", "deng_seed1", "deng_seed2")])
    assert table.loc["shang_best", "mean_mm"] == pytest.approx(views.min(0).mean(), rel=1e-12)
    assert table.loc["shang_mean", "mean_mm"] == pytest.approx(views.mean(), rel=1e-12)
    assert table.loc["deng", "mean_mm"] == pytest.approx(seeds.mean(), rel=1e-12)
    assert table.loc["deng", "std_mm"] == pytest.approx(seeds.std(1, ddof=1).mean(), rel=1e-12)
    assert table.loc["deng", "seed_std_mm"] == pytest.approx(seeds.mean(1).std(ddof=1), rel=1e-12)
    assert table["seeds"].to_dict() == {m: 3 if m in ("deng", "dfmvr") else 1 for m in table.index}


def test_table_2_has_the_side_views_at_45_degrees(study):
    own = _errors(study, "bosphorus", "dfmvr_multi_pie")
    found = _table(study, "table_2").set_index("method").loc["dfmvr_multi_pie", "mean_mm"]
    assert found == pytest.approx(own[own.index.str.endswith("_R45")].mean(), rel=1e-12)


def test_table_5_has_a_column_for_each_yaw(study):
    table = _table(study, "table_5")
    assert list(dict.fromkeys(table["left_yaw"])) == ["10", "20", "30", "45", "random"]
    own = _errors(study, "bosphorus", "dfmvr_multi_pie")
    own = own[~own.index.str.match("bs00[249]")]
    rows = table[table["method"] == "dfmvr_multi_pie"].set_index("left_yaw")
    for yaw in ("10", "20", "30", "45"):
        assert rows.loc[yaw, "mean_mm"] == pytest.approx(own[own.index.str.endswith(f"_R{yaw}")].mean(), rel=1e-12)
    assert rows.loc["random", "mean_mm"] == pytest.approx(own[own.index.str.endswith("_relit")].mean(), rel=1e-12)
    assert "each subject has a yaw and a light drawn at random" in (study / "report.html").read_text(encoding="utf-8")
    assert rows["paper_mean_mm"].tolist() == [1.4251, 1.4134, 1.4043, 1.3994, 1.4125]
    head = _shown(study, "table_5").split("</thead>")[0]
    assert re.findall(r"right>([^<]+)<", head) == [*("10°", "20°", "30°", "45°", "random") * 2]


def test_the_tables_of_yaws_do_not_ask_to_which_side_the_varied_view_turns(tmp_path):
    methods = ("mean_face", "deng_multi_pie", "dfmvr_multi_pie", "floor")
    found = {}
    for side in (-1, 1):
        root = tmp_path / str(side)
        write_study(root, {"bosphorus": methods}, subjects=5, yaws=[-side * yaw for yaw in YAWS])
        assert _make(root) == 0
        check_tables(root / "tables", root)
        found[side] = [(root / "tables" / f"{name}.csv").read_text() for name in ("table_2", "table_5", "claims")]
    assert found[-1] == found[1]


def _shown(study, name):
    """A table as the page shows it."""
    text = (study / "report.html").read_text(encoding="utf-8")
    return text.split(f'<section id="{name}">')[1].split("</table>")[0]


def test_the_headline_figures_are_those_of_their_tables(study):
    table = _table(study, "headlines").set_index("figure")
    assert table["paper"].tolist() == [13.4, 5.2, 3.0]
    np.testing.assert_allclose(
        table["paper_means"],
        [100 * (1 - 1.4402 / 1.6641), 100 * (1 - 1.5770 / 1.6641), 100 * (1 - 1.3994 / 1.4418)],
    )
    for figure, name, ours, others in (
        ("improvement_over_best_weakly_supervised_pixel_face", "table_1", "dfmvr", ["deng", "shang_best"]),
        ("improvement_without_3d_landmarks_pixel_face", "table_1", "dfmvr_without_l3d", ["deng", "shang_best"]),
        (
            *("improvement_without_3d_landmarks_bosphorus", "table_2", "dfmvr_multi_pie"),
            ["deng_multi_pie", "shang_multi_pie_best"],
        ),
    ):
        means, row = _table(study, name).set_index("method")["mean_mm"], table.loc[figure]
        assert row["ours"] == pytest.approx(100 * (1 - means[ours] / means[others].min()))
        assert row["ours_low"] < row["ours"] < row["ours_high"]


def test_table_4_has_the_papers_columns(study):
    rows = re.findall(r"<tr.*?</tr>", _shown(study, "table_4"))
    cells = [[html.unescape(re.sub("<.*?>", "", c)) for c in re.findall(r"<td.*?</td>", row)] for row in rows]
    printed = {row[0]: row[1:5] for row in cells if row and row[0].startswith("v")}
    assert printed["v1"] == ["CNN", "RedNet", "Y", "Y"]
    assert printed["v4"] == ["Tri-Unet", "RedNet", "N", "Y"]
    assert printed["v5"] == ["Tri-Unet", "RedNet", "Y", "N"]
    assert sorted(printed) == ["v1", "v2", "v3", "v4", "v5", "v6"]
    alone = [row[1:5] for row in cells if row and row[0].startswith("face mask alone")]
    assert alone == [["Tri-Unet", "RedNet", "Y", "Y"]]


def test_paired_differences_are_those_to_the_tables_own_reference(study):
    table = _table(study, "table_3").set_index("method")
    pair = [_errors(study, "pixel_face", m) for m in ("dfmvr_mixed", "dfmvr_mixed_from_front")]
    assert table.loc["dfmvr_mixed", "difference_to_dfmvr_mm"] == pytest.approx((pair[0] - pair[1]).mean(), rel=1e-9)
    assert np.isnan(table.loc["dfmvr_mixed_from_front", "difference_to_dfmvr_mm"])


def test_orders_are_found_as_the_scores_have_them(study):
    claims = _table(study, "claims").query("table == 'table_4' and of == 'mean'").set_index("worse")
    v1 = claims.loc["dfmvr_cnn"]
    assert v1["verdict"] == ("found" if v1["decided_high"] < 0 else "undecided")
    assert v1["difference_mm"] == pytest.approx(MEANS["dfmvr"] - MEANS["dfmvr_cnn"], abs=0.1)
    assert claims["paper_difference_mm"].round(4).loc["dfmvr_without_mask"] == -0.0254
    text = (study / "report.html").read_text(encoding="utf-8")
    printed = _table(study, "claims").query("of == 'mean' and paper_difference_mm < 0")
    counts = printed["verdict"].value_counts()
    assert counts.sum() == 27
    assert f"{counts['found']} of {counts.sum()} are found here" in " ".join(text.split())


def test_an_order_that_is_the_other_way_round_is_called_contradicted(tmp_path):
    write_study(tmp_path, {"pixel_face": ("mean_face", "dfmvr", "dfmvr_without_l3d", "floor")}, subjects=6)
    for method, shift in (("dfmvr", 2.0), ("dfmvr_without_l3d", 0.0)):
        path = tmp_path / "score" / method / "pixel_face.parquet"
        table = pd.read_parquet(path)
        table.assign(rmse_mm=table["rmse_mm"] + shift).to_parquet(path)
    assert _make(tmp_path) == 0
    claims = _table(tmp_path, "claims").query("of == 'mean'").set_index(["better", "worse"])["verdict"]
    assert claims["dfmvr", "dfmvr_without_l3d"] == "contradicted"
    assert claims["dfmvr", "deng"] == "not run"
    text = " ".join((tmp_path / "report.html").read_text(encoding="utf-8").split())
    assert "<strong>Contradicted.</strong> DF-MVR has the smallest mean error (Table I, V-B;" in text
    assert "<li>DF-MVR before DF-MVR (w/o L<sub>l3d</sub>): +" in text
    assert "<li>DF-MVR before Deng et al.: a method has no scores.</li>" in text
    assert "it has learnt nothing of use" in text


def test_the_order_of_the_methods_is_compared_between_protocols(study):
    ranks = _table(study, "rankings").query("dataset == 'pixel_face'")
    protocols = _table(study, "protocols").query("dataset == 'pixel_face' and method != 'floor'")
    wide = protocols.pivot(index="method", columns="protocol", values=["rmse_mm", "mean_mm"])
    expected = kendalltau(wide["rmse_mm", "paper"], wide["mean_mm", "released_code"]).statistic
    found = ranks.query("protocol == 'released_code'")["kendall_tau"].unique()
    np.testing.assert_allclose(found, [expected], rtol=1e-12)
    first = ranks.query("protocol == 'paper' and rank == 1").iloc[0]
    assert first["method"] == wide["rmse_mm", "paper"].idxmin()


def test_registrations_that_did_not_converge_are_counted(study):
    counts = _table(study, "samples").query("dataset == 'pixel_face'").set_index("step")["not_converged"]
    arrays = np.load(study / "register" / "dfmvr" / "pixel_face.npz")
    failed = (arrays["status"] == "ok") & ~arrays["converged"]
    assert 0 < failed.sum() == counts["score, DF-MVR"]
    assert np.isnan(counts["align, test"])


def test_trainings_stand_with_their_own_losses_and_data(study):
    deng = _table(study, "losses_deng").set_index("method")
    assert deng["dataset"].to_dict() == {"deng": "pixel_face", "deng_multi_pie": "multi_pie"}
    assert {"lighting", "albedo"} <= set(deng)
    assert "perceptual" not in deng  # never trained for: without a face recognition network it is left out
    assert "mask" in _table(study, "losses")
    assert {"pixel", "depth", "epipolar"} <= set(_table(study, "losses_shang"))
    names = {path.stem for path in (study / "tables" / "figures").glob("training_*.svg")}
    assert names == {
        f"training_{n}" for n in ("df_mvr_pixel_face", "deng_pixel_face", "deng_multi_pie", "shang_pixel_face")
    }


def test_no_stand_in_bears_the_name_of_the_real_data(study):
    text = re.sub(r"data:image/[^\"]*", "", (study / "report.html").read_text(encoding="utf-8"))
    text = text.split("<summary>Settings")[0]
    assert not re.search(r"(?<!licensed )(Pixel-Face|Bosphorus|Multi-PIE)(?! stand-in)", text)


def test_licensed_data_bear_their_names_and_compare_with_the_papers(tmp_path):
    write_study(tmp_path, {"bosphorus": ("mean_face", "dfmvr_multi_pie", "floor")}, subjects=4)
    given = configuration.validate(
        {"datasets": {"bosphorus": {"root": "b"}}, "report": {"data_names": {"bosphorus": "Bosphorus"}}}
    )
    assert _make(tmp_path, "--study", given.as_json()) == 0
    shown = _shown(tmp_path, "table_2")
    assert "paper&#x27;s own, Bosphorus" in shown
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "those are other faces" not in text


def test_all_latex_tables_compile(study, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    body = "\n".join(path.read_text(encoding="utf-8") for path in sorted((study / "tables").glob("*.tex")))
    preamble = r"\documentclass{article}\usepackage[utf8]{inputenc}\usepackage{booktabs,graphicx}\begin{document}"
    (tmp_path / "all.tex").write_text(preamble + "\n" + body + "\n" + r"\end{document}", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


def test_scores_of_table_1_alone_give_table_1_alone(tmp_path):
    write_study(tmp_path, subjects=4)
    methods = ("mean_face", "shang_from_left", "shang_from_front", "shang_from_right", "deng")
    methods += ("dfmvr_without_l3d", "dfmvr", "floor")
    assert _make(tmp_path, "--scores", *(str(tmp_path / "score" / m / "pixel_face.parquet") for m in methods)) == 0
    tables = {path.stem for path in (tmp_path / "tables").glob("table_*.csv")}
    assert tables == {"table_1"}
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "not run" not in text.split('<section id="table_1">')[1].split("</table>")[0]
    assert not re.search("Multi-PIE|Bosphorus", text.split("<summary>Settings")[0])


def test_data_with_other_yaws_have_a_table_5_of_their_own(tmp_path):
    methods = ("mean_face", "dfmvr_multi_pie", "floor")
    write_study(tmp_path, {"bosphorus": methods}, subjects=5, yaws=(-15.0, -60.0), relit=False)
    assert _make(tmp_path) == 0
    assert not (tmp_path / "tables" / "table_2.csv").exists()
    table = _table(tmp_path, "table_5")
    assert list(dict.fromkeys(table["left_yaw"])) == ["15", "60", "random"]
    assert "each subject has a yaw drawn at random" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert table["paper_mean_mm"].dropna().tolist() == [1.4416, 1.4905, 1.4125]  # it has no yaws but the random ones
    check_tables(tmp_path / "tables", tmp_path)


def test_errors_of_corresponding_points_stand_where_they_are_known(tmp_path):
    write_study(tmp_path, subjects=4)
    assert _make(tmp_path) == 0
    table = _table(tmp_path, "correspondence").set_index("method")
    assert set(table["dataset"]) == {"pixel_face"}
    scores = pd.concat(pd.read_parquet(p) for p in (tmp_path / "score").glob("*/pixel_face.parquet"))
    scores = scores[(scores["protocol"] == "paper") & (scores["region"] == "all")]
    wide = scores.pivot(index="sample", columns="method", values="correspondence_mm").dropna()
    assert table.loc["dfmvr", "correspondence_mm"] == pytest.approx(wide["dfmvr"].mean())
    ratio = wide["dfmvr"].mean() / wide["mean_face"].mean()
    assert table.loc["dfmvr", "ratio_to_mean_face"] == pytest.approx(ratio)
    check_tables(tmp_path / "tables", tmp_path)


# --- the check


def _check(study, tables):
    return cli.main(["report", "--check", "--results", str(study), "--tables", str(tables)])


@pytest.fixture
def tables(study, tmp_path):
    return shutil.copytree(study / "tables", tmp_path / "tables")


def test_the_tables_of_a_study_pass_the_check(study, tables):
    assert _check(study, tables) == 0


def _numbers(frame):
    """Columns whose numbers are computed."""
    return [c for c in frame if frame[c].dtype.kind in "if" and frame[c].notna().any()]


def test_one_changed_number_a_table_is_one_difference_each(study, tables):
    paths = sorted(tables.glob("*.csv"))
    rng = np.random.default_rng(0)
    for path in paths:
        frame = pd.read_csv(path, dtype={"left_yaw": str, "sample": str})
        if path.stem == "set_aside":
            frame.loc[0, "reason"] = "another"
        else:
            large = frame[_numbers(frame)].abs() > 0.02  # what is changed by less than the tolerance is no difference
            column = rng.choice(large.columns[large.any()])
            row = rng.choice(np.flatnonzero(large[column]))
            frame[column] = frame[column].astype(float)
            frame.loc[row, column] *= 1 + 1e-7
        frame.to_csv(path, index=False)
    with pytest.raises(DataError, match="run `dfmvr report` again") as caught:
        check_tables(tables, study)
    text = str(caught.value)
    assert text.count(": expected ") + int(re.search(r"and (\d+) more", text)[1]) == len(paths) >= 14
    assert "\n" not in text


def test_a_changed_number_is_told_with_its_place(study, tables, capsys):
    path = tables / "table_4.csv"
    path.write_text(path.read_text().replace("1.5415", "1.5416"))
    assert _check(study, tables) == 2
    assert "table_4.csv, pixel_face dfmvr_cnn, paper_mean_mm: expected 1.5415, found 1.5416" in capsys.readouterr().err


def _without_a_row(tables):
    path = tables / "table_2.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def _with_a_row_twice(tables):
    path = tables / "regions.csv"
    path.write_text(path.read_text() + path.read_text().splitlines(keepends=True)[-1])


def _with_another_table(tables):
    shutil.copy(tables / "table_1.csv", tables / "table_6.csv")


def _with_a_new_column(tables):
    pd.read_csv(tables / "claims.csv").assign(p_value=0.01).to_csv(tables / "claims.csv", index=False)


def _with_a_broken_file(tables):
    (tables / "table_1.csv").write_bytes(b"\xff\xfe\x00")


def _with_another_seed(tables):
    write_json(tables / "made.json", read_json(tables / "made.json") | {"seed": 5})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_a_row, "table_2.csv, bosphorus floor: no such row"),
        (_with_a_row_twice, "regions.csv, bosphorus floor: twice"),
        (_with_another_table, "table_6.csv: the results give no such table"),
        (lambda tables: (tables / "rankings.csv").unlink(), "rankings.csv: no such table"),
        (_with_a_new_column, "p_value: expected nan, found 0.01"),
        (_with_a_broken_file, "table_1.csv: not a readable table"),
        (_with_another_seed, "mean_mm_low: expected"),
        (lambda tables: (tables / "made.json").unlink(), "made.json"),
        (lambda tables: write_json(tables / "made.json", {"seed": 0}), "of which it lacks bootstrap"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_missing_too_much_or_broken_is_told(study, tables, spoil, message):
    spoil(tables)
    with pytest.raises(DataError, match=re.escape(message)):
        check_tables(tables, study)


def test_the_check_names_results_that_are_missing(tables, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        check_tables(tables, tmp_path / "elsewhere")


def test_a_page_needs_a_name(study):
    assert cli.main(["report", "--results", str(study), "--tables", str(study / "other")]) == 2
