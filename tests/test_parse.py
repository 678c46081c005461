"""The face parser: weight maps, metrics, augmentation, training, weights of others, masks."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from dfmvr import cli
from dfmvr.config.training import ParseSection
from dfmvr.conventions import CLASSES, MIRRORED_CLASS
from dfmvr.datasets import celebamask_hq
from dfmvr.errors import DataError
from dfmvr.parse import augment, metrics
from dfmvr.parse.facexlib import load_facexlib
from dfmvr.parse.parser import BISENET_19, GROUPS_19, ParserSpec, load_parser, predict, save_parser
from dfmvr.parse.photos import Order, Photos, batches
from dfmvr.parse.trainer import (
    CLASS_SHARES,
    Trainer,
    class_weights,
    evaluate,
    hard_cross_entropy,
    learning_rate,
    make_optimiser,
    new_parser,
)
from dfmvr.parse.weight_map import weight_map

SIZE = 32
TINY = {"width": 4, "output_stride": 4, "epochs": 2, "batch_size": 4}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def drawn_face(rng, size=64):
    """A face of ellipses, its parts at random places, and its mask."""
    mask = np.zeros((size, size), np.uint8)
    x, y = size / 2 + rng.uniform(-3, 3, 2)
    ellipses = [("skin", 0, 0, 0.3, 0.4), ("nose", 0, 0.03, 0.05, 0.1)]
    for side, sign in (("right", -1), ("left", 1)):
        ellipses += [(f"{side}_brow", 0.13 * sign, -0.2, 0.09, 0.03), (f"{side}_eye", 0.13 * sign, -0.1, 0.08, 0.04)]
    ellipses += [("upper_lip", 0, 0.19, 0.12, 0.04), ("lower_lip", 0, 0.26, 0.12, 0.04), ("mouth", 0, 0.225, 0.1, 0.02)]
    for name, dx, dy, a, b in ellipses:
        centre, axes = (round(x + dx * size), round(y + dy * size)), (round(a * size), round(b * size))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, CLASSES.index(name), -1)
    colours = np.random.default_rng(7).integers(30, 230, (len(CLASSES), 3))
    image = colours[mask] + rng.normal(0, 8, (size, size, 3))
    return np.clip(image, 0, 255).astype(np.uint8), mask


@pytest.fixture
def data(tmp_path, rng):
    root = tmp_path / "drawn_faces"
    splits = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
    for identifier in range(len(splits)):
        celebamask_hq.write_item(root, identifier, *drawn_face(rng))
    celebamask_hq.write_mapping(root, dict(enumerate(splits)))
    return root


def photos(data, split, varied=False):
    items = [item for item in celebamask_hq.read_items(data) if item.split == split]
    return Photos(items, SIZE, 0, varied)


# Weight maps


def weight_map_naive(mask, settings):
    """The definition, one pixel and its distances at a time."""
    size = mask.shape[0]
    radius = settings.dilation_px * size / 224
    result = np.full(mask.shape, settings.background_weight, np.uint8)
    for row in range(size):
        for column in range(size):
            for least, weight in ((1, settings.face_weight), (2, settings.feature_weight)):
                rows, columns = np.nonzero(mask >= least)
                near = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
                if near.any():
                    result[row, column] = weight
    return result


@pytest.mark.parametrize("settings", [{}, {"dilation_px": 40}, {"dilation_px": 0}])
def test_weight_map_is_the_naive_one(rng, settings):
    settings = ParseSection(**settings)
    mask = cv2.resize(drawn_face(rng)[1], (28, 28), interpolation=cv2.INTER_NEAREST)
    assert_array_equal(weight_map(mask, settings), weight_map_naive(mask, settings))


def test_weight_map_of_one_pixel_is_a_disc_of_20_px_at_224():
    mask = np.zeros((224, 224), np.uint8)
    mask[100, 100] = 6
    rows, columns = np.indices(mask.shape)
    disc = (rows - 100) ** 2 + (columns - 100) ** 2 <= 20**2
    assert_array_equal(weight_map(mask, ParseSection()), np.where(disc, 254, 32))


@pytest.mark.parametrize(("label", "weight"), [(0, 32), (1, 128), (2, 254), (9, 254)])
def test_weight_of_a_uniform_mask(label, weight):
    found = weight_map(np.full((48, 48), label, np.uint8), ParseSection())
    assert found.dtype == np.uint8
    assert_array_equal(found, weight)


# Metrics


def test_iou_is_that_counted_by_hand():
    truth = np.array([[0, 0, 1, 1], [2, 2, 2, 2]])
    found = np.array([[0, 1, 1, 1], [2, 2, 0, 0]])
    iou = metrics.intersection_over_union(metrics.confusion(truth, found, 4))
    assert_allclose(iou, [1 / 4, 2 / 3, 2 / 4, np.nan])


def test_summary_leaves_absent_classes_out_of_the_mean():
    found = metrics.summary(metrics.confusion(np.array([0, 0, 1]), np.array([0, 1, 1])))
    assert found["iou"]["nose"] is None
    assert found["mean_iou"] == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert found["pixel_accuracy"] == pytest.approx(2 / 3)


# Augmentation


def test_mirror_exchanges_left_and_right(rng):
    image, mask = drawn_face(rng)
    flipped, swapped = augment.mirror(image, mask)
    for name in ("brow", "eye"):
        left, right = CLASSES.index(f"left_{name}"), CLASSES.index(f"right_{name}")
        assert_array_equal(swapped == left, (mask == right)[:, ::-1])
        assert swapped[:, :32].tolist().count(left) == 0
        assert np.nonzero(swapped == left)[1].mean() > np.nonzero(swapped == right)[1].mean()
    assert_array_equal(flipped, image[:, ::-1])
    assert [MIRRORED_CLASS[c] for c in MIRRORED_CLASS] == list(range(len(CLASSES)))


def test_cut_of_the_whole_picture_is_the_picture(rng):
    image, mask = drawn_face(rng)
    whole = augment.Framing((32.0, 32.0), 64.0, 0.0)
    found = augment.cut(image, mask, whole, 64)
    assert_array_equal(found[0], image)
    assert_array_equal(found[1], mask)


@pytest.mark.parametrize("size", [32, 64, 96])
def test_cut_centres_and_scales_the_face(rng, size):
    image, mask = drawn_face(rng, 128)
    _, found = augment.cut(image, mask, augment.aligned_framing(mask), size)
    rows, columns = np.nonzero(found)
    assert np.ptp(rows) + 1 == pytest.approx(augment.FACE_SHARE * size, abs=1.5)
    assert rows.mean() + 0.5 == pytest.approx(size / 2, abs=0.04 * size)
    assert columns.mean() + 0.5 == pytest.approx(size / 2, abs=0.04 * size)


def test_cut_turns_image_and_mask_alike():
    mask = np.zeros((65, 65), np.uint8)
    mask[32, 48:52] = 1  # to the right of the centre
    quarter = augment.Framing((32.5, 32.5), 65.0, np.pi / 2)
    image, found = augment.cut(np.repeat(mask[..., None] * 255, 3, 2), mask, quarter, 65)
    rows, columns = np.nonzero(found)
    assert_array_equal(np.sort(rows), range(48, 52))  # clockwise: now below the centre
    assert_array_equal(columns, 32)
    assert_array_equal(image[..., 0] > 127, found > 0)


def test_rendering_has_a_black_background(rng):
    image, mask = drawn_face(rng)
    for _ in range(8):
        found = augment.like_rendering(image, mask, rng)
        assert not found[:6, :16].any()
        assert found[mask == CLASSES.index("nose")].any()


def test_augmentation_depends_on_the_seed_alone(data):
    first, again = photos(data, "train", varied=True), photos(data, "train", varied=True)
    again.crop(5)
    assert_array_equal(first.crop(3, epoch=1)[0], again.crop(3, epoch=1)[0])
    assert (first.crop(3, epoch=2)[0] != first.crop(3, epoch=1)[0]).any()


# Training


def test_hard_cross_entropy_uses_pixels_below_the_threshold():
    probabilities = torch.tensor([0.9, 0.8, 0.6, 0.2])
    logits = torch.stack((probabilities.log(), (1 - probabilities).log()))[None, :, None]
    masks = torch.zeros(1, 1, 4, dtype=torch.int64)
    expected = -(np.log(0.6) + np.log(0.2)) / 2
    assert float(hard_cross_entropy(logits, masks)) == pytest.approx(expected, rel=1e-5)


def test_hard_cross_entropy_keeps_the_hardest_when_all_are_easy():
    logits = torch.zeros(1, 2, 4, 8)
    logits[:, 0] = torch.linspace(3, 6, 32).reshape(4, 8)
    losses = torch.nn.functional.cross_entropy(logits, torch.zeros(1, 4, 8).long(), reduction="none").flatten()
    found = hard_cross_entropy(logits, torch.zeros(1, 4, 8).long())
    assert float(found) == pytest.approx(float(losses[:2].mean()), rel=1e-5)


def test_hard_cross_entropy_weighs_classes_as_torch_does():
    generator = torch.Generator().manual_seed(0)
    logits, masks = torch.randn(2, 10, 6, 6, generator=generator), torch.randint(0, 10, (2, 6, 6), generator=generator)
    weights = class_weights(0.4)
    assert len(set(class_weights(0).tolist())) == 1
    expected = torch.nn.functional.cross_entropy(logits, masks, weights)
    assert float(hard_cross_entropy(logits, masks, weights, threshold=1.0)) == pytest.approx(float(expected), rel=1e-5)
    assert float((weights * torch.tensor(CLASS_SHARES)).sum()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_the_first_step_of_each_optimiser_by_hand(optimiser):
    layer = torch.nn.Linear(2, 1, bias=False)
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.tensor([[3.0, -0.5]])
    make_optimiser(ParseSection(optimiser=optimiser, learning_rate=0.1), layer).step()
    step = torch.tensor([[1.0, -1.0]]) + 0.01 * before if optimiser == "adamw" else layer.weight.grad + 5e-4 * before
    assert_allclose(layer.weight.detach(), before - 0.1 * step, rtol=1e-5)


def test_learning_rate_rises_then_falls():
    rates = [learning_rate(step, 100, 1.0) for step in range(100)]
    assert rates.index(max(rates)) == 5 or rates.index(max(rates)) == 4
    assert max(rates) == 1
    assert 0 < rates[-1] < 0.02
    assert np.all(np.diff(rates[5:]) < 0)


def test_parser_learns_two_photographs_by_heart(data, tmp_path):
    settings = ParseSection(**TINY | {"width": 8, "output_stride": 2})
    train = photos(data, "train")
    trainer = Trainer(settings, train, photos(data, "val"), tmp_path / "p.checkpoint")
    images, masks, _ = next(iter(batches(train, Order(2, 2, 0, 0, 1))))
    before = float(torch.nn.functional.cross_entropy(trainer.parser(images).detach(), masks))
    for _ in range(100):
        trainer.update(images, masks, 5e-3)
    after = float(torch.nn.functional.cross_entropy(trainer.parser(images).detach(), masks))
    assert after < 0.1 * before
    found = predict(trainer.parser.eval(), (images * 255).byte().permute(0, 2, 3, 1).numpy())
    assert (found == masks.numpy()).mean() > 0.93


def trained(data, checkpoint, *stops):
    for stop in stops:
        trainer = Trainer(ParseSection(**TINY), photos(data, "train", True), photos(data, "val"), checkpoint)
        trainer.train(until=stop)
    return trainer


def test_training_stopped_and_resumed_gives_the_same_weights(data, tmp_path):
    whole = trained(data, tmp_path / "a.checkpoint", None)
    parts = trained(data, tmp_path / "b.checkpoint", 1, 3, None)
    assert parts.history == whole.history
    assert len(whole.history) == TINY["epochs"]
    for name, tensor in whole.parser.state_dict().items():
        assert torch.equal(tensor, parts.parser.state_dict()[name]), name


def test_training_killed_between_checkpoints_repeats_its_steps(data, tmp_path, monkeypatch):
    whole = trained(data, tmp_path / "a.checkpoint", None)
    trained(data, tmp_path / "b.checkpoint", 1)
    update, calls = Trainer.update, iter(range(2))
    monkeypatch.setattr(Trainer, "update", lambda *args: (next(calls), update(*args))[1])
    with pytest.raises(StopIteration):  # in the third step from here
        trained(data, tmp_path / "b.checkpoint", None)
    monkeypatch.setattr(Trainer, "update", update)
    found = trained(data, tmp_path / "b.checkpoint", None).parser.state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in whole.parser.state_dict().items())


def test_checkpoint_of_other_settings_is_passed_over(data, tmp_path):
    trained(data, tmp_path / "p.checkpoint", 1)
    other = ParseSection(**TINY, seed=1)
    assert Trainer(other, photos(data, "train"), photos(data, "val"), tmp_path / "p.checkpoint").step == 0


def test_batches_do_not_depend_on_workers(data):
    order = Order(8, 3, 0, 1, 4)
    assert len(order) == 3
    alike = (batches(photos(data, "train", True), order, workers) for workers in (0, 1))
    for alone, shared in zip(*alike, strict=True):
        assert torch.equal(alone[0], shared[0])
        assert torch.equal(alone[1], shared[1])


def test_evaluate_of_a_perfect_parser_is_one(data):
    test = photos(data, "test")

    class Oracle(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images):
            truth = [torch.from_numpy(test.crop(i)[1]).long() for i in range(len(test))]
            return torch.nn.functional.one_hot(torch.stack(truth), 10).permute(0, 3, 1, 2).float()

    found, broken = evaluate(Oracle(), test)
    assert found["mean_iou"] == 1
    assert broken == {}


# The parser as a module


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "parser.safetensors"
    save_parser(path, new_parser(ParseSection(**TINY), SIZE), data="drawn faces")
    return path


def test_parser_stays_frozen_and_passes_gradients_to_the_image(weights):
    parser = load_parser(weights)
    around = torch.nn.Sequential(parser).train()
    before = {name: tensor.clone() for name, tensor in parser.state_dict().items()}
    images = torch.rand(2, 3, SIZE, SIZE, requires_grad=True)
    around(images).square().mean().backward()
    assert not any(module.training for module in parser.modules())
    assert images.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in parser.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in parser.state_dict().items())


def test_parser_gradient_is_the_finite_difference(weights):
    parser = load_parser(weights).double()
    images = torch.rand(1, 3, SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    towards = torch.randn(images.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    gradient = torch.autograd.functional.jvp(lambda x: parser(x).square().mean(), images, towards)[1]
    step = 1e-6
    ahead, behind = (parser(images + sign * step * towards).square().mean() for sign in (1, -1))
    assert float(gradient) == pytest.approx(float((ahead - behind) / (2 * step)), rel=1e-4)


def test_loaded_parser_is_the_saved_one(tmp_path):
    saved = new_parser(ParseSection(**TINY), SIZE).eval()
    save_parser(tmp_path / "p.safetensors", saved)
    images = torch.rand(2, 3, SIZE, SIZE)
    assert torch.equal(load_parser(tmp_path / "p.safetensors")(images), saved(images))


@pytest.mark.parametrize("size", [24, 50])
def test_parser_takes_images_of_other_sizes(weights, size):
    assert load_parser(weights)(torch.rand(1, 3, size, size)).shape == (1, len(CLASSES), size, size)


@pytest.mark.parametrize("content", [None, b"", b"x" * 100])
def test_unreadable_weights_are_named(tmp_path, content):
    path = tmp_path / "parser.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"parser\.safetensors"):
        load_parser(path)


def test_weights_without_a_header_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "p.safetensors")
    with pytest.raises(DataError, match="dfmvr parse pretrain"):
        load_parser(tmp_path / "p.safetensors")


# facexlib's weights


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """A file of the shape of parsing_bisenet.pth, with random weights."""
    torch.manual_seed(3)
    network = ParserSpec(64, 64, 8, labels=19).network()
    path = tmp_path_factory.mktemp("facexlib") / "parsing_bisenet.pth"
    torch.save(network.state_dict(), path)
    return path, network.eval()


def test_facexlib_probabilities_are_sums_over_merged_classes(public):
    path, network = public
    images = torch.rand(1, 3, 64, 64)
    parser = load_facexlib(path, 64).eval()
    with torch.no_grad():
        separate, merged = network(images).softmax(1), parser(images).softmax(1)
    by_hand = {1: [1, 6], 2: [2], 3: [3], 4: [4], 5: [5], 6: [10], 7: [11], 8: [12], 9: [13]}
    by_hand[0] = [0, 7, 8, 9, 14, 15, 16, 17, 18]
    for ours, theirs in by_hand.items():
        assert_allclose(merged[:, ours], separate[:, theirs].sum(1), rtol=1e-4, atol=1e-6)


def test_groups_hold_each_of_the_19_once():
    assert sorted(i for group in GROUPS_19 for i in group) == list(range(19))
    assert [BISENET_19[group[0]] for group in GROUPS_19] == list(CLASSES)


def test_facexlib_parser_survives_saving(public, tmp_path):
    parser = load_facexlib(public[0], 64).eval()
    save_parser(tmp_path / "p.safetensors", parser)
    images = torch.rand(1, 3, 40, 40)
    assert torch.equal(load_parser(tmp_path / "p.safetensors")(images), parser(images))


def test_facexlib_problems_are_named(public, tmp_path):
    state = torch.load(public[0], weights_only=True)
    state.pop("ffm.conv1.weight")
    state["extra"] = torch.zeros(1)
    state["conv_out.conv_out.weight"] = torch.zeros(10, 256, 1, 1)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(
        DataError, match=r"Missing .*ffm.conv1.weight.*Unexpected .*extra.*mismatch for conv_out.conv_out.weight"
    ):
        load_facexlib(tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("not found")
    for name, reason in (("nowhere.pth", "no such file"), ("text.pth", "not a state dict")):
        with pytest.raises(DataError, match=reason):
            load_facexlib(tmp_path / name)


# The stage


@pytest.fixture
def aligned(tmp_path, rng):
    folder = tmp_path / "drawn_views"
    folder.mkdir()
    views = [np.stack([drawn_face(rng, SIZE)[0] for _ in range(3)]) for _ in range(5)]
    np.save(folder / "images.npy", np.stack(views))
    return folder


def test_stage_trains_then_parses(data, aligned, tmp_path):
    tiny = json.dumps(TINY)
    out = {name: str(tmp_path / "out" / name) for name in ("p.safetensors", "m.json", "iou.png", "e.png", "masks")}
    train = ["--weights", out["p.safetensors"], "--metrics", out["m.json"], "--figure", out["iou.png"]]
    train += ["--examples", out["e.png"], "--image-size", str(SIZE), "--data", str(data), "--threads", "1"]
    assert cli.main(["parse", "pretrain", "--settings", tiny, *train]) == 0
    written = json.loads((tmp_path / "out" / "m.json").read_text())
    assert 0 < written["mean_iou"] <= 1
    assert len(written["history"]) == TINY["epochs"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["e.png", "iou.png", "m.json", "p.safetensors"]
    apply = ["--align", str(aligned), "--weights", out["p.safetensors"], "--output", out["masks"]]
    assert cli.main(["parse", "--settings", tiny, *apply]) == 0
    masks, weights = (np.load(tmp_path / "out" / "masks" / name) for name in ("masks.npy", "weights.npy"))
    images = np.load(aligned / "images.npy")
    parser = load_parser(out["p.safetensors"])
    assert parser.settings == ParseSection(**TINY)
    alone = predict(parser, images[4])
    assert (masks[4] == alone).mean() > 0.999  # another batch may round a tie the other way
    assert_array_equal(weights[4, 1], weight_map(masks[4, 1], ParseSection()))
    assert masks.dtype == weights.dtype == np.uint8


def test_broken_photographs_are_set_aside(data, tmp_path):
    (data / celebamask_hq.IMAGES / "2.jpg").write_bytes(b"\xff\xd8 cut short")
    (data / celebamask_hq.MASKS / "0" / "00011_nose.png").write_bytes(b"no picture")
    train = ["--weights", str(tmp_path / "p.safetensors"), "--metrics", str(tmp_path / "m.json")]
    train += ["--image-size", str(SIZE), "--data", str(data), "--settings", json.dumps(TINY)]
    assert cli.main(["parse", "pretrain", *train]) == 0
    aside = json.loads((tmp_path / "m.json").read_text())["set_aside"]
    assert [entry["id"] for entry in aside] == [2, 11]
    assert "2.jpg" in aside[0]["reason"]


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (None, "no such file"),
        (b"\x93NUMPY cut", "not a readable array"),
        (np.zeros((2, 3, 8, 8, 3), np.float32), "expected uint8 images"),
        (np.zeros((2, 8, 8, 3), np.uint8), "expected uint8 images"),
    ],
)
def test_broken_crops_give_one_line(weights, tmp_path, capsys, array, reason):
    folder = tmp_path / "crops"
    folder.mkdir()
    if isinstance(array, bytes):
        (folder / "images.npy").write_bytes(array)
    elif array is not None:
        np.save(folder / "images.npy", array)
    apply = ["parse", "--align", str(folder), "--weights", str(weights), "--output", str(tmp_path / "masks")]
    assert cli.main(apply) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert reason in error
    assert not (tmp_path / "masks").exists()


def test_crops_too_small_for_the_network_are_refused(capsys):
    assert cli.main(["parse", "pretrain", "--data", "x", "--image-size", "8", "--weights", "p"]) == 2
    assert "--image-size: expected 32 px or more, found 8" in capsys.readouterr().err
