"""What the sensor measures, against closed forms for spheres and rays traced by open3d for a head."""

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose
from scipy.spatial import cKDTree

from dfmvr.config import configuration
from dfmvr.config.data import BosphorusData
from dfmvr.datasets.bosphorus.dataset import Bosphorus
from dfmvr.datasets.bosphorus.landmarks import INDEX_IN_68, read_lm2, read_lm3
from dfmvr.datasets.bosphorus.range_image import read_bnt
from dfmvr.datasets.images import read_image
from dfmvr.geometry.normals import triangle_normals
from dfmvr.geometry.surface import Surface, import_open3d
from dfmvr.geometry.vectors import dot, length, unit
from dfmvr.simulate import bosphorus
from dfmvr.simulate.stand_in import simulate
from dfmvr.simulate.studio import structured_light as sensor
from dfmvr.simulate.studio.photograph import Sitter
from dfmvr.simulate.studio.scanner import HeadSurface

SPACING, NOISE = 2.0, 0.2
SETTINGS = configuration.validate(
    {
        "simulate": {
            "photo_height_px": 96,
            "scan_noise_mm": NOISE,
            "bosphorus": {"subjects": 1, "expressions": 1, "spacing_mm": 3.0},
        }
    }
).simulate
FRONT = np.eye(3)


def _spheres(*places, albedo=0.4, gloss=0.0):
    """Spheres before the sensor: (centre, radius) each; of none, one of 80 mm about the origin."""
    places = places or (((0, 0, 0), 80.0),)
    one = trimesh.creation.icosphere(subdivisions=5)
    points = [np.asarray(one.vertices * radius + centre, np.float32) for centre, radius in places]
    triangles = np.concatenate([one.faces + i * len(one.vertices) for i in range(len(places))]).astype(np.int64)
    vertices, normals = np.concatenate(points), np.tile(np.asarray(one.vertices, np.float32), (len(places), 1))
    paint, blank = np.zeros((len(vertices), 8), np.float32), np.zeros(len(vertices), np.uint8)
    paint[:, :3], paint[:, 3], paint[:, 4] = np.reshape(albedo, (-1, 1)), gloss, 200.0
    none = np.zeros((0, 3), np.float32)
    sitter = Sitter(vertices, triangles, normals, paint, blank + 1.0, blank + 1, blank, *[none] * 3, None, *[none] * 2)
    photo = sensor.sensor_camera(FRONT, np.zeros(3), 1.5, (200, 260))
    head = HeadSurface(vertices, triangles, blank > 0, none)
    return sensor.Sitting(head, sitter, -1e3, sensor.grid_camera(FRONT, np.zeros(3), SPACING), photo)


def _scan(sitting, noise=0.0):
    return sensor.measure_range(sitting, noise, np.random.default_rng(0))


@pytest.fixture
def no_spikes(monkeypatch):
    monkeypatch.setattr(sensor, "SPIKE_SHARE", 0.0)


@pytest.fixture(scope="module")
def data_set(heads_file, tmp_path_factory):
    root = tmp_path_factory.mktemp("bosphorus")
    simulate(bosphorus.RECIPE, heads_file, root, SETTINGS)
    return root


def _first(people):
    """The first subject."""
    return people.draw_bareheaded(np.random.default_rng((1, 4, 0)))


@pytest.fixture(scope="module")
def turned(people):
    """The first subject's scans without noise: a bald head, the range image, the true surface in its frame."""
    settings = SETTINGS.model_copy(update={"bosphorus": SETTINGS.bosphorus.model_copy(update={"spacing_mm": SPACING})})
    person, result = _first(people)._replace(hair=None), {}
    for code in ("N", *bosphorus.TURNS):
        rng = np.random.default_rng(7)
        sitting = bosphorus.sit(people, person, code, settings, rng)
        image = sensor.measure_range(sitting, 0.0, rng)
        result[code] = (image, sensor.to_sensor(sitting.grid, sitting.head.vertices), sitting)
    return result


