"""Stage `fetch`: what it makes of whole, partial, damaged and missing deliveries, and what it downloads."""

import contextlib
import hashlib
import json
import os
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import scipy.io
from authors_layout import write_sample_authors

from dfmvr import cli
from dfmvr.config import configuration, docs
from dfmvr.config.data import PixelFaceData
from dfmvr.datasets import celebamask_hq
from dfmvr.datasets.bosphorus import dataset as bosphorus_files
from dfmvr.datasets.bosphorus.names import ScanName
from dfmvr.datasets.bosphorus.range_image import RangeImage
from dfmvr.datasets.matlab import read_matlab
from dfmvr.datasets.multi_pie import dataset as multi_pie_files
from dfmvr.datasets.multi_pie.folders import PhotoName
from dfmvr.datasets.pixel_face import dataset as pixel_face_files
from dfmvr.datasets.pixel_face.dataset import SampleInfo
from dfmvr.datasets.pixel_face.ground_truth import GroundTruth
from dfmvr.errors import ConfigError, DataError, OutputError
from dfmvr.fetch.command import check
from dfmvr.fetch.datasets import PROBES, count_files, list_files
from dfmvr.fetch.models import landmark_weights
from dfmvr.fetch.obtain import DOWNLOADABLE, obtain
from dfmvr.fetch.sources import sources

DETECT = "align.landmarks=face_alignment"


def photo(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (24, 20, 3)).astype(np.uint8)


def fill_pixel_face(root, samples=3, annotated=False):
    points = np.random.default_rng(0).uniform(-60, 60, (106, 3))
    marks = [np.full((68, 2), 9.0)] * 3 if annotated else None
    names = [f"{i:05d}_01" for i in range(samples)]
    for name in names:
        pixel_face_files.write_sample(
            root, name, [photo()] * 3, GroundTruth(points, np.array([[0, 1, 2]]), points), marks
        )
    pixel_face_files.write_splits(root, [SampleInfo(n, n[:5], "test" if n[4] == "0" else "train") for n in names])


def fill_multi_pie(root, subjects=2):
    for subject in range(1, subjects + 1):
        for camera in ("080", "130", "051", "041", "190"):
            multi_pie_files.write_photo(root, PhotoName.of(subject, 1, 1, camera, 7), photo())


def fill_bosphorus(root, subjects=2):
    points = {"Nose tip": np.array([0.0, 1, 2])}
    for subject in range(subjects):
        for kind in ("N_N", "YR_R10", "YR_R20", "YR_R30", "YR_R45", "YR_L45"):
            name = ScanName.parse(f"bs{subject:03d}_{kind}_0")
            image = RangeImage(np.ones((3, 4, 3)), np.full((3, 4, 2), 0.5), f"{name.stem}.png")
            bosphorus_files.write_scan(root, name, image, photo(), points, {"Nose tip": np.array([9.0, 9])})


def fill_celebamask_hq(root, images=12):
    mask = np.zeros((16, 16), np.uint8)
    mask[3, 10:14], mask[3, 2:6] = 2, 3  # the person's left brow on the image's right
    for identifier in range(images):
        celebamask_hq.write_item(root, identifier, photo(), mask)
    splits = {i: ("train", "val", "test")[i % 3] for i in range(images)}
    celebamask_hq.write_mapping(root, splits)


FILL = {
    "pixel_face": fill_pixel_face,
    "multi_pie": fill_multi_pie,
    "bosphorus": fill_bosphorus,
    "celebamask_hq": fill_celebamask_hq,
}


def checked(name, root, *overrides):
    """The finding on a data set in a folder."""
    (finding,) = check(configuration.load(None, [f"datasets.{name}.root={root}", *overrides]), [name])
    return finding


# Data sets


@pytest.mark.parametrize("name", FILL)
def test_a_part_of_a_data_set_can_be_run(tmp_path, name):
    FILL[name](tmp_path)
    finding = checked(name, tmp_path, DETECT)
    assert (finding.status, finding.blocking) == ("partial", [])
    assert finding.problems
    for unit, (found, expected) in finding.counts.items():
        assert any(text.startswith(f"{found} of {expected} {unit}") for text in finding.problems)


