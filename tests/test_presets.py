"""The presets key by key, and what each switch of the released code's behaviour changes in a training."""

import csv
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from PIL import Image, ImageEnhance, ImageFilter
from test_train import arguments, random_parser, small_network
from toy_model import toy_model, toy_samples

from dfmvr import cli
from dfmvr.config import configuration
from dfmvr.config.training import ParseSection
from dfmvr.conventions import CLASSES, VIEWS
from dfmvr.losses import Losses, LossWeights, MoreLosses, is_skin
from dfmvr.networks.checkpoint import read_network
from dfmvr.parse.masks import apply
from dfmvr.parse.parser import ParseNet, ParserSpec, save_parser
from dfmvr.parse.weight_map import weight_map
from dfmvr.released import colours as released_colours
from dfmvr.train import data
from dfmvr.train.system import TrainingSystem, set_mode

ROOT = Path(__file__).parents[1]


# The presets


def preset(name):
    return configuration.load(ROOT / "config" / f"{name}.yaml")


def check(section, expected, where):
    """Compare the keys of a section with those of a nested dict, a key at a time."""
    for key, value in expected.items():
        found = getattr(section, key)
        if isinstance(value, dict):
            check(found, value, f"{where}.{key}")
        else:
            assert found == pytest.approx(value) if isinstance(value, float) else found == value, f"{where}.{key}"


PAPER_LOSSES = {
    **{"photo": 4, "mask": 3, "landmark": 1, "landmark_2d": 0.02, "landmark_3d": 1, "regularisation": 3e-4},
    **{"identity": 1, "expression": 0.8, "texture": 0.017},
}
CORRECT = {
    "align": {"truncate_landmarks": False},
    "parse": {"left_features_bug": False, "dilation_px": 20, "dilate_background": True},
    "train": {
        **{"flat_share": 0, "final_rate": 0, "augmentation": "ours", "parser_mode": "eval"},
        "network": {"released_inputs": False, "shared_lighting": False},
        "loss": {
            **{"lighting": 0, "albedo": 0, "lit_albedo": False, "mask_gradient": True, "mask_from": 0},
            **{"emphasis": "paper", "landmark_3d_scale": "least_squares", "landmark_3d_reflection": "least_direction"},
            **PAPER_LOSSES,
        },
    },
}
FULL_SIZE = {"fusion": "tri_unet", "backbone": "rednet", "width": 64, "backbone_width": 64, "depth": 50}
PLAIN_NETWORK = {"stem_pool": True, "neck": 0, "quick_start": False, "face_mask": True}
RELEASED = {
    "align": {"image_size": 224, "landmarks": "face_alignment", "truncate_landmarks": True},
    "parse": {
        **{"left_features_bug": True, "dilation_px": 5, "dilate_background": False},
        **{"feature_weight": 254, "face_weight": 128, "background_weight": 32},
    },
    "train": {
        **{"method": "df_mvr", "data": "pixel_face", "epochs": 280, "batch_size": 24, "learning_rate": 1e-4},
        **{"flat_share": 50 / 280, "final_rate": 1e-6 / 1e-4, "landmark_share": 0, "single_view_share": 0},
        **{"augment": True, "augmentation": "released", "parser_mode": "train"},
        "network": FULL_SIZE
        | PLAIN_NETWORK
        | {"released_concat": True, "released_inputs": True, "shared_lighting": True},
        "loss": PAPER_LOSSES
        | {"photo": 24, "mask": 1, "mask_gradient": False, "mask_from": 100 / 280, "emphasis": "released"}
        | {"landmark_3d_scale": "rms_ratio", "landmark_3d_reflection": "third_column"}
        | {"lighting": 10, "albedo": 5, "lit_albedo": True},
    },
}
PAPER = {
    "face_model": {"source": "bfm_2009", "identity_components": 80, "expression_components": 64}
    | {"albedo_components": 80},
    "mesh": {"parameters": "xy"},
    "align": {"image_size": 224, "landmarks": "face_alignment"},
    "parse": {"width": 64, "output_stride": 8, "feature_weight": 254, "face_weight": 128, "background_weight": 32},
    "train": {
        **{"epochs": 512, "batch_size": 16, "learning_rate": 1e-4, "landmark_share": 0},
        "network": FULL_SIZE | PLAIN_NETWORK | {"released_concat": False},
    },
}
GPU = {
    "align": {"image_size": 224, "landmarks": "annotated"},
    "parse": {"width": 64, "output_stride": 8},
    "train": {"gpus": 1, "precision": "bfloat16", "network": FULL_SIZE},
}
CI = {"align": {"image_size": 64}, "parse": {"epochs": 2}, "train": {"epochs": 2, "gpus": 0, "network": {"width": 4}}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(("released_code", RELEASED), ("paper", PAPER), ("gpu", GPU), ("ci", CI)),
        *((name, CORRECT) for name in ("paper", "gpu", "ci", "config")),
    ],
)
def test_a_preset_says_what_its_source_says(name, expected):
    for section, values in expected.items():
        check(getattr(preset(name), section), values, section)


