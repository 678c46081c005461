"""The authors' weights in our network: the same faces in the same images, from files of every kind."""

import argparse
import os
from ast import literal_eval
from pathlib import Path

import numpy as np
import pytest
import torch
from authors_network import SIDES, AuthorsFace, AuthorsNetwork, random_state
from toy_model import SIZES, toy_arrays, toy_model
from toy_network import PAPER, SMALL, sizes

from dfmvr.conventions import CLASSES
from dfmvr.errors import DataError
from dfmvr.face_model.views import render_views
from dfmvr.geometry.camera import pose, project
from dfmvr.geometry.normals import vertex_normals
from dfmvr.geometry.rotation import euler_to_rotmat
from dfmvr.networks.bisenet import BiSeNet
from dfmvr.networks.checkpoint import build_network, file_beside, network_header, read_network
from dfmvr.parse.parser import load_parser
from dfmvr.released import weights as released
from dfmvr.released.network import ReleasedDFMVR
from dfmvr.rendering.renderer import render
from dfmvr.rendering.shading import shade
from dfmvr.train import import_released as import_checkpoint

KEYS = Path(__file__).parents[2] / "shared" / "official_state_dict_keys.txt"
SETTINGS = SMALL.model_copy(update={"depth": 26, "last_concat": True})
SWITCHES = {"raw_labels": True, "shared_lighting": True}
UNUSED_SHAPES = {"uuunet.conv9.conv.0.weight": (4, 16, 3, 3), "rednet_fc.rednet.pts_net.1.weight": (1,)}


def official_shapes():
    if not KEYS.exists():
        pytest.skip(f"no {KEYS.name}: the list of the authors' weights is not here")
    rows = (line.split("\t") for line in KEYS.read_text().splitlines() if not line.startswith("#"))
    return {name: literal_eval(shape) for name, shape, _ in rows}


def small_shapes():
    with torch.device("meta"):
        return released._expected(ReleasedDFMVR(SETTINGS, sizes(224))) | UNUSED_SHAPES


def small_state():
    return random_state(small_shapes())


def photographs(size, count=1):
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(count, 3, 3, size, size, generator=generator)
    return images, torch.randint(0, len(CLASSES), (count, 3, size, size), generator=generator)


@torch.no_grad()
def answers(state, size=64):
    """What the authors' network and ours say of the same photographs."""
    translated = released.convert(state)
    smaller = translated.sizes._replace(image_size=size)
    header = network_header("released_code", translated.settings, smaller, **SWITCHES)
    network = build_network(header, translated.network)
    photos = photographs(size)
    return AuthorsNetwork(state)(*photos), network(*photos)


def random_model(sizes, vertices=200):
    rng = np.random.default_rng(5)
    names = {"idBase": "identity_size", "exBase": "expression_size", "texBase": "texture_size"}
    model = {base: rng.normal(0, 0.02, (sizes[name], vertices, 3)) for base, name in names.items()}
    model["texBase"] *= 255
    return model | {"meanshape": rng.normal(0.1, 0.5, (vertices, 3)), "meantex": rng.uniform(20, 220, (vertices, 3))}


def check_same_face(model, theirs, ours):
    """Compare where the vertices are seen, in pixels, and their colours; ours in mm and [0, 1]."""
    face = AuthorsFace(model, theirs)
    mean = torch.tensor(100 * (model["meanshape"] - model["meanshape"].mean(0)))
    bases = (
        torch.tensor(model[name] * scale) for name, scale in (("idBase", 100), ("exBase", 100), ("texBase", 1 / 255))
    )
    identity, expression, texture, lighting, angles, translation = (each[0].double() for each in ours)
    id_base, ex_base, tex_base = bases
    shape = mean + torch.tensordot(identity, id_base, 1) + torch.tensordot(expression, ex_base, 1)
    albedo = torch.tensor(model["meantex"] / 255) + torch.tensordot(texture, tex_base, 1)
    normals = torch.nn.functional.normalize(shape, dim=1)
    rotations = euler_to_rotmat(angles)
    for view, side in enumerate(SIDES):
        pixels = project(pose(shape, angles[view], translation[view]), 224)[:, :2]
        np.testing.assert_allclose(pixels, face.pixels(side), rtol=0, atol=2e-3)
        lit = shade(albedo[None], (normals @ rotations[view].T)[None], lighting[view, None])[0]
        np.testing.assert_allclose(255 * lit, face.colours(normals.numpy()), rtol=1e-4, atol=2e-2)


def test_the_released_network_answers_the_same_face():
    state = random_state({k: v for k, v in official_shapes().items() if not k.startswith("mask_model.")})
    theirs, ours = answers(state)
    for name, found in (("id", ours.identity), ("exp", ours.expression), ("color", ours.texture)):
        assert np.abs(found.numpy() - theirs[name]).max() < 1e-4 * np.abs(theirs[name]).max()
    check_same_face(random_model({"identity_size": 80, "expression_size": 64, "texture_size": 80}), theirs, ours)


