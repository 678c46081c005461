"""Reconstruction: what is written is what the coefficients say, and wrong use is one line."""

import numpy as np
import pytest
import torch
from toy_model import SIZES, toy_coefficients, toy_model, toy_samples

from dfmvr import cli
from dfmvr.align import five_points, read_standard_points
from dfmvr.datasets.images import write_image
from dfmvr.datasets.landmark_files import write_landmark_file
from dfmvr.files import read_npz
from dfmvr.geometry.camera import pose, project
from dfmvr.geometry.meshes import read_landmarks, read_mesh
from dfmvr.networks import DFMVR, NetworkSettings
from dfmvr.networks.checkpoint import read_network, write_network
from dfmvr.parse.parser import FaceParser, ParserSpec, save_parser
from dfmvr.reconstruct.results import mesh_of, write_faces

SMALL = {"width": 4, "backbone_width": 16, "depth": 14}
SIZE = 48


@pytest.fixture
def trained(tmp_path):
    """A network that answers something, its parser and its face model, as training leaves them."""
    torch.manual_seed(0)
    network = DFMVR(NetworkSettings(**SMALL), SIZE, **SIZES).eval()
    for head in network.heads.values():
        torch.nn.init.normal_(head.weight, std=0.1)
    about = {"network": SMALL, "image_size": SIZE, **SIZES, "face_model": "model.npz", "parser": "parser.safetensors"}
    write_network(tmp_path / "network.safetensors", network, about)
    save_parser(tmp_path / "parser.safetensors", FaceParser(ParserSpec(SIZE, width=8)))
    toy_model().save(tmp_path / "model.npz")
    return tmp_path