def test_the_released_code_is_studied_on_the_papers_data():
    ours, paper = preset("released_code"), preset("paper")
    same = ("face_model", "datasets", "mesh", "register_", "report", "study", "variants")
    assert all(getattr(ours, name) == getattr(paper, name) for name in same)
    protocol = ours.register_.protocols["released_code"]
    assert (protocol.crop, protocol.statistic) == ("face_sphere", "mean_point_to_surface")
    assert protocol.with_scale


def test_the_released_epochs_begin_where_they_should():
    train = preset("released_code").train
    for per_epoch in (1, 173, 500):
        steps = train.epochs * per_epoch
        assert round(train.loss.mask_from * steps) == 100 * per_epoch
        rates = [data.annealed_rate(step, steps, train.flat_share, train.final_rate) for step in range(steps + 1)]
        first_lower = next(step for step, rate in enumerate(rates) if rate < 1)
        assert first_lower == 50 * per_epoch + 1  # the cosine begins at 1
        assert train.learning_rate * rates[-1] == pytest.approx(1e-6)


# Learning rate


@pytest.mark.parametrize("steps", [1, 7, 100])
def test_the_rate_without_switches_is_the_plain_cosine_to_the_last_bit(steps):
    rates = [data.annealed_rate(step, steps) for step in range(steps + 1)]
    assert rates == [0.5 * (1 + math.cos(math.pi * step / steps)) for step in range(steps + 1)]


def test_a_flat_start_and_a_last_rate():
    rates = [data.annealed_rate(step, 10, 0.2, 0.01) for step in range(11)]
    assert rates[:3] == [1, 1, 1]
    assert rates[6] == pytest.approx((1 + 0.01) / 2)  # half-way down
    assert rates[10] == pytest.approx(0.01)
    assert [data.annealed_rate(step, 4, 1.0) for step in range(4)] == [1] * 4


# Weight map


def test_the_features_of_left_views_alone_lose_their_weight():
    mask = np.ones((40, 40), np.uint8)
    mask[:, :10], mask[20:24, 20:24] = 0, 6
    right, wrong = ParseSection(dilation_px=0), ParseSection(dilation_px=0, left_features_bug=True)
    for view in (*VIEWS, None):
        assert_array_equal(weight_map(mask, right, view), np.choose(mask.clip(0, 2), [32, 128, 254]))
        feature = 1 if view == "left" else 254
        assert_array_equal(weight_map(mask, wrong, view), np.choose(mask.clip(0, 2), [32, 128, feature]))


def test_a_dilation_inside_the_face_alone_leaves_the_background():
    mask = np.ones((224, 224), np.uint8)
    mask[:, :100], mask[100:110, 100:110] = 0, 6
    found = weight_map(mask, ParseSection(dilation_px=5, dilate_background=False))
    assert (found[mask == 0] == 32).all()
    assert (found[95:115, 110:115] == 254).sum() > 50
    grown = weight_map(mask, ParseSection(dilation_px=5))
    assert (grown[mask == 0] != 32).any()


def test_the_stage_tells_left_views_from_others(tmp_path):
    torch.manual_seed(0)
    parser = ParseNet(ParserSpec(32, width=4, output_stride=2))
    save_parser(tmp_path / "p.safetensors", parser)
    (tmp_path / "align").mkdir()
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32, 3), np.uint8)
    np.save(tmp_path / "align" / "images.npy", images)
    settings = ParseSection(left_features_bug=True)
    apply(tmp_path / "align", tmp_path / "p.safetensors", tmp_path / "out", settings, examples=tmp_path / "e.png")
    masks, weights = (np.load(tmp_path / "out" / name) for name in ("masks.npy", "weights.npy"))
    assert (masks > 1).any((0, 2, 3)).all()
    for sample, view in itertools.product(range(2), range(3)):
        assert_array_equal(weights[sample, view], weight_map(masks[sample, view], settings, VIEWS[view]))
    assert [sorted(set(weights[:, v].flat) & {1, 254}) for v in range(3)] == [[1], [254], [254]]


# Losses of a batch


@pytest.fixture
def batch(tmp_path):
    toy_samples(tmp_path, 2)
    return data.AlignedSamples(tmp_path / "align", tmp_path / "parse", "train").batch(np.arange(2))


