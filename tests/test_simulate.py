from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal

from dfmvr.cli import main
from dfmvr.config import configuration
from dfmvr.config.data import MultiPieData, PixelFaceData
from dfmvr.conventions import CLASSES
from dfmvr.datasets import celebamask_hq as celebamask_files
from dfmvr.datasets.images import read_image
from dfmvr.datasets.landmark_files import read_landmark_file
from dfmvr.datasets.multi_pie.dataset import MultiPie
from dfmvr.datasets.pixel_face.dataset import PixelFace
from dfmvr.dependencies import modules_reached
from dfmvr.errors import ConfigError, DataError
from dfmvr.geometry.subdivision import subdivide
from dfmvr.geometry.surface import Surface
from dfmvr.simulate import bosphorus, celebamask_hq, command, multi_pie, pixel_face, pixel_face_ict
from dfmvr.simulate.people.anny import coarser
from dfmvr.simulate.people.ict import IctHeads
from dfmvr.simulate.stand_in import Subject, simulate
from dfmvr.simulate.studio import light, noise
from dfmvr.simulate.studio.camera import annotate, footprint
from dfmvr.simulate.studio.light import GLOSS, SHARPNESS, SOFTNESS, Light
from dfmvr.simulate.studio.photograph import cast_shadow, expose, see
from dfmvr.simulate.studio.scanner import scan_head
from dfmvr.simulate.studio.sensor import CameraPipeline, develop, draw_pipeline
from dfmvr.simulate.studio.session import draw_session

ICT = Path(__file__).parents[2] / "shared" / "ict_facekit" / "model.npz"
MAKERS = (pixel_face, pixel_face_ict, celebamask_hq, multi_pie, bosphorus)
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
def photographed(people):
    """A person, a session with a neutral face, and three cameras."""
    rng = np.random.default_rng(4)
    person = people.draw_person(rng)
    session = draw_session(people.pose(person, None, rng), rng)
    centre = session.sitter.landmarks.mean(0)
    return person, session, [pixel_face.point_camera(centre, yaw, 128, rng) for yaw in pixel_face.VIEW_YAW_DEG]


@pytest.fixture(scope="module")
def pixel_faces(heads_file, tmp_path_factory):
    """The stand-in for Pixel-Face, its folder, its reader and its samples."""
    root = tmp_path_factory.mktemp("pixel_face")
    simulate(pixel_face.RECIPE, heads_file, root, SETTINGS)
    dataset = PixelFace(root, PixelFaceData())
    return root, dataset, list(dataset.samples())


@pytest.fixture(scope="module")
def many_sides(heads_file, tmp_path_factory):
    root = tmp_path_factory.mktemp("multi_pie")
    simulate(multi_pie.RECIPE, heads_file, root, SETTINGS)
    return root


@pytest.fixture
def seated(people):
    """A smiling person in the seat of the laboratory, without hair."""
    person, rng = people.draw_bareheaded(np.random.default_rng(3)), np.random.default_rng(3)
    return multi_pie.take_seat(people, person._replace(hair=None), {"smile": 1.0}, rng)


def _files(root):
    """Contents by path; a .mat file begins with 128 bytes that tell when it was written."""
    paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {path.relative_to(root): path.read_bytes()[128 if path.suffix == ".mat" else 0 :] for path in paths}


def test_result_depends_on_the_seed_and_not_on_the_workers(heads_file, people, pixel_faces, tmp_path):
    simulate(pixel_face.RECIPE, heads_file, tmp_path, SETTINGS, workers=2)
    assert _files(tmp_path) == _files(pixel_faces[0])
    pixel_face.make(people, Subject(1, (SETTINGS.seed + 1, 0, 0, 1), "train"), tmp_path, SETTINGS)
    photo = Path("0000101", "1", "t.jpg")
    assert (tmp_path / photo).read_bytes() != (pixel_faces[0] / photo).read_bytes()


def test_pixel_face_is_complete_and_splits_are_disjoint(pixel_faces):
    root, dataset, samples = pixel_faces
    subjects = {split: {s.subject for s in samples if s.split == split} for split in ("train", "test")}
    assert len(samples) == 8
    assert not subjects["train"] & subjects["test"]
    assert all(None not in (*s.photos, *s.annotations, s.scan) for s in samples)
    assert dataset.read_photo(samples[0].photos[0]).shape == (96, 84, 3)
    assert (root / "preview.jpg").stat().st_size > 0


