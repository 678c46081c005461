"""Scores: distances known in closed form, the two ways of calling, and every broken input."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
import trimesh
from analytic_face import MOTION, face
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation
from toy_manifest import scanned, write_manifest

from dfmvr.cli import main
from dfmvr.config.evaluation import ProtocolSection, RegisterSection
from dfmvr.conventions import REGIONS
from dfmvr.errors import DataError
from dfmvr.geometry.meshes import MM_PER_UNIT, Mesh, write_landmarks, write_mesh
from dfmvr.geometry.normals import mesh_normals
from dfmvr.geometry.surface import Surface
from dfmvr.mesh.scan import FaceScan, write_scan
from dfmvr.register.crop import crop
from dfmvr.register.icp import Registration
from dfmvr.register.landmarks import check_landmarks
from dfmvr.register.surface import register_surface
from dfmvr.score.distances import by_region, correspondence_by_region, measure, measure_correspondence, summarise
from dfmvr.score.samples import score_sample
from dfmvr.score.two_meshes import MeshFiles

STILL = Registration(1.0, np.eye(3), np.zeros(3))
COLUMNS = ["sample", "subject", "method", "dataset", "protocol", "region", "rmse_mm", "mean_mm", "points"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def displaced(distance, n=120):
    """The face, and its inner vertices moved along their normals by `distance` (n^2,) or number, mm."""
    vertices, triangles, landmarks = face(n)
    moved = vertices + np.reshape(distance, (-1, 1)) * mesh_normals(vertices, triangles)
    inner = (np.abs(vertices[:, 0]) < 70) & (np.abs(vertices[:, 1]) < 90)
    return Surface(vertices, triangles), moved[inner], landmarks


@pytest.mark.parametrize("distance", [1.0, -1.0, 0.1])
def test_a_displacement_along_the_normals_is_the_error(distance):
    surface, scan, _ = displaced(distance)
    score = summarise(measure(surface, scan, STILL))
    assert_allclose((score.rmse_mm, score.mean_mm), abs(distance), rtol=0.02)
    assert score.points == len(scan)


def test_the_error_is_in_millimetres_of_the_scan():
    surface, scan, _ = displaced(1.0)
    score = summarise(measure(surface, MOTION.apply(scan), MOTION))
    assert_allclose((score.rmse_mm, score.mean_mm), MOTION.scale, rtol=0.02)


def test_noise_gives_its_standard_deviation_and_mean_size(rng):
    surface, scan, landmarks = displaced(0.0, 160)
    noisy = scan + rng.normal(size=scan.shape) * 0.2
    registration = register_surface(
        surface, landmarks, FaceScan(noisy, landmarks), RegisterSection().protocols["paper"]
    )
    score = summarise(measure(surface, noisy, registration))
    freedom = np.sqrt(1 - 7 / len(noisy))
    assert_allclose(score.rmse_mm, 0.2 * freedom, rtol=0.02)
    assert_allclose(score.mean_mm, 0.2 * freedom * np.sqrt(2 / np.pi), rtol=0.02)


def test_points_beside_the_prediction_do_not_count():
    vertices, triangles, _ = face(60)
    middle = triangles[(np.abs(vertices[triangles][:, :, 0]) < 40).all(1)]
    errors = measure(Surface(vertices, middle), vertices, STILL)
    assert_allclose(errors.coverage, (np.abs(vertices[:, 0]) < 36).mean(), atol=0.05)
    assert np.abs(errors.plane_mm).max() < 1e-6


def test_regions_share_out_the_points(rng):
    surface, scan, _ = displaced(rng.normal(size=120**2))
    regions = (surface.vertices[:, 1] > 0).astype(int) + 1
    scores = by_region(measure(surface, scan, STILL), regions)
    parts = [score for name, score in scores.items() if name != "all" and score.points]
    assert list(scores) == ["all", *REGIONS]
    assert sum(score.points for score in parts) == scores["all"].points == len(scan)
    pooled = sum(score.points * score.rmse_mm**2 for score in parts) / len(scan)
    assert_allclose(np.sqrt(pooled), scores["all"].rmse_mm)
    assert np.isnan(scores["other"].rmse_mm)


def test_errors_fall_into_the_region_where_they_are():
    lift = np.where(face(120)[0][:, 1] > 0, 2.0, 0.0)
    surface, scan, _ = displaced(lift)
    scores = by_region(measure(surface, scan, STILL), (surface.vertices[:, 1] > 0).astype(int) + 1)
    assert_allclose((scores["nose"].rmse_mm, scores["mouth"].rmse_mm), (0, 2), atol=0.05)


def test_a_protocol_says_which_statistic_is_its_error(rng):
    surface, scan, landmarks = displaced(rng.normal(size=120**2))
    found = dict.fromkeys(RegisterSection().protocols, STILL)
    rows = {row["protocol"]: row for row in score_sample(surface, FaceScan(scan, landmarks), found, RegisterSection())}
    assert rows["paper"]["error_mm"] == rows["paper"]["rmse_mm"]
    assert rows["released_code"]["error_mm"] == rows["released_code"]["mean_mm"] < rows["released_code"]["rmse_mm"]


def slid(angle):
    """A patch of a sphere turned about the sphere's centre, as prediction and as what it should be; and the slide."""
    x, y = np.meshgrid(*[np.linspace(-60, 60, 61)] * 2)
    vertices = np.stack([x, y, np.sqrt(100**2 - x**2 - y**2)], -1).reshape(-1, 3)
    turned = vertices @ Rotation.from_rotvec([angle, 0.0, 0.0]).as_matrix().T
    distance = 2 * np.sin(angle / 2) * np.hypot(vertices[:, 1], vertices[:, 2])
    landmarks = np.tile((0.0, 0.0, 100.0), (7, 1))
    triangles = face(61)[1]
    target = FaceScan(turned, landmarks, registered_vertices=turned, registered_triangles=triangles)
    return Surface(vertices, triangles), target, distance


