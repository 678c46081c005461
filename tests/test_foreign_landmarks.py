"""Landmark files as people and programs write them, varied by rule: the same points or an error of one line."""

import itertools
import re
import time

import numpy as np
import pytest
from analytic_face import face

from dfmvr.conventions import ALIGNMENT_POINTS
from dfmvr.datasets.landmark_files import read_landmark_file
from dfmvr.errors import DataError
from dfmvr.geometry.meshes import MM_PER_UNIT, read_landmarks

SEVEN = face(5)[2].round(4)
SECONDS = 5.0  # of processor time, for one file; a thousandth is usual

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "blank": " ", "comma and blank": ", ", "wide": "    "}
ENCODINGS = {"plain": ("utf-8", True), "bom": ("utf-8-sig", True), "utf-16": ("utf-16", True)}
ENCODINGS |= {
    "utf-16 big": ("utf-16-be", True),
    "utf-16 without mark": ("utf-16-le", False),
    "cp1252": ("cp1252", True),
}
ENDS = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}
SPELLINGS = {
    "lower": str,
    "upper": str.upper,
    "blanks": lambda n: n.replace("_", " ").title(),
    "hyphens": lambda n: n.replace("_", "-"),
}
ORDERS = {"names first": (0, 1, 2, 3), "names last": (1, 2, 3, 0), "z first": (0, 3, 2, 1)}


def encoded(text, encoding):
    """The text in an encoding, with its mark."""
    return ("\ufeff" * (encoding == "utf-16-be") + text).encode(encoding)


def outcome(read, path):
    """What a reader gives, or its message; in bounded time, and the message in one line."""
    start = time.process_time()
    try:
        result = read(path)
    except DataError as error:
        result = str(error)
        assert "\n" not in result
        assert "\r" not in result
        assert len(result) < 700
    assert time.process_time() - start < SECONDS
    return result


def table(separator=",", spelling=str, order=(0, 1, 2, 3), decimal=".", points=SEVEN, ends="\n", remark=""):
    """A table of the seven points."""
    rows = [("name", "x", "y", "z")]
    for name, point in zip(ALIGNMENT_POINTS, points, strict=True):
        rows.append((spelling(name), *(f"{x:.4f}".replace(".", decimal) for x in point)))
    return ends.join([*([remark] if remark else []), *(separator.join(row[k] for k in order) for row in rows)]) + ends


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_table_of_points_is_the_same_or_an_error(tmp_path, encoding, separator):
    path, seen = tmp_path / "a.csv", 0
    for ends, spelling, order, decimal in itertools.product(ENDS, SPELLINGS, ORDERS, ".,"):
        mark = SEPARATORS[separator]
        text = table(mark, SPELLINGS[spelling], ORDERS[order], decimal, ends=ENDS[ends], remark="# Müller")
        path.write_bytes(encoded(text, ENCODINGS[encoding][0]))
        found = outcome(read_landmarks, path)
        must = ENCODINGS[encoding][1] and not (decimal == "," and "," in mark)
        must &= not (
            spelling == "blanks" and not mark.strip(" ")
        )  # a name of two words, and blanks between the columns
        if isinstance(found, str):
            assert not must, (ends, spelling, order, decimal, found)
        else:
            np.testing.assert_allclose(found, SEVEN, atol=1e-9)
            seen += 1
    assert seen == 0 if not ENCODINGS[encoding][1] else seen >= 27


