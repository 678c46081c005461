"""Figures, the viewer and the page of the report, on faces of a toy model whose truth is known."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from page_reader import Reader
from PIL import Image
from toy_manifest import write_manifest
from toy_model import SIZES, toy_model

from dfmvr.config.evaluation import RegisterSection, ReportSection
from dfmvr.config.training import ParseSection
from dfmvr.conventions import ALIGNMENT_IN_68, CLASSES
from dfmvr.datasets.pixel_face.dataset import write_sample
from dfmvr.datasets.sample import Sample
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.views import render_views
from dfmvr.files import write_npz
from dfmvr.geometry.meshes import Mesh, write_landmarks, write_mesh
from dfmvr.geometry.surface import Surface
from dfmvr.mesh.scan import FaceScan, write_scan
from dfmvr.register.registrations import Registrations
from dfmvr.register.surface import register_surface
from dfmvr.report.figures import exhibits, gallery, plots, scenes, worst
from dfmvr.report.figures.panels import class_legend
from dfmvr.report.figures.pictures import TILE_PX, Seen, close_up, see_mesh
from dfmvr.report.figures.style import error_colours, save_figure, styled
from dfmvr.report.inputs import read_study
from dfmvr.report.page import Section, write_page
from dfmvr.report.sections import analysis, background, figures, provenance, views
from dfmvr.report.sections.results import Report
from dfmvr.score.distances import by_region, measure

SHARES = {
    "mean_face": 0.0,
    "shang_from_left": 0.2,
    "shang_from_front": 0.35,
    "shang_from_right": 0.1,
    "deng": 0.4,
    "dfmvr_without_l3d": 0.6,
    "dfmvr": 0.8,
    "dfmvr_mixed_from_left": 0.7,
    "dfmvr_mixed_from_front": 0.7,
    "dfmvr_mixed_from_right": 0.7,
    "floor": 1.0,
}
"""How far each method goes from the mean face towards the truth."""

YAWS = (-10.0, -45.0)
SUBJECTS, SIZE = 4, 48
NAMES = [f"p{i}_{-yaw:.0f}" for i in range(SUBJECTS) for yaw in YAWS]
PAPER = RegisterSection().protocols["paper"]


def _truth():
    """Coefficients of all samples; those of one subject differ in the yaw of the left view alone."""
    rng = np.random.default_rng(3)
    identity = np.repeat(rng.normal(scale=0.5, size=(SUBJECTS, SIZES["identity_size"])), len(YAWS), 0)
    expression = np.repeat(rng.normal(scale=0.5, size=(SUBJECTS, SIZES["expression_size"])), len(YAWS), 0)
    angles = np.zeros((len(NAMES), 3, 3))
    angles[:, :, 1] = np.radians([(yaw, 0.0, 45.0) for _ in range(SUBJECTS) for yaw in YAWS])
    arrays = (identity, expression, np.zeros((len(NAMES), SIZES["texture_size"])), np.zeros((len(NAMES), 3, 9, 3)))
    return Coefficients(
        *(torch.as_tensor(a, dtype=torch.float32) for a in (*arrays, angles, np.zeros((len(NAMES), 3, 3))))
    )


def _towards(truth, share):
    return truth._replace(identity=share * truth.identity, expression=share * truth.expression)


def _write_photos(root, data, model, truth):
    """Scans, photographs, crops and masks, and the manifest; the crops are the photographs themselves."""
    with torch.no_grad():
        views = render_views(model, truth, SIZE)
        shapes = model.shape(truth.identity, truth.expression).double().numpy()
    photos = (255 * views.image.clamp(0, 1)).to(torch.uint8).permute(0, 1, 3, 4, 2).numpy()
    masks = views.alpha.to(torch.uint8).numpy()
    masks[:, :, 20:28, 20:28] *= CLASSES.index("nose")
    samples = []
    for i, name in enumerate(NAMES):
        write_sample(data, name, list(photos[i]))
        scan = data / f"{name}.npz"
        write_scan(scan, FaceScan(shapes[i], shapes[i][model.alignment.numpy()], triangles=model.triangles.numpy()))
        paths = tuple(data / name / view / "t.jpg" for view in "012")
        yaws = (YAWS[i % len(YAWS)], 0.0, 45.0)
        samples.append(Sample(name, name[:2], "test", paths, scan=scan, yaws=yaws, expression=f"e{i % 2}"))
    manifest = write_manifest(root / "align" / "pixel_face" / "manifest.parquet", samples)
    table = pd.read_parquet(manifest)
    table.assign(measured_yaw=table["yaw"] + 0.5).to_parquet(manifest)
    crop = np.tile(np.eye(2, 3, dtype=np.float32), (len(NAMES), 3, 1, 1))
    landmarks = views.landmarks.numpy()
    write_npz(root / "align/pixel_face/samples.npz", sample=np.array(NAMES), landmarks=landmarks, crop=crop)
    np.save(root / "align/pixel_face/images.npy", photos)
    (root / "parse/pixel_face").mkdir(parents=True)
    np.save(root / "parse/pixel_face/masks.npy", masks)
    np.save(
        root / "parse/pixel_face/weights.npy", np.where(masks > 1, 254, np.where(masks > 0, 128, 32)).astype(np.uint8)
    )
    return shapes


def _write_method(root, method, model, coefficients, scans):
    """Coefficients, meshes, registrations and scores under the protocol `paper`."""
    folder = root / "reconstruct" / method / "pixel_face"
    with torch.no_grad():
        vertices = model.shape(coefficients.identity, coefficients.expression).double().numpy()
    arrays = {field: getattr(coefficients, field).numpy() for field in Coefficients._fields}
    write_npz(folder / "coefficients.npz", sample=np.array(NAMES), **arrays)
    seven, on_scan = model.landmarks_68[list(ALIGNMENT_IN_68)].numpy(), model.alignment.numpy()
    registrations, rows = Registrations(["paper"]), []
    for i, name in enumerate(NAMES):
        write_mesh(folder / "meshes" / f"{name}.ply", Mesh(vertices[i], model.triangles.numpy()))
        write_landmarks(folder / "meshes" / f"{name}.landmarks.csv", vertices[i][seven])
        surface, target = (
            Surface(vertices[i], model.triangles.numpy()),
            FaceScan(scans[i], scans[i][on_scan]),
        )
        found = register_surface(surface, vertices[i][seven], target, PAPER)
        registrations.add(name, "paper", found)
        inside = ((target.vertices - target.landmarks[4]) ** 2).sum(1) <= 95**2
        errors = measure(surface, target.vertices[inside], found)
        for region, score in by_region(errors, model.regions.numpy()).items():
            row = {"sample": name, "subject": name[:2], "method": method, "dataset": "pixel_face", "protocol": "paper"}
            row |= {"region": region, **score._asdict(), "error_mm": score.rmse_mm, "coverage": errors.coverage}
            rows.append(row | {"status": "ok", "reason": ""})
    registrations.write(root / "register" / method / "pixel_face.npz")
    _write_scores(root, method, pd.DataFrame(rows))


def _write_scores(root, method, table):
    path = root / "score" / method / "pixel_face.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.assign(method=method).to_parquet(path)


OFFSETS = {"dfmvr_photo_2": 0.1, "dfmvr_photo_5": 0.02, "dfmvr_mask_1": 0.05}
"""Errors of the variants of the sensitivity analysis above those of DF-MVR, mm."""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    torch.set_num_threads(1)
    root, data = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("data")
    model, truth = toy_model(), _truth()
    model.save(root / "face_model" / "face_model.npz")
    scans = _write_photos(root, data, model, truth)
    for method, share in SHARES.items():
        _write_method(root, method, model, _towards(truth, share), scans)
    ours = pd.read_parquet(root / "score/dfmvr/pixel_face.parquet")
    for method, offset in OFFSETS.items():
        _write_scores(root, method, ours.assign(rmse_mm=ours["rmse_mm"] + offset))
    return root


def _report(root, folder, **settings):
    study = read_study(root)
    return Report(study, ReportSection(**{"bootstrap": 200, "panels": 2, **settings}), {}, folder)


@pytest.fixture(scope="module")
def report(results, tmp_path_factory):
    return _report(results, tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def exhibit(report):
    (found,) = exhibits.gather(report)
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


def test_without_panels_there_are_no_exhibits(report, tmp_path):
    none = _report(report.study.root, tmp_path, panels=0)
    assert exhibits.gather(none) == []
    sections = [*figures.figure_sections(none, []), *views.view_sections(none, [])]
    assert not any(section.parts for section in sections)


def test_a_face_by_yaw_has_every_angle_of_one_person(report, exhibit):
    found = figures.one_face_by_yaw(report, exhibit)
    assert list(found.values()) == list(YAWS)
    assert len({name[:2] for name in found}) == 1


# --- plots


def test_weights_of_losses_are_drawn_with_paired_differences(report):
    section = analysis.sensitivity_section(report)
    table = pd.read_csv(report.folder / "sensitivity_pixel_face.csv").set_index("method")
    errors = report.study.scores.query("method == 'dfmvr' and region == 'all'")["rmse_mm"]
    for method, offset in OFFSETS.items():
        row = table.loc[method]
        assert row["mean"] == pytest.approx(errors.mean() + offset)
        np.testing.assert_allclose(row[["difference", "difference_low", "difference_high"]].astype(float), offset)
    assert list(table.loc["dfmvr", "weight"]) == [4, 3]
    assert [part["kind"] for part in section.parts] == ["figure", "table"]


def test_without_such_variants_there_is_no_sensitivity(results, tmp_path):
    copied = shutil.copytree(results, tmp_path / "results")
    for method in OFFSETS:
        shutil.rmtree(copied / "score" / method)
    assert not analysis.sensitivity_section(_report(copied, tmp_path)).parts


def test_points_stand_where_the_numbers_are():
    rows = [("photo", w, m, m - 0.1, m + 0.2, m - 1, m - 1.1, m - 0.8) for w, m in ((2.0, 1.2), (4.0, 1.0), (6.0, 1.1))]
    names = ["loss", "weight"] + [f"{k}{e}" for k in ("mean", "difference") for e in ("", "_low", "_high")]
    with styled():
        drawn = plots.errors_by_weight(pd.DataFrame(rows, columns=names), {"photo": "w_{p}"}, {"photo": 4.0})
    top, bottom = drawn.axes
    np.testing.assert_allclose(top.lines[0].get_xydata(), [(2, 1.2), (4, 1.0), (6, 1.1)])
    np.testing.assert_allclose(bottom.lines[0].get_xydata()[:, 1], [0.2, 0, 0.1], atol=1e-12)
    ends = np.concatenate([segment for segment in top.collections[0].get_segments()])[:, 1]
    np.testing.assert_allclose(ends, [1.1, 1.4, 0.9, 1.2, 1.0, 1.3])
    assert [line.get_xydata().tolist() for line in top.lines if line.get_color() == "white"] == [[[4.0, 1.0]]]


def test_errors_by_yaw_are_means_over_the_samples_of_each_angle(report):
    frame = analysis.errors_by_yaw(report, "pixel_face").set_index(["method", "yaw"])
    scores = report.study.scores.query("region == 'all'")
    for yaw in YAWS:
        expected = scores.query("method == 'dfmvr' and left_yaw == @yaw")["rmse_mm"].mean()
        row = frame.loc[("dfmvr", -yaw)]
        assert row["mean"] == pytest.approx(expected)
        assert row["low"] < row["mean"] < row["high"]
        assert row["samples"] == row["subjects"] == SUBJECTS
    best = scores[scores["method"].str.startswith("shang")].groupby(["sample", "left_yaw"])["rmse_mm"].min()
    assert frame.loc[("shang_best", 10.0), "mean"] == pytest.approx(best.xs(-10.0, level="left_yaw").mean())


def test_a_legend_names_every_method_of_every_panel_once():
    errors = {
        "A": pd.DataFrame({"mean_face": [1.0, 2], "dfmvr": [0.5, 1]}),
        "B": pd.DataFrame({"mean_face": [1.0, 2], "floor": [0.2, 0.3]}),
    }
    with styled():
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
    with styled():
        drawn = plots.cumulative_errors({"A": table})
    assert len(drawn.axes[0].lines) == 5


def test_a_figure_for_the_page_is_a_vector_picture(tmp_path):
    with styled():
        picture = save_figure(plots.cumulative_errors({"A": pd.DataFrame({"dfmvr": [1.0]})}), "name", tmp_path)
    section = Section("A", "a")
    section.figure(picture, "alt", "caption")
    with Image.open(tmp_path / "name.png") as image:
        assert section.parts[0]["width"] == pytest.approx(image.width, abs=1)
        assert section.parts[0]["height"] == pytest.approx(image.height, abs=1)
    assert section.parts[0]["uri"].startswith("data:image/svg+xml;base64,")
    with pytest.raises(ValueError, match="width and height in pt"):
        section.figure(b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "alt", "caption")


# --- pictures


def test_a_close_up_is_a_part_of_the_whole():
    square = np.array([[-30.0, -30, 0], [30, -30, 0], [30, 30, 0], [-30, 30, 0]])
    seen = see_mesh(square, np.array([[0, 1, 2], [0, 2, 3]]), 0.0, 100, np.arange(4.0)[:, None])
    part = close_up(seen, (0.5, 0.25), 40)
    assert isinstance(part, Seen)
    np.testing.assert_array_equal(part.mask, seen.mask[10:90, 60:140])
    np.testing.assert_array_equal(part.values, seen.values[10:90, 60:140])
    np.testing.assert_array_equal(close_up(seen, (0.0, 0.0), 40).mask, seen.mask[:80, :80])


def test_the_measured_part_of_a_scan_ends_at_the_radius(exhibit):
    picture = np.asarray(gallery.crop_panel(exhibit.source, NAMES[0], "dfmvr"), float) / 255
    front = picture[30 : 30 + TILE_PX, 4 : 4 + TILE_PX]
    blue = front[..., 2] - front[..., 0] > 0.1
    scan = exhibit.source.scan(NAMES[0])
    grey = (np.ptp(front, axis=-1) < 0.02) & (front.max(-1) < 0.99)
    distance = np.linalg.norm(scan.vertices - scan.landmarks[4], axis=1)
    assert blue.sum() / (blue | grey).sum() == pytest.approx((distance < 95).mean(), abs=0.15)
    assert blue[TILE_PX // 2 + 20, TILE_PX // 2 + 30]


def test_error_maps_have_a_column_a_method_and_a_colour_bar(exhibit):
    picture = gallery.error_map_panel(
        exhibit.source, NAMES[:2], [exhibit.rmse_mm(n) for n in NAMES[:2]], 2.0, "front", ["a", "b"]
    )
    columns = 1 + len(exhibit.source.methods) + 1
    assert picture.width == 26 + columns * 208
    floor = np.asarray(picture)[30:230, 26 + (columns - 2) * 208 :][:, :200] / 255
    mean_face = np.asarray(picture)[30:230, 26 + 208 :][:, :200] / 255
    blue = error_colours(np.zeros(1), 2.0)[0]

    def share(tile):
        return (np.abs(tile - blue).max(-1) < 0.2).mean()

    assert share(floor) > 3 * share(mean_face)


def test_the_classes_of_the_mask_are_shown_in_their_colours(exhibit):
    picture = np.asarray(gallery.input_panel(exhibit.source, NAMES[0], ParseSection()))
    mask_tile = picture[30 + 208 : 230 + 208, 26 + 2 * 208 :][:, :200]
    nose = np.asarray(class_legend())[26 + 13, 170 + 12]  # sixth of the legend's entries
    assert (mask_tile[95:105, 95:105] == nose).all()


def test_all_sections_have_their_pictures(report, exhibit):
    report = report._replace(settings=report.settings.model_copy(update={"panels": 1}))
    sections = [
        *figures.figure_sections(report, [exhibit]),
        *views.view_sections(report, [exhibit]),
        *analysis.analysis_sections(report, [exhibit]),
    ]
    assert all(section.parts and section.paragraphs for section in sections)
    names = {path.stem for path in (report.folder / "figures").glob("*.jpg")}
    stems = ("input", "shapes", "close_up", "error_maps", "crop", "expressions", "landmarks")
    assert names >= {f"{stem}_pixel_face" for stem in stems} | {
        "error_maps_pixel_face_by_yaw",
        "texture_pixel_face_dfmvr",
    }
    assert sum(name.startswith("worst_") for name in names) == 1
    sections.append(provenance.name_makers(report, sections))
    write_page(report.folder / "page.html", "T", "L", [], sections)
    reader = Reader((report.folder / "page.html").read_text(encoding="utf-8"))
    assert all(link.startswith(("data:", "#")) for link in reader.links)
    anchors = {link[1:] for link in reader.links if link.startswith("#")}
    assert anchors <= set(reader.ids)
    assert {"made_score", "made_align", "error_maps"} <= anchors
    assert len(set(reader.ids)) == len(reader.ids)
    assert reader.images
    assert all(reader.images)
    assert (report.folder / "page.html").stat().st_size < 12e6


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


def test_measures_have_their_closed_forms(report, exhibit):
    table = worst.measure(exhibit, report.study.scores)
    truth = _truth()
    np.testing.assert_allclose(table["identity"], np.linalg.norm(truth.identity, axis=1), rtol=1e-5)
    np.testing.assert_allclose(table["found"], 80, rtol=1e-5)
    np.testing.assert_allclose(table["yaw_off"], 0.5)
    np.testing.assert_allclose(table["mean_face_mm"], exhibit.errors["mean_face"])
    assert (table["missing"] == 3 * (len(worst.EXPECTED) - 2)).all()  # skin and nose alone
    floor = exhibit._replace(ours="floor")
    assert worst.measure(floor, report.study.scores)["landmarks_px"].max() < 1e-2


def _changed(results, tmp_path, change):
    """An exhibit of results in which something was changed for the third sample, and the scores."""
    copied = shutil.copytree(results, tmp_path / "results")
    change(copied)
    report = _report(copied, tmp_path / "tables")
    (found,) = exhibits.gather(report)
    return found, report.study.scores


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


def test_few_samples_name_no_cause(report, exhibit):
    table = worst.measure(exhibit, report.study.scores).head(worst.LEAST_SAMPLES - 1)
    table.iloc[0] = 1000.0
    assert worst.causes(table, table.index[0]) == []


def test_the_region_that_sets_a_sample_apart_is_named(report, exhibit):
    scores = report.study.scores.copy()
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


def test_equal_answers_to_three_views_agree(report):
    tests = [f"dfmvr_mixed_from_{view}" for view in ("left", "front", "right")]
    source = exhibits.source_of(report, "pixel_face", tests)
    assert views.disagreement(source, tests, NAMES[0]) == pytest.approx(0, abs=1e-6)
    others = ["mean_face", "floor"]
    meshes = []
    for method in others:
        surface = torch.as_tensor(toy_model().shape(*_towards(_truth(), SHARES[method])[:2])[0]).double().numpy()
        meshes.append(source.registered(method, NAMES[0]).apply(surface))
    slow = np.sqrt(np.mean([np.square(p - q).sum() for p, q in zip(*meshes, strict=True)]))
    assert views.disagreement(source, others, NAMES[0]) == pytest.approx(slow, rel=1e-6)


# --- meshes that can be turned


def test_a_prediction_bears_the_errors_of_the_scan_beside_it(exhibit):
    shapes = exhibit.source.shapes(NAMES[0])
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


@pytest.mark.parametrize(("first", "place"), [(True, "the first ones"), (False, "spread over the training")])
def test_the_page_tells_how_the_networks_were_trained(report, first, place):
    train = {"epochs": 31, "landmark_share": 0.75, "landmark_first": first}
    text = " ".join(background.method_section(report._replace(configuration={"train": train})).paragraphs)
    assert "31 epochs" in text
    assert f"75 % of the steps, {place}, compare landmarks" in text
    assert "epochs" not in " ".join(background.method_section(report).paragraphs)