def test_a_network_survives_its_file(trained):
    network = read_network(trained / "network.safetensors").network
    images = torch.rand(2, 3, 3, SIZE, SIZE)
    masks = torch.zeros(2, 3, SIZE, SIZE)
    torch.manual_seed(0)
    original = DFMVR(NetworkSettings(**SMALL), SIZE, **SIZES).eval()
    original.load_state_dict(network.state_dict())
    with torch.inference_mode():
        pairs = zip(network(images, masks), original(images, masks), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_the_mesh_is_eq_1(tmp_path):
    model, coefficients = toy_model(), toy_coefficients(3)
    mesh = mesh_of(model, coefficients, 2)
    arrays = model.arrays()
    expected = arrays["mean"] + np.einsum("k,kvc->vc", coefficients.identity[2].numpy(), arrays["identity"])
    expected = expected + np.einsum("k,kvc->vc", coefficients.expression[2].numpy(), arrays["expression"])
    assert np.allclose(mesh.vertices, expected, atol=1e-3)
    write_faces(tmp_path, model, np.array(["a", "b", "c"]), coefficients)
    assert np.allclose(read_mesh(tmp_path / "meshes" / "c.ply").vertices, mesh.vertices, atol=1e-3)
    seven = read_landmarks(tmp_path / "meshes" / "c.landmarks.csv")
    assert np.allclose(seven, expected[model.alignment.numpy()], atol=1e-3)


def test_the_mean_face_is_predicted_for_every_test_sample(trained):
    toy_samples(trained, 3, SIZE, split="test")
    output = trained / "mean"
    model = str(trained / "model.npz")
    arguments = ["--mean-face", "--align", str(trained / "align"), "--face-model", model, "--output", str(output)]
    assert cli.main(["reconstruct", *arguments]) == 0
    assert sorted(p.name for p in (output / "meshes").glob("*.ply")) == ["s0.ply", "s1.ply", "s2.ply"]
    assert np.allclose(read_mesh(output / "meshes" / "s1.ply").vertices, toy_model().mean.numpy(), atol=1e-3)
    assert not read_npz(output / "coefficients.npz")["identity"].any()


def test_a_data_set_is_reconstructed_as_the_network_says(trained):
    toy_samples(trained, 3, SIZE, split="test")
    output = trained / "faces"
    arguments = ["--align", str(trained / "align"), "--parse", str(trained / "parse"), "--output", str(output)]
    assert cli.main(["reconstruct", "--checkpoint", str(trained / "network.safetensors"), *arguments]) == 0
    found = read_npz(output / "coefficients.npz")
    images = torch.from_numpy(np.load(trained / "align" / "images.npy")).permute(0, 1, 4, 2, 3).float() / 255
    masks = torch.from_numpy(np.load(trained / "parse" / "masks.npy"))
    with torch.inference_mode():
        expected = read_network(trained / "network.safetensors").network(images, masks)
    assert np.allclose(found["identity"], expected.identity, atol=1e-5)
    assert found["sample"].tolist() == ["s0", "s1", "s2"]


def photographs(folder):
    """Three photographs of noise with landmark files of 5 or 68 points that a face could have."""
    model = toy_model()
    mean = model.mean[model.landmarks_68][None]
    arguments = []
    for view, yaw in {"left": -0.5, "front": 0.0, "right": 0.5}.items():
        points = project(pose(mean, torch.tensor([[0.0, yaw, 0.0]]), torch.zeros(1, 3)), 240)[0, :, :2].numpy()
        write_landmark_file(folder / f"{view}.txt", five_points(points) if view == "front" else points)
        image = np.random.default_rng(0).integers(0, 255, (240, 240, 3), dtype=np.uint8)
        write_image(folder / f"{view}.png", image)
        arguments += [f"--{view}", str(folder / f"{view}.png")]
    return [*arguments, "--landmarks", *(str(folder / f"{view}.txt") for view in ("left", "front", "right"))]


@pytest.mark.parametrize("suffix", ["ply", "obj", "glb"])
def test_three_photographs_give_a_mesh(trained, suffix):
    output = trained / "face"
    more = ["--checkpoint", str(trained / "network.safetensors"), "--output", str(output), "--format", suffix]
    assert cli.main(["reconstruct", *photographs(trained), *more]) == 0
    names = sorted(p.relative_to(output).as_posix() for p in output.rglob("*") if p.is_file())
    assert set(names) == {"coefficients.npz", f"meshes/face.{suffix}", "meshes/face.landmarks.csv", "overlay.png"}
    assert len(read_mesh(output / "meshes" / f"face.{suffix}").vertices) == len(toy_model().mean)
    assert read_standard_points(trained / "model.npz").shape == (68, 3)


BROKEN = {
    "photo": (lambda f: (f / "front.png").write_bytes(b"no image"), "front.png"),
    "missing photo": (lambda f: (f / "left.png").unlink(), "left.png"),
    "few points": (lambda f: (f / "right.txt").write_text("1 2\n3 4\n"), "right.txt"),
    "points outside": (
        lambda f: write_landmark_file(f / "left.txt", np.full((68, 2), 999.0)),
        "outside the photograph",
    ),
    "network": (lambda f: (f / "network.safetensors").write_bytes(b"\0" * 99), "not a network written by"),
    "parser": (lambda f: (f / "parser.safetensors").unlink(), "parser.safetensors"),
    "face model": (lambda f: (f / "model.npz").write_bytes(b"PK"), "model.npz"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_input_is_one_line_and_leaves_nothing(trained, capsys, what):
    arguments = photographs(trained)
    breaking, named = BROKEN[what]
    breaking(trained)
    output = trained / "face"
    more = ["--checkpoint", str(trained / "network.safetensors"), "--output", str(output)]
    assert cli.main(["reconstruct", *arguments, *more]) == 2
    error = capsys.readouterr().err.splitlines()
    assert named in error[-1]
    assert not output.exists()
    assert not [p for p in trained.iterdir() if p.name.startswith(".")]


def test_a_missing_view_is_one_line(trained, capsys):
    more = ["--checkpoint", str(trained / "network.safetensors"), "--output", str(trained / "face")]
    assert cli.main(["reconstruct", *photographs(trained)[2:], *more]) == 2
    assert "--left: missing" in capsys.readouterr().err


def test_another_face_model_is_refused(trained, capsys):
    arrays = toy_model().arrays()
    arrays["identity"] = arrays["identity"][:-1]
    np.savez(trained / "other.npz", **arrays)
    toy_samples(trained, 2, SIZE, split="test")
    arguments = ["--align", str(trained / "align"), "--parse", str(trained / "parse"), "--output", str(trained / "o")]
    arguments += ["--checkpoint", str(trained / "network.safetensors"), "--face-model", str(trained / "other.npz")]
    assert cli.main(["reconstruct", *arguments]) == 2
    assert "expected identity_size 5 as in the face model, found 6" in capsys.readouterr().err
