import itertools
import logging

import numpy as np
import pytest
from analytic_face import face
from authors_layout import write_sample_authors
from damage import flips, read_all, truncations
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from dfmvr.config.data import PixelFaceData
from dfmvr.conventions import DROPPED_FROM_106
from dfmvr.datasets.landmark_files import read_landmark_file, write_landmark_file
from dfmvr.datasets.pixel_face import dataset, views
from dfmvr.datasets.pixel_face.authors import read_keypoints, read_registered_mesh, sample_folder
from dfmvr.datasets.pixel_face.dataset import PixelFace, SampleInfo
from dfmvr.datasets.pixel_face.ground_truth import GroundTruth
from dfmvr.errors import DataError
from dfmvr.geometry.meshes import Mesh


def photos(seed=0, height=40, width=30):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (height, width, 3)).astype(np.uint8) for _ in range(3)]


@pytest.fixture
def root(tmp_path):
    points = np.random.default_rng(0).uniform(-60, 60, (106, 3))
    truth = GroundTruth(points, np.array([[0, 1, 2]]), points)
    landmarks = [np.random.default_rng(view).uniform(0, 30, (68, 2)) for view in range(3)]
    infos = [
        SampleInfo("00001_01", "00001", "train", "1", 1, 30),
        SampleInfo("00001_02", "00001", "train", "2"),
        SampleInfo("00002_other_1", "00002", "test", "23"),
    ]
    for seed, info in enumerate(infos):
        dataset.write_sample(tmp_path, info.sample, photos(seed), truth, landmarks, image_format="bmp")
    dataset.write_splits(tmp_path, infos)
    return tmp_path


def upright(path, orientation="rotated_mirrored"):
    return PixelFace(path.parent, PixelFaceData(orientation=orientation)).read_photo(path)


def listed(root, **options):
    return list(PixelFace(root, PixelFaceData(**options)).samples())


def split_file(root, name):
    return root / "release_id" / "split" / name


def test_samples_come_back(root):
    samples = listed(root)
    assert [(s.sample, s.subject, s.expression, s.split) for s in samples] == [
        ("00001_01", "00001", "1", "train"),
        ("00001_02", "00001", "2", "train"),
        ("00002_other_1", "00002", "23", "test"),
    ]
    for seed, sample in enumerate(samples):
        for path, photo in zip(sample.photos, photos(seed), strict=True):
            assert_array_equal(upright(path), photo)
    landmarks = np.random.default_rng(1).uniform(0, 30, (68, 2))
    assert_allclose(read_landmark_file(samples[2].annotations[1]), landmarks, atol=5.01e-4)


def test_split_files_are_as_documented(root):
    assert split_file(root, "release_eva.txt").read_text() == "00002_other_1\n"
    assert split_file(root, "release_info.txt").read_text().splitlines()[0] == "00001 00001_01 1 30 1"


def test_photo_is_stored_so_that_turning_and_mirroring_it_sets_it_upright(root):
    stored = np.array(Image.open(root / "00001_01" / "1" / "t.bmp"))
    clockwise = np.rot90(stored, k=-1)
    assert_array_equal(clockwise[:, ::-1], photos(0)[1])


def test_upright_photos_can_be_read_as_they_are(tmp_path):
    Image.fromarray(photos()[0]).save(tmp_path / "own.png")
    assert_array_equal(upright(tmp_path / "own.png", "upright"), photos()[0])


def test_jpeg_comes_back_nearly(tmp_path):
    smooth = np.broadcast_to(np.linspace(0, 255, 48)[:, None, None], (48, 32, 3)).astype(np.uint8)
    dataset.write_sample(tmp_path, "a", [smooth, None, smooth], jpeg_quality=(95, 90, 90))
    assert_allclose(upright(tmp_path / "a" / "0" / "t.jpg").astype(float), smooth, atol=6)
    assert not (tmp_path / "a" / "1").exists()


def test_missing_files_are_none(root):
    (root / "00001_02" / "0" / "t.bmp").unlink()
    (root / "00001_02" / "2" / "landmarks_68.txt").unlink()
    (root / "00001_02" / "fusion" / "gt.mat").unlink()
    sample = listed(root)[1]
    assert [path is None for path in sample.photos] == [True, False, False]
    assert [path is None for path in sample.annotations] == [False, False, True]
    assert sample.scan is None