@pytest.mark.parametrize("name", FILL)
def test_a_whole_data_set_is_complete(tmp_path, name, monkeypatch):
    FILL[name](tmp_path)
    found = {unit: n for unit, (n, _) in checked(name, tmp_path, DETECT).counts.items()}
    whole = sources()[name].model_copy(update={"counts": {"": found, "release": found, "original": found}})
    monkeypatch.setitem(sources(), name, whole)
    finding = checked(name, tmp_path, DETECT)
    assert (finding.status, finding.blocking, finding.problems) == ("complete", [], [])


@pytest.mark.parametrize("name", FILL)
@pytest.mark.parametrize("what", ["no such", "an empty"])
def test_a_missing_folder_blocks_and_says_how_to_come_by_it(tmp_path, name, what):
    finding = checked(name, tmp_path / "x" if what == "no such" else tmp_path)
    assert finding.status == "missing"
    assert what in finding.blocking[0]
    assert sources()[name].ask in finding.blocking[0]


@pytest.mark.parametrize("name", FILL)
def test_the_folder_of_something_else_blocks(tmp_path, name):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "001.png").write_bytes(b"x")
    finding = checked(name, tmp_path)
    assert finding.status == "damaged"
    assert str(tmp_path) in finding.blocking[0]


@pytest.mark.parametrize(
    ("name", "pattern", "blocks"),
    [
        ("pixel_face", "*/1/t.jpg", True),
        ("pixel_face", "*/fusion/gt.mat", False),  # only those of the first and last sample are read
        ("multi_pie", "**/*_051_*.png", True),
        ("bosphorus", "*/*N_N*.bnt", False),  # likewise
        ("bosphorus", "*/*N_N*.png", True),
        ("celebamask_hq", "*img/*.jpg", True),
        ("celebamask_hq", "*anno/*/*_l_brow.png", True),
    ],
)
def test_damage_is_found_and_blocks_only_if_nothing_is_whole(tmp_path, name, pattern, blocks):
    FILL[name](tmp_path)
    paths = sorted(tmp_path.glob(pattern))
    paths[0].write_bytes(paths[0].read_bytes()[:30])
    finding = checked(name, tmp_path, DETECT)
    assert (finding.status, finding.blocking) == ("damaged", [])
    assert any(str(paths[0]) in problem for problem in finding.problems)
    for path in paths:
        path.write_bytes(b"")
    finding = checked(name, tmp_path, DETECT)
    assert finding.status == "damaged"
    assert bool(finding.blocking) is blocks


def test_the_other_layouts_are_counted_too(tmp_path):
    for camera in ("080", "130", "051", "041", "190"):
        multi_pie_files.write_photo(tmp_path / "pie", PhotoName.of(3, 1, 1, camera, 7), photo(), layout="cropped_128")
    cropped = checked("multi_pie", tmp_path / "pie", DETECT, "datasets.multi_pie.layout=cropped_128")
    assert cropped.counts == {"photographs": (5, 129480), "subjects": (1, 249)}
    points = np.random.default_rng(0).uniform(-60, 60, (106, 3))
    write_sample_authors(tmp_path / "face", "val", "00331", "07", [photo()] * 3, points)
    authors = checked("pixel_face", tmp_path / "face", DETECT, "datasets.pixel_face.layout=authors")
    assert authors.counts == {"samples": (1, 5229), "subjects": (1, 524)}
    assert cropped.blocking == authors.blocking == []
    assert cropped.status == authors.status == "partial"


def test_annotated_landmarks_are_not_there_in_licensed_data(tmp_path):
    fill_pixel_face(tmp_path)
    assert "set it to face_alignment" in checked("pixel_face", tmp_path).blocking[0]
    assert checked("pixel_face", tmp_path, DETECT).blocking == []
    fill_pixel_face(tmp_path / "annotated", annotated=True)
    assert checked("pixel_face", tmp_path / "annotated").blocking == []


