from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal
from toy_heads import toy_heads

from dfmvr.cli import main
from dfmvr.colour import decode_srgb
from dfmvr.config import configuration
from dfmvr.config.data import MultiPieData, PixelFaceData
from dfmvr.conventions import CLASSES
from dfmvr.datasets import celebamask_hq as celebamask_files
from dfmvr.datasets.images import read_image
from dfmvr.datasets.landmark_files import read_landmark_file
from dfmvr.datasets.multi_pie.dataset import MultiPie
from dfmvr.datasets.pixel_face.dataset import PixelFace, read_ground_truth, read_landmarks_106
from dfmvr.errors import ConfigError, DataError
from dfmvr.geometry.subdivision import subdivide
from dfmvr.geometry.surface import Surface
from dfmvr.simulate import celebamask_hq, multi_pie, pixel_face
from dfmvr.simulate.command import DATASETS, Work, make_jobs, simulate
from dfmvr.simulate.people.anny import Heads, coarser
from dfmvr.simulate.people.ict import IctHeads
from dfmvr.simulate.people.person import Studio
from dfmvr.simulate.studio import light, noise, sensor
from dfmvr.simulate.studio.photograph import cast_shadow, expose, fragments, see
from dfmvr.simulate.studio.scanner import Head, scan

SHARED = Path(__file__).parents[2] / "shared"
SETTINGS = configuration.validate(
    {
        "simulate": {
            "photo_height_px": 96,
            "scan_spacing_mm": 4.0,
            "ict_test_subjects": 1,
            "pixel_face": {"train_subjects": 2, "test_subjects": 2, "expressions": 2},
            "celebamask_hq": {"images": 10},
            "multi_pie": {"subjects": 2, "recordings": 3, "illuminations": 2},
        }
    }
).simulate


@pytest.fixture(scope="module")
def heads_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("heads") / "heads.npz"
    toy_heads().save(path)
    return path


@pytest.fixture(scope="module")
def studio(heads_file):
    return Studio(Heads(heads_file))


@pytest.fixture(scope="module")
def photographed(studio):
    """A person, the first two expressions, and three cameras."""
    rng = np.random.default_rng(4)
    person = studio.draw_person(rng)
    stages = [pixel_face.set_up(studio, person, number, rng) for number in (0, 1)]
    centre = stages[0].head[studio.anatomy.landmarks_68].mean(0)
    return person, stages, [pixel_face.aim(centre, yaw, 128, rng) for yaw in pixel_face.VIEW_YAW_DEG]


@pytest.fixture(scope="module")
def data_set(heads_file, tmp_path_factory):
    root = tmp_path_factory.mktemp("pixel_face")
    simulate(Work("pixel_face", heads_file, root, SETTINGS), workers=1)
    return root


@pytest.fixture(scope="module")
def many_sides(heads_file, tmp_path_factory):
    root = tmp_path_factory.mktemp("multi_pie")
    simulate(Work("multi_pie", heads_file, root, SETTINGS), workers=1)
    return root


def _pixel_face(root):
    dataset = PixelFace(root, PixelFaceData())
    return dataset, list(dataset.samples())