def test_missing_folder_is_a_sample_of_nothing(root):
    split_file(root, "release_info.txt").open("a").write("00009 00009_01 0 0 0\n")
    split_file(root, "release_eva.txt").open("a").write("00009_01\n")
    sample = listed(root)[-1]
    assert (sample.sample, sample.photos, sample.scan) == ("00009_01", (None, None, None), None)


def test_split_file_may_name_a_subject(root):
    split_file(root, "release_train.txt").write_text("00001\n")
    assert [s.sample for s in listed(root)] == ["00001_01", "00001_02", "00002_other_1"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("release_train.txt", "00007\n", "'00007' is neither a sample nor a subject"),
        ("release_train.txt", "00002_other_1\n", "also in the train split"),
        ("release_info.txt", "00001 00001_01 1\n", "line 1: expected subject, sample, gender, age, expression"),
        ("release_info.txt", "00001 ../x 0 0 0\n", "no folder name"),
        ("release_info.txt", "00001 .. 0 0 0\n", "no folder name"),
        ("release_info.txt", "1 a 0 0 0\n\n1 a 0 0 0\n", "line 3.*twice"),
        ("release_train.txt", "00001\n00001_01\n00002\n", "line 3|00002_other_1"),
        ("release_eva.txt", "0\0\x000\x002\0", "zero bytes.*UTF-8"),
        ("release_eva.txt", None, "no such file"),
    ],
)
def test_broken_split_files_are_refused(root, name, text, message):
    split_file(root, name).unlink() if text is None else split_file(root, name).write_text(text)
    with pytest.raises(DataError, match=message):
        listed(root)


def test_empty_splits_are_refused(root):
    dataset.write_splits(root, [])
    with pytest.raises(DataError, match="no sample in"):
        listed(root)


def test_subject_in_both_splits_is_warned_of(root, caplog):
    split_file(root, "release_train.txt").write_text("00001_01\n")
    split_file(root, "release_eva.txt").write_text("00001_02\n")
    listed(root)
    assert "1 subjects are in more than one split, such as 00001" in caplog.text


