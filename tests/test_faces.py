"""Who is reconstructed: tables and folders written in every way give the same faces, or one line that says why not."""

import itertools
import os
import unicodedata
from collections import Counter

import pytest

from dfmvr.conventions import VIEWS
from dfmvr.errors import DataError
from dfmvr.reconstruct.photographs.faces import COLUMNS, FacePhotographs, list_faces

PEOPLE = {"ann": "ann", "Jose\u0301 Åse": "Jos\u00e9 Åse"}
"""Names as they are given, and as they are meant."""

PLAIN = {
    name: {view: f"{number}/{view}.jpg" for view in VIEWS} | {"front_landmarks": f"{number}/front.txt"}
    for number, name in enumerate(PEOPLE.values())
}
"""Files by face and column."""


def write_photographs(folder, form="NFC"):
    """Files of these names; what they hold does not matter here."""
    for files in PLAIN.values():
        for file in files.values():
            path = folder / unicodedata.normalize(form, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def table(
    columns=("name", *VIEWS, "front_landmarks"),
    separator=",",
    case=str,
    blanks="",
    quotes="",
    end="\n",
    form="NFC",
    further=(),
    last=True,
):
    """The table of the people, written in some way."""
    rows = [list(columns) + list(further)]
    for name, files in PLAIN.items():
        cells = files | {"name": unicodedata.normalize(form, name)}
        rows.append([cells[column] for column in columns] + [""] * len(further))
    rows[0] = [case(heading) for heading in rows[0]]
    lines = [separator.join(f"{blanks}{quotes}{cell}{quotes}" for cell in row) for row in rows]
    return end.join(lines) + (end if last else "")


def found(source):
    """What is found, as `PLAIN` has it."""
    return {
        face.name: {
            column: path.relative_to(source.parent).as_posix()
            for kind, suffix in ((face.photos, ""), (face.landmarks, "_landmarks"))
            for view, path in kind.items()
            for column in [view + suffix]
        }
        for face in list_faces(source)
    }


CASES = {"as they are": str, "capitals": str.upper, "titles": str.title, "wide": lambda text: f"\u00a0{text} "}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252")
ORDERS = (
    ("name", *VIEWS, "front_landmarks"),
    ("right", "front", "left", "front_landmarks", "name"),
    ("front_landmarks", "front", "name", "right", "left"),
)
WAYS = list(
    itertools.product(ORDERS, (",", ";", "\t", "|"), CASES, ("", " "), ("", '"'), ("\n", "\r\n", "\r"), ENCODINGS)
)


def test_a_table_may_be_written_in_many_ways(tmp_path):
    """2,880 ways, each gives what the plain table gives."""
    write_photographs(tmp_path)
    path = tmp_path / "people.csv"
    path.write_text(table())
    assert found(path) == PLAIN
    for number, (order, separator, case, blanks, quotes, end, encoding) in enumerate(WAYS):
        forms = ("NFC",) if encoding == "cp1252" else ("NFC", "NFD")
        how = {"columns": order, "separator": separator, "case": CASES[case], "blanks": blanks}
        text = table(**how, quotes=quotes, end=end, form=forms[number % len(forms)], last=bool(number % 3))
        path.write_bytes(text.encode(encoding))
        assert found(path) == PLAIN, (order, separator, case, blanks, quotes, end, encoding)
    assert len(WAYS) == 2880


def test_an_encoding_that_cannot_be_told_is_said(tmp_path):
    path = tmp_path / "people.csv"
    path.write_bytes(table().encode("cp1252"))
    ann, jose = list_faces(path)
    assert ann.notes == ()
    assert "read as Windows-1252; check the names" in jose.notes[0]
    for content in (table().encode("utf-16-le"), b"left\n\x81.jpg\n", b"PK\3\4\0\0", table().encode("utf-16")[:-1]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"save it as CSV, UTF-8"):
            list_faces(path)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_of_files_may_be_written_otherwise_than_on_the_disk(tmp_path, form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    there = tmp_path / unicodedata.normalize(form, "Åse") / unicodedata.normalize(form, "é.jpg")
    there.parent.mkdir()
    there.touch()
    for cell in ("Åse/é.jpg", "Åse\\é.jpg", "ÅSE/É.JPG", "åse\\é.JPG"):
        (tmp_path / "people.csv").write_text(f"left\n{unicodedata.normalize(other, cell)}\n", encoding="utf-8")
        (face,) = list_faces(tmp_path / "people.csv")
        assert face.photos["left"] == there
    (there.parent / unicodedata.normalize(form, "É.jpg")).touch()  # which of both is meant cannot be known
    (tmp_path / "people.csv").write_text("left\nÅse/é.JPG\n", encoding="utf-8")
    assert not list_faces(tmp_path / "people.csv")[0].photos["left"].exists()


def test_a_table_of_few_columns(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("left\n\na.jpg\n\n  \nb.jpg")
    assert [(face.name, dict(face.photos)) for face in list_faces(path)] == [
        ("00001", {"left": tmp_path / "a.jpg"}),
        ("00002", {"left": tmp_path / "b.jpg"}),
    ]
    path.write_text("sep=;\r\nname;left;;front\r\nann;a.jpg;;b, c.jpg\r\n;;;\r\n")
    (face,) = list_faces(path)
    assert face == FacePhotographs("ann", {"left": tmp_path / "a.jpg", "front": tmp_path / "b, c.jpg"}, {})


MISTYPED = [
    (right, right[:place] + right[place + 1 :]) for right in COLUMNS for place in range(len(right)) if len(right) > 4
] + [
    (right, right[:place] + right[place : place + 2][::-1] + right[place + 2 :])
    for right in COLUMNS
    for place in (1, 2)
]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_mistyped_column_is_an_error_that_names_the_right_one(tmp_path, separator):
    path = tmp_path / "people.csv"
    said = Counter()
    for right, wrong in MISTYPED:
        others = [view for view in VIEWS if view != right]
        path.write_text(f"{separator.join([wrong, *others])}\n{separator.join('abc')}\n")
        with pytest.raises(DataError, match="unknown column") as caught:
            list_faces(path)
        (line,) = str(caught.value).splitlines()
        said[f"did you mean '{right}'?" in line] += 1
    assert said[True] > 0.95 * said.total()  # `rght_landmarks` may be any


WRONG = {
    "no view": ("photo\nx.jpg\n", "expected the columns left, front, right, found photo"),
    "no headings": ("ann,a.jpg,b.jpg,c.jpg\n", "expected the columns left, front, right, found ann"),
    "lying": ("view,ann,bob\nleft,a,b\nfront,a,b\n", "expected the columns left, front, right, found view"),
    "empty": ("", "found no face"),
    "headings alone": ("left\n", "found no face"),
    "twice the column": ("left,Left \na,b\n", "the column left is there 2 times"),
    "further column": ("name,left,age\nann,a,3\n", "unknown column 'age'; the columns are"),
    "no heading": ("left,\na,b\n", "'b' stands in a column without a heading"),
    "twice the name": ("name,left\na,a.jpg\na,b.jpg\n", "line 3: expected a name of its own, found 'a' again"),
    "twice but for the case": ("name,left\nann,a.jpg\nAnn,b.jpg\n", "found 'Ann' again"),
    "twice but for the form": ("name,left\n\u00e9,a.jpg\ne\u0301,b.jpg\n", "again"),
    "another folder": ("name,left\n../x,a.jpg\n", "a name of its own that a folder can have, found '../x'"),
    "hidden": ("name,left\n.x,a.jpg\n", "a folder can have"),
    "the summary": ("name,left\nSummary.csv,a.jpg\n", "a folder can have"),
    "long": (f"name,left\n{'x' * 300},a.jpg\n", "a folder can have"),
    "too few cells": ("name,left,front\nann,a.jpg\n", "line 2: expected 3 cells, found 2"),
    "too many cells": ("name,left\nann,a.jpg,b.jpg\n", "line 2: expected 2 cells, found 3"),
    "open quotes": ('name,left\nann,"a.jpg\nbob,b.jpg\n', "check its quotation marks"),
    "half quoted": ('name,left\nann,"a".jpg\n', "check its quotation marks"),
    "one for two": ("left,front\na.jpg,./a.jpg\n", "line 2: the same photograph is named for two views"),
    "landmarks alone": ("left,front,front_landmarks\na.jpg,,b.txt\n", "landmarks of the front view, but no photograph"),
}


@pytest.mark.parametrize("how", WRONG)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_that_is_wrong_is_one_line(tmp_path, how, encoding, end):
    path = tmp_path / "people.csv"
    text, said = WRONG[how]
    path.write_bytes(text.replace("\n", end).encode(encoding))
    with pytest.raises(DataError) as caught:
        list_faces(path)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_names_of_all_scripts(tmp_path):
    names = ["Zoë", "李小龍", "अनिता", "มานี", "محمد", "O'Neil (2)", "a.b-c_d"]
    (tmp_path / "people.csv").write_text("name,left\n" + "".join(f"{n},{i}.jpg\n" for i, n in enumerate(names)))
    assert [face.name for face in list_faces(tmp_path / "people.csv")] == names


SUFFIXES = (
    "",
    ".jpg",
    ".JPG",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".Png",
    ".webp",
    ".bmp",
    ".tif",
    ".TIFF",
    ".avif",
    ".gif",
)
STEMS = ("{}", "{} ", "{:>7}")


def test_a_folder_takes_every_suffix_and_case(tmp_path):
    ways = list(itertools.product(SUFFIXES, STEMS, (str, str.upper, str.title), (".txt", ".TXT")))
    for number, (suffix, stem, case, marks) in enumerate(ways):
        place = tmp_path / f"{number:03d}"
        place.mkdir()
        for view in VIEWS:
            (place / (case(stem.format(view)) + suffix)).touch()
        (place / (case("front") + marks)).touch()
        for name in (".DS_Store", "Thumbs.db", ".left.jpg"):
            (place / name).touch()
    faces = list_faces(tmp_path)
    assert len(faces) == len(ways) == 252
    for face in faces:
        assert (tuple(sorted(face.photos)), tuple(face.landmarks)) == (tuple(sorted(VIEWS)), ("front",))
        assert (face.notes, face.problem) == ((), "")


def test_files_that_are_left_aside_are_told(tmp_path, caplog):
    caplog.set_level("INFO")
    for name in ("left.jpg", "frnt.jpg", "right (1).jpg", "right.xmp", "right.txt", "left.txt", "photos/right.jpg"):
        (tmp_path / "ann" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "ann" / name).touch()
    (tmp_path / "front.jpg").touch()
    (face,) = list_faces(tmp_path)
    assert list(face.photos) == list(face.landmarks) == ["left"]
    assert face.notes == (
        "left aside, since not called left, front, right: frnt.jpg, right (1).jpg, right.xmp, right.txt",
    )
    assert "left aside, since each face has a folder of its own: front.jpg" in caplog.text


def test_two_photographs_of_a_view_are_a_problem(tmp_path):
    for name in ("left.heic", "left.jpg", "front.jpg"):
        (tmp_path / "ann" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "ann" / name).touch()
    (tmp_path / "ann" / "left.jpeg").touch()
    (face,) = list_faces(tmp_path)
    assert "left.jpeg, left.jpg: expected one of them; remove the others" in face.problem.replace("left.heic, ", "")


def test_a_folder_that_cannot_be_read_is_its_own_problem_alone(tmp_path):
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "left.jpg").touch()
    (tmp_path / "bob" / ".dfmvr-reconstruct.json").write_text("{")
    ann, bob = list_faces(tmp_path)
    assert (ann.problem, list(ann.photos)) == ("", ["left"])
    assert "not a list of what dfmvr wrote" in bob.problem


def test_a_cell_that_no_file_can_be_called_is_left_to_its_face(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text(f"name,front\nann,{'x' * 300}.jpg\nbob,b.jpg\n")
    assert [face.photos["front"].name for face in list_faces(path)] == [f"{'x' * 300}.jpg", "b.jpg"]


def test_folders_whose_names_are_no_utf_8(tmp_path):
    raw = os.fsdecode(b"Jos\xe9")
    try:
        (tmp_path / raw).mkdir()
    except OSError:
        pytest.skip("this file system has no such names")
    (tmp_path / raw / "left.jpg").touch()
    (face,) = list_faces(tmp_path)
    assert (face.name, list(face.photos)) == (raw, ["left"])