def system(parser=None, network=None, **weights):
    return TrainingSystem(network or small_network().train(), toy_model(), parser, LossWeights(**weights), 48)


def gradients_of_mask_loss(batch, **switches):
    """Every gradient of the mask loss alone in the network, and its value."""
    network = small_network().train()
    alone = system(random_parser(), network, photo=0.0, landmark=0.0, regularisation=0.0, **switches)
    losses = alone.losses(batch)
    losses.total.backward()
    return [p.grad for p in network.parameters() if p.grad is not None], losses.mask.item()


def test_the_mask_loss_moves_the_network_unless_its_gradient_is_cut(batch):
    moved, value = gradients_of_mask_loss(batch)
    still, same = gradients_of_mask_loss(batch, mask_gradient=False)
    assert same == value > 0
    assert any(gradient.any() for gradient in moved)
    assert not any(gradient.any() for gradient in still)


def test_the_mask_loss_counts_from_its_step_on(batch):
    found = system(random_parser(), mask_from=0.25)
    seen = []
    for step in range(4):
        found.phase(step, 8)
        seen.append(found.losses(batch).mask.item() > 0)
    assert seen == [False, False, True, True]
    always = system(random_parser())
    always.phase(0, 8)
    assert always.losses(batch).mask.item() > 0


def test_a_parser_in_training_mode_drifts_and_learns_nothing(batch):
    states = {}
    for mode in ("eval", "train"):
        parser = set_mode(random_parser(), mode)
        before = {name: value.clone() for name, value in parser.state_dict().items()}
        losses = system(parser, mask_gradient=False).losses(batch)
        states[mode] = {name for name, value in parser.state_dict().items() if not torch.equal(value, before[name])}
        assert losses.mask > 0
        assert all(p.grad is None for p in parser.parameters())
    assert not states["eval"]
    statistics = {"running_mean", "running_var", "num_batches_tracked"}
    assert {name.rpartition(".")[2] for name in states["train"]} == statistics


def test_the_loss_does_not_look_at_drifted_statistics(batch):
    parser = set_mode(random_parser(), "train")
    first, again = (system(parser, mask_gradient=False).losses(batch).mask.item() for _ in range(2))
    assert first == again


def test_evenness_is_asked_of_the_albedo_or_of_the_lit_texture(batch):
    model = toy_model()
    model.labels[::3] = CLASSES.index("left_eye")
    skin = is_skin(model.labels)
    model.albedo_mean[skin] = 0.5  # an even skin ...
    network = small_network().eval()
    torch.nn.init.zeros_(network.heads["texture"].weight)
    torch.nn.init.normal_(network.heads["lighting"].bias, std=0.5)  # ... in an uneven light
    values = {}
    for lit in (False, True):
        found = TrainingSystem(network, model, None, LossWeights(albedo=5.0, lit_albedo=lit), 48)
        prediction = found.predict(batch)
        losses = found.losses(batch)
        assert prediction.skin.shape == (2, 3 if lit else 1, int(skin.sum()), 3)
        values[lit] = losses.albedo.item()
        assert values[lit] == pytest.approx(
            prediction.skin.var(2, correction=0).sum(-1).mean().item(), rel=1e-5, abs=1e-9
        )
    assert values[False] == pytest.approx(0, abs=1e-9)
    assert values[True] > 1e-3


def test_without_switches_a_system_has_the_papers_losses(batch):
    found = system(random_parser())
    losses = found.losses(batch)
    assert found.names == Losses._fields == losses._fields
    assert found.predict(batch).skin is None
    expected = 4 * losses.photo + 3 * losses.mask + 0.02 * losses.landmark_2d + losses.landmark_3d
    assert losses.total.item() == pytest.approx((expected + 3e-4 * losses.regularisation).item(), rel=1e-6)
    assert system(lighting=10.0).names == MoreLosses._fields


# Augmentation


def picture():
    """A smooth picture with edges, (48, 48, 3) uint8."""
    rows, columns = np.indices((48, 48)) / 48
    channels = [np.sin(7 * rows) * columns, np.cos(5 * columns + rows), (rows + columns > 0.9) - 0.5]
    return (np.stack(channels, -1) * 100 + 128).round().astype(np.uint8)


PILLOWS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.0, 1.5])
@pytest.mark.parametrize("name", PILLOWS)
def test_each_change_of_colours_is_pillows(name, factor):
    expected = np.asarray(PILLOWS[name](Image.fromarray(picture())).enhance(factor))
    image = torch.from_numpy(picture()).permute(2, 0, 1).double() / 255
    found = getattr(released_colours, name)(image, torch.tensor(factor)).permute(1, 2, 0).numpy() * 255
    assert np.abs(found - expected).max() <= 1.6  # Pillow rounds and cuts
    assert (factor == 1) == (np.abs(found - picture()).max() < 1e-9)