def _files(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def _without_time(files):
    """A .mat file begins with 128 bytes that tell when it was written."""
    return {name: data[128:] if name.suffix == ".mat" else data for name, data in files.items()}


def test_result_depends_on_the_seed_and_not_on_the_workers(heads_file, data_set, tmp_path):
    simulate(Work("pixel_face", heads_file, tmp_path, SETTINGS), workers=2)
    assert _without_time(_files(tmp_path)) == _without_time(_files(data_set))
    other = pixel_face.Job(1, "train", (SETTINGS.seed + 1, 0, 0, 1))
    pixel_face.make(Studio(Heads(heads_file, 96)), other, tmp_path, SETTINGS)
    photo = Path("0000101", "1", "t.jpg")
    assert (tmp_path / photo).read_bytes() != (data_set / photo).read_bytes()


def test_pixel_face_is_complete_and_splits_are_disjoint(data_set):
    dataset, samples = _pixel_face(data_set)
    subjects = {split: {s.subject for s in samples if s.split == split} for split in ("train", "test")}
    assert len(samples) == 8
    assert not subjects["train"] & subjects["test"]
    assert all(None not in (*s.photos, *s.annotations, s.scan) for s in samples)
    assert dataset.read_photo(samples[0].photos[0]).shape == (96, 84, 3)
    assert (data_set / "preview.jpg").stat().st_size > 0


def test_nose_points_to_the_side_of_the_view(data_set):
    dataset, samples = _pixel_face(data_set)
    for sample in samples:
        marks = np.stack([dataset.read_annotation(path) for path in sample.annotations])
        right_eye, left_eye = marks[:, 36:42, 0].mean(1), marks[:, 42:48, 0].mean(1)
        share = (marks[:, 30, 0] - right_eye) / (left_eye - right_eye)  # 0.5 where the nose is in the middle
        assert share[0] < 0.35 < share[1] < 0.65 < share[2]


def test_training_truth_is_the_landmarks_of_the_scan(data_set):
    _, samples = _pixel_face(data_set)
    train = next(s for s in samples if s.split == "train")
    test = next(s for s in samples if s.split == "test")
    assert read_landmarks_106(train.scan).shape == (106, 3)
    truth = read_ground_truth(test.scan)
    true = truth.registration_vertices[truth.registration_keypoints]
    # the file marks landmarks by vertices of the scan, which are 4 mm apart here
    assert np.median(np.linalg.norm(truth.scan_landmarks_106 - true, axis=1)) < 4.0


def test_annotation_is_the_projection_within_its_noise(studio, photographed):
    _, (stage, _), cameras = photographed
    ids = studio.anatomy.landmarks_68
    rng = np.random.default_rng(0)
    camera = cameras[2]
    error = np.concatenate([pixel_face.annotate(stage.head[ids], camera, 0.5, rng) for _ in range(40)]).reshape(
        40, 68, 2
    )
    error -= camera.project(stage.head[ids])[:, :2]
    # 128 px show 330 mm, 224 px of a crop 220.7 mm
    assert error.std() == pytest.approx(0.5 * (128 / 330) / 1.015, rel=0.12)
    assert_allclose(error.mean(), 0, atol=0.02)


def test_visible_landmarks_are_where_the_photograph_shows_them(studio, photographed):
    """The depth of the rasterised body at a landmark's pixel is that of the landmark, unless something covers it."""
    _, (stage, _), cameras = photographed
    ids = studio.anatomy.landmarks_68
    pixel, _, _, depth = fragments(cameras[1].project(stage.body.vertices), stage.body.triangles, cameras[1].shape)
    image = np.zeros(cameras[1].shape).ravel()
    image[pixel] = depth
    u, v, expected = cameras[1].project(stage.head[ids])[17:].T
    found = image.reshape(cameras[1].shape)[v.astype(int), u.astype(int)]
    assert np.median(np.abs(found - expected)) < 2.5  # a pixel is 2.6 mm wide


def test_eye_landmarks_surround_the_eye_class(studio, photographed):
    _, (stage, _), cameras = photographed
    camera = cameras[1]._replace(rotation=np.eye(3), translation=np.array([0, 0, -1000.0]))
    rng = np.random.default_rng(0)
    shot = pixel_face.shoot(stage, camera, sensor.draw_camera_maker(rng, 128, (90, 91)), rng)
    marks = camera.project(stage.head[studio.anatomy.landmarks_68])[:, :2]
    for name, points in (("right_eye", marks[36:42]), ("left_eye", marks[42:48]), ("nose", marks[27:36])):
        rows, columns = np.nonzero(shot.mask == CLASSES.index(name))
        assert_allclose([columns.mean() + 0.5, rows.mean() + 0.5], points.mean(0), atol=6)


def test_left_parts_of_a_frontal_face_are_on_the_right_of_the_image(studio):
    shot = celebamask_hq.portrait(studio, celebamask_hq.Job(0, "train", (1, 2, 3)), SETTINGS)
    columns = {name: np.nonzero(shot.mask == CLASSES.index(name))[1] for name in ("left_brow", "right_brow")}
    assert columns["left_brow"].mean() > columns["right_brow"].mean()


def test_scan_lies_on_the_surface_within_its_noise(studio):
    surface = studio.population.surface(np.zeros(5, np.float32), None)
    nothing = np.zeros(len(surface.vertices), bool)
    head = Head(surface.vertices, surface.triangles, nothing, surface.landmarks)
    found = scan(head, 3.0, 0.2, np.random.default_rng(0))
    mesh = Surface(surface.vertices, surface.triangles)
    distance = np.linalg.norm(mesh.closest(found.vertices).points - found.vertices, axis=1)
    # the noise is along the ray: on a slant it is larger, and the distance shorter
    assert 0.1 < np.sqrt(np.mean(distance**2)) < 0.25
    exact = scan(head, 3.0, 0.0, np.random.default_rng(0))
    assert_allclose(mesh.closest(exact.vertices).points, exact.vertices, atol=1e-3)


def test_scan_is_spaced_as_asked_faces_outward_and_leaves_out_what_is_hidden(studio):
    surface = studio.population.surface(np.zeros(5, np.float32), None)
    head = Head(surface.vertices, surface.triangles, surface.vertices[:, 1] > 60, surface.landmarks)
    found = scan(head, 3.0, 0.05, np.random.default_rng(0))
    corners = found.vertices[found.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = corners.mean(1) - [0, 20, -85]
    assert ((normals * outward).sum(1) > 0).mean() > 0.97
    assert np.median(corners[:, 0, 1] - corners[:, 1, 1]) == pytest.approx(3.0, abs=0.01)  # along the axis
    assert found.vertices[:, 1].max() < 64


def test_scan_is_not_the_mesh_of_the_model(studio, photographed):
    person, (stage, _), cameras = photographed
    truth = pixel_face.measure(studio, person, stage, cameras[1], SETTINGS, np.random.default_rng(0))
    mesh = Surface(truth.registration_vertices, truth.registration_triangles)
    distance = np.linalg.norm(mesh.closest(truth.scan_vertices).points - truth.scan_vertices, axis=1)
    assert len(truth.scan_vertices) != len(truth.registration_vertices)
    assert np.median(distance) < 0.3


def test_the_mouth_opens_in_the_second_expression(studio, photographed):
    _, (neutral, second), _ = photographed
    assert neutral.expression is None
    assert np.abs(second.head - neutral.head).max() > 0


def test_a_sphere_shades_itself_and_nothing_else():
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=80.0)
    points = np.asarray(sphere.vertices - [0, 40.0, 60.0], np.float32)
    direction = np.array([0.6, 0.0, 0.8])
    lit = cast_shadow(direction, [(points, np.asarray(sphere.faces, np.int64))]).lit(points)
    cosine = sphere.vertices @ direction / 80
    assert lit[cosine > 0.3].min() > 0.9
    assert lit[cosine < -0.3].max() < 0.1


def test_a_matt_surface_is_as_bright_as_the_cosine_law_says():
    lamp = light.Light(np.array([[0, 0, 1.0]]), np.ones((1, 3)), np.zeros((4, 3)))
    matt = light.Material(np.full((1, 3), 0.5), np.zeros(1), np.ones(1), np.zeros((1, 3)))
    normal = np.array([[0, 0.6, 0.8]])
    found = light.shade(lamp, matt, normal, np.array([[0, 0, 1.0]]), np.ones(1), np.ones(1))
    assert_allclose(found, 0.5 * 0.8, rtol=1e-6)


def _shade_naive(lamp, material, normal, to_camera, lit, openness):
    """Light from one point, colour by colour."""
    found = []
    for c in range(3):
        ambient = lamp.sky[0, c]
        matt = max(ambient + normal @ lamp.sky[1:, c], 0.03 * ambient) * openness
        mirror = 0.0
        for number, (direction, colour) in enumerate(zip(lamp.directions, lamp.colours, strict=True)):
            cosine, soft = normal @ direction, material.softness[c]
            arrives = lit if number == 0 else openness**0.5
            matt += max((cosine + soft) / (1 + soft) ** 2, 0) * arrives * colour[c]
            half = (to_camera + direction) / np.linalg.norm(to_camera + direction)
            peak = max(normal @ half, 0) ** material.sharpness * (material.sharpness + 8) / 25
            fresnel = 0.04 + 0.96 * (1 - np.clip(to_camera @ half, 0, 1)) ** 5
            mirror += material.gloss * peak * fresnel * max(cosine, 0) * arrives * colour[c]
        found.append(material.albedo[c] * matt + mirror)
    return found


def test_shading_of_many_points_is_that_of_each():
    rng = np.random.default_rng(2)
    lamp = light.Light(*(a.astype(float) for a in light.draw_light(rng)))
    while len(lamp.directions) < 2:
        lamp = light.Light(*(a.astype(float) for a in light.draw_light(rng)))
    gloss, sharpness, lit, openness = rng.uniform(0, [[1], [30], [1], [1]], (4, 40))
    material = light.Material(rng.uniform(size=(40, 3)), gloss, sharpness, rng.uniform(0, 0.5, (40, 3)))
    normals, rays = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, 40, 3)))
    found = light.shade(lamp, material, normals, rays, lit, openness)
    for i in range(40):
        one = light.Material(*(value[i] for value in material))
        assert_allclose(found[i], _shade_naive(lamp, one, normals[i], rays[i], lit[i], openness[i]), rtol=1e-5)