def test_the_nose_points_to_the_side_of_the_view(pixel_faces, many_sides):
    for dataset in (pixel_faces[1], MultiPie(many_sides, MultiPieData())):
        for sample in dataset.samples():
            marks = np.stack([dataset.read_annotation(path) for path in sample.annotations])
            right_eye, left_eye = marks[:, 36:42, 0].mean(1), marks[:, 42:48, 0].mean(1)
            share = (marks[:, 30, 0] - right_eye) / (left_eye - right_eye)  # 0.5 where the nose is in the middle
            assert share[0] < 0.35 < share[1] < 0.65 < share[2], sample.sample


def test_training_truth_is_the_landmarks_of_the_scan(pixel_faces):
    _, data, samples = pixel_faces
    train, test = (next(s for s in samples if s.split == split) for split in ("train", "test"))
    assert data.read_landmarks_101(train.scan).shape == (101, 3)
    truth = data.read_scan(test.scan)
    true = truth.registration_vertices[truth.registration_keypoints]
    # the file marks landmarks by vertices of the scan, which are 4 mm apart here
    assert np.median(np.linalg.norm(truth.scan_landmarks_106 - true, axis=1)) < 4.0


def test_annotation_is_the_projection_within_its_noise(photographed):
    _, session, cameras = photographed
    rng, marks, camera = np.random.default_rng(0), session.sitter.landmarks, cameras[2]
    error = np.stack([annotate(marks, camera, 0.5, rng) for _ in range(40)]) - camera.project(marks)[:, :2]
    # 128 px show 330 mm, 224 px of a crop 220.7 mm
    assert error.std() == pytest.approx(0.5 * (128 / 330) / 1.015, rel=0.12)
    assert_allclose(error.mean(), 0, atol=0.02)


def test_visible_landmarks_are_where_the_photograph_shows_them(photographed):
    """The depth of the rasterised body at a landmark's pixel is that of the landmark, unless something covers it."""
    _, session, (_, camera, _) = photographed
    covered = footprint(camera.project(session.sitter.vertices), session.sitter.triangles, camera.shape)
    image = np.zeros(camera.shape)
    image.flat[covered.pixel] = covered.depth
    u, v, expected = camera.project(session.sitter.landmarks)[17:].T
    assert np.median(np.abs(image[v.astype(int), u.astype(int)] - expected)) < 2.5  # a pixel is 2.6 mm wide


def test_eye_landmarks_surround_the_eye_class(photographed):
    _, session, (_, camera, _) = photographed
    camera = camera._replace(rotation=np.eye(3), translation=np.array([0, 0, -1000.0]))
    rng = np.random.default_rng(0)
    _, mask = session.shoot(camera, draw_pipeline(rng, 128, (90, 91)), rng)
    marks = camera.project(session.sitter.landmarks)[:, :2]
    for name, points in (("right_eye", marks[36:42]), ("left_eye", marks[42:48]), ("nose", marks[27:36])):
        rows, columns = np.nonzero(mask == CLASSES.index(name))
        assert_allclose([columns.mean() + 0.5, rows.mean() + 0.5], points.mean(0), atol=6)


def test_scan_lies_on_the_surface_within_its_noise(people, photographed):
    head = people.surface(photographed[0], None)
    head = head._replace(hidden=np.zeros(len(head.vertices), bool))
    found = scan_head(head, 3.0, 0.2, np.random.default_rng(0))
    mesh = Surface(head.vertices, head.triangles)
    distance = np.linalg.norm(mesh.closest(found.vertices).points - found.vertices, axis=1)
    # the noise is along the ray: on a slant it is larger, and the distance shorter
    assert 0.1 < np.sqrt(np.mean(distance**2)) < 0.25
    exact = scan_head(head, 3.0, 0.0, np.random.default_rng(0))
    assert_allclose(mesh.closest(exact.vertices).points, exact.vertices, atol=1e-3)


