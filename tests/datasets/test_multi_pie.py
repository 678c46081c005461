import logging
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from dfmvr.config.data import MultiPieData
from dfmvr.datasets.multi_pie.dataset import EXPRESSIONS, YAWS, MultiPie, write_photo
from dfmvr.datasets.multi_pie.folders import PhotoName
from dfmvr.errors import ConfigError, DataError

TRIPLET = ("080", "051", "190")


def photo(seed=0, height=6, width=8):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def landmarks(seed=0):
    return np.random.default_rng(seed).uniform(0, 8, (68, 2))


def shoot(root, *numbers, image=None, annotation=None, layout="original"):
    """Write a small photograph; the numbers are those of its name."""
    write_photo(root, PhotoName.of(*numbers), photo() if image is None else image, annotation, layout)


def fill(root, cameras=TRIPLET, subjects=(1, 2), sessions=(1,), recordings=(1, 2), illuminations=(7,)):
    """Write the same small photograph for all."""
    for session in sessions:
        for subject in subjects:
            for recording in recordings:
                for camera in cameras:
                    for illumination in illuminations:
                        shoot(root, subject, session, recording, camera, illumination)
    return root


def listed(root, **options):
    return list(MultiPie(root, MultiPieData(**{"cameras": (TRIPLET,), **options})).samples())


def test_photograph_lies_where_the_release_has_it(tmp_path):
    shoot(tmp_path, 1, 1, 1, "051", 7, annotation=landmarks())
    folder = tmp_path / "session01" / "multiview" / "001" / "01" / "05_1"
    assert_array_equal(np.array(Image.open(folder / "001_01_01_051_07.png")), photo())
    assert sorted(path.name for path in folder.iterdir()) == [
        "001_01_01_051_07.landmarks_68.txt",
        "001_01_01_051_07.png",
    ]


def test_cropped_photograph_lies_where_its_readers_look(tmp_path):
    shoot(tmp_path, 12, 1, 2, "130", 0, layout="cropped_128")
    assert_array_equal(np.array(Image.open(tmp_path / "012" / "012_01_02_130_00_crop_128.png")), photo())


@pytest.mark.parametrize("layout", ["original", "cropped_128"])
def test_what_is_written_is_read(layout, tmp_path):
    for number, camera in enumerate(TRIPLET):
        shoot(tmp_path, 3, 1, 2, camera, 19, image=photo(number), annotation=landmarks(number), layout=layout)
    data = MultiPie(tmp_path, MultiPieData(layout=layout, cameras=(TRIPLET,)))
    (sample,) = data.samples()
    assert (sample.sample, sample.subject, sample.split) == ("003_01_02_19_080051190", "003", "train")
    assert (sample.expression, sample.illumination, sample.scan) == ("smile", "19", None)
    assert sample.yaws == (-45.0, 0.0, 45.0)
    for number, (path, annotation) in enumerate(zip(sample.photos, sample.annotations, strict=True)):
        assert_array_equal(data.read_photo(path), photo(number))
        assert_allclose(data.read_annotation(annotation), landmarks(number), atol=5.01e-4)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 999),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 19),
    st.permutations(sorted(YAWS)),
    st.booleans(),
)
def test_any_moment_comes_back(tmp_path_factory, subject, session, recording, illumination, cameras, exchanged):
    root = tmp_path_factory.mktemp("moment")
    triplet = tuple(cameras[:3])
    for number, camera in enumerate(triplet):
        shoot(root, subject, session, recording, camera, illumination, image=photo(number))
    (sample,) = listed(root, cameras=(triplet,), exchange_sides=exchanged)
    order = [2, 1, 0] if exchanged else [0, 1, 2]
    assert sample.sample.split("_") == [*sample.photos[1].stem.split("_")[:3], f"{illumination:02d}", "".join(triplet)]
    assert sample.expression == EXPRESSIONS.get((session, recording), "")
    assert sample.yaws == tuple((-1 if exchanged else 1) * YAWS[triplet[number]] for number in order)
    for number, path in zip(order, sample.photos, strict=True):
        assert_array_equal(np.array(Image.open(path)), photo(number))


def test_cameras_are_15_degrees_apart_and_all_moments_have_a_yaw():
    level = sorted(yaw for camera, yaw in YAWS.items() if camera not in ("081", "191"))
    assert np.diff(level).tolist() == [15.0] * 12
    assert math.isclose(sum(YAWS.values()), 0)


def test_order_is_training_first_then_by_name(tmp_path):
    fill(tmp_path, (*TRIPLET, "130", "041"), (3, 1, 2), (2, 1), (2, 1), (8, 7))
    options = {"test_share": 0.4, "cameras": (TRIPLET, ("130", "051", "041"))}
    samples = listed(tmp_path, **options)
    names = [sample.sample for sample in samples]
    assert len(names) == len(set(names)) == 3 * 2 * 2 * 2 * 2
    assert [sample.split for sample in samples] == ["train"] * 32 + ["test"] * 16
    assert {sample.subject for sample in samples if sample.split == "test"} == {"003"}
    assert [name.rsplit("_", 1)[0] for name in names] == sorted(name.rsplit("_", 1)[0] for name in names)
    assert [name.rsplit("_", 1)[1] for name in names[:3]] == ["080051190", "130051041", "080051190"]
    assert listed(tmp_path, **options) == samples