def test_a_network_of_another_size_answers_the_same_face():
    theirs, ours = answers(small_state())
    assert np.abs(ours.identity.numpy() - theirs["id"]).max() < 1e-4 * np.abs(theirs["id"]).max()
    check_same_face(random_model(SIZES), theirs, ours)


def test_the_same_image_is_rendered():
    theirs, ours = answers(small_state())
    arrays, model = toy_arrays(), toy_model()
    in_their_units = {
        "meanshape": arrays["mean"] / 100 + [0.3, 0, 0],
        "idBase": arrays["identity"] / 100,
        "exBase": arrays["expression"] / 100,
        "meantex": 255 * arrays["albedo_mean"],
        "texBase": 255 * arrays["albedo"],
    }
    face = AuthorsFace(in_their_units, theirs)
    shape = torch.tensor(face.shape())[None].float()
    normals = vertex_normals(shape, model.triangles)[0].double().numpy()
    # The camera at z = 1 dm is the one at 1000 mm if all is 900 mm nearer (`check_same_face`).
    posed = torch.tensor(np.stack([100 * face.posed(side) + [0, 0, 900] for side in SIDES])).float()
    colours = torch.tensor(face.colours(normals) / 255).float().expand(3, -1, -1)
    expected = render(posed, model.triangles, colours, 64).image
    found = render_views(model, ours, 64).image[0]
    assert (expected > 0).any((1, 2, 3)).all()
    same = ((found - expected).abs() < 2e-3).all(1)
    assert same.float().mean() > 0.999  # a pixel at the edge of a triangle may fall to its neighbour


def test_every_released_tensor_is_used_or_known_to_be_unused():
    shapes = official_shapes()
    state = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    found = released.convert(state)
    assert found.unexpected == []
    assert {name.split(".")[1 if name.startswith("uuunet") else 2] for name in found.unused} == {"conv9", "pts_net"}
    assert len(found.unused) == 14 + 8
    assert found.settings == PAPER.network.model_copy(update={"last_concat": True})
    with torch.device("meta"):
        network, parser = ReleasedDFMVR(found.settings, found.sizes), BiSeNet(10)
    assert found.network.keys() == network.state_dict().keys()
    assert found.parser.keys() == parser.state_dict().keys()


def old_headers(about):
    """The same network as files told of it before the departures had a place of their own, and after."""
    settings, lighting = dict(about["network"]), about["switches"]["shared_lighting"]
    settings["released_concat"] = settings.pop("last_concat")
    former = about | {"network": settings | {"released_inputs": True, "shared_lighting": lighting}}
    del former["switches"], former["method"]
    return former, about | {"switches": {"raw_inputs": True, "shared_lighting": lighting}}


@pytest.mark.parametrize("switches", [{"raw_labels": True, "shared_lighting": False}, SWITCHES])
def test_imported_weights_of_older_files_are_read(switches):
    network = ReleasedDFMVR(SETTINGS, sizes(48), **switches).eval()
    about = network_header("released_code", SETTINGS, sizes(48), **switches)
    photos = photographs(48)
    for header in old_headers(about):
        found = build_network(header | {"imported": "000000279.pth"}, network.state_dict())
        assert type(found) is ReleasedDFMVR
        assert all(torch.equal(a, b) for a, b in zip(found(*photos), network(*photos), strict=True))
        with pytest.raises(DataError, match=r"colours in \[0, 1\].*train it again"):
            build_network(header, network.state_dict())
    about["network"].pop("depth")
    with pytest.raises(AttributeError, match="depth"):
        build_network(about, network.state_dict())


def test_each_tensor_goes_to_a_place_of_its_own():
    with torch.device("meta"):
        names = [n for n in ReleasedDFMVR(SETTINGS, sizes(224)).state_dict() if n.startswith(("fusion", "backbone"))]
    theirs = [released.authors_name(name) for name in names]
    assert len(set(theirs)) == len(names)


@pytest.mark.parametrize("change", ["missing", "shape", "nan"])
def test_weights_that_do_not_fit_are_named(change):
    state, name = small_state(), "uuunet.att2_1.psi.0.weight"
    if change == "missing":
        del state[name]
    elif change == "shape":
        state[name] = state[name][..., 0]
    else:
        state[name] = state[name] * torch.nan
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        released.convert(state)


def test_weights_of_another_network_are_refused():
    with pytest.raises(DataError, match="released network"):
        released.convert({"layer1.0.conv1.weight": torch.zeros(1)})


def run_import(folder, checkpoint, *more):
    parser = argparse.ArgumentParser()
    import_checkpoint.add_arguments(parser)
    output = folder / "weights.safetensors"
    import_checkpoint.main(parser.parse_args(["--checkpoint", str(checkpoint), "--output", str(output), *more]), None)
    return output