def test_grey_and_transparent_images_become_rgb_and_16_bits_are_refused(tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(np.dstack([grey] * 4)).save(tmp_path / "rgba.png")
    Image.fromarray(grey.astype(np.uint16)).save(tmp_path / "deep.png")
    for name in ("grey", "rgba"):
        assert_array_equal(upright(tmp_path / f"{name}.png", "upright"), np.dstack([grey] * 3))
    with pytest.raises(DataError, match="8 bits"):
        upright(tmp_path / "deep.png")


def test_sides_can_be_exchanged(root):
    for straight, exchanged in zip(listed(root), listed(root, exchange_sides=True), strict=True):
        assert exchanged.photos == straight.photos[::-1]
        assert exchanged.annotations == straight.annotations[::-1]
        assert exchanged.scan == straight.scan
    assert np.isnan(straight.yaws).all()


def test_landmarks_101_are_the_keypoints_without_the_dropped_ones(root):
    sample = listed(root)[0]
    found = PixelFace(root, PixelFaceData()).read_landmarks_101(sample.scan)
    points = np.random.default_rng(0).uniform(-60, 60, (106, 3))
    kept = [i for i in range(106) if i not in (3, 15, 17, 25, 27)]
    assert_allclose(found, points[kept], atol=1e-4)


@pytest.mark.parametrize(
    ("orientation", "format_", "warned"),
    [("rotated_mirrored", "bmp", False), ("rotated_mirrored", "jpg", False), ("upright", "bmp", True)],
)
def test_portraits_that_come_out_wide_are_warned_of(orientation, format_, warned, root, caplog):
    dataset.write_sample(root, "00001_01", photos(), image_format=format_)
    listed(root, orientation=orientation)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == warned
    assert not warned or "change datasets.pixel_face.orientation, which is upright" in messages[0]


def test_photo_is_read_as_the_settings_say(root):
    path = listed(root)[0].photos[0]
    upright = PixelFace(root, PixelFaceData(orientation="upright")).read_photo(path)
    assert_array_equal(upright, photos(0)[0].swapaxes(0, 1))


@pytest.mark.parametrize("subjects", [1, 2, 5, 10, 524])
def test_split_of_the_authors_keeps_the_last_fifth_of_the_subjects(subjects, tmp_path):
    infos = [SampleInfo(f"s{i}_{k}", f"{i:05d}", "test") for i in reversed(range(subjects)) for k in range(2)]
    dataset.write_splits(tmp_path, infos)
    samples = listed(tmp_path, split="authors")
    tested = {sample.subject for sample in samples if sample.split == "test"}
    trained = {sample.subject for sample in samples if sample.split == "train"}
    assert len(samples) == 2 * subjects
    assert len(tested) == {1: 0, 2: 0, 5: 1, 10: 2, 524: 105}[subjects]
    assert not tested or max(trained) < min(tested)


def test_split_may_come_from_a_file(root, tmp_path):
    own = tmp_path / "own.txt"
    own.write_text("00002_other_1, test\n\n00001\ttrain\n", encoding="utf-8-sig")
    assert [(s.sample, s.split) for s in listed(root, split=str(own))] == [
        ("00001_01", "train"),
        ("00001_02", "train"),
        ("00002_other_1", "test"),
    ]
    own.write_text("00001_02 val\n00002 test\n")
    assert [(s.sample, s.split) for s in listed(root, split=str(own))] == [
        ("00001_02", "val"),
        ("00002_other_1", "test"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("00001\n", "own.txt, line 1: expected a sample or subject and one of train, val, test, found '00001'"),
        ("00001 eval\n", "found '00001 eval'"),
        ("00003 test\n", "line 1: '00003' is neither a sample nor a subject"),
        ("00001 train\n00001_02 test\n", "line 2: sample '00001_02' is also in the train split"),
        ("", "no sample in any split"),
        (None, "no such file; set datasets.pixel_face.split to `release`, `authors` or the path"),
    ],
)
def test_broken_split_of_ones_own_is_refused(text, message, root, tmp_path):
    if text is not None:
        (tmp_path / "own.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        listed(root, split=str(tmp_path / "own.txt"))


def test_absent_folder_and_other_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"no such folder; set datasets\.pixel_face\.root"):
        PixelFace(tmp_path / "absent", PixelFaceData())
    with pytest.raises(DataError, match="layout: authors"):
        listed(tmp_path)
    with pytest.raises(DataError, match="layout: release"):
        listed(tmp_path, layout="authors")


def test_list_of_many_megabytes_is_refused_unread(root):
    with split_file(root, "release_train.txt").open("wb") as file:
        file.truncate(9 << 20)
    with pytest.raises(DataError, match="expected a text of 8192 KiB at the most"):
        listed(root)


@pytest.mark.parametrize("name", ["release_info.txt", "release_train.txt", "own.txt"])
def test_list_cut_anywhere_or_with_flipped_bytes_is_refused_or_read(name, tmp_path):
    dataset.write_splits(tmp_path, [SampleInfo("00001_01", "00001", "train"), SampleInfo("2_3", "00002", "test")])
    path = split_file(tmp_path, name)
    if name == "own.txt":
        path.write_text("00001 train\n2_3 test\n")
    split = str(path) if name == "own.txt" else "release"
    whole = path.read_bytes()
    contents = itertools.chain(truncations(whole), flips(whole, 700, texts=True))
    tried, read = read_all(lambda _: listed(tmp_path, split=split), path, contents)
    assert tried >= 700
    assert read < tried


# the authors' layout


def face_mesh():
    vertices, triangles, _ = face(20)
    return Mesh(np.asarray(vertices, np.float64), np.asarray(triangles, np.int64))


def keypoints(mesh, seed=0):
    return mesh.vertices[np.random.default_rng(seed).choice(len(mesh.vertices), 106)]


@pytest.fixture
def authors(tmp_path):
    mesh = face_mesh()
    for split, subject, expression, with_mesh in (
        ("val", "10075", "other_1", True),
        ("val", "10075", "07", False),
        ("train", "00352", "01", True),
        ("train", "00331", "02", False),
    ):
        write_sample_authors(
            tmp_path, split, subject, expression, photos(), keypoints(mesh), mesh if with_mesh else None
        )
    return tmp_path


def test_layout_of_the_authors_is_as_their_code_has_it(authors):
    folder = authors / "val" / "10075" / "other_1" / "Images"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        *(f"{view}/t.jpg" for view in "012"),
        "fusion/nicp_106_pts.txt",
    }
    assert_allclose(np.loadtxt(folder / "fusion" / "nicp_106_pts.txt") * 100, keypoints(face_mesh()), atol=5.1e-5)
    assert sorted(path.name for path in (authors / "val_obj").iterdir()) == ["0035201.obj", "10075other_1.obj"]


