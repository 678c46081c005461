"""What ships: a packed face model is the model, and a packed training answers as the training does."""

import hashlib

import numpy as np
import pytest
import torch
from toy_model import toy_arrays, toy_model
from toy_network import write_toy_training

from dfmvr import cli
from dfmvr.assets.files import SUMS, read_sums
from dfmvr.errors import DataError
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.packed import ALBEDO_TOLERANCE, SHAPE_TOLERANCE_MM, pack, read_model, write_packed
from dfmvr.geometry.subdivision import loop_subdivision
from dfmvr.reconstruct.photographs.reconstructor import Reconstructor

HALF = 2.0**-11


def subdivided_model(n=12):
    """A model on a mesh that is the subdivision of another, with a rim of its own."""
    coarse = toy_arrays(n)
    count = len(coarse["mean"])
    matrix, triangles = loop_subdivision(coarse["triangles"], count)
    arrays = toy_arrays(n)
    for name in ("mean", "albedo_mean"):
        arrays[name] = matrix @ coarse[name]
    for name in ("identity", "expression", "albedo"):
        arrays[name] = np.stack([matrix @ basis for basis in coarse[name]])
    nearest = np.full(len(arrays["mean"]) - count, 0)
    for name in ("labels", "regions"):
        arrays[name] = np.concatenate([coarse[name], nearest])
    arrays |= {"triangles": triangles, "coarse_triangles": coarse["triangles"], "coarse_vertices": np.array(count)}
    arrays["identity"][:, -3:] += 0.7  # what no subdivision gives
    return MorphableModel(arrays)


def test_a_packed_model_is_the_model_up_to_half_precision(tmp_path):
    model = subdivided_model()
    write_packed(tmp_path / "packed.npz", model)
    found = read_model(tmp_path / "packed.npz")
    for name, tolerance in {
        "identity_basis": SHAPE_TOLERANCE_MM,
        "expression_basis": SHAPE_TOLERANCE_MM,
        "albedo_basis": ALBEDO_TOLERANCE,
    }.items():
        before, after = getattr(model, name), getattr(found, name)
        assert (before - after).abs().max() <= tolerance + 2 * HALF * before.abs().max()
    for name in ("mean", "albedo_mean", "triangles", "coarse_triangles", "labels", "landmarks_68", "landmarks_106"):
        assert torch.equal(getattr(model, name), getattr(found, name))
    assert (found.identity_basis[:, -3:] - model.identity_basis[:, -3:]).abs().max() <= HALF * 10
    assert pack(model)["rows"].tolist() == [len(model.mean) - k for k in (3, 2, 1)]


def test_a_model_that_is_no_subdivision_is_refused_and_an_unpacked_one_read(tmp_path):
    with pytest.raises(DataError, match="a subdivision of the coarse one"):
        pack(toy_model())
    toy_model().save(tmp_path / "model.npz")
    assert torch.equal(read_model(tmp_path / "model.npz").mean, toy_model().mean)
    (tmp_path / "model.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"model\.npz"):
        read_model(tmp_path / "model.npz")


def test_a_packed_training_answers_as_the_training(tmp_path, monkeypatch):
    write_toy_training(tmp_path)
    subdivided_model().save(tmp_path / "model.npz")
    output = tmp_path / "assets"
    output.mkdir()
    (output / SUMS).write_text(f"{'0' * 64}  other.bin\n")
    checkpoint = str(tmp_path / "network.safetensors")
    assert cli.main(["train", "pack", "--checkpoint", checkpoint, "--note", "toys", "--output", str(output)]) == 0
    sums = read_sums(output / SUMS)
    assert sums.pop("other.bin") == "0" * 64
    assert sums == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in output.iterdir() if p.name != SUMS}
    monkeypatch.setattr("dfmvr.assets.files.FOLDER", output)
    packed, original = Reconstructor.load(), Reconstructor.load(tmp_path / "network.safetensors")
    assert packed.about["note"] == "toys"
    photo = np.random.default_rng(0).integers(0, 255, (240, 240, 3), dtype=np.uint8)
    points = np.array([[90.0, 90], [150, 90], [120, 125], [97, 160], [143, 160]])
    one, other = (r(front=photo, landmarks={"front": points}) for r in (packed, original))
    assert np.abs(one.vertices - other.vertices).max() < 0.2
    assert torch.allclose(one.coefficients.identity, other.coefficients.identity, atol=0.02)