def test_sensor_noise_grows_with_the_light():
    rng = np.random.default_rng(0)
    maker = sensor.CameraMaker(1.0, np.ones(3, np.float32), 0.05, 0.0, 0.0, 1e-3, 1e-3, 0.0, 90)
    for level in (0.1, 0.4):
        image = sensor.develop(np.full((80, 80, 3), level, np.float32), maker, rng) / 255
        assert decode_srgb(image).std() == pytest.approx(np.sqrt(1e-3 * level + 1e-6), rel=0.1)


def test_fields_have_about_unit_variance():
    rng = np.random.default_rng(0)
    assert noise.fractal(rng, (128, 128), 8).std() == pytest.approx(1, abs=0.25)
    points = rng.uniform(0, 1000, size=(5000, 3))
    assert noise.octaves(noise.Field3D(rng), points, 20.0, 3).std() == pytest.approx(1, abs=0.15)


def test_coarser_undoes_the_last_subdivision():
    triangles = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    _, levels = subdivide(triangles, 4, 2)
    assert_array_equal(coarser(levels[-1]), levels[-2])
    assert_array_equal(coarser(levels[-2]), triangles)


def test_celebamask_images_masks_and_splits(heads_file, tmp_path):
    simulate(Work("celebamask_hq", heads_file, tmp_path, SETTINGS))
    items = celebamask_files.read_items(tmp_path)
    assert [item.split for item in items] == ["train"] * 8 + ["val"] + ["test"]
    for item in items:
        assert celebamask_files.read_image(item).shape == (96, 96, 3)
        assert (celebamask_files.read_mask(item) == CLASSES.index("skin")).mean() > 0.05