def test_a_surface_that_slides_along_itself_errs_in_correspondence_alone():
    surface, target, distance = slid(0.02)
    protocol = ProtocolSection(crop_radius_mm=50)
    near = np.linalg.norm(target.vertices - (0, 0, 100), axis=1) <= 50
    score = summarise(measure(surface, crop(target, protocol), STILL))
    found = correspondence_by_region(measure_correspondence(surface, target, STILL, protocol), None)
    assert_allclose(found["all"], np.sqrt((distance[near] ** 2).mean()), rtol=1e-12)
    assert score.rmse_mm < 0.01 < 1.8 < found["all"] < 2


def test_correspondence_is_in_millimetres_of_the_scan_and_of_each_region():
    surface, target, distance = slid(0.03)
    moved = FaceScan(
        MOTION.apply(target.vertices),
        MOTION.apply(target.landmarks),
        registered_vertices=MOTION.apply(target.registered_vertices),
        registered_triangles=target.registered_triangles,
    )
    regions = (surface.vertices[:, 0] > 5).astype(int) + 1
    found = correspondence_by_region(
        measure_correspondence(surface, moved, MOTION, ProtocolSection(crop_radius_mm=500)), regions
    )
    for name, chosen in (("all", regions > 0), ("nose", regions == 1), ("mouth", regions == 2)):
        assert_allclose(found[name], MOTION.scale * np.sqrt((distance[chosen] ** 2).mean()), rtol=1e-9)
    assert np.isnan(found["eyes"])


def test_nothing_corresponds_in_another_topology():
    surface, target, _ = slid(0.02)
    other = target.registered_vertices, target.registered_triangles[::-1]
    for vertices, triangles in ((None, None), other, face(9)[:2]):
        scan = target._replace(registered_vertices=vertices, registered_triangles=triangles)
        found = measure_correspondence(surface, scan, STILL, ProtocolSection())
        assert len(found.distance_mm) == 0
        assert np.isnan(correspondence_by_region(found, None)["all"])


@pytest.fixture
def pair(tmp_path):
    """Files of a prediction and of its scan, which is the same face moved; returns the command's arguments."""
    vertices, triangles, landmarks = face(70)
    motion = MOTION._replace(scale=1.0)
    write_mesh(tmp_path / "p.ply", Mesh(vertices, triangles))
    write_mesh(tmp_path / "g.ply", Mesh(motion.apply(vertices), triangles))
    write_landmarks(tmp_path / "p.csv", landmarks)
    write_landmarks(tmp_path / "g.csv", motion.apply(landmarks))
    names = {"prediction": "p.ply", "ground-truth": "g.ply", "output": "s.json"}
    names |= {"prediction-landmarks": "p.csv", "ground-truth-landmarks": "g.csv"}
    return {f"--{option}": str(tmp_path / name) for option, name in names.items()}