def test_a_sphere_is_measured_where_camera_and_projector_see_it(no_spikes):
    """Against the ray of every pixel cut with the sphere in closed form."""
    image, eye = _scan(_spheres()), np.array([0, 0, sensor.WORKING_MM])
    rows, columns = (round(size / SPACING) for size in sensor.FIELD_MM)
    v, u = np.mgrid[:rows, :columns] + 0.5
    ray = np.stack(((u - columns / 2) * SPACING, (rows / 2 - v) * SPACING, np.full(u.shape, -eye[2])), -1)
    ray = unit(ray)
    along = ray @ eye
    inside = along**2 - eye @ eye + 80**2
    points = eye + ray * (-along - np.sqrt(np.maximum(inside, 0)))[..., None]
    facing, lit = (
        np.where(inside > 0, dot(unit(place - points), points) / 80, -1)
        for place in (eye, np.array([sensor.PROJECTOR_MM, 0, sensor.WORKING_MM]))
    )
    found = image.points[image.valid]
    scale = sensor.WORKING_MM / (sensor.WORKING_MM - found[:, 2]) / SPACING
    column, row = columns / 2 + scale * found[:, 0], rows / 2 - scale * found[:, 1]
    measured = np.zeros((rows, columns), bool)
    measured[row.astype(int), column.astype(int)] = True
    assert_allclose(found, points[measured], atol=0.3)  # the facets are up to 0.05 mm inside the sphere
    assert measured[(facing > 0.35) & (lit > 0.35)].all()
    assert not measured[(facing < 0.08) | (lit < 0)].any()


def test_noise_across_the_surface_is_as_asked_and_larger_along_the_ray(no_spikes):
    scene, noise = _spheres(), 0.3
    exact, noisy = _scan(scene), _scan(scene, noise)
    both = exact.valid & noisy.valid
    error = noisy.points[both] - exact.points[both]
    facing = exact.points[both][:, 2] / 80
    across = dot(error, exact.points[both]) / 80
    for low, high in ((0.3, 0.6), (0.6, 0.9), (0.9, 1.0)):
        part = (facing > low) & (facing < high)
        assert across[part].std() == pytest.approx(noise, rel=0.1)
    steep = (facing > 0.45) & (facing < 0.55)
    assert error[steep, 2].std() == pytest.approx(noise / 0.5, rel=0.15)


def test_points_stay_on_the_rays_of_the_grid():
    image = _scan(_spheres(), 0.3)
    x, y, z = np.moveaxis(image.points, -1, 0)
    focal = sensor.WORKING_MM / SPACING
    column, row = focal * x / (sensor.WORKING_MM - z), -focal * y / (sensor.WORKING_MM - z)
    assert_allclose(np.diff(column, axis=1)[image.valid[:, 1:] & image.valid[:, :-1]], 1, atol=1e-3)
    assert_allclose(np.diff(row, axis=0)[image.valid[1:] & image.valid[:-1]], 1, atol=1e-3)
    pixel = np.stack((260 / 2 + SPACING / 1.5 * column, 200 / 2 + SPACING / 1.5 * row), -1)
    assert_allclose(image.texture[image.valid] * [260, 200], pixel[image.valid], atol=1e-3)


def test_the_projector_leaves_a_shadow_on_the_left_of_what_stands_in_front():
    small, distance = 20.0, 100.0
    image = _scan(_spheres(((0, 0, -60), 80.0), ((0, 0, distance), small)))
    behind = image.points[image.valid & (image.points[..., 2] < 60)]
    middle = behind[np.abs(behind[:, 1]) < 5]
    slope = sensor.PROJECTOR_MM / sensor.WORKING_MM
    # the ball's shadow falls this far to the left of it, where a camera of the same place would see skin
    shade = -slope * (distance - 15)
    assert not (np.abs(middle[:, 0] - shade) < small - 4).any()
    assert (middle[:, 0] > small + 4).any()
    assert (middle[:, 0] < shade - small - 6).any()