def test_scan_is_spaced_as_asked_faces_outward_and_leaves_out_what_is_hidden(people, photographed):
    head = people.surface(photographed[0], None)
    found = scan_head(head._replace(hidden=head.vertices[:, 1] > 60), 3.0, 0.05, np.random.default_rng(0))
    corners = found.vertices[found.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = corners.mean(1) - [0, 20, -85]
    assert ((normals * outward).sum(1) > 0).mean() > 0.97
    assert np.median(corners[:, 0, 1] - corners[:, 1, 1]) == pytest.approx(3.0, abs=0.01)  # along the axis
    assert found.vertices[:, 1].max() < 64


def test_scan_is_not_the_mesh_of_the_model(people, photographed):
    person, session, cameras = photographed
    head = people.surface(person, None)
    scan = scan_head(head, SETTINGS.scan_spacing_mm, SETTINGS.scan_noise_mm, np.random.default_rng(0))
    truth = pixel_face.scan_truth(scan, head, people.population.fine, session.sitter, cameras[1])
    mesh = Surface(truth.registration_vertices, truth.registration_triangles)
    distance = np.linalg.norm(mesh.closest(truth.scan_vertices).points - truth.scan_vertices, axis=1)
    assert len(truth.scan_vertices) != len(truth.registration_vertices)
    assert np.median(distance) < 0.3


def test_an_expression_moves_the_head(people, photographed):
    heads, rng = people.population, np.random.default_rng(4)
    assert heads.draw_expression(rng, {}) is None
    shapes = [heads.vertices(photographed[0].shape, some) for some in (None, heads.draw_expression(rng, {"random": 1}))]
    assert np.abs(shapes[1] - shapes[0]).max() > 0


def test_a_sphere_shades_itself_and_nothing_else():
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=80.0)
    points = np.asarray(sphere.vertices - [0, 40.0, 60.0], np.float32)
    direction = np.array([0.6, 0.0, 0.8])
    lit = cast_shadow(direction, [(points, np.asarray(sphere.faces, np.int64))]).lit(points)
    cosine = sphere.vertices @ direction / 80
    assert lit[cosine > 0.3].min() > 0.9
    assert lit[cosine < -0.3].max() < 0.1


def _shade_naive(lamp, paint, normal, to_camera, lit, openness):
    """Light from one point, colour by colour."""
    found, gloss, sharpness = [], paint[GLOSS], paint[SHARPNESS]
    for c, soft in enumerate(paint[SOFTNESS]):
        ambient = lamp.sky[0, c]
        matt = max(ambient + normal @ lamp.sky[1:, c], 0.03 * ambient) * openness
        mirror = 0.0
        for number, (direction, colour) in enumerate(zip(lamp.directions, lamp.colours, strict=True)):
            cosine = normal @ direction
            arrives = lit if number == 0 else openness**0.5
            matt += max((cosine + soft) / (1 + soft) ** 2, 0) * arrives * colour[c]
            half = (to_camera + direction) / np.linalg.norm(to_camera + direction)
            peak = max(normal @ half, 0) ** sharpness * (sharpness + 8) / 25
            fresnel = 0.04 + 0.96 * (1 - np.clip(to_camera @ half, 0, 1)) ** 5
            mirror += gloss * peak * fresnel * max(cosine, 0) * arrives * colour[c]
        found.append(paint[c] * matt + mirror)
    return found


def test_shading_of_many_points_is_that_of_each():
    rng = np.random.default_rng(2)
    drawn = (light.draw_light(rng) for _ in range(20))
    lamp = Light(*(a.astype(float) for a in next(lamp for lamp in drawn if len(lamp.directions) > 1)))
    paint = rng.uniform(0, [1, 1, 1, 1, 30, 0.5, 0.5, 0.5], (40, 8))
    lit, openness = rng.uniform(size=(2, 40))
    normals, rays = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, 40, 3)))
    found = light.shade(lamp, paint, normals, rays, lit, openness)
    for i in range(40):
        assert_allclose(found[i], _shade_naive(lamp, paint[i], normals[i], rays[i], lit[i], openness[i]), rtol=1e-5)


def test_a_matt_surface_is_as_bright_as_the_cosine_law_says():
    lamp = Light(np.array([[0, 0, 1.0]]), np.ones((1, 3)), np.zeros((4, 3)))
    matt, normal = np.array([[0.5, 0.5, 0.5, 0, 1, 0, 0, 0]]), np.array([[0, 0.6, 0.8]])
    found = light.shade(lamp, matt, normal, np.array([[0, 0, 1.0]]), np.ones(1), np.ones(1))
    assert_allclose(found, 0.5 * 0.8, rtol=1e-6)


def test_sensor_noise_grows_with_the_light():
    rng = np.random.default_rng(0)
    pipeline = CameraPipeline(1.0, np.ones(3, np.float32), 0.05, 0.0, 0.0, 1e-3, 1e-3, 0.0, 90)
    for level in (0.1, 0.4):
        image = develop(np.full((80, 80, 3), level, np.float32), pipeline, rng) / 255
        linear = ((image + 0.055) / 1.055) ** 2.4
        assert linear.std() == pytest.approx(np.sqrt(1e-3 * level + 1e-6), rel=0.1)


