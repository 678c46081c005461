"""The report on a study of which everything is known: statistics, tables, the page, and what is missing or broken."""

import base64
import io
import json
import re
import shutil
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch
from page_reader import Reader
from PIL import Image
from scipy.stats import t
from toy_results import BROKEN, CROP_PX, NAMES, SCANNED, UNALIGNED, context_of, report

from dfmvr import cli
from dfmvr.config.configuration import Config
from dfmvr.conventions import REGIONS
from dfmvr.errors import DataError
from dfmvr.face_model.views import render_views
from dfmvr.report.check.compare import check_tables
from dfmvr.report.context import read_benchmarks
from dfmvr.report.figures.exhibits import choose_samples
from dfmvr.report.figures.pictures import see_mesh, shade_seen, whole_millimetres
from dfmvr.report.figures.style import error_colours
from dfmvr.report.tables.run_tables import runtime_table
from dfmvr.report.tables.statistics import percentile_interval, resample_means
from dfmvr.report.tables.table import Column, Table, html_table, interval, latex_table, number, to_html, to_latex

METHODS = ("mean_face", "dfmvr_without_l3d", "dfmvr", "floor")


@pytest.fixture(scope="module")
def page(results, tmp_path_factory):
    output = tmp_path_factory.mktemp("page") / "report.html"
    assert report(results, output, METHODS) == 0
    return output.read_text(encoding="utf-8"), output.parent / "tables"


@pytest.fixture
def copied(results, tmp_path):
    return shutil.copytree(results, tmp_path / "results")


# --- statistics


def test_intervals_of_a_normal_mean_cover_it_as_often_as_they_say():
    rng = np.random.default_rng(1)
    hits, trials, subjects = 0, 600, 12
    for _ in range(trials):
        values = rng.normal(3, 1, (subjects, 1))
        low, high = resample_means(values, np.arange(subjects), 800, rng).interval(lambda m: m[..., 0])[1:]
        hits += low <= 3 <= high
    assert 0.925 < hits / trials < 0.975  # 95 % within three standard errors of 600 trials


def test_the_interval_of_a_mean_is_students():
    rng = np.random.default_rng(2)
    values = rng.normal(0, 2, (40, 1))
    found = resample_means(values, np.arange(40), 40000, rng).interval(lambda m: m[..., 0])
    half = t.ppf(0.975, 39) * values.std(ddof=1) / np.sqrt(40)
    np.testing.assert_allclose(found, [values.mean(), values.mean() - half, values.mean() + half], atol=0.05 * half)


def test_a_constant_difference_and_a_constant_ratio_have_no_spread():
    rng = np.random.default_rng(3)
    first = rng.uniform(1, 2, 30)
    resampled = resample_means(np.stack([first, first - 0.25, 2 * first], -1), np.arange(30), 200, rng)
    assert resampled.interval(lambda m: m[..., 0] - m[..., 1]) == pytest.approx((0.25, 0.25, 0.25))
    assert resampled.interval(lambda m: m[..., 2] / m[..., 0]) == pytest.approx((2, 2, 2))


def test_copies_of_a_sample_add_no_certainty():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(25, 1))
    once = resample_means(values, np.arange(25), 20000, rng)
    thrice = resample_means(np.repeat(values, 3, 0), np.repeat(np.arange(25), 3), 20000, rng)
    assert thrice.subjects == 25
    np.testing.assert_allclose(thrice.replicates.std(), once.replicates.std(), rtol=0.03)


def test_resampled_means_equal_a_slow_resampling_of_unequal_subjects():
    values, subjects = np.array([[1.0], [2], [6], [4]]), np.array(["a", "a", "a", "b"])
    found = resample_means(values, subjects, 4000, np.random.default_rng(6)).replicates[:, 0]
    np.testing.assert_allclose(np.unique(found.round(9)), [3, 13 / 4, 4])  # aa, ab or ba, bb
    np.testing.assert_allclose((np.abs(found - 13 / 4) < 1e-9).mean(), 0.5, atol=0.03)


def test_one_subject_has_no_interval_and_nan_is_refused():
    assert np.isnan(percentile_interval(np.zeros(100), 1)).all()
    with pytest.raises(ValueError, match="finite"):
        resample_means(np.array([[np.nan]]), np.array(["a"]), 10, np.random.default_rng(0))


# --- tables