def test_nothing_comes_back_from_black_or_from_a_mirror(no_spikes):
    plain = _spheres()
    dark = plain.head.vertices[:, 1] > 30
    black = _scan(_spheres(albedo=np.where(dark, 0.004, 0.4)))
    assert np.nanmax(black.points[..., 1]) < 33
    shiny, matt = _scan(_spheres(gloss=6.0)), _scan(plain)
    lost = matt.valid & ~shiny.valid
    half = unit(np.array([np.sin(0.5 * np.arctan(sensor.PROJECTOR_MM / sensor.WORKING_MM)), 0, 1]))
    assert 5 < lost.sum() < 400
    assert_allclose(matt.points[lost].mean(0) / 80, half, atol=0.05)  # where camera and projector mirror each other


def test_spikes_stand_at_edges_alone():
    image = _scan(_spheres())
    off = np.abs(length(image.points) - 80) > 0.3
    inside = image.points[off & (np.hypot(image.points[..., 0], image.points[..., 1]) < 70)]
    assert 0 < off.sum() < 0.1 * image.valid.sum()
    assert len(inside) == 0


@pytest.mark.parametrize("code", ["N", *bosphorus.TURNS])
def test_the_sensor_sees_what_a_traced_ray_sees(people, turned, code):
    """Every point can see camera and projector, and little of the skin that sees both is missing."""
    image, vertices, sitting = turned[code]
    triangles, measured = sitting.head.triangles, image.points[image.valid]
    o3d = import_open3d()
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(vertices.astype(np.float32), triangles.astype(np.uint32))

    def free(points, place):
        way = unit(place - points)
        rays = np.concatenate((points + 3.5 * way, way), 1).astype(np.float32)
        return ~scene.test_occlusions(o3d.core.Tensor(rays)).numpy()

    places = np.array([[0, 0, sensor.WORKING_MM], [sensor.PROJECTOR_MM, 0, sensor.WORKING_MM]])
    distance = length(Surface(vertices, triangles).closest(measured).points - measured)
    assert np.median(distance) < 0.01
    exact = measured[distance < 0.1]
    assert len(exact) > 0.97 * len(measured)  # the others are spikes
    assert (free(exact, places[0]) & free(exact, places[1])).mean() > 0.99

    corners = vertices[triangles]
    normals, middle = unit(triangle_normals(corners)), corners.mean(1)
    skin = (people.population.generator.labels[triangles] == 1).all(1)
    skin &= sitting.head.vertices[triangles][..., 1].min(1) > sitting.lowest + 5
    for place in places:
        skin &= dot(unit(place - middle), normals) > 0.45
    seen = middle[skin][free(middle[skin], places[0]) & free(middle[skin], places[1])]
    assert len(seen) > 300
    assert (cKDTree(measured).query(seen)[0] < 1.5 * SPACING).mean() > 0.97


def test_the_farther_a_head_turns_the_less_is_seen_of_its_far_half(people, turned):
    triangles = turned["N"][2].head.triangles
    face = (people.population.generator.labels[triangles] == 1).all(1)
    shares = {}
    for code, (image, vertices, sitting) in turned.items():
        middle = vertices[triangles].mean(1)
        side = sitting.head.vertices[triangles][..., 0].mean(1)
        near = cKDTree(image.points[image.valid]).query(middle)[0] < 1.5 * SPACING
        shares[code] = near[face & (side < -8)].mean(), near[face & (side > 8)].mean()
    person_right = [shares[code][0] for code in ("R10", "R20", "R30", "R45")]
    assert person_right == sorted(person_right, reverse=True)
    assert person_right[-1] < 0.8 * shares["N"][0]
    assert shares["L45"][1] < 0.8 * shares["N"][1]
    assert shares["L45"][0] > shares["R45"][0]