def test_fields_have_about_unit_variance():
    rng = np.random.default_rng(0)
    assert noise.fractal(rng, (128, 128), 8).std() == pytest.approx(1, abs=0.25)
    points = rng.uniform(0, 1000, size=(5000, 3))
    assert noise.octaves(noise.draw_lattice(rng), points, 20.0, 3).std() == pytest.approx(1, abs=0.15)


def test_coarser_undoes_the_last_subdivision():
    triangles = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    _, levels = subdivide(triangles, 4, 2)
    assert_array_equal(coarser(levels[-1]), levels[-2])
    assert_array_equal(coarser(levels[-2]), triangles)


def test_celebamask_images_masks_and_splits(heads_file, tmp_path):
    simulate(celebamask_hq.RECIPE, heads_file, tmp_path, SETTINGS)
    items = celebamask_files.read_items(tmp_path)
    assert [item.split for item in items] == ["train"] * 8 + ["val"] + ["test"]
    sides = []
    for item in items:
        assert celebamask_files.read_image(item).shape == (96, 96, 3)
        mask = celebamask_files.read_mask(item)
        assert (mask == CLASSES.index("skin")).mean() > 0.05
        columns = [np.nonzero(mask == CLASSES.index(name))[1] for name in ("left_brow", "right_brow")]
        if all(map(len, columns)):
            sides.append(columns[0].mean() > columns[1].mean())
    assert len(sides) > 3
    assert all(sides)  # left parts of a face are on the right of its image


def test_seeds_differ_between_subjects_and_data_sets():
    assert [maker.RECIPE.dataset for maker in MAKERS] == list(command.DATASETS)
    subjects = [maker.list_subjects(SETTINGS) for maker in MAKERS]
    assert list(map(len, subjects)) == [4, 1, 10, 2, 30]
    assert len({subject.seed for some in subjects for subject in some}) == 47
    last = [some[-1].seed for some in subjects]
    assert last == [(1, 0, 2, 2), (1, 1, 2, 1), (1, 2, 9), (1, 3, 2), (1, 4, 29)]
    crowd = configuration.validate({"simulate": {"pixel_face": {"train_subjects": 10_001}}}).simulate
    with pytest.raises(ConfigError, match="train_subjects: expected 10000 at the most"):
        MAKERS[0].list_subjects(crowd)


def test_a_stand_in_is_made_again_for_its_own_code_alone():
    ways = {maker.__name__: modules_reached("dfmvr.simulate.command", maker.__name__) for maker in MAKERS}
    for name, reached in ways.items():
        others = set(ways) - {name} - ({"dfmvr.simulate.pixel_face"} if name.endswith("_ict") else set())
        assert not others & reached
        assert "dfmvr.simulate.real_scan" not in reached
        assert ("dfmvr.simulate.people.ict" in reached) == name.endswith("_ict")
        assert ("dfmvr.simulate.studio.structured_light" in reached) == name.endswith("bosphorus")


def test_a_view_is_lit_anew_without_looking_again(photographed):
    _, session, (camera, *_) = photographed
    view, backdrop = see(session.sitter, camera), np.zeros((*camera.shape, 3), np.float32)

    def lit(light):
        return expose(camera, view.layers, light, session.shadow, backdrop)

    once = lit(session.light)
    assert np.abs(lit(session.light._replace(colours=0 * session.light.colours, sky=0 * session.light.sky))).max() == 0
    assert_array_equal(lit(session.light), once)
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


def test_all_cameras_of_a_recording_see_one_head(seated):
    """The marks in five photographs are the projections of 68 points, by the yaws of Multi-PIE's cameras alone."""
    marks, rng = seated.sitter.landmarks, np.random.default_rng(3)
    focal, rows, values = 96 * multi_pie.DISTANCE_MM / multi_pie.SPAN_MM, [], []
    for name, yaw in (("090", -60), ("130", -30), ("051", 0), ("050", 15), ("190", 45)):
        u, v = annotate(marks, multi_pie.camera_of(seated, name, 96), 0.0, rng).T
        cosine, sine = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
        turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
        # u - 64 = f x / (D - z), 48 - v = f y / (D - z) with (x, y, z) = turn X is linear in X
        for offset, axis in ((u - 64, 0), (48 - v, 1)):
            rows.append(focal * turn[axis] + offset[:, None] * turn[2])
            values.append(offset * multi_pie.DISTANCE_MM)
    system, right = np.stack(rows, 1), np.stack(values, 1)  # (68, 10, 3), (68, 10)
    points = np.stack([np.linalg.lstsq(a, b, rcond=None)[0] for a, b in zip(system, right, strict=True)])
    assert np.abs((system * points[:, None]).sum(2) - right).max() / multi_pie.DISTANCE_MM < 1e-3  # px
    sides = [np.linalg.norm(p[:, None] - p, axis=-1) for p in (points, marks)]
    assert_allclose(*sides, atol=0.01)  # the same head, moved and turned


