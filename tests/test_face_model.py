"""The morphable model and the head generator, on a small build."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from PIL import Image
from scipy import ndimage
from scipy.spatial.transform import Rotation

from dfmvr import cli
from dfmvr.conventions import ALIGNMENT_IN_68, CLASSES, MIRRORED_68, MIRRORED_CLASS
from dfmvr.errors import DataError
from dfmvr.face_model.anny.head import load_head
from dfmvr.face_model.anny.heads import HeadGenerator, rigid_to
from dfmvr.face_model.anny.landmarks import MIRRORED_106
from dfmvr.face_model.anny.skin_colour import reflectance, spectrum_to_srgb
from dfmvr.face_model.anny.targets import read_target
from dfmvr.face_model.components import principal_components
from dfmvr.face_model.expressions import KINDS, strengths_of
from dfmvr.face_model.model import MorphableModel
from dfmvr.files import write_npz
from dfmvr.geometry.camera import pose
from dfmvr.geometry.normals import vertex_normals
from dfmvr.rendering.renderer import render


@pytest.fixture(scope="module")
def model(open_model):
    return open_model


@pytest.fixture(scope="module")
def heads(built) -> HeadGenerator:
    return built[1]


def test_measures_are_those_of_people(built):
    """Means within 3 mm of adults of both genders and deviations within a factor of two."""
    found = built[2]["population_mm"]
    people = {"interpupillary_distance": (63, 3.5), "face_width": (135, 7), "nasion_to_subnasale": (51, 3.5)}
    for name, (mean, deviation) in people.items():
        assert abs(found[name][0] - mean) < 3, name
        assert deviation / 2 < found[name][1] < 2 * deviation, name


def test_components_reproduce_held_out_heads(built):
    same, hidden = (built[2]["held_out_rms_mm"][k] for k in ("same_population", "with_hidden_targets"))
    assert same["model"] < 0.25 * same["mean_face"]
    assert same["model"] < hidden["model"] < 0.5 * hidden["mean_face"]


def test_hidden_targets_do_not_shift_the_mean(heads):
    rng = np.random.default_rng(0)
    hidden = np.stack([heads.sample_identity(rng, True) for _ in range(2000)])
    place = [i for i, name in enumerate(heads.population.names) if name.startswith("hidden:")]
    error = hidden[:, place].std(0) / np.sqrt(2000)
    assert (np.abs(hidden[:, place].mean(0)) < 5 * error).all()
    assert not heads.sample_identity(rng, False)[place].any()


def test_mean_is_centred_and_symmetric(model):
    mean = model.mean.numpy()
    assert_allclose(mean.mean(0), 0, atol=1e-3)
    for ids, mirrored in ((model.landmarks_68, MIRRORED_68), (model.landmarks_106, MIRRORED_106)):
        assert_allclose(mean[ids] * [-1, 1, 1], mean[ids[list(mirrored)]], atol=0.02)


def test_alignment_points_agree_and_lie_where_their_names_say(model):
    assert torch.equal(model.alignment, model.landmarks_68[list(ALIGNMENT_IN_68)])
    outer_right, inner_right, inner_left, outer_left, tip, mouth_right, mouth_left = model.mean[model.alignment]
    x = torch.stack((outer_right, inner_right, tip, inner_left, outer_left))[:, 0]
    assert (x.diff() > 5).all()
    assert mouth_right[0] < tip[0] < mouth_left[0]
    assert mouth_left[1] < tip[1] < inner_left[1]
    assert tip[2] > model.mean[model.labels == CLASSES.index("nose"), 2].max() - 0.5


def test_labels_of_left_parts_are_on_the_persons_left(model):
    x = model.mean[:, 0]
    for name, sign in (("left", 1), ("right", -1)):
        for part in ("brow", "eye"):
            chosen = x[model.labels == CLASSES.index(f"{name}_{part}")]
            assert len(chosen) > 20
            assert (chosen * sign > 0).all()
    counts = torch.bincount(model.labels, minlength=10)
    assert (counts[1:] > 20).all()
    assert (counts == counts[list(MIRRORED_CLASS)]).all()


def test_lips_and_eyes_are_labelled_in_order(model):
    y = [model.mean[model.labels == CLASSES.index(n), 1].mean() for n in ("lower_lip", "upper_lip", "nose", "left_eye")]
    assert (torch.stack(y).diff() > 0).all()
    assert model.mean[model.labels == CLASSES.index("left_brow"), 1].min() > model.mean[model.landmarks_68[45], 1]


def test_triangles_face_outward(model):
    normals = vertex_normals(model.mean[None], model.triangles)[0]
    assert normals[model.landmarks_68[30], 2] > 0.8
    skin = model.labels == CLASSES.index("skin")
    outward = model.mean[skin] - torch.tensor([0.0, 0.0, -80.0])
    facing = (normals[skin] * torch.nn.functional.normalize(outward, dim=1)).sum(1)
    assert (facing > 0).float().mean() > 0.97


@pytest.mark.parametrize("yaw", [-0.6, 0.0, 0.6])
@pytest.mark.parametrize("kind", ["neutral", "scream"])
def test_surface_has_no_hole_where_a_camera_sees(model, heads, yaw, kind):
    beta = torch.from_numpy(heads.sample_expression(np.random.default_rng(1), kind)).float()[None]
    shape = model.shape(torch.zeros(1, model.identity_size), beta)
    posed = pose(shape, torch.tensor([[0.0, yaw, 0.0]]), torch.zeros(1, 3))
    alpha = render(posed, model.triangles, torch.ones_like(posed), 160).alpha[0, 0].numpy() > 0
    assert alpha.sum() > 3000
    assert (ndimage.binary_fill_holes(alpha) == alpha).all()


def test_coarse_model_is_the_same_face(model):
    coarse, n = model.coarse(), model.coarse_vertices
    generator = torch.Generator().manual_seed(0)
    alpha, beta, gamma = (
        torch.randn(2, k, generator=generator) for k in (model.identity_size, model.expression_size, model.texture_size)
    )
    fine = model.shape(alpha, beta)
    assert_allclose(coarse.shape(alpha, beta)[:, :n], fine[:, :n], atol=1e-4)
    assert_allclose(coarse.albedo(gamma)[:, :n], model.albedo(gamma)[:, :n], atol=1e-6)
    assert_allclose(coarse.shape(alpha, beta)[:, coarse.landmarks_101], fine[:, model.landmarks_101], atol=1e-4)
    assert coarse.triangles.max() < n
    assert 4 * len(coarse.triangles) == len(model.triangles)


def test_landmarks_alone_are_those_of_the_whole_face(model):
    alone, generator = model.landmarks_alone(), torch.Generator().manual_seed(0)
    alpha, beta = (torch.randn(2, k, generator=generator) for k in (model.identity_size, model.expression_size))
    part, whole = alone.shape(alpha, beta), model.shape(alpha, beta)
    assert part.shape[1] <= 68 + 106
    for name in ("landmarks_68", "landmarks_101"):
        assert_allclose(part[:, getattr(alone, name)], whole[:, getattr(model, name)], atol=1e-4)
    assert alone.double().landmarks_alone().mean.dtype == torch.double


def test_shape_is_linear(model):
    alpha = torch.zeros(1, model.identity_size)
    beta = torch.zeros(1, model.expression_size)
    assert torch.equal(model.shape(alpha, beta)[0], model.mean)
    alpha[0, 3], beta[0, 1] = 2.0, -1.5
    expected = model.mean + 2 * model.identity_basis[3] - 1.5 * model.expression_basis[1]
    assert_allclose(model.shape(alpha, beta)[0], expected, atol=1e-4)


def test_save_and_load(model, tmp_path):
    model.save(tmp_path / "model.npz")
    again = MorphableModel.load(tmp_path / "model.npz")
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), again.buffers(), strict=True))
    assert again.expression_names == model.expression_names
    assert again.action_names == model.action_names
    assert again.name == model.name


def test_actions_are_told_of_an_expression(model, heads):
    """Strengths within 0 to 1 come back; of the shape that they make, and of the heads that make it."""
    rng = np.random.default_rng(0)
    actions, basis = (tensor.double().numpy() for tensor in (model.actions, model.expression_basis))
    for _ in range(5):
        strengths = rng.uniform(0, 1, len(actions)) * (rng.random(len(actions)) < 0.3)
        found = strengths_of(strengths @ actions, actions, basis)
        moved = np.tensordot((found - strengths) @ actions, basis, 1)
        assert np.abs(moved).max() < 0.05  # mm
    drawn = heads.sample_expression(np.random.default_rng(1), "wink_left")
    told = dict(zip(model.action_names, strengths_of(drawn, actions, basis), strict=True))
    assert told["eyeBlinkLeft"] > 0.4
    assert told["eyeBlinkRight"] < 0.2
    far = strengths_of(-5 * actions[list(model.action_names).index("jawOpen")], actions, basis)
    assert far.min() >= 0
    assert far.max() <= 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("landmarks_68", np.zeros(67, int), r"landmarks_68: expected shape \(68\), found \(67,\)"),
        ("triangles", np.full((1, 3), 10**6), "triangles: expected indices from 0"),
        ("labels", None, "expected the arrays labels"),
        ("mean", np.nan, "mean: expected finite numbers"),
    ],
)
def test_broken_files_are_refused(model, tmp_path, name, value, message):
    arrays = model.arrays()
    if value is None:
        del arrays[name]
    else:
        arrays[name] = value if np.ndim(value) else np.full_like(arrays[name], value)
    write_npz(tmp_path / "broken.npz", **arrays)
    with pytest.raises(DataError, match=message):
        MorphableModel.load(tmp_path / "broken.npz")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        HeadGenerator.load(tmp_path / "heads.npz")


@pytest.mark.parametrize("files", [{}, {"heads": "heads.npz"}, {"heads": "heads.npz", "summary": "summary.json"}])
def test_the_command_writes_what_is_asked_for(built, files, tmp_path, monkeypatch):
    """The heads are of use for the stand-in data alone."""
    monkeypatch.setattr("dfmvr.face_model.anny.build.build", lambda settings: built)
    files = {"output": "model.npz"} | files
    arguments = [part for name, file in files.items() for part in (f"--{name}", str(tmp_path / file))]
    assert cli.main(["face_model", *arguments]) == 0
    assert {path.name for path in tmp_path.iterdir()} == set(files.values())


def test_faces_of_a_model_are_drawn(model, tmp_path):
    model.save(tmp_path / "model.npz")
    files = ["--face-model", str(tmp_path / "model.npz"), "--output", str(tmp_path / "preview.png")]
    assert cli.main(["face_model", "preview", *files]) == 0
    assert np.asarray(Image.open(tmp_path / "preview.png")).std() > 20


def test_heads_file_round_trip(heads, tmp_path):
    heads.save(tmp_path / "heads.npz")
    again = HeadGenerator.load(tmp_path / "heads.npz")
    rng, other = np.random.default_rng(5), np.random.default_rng(5)
    person, same = heads.sample_identity(rng, True), again.sample_identity(other, True)
    assert_allclose(heads.vertices(person), again.vertices(same))
    assert_allclose(heads.albedo(rng), again.albedo(other))


def test_model_and_head_share_mean_expression_and_landmarks(model, heads):
    rng = np.random.default_rng(2)
    smile = heads.sample_expression(rng, "smile")
    head = heads.subdivision @ (heads.reference + np.tensordot(smile, heads.expression, 1))
    face = model.shape(torch.zeros(1, model.identity_size), torch.from_numpy(smile).float()[None])[0]
    assert_allclose(head[heads.face_index], face, atol=1e-3)
    assert np.array_equal(heads.face_index[model.landmarks_106], heads.landmarks_106)


def test_smile_widens_the_mouth_and_scream_opens_it(heads):
    rng = np.random.default_rng(3)
    person = heads.sample_identity(rng, False)

    def gap(kind: str, a: int, b: int) -> np.ndarray:
        points = heads.vertices(person, heads.sample_expression(np.random.default_rng(4), kind))
        return points[heads.landmarks_68[a]] - points[heads.landmarks_68[b]]

    assert gap("smile", 54, 48)[0] > gap("neutral", 54, 48)[0] + 3
    assert gap("scream", 62, 66)[1] > gap("neutral", 62, 66)[1] + 10
    assert gap("neutral", 37, 41)[1] > 5
    assert abs(gap("blink", 37, 41)[1]) < 3


def test_expression_coefficients_are_about_one(heads):
    rng = np.random.default_rng(6)
    kinds = [kind for kind in KINDS if kind != "neutral"]
    drawn = np.stack([heads.sample_expression(rng, kind) for kind in kinds for _ in range(20)])
    assert 0.5 < np.sqrt(np.square(drawn).mean()) < 2
    assert not heads.sample_expression(rng, "neutral").any()
    with pytest.raises(DataError, match="expected one of neutral"):
        heads.sample_expression(rng, "yawn")


def test_albedo_is_a_colour_and_skin_is_red_before_green_before_blue(model, heads):
    rng = np.random.default_rng(7)
    drawn = np.stack([heads.albedo(rng) for _ in range(6)])
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    skin = drawn[:, heads.landmarks_68[29]]
    assert (skin[:, 0] > skin[:, 1]).all()
    assert (skin[:, 1] > skin[:, 2]).all()
    assert 0.05 < model.albedo_basis.square().sum(0).sqrt().mean() < 0.3


def test_more_melanin_is_darker_and_more_blood_redder():
    melanin = spectrum_to_srgb(reflectance(np.array([0.01, 0.05, 0.2]), 0.02))
    assert (np.diff(melanin, axis=0) < 0).all()
    blood = spectrum_to_srgb(reflectance(0.02, np.array([0.005, 0.02, 0.1])))
    assert (np.diff(blood[:, 0] / blood[:, 1]) > 0).all()


def test_white_is_white():
    assert_allclose(spectrum_to_srgb(np.ones(31)), 1, atol=0.02)


def test_principal_components_match_svd():
    rng = np.random.default_rng(8)
    fields = (rng.normal(size=(30, 5)) @ rng.normal(size=(5, 36))).reshape(30, 12, 3).astype(np.float32)
    fields -= fields.mean(0)
    found = principal_components(fields, np.ones(12, bool), 5).reshape(5, -1)
    _, singular, rows = np.linalg.svd(fields.reshape(30, -1), full_matrices=False)
    expected = rows[:5] * singular[:5, None] / np.sqrt(29)
    assert_allclose(np.abs(found), np.abs(expected), rtol=1e-3, atol=1e-4)


def test_rigid_alignment_undoes_a_motion():
    rng = np.random.default_rng(9)
    points = rng.normal(size=(20, 3))
    moved = Rotation.random(random_state=9).apply(points) + np.array([1, 2, 3])
    assert_allclose(rigid_to(moved, points, np.arange(10)), points, atol=1e-9)


def test_head_mesh_is_symmetric_and_whole():
    head = load_head()
    assert_allclose(head.vertices[head.mirror] * [-1, 1, 1], head.vertices, atol=1e-6)
    mirrored = {tuple(sorted(t)) for t in head.mirror[head.triangles].tolist()}
    assert mirrored == {tuple(sorted(t)) for t in head.triangles.tolist()}
    left, right = (np.count_nonzero(head.part == p) for p in (1, 2))
    assert left == right == 72


def test_broken_target_is_refused(tmp_path):
    (tmp_path / "x.target").write_text("0 1 2\n")
    with pytest.raises(DataError, match="expected lines `vertex dx dy dz`"):
        read_target(tmp_path / "x.target", np.arange(3))