@pytest.mark.parametrize(("subjects", "held_out"), [(1, 0), (2, 1), (9, 1), (30, 2), (126, 6), (337, 17)])
def test_a_few_people_are_held_out_one_of_several_at_the_least(subjects, held_out, tmp_path):
    for number in range(1, subjects + 1):
        (tmp_path / "session01" / "multiview" / f"{number:03d}" / "01" / "05_1").mkdir(parents=True)
        name = f"{number:03d}_01_01_051_07.png"
        (tmp_path / "session01" / "multiview" / f"{number:03d}" / "01" / "05_1" / name).touch()
    tested = {sample.subject for sample in listed(tmp_path) if sample.split == "test"}
    assert tested == {f"{number:03d}" for number in range(subjects - held_out + 1, subjects + 1)}
    assert {sample.split for sample in listed(tmp_path, test_share=0)} == {"train"}


@pytest.mark.parametrize(
    ("options", "moments"),
    [
        ({"sessions": (2,), "recordings": (1,), "illuminations": (8,)}, ["02_01_08"]),
        ({"sessions": (1, 2), "recordings": (2,), "illuminations": (7,)}, ["01_02_07", "02_02_07"]),
        ({"illuminations": (7,)}, ["01_01_07", "01_02_07", "02_01_07", "02_02_07"]),
    ],
)
def test_moments_can_be_chosen(options, moments, tmp_path):
    fill(tmp_path, subjects=(1,), sessions=(1, 2), illuminations=(7, 8))
    assert [sample.sample for sample in listed(tmp_path, **options)] == [f"001_{m}_080051190" for m in moments]


def test_cropped_moments_can_be_chosen(tmp_path):
    for illumination in range(3):
        shoot(tmp_path, 1, 1, 1, "051", illumination, layout="cropped_128")
    samples = listed(tmp_path, layout="cropped_128", illuminations=(1, 2))
    assert [sample.illumination for sample in samples] == ["01", "02"]


def test_missing_side_view_is_none_and_missing_front_view_no_sample(tmp_path):
    fill(tmp_path, subjects=(1,), recordings=(1,), illuminations=(5, 6, 7))
    folder = tmp_path / "session01" / "multiview" / "001" / "01"
    (folder / "08_0" / "001_01_01_080_05.png").unlink()
    (folder / "05_1" / "001_01_01_051_06.png").unlink()
    samples = listed(tmp_path)
    assert [sample.illumination for sample in samples] == ["05", "07"]
    assert [path is None for path in samples[0].photos] == [True, False, False]
    assert samples[0].annotations == (None, None, None)


def test_folder_data_and_folder_of_the_archive_may_be_left_out(tmp_path):
    fill(tmp_path / "data")
    assert len(listed(tmp_path)) == len(listed(tmp_path / "data")) == 4
    shoot(tmp_path / "multi_PIE_crop_128", 1, 1, 1, "051", 0, layout="cropped_128")
    assert len(listed(tmp_path, layout="cropped_128")) == 1


def test_broken_names_are_passed_over_and_counted_once(tmp_path, caplog):
    fill(tmp_path, subjects=(1,), recordings=(1,))
    folder = tmp_path / "session01" / "multiview" / "001" / "01" / "05_1"
    names = ["001_01_01_051_07 (1).png", "002_01_01_051_08.png", "001_01_01_051_0٣.png", "Thumbs.db", "x\nWARNING.png"]
    for name in names:
        (folder / name).write_bytes(b"")
    (tmp_path / "session01" / "multiview" / "notes").mkdir()
    with caplog.at_level(logging.WARNING):
        assert len(listed(tmp_path)) == 1
    (record,) = caplog.records
    assert "5 files passed over" in record.getMessage()
    assert "\n" not in record.getMessage()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "cropped_128"}, "set datasets.multi_pie.layout: original"),
        ({"sessions": (4,)}, "check the keys of datasets.multi_pie"),
        ({"illuminations": (1,)}, "found none"),
        ({"cameras": (("080", "050", "190"),)}, "photographs of the front cameras"),
    ],
)
def test_folder_without_samples_is_refused(options, message, tmp_path):
    with pytest.raises(DataError, match=message):
        listed(fill(tmp_path), **options)


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder; set datasets"):
        MultiPie(tmp_path / "absent", MultiPieData())
    with pytest.raises(DataError, match=r"expected the folders session01 .* cropped_128"):
        listed(tmp_path)


def test_unknown_camera_is_refused():
    with pytest.raises(ConfigError, match=r"datasets\.multi_pie\.cameras: no camera '055'"):
        MultiPie(".", MultiPieData(cameras=(("080", "055", "190"),)))


@pytest.mark.parametrize("change", [{"subject": 1000}, {"session": 100}, {"camera": "052"}, {"illumination": -1}])
def test_names_that_no_reader_would_find_are_not_written(change, tmp_path):
    right = {"subject": 1, "session": 1, "recording": 1, "camera": "051", "illumination": 0}
    with pytest.raises(ValueError, match=r"no name for|no camera"):
        shoot(tmp_path, *(right | change).values())


def test_tree_is_never_listed_as_a_whole(tmp_path):
    fill(tmp_path, subjects=range(1, 6), recordings=(1,))
    samples = MultiPie(tmp_path, MultiPieData(cameras=(TRIPLET,))).samples()
    assert next(samples).subject == "001"
    shoot(tmp_path, 5, 1, 1, "051", 8)  # a reader that had looked ahead would miss it
    assert [sample.subject for sample in samples][-2:] == ["005", "005"]