def _off_the_surface(people, code, points):
    """How far points of the first subject's scan are from the surface that was measured, mm."""
    rng = bosphorus.generator_of(bosphorus.list_subjects(SETTINGS)[0], code)
    sitting = bosphorus.sit(people, _first(people), code, SETTINGS, rng)
    surface = Surface(sensor.to_sensor(sitting.grid, sitting.head.vertices), sitting.head.triangles)
    return length(surface.closest(points).points - points)


def _stem(root, scan):
    return root / "bs000" / f"bs000_{scan}_0"


def test_the_data_set_is_complete(data_set):
    samples = list(Bosphorus(data_set, BosphorusData()).samples())
    assert [s.sample for s in samples] == [f"bs000_{code}" for code in ("R10", "R20", "R30", "R45", "relit")]
    assert [s.illumination for s in samples] == [""] * 4 + ["random"]
    assert len({s.scan for s in samples}) == 1
    assert all(None not in (*s.photos, *s.annotations, s.scan) for s in samples)
    assert samples[0].yaws == (-10.0, 0.0, 45.0)
    assert {path.suffix for path in (data_set / "bs000").iterdir()} == {".bnt", ".png", ".lm2", ".lm3"}
    assert len(list((data_set / "bs000").glob("*.bnt"))) == 7 + 3
    assert read_image(samples[0].photos[1]).shape == (96, 128, 3)
    assert (data_set / "preview.jpg").stat().st_size > 0


def test_each_subject_has_a_turn_and_a_light_of_its_own_three_times():
    subjects = [bosphorus.Subject(i, (1, 4, i)) for i in range(60)]
    drawn = [[scan for scan in bosphorus.scans_of(s, SETTINGS) if scan.take] for s in subjects]
    assert {tuple(scan.kind for scan in scans) for scans in drawn} == {("N", "YR", "YR")}
    assert {scans[1].code for scans in drawn} == {"R10", "R20", "R30", "R45"}
    assert all(scans[0].room is scans[1].room is scans[2].room for scans in drawn)
    assert len({scans[0].room.directions[0].tobytes() for scans in drawn}) == len(subjects)


@pytest.mark.parametrize("azimuth", [-60, 60])
def test_a_light_of_the_room_stays_where_it_is_and_is_exposed_like_the_lamp(people, azimuth):
    """The half of the image that is nearer to the light is the brighter one, however the head turns."""
    none = np.zeros((4, 3), np.float32)
    room = bosphorus.Light(bosphorus.direction_of(azimuth, 0)[None], np.full((1, 3), 0.2, np.float32), none)
    for code in ("N", "R45", "L45"):
        rng = np.random.default_rng(5)
        sitting = bosphorus.sit(people, _first(people)._replace(hair=None), code, SETTINGS, rng)
        lit, distance = bosphorus.photograph(sitting, np.random.default_rng(0), room)
        usual, _ = bosphorus.photograph(sitting, np.random.default_rng(0))
        face = np.isfinite(distance)
        columns = np.nonzero(face)[1]
        left = face & (np.arange(face.shape[1]) < np.median(columns))
        right = face & ~left
        assert (lit[left].mean() > lit[right].mean() + 15) == (azimuth < 0)
        assert (lit[right].mean() > lit[left].mean() + 15) == (azimuth > 0)
        assert 0.5 < lit[face].mean() / usual[face].mean() < 2


def test_a_subject_comes_out_the_same_again(people, data_set, tmp_path):
    bosphorus.make(people, bosphorus.list_subjects(SETTINGS)[0], tmp_path, SETTINGS)
    for path in (tmp_path / "bs000").iterdir():
        assert path.read_bytes() == (data_set / "bs000" / path.name).read_bytes(), path.name