def command(stage, options):
    return main([*stage.split(), *(part for option in options.items() for part in option)])


def test_two_meshes_give_a_json(pair, tmp_path):
    assert command("score two_meshes", pair) == 0
    protocols = json.loads((tmp_path / "s.json").read_text())["protocols"]
    assert set(protocols) == {"paper", "metrical", "released_code"}
    for row in protocols.values():
        assert row["rmse_mm"] < 1e-4 > row["mean_mm"]
        assert row["converged"]
        assert 0.9 < row["coverage"] <= 1
        assert_allclose(row["rotation"], MOTION.rotation, atol=1e-6)
        assert_allclose(row["translation"], MOTION.translation, atol=1e-4)
        assert_allclose(row["scale"], 1, atol=1e-6)


def test_two_meshes_in_other_units_give_the_same(pair, tmp_path):
    vertices, triangles, landmarks = face(70)
    write_mesh(tmp_path / "p.ply", Mesh(vertices / 10, triangles))
    write_landmarks(tmp_path / "p.csv", landmarks / 10)
    assert command("score two_meshes", pair | {"--prediction-unit": "cm"}) == 0
    row = json.loads((tmp_path / "s.json").read_text())["protocols"]["metrical"]
    assert row["rmse_mm"] < 1e-4


def protocols_of(folder, options):
    assert command("score two_meshes", options) == 0
    return json.loads((folder / "s.json").read_text())["protocols"]


@pytest.fixture
def uneven(pair, tmp_path):
    """The pair, its scan 0.5 mm off in waves, so that there is an error; the arguments, and the meshes by name."""
    vertices, triangles, landmarks = face(70)
    lifted = vertices + 0.7 * np.sin(vertices[:, :1] / 9) * mesh_normals(vertices, triangles)
    write_mesh(tmp_path / "g.ply", Mesh(lifted, triangles))
    write_landmarks(tmp_path / "g.csv", landmarks)
    return pair, {"--prediction": Mesh(vertices, triangles), "--ground-truth": Mesh(lifted, triangles)}


@pytest.mark.parametrize("role", ["--prediction", "--ground-truth"])
@pytest.mark.parametrize("suffix", [".glb", ".obj", ".stl"])
def test_the_format_of_a_mesh_does_not_change_its_error(uneven, tmp_path, role, suffix):
    options, meshes = uneven
    plain = protocols_of(tmp_path, options)
    if suffix == ".stl":
        soup = meshes[role].vertices[meshes[role].triangles].reshape(-1, 3)
        trimesh.Trimesh(soup, np.arange(len(soup)).reshape(-1, 3), process=False).export(tmp_path / "o.stl")
    else:
        write_mesh(tmp_path / f"o{suffix}", meshes[role])
    found = protocols_of(tmp_path, options | {role: str(tmp_path / f"o{suffix}")})
    assert plain["metrical"]["error_mm"] > 0.3
    for name, row in plain.items():
        assert_allclose(found[name]["error_mm"], row["error_mm"], atol=2e-3)
        assert_allclose(found[name]["coverage"], row["coverage"], atol=1e-3)
        assert found[name]["points"] == row["points"]


def test_landmarks_lie_beside_their_mesh(uneven, tmp_path, capsys):
    options, _ = uneven
    plain = protocols_of(tmp_path, options)
    for name in "pg":
        (tmp_path / f"{name}.csv").rename(tmp_path / f"{name}.landmarks.csv")
    bare = {name: value for name, value in options.items() if "landmarks" not in name}
    assert protocols_of(tmp_path, bare) == plain
    (tmp_path / "g.landmarks.csv").unlink()
    assert command("score two_meshes", bare) == 2
    assert (
        "g.ply: no landmarks beside it (g.landmarks.csv); name the file by --ground-truth-landmarks"
        in capsys.readouterr().err
    )