def wrapped(state, how):
    if how == "data_parallel":
        return {f"module.{name}": tensor for name, tensor in state.items()}
    if how == "training":
        return {"epoch": 279, "loss": torch.tensor(1.4), "model": wrapped(state, "data_parallel")}
    return {"state_dict": state} if how == "lightning" else state


@pytest.mark.parametrize("how", ["plain", "data_parallel", "lightning", "training"])
@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_every_kind_are_read(tmp_path, how, zipped):
    state = small_state()
    torch.save(wrapped(state, how), tmp_path / "released.pth", _use_new_zipfile_serialization=zipped)
    network, about = read_network(run_import(tmp_path, tmp_path / "released.pth"))
    assert about["image_size"] == 224
    expected = released.convert(state).network
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())


def test_the_face_model_comes_along(tmp_path):
    torch.save(small_state(), tmp_path / "released.pth")
    toy_model().save(tmp_path / "model.npz")
    parser = tmp_path / "elsewhere.safetensors"
    with pytest.raises(DataError, match="no face parser"):
        run_import(tmp_path, tmp_path / "released.pth", "--parser", str(parser))
    more = ("--face-model", str(tmp_path / "model.npz"))
    _, about = read_network(run_import(tmp_path, tmp_path / "released.pth", *more))
    assert (about["face_model"], about["parser"]) == ("model.npz", "parser.safetensors")


def test_an_imported_checkpoint_answers_as_the_authors_network_and_parser(tmp_path):
    """From the file to the answers: every tensor of the published names, network and parser."""
    state = random_state(official_shapes())
    torch.save({"state_dict": state}, tmp_path / "released.pth")
    output = run_import(tmp_path, tmp_path / "released.pth", "--parser", str(tmp_path / "parser.safetensors"))
    network, about = read_network(output)
    parser = load_parser(file_beside(output, "parser"))
    images, masks = photographs(about["image_size"])
    theirs = AuthorsNetwork(state)
    with torch.no_grad():
        expected, found = theirs(images, masks), network(images, masks)
        for name, coefficients in (("id", found.identity), ("exp", found.expression), ("color", found.texture)):
            assert np.abs(coefficients.numpy() - expected[name]).max() < 1e-4 * np.abs(expected[name]).max()
        angles = np.concatenate([expected[f"rotate_{side}"] for side in SIDES], 1)
        np.testing.assert_allclose(found.angles.flatten(1), angles, rtol=0, atol=1e-5)
        for view, side in enumerate(SIDES):
            offset = np.concatenate([expected[f"offset_{axis}_{side}"] for axis in ("xy", "z")], 1)
            np.testing.assert_allclose(found.translation[:, view], 100 * offset + [0, 0, 900], rtol=0, atol=1e-3)
        scores, logits = theirs.parser(images[0]), parser(images[0])
    assert (scores - logits).abs().max() < 1e-4 * scores.abs().max()


def test_a_face_model_of_other_sizes_is_refused(tmp_path):
    shapes = small_shapes() | {"rednet_fc.conv2_id.weight": (7, 512, 1, 1), "rednet_fc.conv2_id.bias": (7,)}
    torch.save(random_state(shapes), tmp_path / "released.pth")
    toy_model().save(tmp_path / "model.npz")
    with pytest.raises(DataError, match=r"model\.npz: expected identity_size 7, found 6"):
        run_import(tmp_path, tmp_path / "released.pth", "--face-model", str(tmp_path / "model.npz"))
    assert not (tmp_path / "weights.safetensors").exists()


class Trap:
    def __reduce__(self):
        return os.mkdir, ("trapped",)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_is_refused_and_not_run(tmp_path, monkeypatch, zipped):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "trap": Trap()}, "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match=r"evil\.pth: expected tensors alone, found \w+\.mkdir, which could run code"):
        run_import(tmp_path, "evil.pth")
    assert not Path("trapped").exists()


def test_a_whole_module_is_refused_with_advice(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(DataError, match=r"found torch\.nn\.modules\.linear\.Linear.*model\.state_dict"):
        run_import(tmp_path, tmp_path / "module.pth")


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "released.pth"
    with pytest.raises(DataError, match="no such file"):
        run_import(tmp_path, path)
    torch.save(small_state(), path)
    content = path.read_bytes()
    for damaged in (b"", b"no checkpoint", content[: len(content) // 2], content[:-30]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"released\.pth: not a checkpoint"):
            run_import(tmp_path, path)
    torch.save({"anything": torch.zeros(2)}, path)
    with pytest.raises(DataError, match=r"expected tensors named uuunet\.\*"):
        run_import(tmp_path, path)


def test_a_small_file_of_huge_tensors_is_refused(tmp_path):
    state = small_state() | {"uuunet.more": torch.zeros(1).expand(10**12)}
    torch.save(state, tmp_path / "bomb.pth")
    with pytest.raises(DataError, match="unpack to"):
        run_import(tmp_path, tmp_path / "bomb.pth")