def test_the_marks_of_a_moment_are_those_of_all_its_lights(many_sides):
    marks = {}
    for path in many_sides.rglob("*.landmarks_68.txt"):
        marks.setdefault(_parts(path)[:4], []).append(read_landmark_file(path))
    assert len(marks) == 30
    for first, second in marks.values():
        assert_array_equal(first, second)


@pytest.mark.parametrize(("illumination", "brighter"), [(3, "right"), (11, "left")])
def test_a_flash_lights_the_half_of_the_face_that_looks_at_it(seated, illumination, brighter):
    camera = multi_pie.camera_of(seated, "051", 96)
    view, backdrop = see(seated.sitter, camera), np.zeros((*camera.shape, 3), np.float32)
    face = view.mask == CLASSES.index("skin")
    middle = camera.project(seated.sitter.landmarks[30])[0]
    left = np.broadcast_to(np.arange(camera.shape[1]) < middle, camera.shape)
    image, room, other = (
        expose(camera, view.layers, *multi_pie.light_up(seated, number), backdrop).mean(2)
        for number in (illumination, 0, 19)
    )
    ratio = image[face & ~left].mean() / image[face & left].mean()
    assert ratio > 1.3 if brighter == "right" else ratio < 1 / 1.3
    assert room[face].mean() < 0.7 * image[face].mean()
    assert_array_equal(room, other)


@pytest.mark.parametrize(
    ("maker", "key", "value", "message"),
    [
        (multi_pie, "multi_pie", {"cameras": ["051", "05_1"]}, r"cameras: expected some of 110.*found 051, 05_1"),
        (multi_pie, "multi_pie", {"cameras": []}, "cameras.*found none"),
        (multi_pie, "multi_pie", {"subjects": 1000}, "subjects.*equal to 999, found 1000"),
        (bosphorus, "bosphorus", {"subjects": 1001}, "subjects.*equal to 1000, found 1001"),
        (pixel_face_ict, "ict_facekit", None, "set it"),
    ],
)
def test_what_cannot_be_made_is_refused(heads_file, tmp_path, maker, key, value, message):
    with pytest.raises(ConfigError, match=f"simulate.{key}.*{message}"):
        simulate(maker.RECIPE, heads_file, tmp_path, configuration.validate({"simulate": {key: value}}).simulate)


def test_nobody_wears_a_cap_in_the_laboratory(people):
    rng = np.random.default_rng(0)
    kinds = {people.draw_bareheaded(rng).style.kind for _ in range(12)}
    assert "cap" not in kinds
    assert len(kinds) > 1


@pytest.mark.skipif(not ICT.exists(), reason="ICT-FaceKit's model.npz is not in the shared folder")
def test_ict_faces_are_measured_by_their_own_landmarks(people):
    heads = IctHeads(ICT, people.population)
    shape, fine = heads.draw_shape(np.random.default_rng(0)), heads.fine
    smile = heads.fine_vertices(shape, heads.draw_expression(np.random.default_rng(1), {"random": 1.0}))
    neutral = heads.vertices(shape, None)
    eyes = neutral[heads.anatomy.landmarks_68[[36, 45]]]
    assert 75 < np.linalg.norm(eyes[0] - eyes[1]) < 110  # mm, so centimetres were converted
    assert_array_equal(smile[fine.face][fine.face_keypoints], smile[fine.keypoints])
    assert np.abs(smile - neutral).max() > 1.0
    # the toy's first 68 keypoints are its 68 landmarks, so the borrowed ones are ICT-FaceKit's own
    assert_array_equal(heads.anatomy.landmarks_106[:68], heads.anatomy.landmarks_68)


def test_a_file_that_is_not_the_ict_model_is_refused(people, tmp_path):
    names = ("mean", "identity", "expression", "expression_names", "triangles", "region", "landmarks_68")
    np.savez(tmp_path / "model.npz", **{name: np.zeros((5, 3), np.float32) for name in names})
    with pytest.raises(DataError, match=r"model\.npz: identity: expected shape \(any, 5, 3\), found \(5, 3\)"):
        IctHeads(tmp_path / "model.npz", people.population)


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
