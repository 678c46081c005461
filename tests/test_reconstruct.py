"""Reconstruction: what is written is what the coefficients say, and wrong use is one line."""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from toy_model import toy_coefficients, toy_model, toy_samples
from toy_network import SIZE, SMALL, small_network
from toy_results import CROP_PX

from dfmvr import cli
from dfmvr.datasets.manifest import read_manifest
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.views import render_views
from dfmvr.files import read_npz
from dfmvr.geometry.meshes import read_landmarks, read_mesh
from dfmvr.networks.checkpoint import read_network
from dfmvr.reconstruct.sample_files import mesh_of, write_samples


def test_a_network_survives_its_file(trained):
    network = read_network(trained / "network.safetensors").network
    images = torch.rand(2, 3, 3, SIZE, SIZE)
    masks = torch.zeros(2, 3, SIZE, SIZE)
    original = small_network(SMALL).eval()
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
    write_samples(tmp_path, model, np.array(["a", "b", "c"]), coefficients)
    assert np.allclose(read_mesh(tmp_path / "meshes" / "c.ply").vertices, mesh.vertices, atol=1e-3)
    seven = read_landmarks(tmp_path / "meshes" / "c.landmarks.csv")
    assert np.allclose(seven, expected[model.alignment.numpy()], atol=1e-3)


def test_the_mean_face_is_predicted_for_every_test_sample(trained):
    toy_samples(trained, 3, SIZE, split="test")
    output = trained / "mean"
    model = str(trained / "model.npz")
    arguments = ["--align", str(trained / "align"), "--face-model", model, "--output", str(output)]
    assert cli.main(["reconstruct", "mean_face", *arguments]) == 0
    assert sorted(p.name for p in (output / "meshes").glob("*.ply")) == ["s0.ply", "s1.ply", "s2.ply"]
    assert np.allclose(read_mesh(output / "meshes" / "s1.ply").vertices, toy_model().mean.numpy(), atol=1e-3)
    assert not read_npz(output / "coefficients.npz")["identity"].any()


def test_a_data_set_is_reconstructed_as_the_network_says(trained):
    toy_samples(trained, 3, SIZE, split="test")
    output = trained / "faces"
    arguments = ["--align", str(trained / "align"), "--parse", str(trained / "parse"), "--output", str(output)]
    assert cli.main(["reconstruct", "dataset", "--checkpoint", str(trained / "network.safetensors"), *arguments]) == 0
    found = read_npz(output / "coefficients.npz")
    images = torch.from_numpy(np.load(trained / "align" / "images.npy")).permute(0, 1, 4, 2, 3).float() / 255
    masks = torch.from_numpy(np.load(trained / "parse" / "masks.npy"))
    with torch.inference_mode():
        expected = read_network(trained / "network.safetensors").network(images, masks)
    assert np.allclose(found["identity"], expected.identity, atol=1e-5)
    assert found["sample"].tolist() == ["s0", "s1", "s2"]
    told = json.loads((output / "inference.json").read_text())
    assert told["samples"] == 3
    assert 0 < told["ms"] < 60_000


def test_another_face_model_is_refused(trained, capsys):
    arrays = toy_model().arrays()
    arrays["identity"] = arrays["identity"][:-1]
    np.savez(trained / "other.npz", **arrays)
    toy_samples(trained, 2, SIZE, split="test")
    arguments = ["--align", str(trained / "align"), "--parse", str(trained / "parse"), "--output", str(trained / "o")]
    arguments += ["--checkpoint", str(trained / "network.safetensors"), "--face-model", str(trained / "other.npz")]
    assert cli.main(["reconstruct", "dataset", *arguments]) == 2
    assert "expected identity_size 5 as in the face model, found 6" in capsys.readouterr().err


def test_answers_are_fitted_to_their_photographs(results, tmp_path, caplog):
    aligned, answers = results / "align/pixel_face", results / "reconstruct/mean_face/pixel_face"
    photos = {row.sample: Path(row.image) for row in read_manifest(aligned / "manifest.parquet").itertuples()}
    data = shutil.copytree(photos["p0_10"].parents[2], tmp_path / "data")
    (data / "p1_45" / "1" / "t.jpg").write_bytes(b"broken")
    table = read_manifest(aligned / "manifest.parquet")
    moved = shutil.copytree(aligned, tmp_path / "align")
    images = [str(data / Path(path).relative_to(photos["p0_10"].parents[2])) for path in table["image"]]
    table.assign(image=images).to_parquet(moved / "manifest.parquet")
    arguments = ["--answers", str(answers), "--align", str(moved), "--parse", str(results / "parse/pixel_face")]
    arguments += ["--data", str(data), "--face-model", str(results / "face_model/face_model.npz")]
    output = tmp_path / "fitted"
    caplog.set_level("INFO")
    assert cli.main(["reconstruct", "fitted", *arguments, "--output", str(output)]) == 0
    found, before = (read_npz(folder / "coefficients.npz") for folder in (output, answers))
    kept = [i for i, name in enumerate(before["sample"]) if name != "p1_45"]
    assert found["sample"].tolist() == before["sample"][kept].tolist()
    meshes = {path.stem: read_mesh(path).vertices for path in (output / "meshes").glob("*.ply")}
    assert sorted(meshes) == sorted(found["sample"].tolist())
    assert "p1_45" in caplog.text
    model, samples = MorphableModel.load(results / "face_model/face_model.npz"), read_npz(aligned / "samples.npz")
    misses = []
    for part in (found, {name: array[kept] for name, array in before.items()}):
        coefficients = Coefficients(*(torch.from_numpy(part[name]) for name in Coefficients._fields))
        seen = render_views(model, coefficients, CROP_PX).landmarks.numpy()
        misses.append(np.linalg.norm(seen - samples["landmarks"][kept], axis=-1).mean())
    assert misses[0] < 0.7 * misses[1]
    coefficients = Coefficients(*(torch.from_numpy(found[name]) for name in Coefficients._fields))
    apart = [meshes[name] - mesh_of(model, coefficients, i).vertices for i, name in enumerate(found["sample"])]
    assert 0 < np.linalg.norm(apart, axis=-1).max() < 10  # displaced from what the coefficients give
    alone = tmp_path / "alone"
    assert cli.main(["reconstruct", "fitted", *arguments, "--view", "left", "--output", str(alone)]) == 0
    of_left = read_npz(alone / "coefficients.npz")
    assert (of_left["angles"][:, 1:] == before["angles"][: len(of_left["angles"]), 1:]).all()
    assert (of_left["angles"][:, 0] != before["angles"][: len(of_left["angles"]), 0]).any()