def test_seeds_differ_between_subjects_and_data_sets(heads_file):
    jobs = [job for name in DATASETS for job in make_jobs(Work(name, heads_file, Path(), SETTINGS))]
    assert len({job.seed for job in jobs}) == len(jobs) == 4 + 1 + 10 + 2 + 30


def test_the_order_of_the_data_sets_is_part_of_the_seeds(heads_file):
    assert DATASETS == ("pixel_face", "pixel_face_ict", "celebamask_hq", "multi_pie", "bosphorus")
    assert make_jobs(Work("pixel_face", heads_file, Path(), SETTINGS))[-1].seed == (1, 0, 2, 2)
    assert make_jobs(Work("celebamask_hq", heads_file, Path(), SETTINGS))[3].seed == (1, 2, 3)


def test_a_view_is_lit_anew_without_looking_again(photographed):
    _, (stage, _), cameras = photographed
    view, backdrop = see(stage.body, stage.hair, cameras[0]), np.zeros((*cameras[0].shape, 3), np.float32)
    once = expose(view, stage.light, stage.shadow, backdrop)
    dark = stage.light._replace(colours=0 * stage.light.colours, sky=0 * stage.light.sky)
    assert np.abs(expose(view, dark, stage.shadow, backdrop)).max() == 0
    assert_array_equal(expose(view, stage.light, stage.shadow, backdrop), once)
    assert once[view.mask == CLASSES.index("skin")].min() > 0


