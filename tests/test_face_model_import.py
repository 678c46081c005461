"""Imported face models: the published formulae, what is borrowed, damaged files, and that the stages take them."""

import json
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_faces
import toy_model
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from scipy import ndimage
from scipy.io import savemat
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from dfmvr import cli
from dfmvr.config.data import FaceModelSection
from dfmvr.conventions import ALIGNMENT_IN_68, CLASSES, DROPPED_FROM_106, REGIONS
from dfmvr.datasets.matlab import read_matlab
from dfmvr.datasets.pixel_face.ground_truth import GroundTruth, write_ground_truth
from dfmvr.errors import DataError
from dfmvr.face_model.anny.heads import HeadGenerator
from dfmvr.face_model.bfm import files as bfm_files
from dfmvr.face_model.bfm.build import ALIGNMENT, keypoints
from dfmvr.face_model.expressions import sample_actions
from dfmvr.face_model.ict import files as ict_files
from dfmvr.face_model.ict.files import drivers, read_ict
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.transfer import EYE, MOUTH, SKIN, nearest_of_kind, warp
from dfmvr.files import read_npz, write_npz
from dfmvr.geometry.camera import pose
from dfmvr.geometry.normals import vertex_normals
from dfmvr.parse.parser import FaceParser, ParserSpec, save_parser
from dfmvr.rendering.renderer import render

ICT = Path(__file__).parents[2] / "shared" / "ict_facekit" / "model.npz"
needs_ict = pytest.mark.skipif(not ICT.exists(), reason="ICT-FaceKit's model.npz is not in the shared folder")
KEPT = np.setdiff1d(np.arange(106), DROPPED_FROM_106)
MARKS = list(bfm_files.LANDMARKS_68)