def test_latex_escapes_every_special_character():
    assert to_latex("a_b & 5 % {x} #1 $ ~ ^ \\") == (
        r"a\_b \& 5 \% \{x\} \#1 \$ \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )
    assert to_latex("DF-MVR (w/o L_{l3d})") == r"DF-MVR (w/o L$_{\mathrm{l3d}}$)"


def test_html_escapes_and_sets_subscripts():
    assert to_html('<b> "L_{l3d}" & so') == "&lt;b&gt; &quot;L<sub>l3d</sub>&quot; &amp; so"


def test_numbers_have_true_minus_signs_and_nan_is_a_dash():
    assert [number(-0.5, 1), number(-0.0001), number(float("nan"))] == ["\u22120.5", "0.000", "\u2013"]
    assert interval((-0.1, 0.2), lambda v: number(v, 1, signed=True)) == "\u22120.1 to +0.2"


def test_a_table_has_a_row_for_each_block_and_row():
    frame = pd.DataFrame({"data": ["A & B", "A & B", "C"], "method": ["x", "y", "x"], "v": [1.0, 2.0, 3.0]})
    columns = (Column("method", lambda r: r["method"], left=True), Column("v_{1}", lambda r: number(r["v"], 1), "mm"))
    table = Table("t", "T", "c", frame, columns, "data")
    assert html_table(table).count("<tr") == 2 + 2 + 3
    assert latex_table(table).count(r"\\") == 2 + 2 + 3
    assert r"\textit{A \& B}" in latex_table(table)


# --- the whole page


def test_the_page_loads_nothing_from_elsewhere(page):
    reader = Reader(page[0])
    assert all(link.startswith(("data:", "#")) for link in reader.links)
    assert not re.search(r"url\(|@import|https?://", page[0])


def test_every_entry_of_the_contents_leads_somewhere(page):
    reader = Reader(page[0])
    anchors = [link[1:] for link in reader.links if link.startswith("#")]
    assert len(anchors) >= 9
    assert set(anchors) <= set(reader.ids)
    assert len(set(reader.ids)) == len(reader.ids)


def test_table_1_in_csv_equals_the_scores(results, page):
    table = pd.read_csv(page[1] / "table_1.csv").set_index("method")
    scores = pd.concat(pd.read_parquet(p) for p in results.glob("score/*/*.parquet"))
    rows = scores[(scores.protocol == "paper") & (scores.region == "all") & (scores.status == "ok")]
    assert set(METHODS) < set(table.index)
    for method in METHODS:
        errors = rows.loc[rows.method == method, "rmse_mm"]
        assert table.loc[method, "samples"] == len(errors) == len(NAMES)
        assert table.loc[method, "mean_mm"] == pytest.approx(errors.mean(), rel=1e-12)
        assert table.loc[method, "std_mm"] == pytest.approx(errors.std(), rel=1e-12)
    assert table.loc["mean_face", "mean_mm"] > table.loc["dfmvr", "mean_mm"] > table.loc["floor", "mean_mm"]


def test_methods_that_were_not_run_have_the_papers_numbers_alone(page):
    table = pd.read_csv(page[1] / "table_1.csv")
    theirs = table[table["mean_mm"].isna()]
    assert list(theirs["paper_method"]) == ["Shang et al.", "Deng et al."]
    assert theirs[["samples", "std_mm", "gap_closed", "difference_to_dfmvr_mm"]].isna().all(axis=None)
    assert page[0].split('id="table_1"')[1].split("</table>")[0].count("not run") == 2


def test_data_bear_the_names_of_stand_ins(page):
    assert "Pixel-Face stand-in (anny population)" in page[0]
    text = re.sub(r"data:image/[^\"]*", "", page[0])
    assert not re.search(r"(?<!licensed )Pixel-Face(?! stand-in)", text)


def test_samples_set_aside_are_counted_with_their_reasons(page):
    tables = page[1]
    counts = pd.read_csv(tables / "samples.csv").set_index("step")
    assert list(counts.loc["align, test", ["samples", "kept", "set_aside"]]) == [10, 9, 1]
    assert list(counts.loc["score, DF-MVR", ["samples", "kept", "set_aside"]]) == [9, 8, 1]
    reasons = pd.read_csv(tables / "set_aside.csv").set_index("sample")["reason"]
    assert reasons[UNALIGNED] == "front: no photograph"
    assert reasons[BROKEN].str.contains(f"{BROKEN}.npz: not a readable").all()


def test_regions_and_protocols_have_every_method(results, page):
    regions = pd.read_csv(page[1] / "regions.csv")
    nose = pd.read_parquet(results / "score" / "dfmvr" / "pixel_face.parquet").query(
        "protocol == 'paper' and region == 'nose' and status == 'ok'"
    )
    found = regions.set_index("method").loc["dfmvr", "nose_rmse_mm"]
    assert found == pytest.approx(nose["rmse_mm"].mean(), rel=1e-12)
    protocols = pd.read_csv(page[1] / "protocols.csv")
    assert set(zip(protocols.protocol, protocols.method, strict=True)) >= {
        (p, m) for p in Config().register_.protocols for m in METHODS
    }


def test_the_real_scan_has_the_numbers_of_its_score(results, page):
    table = pd.read_csv(page[1] / "real_scan.csv").set_index(["protocol", "method"])
    for method in SCANNED:
        score = json.loads((results / "score" / method / "real_scan.json").read_text())
        assert table.loc[("metrical", method), "rmse_mm"] == score["protocols"]["metrical"]["rmse_mm"]
    assert (page[1] / "figures" / "real_scan_shapes.jpg").exists()


def test_figures_and_tables_are_written_in_every_format(page):
    names = {path.name for path in (page[1]).rglob("*.*")}
    stems = ("cumulative_errors", "regions", "training_df_mvr_pixel_face", "parser")
    assert names >= {f"{stem}.{suffix}" for stem in stems for suffix in ("pdf", "svg", "png")}
    assert sum(name.startswith("sample_") and name.endswith("_shapes.jpg") for name in names) == 2
    tables = page[1]
    stems = [{path.stem for path in tables.glob(f"*.{suffix}")} for suffix in ("csv", "tex", "html")]
    assert stems[0] == stems[1] == stems[2]


def test_every_table_passes_the_check(results, page):
    check_tables(page[1], results)


def test_the_same_results_give_the_same_files(results, page, tmp_path):
    assert report(results, tmp_path / "report.html", METHODS) == 0
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page[0]
    for path in sorted((page[1]).rglob("*.*")):
        twin = tmp_path / "tables" / path.relative_to(page[1])
        assert twin.read_bytes() == path.read_bytes(), path.name


def test_error_maps_show_what_was_scored(results, tmp_path):
    scores = pd.read_parquet(results / "score" / "dfmvr" / "pixel_face.parquet")
    row = scores.query("sample == 'p1_45' and protocol == 'paper' and region == 'all'").iloc[0]
    errors = context_of(results, tmp_path).source("pixel_face").shapes("p1_45", METHODS).errors_mm["dfmvr"]
    assert np.isfinite(errors).sum() == row["points"]
    assert np.sqrt(np.nanmean(errors**2)) == pytest.approx(row["rmse_mm"], rel=1e-9)


def test_photographs_are_cut_anew_in_register_with_the_landmarks(results, tmp_path):
    source = context_of(results, tmp_path).source("pixel_face")
    photo = source.photographs("p1_45")[1].astype(float)
    truth = source.aligned["landmarks"][source.index("p1_45")][1] * len(photo) / CROP_PX
    with torch.no_grad():
        found = render_views(source.model, source.coefficients("floor", "p1_45"), len(photo))
    drawn = 255 * found.image[0, 1].permute(1, 2, 0).numpy()
    inside = found.alpha[0, 1].numpy() > 0
    assert np.abs(drawn - photo)[inside].mean() < 4
    assert np.abs(found.landmarks[0, 1].numpy() - truth).max() < 2


# --- pieces


def test_chosen_samples_are_best_median_and_worst():
    errors = pd.Series([5.0, 1.0, 3.0, 2.0, 4.0], index=list("abcde"))
    assert [c.sample for c in choose_samples(errors, 3)] == ["b", "c", "a"]
    assert [(c.rank, c.of) for c in choose_samples(errors, 1)] == [(3, 5)]
    assert [c.rank for c in choose_samples(errors, 9)] == [1, 2, 3, 4, 5]


def test_a_mesh_turned_to_the_right_is_seen_turned_to_the_right():
    square = np.array([[0.0, -20, 60], [40, -20, 60], [40, 20, 60], [0, 20, 60]])
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    front, right = (see_mesh(square, triangles, yaw, 64).mask for yaw in (0, 40))
    assert np.nonzero(right)[1].mean() > np.nonzero(front)[1].mean()
    assert not see_mesh(square, triangles[:, ::-1], 0, 64).mask.any()
    assert (shade_seen(see_mesh(square, triangles, 0, 64))[0, 0] == 255).all()


def test_error_colours_run_from_blue_over_green_to_red():
    blue, green, red = error_colours(np.array([0.0, 2.0, 9.0]), 4.0)
    assert blue.argmax() == 2
    assert green.argmax() == 1
    assert red.argmax() == 0
    np.testing.assert_array_equal(red, error_colours(np.array(4.0), 4.0))


def test_lines_stand_where_the_error_passes_a_whole_millimetre():
    error = np.tile(np.linspace(0.2, 2.8, 131), (60, 1))
    lines = whole_millimetres(error, np.ones_like(error, bool))
    assert set(np.nonzero(lines)[1]) <= {39, 40, 41, 89, 90, 91}
    assert lines[30].sum() == 2


def test_benchmarks_are_summed_by_stage(tmp_path):
    (tmp_path / "score").mkdir()
    (tmp_path / "score" / "a.jsonl").write_text(json.dumps({"s": 2.5, "max_rss": 100}) + "\n")
    (tmp_path / "score" / "b.jsonl").write_text(json.dumps({"s": 1.5, "max_rss": "NA"}) + "\n")
    found = read_benchmarks(tmp_path, tmp_path / "results")
    assert list(found["seconds"]) == [2.5, 1.5]
    assert set(found["stage"]) == {"score"}


def test_a_training_in_parts_counts_them_all(tmp_path):
    trained = tmp_path / "results" / "train" / "dfmvr"
    for folder in (trained, tmp_path / "train"):
        folder.mkdir(parents=True)
    (tmp_path / "train" / "dfmvr.jsonl").write_text(json.dumps({"s": 110.0, "cpu_time": 100.0, "max_rss": 700}) + "\n")
    (tmp_path / "train" / "deng.jsonl").write_text(json.dumps({"s": 50.0, "cpu_time": 40.0, "max_rss": 600}) + "\n")
    rows = ["first_step,steps,seconds,cpu_seconds,ended", "0,30,300.0,290.0,1000", "30,20,200.0,190.0,9000"]
    (trained / "parts.csv").write_text("\n".join([*rows, "50,10,105.0,99.0,99000"]) + "\n")
    found = read_benchmarks(tmp_path, tmp_path / "results")
    sums = runtime_table(found).frame.set_index("stage").loc["train"]
    assert sums[["jobs", "seconds", "cpu_seconds", "memory_mib"]].tolist() == [2, 660.0, 620.0, 700.0]


# --- what is missing or broken


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("score", "dfmvr score"),
        ("align/pixel_face/manifest.parquet", "dfmvr align"),
        ("parse/pixel_face/masks.npy", "dfmvr parse"),
        ("reconstruct/dfmvr/pixel_face/meshes", "dfmvr reconstruct"),
        ("register/floor/pixel_face.npz", "pixel_face.npz"),
    ],
)
def test_a_missing_input_is_named_in_one_line(copied, tmp_path, gone, message, capsys):
    path = copied / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert report(copied, tmp_path / "report.html") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