CHANGES = {
    "sep=;": (lambda t: "sep=;\n" + t.replace(",", ";"), True),
    "quotes": (lambda t: re.sub(r"[^,\n]+", r'"\g<0>"', t), True),
    "empty columns": (lambda t: t.replace("\n", ",,\n"), True),
    "empty lines": (lambda t: t.replace("\n", "\n\n"), True),
    "lines of commas": (lambda t: t.replace("\n", "\n,,,\n"), True),
    "no last end": (lambda t: t.rstrip("\n"), True),
    "reversed lines": (lambda t: "\n".join([t.splitlines()[0], *t.splitlines()[:0:-1]]), True),
    "further points": (lambda t: t + "chin,0,0,0\nBrauenmitte links,1,2,3\n", True),
    "exponents": (lambda t: t.replace("-45.0000", "-4.5e1"), True),
    "plus signs": (lambda t: t.replace(",45", ",+45"), True),
    "further columns": (lambda t: t.replace("\n", ",1\n"), False),
    "a column of units": (
        lambda t: t.replace(",z", ",z,unit").replace("\n", ",mm\n").replace("unit,mm", "unit"),
        False,
    ),
    "no heading": (lambda t: t.split("\n", 1)[1], False),
    "other heading": (lambda t: t.replace("name,x,y,z", "label,X1,Y1,Z1"), False),
    "a name twice": (lambda t: t + t.splitlines()[1] + "\n", False),
    "a name twice, in other spelling": (lambda t: t + t.splitlines()[1].replace("_", " ").upper() + "\n", False),
    "a name missing": (lambda t: "\n".join(t.splitlines()[:-1]), False),
    "a number missing": (lambda t: t.rstrip().rsplit(",", 1)[0], False),
    "nan": (lambda t: t.replace("-45.0000", "nan"), False),
    "inf": (lambda t: t.replace("-45.0000", "1e999"), False),
    "a word": (lambda t: t.replace("-45.0000", "links"), False),
    "unreadable number": (lambda t: t.replace("-45.0000", "-45.x"), False),
    "nothing": (lambda t: "", False),
    "blank": (lambda t: " \n\t\n", False),
    "zeros": (lambda t: "\0" * 99, False),
    "a page": (lambda t: "<!DOCTYPE html><html>no such file</html>", False),
    "json": (lambda t: '{"nose_tip": [0, 1, 2]}', False),
    "a long cell": (lambda t: "name,x,y,z\n" + "a" * 200_000, False),
    "half of it": (lambda t: t[: len(t) // 2], False),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_table_is_the_same_or_an_error(tmp_path, name):
    change, must = CHANGES[name]
    (tmp_path / "a.csv").write_text(change(table()))
    found = outcome(read_landmarks, tmp_path / "a.csv")
    if isinstance(found, str):
        assert not must, found
    else:
        np.testing.assert_allclose(found, SEVEN, atol=1e-9)


def picked(spelling=str, declared="", active=(1,) * 7):
    """MeshLab's points."""
    points = [
        f'<point x="{x}" y="{y}" active="{on}" z="{z}" name="{spelling(name)}"/>'
        for name, (x, y, z), on in zip(ALIGNMENT_POINTS, SEVEN, active, strict=True)
    ]
    head = (
        "<!DOCTYPE PickedPoints>\n<PickedPoints>\n <DocumentData>\n  <DateTime time='12:00:00'/>\n </DocumentData>\n "
    )
    return declared + head + "\n ".join(points) + "\n</PickedPoints>\n"


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_picked_points_are_the_same_or_an_error(tmp_path, encoding, spelling):
    for name, declared, ends in itertools.product(
        ("a.pp", "a.PP", "a.xml"), ("", '<?xml version="1.0" encoding="utf-8"?>\n'), ENDS
    ):
        text = picked(SPELLINGS[spelling], declared).replace("\n", ENDS[ends])
        (tmp_path / name).write_bytes(encoded(text, ENCODINGS[encoding][0]))
        found = outcome(read_landmarks, tmp_path / name)
        if isinstance(found, str):
            assert not ENCODINGS[encoding][1], found
        else:
            np.testing.assert_allclose(found, SEVEN, atol=1e-9)


BROKEN_PICKED = {
    "numbered": (lambda t: t.replace("nose_tip", "4"), "missing nose_tip; unknown 4"),
    "not placed": (lambda t: picked(active=(1, 1, 1, 1, 0, 1, 1)), "missing nose_tip"),
    "cut": (lambda t: t[: len(t) // 2], "not readable as MeshLab's points"),
    "another xml": (lambda t: "<svg><path/></svg>", "expected MeshLab's PickedPoints"),
    "a number missing": (lambda t: t.replace(' z="', ' w="', 1), "three finite numbers after outer_eye_right"),
    "entities": (
        lambda t: (
            "<!DOCTYPE x ["
            + "<!ENTITY a '"
            + "b" * 99
            + "'>"
            + "".join(f"<!ENTITY a{i} '{f'&a{i - 1 or str()};' * 99}'>" for i in range(1, 9))
            + "]><x>&a8;</x>"
        ),
        "not readable as MeshLab's points|expected MeshLab's",
    ),
}


@pytest.mark.parametrize("name", BROKEN_PICKED)
def test_broken_picked_points_are_refused(tmp_path, name):
    change, message = BROKEN_PICKED[name]
    (tmp_path / "a.pp").write_text(change(picked()))
    with pytest.raises(DataError, match=message):
        read_landmarks(tmp_path / "a.pp")
    outcome(read_landmarks, tmp_path / "a.pp")


@pytest.mark.parametrize("unit", MM_PER_UNIT)
def test_points_of_every_unit_are_the_same(tmp_path, unit):
    for separator in ",;\t ":
        points = SEVEN / MM_PER_UNIT[unit]
        text = "\n".join(
            [
                "name x y z",
                *(f"{n} {x:.9f} {y:.9f} {z:.9f}" for n, (x, y, z) in zip(ALIGNMENT_POINTS, points, strict=True)),
            ]
        )
        (tmp_path / "a.csv").write_text(text.replace(" ", separator))
        np.testing.assert_allclose(read_landmarks(tmp_path / "a.csv", unit), SEVEN, atol=1e-5)


# ---- landmarks of photographs ---------------------------------------------------------------------------------------


def read_brought(path):
    """As the landmarks of a user's photograph are read."""
    return read_landmark_file(path, sides=True)


def frontal():
    """68 landmarks in a photograph, px: an oval, and the points that tell left from right where they belong."""
    turn = np.linspace(0, np.pi, 17)
    points = np.zeros((68, 2))
    points[:17] = np.column_stack([200 - 90 * np.cos(turn), 190 + 110 * np.sin(turn)])
    points[17:] = np.column_stack([np.linspace(150, 250, 51), np.linspace(140, 280, 51)])
    points[[36, 39, 42, 45]] = (145, 180), (180, 182), (220, 182), (255, 180)
    points[[30, 48, 54]] = (200, 225), (170, 265), (230, 265)
    return points.round(2)


POINTS = {68: frontal(), 5: np.array([(160.25, 180.5), (240.75, 181), (200, 225.5), (170.25, 265), (230, 265)])}
HEADINGS = {"none": "", "x,y": "x,y\n", "remark": "# Müller\n", "words": "Punkte im Bild\n"}


def lines_of(points, separator=" ", decimal="."):
    return [separator.join(f"{number:.2f}".replace(".", decimal) for number in point) for point in points]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("separator", SEPARATORS)
def test_points_in_pixels_are_the_same_or_an_error(tmp_path, encoding, separator):
    for count, ends, heading, decimal, suffix in itertools.product(POINTS, ENDS, HEADINGS, ".,", ("txt", "csv", "TXT")):
        mark = SEPARATORS[separator]
        text = HEADINGS[heading] + "\n".join(lines_of(POINTS[count], mark, decimal)) + "\n"
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(encoded(text.replace("\n", ENDS[ends]), ENCODINGS[encoding][0]))
        found = outcome(read_brought, path)
        must = ENCODINGS[encoding][1] and not (decimal == "," and "," in mark)
        must &= not (encoding == "cp1252" and heading == "remark")
        if isinstance(found, str):
            assert not must, (count, ends, heading, decimal, found)
        else:
            np.testing.assert_allclose(found, POINTS[count], atol=1e-9)


def pts(points, version="version: 1", count="n_points: {}", opening="{", closing="}"):
    """iBUG's file: the first pixel's centre is at 1, where here it is at 0.5."""
    return "\n".join([version, count.format(len(points)), opening, *lines_of(points + 0.5), closing]) + "\n"


@pytest.mark.parametrize("count", POINTS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_ibugs_points_are_counted_from_one(tmp_path, encoding, count):
    heads = (("version: 1", "n_points: {}"), ("version:1", "n_points:  {}"), ("Version: 1", "N_POINTS: {}"))
    for ends, (version, told), suffix in itertools.product(ENDS, heads, ("pts", "PTS", "txt")):
        path = tmp_path / f"a.{suffix}"
        text = pts(POINTS[count], version, told).replace("\n", ENDS[ends])
        path.write_bytes(encoded(text, ENCODINGS[encoding][0]))
        found = outcome(read_brought, path)
        if isinstance(found, str):
            assert not ENCODINGS[encoding][1], found
        else:
            np.testing.assert_allclose(found, POINTS[count], atol=1e-9)


BROKEN_PIXELS = {
    "pts without head": ("a.pts", "\n".join(lines_of(POINTS[68])), "expected `version: 1`"),
    "pts that is cut": ("a.pts", pts(POINTS[68])[:-200], "expected `version: 1`"),
    "pts that tells of more": ("a.pts", pts(POINTS[68]).replace("68", "70"), "found 68, though it tells of 70"),
    "pts of 51": ("a.pts", pts(POINTS[68][17:]), "expected 5 or 68 points, one a line, found 51"),
    "pts of four numbers": ("a.pts", pts(np.hstack([POINTS[5]] * 2)), "line 4: expected two numbers"),
    "left and right": ("a.txt", "\n".join(lines_of(POINTS[5][[1, 0, 2, 4, 3]])), "eyes run from the image's right"),
    "mouth": ("a.txt", "\n".join(lines_of(POINTS[5][[0, 1, 2, 4, 3]])), "mouth corners run from the image's right"),
    "mirrored": ("a.txt", "\n".join(lines_of((400, 0) + POINTS[68] * (-1, 1))), "eyes run from the image's right"),
    "an index": (
        "a.txt",
        "\n".join(f"{i} {line}" for i, line in enumerate(lines_of(POINTS[5]))),
        "line 1: expected two",
    ),
    "three numbers": ("a.txt", "\n".join(f"{line} 0" for line in lines_of(POINTS[5])), "expected two numbers"),
    "in one line": ("a.txt", " ".join(lines_of(POINTS[5])), "line 1: expected two numbers"),
    "json": ("a.json", '{"points": [[1, 2], [3, 4]]}', "expected two numbers"),
    "xml": ("a.pp", picked(), "expected two numbers|expected 5 or 68"),
    "3D": ("a.csv", table(), "expected two numbers"),
    "nan": ("a.txt", "\n".join(["nan nan", *lines_of(POINTS[5])[1:]]), "point 0 is not finite"),
    "two decimal signs": ("a.txt", "\n".join(["1.234,5;2", *lines_of(POINTS[5])[1:]]), "line 1: expected two numbers"),
    "nothing": ("a.txt", "", "found 0"),
}


@pytest.mark.parametrize("name", BROKEN_PIXELS)
def test_broken_points_in_pixels_are_refused(tmp_path, name):
    file, text, message = BROKEN_PIXELS[name]
    (tmp_path / file).write_text(text)
    with pytest.raises(DataError, match=message):
        read_brought(tmp_path / file)
    outcome(read_brought, tmp_path / file)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_faces_of_turned_photographs_have_their_sides(tmp_path, degrees):
    c, s = np.round(np.cos(np.radians(degrees))), np.round(np.sin(np.radians(degrees)))
    turned = (POINTS[68] - 200) @ np.array([(c, s), (-s, c)]) + 200
    (tmp_path / "a.txt").write_text("\n".join(lines_of(turned)))
    np.testing.assert_allclose(read_brought(tmp_path / "a.txt"), turned, atol=1e-9)


def test_a_profile_has_no_sides_that_could_be_exchanged(tmp_path):
    flat = POINTS[5] * (-0.2, 1) + (240, 0)
    (tmp_path / "a.txt").write_text("\n".join(lines_of(flat)))
    np.testing.assert_allclose(read_brought(tmp_path / "a.txt"), flat, atol=0.006)