def test_the_blur_is_pillows_but_for_its_boxes():
    expected = np.asarray(Image.fromarray(picture()).filter(ImageFilter.GaussianBlur())).astype(float)
    image = torch.from_numpy(picture()).permute(2, 0, 1).double() / 255
    found = released_colours.blur(image).permute(1, 2, 0).numpy() * 255
    assert np.abs(found - expected)[8:-8, 8:-8].max() < 1.5
    assert np.abs(found - expected).mean() < 0.5  # the border, which Pillow extends anew for each of its boxes, too
    assert np.abs(found - picture()).max() > 30


def test_a_sample_is_varied_alike_in_its_three_views_and_others_otherwise():
    image = torch.from_numpy(picture()).permute(2, 0, 1).float() / 255
    images = image.expand(400, 3, 3, 48, 48)
    varied = released_colours.vary_as_released(images, torch.Generator().manual_seed(0))
    assert varied.min() >= 0
    assert varied.max() <= 1
    assert torch.equal(varied[:, 0], varied[:, 1])
    assert torch.equal(varied[:, 0], varied[:, 2])
    assert len({round(float(v), 5) for v in varied.mean((1, 2, 3, 4))}) > 390
    # The smallest step across the edge of a blurred picture is far below that of any sharp one.
    steps = (varied[:, 0, 2, 10, 1:] - varied[:, 0, 2, 10, :-1]).abs().amax(-1) / varied[:, 0, 2].std((1, 2))
    assert float((steps < 0.8).float().mean()) == pytest.approx(0.3, abs=0.07)


def test_released_variation_changes_images_alone(tmp_path):
    toy_samples(tmp_path, 6)
    samples = data.AlignedSamples(tmp_path / "align", tmp_path / "parse", "train")
    plain = data.training_batch(samples, 3, 4, 0, None)
    drawn = (samples, 3, 4, 0, torch.arange(101), 0.0)
    varied, again = (data.training_batch(*drawn, released_colours.vary_as_released) for _ in range(2))
    assert not torch.equal(varied.images, plain.images)
    assert torch.equal(varied.images, again.images)
    rest = ("masks", "weights", "landmarks", "landmarks_3d", "seen")
    assert all(torch.equal(getattr(varied, name), getattr(plain, name)) for name in rest)
    ours = data.training_batch(*drawn)
    assert not torch.equal(ours.landmarks, plain.landmarks)  # mirrored, some of them


# A training with every switch


def train(folder, name, *more):
    """Train with all that the released code does otherwise; gives the rows of metrics and the network's state."""
    switches = preset("released_code").train
    changed = {key: getattr(switches, key) for key in ("final_rate", "augmentation", "parser_mode")}
    changed |= {f"loss.{key}": value for key, value in switches.loss.model_dump().items()}
    changed |= {"network.shared_lighting": True, "network.released_inputs": True, "landmark_share": 0, "epochs": 4}
    changed |= {"flat_share": 0.5, "loss.mask_from": 0.5}
    settings = [f"{key}={value}" for key, value in changed.items()]
    assert cli.main(arguments(folder, folder / name, *settings, *more)) == 0
    with (folder / name / "metrics.csv").open() as stream:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]
    return rows, read_network(folder / name / "weights.safetensors").network.state_dict()


def test_a_training_as_released_is_one_without_a_mask_loss(tmp_path):
    toy_samples(tmp_path, 2)
    rows, state = train(tmp_path, "as_released")
    assert list(rows[0]) == ["step", "epoch", "learning_rate", *MoreLosses._fields]
    assert [row["mask"] > 0 for row in rows] == [False, False, True, True]
    assert [row["learning_rate"] for row in rows] == pytest.approx([1e-3, 1e-3, 1e-3, 1e-3 * (0.01 + 0.99 / 2)])
    for row in rows:
        weighted = 24 * row["photo"] + row["mask"] + 0.02 * row["landmark_2d"] + row["landmark_3d"]
        weighted += 3e-4 * row["regularisation"] + 10 * row["lighting"] + 5 * row["albedo"]
        assert row["total"] == pytest.approx(weighted, rel=1e-4)
    _, without = train(tmp_path, "without", "loss.mask=0")
    assert all(torch.equal(state[name], without[name]) for name in state)
    _, mended = train(tmp_path, "mended", "loss.mask_gradient=true")
    assert any(not torch.equal(state[name], mended[name]) for name in state)