def test_a_mesh_inside_out_has_the_same_error(uneven, tmp_path):
    options, meshes = uneven
    plain = protocols_of(tmp_path, options)
    mesh = meshes["--prediction"]
    write_mesh(tmp_path / "p.ply", Mesh(mesh.vertices, mesh.triangles[:, ::-1]))
    for name, row in protocols_of(tmp_path, options).items():
        assert_allclose(row["error_mm"], plain[name]["error_mm"], atol=1e-5)


def test_mesh_and_landmarks_have_units_of_their_own(pair, tmp_path):
    vertices, triangles, landmarks = face(70)
    write_mesh(tmp_path / "p.ply", Mesh(vertices / 10, triangles))
    write_landmarks(tmp_path / "p.csv", landmarks / 1000)
    units = {"--prediction-unit": "cm", "--prediction-landmarks-unit": "m"}
    assert protocols_of(tmp_path, pair | units)["metrical"]["rmse_mm"] < 1e-4
    write_mesh(tmp_path / "p.glb", Mesh(vertices, triangles))
    metres = {"--prediction": str(tmp_path / "p.glb"), "--prediction-unit": "m"}
    assert protocols_of(tmp_path, pair | metres)["metrical"]["rmse_mm"] < 1e-3


UNITS = list(MM_PER_UNIT)


@pytest.mark.parametrize("mesh_unit", UNITS)
@pytest.mark.parametrize("landmarks_unit", UNITS)
def test_a_unit_is_right_or_refused(tmp_path, mesh_unit, landmarks_unit):
    """Of all units that may be said of a mesh and its landmarks, only the right ones pass; the others name these."""
    vertices, triangles, landmarks = face(20)
    write_mesh(tmp_path / "p.ply", Mesh(vertices / MM_PER_UNIT[mesh_unit], triangles))
    write_landmarks(tmp_path / "p.csv", landmarks / MM_PER_UNIT[landmarks_unit])
    for said in itertools.product(UNITS, UNITS):
        files = MeshFiles(tmp_path / "p.ply", tmp_path / "p.csv", *said)
        if said == (mesh_unit, landmarks_unit):
            surface, found = files.read("--prediction")
            assert_allclose(surface.vertices, vertices, atol=1e-3)
            assert_allclose(found, landmarks, atol=2e-3)
            check_landmarks(found, landmarks)
        elif MM_PER_UNIT[said[0]] / MM_PER_UNIT[mesh_unit] == MM_PER_UNIT[said[1]] / MM_PER_UNIT[landmarks_unit]:
            with pytest.raises(DataError, match=r"times too (small|large): its unit is another one"):
                check_landmarks(files.read("--prediction")[1], landmarks)
        else:
            right = f"set --prediction-unit to {mesh_unit} and --prediction-landmarks-unit to {landmarks_unit}$"
            with pytest.raises(DataError, match=right):
                files.read("--prediction")


def test_a_prediction_without_unit_is_scored_with_a_free_scale_only(pair, tmp_path):
    vertices, triangles, landmarks = face(70)
    write_mesh(tmp_path / "p.ply", Mesh(vertices / 28, triangles))
    write_landmarks(tmp_path / "p.csv", landmarks / 28)
    assert command("score two_meshes", pair) == 0
    protocols = json.loads((tmp_path / "s.json").read_text())["protocols"]
    assert protocols["paper"]["rmse_mm"] < 1e-3
    assert_allclose(protocols["paper"]["scale"], 28, rtol=1e-4)
    assert protocols["metrical"]["status"] == "set aside"


def spoil_vertices(path):
    text = path.read_bytes()
    start = text.index(b"end_header\n") + len(b"end_header\n")
    path.write_bytes(text[:start] + np.array([np.nan], "<f4").tobytes() + text[start + 4 :])


def mirror(folder):
    vertices, triangles, landmarks = face(70)
    write_mesh(folder / "p.ply", Mesh(vertices * (-1, 1, 1), triangles[:, ::-1]))
    write_landmarks(folder / "p.csv", landmarks * (-1, 1, 1))


def landmarks_of(change):
    """Change the landmarks of the prediction, (7, 3) mm."""
    return lambda folder: write_landmarks(folder / "p.csv", change(face(70)[2]))


def mesh_of(change):
    """Change the vertices of the prediction, (V, 3) mm."""
    return lambda folder: write_mesh(folder / "p.ply", Mesh(change(face(70)[0]), face(70)[1]))