def test_a_broken_score_file_is_named(copied, tmp_path):
    path = copied / "score" / "dfmvr" / "pixel_face.parquet"
    path.write_bytes(b"not parquet")
    with pytest.raises(DataError, match=re.escape(str(path))):
        context_of(copied, tmp_path)
    pd.DataFrame({"sample": ["a"]}).to_parquet(path)
    with pytest.raises(DataError, match="expected the columns subject"):
        context_of(copied, tmp_path)


def test_stages_that_did_not_run_leave_their_sections_out(copied, tmp_path):
    shutil.rmtree(copied / "train")
    (copied / "parse" / "metrics.json").unlink()
    assert report(copied, tmp_path / "report.html", panels=0) == 0
    ids = set(Reader((tmp_path / "report.html").read_text(encoding="utf-8")).ids)
    assert not {"training", "parser", "samples"} & ids
    assert {"table_1", "regions", "set_aside"} <= ids


def test_the_command_writes_the_page(results, tmp_path):
    output = tmp_path / "out" / "report.html"
    arguments = ["report", "--results", str(results), "--output", str(output), "--tables", str(tmp_path / "tables")]
    scores = [str(results / "score" / method / "pixel_face.parquet") for method in ("mean_face", "dfmvr")]
    arguments += ["--scores", *scores, "--study", Config().as_json()]
    assert cli.main([*arguments, "--settings", '{"bootstrap": 200, "panels": 0}']) == 0
    text = output.read_text(encoding="utf-8")
    assert "train.seed" in text
    table = pd.read_csv(tmp_path / "tables" / "table_1.csv").set_index("method")
    assert table.loc[["mean_face", "dfmvr"], "mean_mm"].notna().all()
    assert np.isnan(table.loc["floor", "mean_mm"])


def test_pictures_in_the_page_are_whole(page):
    uris = re.findall(r'src="data:image/([\w+]+);base64,([^"]+)"', page[0])
    assert len(uris) >= 8
    for kind, data in uris:
        picture = base64.b64decode(data)
        if kind == "svg+xml":
            assert ElementTree.fromstring(picture).tag.endswith("svg")
            continue
        with Image.open(io.BytesIO(picture)) as image:
            image.load()
            assert min(image.size) > 20


def test_regions_of_the_page_are_those_of_the_convention(page):
    header = page[0].split('id="regions"')[1].split("</thead>")[0]
    shown = re.findall(r"<th scope=\"col\" class=right>([^<]+)</th>", header)
    assert shown[1] == "whole face"
    assert set(shown[2:]) <= set(REGIONS)
