"""The measurement behind docs/good_photographs.md: one thing changes at a time, and the page tells what came of it."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))

from good_photographs import (  # noqa: E402
    BASE,
    OF_SCAN,
    SCAN,
    SETTINGS,
    Row,
    Sets,
    camera_of,
    light_of,
    read_rows,
)
from good_photographs_page import BEGIN, END, PAGE, SHOWN, ratio_of, summarise, table  # noqa: E402

SMALL = {"height_px": 96}


@pytest.fixture(scope="module")
def sets(heads_file):
    return Sets(heads_file)


@pytest.fixture(scope="module")
def base(sets):
    return sets.photographs(0, BASE._replace(**SMALL))


def changed(photographs, others):
    return [not np.array_equal(*pair) for pair in zip(photographs, others, strict=True)]


def test_settings_differ_from_the_base_and_from_each_other():
    taken = [setting._replace(chapter="", label="") for setting in SETTINGS.values()]
    assert len(set(taken)) == len(taken)
    assert {"base", "from_250", "light_side"} <= set(OF_SCAN)
    assert not {"one", "smile", "fringe", "wide_96", "stranger"} & set(OF_SCAN)
    assert set(SHOWN) <= set(SETTINGS)


def test_the_same_setting_gives_the_same_photographs(sets, base):
    assert changed(sets.photographs(0, BASE._replace(**SMALL)), base) == [False] * 3
    assert all(changed(sets.photographs(1, BASE._replace(**SMALL)), base))


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("stranger", [False, False, True]),
        ("mirrored", [True, False, False]),
        ("light_apart", [True, False, True]),
        ("faces", [True, True, True]),
        ("smile_front", [False, True, False]),
        ("jpeg_10", [True, True, True]),
        ("cap", [True, True, True]),
    ],
)
def test_a_setting_changes_what_it_names(sets, base, name, where):
    assert changed(sets.photographs(0, SETTINGS[name]._replace(**SMALL)), base) == where


def test_a_mirror_image_is_one(sets):
    plain = BASE._replace(**SMALL, jpeg=100)
    (left, *_), (mirrored, *_) = (sets.photographs(0, one) for one in (plain, plain._replace(mirrored=True)))
    assert np.abs(left[:, ::-1].astype(int) - mirrored).mean() < 1  # but for what JPEG makes of it


@pytest.mark.parametrize("name", ["one", "two", "five", "eight"])
def test_as_many_photographs_as_turns(sets, name):
    assert len(sets.photographs(0, SETTINGS[name]._replace(**SMALL))) == len(SETTINGS[name].yaws)


def test_a_face_is_as_large_from_any_distance_but_what_is_nearer_is_larger():
    centre = np.array([3.0, -5.0, 8.0])
    across = centre + np.array([[-50, 0, 0], [50, 0, 0]])  # in the plane of the centre
    for name in ("from_250", "base", "from_2000"):
        setting = SETTINGS[name]
        camera = camera_of(centre, setting, 0.0)
        for shift, distance in ((0, setting.distance_mm), (30, setting.distance_mm - 30)):
            places = camera.project(across + np.array([0, 0, shift]))
            wide = 100 * 768 / 330 * setting.distance_mm / distance
            assert_allclose(places[1, 0] - places[0, 0], wide, rtol=1e-9)


def test_turns_are_those_of_the_conventions():
    """A negative yaw turns the nose to the image's left; a camera above sees the forehead, which leans toward it."""
    ahead = np.array([0.0, 0, 100])
    assert (
        camera_of(np.zeros(3), BASE, -40.0).project(ahead)[0]
        < camera_of(np.zeros(3), BASE, -40.0).project(0 * ahead)[0]
    )
    above = camera_of(np.zeros(3), BASE._replace(pitch=20.0), 0.0)
    assert above.position[1] > 0
    assert camera_of(np.zeros(3), SETTINGS["below"], 0.0).position[1] < 0


def test_a_lamp_stays_where_it_is_while_the_person_turns():
    cameras = [camera_of(np.zeros(3), BASE, yaw) for yaw in BASE.yaws]
    of_room = [camera.rotation @ light_of("turning", camera).directions[0] for camera in cameras]
    assert_allclose(of_room, np.broadcast_to(of_room[0], (3, 3)), atol=1e-6)
    of_person = [light_of("side", camera).directions[0] for camera in cameras]
    assert_array_equal(of_person, np.broadcast_to(of_person[0], (3, 3)))


def test_ratios_are_geometric_means_with_students_interval():
    assert_allclose(ratio_of([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]), (2, 2, 2))
    # logs 0, 1, 2: mean 1, standard deviation 1, and t of 2 degrees of freedom at 97.5 % is 4.30265
    reach = 4.302652729911275 / np.sqrt(3)
    assert_allclose(ratio_of(np.exp([0.0, 1, 2]), np.ones(3)), np.exp([1, 1 - reach, 1 + reach]))
    assert_allclose(ratio_of([1.0, 4.0], [1.0, 1.0]), (2, 1, 4))
    assert [str(ratio_of(of, np.ones(len(of)))) for of in ([1.0, 4.0], [4.0])] == ["2.00 (1.00 to 4.00)", "4.00"]


def test_people_are_compared_with_themselves():
    rows = [
        *(Row("base", str(k), 2.0, 1.0 + k, "") for k in range(4)),
        *(Row("one", str(k), 3.0, 2.0 + 2 * k, "a note" * (k == 1)) for k in range(3)),
        Row("one", "3", np.nan, np.nan, "no face found"),
        Row("base", SCAN, 2.0, 1.0, ""),
        Row("from_250", SCAN, 2.0, 1.5, ""),
        Row("from_250", "2", 2.0, 3.0, ""),
    ]
    found = summarise(rows)
    assert list(found) == ["base", "from_250", "one"]
    one, near = found["one"], found["from_250"]
    assert (one.people, one.failed, one.told) == (4, 1, 2)
    assert_allclose((*one.fit, one.fit_mm, one.network.mean), (2, 2, 2, 4, 1.5))
    assert np.isnan(one.scan)
    assert_allclose((near.people, near.fit.mean, near.scan), (1, 1, 1.5))


def test_the_page_tells_what_was_measured():
    text = PAGE.read_text(encoding="utf-8")
    told = text.partition(BEGIN)[2].partition(END)[0].strip()
    assert told == table(summarise(read_rows(ROOT / "docs" / "good_photographs.csv")))