def _parts(path):
    """Subject, session, recording, camera, illumination of a photograph or annotation."""
    return tuple(path.name.split(".")[0].split("_"))


def test_multi_pie_has_every_camera_and_light_of_every_recording(many_sides):
    photos = {_parts(path) for path in many_sides.rglob("*.png")}
    assert len(photos) == 2 * 3 * 2 * 5
    assert {p[1:3] for p in photos} == {("01", "01"), ("01", "02"), ("02", "02")}
    for subject in ("001", "002"):
        lights = {p[1:4]: {q[4] for q in photos if q[:4] == p[:4]} for p in photos if p[0] == subject}
        assert len(set(map(frozenset, lights.values()))) == 1
        assert len(next(iter(lights.values()))) == 2
    samples = list(MultiPie(many_sides, MultiPieData()).samples())
    assert len(samples) == 2 * 3 * 2 * 2
    assert all(None not in (*s.photos, *s.annotations) for s in samples)
    assert {s.expression for s in samples} == {"neutral", "smile", "surprise"}
    assert read_image(samples[0].photos[0]).shape == (96, 128, 3)
    assert (many_sides / "preview.jpg").stat().st_size > 0


def test_the_nose_points_to_the_side_that_the_yaw_of_the_camera_says(many_sides):
    dataset = MultiPie(many_sides, MultiPieData())
    for sample in dataset.samples():
        marks = np.stack([dataset.read_annotation(path) for path in sample.annotations])
        share = (marks[:, 30, 0] - marks[:, 36:42, 0].mean(1)) / (marks[:, 42:48, 0] - marks[:, 36:42, 0]).mean(1)
        assert share[0] < 0.35 < share[1] < 0.65 < share[2], sample.sample


def test_all_cameras_of_a_recording_see_one_head(studio):
    """The marks in five photographs are the projections of 68 points, by the yaws of Multi-PIE's cameras alone."""
    person, rng = studio.draw_bareheaded(np.random.default_rng(3)), np.random.default_rng(3)
    moment = multi_pie.take_seat(studio, person, {"smile": 1.0}, rng)
    focal, rows, values = 96 * multi_pie.DISTANCE_MM / multi_pie.SPAN_MM, [], []
    for name, yaw in (("090", -60), ("130", -30), ("051", 0), ("050", 15), ("190", 45)):
        u, v = pixel_face.annotate(moment.landmarks, multi_pie.aim(moment, name, 96), 0.0, rng).T
        cosine, sine = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
        turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
        # u - 64 = f x / (D - z), 48 - v = f y / (D - z) with (x, y, z) = turn X is linear in X
        for offset, axis in ((u - 64, 0), (48 - v, 1)):
            rows.append(focal * turn[axis] + offset[:, None] * turn[2])
            values.append(offset * multi_pie.DISTANCE_MM)
    system, right = np.stack(rows, 1), np.stack(values, 1)  # (68, 10, 3), (68, 10)
    points = np.stack([np.linalg.lstsq(a, b, rcond=None)[0] for a, b in zip(system, right, strict=True)])
    assert np.abs((system * points[:, None]).sum(2) - right).max() / multi_pie.DISTANCE_MM < 1e-3  # px
    sides = [np.linalg.norm(p[:, None] - p, axis=-1) for p in (points, moment.landmarks)]
    assert_allclose(*sides, atol=0.01)  # the same head, moved and turned


def test_the_marks_of_a_moment_are_those_of_all_its_lights(many_sides):
    marks = {}
    for path in many_sides.rglob("*.landmarks_68.txt"):
        marks.setdefault(_parts(path)[:4], []).append(read_landmark_file(path))
    assert len(marks) == 30
    for first, second in marks.values():
        assert_array_equal(first, second)