def test_samples_that_lack_something_are_counted(tmp_path):
    fill_pixel_face(tmp_path, samples=4)
    (tmp_path / "00001_01" / "0" / "t.jpg").unlink()
    (tmp_path / "00002_01" / "fusion" / "gt.mat").unlink()
    finding = checked("pixel_face", tmp_path, DETECT)
    assert finding.counts["samples"] == (3, 8483)
    assert finding.status == "partial"
    assert "1 of 4 samples lack a photograph and will be set aside" in finding.problems
    assert "1 of 4 samples have no scan and cannot be scored" in finding.problems


def test_first_last_and_some_between_are_read(tmp_path, monkeypatch):
    fill_pixel_face(tmp_path, samples=40)
    read = []
    real = pixel_face_files.PixelFace.read_photo
    monkeypatch.setattr(
        pixel_face_files.PixelFace, "read_photo", lambda self, path: read.append(path.parts[-3]) or real(self, path)
    )
    checked("pixel_face", tmp_path, DETECT)
    names = [sample.sample for sample in pixel_face_files.PixelFace(tmp_path, PixelFaceData()).samples()]
    assert len(set(read)) == PROBES
    assert {names[0], names[-1]} < set(read)


def test_mirrored_sides_name_the_key(tmp_path):
    fill_celebamask_hq(tmp_path)
    finding = checked("celebamask_hq", tmp_path, "datasets.celebamask_hq.swap_sides=true")
    assert any("set datasets.celebamask_hq.swap_sides: false" in problem for problem in finding.problems)
    assert finding.blocking == []


def test_files_are_counted_once_where_links_lead_in_circles(tmp_path):
    (tmp_path / "data" / "a" / "b").mkdir(parents=True)
    for name in ("bs001_x.bnt", "bs002_x.bnt", "bs002_y.bnt", "other.txt"):
        (tmp_path / "data" / "a" / "b" / name).touch()
    (tmp_path / "data" / "a" / "circle").symlink_to(tmp_path / "data")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "bs003_z.bnt").touch()
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "outside")
    assert len(list(list_files(tmp_path / "data"))) == 5
    assert count_files(tmp_path / "data", r"(bs\d{3})_.*\.bnt") == (4, 3)


# Face models


def fill_bfm(folder, ready=False):
    """Files of the right names and formats with hardly anything in them."""
    files = sources()["bfm_2009"].files["in one file" if ready else "as delivered"]
    for file in files:
        if file.format == "matlab":
            scipy.io.savemat(folder / file.name, {"a": np.arange(100.0), "b": np.ones((3, 5))}, do_compression=ready)
        else:
            with (folder / file.name).open("wb") as out:
                out.truncate(file.bytes or 10)


def bfm(folder):
    (finding,) = check(
        configuration.load(None, ["face_model.source=bfm_2009", f"face_model.folder={folder}"]), ["bfm_2009"]
    )
    return finding


@pytest.mark.parametrize("ready", [False, True])
def test_bfm_is_complete_in_either_form(tmp_path, ready):
    fill_bfm(tmp_path, ready)
    assert (bfm(tmp_path).status, bfm(tmp_path).blocking) == ("complete", [])


def test_a_file_that_holds_all_of_bfm_may_be_named(tmp_path):
    fill_bfm(tmp_path, ready=True)
    assert bfm(tmp_path / "BFM_model_front.mat").status == "complete"
    (tmp_path / "other.mat").write_bytes((tmp_path / "BFM_model_front.mat").read_bytes())
    assert bfm(tmp_path / "other.mat").status == "missing"


def test_bfm_names_what_is_missing(tmp_path):
    fill_bfm(tmp_path)
    (tmp_path / "Exp_Pca.bin").unlink()
    (tmp_path / "similarity_Lm3D_all.mat").unlink()  # not read by anyone
    finding = bfm(tmp_path)
    assert (finding.status, finding.counts["files"]) == ("partial", (5, 6))
    assert "expected Exp_Pca.bin, not there" in finding.blocking[0]