def test_samples_of_the_authors_come_back(authors):
    samples = listed(authors, layout="authors")
    assert [(s.sample, s.subject, s.expression, s.split, s.scan.name) for s in samples] == [
        ("0033102", "00331", "02", "train", "nicp_106_pts.txt"),
        ("0035201", "00352", "01", "train", "0035201.obj"),
        ("1007507", "10075", "07", "test", "nicp_106_pts.txt"),
        ("10075other_1", "10075", "other_1", "test", "10075other_1.obj"),
    ]
    expected = np.delete(keypoints(face_mesh()), DROPPED_FROM_106, axis=0)
    data = PixelFace(authors, PixelFaceData(layout="authors"))
    for sample in samples:
        assert_allclose(data.read_landmarks_101(sample.scan), expected, atol=5.1e-5)
        assert [data.read_photo(path).shape for path in sample.photos] == [(40, 30, 3)] * 3
        assert sample.annotations == (None, None, None)


def test_registered_mesh_of_the_authors_is_the_scan(authors):
    mesh = face_mesh()
    data = PixelFace(authors, PixelFaceData(layout="authors"))
    truth = data.read_scan(authors / "val_obj" / "10075other_1.obj")
    assert_allclose(truth.scan_vertices, mesh.vertices, atol=5.1e-5)
    assert_array_equal(truth.scan_triangles, mesh.triangles)
    assert_allclose(truth.scan_landmarks_106, keypoints(mesh), atol=5.1e-5)
    with pytest.raises(DataError, match=r"keypoints without a mesh; copy val_obj"):
        data.read_scan(authors / "val" / "10075" / "07" / "Images" / "fusion" / "nicp_106_pts.txt")


def test_obj_as_the_tools_of_the_authors_write_it_is_read(authors):
    path = authors / "val_obj" / "10075other_1.obj"
    truth = read_registered_mesh(path)
    path.write_text("nothing\npoint: 400\nface: 722\n" + path.read_text())
    again = read_registered_mesh(path)
    assert_array_equal(again.scan_vertices, truth.scan_vertices)
    assert_array_equal(again.scan_triangles, truth.scan_triangles)


def test_mesh_without_keypoints_has_none(authors):
    path = authors / "val_obj" / "10075other_1.obj"
    (authors / "val" / "10075" / "other_1" / "Images" / "fusion" / "nicp_106_pts.txt").unlink()
    assert read_registered_mesh(path).scan_landmarks_106 is None
    assert PixelFace(authors, PixelFaceData(layout="authors")).read_landmarks_101(path) is None


def test_mesh_and_keypoints_of_different_frames_are_refused(authors):
    path = authors / "val" / "10075" / "other_1" / "Images" / "fusion" / "nicp_106_pts.txt"
    np.savetxt(path, np.add(np.loadtxt(path), (0, 0, 0.5)))
    with pytest.raises(DataError, match=r"nicp_106_pts\.txt: a keypoint is .* mm from the mesh"):
        read_registered_mesh(authors / "val_obj" / "10075other_1.obj")


def test_annotations_and_splits_of_the_authors_layout(authors, tmp_path):
    landmarks = np.random.default_rng(1).uniform(0, 30, (68, 2))
    views.write_views(sample_folder(authors, "val", "10075", "07"), (None,) * 3, (None, landmarks, None))
    (tmp_path / "own.txt").write_text("1007507 train\n")
    (sample,) = listed(authors, layout="authors", split=str(tmp_path / "own.txt"), exchange_sides=True)
    assert (sample.split, sample.photos[0].parent.name) == ("train", "2")
    data = PixelFace(authors, PixelFaceData(layout="authors"))
    assert_allclose(data.read_annotation(sample.annotations[1]), landmarks, atol=5.01e-4)
    assert {s.split for s in listed(authors, layout="authors", split="authors")} == {"train", "test"}