@pytest.mark.parametrize(("illumination", "brighter"), [(3, "right"), (11, "left")])
def test_a_flash_lights_the_half_of_the_face_that_looks_at_it(studio, illumination, brighter):
    person, rng = studio.draw_bareheaded(np.random.default_rng(3)), np.random.default_rng(3)
    person = person._replace(shell=None)
    moment = multi_pie.take_seat(studio, person, {}, rng)
    camera = multi_pie.aim(moment, "051", 96)
    view, backdrop = see(moment.body, None, camera), np.zeros((*camera.shape, 3), np.float32)
    face = view.mask == CLASSES.index("skin")
    middle = camera.project(moment.landmarks[30])[0]
    left = np.broadcast_to(np.arange(camera.shape[1]) < middle, camera.shape)
    image = expose(view, *multi_pie.light_up(moment, illumination), backdrop).mean(2)
    ratio = image[face & ~left].mean() / image[face & left].mean()
    assert ratio > 1.3 if brighter == "right" else ratio < 1 / 1.3
    room = expose(view, *multi_pie.light_up(moment, 0), backdrop).mean(2)
    assert room[face].mean() < 0.7 * image[face].mean()
    assert_array_equal(room, expose(view, *multi_pie.light_up(moment, 19), backdrop).mean(2))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({"cameras": ["051", "05_1"]}, r"simulate.multi_pie.cameras: expected some of 110.*found 051, 05_1"),
        ({"cameras": []}, r"simulate.multi_pie.cameras.*found none"),
        ({"subjects": 1000}, r"simulate.multi_pie.subjects: 1000.*at most 999"),
    ],
)
def test_what_multi_pie_cannot_name_is_refused(heads_file, tmp_path, size, message):
    settings = configuration.validate({"simulate": {"multi_pie": size}}).simulate
    with pytest.raises(ConfigError, match=message):
        simulate(Work("multi_pie", heads_file, tmp_path, settings))


def test_nobody_wears_a_cap_in_the_laboratory(studio):
    rng = np.random.default_rng(0)
    kinds = {studio.draw_bareheaded(rng).style.kind for _ in range(12)}
    assert "cap" not in kinds
    assert len(kinds) > 1


def test_ict_faces_are_measured_by_their_own_landmarks(studio):
    path = SHARED / "ict_facekit" / "model.npz"
    if not path.exists():
        pytest.skip("ICT-FaceKit's model.npz is not in the shared folder")
    heads = IctHeads(path, studio.population)
    shape = heads.draw_shape(np.random.default_rng(0))
    surface = heads.surface(shape, heads.draw_expression(np.random.default_rng(1), 1))
    neutral = heads.vertices(shape, None)
    eyes = neutral[heads.anatomy.landmarks_68[[36, 45]]]
    assert 75 < np.linalg.norm(eyes[0] - eyes[1]) < 110  # mm, so centimetres were converted
    assert_array_equal(surface.face[surface.keypoints], surface.landmarks)
    assert np.abs(surface.vertices - neutral).max() > 1.0
    # the toy's first 68 keypoints are its 68 landmarks, so the borrowed ones are ICT-FaceKit's own
    assert_array_equal(heads.anatomy.landmarks_106[:68], heads.anatomy.landmarks_68)


def test_ict_without_a_path_says_what_to_set(heads_file, tmp_path):
    with pytest.raises(ConfigError, match=r"simulate.ict_facekit.*set it"):
        simulate(Work("pixel_face_ict", heads_file, tmp_path, SETTINGS))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--heads", "none.npz"], "no such file"),
        (["--heads", "none.npz", "--workers", "2"], "no such file"),
        (["--heads", "none.npz", "--workers", "0"], "expected at least 1"),
    ],
)
def test_command_names_what_is_wrong(arguments, message, tmp_path, capsys):
    assert main(["simulate", "--dataset", "pixel_face", "--output", str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_the_ict_model_is_refused(studio, tmp_path):
    names = ("mean", "identity", "expression", "expression_names", "triangles", "region", "landmarks_68")
    np.savez(tmp_path / "model.npz", **{name: np.zeros((5, 3), np.float32) for name in names})
    with pytest.raises(DataError, match="one number of vertices"):
        IctHeads(tmp_path / "model.npz", studio.population)