def test_the_expressions_have_the_size_that_their_format_gives():
    (file,) = (file for file in sources()["bfm_2009"].files["as delivered"] if file.name == "Exp_Pca.bin")
    components = np.zeros((79, 3 * 53215), np.float32)
    assert file.bytes == struct.calcsize("<i") + components[0].nbytes + components.nbytes


@pytest.mark.parametrize("compressed", [False, True])
def test_a_truncated_matlab_file_is_damaged_wherever_it_is_cut(tmp_path, compressed):
    first, both = tmp_path / "first.mat", tmp_path / "both.mat"
    values = {"a": np.arange(30.0), "b": np.ones((3, 5))}
    scipy.io.savemat(first, {"a": values["a"]}, do_compression=compressed)
    scipy.io.savemat(both, values, do_compression=compressed)
    content, whole = both.read_bytes(), []
    for length in range(len(content) + 1):
        both.write_bytes(content[:length])
        with contextlib.suppress(DataError):
            read_matlab(both)
            whole.append(length)
    # where the header or a variable ends nothing can be seen
    assert whole == [128, first.stat().st_size, len(content)]


def test_bfm_of_another_version_or_size_is_damaged(tmp_path):
    fill_bfm(tmp_path)
    (tmp_path / "BFM_front_idx.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(512))
    (tmp_path / "Exp_Pca.bin").write_bytes(bytes(100))
    finding = bfm(tmp_path)
    assert finding.status == "damaged"
    assert any("BFM_front_idx.mat: not a readable .mat file (version 7.3" in text for text in finding.blocking)
    assert any("expected 51086404 bytes, found 100" in text for text in finding.blocking)


def test_an_imported_model_needs_a_folder():
    (finding,) = check(configuration.load(None, ["face_model.source=bfm_2009"]), ["bfm_2009"])
    assert finding.status == "missing"
    assert "face_model.folder" in finding.blocking[0]


def fill_ict(folder, identities=100):
    folder.mkdir(parents=True)
    names = ["generic_neutral_mesh", "jawOpen", *(f"identity{i:03d}" for i in range(identities))]
    for name in names:
        (folder / f"{name}.obj").write_text("# a face\nv 0 1 2\n")


def ict(*overrides):
    (finding,) = check(configuration.load(None, list(overrides)), ["ict_facekit"])
    return finding


def test_ict_facekit_is_found_below_its_repository(tmp_path):
    fill_ict(tmp_path / "FaceXModel")
    finding = ict("face_model.source=ict_facekit", f"face_model.folder={tmp_path}")
    assert (finding.status, finding.counts["files"], finding.blocking) == ("complete", (102, 102), [])


def test_ict_facekit_is_looked_at_wherever_it_is_named(tmp_path):
    fill_ict(tmp_path / "half", identities=99)
    np.savez(tmp_path / "model.npz", mean=np.zeros(3))
    whole = ict(f"simulate.ict_facekit={tmp_path / 'model.npz'}")
    assert (whole.status, whole.blocking) == ("complete", [])
    both = ict(f"simulate.ict_facekit={tmp_path / 'model.npz'}", f"datasets.ict_facekit.root={tmp_path / 'half'}")
    assert both.status == "partial"
    assert both.blocking[0].startswith("datasets.ict_facekit.root")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive"])
def test_a_damaged_npz_is_found(tmp_path, content):
    (tmp_path / "model.npz").write_bytes(content)
    assert ict(f"simulate.ict_facekit={tmp_path / 'model.npz'}").status == "damaged"


# Weights


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_landmark_weights_are_looked_for_but_not_downloaded(hub):
    settings = configuration.load(None, [DETECT])
    (finding,) = check(settings, ["face_alignment"])
    assert (finding.status, finding.unavailable, finding.counts["files"]) == ("missing", True, (0, 2))
    assert "https://" in finding.blocking[0]
    for path in landmark_weights():
        assert path.parent == hub
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")
    (finding,) = check(settings, ["face_alignment"])
    assert (finding.status, finding.blocking) == ("complete", [])


def test_a_missing_package_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (finding,) = check(configuration.load(None, [DETECT]), ["face_alignment"])
    assert finding.unavailable
    assert "pip install face-alignment" in finding.blocking[0]


WEIGHTS = {"facexlib": ("parse.facexlib_weights",)} | {
    "resnet50": ("train.deng.imagenet_weights", "train.shang.imagenet_weights")
}


@pytest.mark.parametrize(("content", "status"), [(None, "missing"), (b"no weights", "damaged")])
@pytest.mark.parametrize("name", WEIGHTS)
def test_public_weights_are_loaded(tmp_path, content, status, name):
    if content is not None:
        (tmp_path / "w.pth").write_bytes(content)
    (finding,) = check(configuration.load(None, [f"{key}={tmp_path / 'w.pth'}" for key in WEIGHTS[name]]), [name])
    assert finding.status == status
    (text,) = finding.blocking
    assert text.startswith(f"{WEIGHTS[name][0]}: {tmp_path / 'w.pth'}: ")


def test_weights_of_a_baseline_that_is_not_trained_are_not_asked_for(tmp_path):
    keys = [f"train.deng.imagenet_weights={tmp_path / 'w.pth'}", "study.tests={pixel_face: [shang_from_left, dfmvr]}"]
    (finding,) = check(configuration.load(None, keys), ["resnet50"])
    assert not finding.needed


def test_public_weights_are_downloaded_to_every_place_that_names_them(tmp_path, monkeypatch):
    (tmp_path / "origin.pth").write_bytes(b"weights")
    told = {"url": (tmp_path / "origin.pth").as_uri(), "sha256": hashlib.sha256(b"weights").hexdigest()[:8]}
    monkeypatch.setitem(sources(), "resnet50", sources()["resnet50"].model_copy(update=told))
    places = [tmp_path / name / "resnet.pth" for name in ("one", "two")]
    keys = [f"{key}={place}" for key, place in zip(WEIGHTS["resnet50"], places, strict=True)]
    assert obtain("resnet50", configuration.load(None, keys)) == places[0]
    assert all(place.read_bytes() == b"weights" for place in places)
    with pytest.raises(ConfigError, match=r"train\.deng\.imagenet_weights: expected the file"):
        obtain("resnet50", configuration.load(None, []))


# Downloads


def archive_of(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, f"CelebAMask-HQ/{file.relative_to(folder)}")
    return path


def settings_of(name, root, url):
    return configuration.load(None, [f"datasets.{name}.root={root}", f"datasets.{name}.url={url}"])


def test_a_data_set_is_downloaded_and_unpacked_once(tmp_path):
    fill_celebamask_hq(tmp_path / "origin")
    archive = archive_of(tmp_path / "origin", tmp_path / "celeba.zip")
    root = tmp_path / "data" / "celeba"
    settings = settings_of("celebamask_hq", root, archive.as_uri())
    assert obtain("celebamask_hq", settings) == root
    assert os.listdir(root.parent) == ["celeba"]
    assert len(celebamask_hq.read_items(root)) == 12
    archive.unlink()
    obtain("celebamask_hq", settings)


def test_a_damaged_download_is_not_kept(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no archive")
    root = tmp_path / "data" / "ict"
    settings = settings_of("ict_facekit", root, (tmp_path / "a.zip").as_uri())
    with pytest.raises(DataError, match="expected a zip or tar file"):
        obtain("ict_facekit", settings)
    assert os.listdir(root.parent) == []
    fill_ict(tmp_path / "FaceXModel")
    archive_of(tmp_path / "FaceXModel", tmp_path / "a.zip")
    obtain("ict_facekit", settings)
    assert ict(f"datasets.ict_facekit.root={root}").status == "complete"


def test_a_folder_with_other_files_is_not_downloaded_into(tmp_path):
    (tmp_path / "mine.txt").write_text("1")
    with pytest.raises(OutputError, match="found other files"):
        obtain("celebamask_hq", settings_of("celebamask_hq", tmp_path, "file:///nowhere"))


@pytest.mark.parametrize(("overrides", "key"), [([], "root"), (["datasets.celebamask_hq.root=/x"], "url")])
def test_a_download_without_its_keys_names_them(overrides, key):
    with pytest.raises(ConfigError, match=rf"datasets\.celebamask_hq\.{key}: expected a value"):
        obtain("celebamask_hq", configuration.load(None, overrides))


def test_weights_are_downloaded_to_where_they_are_looked_for(hub, tmp_path, monkeypatch):
    from face_alignment import api
    from face_alignment.detection.sfd import sfd_detector

    (tmp_path / "weights.pth").write_bytes(b"weights")
    monkeypatch.setitem(api.models_urls, "3DFAN-4", (tmp_path / "weights.pth").as_uri())
    monkeypatch.setitem(sfd_detector.models_urls, "s3fd", (tmp_path / "weights.pth").as_uri())
    assert obtain("face_alignment", configuration.load(None, [DETECT])) == hub
    assert (hub / "weights.pth").read_bytes() == b"weights"


# The command


def run(capsys, *arguments):
    code = cli.main(["fetch", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_default_needs_nothing(capsys):
    code, out, _ = run(capsys, "--check")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert [row[0] for row in rows] == ["name", *sources()]
    assert all(row[1] == "no" for row in rows[1:])
    assert rows[1][2] == "stand-in"


def test_check_fails_if_a_stage_cannot_run(capsys, tmp_path):
    settings = ["--set", f"datasets.pixel_face.root={tmp_path / 'x'}", "--set", "face_model.source=bfm_2009"]
    code, out, _ = run(capsys, *settings)
    assert code == 0
    assert "cannot run" in out
    code, _, error = run(capsys, "--check", *settings)
    assert code == 2
    assert error.count("\n") == 1
    assert "datasets.pixel_face.root" in error
    assert "face_model.folder" in error
    assert run(capsys, "--check", "--dataset", "bosphorus", *settings)[0] == 0


def test_one_data_set_is_described(capsys):
    _, out, _ = run(capsys, "--dataset", "multi_pie")
    texts = ("licence  ", "get it   ", "datasets.multi_pie.root", "layout   original:")
    assert [text in out for text in (*texts, "Pixel-Face")] == [True] * 4 + [False]


def test_json_tells_the_same(capsys, tmp_path):
    fill_celebamask_hq(tmp_path / "data")
    whole = configuration.load(None, [f"datasets.celebamask_hq.root={tmp_path / 'data'}"]).as_json()
    code, _, _ = run(capsys, "--settings", whole, "--json", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    assert code == 0
    assert found["ready"] is True
    by_name = {finding["name"]: finding for finding in found["findings"]}
    assert list(by_name) == list(sources())
    assert by_name["celebamask_hq"]["counts"] == {"photographs": {"found": 12, "expected": 30000}}
    assert by_name["celebamask_hq"]["status"] == "partial"
    assert by_name["pixel_face"]["needed"] is False


@pytest.mark.parametrize("text", ["{", "[1]", '{"datasets": {"pixelface": {}}}'])
def test_settings_that_are_no_configuration_are_one_error(capsys, text):
    code, _, error = run(capsys, "--settings", text)
    assert code == 2
    assert error.count("\n") == 1


def test_a_download_is_followed_by_the_check(capsys, tmp_path):
    fill_celebamask_hq(tmp_path / "origin")
    url = archive_of(tmp_path / "origin", tmp_path / "a.zip").as_uri()
    keys = [f"datasets.celebamask_hq.{key}" for key in (f"root={tmp_path / 'data'}", f"url={url}")]
    code, out, _ = run(capsys, "--download", "celebamask_hq", "--set", keys[0], "--set", keys[1])
    assert code == 0
    assert "12 of 30,000 photographs" in out


def test_every_key_that_is_named_is_a_key():
    known = docs.markdown()
    for source in sources().values():
        assert f"| `{source.key}` |" in known
    assert set(DOWNLOADABLE) < set(sources())


def test_a_look_at_the_default_imports_no_torch():
    code = "import sys; from dfmvr import cli; cli.main(['fetch']); print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "False"