def turn_over(folder):
    """Turn every third triangle of the prediction over."""
    vertices, triangles, _ = face(70)
    triangles[::3] = triangles[::3, ::-1]
    write_mesh(folder / "p.ply", Mesh(vertices, triangles))


BAD = {
    "sides of triangles": (turn_over, {}, "% of its edges lie between triangles that face opposite ways"),
    "landmarks in m": (
        landmarks_of(lambda p: p / 1e3),
        {},
        "would if you set --prediction-unit to mm and --prediction-landmarks-unit to m$",
    ),
    "landmarks in cm": (
        landmarks_of(lambda p: p / 10),
        {},
        "would if you set --prediction-unit to mm and --prediction-landmarks-unit to cm$",
    ),
    "mesh in cm": (
        mesh_of(lambda v: v / 10),
        {},
        "would if you set --prediction-unit to cm and --prediction-landmarks-unit to mm$",
    ),
    "mesh in m": (
        mesh_of(lambda v: v / 1e3),
        {},
        "would if you set --prediction-unit to m and --prediction-landmarks-unit to mm$",
    ),
    "axes": (mesh_of(lambda v: v[:, [0, 2, 1]] * (1, -1, 1)), {}, "would if you export .* are x, -z, y of the landm"),
    "axes and unit": (
        mesh_of(lambda v: v[:, [0, 2, 1]] * (0.1, -0.1, 0.1)),
        {},
        "to cm and .* and export .* are x, -z, y of",
    ),
    "another face": (
        landmarks_of(lambda p: p + np.array((0, 0, 50))),
        {},
        "outer_eye_left is 4.* mm from|of another face, or was",
    ),
    "another order": (
        landmarks_of(lambda p: p[[1, 0, 2, 3, 4, 5, 6]]),
        {},
        "likely outer_eye_right is called inner_eye",
    ),
    "reversed": (landmarks_of(lambda p: p[::-1]), {}, "are in another order than their names tell"),
    "no face": (landmarks_of(lambda p: p * (1, 0.1, 1)), {}, "not those of a face"),
    "sides exchanged": (
        landmarks_of(lambda p: p[[3, 2, 1, 0, 4, 6, 5]]),
        {},
        "prediction is mirrored, or the names left",
    ),
    "NaN in the scan": (lambda f: spoil_vertices(f / "g.ply"), {}, "1 of 4900 vertices are not finite"),
    "no triangles": (lambda f: (f / "g.obj").write_text("v 0 0 0\n"), {"--ground-truth": "g.obj"}, "found none"),
    "unreadable": (lambda f: (f / "p.ply").write_bytes(b"ply\nwhat"), {}, "not readable as PLY"),
    "missing": (lambda f: (f / "p.ply").unlink(), {}, "no such file"),
    "no landmark": (lambda f: (f / "p.csv").write_text("name,x,y,z\nnose_tip,0,0,0\n"), {}, "missing outer_eye_right"),
    "mirrored": (mirror, {}, "mirrored"),
    "unit of one": (lambda f: None, {"--prediction-unit": "cm"}, "--prediction-unit"),
    "unit of the other": (lambda f: None, {"--ground-truth-unit": "m"}, "--ground-truth-unit"),
    "file as folder": (
        lambda f: (f / "in").write_text("x"),
        {"--output": "in/s.json"},
        "a file of that name stands where|a part of the path is a file",
    ),
    "folder as file": (lambda f: (f / "s.json").mkdir(), {}, "a folder of that name"),
    "other suffix": (lambda f: None, {"--output": "s.txt"}, "ending in .json"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(pair, tmp_path, capsys, name):
    spoil, options, message = BAD[name]
    spoil(tmp_path)
    files = sorted(tmp_path.rglob("*"))
    options = {k: v if k.endswith("unit") else str(tmp_path / v) for k, v in options.items()}
    assert command("score two_meshes", pair | options) == 2
    error = capsys.readouterr().err
    assert pd.Series(error).str.contains(message).all(), error
    assert error.startswith("dfmvr score two_meshes: error: ")
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == files


@pytest.fixture
def study(tmp_path):
    """A data set of four test samples, the second without mesh, the third with a broken scan, the last without any."""
    vertices, triangles, landmarks = face(100)
    marks = vertices[[np.argmin(((vertices - point) ** 2).sum(1)) for point in landmarks]]
    for i, name in enumerate(("s0", "s1", "s2", "s3", "t")):
        points = MOTION.apply(vertices + i * mesh_normals(vertices, triangles))
        registered = (points, triangles) if i == 0 else ()
        if i == 2:
            write_scan(tmp_path / "data" / "s2.npz", "s2/gt.mat: 1 of 30000 numbers are not finite")
        elif i != 3:
            scan = FaceScan(points, MOTION.apply(marks), None, triangles, *registered)
            write_scan(tmp_path / "data" / f"{name}.npz", scan)
        if i != 1:
            write_mesh(tmp_path / "meshes" / f"{name}.ply", Mesh(vertices, triangles))
            write_landmarks(tmp_path / "meshes" / f"{name}.landmarks.csv", marks)
    samples = [scanned(tmp_path / "data", f"s{i}", f"p{i}") for i in range(4)]
    samples.append(scanned(tmp_path / "data", "t", "p9", "train"))
    write_manifest(tmp_path / "manifest.parquet", samples)
    return tmp_path


def run_study(folder, *more):
    places = ["--meshes", str(folder / "meshes"), "--manifest", str(folder / "manifest.parquet")]
    assert main(["register", *places, "--output", str(folder / "r.npz")]) == 0
    names = ["--method", "m", "--dataset", "d", "--registration", str(folder / "r.npz")]
    assert main(["score", *places, *names, "--output", str(folder / "s.parquet"), *more]) == 0
    return pd.read_parquet(folder / "s.parquet")


def test_the_stages_set_broken_samples_aside(study):
    table = run_study(study)
    assert list(table.columns)[:9] == COLUMNS
    assert {"status", "reason"} <= set(table.columns)
    assert table.groupby("sample").status.first().to_dict() == {"s0": "ok"} | dict.fromkeys(
        ("s1", "s2", "s3"), "set aside"
    )
    reasons = table.groupby("sample").reason.first()
    for sample, reason in (("s1", "no such file"), ("s2", "not finite"), ("s3", "no scan")):
        assert reason in reasons[sample]
    paper = table[(table["sample"] == "s0") & (table.protocol == "paper")].iloc[0]
    assert paper.rmse_mm < 1e-3
    assert paper.correspondence_mm < 2e-3
    assert table[table["sample"] != "s0"].correspondence_mm.isna().all()
    assert (paper.subject, paper.method, paper.dataset, paper.region) == ("p0", "m", "d", "all")


def test_registrations_have_the_arrays_others_read(study):
    run_study(study)
    with np.load(study / "r.npz") as arrays:
        assert list(arrays["sample"]) == ["s0", "s1", "s2", "s3"]
        assert list(arrays["status"]) == ["ok", "set aside", "set aside", "set aside"]
        assert_allclose(arrays["scale"][0], MOTION.scale, rtol=1e-5)
        assert_allclose(arrays["rotation"][0], MOTION.rotation, atol=1e-5)
        assert_allclose(arrays["translation"][0], MOTION.translation, atol=1e-2)
        assert np.isnan(arrays["rotation"][1:]).all()
        assert arrays["scale_metrical"][0] == 1


def test_a_face_model_of_another_topology_is_refused(study):
    np.savez(study / "model.npz", regions=np.ones(7, np.uint8))
    table = run_study(study, "--face-model", str(study / "model.npz"))
    assert "leave --face-model out" in table[table["sample"] == "s0"].reason.iloc[0]


def test_a_face_model_gives_regions(study):
    np.savez(study / "model.npz", regions=np.ones(100**2, np.uint8))
    table = run_study(study, "--face-model", str(study / "model.npz"))
    assert list(table[(table["sample"] == "s0") & (table.protocol == "paper")].region) == ["all", *REGIONS]


def test_an_empty_test_split_is_an_error(study, capsys):
    manifest = write_manifest(study / "manifest.parquet", [scanned(study / "data", "t", "p9", "train")])
    options = {"--meshes": str(study / "meshes"), "--manifest": str(manifest), "--output": str(study / "r.npz")}
    assert command("register", options) == 2
    assert "test split, found none" in capsys.readouterr().err
    assert not (study / "r.npz").exists()
