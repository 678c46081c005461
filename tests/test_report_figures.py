"""Figures, the viewer and the chapters of the report, on faces of a toy model whose truth is known."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from page_reader import Reader
from PIL import Image
from toy_model import toy_model
from toy_results import NAMES, OFFSETS, SHARES, YAWS, context_of, shape_of, towards, truth_of

from dfmvr.config.training import ParseSection
from dfmvr.report.chapter import Chapter
from dfmvr.report.figures import exhibits, gallery, plots, scenes, worst
from dfmvr.report.figures.panels import class_legend
from dfmvr.report.figures.pictures import SeenMesh, Tile, close_up, grid, see_mesh
from dfmvr.report.figures.style import error_colours
from dfmvr.report.page import write_page
from dfmvr.report.sections import analysis, background, shapes, views
from dfmvr.report.sections.contents import chapters
from dfmvr.report.source import TILE_PX


@pytest.fixture(scope="module")
def context(results, tmp_path_factory):
    return context_of(results, tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def exhibit(context):
    (found,) = exhibits.exhibits(context)
    return found


# --- which methods and samples are shown


def test_of_a_method_that_sees_one_view_the_best_one_is_shown(exhibit):
    expected = ["mean_face", "shang_from_front", "deng", "dfmvr_without_l3d", "dfmvr", "floor"]
    assert list(exhibit.errors.columns) == expected
    means = exhibit.errors.mean()
    assert means["shang_from_front"] < means["mean_face"]
    assert exhibit.ours == "dfmvr"


def test_the_worst_samples_come_first(exhibit):
    errors = exhibit.errors["dfmvr"]
    found = exhibit.worst(3)
    assert [one.error_mm for one in found] == sorted(errors, reverse=True)[:3]
    assert [one.rank for one in found] == [8, 7, 6]


def test_without_panels_there_are_no_exhibits(results, tmp_path):
    none = context_of(results, tmp_path, "report.panels=0")
    assert exhibits.exhibits(none) == exhibits.whole_range(none) == []


def test_a_face_by_yaw_has_every_angle_of_one_person(exhibit):
    found = shapes.one_face_by_yaw(exhibit)
    assert list(found.values()) == list(YAWS)
    assert len({name[:2] for name in found}) == 1


# --- plots


def test_weights_of_losses_are_drawn_with_paired_differences(context):
    chapter = analysis.sensitivity_chapter(context)
    table = pd.read_csv(context.folder / "sensitivity_pixel_face.csv").set_index("method")
    errors = context.scores.query("method == 'dfmvr' and region == 'all' and protocol == 'paper'")["rmse_mm"].dropna()
    for method, offset in OFFSETS.items():
        row = table.loc[method]
        assert row["mean"] == pytest.approx(errors.mean() + offset)
        np.testing.assert_allclose(row[["difference", "difference_low", "difference_high"]].astype(float), offset)
    assert list(table.loc["dfmvr", "weight"]) == [4, 3]
    assert [part["kind"] for part in chapter.parts] == ["figure", "table"]


def test_without_such_variants_there_is_no_sensitivity(results, tmp_path):
    copied = shutil.copytree(results, tmp_path / "results")
    for method in OFFSETS:
        shutil.rmtree(copied / "score" / method)
    assert not analysis.sensitivity_chapter(context_of(copied, tmp_path)).parts


def test_points_stand_where_the_numbers_are():
    rows = [("photo", w, m, m - 0.1, m + 0.2, m - 1, m - 1.1, m - 0.8) for w, m in ((2.0, 1.2), (4.0, 1.0), (6.0, 1.1))]
    names = ["loss", "weight"] + [f"{k}{e}" for k in ("mean", "difference") for e in ("", "_low", "_high")]
    drawn = plots.errors_by_weight(pd.DataFrame(rows, columns=names), {"photo": "w_{p}"}, {"photo": 4.0})
    top, bottom = drawn.axes
    np.testing.assert_allclose(top.lines[0].get_xydata(), [(2, 1.2), (4, 1.0), (6, 1.1)])
    np.testing.assert_allclose(bottom.lines[0].get_xydata()[:, 1], [0.2, 0, 0.1], atol=1e-12)
    ends = np.concatenate([segment for segment in top.collections[0].get_segments()])[:, 1]
    np.testing.assert_allclose(ends, [1.1, 1.4, 0.9, 1.2, 1.0, 1.3])
    assert [line.get_xydata().tolist() for line in top.lines if line.get_color() == "white"] == [[[4.0, 1.0]]]


def test_errors_by_yaw_are_means_over_the_samples_of_each_angle(context):
    frame = analysis.errors_by_yaw(context, "pixel_face").set_index(["method", "yaw"])
    scores = context.scores.query("region == 'all' and protocol == 'paper' and status == 'ok'")
    for yaw in YAWS:
        expected = scores.query("method == 'dfmvr' and left_yaw == @yaw")["rmse_mm"].mean()
        row = frame.loc[("dfmvr", -yaw)]
        assert row["mean"] == pytest.approx(expected)
        assert row["low"] < row["mean"] < row["high"]
        assert row["samples"] == row["subjects"] == len(NAMES) / len(YAWS)
    best = scores[scores["method"].str.startswith("shang")].groupby(["sample", "left_yaw"])["rmse_mm"].min()
    assert frame.loc[("shang_best", 10.0), "mean"] == pytest.approx(best.xs(-10.0, level="left_yaw").mean())


def test_a_legend_names_every_method_of_every_panel_once():
    errors = {
        "A": pd.DataFrame({"mean_face": [1.0, 2], "dfmvr": [0.5, 1]}),
        "B": pd.DataFrame({"mean_face": [1.0, 2], "floor": [0.2, 0.3]}),
    }
    drawn = plots.cumulative_errors(errors)
    texts = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert texts == ["Mean face", "DF-MVR", "Floor (model fitted to the scan)"]


def test_of_many_methods_only_those_of_the_papers_figures_are_drawn():
    methods = [
        "mean_face",
        "shang_best",
        "deng",
        "dfmvr_cnn",
        "dfmvr_unet",
        "dfmvr_resnet",
        "dfmvr",
        "dfmvr_photo_2",
        "floor",
    ]
    table = pd.DataFrame({method: [1.0, 2] for method in methods})
    drawn = plots.cumulative_errors({"A": table})
    assert len(drawn.axes[0].lines) == 5


def test_a_figure_for_the_page_is_a_vector_picture(tmp_path):
    chapter = Chapter("A", "a", tmp_path)
    drawn = plots.cumulative_errors({"A": pd.DataFrame({"dfmvr": [1.0]})})
    chapter.plot(drawn, "name", "cumulative", sizes="A: n = 1")
    (part,) = chapter.parts
    with Image.open(tmp_path / "figures" / "name.png") as image:
        assert [part["width"], part["height"]] == pytest.approx([0.55 * side for side in image.size], abs=1)
    assert part["uri"].startswith("data:image/svg+xml;base64,")
    assert part["alt"] == "Cumulative error curves of all methods"
    assert part["caption"].endswith("A: n = 1.")
    with pytest.raises(ValueError, match="width and height in pt"):
        chapter.figure(b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", 1.0, "classes")


# --- pictures


def test_a_long_heading_has_two_lines_of_letters_as_large_as_others():
    white = Tile(np.full((TILE_PX, TILE_PX, 3), 255, np.uint8))
    whole, parts = (
        np.asarray(grid([[white] * len(heads)], heads, [""])) < 128
        for heads in (["DF-MVR + fit (not in the paper)"], ["DF-MVR + fit", "(not in the paper)"])
    )
    rows = whole.any((1, 2))
    assert np.count_nonzero(np.diff(rows.astype(int)) == 1) == 2
    assert np.count_nonzero(whole) == pytest.approx(np.count_nonzero(parts), rel=0.1)  # a smaller one has less ink


def test_a_close_up_is_a_part_of_the_whole():
    square = np.array([[-30.0, -30, 0], [30, -30, 0], [30, 30, 0], [-30, 30, 0]])
    seen = see_mesh(square, np.array([[0, 1, 2], [0, 2, 3]]), 0.0, 100, np.arange(4.0)[:, None])
    part = close_up(seen, (0.5, 0.25), 40)
    assert isinstance(part, SeenMesh)
    np.testing.assert_array_equal(part.mask, seen.mask[10:90, 60:140])
    np.testing.assert_array_equal(part.values, seen.values[10:90, 60:140])
    np.testing.assert_array_equal(close_up(seen, (0.0, 0.0), 40).mask, seen.mask[:80, :80])


def test_the_measured_part_of_a_scan_ends_at_the_radius(exhibit):
    picture = np.asarray(gallery.crop_panel(exhibit, NAMES[0]), float) / 255
    front = picture[30 : 30 + TILE_PX, 4 : 4 + TILE_PX]
    blue = front[..., 2] - front[..., 0] > 0.1
    scan = exhibit.source.scan(NAMES[0])
    grey = (np.ptp(front, axis=-1) < 0.02) & (front.max(-1) < 0.99)
    distance = np.linalg.norm(scan.vertices - scan.landmarks[4], axis=1)
    assert blue.sum() / (blue | grey).sum() == pytest.approx((distance < 95).mean(), abs=0.15)
    assert blue[TILE_PX // 2 + 20, TILE_PX // 2 + 30]


def test_error_maps_have_a_column_a_method_and_a_colour_bar(exhibit):
    picture = gallery.error_map_panel(exhibit, NAMES[:2], 2.0, "front", ["a", "b"])
    columns = 1 + len(exhibit.methods) + 1
    assert picture.width == 26 + columns * 208
    floor = np.asarray(picture)[30:230, 26 + (columns - 2) * 208 :][:, :200] / 255
    mean_face = np.asarray(picture)[30:230, 26 + 208 :][:, :200] / 255
    blue = error_colours(np.zeros(1), 2.0)[0]

    def share(tile):
        return (np.abs(tile - blue).max(-1) < 0.2).mean()

    assert share(floor) > 3 * share(mean_face)


def test_the_classes_of_the_mask_are_shown_in_their_colours(exhibit):
    picture = np.asarray(gallery.input_panel(exhibit, NAMES[0], ParseSection()))
    mask_tile = picture[30 + 208 : 230 + 208, 26 + 2 * 208 :][:, :200]
    nose = np.asarray(class_legend())[26 + 13, 170 + 12]  # sixth of the legend's entries
    assert (mask_tile[95:105, 95:105] == nose).all()


def test_all_chapters_have_their_pictures(results, tmp_path):
    context = context_of(results, tmp_path, "report.panels=1")
    made = chapters(context)
    empty = {chapter.anchor for chapter in made if not chapter.parts}
    assert empty == {"correspondence", "learning_curve"}  # no true points, no training in several lengths
    names = {path.stem for path in (tmp_path / "figures").glob("*.jpg")}
    stems = ("input", "shapes", "close_up", "error_maps", "crop", "expressions", "landmarks")
    assert names >= {f"{stem}_pixel_face" for stem in stems}
    assert names >= {"error_maps_pixel_face_by_yaw", "texture_pixel_face_dfmvr"}
    assert sum(name.startswith("worst_") for name in names) == 1
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    stems = ("overview_dfmvr", "fusion_dfmvr", "fusion_dfmvr_cnn", "fusion_dfmvr_unet", "inputs_dfmvr_mixed")
    assert drawn >= {f"{stem}.{suffix}" for stem in stems for suffix in ("svg", "pdf", "png")}
    page = tmp_path / "page.html"
    write_page(page, "L", [], made)
    reader = Reader(page.read_text(encoding="utf-8"))
    assert all(link.startswith(("data:", "#")) for link in reader.links)
    anchors = {link[1:] for link in reader.links if link.startswith("#")}
    assert anchors <= set(reader.ids)
    assert {"made_score", "made_align", "error_maps"} <= anchors
    assert len(set(reader.ids)) == len(reader.ids)
    assert reader.images
    assert all(reader.images)
    assert page.stat().st_size < 12e6


def test_people_held_out_where_there_are_no_scans_are_shown_with_texture(results, tmp_path, monkeypatch):
    root, method = shutil.copytree(results, tmp_path / "results"), "dfmvr_multi_pie"
    for copied in (("align", "pixel_face"), ("parse", "pixel_face"), ("reconstruct", "dfmvr", "pixel_face")):
        place = copied[:1] if len(copied) == 2 else (copied[0], method)
        shutil.copytree(root.joinpath(*copied), root.joinpath(*place, "multi_pie"))
    shutil.copytree(root / "train" / "dfmvr", root / "train" / method)
    (root / "score" / method).mkdir()
    scores = pd.read_parquet(root / "score" / "dfmvr" / "pixel_face.parquet").assign(method=method)
    scores.to_parquet(root / "score" / method / "pixel_face.parquet")
    manifest = pd.read_parquet(root / "align" / "multi_pie" / "manifest.parquet")
    trained = manifest["subject"].isin(["p0", "p1"])
    manifest.assign(split=np.where(trained, "train", "test")).to_parquet(root / "align/multi_pie/manifest.parquet")
    shown = []
    drawn = gallery.texture_panel

    def seen(source, samples, of_method, names):
        shown.append((source.dataset, list(samples), of_method))
        return drawn(source, samples, of_method, names)

    monkeypatch.setattr(gallery, "texture_panel", seen)
    views.texture_chapter(context_of(root, tmp_path / "tables"))
    held_out = [samples for dataset, samples, of_method in shown if (dataset, of_method) == ("multi_pie", method)]
    assert held_out == [["p2_10", "p3_45"]]  # of each person another sample
    assert (tmp_path / "tables" / "figures" / f"texture_multi_pie_{method}.jpg").stat().st_size > 1000


# --- why samples are bad


def test_rank_correlations_are_scipys():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(0, 6, 30).astype(float), rng.normal(size=30)
        assert worst.spearman(a, b) == pytest.approx(scipy.stats.spearmanr(a, b).statistic)
    assert np.isnan(worst.spearman(np.ones(5), np.arange(5.0)))


def test_rank_correlations_of_rows_are_those_of_each_row():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 6, (4, 30)).astype(float), rng.normal(size=(4, 30))
    a[2] = 7
    expected = [worst.spearman(*pair) for pair in zip(a, b, strict=True)]
    np.testing.assert_allclose(worst.spearman(a, b), expected)
    assert np.isnan(expected[2])


def test_deviations_are_robust_standard_deviations():
    values = pd.Series(scipy.stats.norm.ppf((np.arange(2001) + 0.5) / 2001) * 3 + 7)
    assert worst.deviations(pd.concat([values, pd.Series([10.0])])).iloc[-1] == pytest.approx(1, abs=0.01)
    assert (worst.deviations(pd.Series([2.0, 2, 2])) == 0).all()
    assert worst.deviations(pd.Series([2.0, 2, 2, 2, 3])).iloc[-1] > worst.FAR_OFF


def test_measures_have_their_closed_forms(context, exhibit):
    table = worst.measure(exhibit, context.scores)
    truth = truth_of(NAMES)
    np.testing.assert_allclose(table["identity"], np.linalg.norm(truth.identity, axis=1), rtol=1e-5)
    np.testing.assert_allclose(table["found"], 80, rtol=1e-5)
    np.testing.assert_allclose(table["yaw_off"], 0.5)
    np.testing.assert_allclose(table["mean_face_mm"], exhibit.errors["mean_face"])
    assert (table["missing"] == 3 * (len(worst.EXPECTED) - 2)).all()  # skin and nose alone
    floor = exhibit._replace(ours="floor")
    assert worst.measure(floor, context.scores)["landmarks_px"].max() < 1e-2


def _changed(results, tmp_path, change):
    """An exhibit of results in which something was changed for the third sample, and the scores."""
    copied = shutil.copytree(results, tmp_path / "results")
    change(copied)
    context = context_of(copied, tmp_path / "tables")
    (found,) = exhibits.exhibits(context)
    return found, context.scores


def _darken(root):
    images = np.load(root / "align/pixel_face/images.npy")
    images[2] //= 4
    np.save(root / "align/pixel_face/images.npy", images)


def _hide(root):
    masks = np.load(root / "parse/pixel_face/masks.npy")
    masks[2, 1, :, :30] = 0
    np.save(root / "parse/pixel_face/masks.npy", masks)


def _turn(root):
    path = root / "align/pixel_face/manifest.parquet"
    table = pd.read_parquet(path)
    table.loc[6, "measured_yaw"] += 12.0
    table.to_parquet(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_darken, "the photographs are dark"),
        (_hide, "in one view the parser finds"),
        (_turn, "one view is turned by 12.5° more or less"),
    ],
)
def test_a_planted_cause_is_named_and_for_no_other_sample(results, tmp_path, change, told):
    exhibit, scores = _changed(results, tmp_path, change)
    table = worst.measure(exhibit, scores)
    named = [sample for sample in table.index if any(told in cause for cause in worst.causes(table, sample))]
    assert named == [NAMES[2]]


def test_few_samples_name_no_cause(context, exhibit):
    table = worst.measure(exhibit, context.scores).head(worst.LEAST_SAMPLES - 1)
    table.iloc[0] = 1000.0
    assert worst.causes(table, table.index[0]) == []


def test_the_region_that_sets_a_sample_apart_is_named(context, exhibit):
    scores = context.scores.copy()
    place = (scores["sample"] == NAMES[3]) & (scores["region"] == "nose") & (scores["method"] == "dfmvr")
    scores.loc[place, "rmse_mm"] *= 3
    part = worst.worst_region(scores, exhibit, NAMES[3])
    assert part.region == "nose"
    assert part.rmse_mm == pytest.approx(float(scores.loc[place, "rmse_mm"].iloc[0]))
    assert part.rmse_mm > 2 * part.usual_mm
    assert worst.worst_region(scores[scores["region"] == "all"], exhibit, NAMES[3]) is None


def test_a_measure_that_rules_the_error_has_the_correlation_one(exhibit):
    table = pd.DataFrame({"identity": exhibit.errors["dfmvr"] ** 3, "found": -exhibit.errors["dfmvr"]})
    found = worst.correlations(exhibit, table, 50, 0).set_index("measure")
    np.testing.assert_allclose(found.loc["identity", ["correlation", "low", "high"]].astype(float), 1)
    np.testing.assert_allclose(found.loc["found", ["correlation", "low", "high"]].astype(float), -1)


def test_equal_answers_to_three_views_agree(context):
    source = context.source("pixel_face")
    tests = [f"dfmvr_mixed_from_{view}" for view in ("left", "front", "right")]
    assert views.disagreement(source, tests, NAMES[0]) == pytest.approx(0, abs=1e-6)
    others = ["mean_face", "floor"]
    shapes_of = {m: shape_of(toy_model(), towards(truth_of(NAMES), SHARES[m]))[0] for m in others}
    p, q = (source.registered(method, NAMES[0]).apply(shapes_of[method]) for method in others)
    slow = np.sqrt(np.square(p - q).sum(1).mean())
    assert views.disagreement(source, others, NAMES[0]) == pytest.approx(slow, rel=1e-6)


# --- meshes that can be turned


def test_a_prediction_bears_the_errors_of_the_scan_beside_it(exhibit):
    shapes = exhibit.shapes(NAMES[0])
    scan, prediction = scenes.layers_of(shapes, "dfmvr", ["dfmvr"])
    errors, points = shapes.errors_mm["dfmvr"], shapes.scan[0]
    known = np.isfinite(errors)
    for i in range(0, len(prediction.vertices), 97):
        distances = np.linalg.norm(points[known] - prediction.vertices[i], axis=1)
        expected = errors[known][distances.argmin()] if distances.min() <= scenes.NEAR_MM else np.nan
        np.testing.assert_equal(prediction.errors_mm[i], expected)
    assert np.isfinite(scan.errors_mm).sum() == known.sum()
    size = len(json.dumps(scenes.scene([scan, prediction], 2.0)))
    assert size < 1e6


# --- how it was made


def test_the_page_says_what_the_baselines_lacked(results, tmp_path):
    given = "train.deng={imagenet_weights: w.pth, loss: {embedding: e.pt2}}"
    texts = [
        " ".join(background.method_chapter(context_of(results, tmp_path, *more, configured=True)).paragraphs)
        for more in ([], [given], ["train.deng.imagenet_weights=w.pth"])
    ]
    lacked = [re.findall(r"paper of (\w+) et al. has and this training of it had not: ([^.]+)", text) for text in texts]
    weights, network = "weights learnt on ImageNet", "a face recognition network"
    assert [family for family, _ in lacked[0]] == ["Deng", "Shang"]
    assert all(weights in what and network in what for _, what in lacked[0])
    assert [family for family, _ in lacked[1]] == ["Shang"]
    assert weights not in lacked[2][0][1]
    assert network in lacked[2][0][1]


@pytest.mark.parametrize(("first", "place"), [(True, "the first ones"), (False, "spread over the training")])
def test_the_page_tells_how_the_networks_were_trained(results, tmp_path, first, place):
    train = ["train.epochs=31", "train.landmark_share=0.75", f"train.landmark_first={first}"]
    told, untold = (context_of(results, tmp_path, *train, configured=configured) for configured in (True, False))
    text = " ".join(background.method_chapter(told).paragraphs)
    assert "31 epochs" in text
    assert f"75 % of the steps, {place}, compare landmarks" in text
    assert "epochs" not in " ".join(background.method_chapter(untold).paragraphs)