@pytest.mark.parametrize("scan", ["N_N", "E_HAPPY", "YR_R30", "YR_L45"])
def test_a_written_scan_lies_on_its_true_surface(people, data_set, scan):
    image = read_bnt(f"{_stem(data_set, scan)}.bnt")
    distance = _off_the_surface(people, scan.split("_")[1], image.points[image.valid])
    # the median of a half normal distribution is 0.674 of its deviation; spikes do not move it
    assert np.median(distance) / 0.674 == pytest.approx(NOISE, rel=0.1)
    assert np.sqrt(np.mean(np.square(distance))) < 2 * NOISE


def test_the_colours_of_the_points_are_those_of_the_photograph(data_set):
    """Texture coordinates and landmarks name the same place of the photograph, rows counted from its top."""
    stem = _stem(data_set, "N_N")
    image, photo = read_bnt(f"{stem}.bnt"), read_image(f"{stem}.png")
    pixels = image.texture[image.valid] * photo.shape[1::-1]
    points, marks = read_lm3(f"{stem}.lm3"), read_lm2(f"{stem}.lm2")
    distance, nearest = cKDTree(image.points[image.valid]).query(np.stack(list(points.values())))
    offset = np.linalg.norm(pixels[nearest] - np.stack([marks[name] for name in points]), axis=1)
    mm_per_px = bosphorus.SPAN_MM / photo.shape[0]
    assert (offset * mm_per_px < distance + 1).all()
    skin = photo[pixels[:, 1].astype(int), pixels[:, 0].astype(int)].astype(int)
    assert np.median(skin[:, 0]) > np.median(photo[:20, :20, 0]) + 40  # lit against a dark room


def test_landmarks_are_marked_on_the_surface_with_the_image_sides(people, data_set):
    points = read_lm3(f"{_stem(data_set, 'N_N')}.lm3")
    assert len(points) == 22
    assert _off_the_surface(people, "N", np.stack(list(points.values()))).max() < 0.01
    for name, point in points.items():
        if "left" in name.lower():
            assert point[0] < points[next(n for n in points if n.lower() == name.lower().replace("left", "right"))][0]


@pytest.mark.parametrize(("scan", "sign"), [("YR_R45", -1), ("YR_R20", -1), ("YR_L45", 1)])
def test_a_turn_to_r_points_the_nose_to_the_left_of_the_image(data_set, scan, sign):
    marks = read_lm2(f"{_stem(data_set, scan)}.lm2")
    assert sign * (marks["Nose tip"][0] - marks["Upper lip outer middle"][0]) > 1


@pytest.fixture
def marked(people):
    """The first subject, looking ahead, and how far away each pixel of the photograph is."""
    rng = np.random.default_rng(0)
    sitting = bosphorus.sit(people, _first(people), "N", SETTINGS, rng)
    return sitting, bosphorus.photograph(sitting, rng)[1], rng


def test_a_landmark_behind_the_head_is_not_marked(marked):
    sitting, distance, rng = marked
    landmarks = sitting.sitter.landmarks.copy()
    landmarks[INDEX_IN_68["Nose tip"]] = sitting.head.vertices[sitting.head.vertices[:, 2].argmin()]
    sitting = sitting._replace(sitter=sitting.sitter._replace(landmarks=landmarks))
    points, pixels = bosphorus.mark(sitting, distance, 0.5, rng)
    assert len(points) == len(pixels) == 21
    assert "Nose tip" not in points


def test_marks_scatter_in_the_photograph_as_asked(marked):
    sitting, distance, rng = marked
    exact, _ = bosphorus.mark(sitting, distance, 0.0, rng)
    places = bosphorus.landmarks_of(sitting.sitter)
    for name, point in exact.items():
        assert_allclose(point, sensor.to_sensor(sitting.photo, places[name]), atol=1e-3)
    drawn = [bosphorus.mark(sitting, distance, 0.5, rng)[1] for _ in range(20)]
    scatter = np.mean([np.std([marks[name] for marks in drawn], 0) for name in exact])
    assert scatter == pytest.approx(0.5 / 1.015 * 96 / 330, rel=0.1)  # 96 px show 330 mm, 224 px of a crop 220.7 mm