def test_sample_in_both_folders_is_refused_and_odd_folders_are_passed_over(authors, caplog):
    (authors / "train" / "notes").mkdir()
    (authors / "train" / "00331" / "neutral face").mkdir()
    with caplog.at_level(logging.WARNING):
        assert len(listed(authors, layout="authors")) == 4
    assert "'notes'" in caplog.text
    assert "'neutral face'" in caplog.text
    (authors / "train" / "10075" / "07").mkdir(parents=True)
    with pytest.raises(DataError, match=r"10075.07: the sample is also in train"):
        listed(authors, layout="authors")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0.1 0.2 0.3\n" * 105, "expected 106 points, one a line, found 105"),
        (b"0.1 0.2 0.3\n" * 107, "expected 106 points, one a line, found 107"),
        (b"0.1 0.2\n" * 106, "line 1: expected three numbers"),
        (b"0.1 0.2 nan\n" * 106, "106 numbers are not finite"),
        (b"0.1 0.2 0.3\n-60 80 1\n" * 53, "expected decimetres"),
        ("0.1 0.2 0.3\n".encode("utf-16-le") * 106, "not readable as text"),
    ],
)
def test_broken_keypoints_are_refused(content, message, tmp_path):
    (tmp_path / "nicp_106_pts.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_keypoints(tmp_path / "nicp_106_pts.txt")


def test_keypoints_cut_anywhere_or_with_flipped_bytes_are_refused_or_read(authors):
    path = authors / "val" / "10075" / "07" / "Images" / "fusion" / "nicp_106_pts.txt"
    np.savetxt(path, np.loadtxt(path), fmt="%.1f")
    whole = path.read_bytes()
    contents = itertools.chain(truncations(whole), flips(whole, 800, texts=True))
    tried, read = read_all(read_keypoints, path, contents)
    assert tried > 2000
    assert 0 < read < tried


def test_mesh_of_many_megabytes_is_refused_unread(authors):
    with (authors / "val_obj" / "10075other_1.obj").open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(DataError, match="is it another file"):
        read_registered_mesh(authors / "val_obj" / "10075other_1.obj")


def test_obj_cut_anywhere_or_with_flipped_bytes_is_refused_or_read(tmp_path):
    corners = np.array([[0.0, 0, 0], [60, 0, 0], [0, 60, 0], [0, 0, 60]])
    mesh = Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]))
    write_sample_authors(tmp_path, "val", "00001", "01", (None,) * 3, None, mesh)
    path = tmp_path / "val_obj" / "0000101.obj"
    whole = b"nothing\npoint: 4\nface: 2\n" + path.read_bytes().replace(b"00000", b"")
    contents = itertools.chain(truncations(whole), flips(whole, 1900, texts=True))
    tried, read = read_all(read_registered_mesh, path, contents)
    assert tried > 2000
    assert 0 < read < tried


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([5, 68]), st.integers(0, 2**32 - 1))
def test_landmark_file_comes_back(tmp_path_factory, count, seed):
    points = np.random.default_rng(seed).uniform(-10, 5000, (count, 2))
    path = tmp_path_factory.getbasetemp() / "points.txt"
    write_landmark_file(path, points)
    assert_allclose(read_landmark_file(path), points, rtol=0, atol=5.01e-4)


@pytest.mark.parametrize("text", ["x,y\n1,2\n3,4\n5,6\n7,8\n9,10\n", "# eyes\n1 2\n3;4\n\n5\t6\n7, 8\n9 10"])
def test_landmark_file_takes_csv_and_comments(tmp_path, text):
    (tmp_path / "p.csv").write_text(text)
    assert_array_equal(read_landmark_file(tmp_path / "p.csv"), np.arange(1, 11).reshape(5, 2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1 2\n3 4\n", "expected 5 or 68 points, one a line, found 2"),
        (b"1 2\n3 4 5\n", "line 2: expected two numbers"),
        (b"1 2\n3 nan\n5 6\n7 8\n9 10\n", "point 1 is not finite"),
        (b"1 2\nnose\n", "line 2: expected two numbers"),
        (b"\xff\x00\xfe", "not readable as text"),
        (b"", "found 0"),
    ],
)
def test_broken_landmark_file_is_refused(tmp_path, content, message):
    (tmp_path / "p.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_landmark_file(tmp_path / "p.txt")