@pytest.fixture(scope="module")
def open_file(open_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("open") / "model.npz"
    open_model.save(path)
    return path


@pytest.fixture(scope="module")
def delivery(open_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bfm")
    yield toy_faces.write_bfm(folder, open_model)
    shutil.rmtree(folder)


def import_by_command(source, folder, open_file, output, *more):
    """With the numbers of components of the configuration's defaults."""
    settings = ["--set", f"face_model.source={source}"] + (["--set", f"face_model.folder={folder}"] if folder else [])
    files = ["--open-model", str(open_file), "--output", str(output / "model.npz")]
    return cli.main(["face_model", *settings, *files, *more])


def imported(source, folder, open_file, output, *more):
    assert import_by_command(source, folder, open_file, output, *more) == 0
    return MorphableModel.load(output / "model.npz")


@pytest.fixture(scope="module")
def bfm_model(delivery, open_file, tmp_path_factory):
    output = tmp_path_factory.mktemp("bfm_model")
    model = imported("bfm_2009", delivery.folder, open_file, output, "--summary", str(output / "summary.json"))
    summary = json.loads((output / "summary.json").read_text())
    assert summary["sizes"]["vertices"] == 35_709
    assert "carried from the open model" in summary["origin"]["keypoints_106"]
    return model


@pytest.fixture(scope="module")
def ict(open_model, tmp_path_factory):
    """The sheet of a toy ICT-FaceKit, its arrays, and its .npz."""
    face, arrays = toy_faces.ict_arrays(open_model)
    path = tmp_path_factory.mktemp("ict") / "model.npz"
    write_npz(path, **arrays)
    return face, arrays, path


@pytest.fixture(scope="module")
def ict_model(ict, open_file, tmp_path_factory):
    return imported("ict_facekit", ict[2], open_file, tmp_path_factory.mktemp("ict_model"))


def test_bfm_is_the_published_formulae(delivery, bfm_model):
    expected, arrays = toy_faces.deep3d(delivery), bfm_model.arrays()
    mean = expected["meanshape"].reshape(-1, 3)
    assert_allclose(arrays["mean"], 100 * (mean - mean.mean(0)), atol=1e-3)
    assert_allclose(arrays["mean"].mean(0), 0, atol=1e-3)
    assert_allclose(arrays["albedo_mean"], expected["meantex"].reshape(-1, 3) / 255, atol=1e-6)
    vertices = np.random.default_rng(0).choice(35_709, 50)
    for name, key, unit in (("identity", "idBase", 100), ("expression", "exBase", 100), ("albedo", "texBase", 1 / 255)):
        basis = expected[key].reshape(35_709, 3, -1)[vertices].transpose(2, 0, 1) * unit
        assert arrays[name].shape == (len(basis), 35_709, 3)
        assert_allclose(arrays[name][:, vertices], basis, rtol=1e-4, atol=1e-6)
    assert [len(arrays[name]) for name in ("identity", "expression", "albedo")] == [80, 64, 80]
    assert arrays["mean"].std(0).min() > 10  # millimetres, not decimetres


def test_bfm_coefficients_are_in_standard_deviations(delivery, bfm_model):
    mat, alpha = delivery.mat, torch.zeros(1, 80)
    alpha[0, 7] = -2.0
    moved = (bfm_model.shape(alpha, torch.zeros(1, 64))[0] - bfm_model.mean)[MARKS[30]]
    vertex = int(mat["trimIndex"].ravel()[mat["idx"].ravel()[MARKS[30]] - 1]) - 1
    assert_allclose(moved, -2e-3 * mat["shapeEV"][7, 0] * mat["shapePC"][3 * vertex : 3 * vertex + 3, 7], atol=1e-3)


def test_bfm_landmarks_and_alignment_points_are_the_published_vertices(bfm_model):
    assert bfm_model.landmarks_68.tolist() == MARKS
    assert bfm_model.alignment.tolist() == list(ALIGNMENT) == [2215, 5828, 10455, 14065, 8192, 5522, 10795]
    x = bfm_model.mean[bfm_model.alignment][[0, 1, 4, 2, 3], 0]
    assert (x.diff() > 5).all()  # the person's right first


def test_bfm_triangles_face_outward_though_the_files_do_not(delivery, bfm_model):
    normals = vertex_normals(bfm_model.mean[None], bfm_model.triangles)[0]
    assert normals[MARKS[30], 2] > 0.8
    assert (normals[:, 2] > 0).float().mean() > 0.97
    assert_array_equal(np.sort(bfm_model.triangles, 1), np.sort(delivery.mat["tri"] - 1, 1))


def test_bfm_borrows_what_the_open_model_has_there(delivery, open_model, bfm_model):
    face = delivery.sheet
    assert (bfm_model.labels.numpy() == face.labels).mean() > 0.97
    assert (bfm_model.regions.numpy() == face.regions).mean() > 0.95
    for name in ("left_eye", "right_brow", "nose", "upper_lip"):
        mine, theirs = (labels == CLASSES.index(name) for labels in (bfm_model.labels.numpy(), face.labels))
        assert (mine & theirs).sum() > 0.75 * (mine | theirs).sum(), name
    inner = np.arange(33, 104)  # the contour is beyond what is seen from the front
    errors = np.linalg.norm(
        open_model.mean[open_model.landmarks_106].numpy() - face.points[bfm_model.landmarks_106], axis=1
    )
    assert np.median(errors[inner]) < 1.2
    assert errors[inner].max() < 5


def test_the_skin_of_bfm_is_the_delivered_one(delivery, bfm_model):
    assert_array_equal(bfm_model.skin, delivery.mat["skinmask"][0] == 1)
    assert 0 < bfm_model.skin.sum() < (bfm_model.labels == CLASSES.index("skin")).sum()


def test_a_model_that_tells_no_skin_has_that_of_its_classes(open_model):
    arrays = open_model.arrays()
    told = arrays.pop("skin")
    expected = np.isin(arrays["labels"], [CLASSES.index("skin"), CLASSES.index("nose")])
    assert_array_equal(MorphableModel(arrays).skin, expected)
    assert_array_equal(told, expected)
    arrays["skin"], coarse = 1 - told, slice(open_model.coarse_vertices)
    assert_array_equal(MorphableModel(arrays).coarse().skin[coarse], ~expected[coarse])


def test_bfm_of_the_ready_file_is_the_same(delivery, open_file, bfm_model, tmp_path):
    arrays = {name: np.asarray(value, np.float32) for name, value in toy_faces.deep3d(delivery).items()}
    savemat(tmp_path / bfm_files.READY, arrays)
    again = imported("bfm_2009", tmp_path / bfm_files.READY, open_file, tmp_path).arrays()
    for name, value in bfm_model.arrays().items():
        if value.dtype.kind == "f":
            assert_allclose(again[name], value, atol=2e-4)
        else:
            assert_array_equal(again[name], value)


def test_fewer_components_are_the_first(delivery, bfm_model):
    few = bfm_files.read_bfm(
        delivery.folder, FaceModelSection(identity_components=3, expression_components=2, albedo_components=199)
    )
    assert_allclose(few.identity, bfm_model.identity_basis[:3], atol=1e-6)
    assert_allclose(few.expression, bfm_model.expression_basis[:2], atol=1e-6)
    all_of_them = bfm_files.read_bfm(delivery.folder, FaceModelSection(expression_components=80))
    assert len(all_of_them.expression) == 79
    assert len(few.albedo) == toy_faces.COMPONENTS


def test_keypoints_of_the_authors_file(tmp_path):
    rng = np.random.default_rng(0)
    carried, index = rng.integers(0, 35_709, 106), rng.integers(0, 35_709, 101)
    index[[47, 50, 53, 56, 41, 79, 85]] = ALIGNMENT
    np.save(tmp_path / "pre_index_101.npy", index.astype(np.float64)[:, None])
    found, origin = keypoints(tmp_path, carried)
    assert_array_equal(found[KEPT], index)
    assert_array_equal(found[list(DROPPED_FROM_106)], carried[list(DROPPED_FROM_106)])
    assert "pre_index_101.npy" in origin
    index[41] = 7
    np.save(tmp_path / "pre_index_101.npy", index)
    with pytest.raises(DataError, match=r"seven alignment points, found .* 7, 5522"):
        keypoints(tmp_path, carried)


def write_registration(delivery, path):
    """A gt.mat of BFM's topology; gives its keypoints as vertices of the face: one outside it is its nearest vertex."""
    rng = np.random.default_rng(1)
    front, kept = delivery.mat["idx"].ravel() - 1, rng.choice(35_709, 106)
    kept[KEPT[[47, 50, 53, 56, 41, 79, 85]]] = ALIGNMENT
    vertices = rng.normal(size=(53_215, 3)) * 60
    ids, outside = front[kept], np.setdiff1d(np.arange(53_215), front)[:5]
    ids[list(DROPPED_FROM_106)] = outside
    vertices[outside] = vertices[front[kept[list(DROPPED_FROM_106)]]] + 1e-3
    scan = vertices[:200], np.array([[0, 1, 2]])
    registration = {"registration_vertices": vertices, "registration_triangles": np.array([[0, 1, 2]])}
    write_ground_truth(path, GroundTruth(*scan, vertices[:106], **registration, registration_keypoints=ids))
    return kept


def test_keypoints_of_a_registration_of_pixel_face(delivery, tmp_path):
    kept = write_registration(delivery, tmp_path / "gt.mat")
    carried = np.zeros(106, np.int64)
    assert "carried" in keypoints(tmp_path, carried)[1]  # without BFM_front_idx.mat
    shutil.copy(delivery.folder / bfm_files.FRONT, tmp_path)
    found, origin = keypoints(tmp_path, carried)
    assert_array_equal(found, kept)
    assert "gt.mat" in origin


def test_any_sample_of_pixel_face_tells_the_keypoints(delivery, tmp_path):
    for sample in ("00001_01", "00002_01"):
        (tmp_path / sample / "fusion").mkdir(parents=True)
    (tmp_path / "00001_01" / "fusion" / "gt.mat").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"not a readable \.mat"):
        keypoints(delivery.folder, np.zeros(106, np.int64), tmp_path)
    kept = write_registration(delivery, tmp_path / "00002_01" / "fusion" / "gt.mat")
    found, origin = keypoints(delivery.folder, np.zeros(106, np.int64), tmp_path, exact=True)
    assert_array_equal(found, kept)
    assert "00002_01" in origin


def test_a_loss_of_3d_landmarks_asks_for_pixel_faces_own_keypoints(delivery, open_file, tmp_path, capsys):
    """By the import and by the check before it, each in one line that names what to add."""
    (tmp_path / "pixel_face").mkdir()
    given = ["--set", f"datasets.pixel_face.root={tmp_path / 'pixel_face'}"]
    assert import_by_command("bfm_2009", delivery.folder, open_file, tmp_path, *given) == 2
    settings = ["--set", "face_model.source=bfm_2009", "--set", f"face_model.folder={delivery.folder}", *given]
    assert cli.main(["fetch", "--check", "--dataset", "bfm_2009", *settings]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 2
    for error in errors:
        assert re.search(
            r"pre_index_101\.npy of .*datasets\.pixel_face\.root .* or set train\.loss\.landmark_3d: 0", error
        )
    without = [*settings, "--set", "train.loss.landmark_3d=0"]
    assert cli.main(["fetch", "--check", "--dataset", "bfm_2009", *without]) == 0
    (tmp_path / "pixel_face" / "s" / "fusion").mkdir(parents=True)
    write_registration(delivery, tmp_path / "pixel_face" / "s" / "fusion" / "gt.mat")
    assert cli.main(["fetch", "--check", "--dataset", "bfm_2009", *settings]) == 0


def break_file(name, change):
    """A copy of the delivery in which one file is changed."""

    def copy(delivery, folder):
        for path in delivery.folder.iterdir():
            (folder / path.name).symlink_to(path)
        (folder / name).unlink()
        change(delivery, folder / name)

    return copy


def save(key, value, *kept):
    return lambda delivery, path: savemat(path, {key: value(delivery.mat[key])} | {k: delivery.mat[k] for k in kept})


BROKEN = {
    "missing": (break_file("std_exp.txt", lambda d, p: None), r"expected 01_MorphableModel.mat.*; add std_exp.txt"),
    "cut": (
        break_file(bfm_files.MODEL, lambda d, p: p.write_bytes((d.folder / p.name).read_bytes()[:99_999])),
        r"01_MorphableModel.mat: not a readable .mat file \(cut short.*copy it again",
    ),
    "v7.3": (
        break_file(bfm_files.FRONT, lambda d, p: p.write_bytes(b"MATLAB 7.3".ljust(124) + b"\0\2IM")),
        r"BFM_front_idx.mat: .*version 7.3.*-v7",
    ),
    "expressions cut": (
        break_file(bfm_files.EXPRESSIONS, lambda d, p: p.write_bytes((d.folder / p.name).read_bytes()[:-4])),
        r"Exp_Pca.bin: expected 51086404 bytes for 79 components of 53215 vertices, found 51086400",
    ),
    "fewer deviations": (
        break_file("std_exp.txt", lambda d, p: p.write_text("1 2 3")),
        r"std_exp.txt: expected 79 standard deviations.*found 3",
    ),
    "another index": (
        break_file(bfm_files.TRIMMED, save("trimIndex", lambda v: v[:-1])),
        r"BFM_exp_idx.mat: trimIndex: expected 53215 different vertices, found 53214",
    ),
    "counted from 0": (
        break_file(bfm_files.FRONT, save("idx", lambda v: v - 1)),
        r"BFM_front_idx.mat: idx: expected whole numbers from 1 to 53215",
    ),
    "other landmarks": (
        break_file(bfm_files.INFO, save("keypoints", lambda v: v - 1, "tri", "skinmask")),
        r"facemodel_info.mat: keypoints: expected the 68 vertices",
    ),
    "no such array": (
        break_file(bfm_files.INFO, lambda d, p: savemat(p, {"tri": d.mat["tri"]})),
        r"facemodel_info.mat: expected the arrays tri, keypoints, skinmask, without keypoints, skinmask",
    ),
    "another skin": (
        break_file(bfm_files.INFO, save("skinmask", lambda v: v + 1, "tri", "keypoints")),
        r"facemodel_info.mat: skinmask: expected 35709 zeros and ones",
    ),
    "no skin": (
        break_file(bfm_files.INFO, save("skinmask", lambda v: 0 * v, "tri", "keypoints")),
        r"facemodel_info.mat: skinmask: expected 35709 zeros and ones, some of them ones",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_bfm_files_are_one_line(what, delivery, open_file, tmp_path, capsys):
    copy, message = BROKEN[what]
    (tmp_path / "files").mkdir()
    copy(delivery, tmp_path / "files")
    assert import_by_command("bfm_2009", tmp_path / "files", open_file, tmp_path) == 2
    error = capsys.readouterr().err.splitlines()
    assert re.search(message, error[-1])
    assert not (tmp_path / "model.npz").exists()


@pytest.mark.parametrize("source", ["bfm_2009", "ict_facekit"])
def test_a_model_without_its_folder_is_one_line(source, tmp_path, capsys):
    (tmp_path / "open.npz").write_bytes(b"PK")
    for folder, message in {
        None: "face_model.folder: expected the folder",
        tmp_path / "away": "away, which is not there; set it",
        tmp_path: "open.npz: not a readable",
    }.items():
        assert import_by_command(source, folder, tmp_path / "open.npz", tmp_path) == 2
        assert message in capsys.readouterr().err


def test_heads_are_the_open_models_whatever_is_imported(built, ict, tmp_path, monkeypatch):
    """The open model's file is not read then: its heads are not in it."""
    monkeypatch.setattr("dfmvr.face_model.anny.build.build", lambda settings: built)
    model = imported("ict_facekit", ict[2], tmp_path / "none.npz", tmp_path, "--heads", str(tmp_path / "heads.npz"))
    heads = HeadGenerator.load(tmp_path / "heads.npz")
    assert model.name == "ICT-FaceKit"
    assert_allclose((heads.subdivision @ heads.reference)[heads.face_index], built[0].mean, atol=1e-3)


def test_ict_is_its_own_shape_in_millimetres(ict, ict_model):
    _, arrays, _ = ict
    marks = list(ict_files.LANDMARKS_68)
    found, expected = ict_model.mean[ict_model.landmarks_68].numpy(), 10 * arrays["mean"][marks]
    assert_allclose(found - found.mean(0), expected - expected.mean(0), atol=1e-3)
    assert_allclose(ict_model.mean.mean(0), 0, atol=1e-3)
    assert_allclose(
        ict_model.identity_basis[:, ict_model.landmarks_68], 10 * arrays["identity"][:, marks].astype(float), atol=1e-3
    )
    # the whole basis spans the shapes: a full action is found again in it
    basis = ict_model.expression_basis[:, ict_model.landmarks_68].flatten(1).T.double()
    for shape in arrays["expression"][:, marks].astype(float):
        found = torch.linalg.lstsq(basis, torch.from_numpy(10 * shape.ravel())).solution
        assert_allclose(basis @ found, 10 * shape.ravel(), atol=1e-3)
    assert ict_model.expression_size == len(arrays["expression"])


def test_ict_expressions_have_coefficients_of_about_one(ict, ict_model):
    """Over expressions drawn as for the open model."""
    _, arrays, _ = ict
    actions, matrix = drivers(tuple(arrays["expression_names"]))
    rng = np.random.default_rng(1)
    drawn = np.stack([sample_actions(rng, actions, "random") for _ in range(400)]) @ matrix
    shapes = 10 * arrays["expression"][:, list(ict_files.LANDMARKS_68)].astype(float).reshape(len(matrix.T), -1)
    basis = ict_model.expression_basis[:, ict_model.landmarks_68].flatten(1).numpy().astype(float)
    coefficients = np.linalg.lstsq(basis.T, (drawn @ shapes).T, rcond=None)[0]
    assert 0.3 < np.sqrt(np.square(coefficients).mean()) < 2


def test_drivers_name_sides():
    actions, matrix = drivers(("browInnerUp_L", "jawOpen", "mouthSmile_R"))
    by_action = {name: row.tolist() for name, row in zip(actions, matrix, strict=True) if row.any()}
    assert by_action == {
        "browInnerUp": [1, 0, 0],
        "browInnerUpLeft": [1, 0, 0],
        "jawOpen": [0, 1, 0],
        "mouthSmileRight": [0, 0, 1],
    }


def test_ict_borrows_what_it_lacks(ict, ict_model, open_model):
    face, arrays, _ = ict
    mark = 10 * arrays["mean"][ict_files.LANDMARKS_68[0]] - ict_model.mean[ict_model.landmarks_68[0]].numpy()
    distance, own = cKDTree(10 * arrays["mean"]).query(ict_model.mean.numpy() + mark)
    assert distance.max() < 1e-3
    region = arrays["region"][own]
    labels = ict_model.labels.numpy()
    assert set(region) == {ict_files.FACE, ict_files.MOUTH, ict_files.EYEBALL}
    assert (labels[region == ict_files.FACE] == face.labels[own[region == ict_files.FACE]]).mean() > 0.9
    assert (labels[region == ict_files.MOUTH] == CLASSES.index("mouth")).all()
    eyes = region == ict_files.EYEBALL
    left = ict_model.mean[:, 0].numpy() > ict_model.mean[ict_model.landmarks_68[30], 0].item()
    assert (labels[eyes] == np.where(left, CLASSES.index("left_eye"), CLASSES.index("right_eye"))[eyes]).all()
    assert ict_model.regions[eyes].unique().tolist() == [REGIONS.index("eyes")]
    assert_array_equal(ict_model.alignment, ict_model.landmarks_68[list(ALIGNMENT_IN_68)])
    # colours: all are the open model's, brows darker than the forehead
    assert ict_model.texture_size == open_model.texture_size
    theirs = {tuple(colour) for colour in open_model.albedo_mean.tolist()}
    assert all(tuple(colour) in theirs for colour in ict_model.albedo_mean[::50].tolist())


def test_ict_of_obj_files_is_the_same(ict, ict_model, open_file, tmp_path):
    """Faces of three and four corners; the fans come back as the triangles that they were made of."""
    _, arrays, _ = ict
    toy_faces.write_ict_folder(tmp_path / "ICT-FaceKit" / "FaceXModel", arrays)
    again = imported("ict_facekit", tmp_path / "ICT-FaceKit", open_file, tmp_path).arrays()
    for name, value in ict_model.arrays().items():
        if value.dtype.kind == "f":
            assert_allclose(again[name], value, atol=1e-4)
        else:
            assert_array_equal(again[name], value)


@needs_ict
def test_the_real_ict_facekit(open_file, tmp_path):
    model = imported("ict_facekit", ICT.parent, open_file, tmp_path)
    files = ["--face-model", str(tmp_path / "model.npz"), "--output", str(tmp_path / "preview.png")]
    assert cli.main(["face_model", "preview", *files]) == 0
    with Image.open(tmp_path / "preview.png") as picture:
        assert np.asarray(picture).std() > 20
    assert (model.identity_size, model.expression_size) == (80, 53)
    mean = model.mean[model.landmarks_68].numpy()
    assert 75 < np.linalg.norm(mean[36] - mean[45]) < 110
    assert set(model.labels.tolist()) == set(range(1, 10))
    arrays = dict(np.load(ICT))
    few = arrays | {"identity": arrays["identity"][:2], "expression": arrays["expression"][24:27]}
    few["expression_names"] = arrays["expression_names"][24:27]
    toy_faces.write_ict_folder(tmp_path / "obj", few)
    read = read_ict(tmp_path / "obj")
    assert_allclose(read.mean, few["mean"], atol=1e-6)
    assert_allclose(read.identity, few["identity"].astype(np.float32), atol=1e-5)
    assert_array_equal(read.triangles, few["triangles"])
    assert_array_equal(read.landmarks_68, few["landmarks_68"])


@needs_ict
@pytest.mark.parametrize("yaw", [-0.6, 0.0, 0.6])
def test_the_real_ict_face_has_no_hole_where_a_camera_sees(open_model, open_file, tmp_path, yaw):
    model, arrays = imported("ict_facekit", ICT, open_file, tmp_path), np.load(ICT)
    jaw = list(arrays["expression_names"]).index("jawOpen")
    target = torch.from_numpy(10 * arrays["expression"][jaw][arrays["landmarks_68"]].astype(np.float32)).flatten()
    basis = model.expression_basis[:, model.landmarks_68].flatten(1)
    beta = torch.linalg.solve(basis @ basis.T + 1e-3 * torch.eye(len(basis)), basis @ target)
    shape = model.shape(torch.zeros(1, model.identity_size), beta[None])
    assert (shape[0] - model.mean).norm(dim=1).max() > 30  # the jaw is open
    posed = pose(shape, torch.tensor([[0.0, yaw, 0.0]]), torch.zeros(1, 3))
    alpha = render(posed, model.triangles, torch.ones_like(posed), 160).alpha[0, 0].numpy() > 0
    assert alpha.sum() > 3000
    assert (ndimage.binary_fill_holes(alpha) == alpha).all()


def test_warp_brings_landmarks_together_and_keeps_what_is_similar():
    rng = np.random.default_rng(2)
    points = rng.normal(size=(300, 3)) * 40
    marks = np.arange(68)
    similar = 0.01 * Rotation.random(random_state=2).apply(points) + [3, 4, 5]
    assert_allclose(warp(similar, marks, points[marks]), points, atol=1e-6)
    bent = points + 8 * np.sin(points[:, [1, 2, 0]] / 60)
    assert np.linalg.norm(warp(bent, marks, points[marks]) - points, axis=1)[marks].mean() < 0.5


def test_nearest_is_of_the_same_kind():
    rng = np.random.default_rng(3)
    points, others = rng.normal(size=(60, 3)), rng.normal(size=(80, 3))
    kinds, other_kinds = rng.integers(0, 3, 60), rng.integers(0, 2, 80)  # the others have no eyes
    found = nearest_of_kind(points, kinds, others, other_kinds)
    for point, kind, index in zip(points, kinds, found, strict=True):
        allowed = other_kinds == (SKIN if kind == EYE else kind)
        distances = np.where(allowed, np.linalg.norm(others - point, axis=1), np.inf)
        assert index == distances.argmin()
    assert {SKIN, MOUTH, EYE} == {0, 1, 2}


@pytest.mark.parametrize("source", ["open", "bfm", "ict"])
def test_every_model_is_trained_and_reconstructs(source, request, tmp_path, monkeypatch):
    """One epoch of a small network on faces of the model, then the meshes that it predicts."""
    model = request.getfixturevalue(f"{source}_model")
    sizes = {"identity_size": model.identity_size, "expression_size": model.expression_size}
    sizes |= {"texture_size": model.texture_size}
    monkeypatch.setattr(toy_model, "toy_model", lambda: model)
    for name, size in sizes.items():
        monkeypatch.setitem(toy_model.SIZES, name, size)
    toy_model.toy_samples(tmp_path, 2, 48)
    model.save(tmp_path / "model.npz")
    torch.manual_seed(5)
    save_parser(tmp_path / "parser.safetensors", FaceParser(ParserSpec(48, width=8)))
    files = {"align": "align", "parse": "parse", "face-model": "model.npz", "parser": "parser.safetensors"}
    files |= {"weights": "weights.safetensors", "metrics": "metrics.csv"}
    settings = ("epochs=1", "batch_size=2", "network.width=4", "network.neck=16", "landmark_share=0")
    arguments = [part for name, path in files.items() for part in (f"--{name}", str(tmp_path / path))]
    arguments += [part for setting in settings for part in ("--set", f"train.{setting}")]
    assert cli.main(["train", "--device", "cpu", "--threads", "1", *arguments]) == 0
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 2
    # named as training samples, which a test of the interface may reconstruct as well
    arguments = ["--align", str(tmp_path / "align"), "--parse", str(tmp_path / "parse"), "--split", "train"]
    arguments += ["--checkpoint", str(tmp_path / "weights.safetensors"), "--output", str(tmp_path / "faces")]
    assert cli.main(["reconstruct", "dataset", *arguments]) == 0
    found = read_npz(tmp_path / "faces" / "coefficients.npz")
    assert found["identity"].shape == (2, model.identity_size)
    assert found["expression"].shape == (2, model.expression_size)
    assert len(list((tmp_path / "faces" / "meshes").glob("*.ply"))) == 2


def damaged(content, count, texts):
    """Copies cut short, and copies with one to four bytes changed; texts also get other digits and signs."""
    rng = random.Random(len(content))
    yield from (content[: rng.randrange(len(content))] for _ in range(count // 4))
    for _ in range(count - count // 4):
        copy = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            new = rng.choice(b"0123456789-+.e/ \n\t,nf_") if texts and rng.random() < 0.7 else rng.randrange(256)
            copy[rng.randrange(len(copy))] = new
        yield bytes(copy)


def tiny_mat(path, compress):
    values = np.random.default_rng(0).permutation(30)[:, None] + 1
    savemat(path, {"other": np.ones((3, 3)), "idx": values, "tri": values.reshape(10, 3)}, do_compression=compress)


def tiny_bin(path):
    path.write_bytes(np.array([3], "<i4").tobytes() + np.ones(5 * 3 * 4, "<f4").tobytes())


def tiny_ict(path):
    folder, arrays = path.parent, {name: np.ones((1, 12, 3)) * 0.1 for name in ("identity", "expression")}
    shutil.rmtree(folder)
    triangles = np.arange(12).reshape(4, 3)
    mean = np.random.default_rng(1).uniform(-9, 9, (12, 3))
    arrays |= {"mean": mean, "triangles": triangles, "expression_names": ["jawOpen"], "landmarks_68": np.arange(68) % 3}
    toy_faces.write_ict_folder(folder, arrays)


READERS = {
    "index.mat": (lambda p: tiny_mat(p, False), lambda p: bfm_files.vertex_indices(p, "idx", 30, 30), 500, False),
    "packed.mat": (lambda p: tiny_mat(p, True), lambda p: bfm_files.load_arrays(p, "tri", "idx"), 500, False),
    "Exp_Pca.bin": (tiny_bin, lambda p: bfm_files.read_expressions(p, 5), 300, False),
    "std_exp.txt": (lambda p: p.write_text("453980 257264.5 1e5\n"), bfm_files.read_deviations, 300, True),
    "generic_neutral_mesh.obj": (tiny_ict, lambda p: read_ict(p.parent), 500, True),
    "jawOpen.obj": (tiny_ict, lambda p: read_ict(p.parent), 200, True),
    "vertex_indices.json": (tiny_ict, lambda p: read_ict(p.parent), 300, True),
    "pre_index_101.npy": (
        lambda p: np.save(p, np.r_[np.zeros(41), 8192, np.zeros(59)].astype(int)),
        lambda p: keypoints(p.parent, np.zeros(106, int)),
        300,
        False,
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_data_errors(name, tmp_path, monkeypatch):
    """2,900 mutations in all; what is read nevertheless is sound."""
    monkeypatch.setattr(ict_files, "VERTICES", 12)
    monkeypatch.setattr(ict_files, "LANDMARKS_68", np.arange(68) % 3)
    monkeypatch.setattr(ict_files, "RANGES", {0: (0, 3), 1: (3, 6), 2: (6, 9), 3: (9, 12)})
    (tmp_path / "files").mkdir()
    path = tmp_path / "files" / name
    make, read, count, texts = READERS[name]
    make(path)
    content, refused = path.read_bytes(), 0
    for copy in damaged(content, count, texts):
        path.write_bytes(copy)
        try:
            found = read(path)
        except DataError:
            refused += 1
            continue
        if isinstance(found, ict_files.IctFiles):
            assert np.isfinite(found.mean).all()
            assert found.landmarks_68.max() < 12
    assert refused > count // 5


def test_arrays_of_mat_files_are_scipys(tmp_path):
    rng = np.random.default_rng(4)
    arrays = {"a": rng.normal(size=(4, 3)), "b": rng.integers(0, 9, (2, 5)), "c": np.float32([[1.5]])}
    for compress in (False, True):
        savemat(tmp_path / "x.mat", arrays | {"text": "words", "cell": {"d": 1.0}}, do_compression=compress)
        found = read_matlab(tmp_path / "x.mat", "a", "b", "c", "missing")
        assert set(found) == {"a", "b", "c"}
        for name, value in found.items():
            assert_array_equal(value, arrays[name])
