"""The presets key by key, and what each switch of the released code's behaviour changes in a training."""

import csv
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from PIL import Image, ImageEnhance, ImageFilter
from test_train import arguments, batch_of
from toy_model import toy_model, toy_samples
from toy_network import QUICK, random_parser, sizes, toy_batch

from dfmvr import cli
from dfmvr.config.configuration import load
from dfmvr.config.training import LossSection, ParseSection, ReleasedParseSection, ReleasedSection, TrainSection
from dfmvr.conventions import VIEWS
from dfmvr.networks.checkpoint import read_network
from dfmvr.parse.parser import ParseNet, ParserSpec, save_parser
from dfmvr.parse.weight_map import weight_map, weights_of
from dfmvr.released import colours as released_colours
from dfmvr.released.losses import ReleasedLossTerms
from dfmvr.study.methods import OVERRIDES
from dfmvr.train.command import training_of
from dfmvr.train.methods.df_mvr import DFMVRTraining
from dfmvr.train.methods.released_code import ReleasedTraining
from dfmvr.train.samples import AlignedSamples

ROOT = Path(__file__).parents[1]


# The presets


def preset(name):
    return load(ROOT / "config" / f"{name}.yaml")


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
    **{"identity": 1, "expression": 0.8, "texture": 0.017, "mask_uncovered": False, "silhouette": False},
}
CORRECT = {
    "align": {"truncate_landmarks": False},
    "parse": {"dilation_px": 20, "released": ReleasedParseSection()},
    "train": {"loss": PAPER_LOSSES, "released": ReleasedSection()},
}
FULL_SIZE = {"fusion": "tri_unet", "backbone": "rednet", "width": 64, "backbone_width": 64, "depth": 50}
PLAIN_NETWORK = {"stem_pool": True, "neck": 0, "fine": 0, "quick_start": False, "face_mask": True}
RELEASED = {
    "align": {"image_size": 224, "landmarks": "face_alignment", "truncate_landmarks": True},
    "parse": {
        **{"feature_weight": 254, "face_weight": 128, "background_weight": 32, "dilation_px": 5},
        "released": {"left_features_bug": True, "keep_background": True},
    },
    "train": {
        **{"method": "df_mvr", "data": "pixel_face", "epochs": 280, "batch_size": 24, "learning_rate": 1e-4},
        **{"landmark_share": 0, "single_view_share": 0, "augment": True},
        "network": FULL_SIZE | PLAIN_NETWORK | {"last_concat": True},
        "loss": PAPER_LOSSES | {"photo": 24, "mask": 1},
        "released": {
            **{"raw_labels": True, "shared_lighting": True, "emphasised_eyes": True, "rms_scale": True},
            **{"third_column": True, "detached_mask_loss": True, "mask_from": 101 / 280},
            **{"plain_heads": True, "unit_normals": True, "small_screen": True, "alpha_weight": True},
            **{"pooled_photo": True, "parser_in_training_mode": True, "lighting": 10, "albedo": 5},
            **{"lit_albedo": True, "colours": True},
            **{"flat_share": 50 / 280, "final_rate": 1e-6 / 1e-4},
        },
    },
}
PAPER = {
    "face_model": {"source": "bfm_2009", "identity_components": 80, "expression_components": 64}
    | {"albedo_components": 80},
    "datasets": {"pixel_face": {"split": "authors"}, "multi_pie": {"layout": "cropped_128"}},
    "mesh": {"parameters": "xy"},
    "align": {"image_size": 224, "landmarks": "face_alignment"},
    "parse": {
        **{"width": 64, "output_stride": 8, "feature_weight": 254, "face_weight": 128, "background_weight": 32},
        **{"optimiser": "sgd", "learning_rate": 0.01, "class_exponent": 0, "epochs": 53, "batch_size": 16},
    },
    "train": {
        **{"epochs": 512, "batch_size": 16, "learning_rate": 1e-4, "landmark_share": 0, "augment": False},
        "network": FULL_SIZE | PLAIN_NETWORK | {"last_concat": False},
    },
}
GPU = {
    "align": {"image_size": 224, "landmarks": "annotated"},
    "parse": {"width": 64, "output_stride": 8},
    "train": {
        **{"gpus": 1, "precision": "bfloat16", "network": FULL_SIZE | {"quick_start": True, "neck": 256}},
        **{"deng": {"network": {"depth": 50, "backbone_width": 64}}, "shang": {"network": {"depth": 50}}},
    },
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


# The thirteen trainings under paper.yaml

OURS = {
    **{"epochs": 512, "batch_size": 16, "learning_rate": 1e-4, "single_view_share": 0},  # V-A
    "initial_weights": None,
    **{"landmark_share": 0, "augment": False, "placement": 0},  # every step has all losses; no augmentation is named
    "method": "df_mvr",
    "data": "pixel_face",
    "network": {
        **{"fusion": "tri_unet", "width": 64, "last_concat": False},  # III-C: 224 x 224 x 64
        **{"backbone": "rednet", "depth": 50, "backbone_width": 64, "stem_pool": True, "neck": 0, "quick_start": False},
        **{"face_mask": True, "fine": 0},
    },
    "loss": PAPER_LOSSES,
}
RESNET_50 = {"depth": 50, "backbone_width": 64, "stem_pool": True, "neck": 0, "fine": 0, "quick_start": False}
IMAGENET = Path("data/resnet50-0676ba61.pth")
ALIKE = {key: OURS[key] for key in OURS.keys() - {"network", "loss", "landmark_share"}}
DENG = ALIKE | {
    "method": "deng",
    "deng": {
        **{"landmark_share": 0, "imagenet_weights": IMAGENET},
        "network": RESNET_50 | {"aggregation": "confidence"},
        "loss": {
            **{"photo": 1.92, "landmark_2d": 1.6e-3, "perceptual": 0.2, "embedding": None, "lighting": 10, "albedo": 5},
            **{"regularisation": 3e-4, "identity": 1, "expression": 0.8, "texture": 0.017, "confidence_share": 0.2},
        },
    },
}
SHANG = ALIKE | {
    **{"method": "shang", "landmark_share": 0},
    "shang": {
        "imagenet_weights": IMAGENET,
        "network": RESNET_50,
        "loss": {
            **{"photo": 1.9, "landmark_2d": 1e-3, "perceptual": 0.2, "embedding": None},
            **{"shape": 1e-4, "expression": 0.8, "texture": 3e-4 * 0.0017},
            **{"multi_view": 1, "pixel": 0.15, "depth": 1e-4, "epipolar": 1e-3},
        },
    },
}
MULTI_PIE = {"data": "multi_pie"}
WITHOUT_L3D = {"loss": PAPER_LOSSES | {"landmark_3d": 0}}
THIRTEEN = {
    "shang": SHANG,
    "deng": DENG,
    "dfmvr_cnn": OURS | {"network": OURS["network"] | {"fusion": "cnn"}},  # v1
    "dfmvr_unet": OURS | {"network": OURS["network"] | {"fusion": "unet_late"}},  # v2
    "dfmvr_resnet": OURS | {"network": OURS["network"] | {"backbone": "resnet"}},  # v3
    "dfmvr_without_mask": OURS
    | {"network": OURS["network"] | {"face_mask": False}, "loss": PAPER_LOSSES | {"mask": 0}},  # v4: neither
    "dfmvr_without_mask_loss": OURS | {"loss": PAPER_LOSSES | {"mask": 0}},  # V-D: verified separately
    "dfmvr_without_l3d": OURS | WITHOUT_L3D,  # v5
    "dfmvr": OURS,  # v6
    "dfmvr_mixed": OURS | {"single_view_share": 1 / 3},  # V-C
    "shang_multi_pie": SHANG | MULTI_PIE,
    "deng_multi_pie": DENG | MULTI_PIE,
    "dfmvr_multi_pie": OURS | WITHOUT_L3D | MULTI_PIE,  # V-B
}
"""What the paper says, or the papers and codes of its references [10] and [11], of each of its trainings."""

OF_THE_MACHINE = {"precision", "accumulate", "gpus", "checkpoint_minutes", "seed", "landmark_first"}


def leaves_of(values, above=()):
    """The keys of nested dicts, each with those that lead to it."""
    for key, value in values.items():
        yield from leaves_of(value, (*above, key)) if isinstance(value, dict) else [(*above, key)]


def test_the_study_has_the_papers_trainings():
    assert preset("paper").trained_on().keys() == THIRTEEN.keys()


@pytest.mark.parametrize("training", THIRTEEN)
def test_a_training_has_the_papers_settings_and_no_others(training):
    study = preset("paper")
    check(study.variant(training), THIRTEEN[training], training)
    told = json.loads(study.training(training))
    assert set(leaves_of(told)) == {*leaves_of(THIRTEEN[training]), *((key,) for key in OF_THE_MACHINE)}


@pytest.mark.parametrize("training", THIRTEEN)
def test_a_variant_overrides_what_the_paper_says_of_it_alone(training):
    """An override holds a fact of the method, not a size that suits one study."""
    of_the_paper = {"method", "data", "fusion", "backbone", "face_mask", "mask", "landmark_3d", "single_view_share"}
    assert {place[-1] for place in leaves_of(OVERRIDES[training])} <= of_the_paper


def test_the_released_code_is_studied_on_the_papers_data():
    ours, paper = preset("released_code"), preset("paper")
    same = ("face_model", "datasets", "mesh", "register_", "report", "study", "variants")
    assert all(getattr(ours, name) == getattr(paper, name) for name in same)
    protocol = ours.register_.protocols["released_code"]
    assert (protocol.crop, protocol.statistic) == ("face_sphere", "mean_point_to_surface")
    assert protocol.with_scale


def test_a_preset_trains_by_the_code_that_it_asks_for():
    assert training_of(preset("released_code").train) is ReleasedTraining
    assert all(training_of(preset(name).train) is DFMVRTraining for name in ("paper", "gpu", "ci", "config"))
    assert {key for key, value in ReleasedSection() if value} == set()
    assert all(value for _, value in preset("released_code").train.released)


# Losses and schedule of a batch


@pytest.fixture
def batch(tmp_path):
    return toy_batch(tmp_path)[1]


def released(parser=None, model=None, loss=None, network=None, **switches):
    """A training with some of the released code's switches, of a small network."""
    settings = TrainSection(network=QUICK, loss=loss or LossSection(), released=ReleasedSection(**switches))
    torch.manual_seed(0)
    if network is None:
        network = ReleasedTraining.make_network(settings, sizes()).train()
    return ReleasedTraining(settings, network, model or toy_model(), parser, 48)


def test_the_released_epochs_begin_where_they_should():
    train = preset("released_code").train
    system = released(random_parser(), **train.released.model_dump())
    for per_epoch in (1, 173, 500):
        steps = train.epochs * per_epoch
        rates = [system.rate(step, steps) for step in range(steps + 1)]
        first_lower = next(step for step, rate in enumerate(rates) if rate < 1)
        assert first_lower == 50 * per_epoch + 1  # the cosine begins at 1
        assert train.learning_rate * rates[-1] == pytest.approx(1e-6)
        for step in (101 * per_epoch - 1, 101 * per_epoch):  # `epoch > 100`, epochs counted from 0
            system.phase(step, steps)
            assert (system.parser is not None) == (step == 101 * per_epoch)


@pytest.mark.parametrize("steps", [1, 7, 100])
def test_the_rate_without_switches_is_the_plain_cosine_to_the_last_bit(steps):
    rate = released().rate
    rates = [rate(step, steps) for step in range(steps + 1)]
    assert rates == [0.5 * (1 + math.cos(math.pi * step / steps)) for step in range(steps + 1)]


def test_a_flat_start_and_a_last_rate():
    rate = released(flat_share=0.2, final_rate=0.01).rate
    rates = [rate(step, 10) for step in range(11)]
    assert rates[:3] == [1, 1, 1]
    assert rates[6] == pytest.approx((1 + 0.01) / 2)  # half-way down
    assert rates[10] == pytest.approx(0.01)
    rate = released(flat_share=1.0).rate
    assert [rate(step, 4) for step in range(4)] == [1] * 4


def gradients_of_mask_loss(batch, **switches):
    """Every gradient of the mask loss alone in the network, and its value."""
    alone = LossSection(photo=0.0, landmark=0.0, regularisation=0.0)
    system = released(random_parser(), loss=alone, **switches)
    losses = system.losses(batch)
    losses.total.backward()
    return [p.grad for p in system.network.parameters() if p.grad is not None], losses.mask.item()


def test_the_mask_loss_moves_the_network_unless_its_gradient_is_cut(batch):
    moved, value = gradients_of_mask_loss(batch)
    still, same = gradients_of_mask_loss(batch, detached_mask_loss=True)
    assert same == value > 0
    assert any(gradient.any() for gradient in moved)
    assert not any(gradient.any() for gradient in still)


def test_the_mask_loss_counts_from_its_step_on(batch):
    found = released(random_parser(), mask_from=0.25)
    seen = []
    for step in range(4):
        found.phase(step, 8)
        seen.append(found.losses(batch).mask.item() > 0)
    assert seen == [False, False, True, True]


def test_a_parser_in_training_mode_drifts_and_learns_nothing(batch):
    states = {}
    for mode in (False, True):
        parser = random_parser()
        system = released(parser, detached_mask_loss=True, parser_in_training_mode=mode)
        before = {name: value.clone() for name, value in parser.state_dict().items()}
        losses = system.losses(batch)
        states[mode] = {name for name, value in parser.state_dict().items() if not torch.equal(value, before[name])}
        assert losses.mask > 0
        assert all(p.grad is None for p in parser.parameters())
        # The loss does not look at what drifted.
        again = released(parser, detached_mask_loss=True, parser_in_training_mode=mode).losses(batch)
        assert again.mask == losses.mask
    assert not states[False]
    statistics = {"running_mean", "running_var", "num_batches_tracked"}
    assert {name.rpartition(".")[2] for name in states[True]} == statistics


def test_evenness_is_asked_of_the_albedo_or_of_the_lit_texture(batch):
    model = toy_model()
    model.skin[::3] = False
    model.albedo_mean[model.skin] = 0.5  # an even skin ...
    network = ReleasedTraining.make_network(TrainSection(network=QUICK), sizes()).eval()
    torch.nn.init.normal_(network.heads["lighting"].bias, std=0.5)  # ... in an uneven light
    even, uneven = (
        released(model=model, network=network, albedo=5.0, lit_albedo=lit).losses(batch).albedo.item()
        for lit in (False, True)
    )
    assert even == pytest.approx(0, abs=1e-9)
    assert uneven > 1e-3


def test_without_switches_the_released_training_is_the_plain_one(batch):
    settings = TrainSection(network=QUICK)
    torch.manual_seed(0)
    network = DFMVRTraining.make_network(settings, sizes()).train()
    plain = DFMVRTraining(settings, network, toy_model(), random_parser(), 48).losses(batch)
    assert released(random_parser()).losses(batch)[:5] == plain[:5]


# Weight map


def test_the_features_of_left_views_alone_lose_their_weight():
    mask = np.ones((40, 40), np.uint8)
    mask[:, :10], mask[20:24, 20:24] = 0, 6
    wrong = ParseSection(dilation_px=0, released={"left_features_bug": True})
    for view in (*VIEWS, None):
        feature = 1 if view == "left" else 254
        assert_array_equal(weights_of(mask, wrong, view), np.choose(mask.clip(0, 2), [32, 128, feature]))
    right = weights_of(mask, ParseSection(dilation_px=0), "left")
    assert_array_equal(right, np.choose(mask.clip(0, 2), [32, 128, 254]))


def test_a_dilation_inside_the_face_alone_leaves_the_background():
    mask = np.ones((224, 224), np.uint8)
    mask[:, :100], mask[100:110, 100:110] = 0, 6
    found = weights_of(mask, ParseSection(dilation_px=5, released={"keep_background": True}))
    grown = weight_map(mask, ParseSection(dilation_px=5))
    assert_array_equal(found, np.where(mask == 0, 32, grown))
    assert (found[95:115, 110:115] == 254).sum() > 50
    assert (grown[mask == 0] != 32).any()


def test_the_stage_tells_left_views_from_others(tmp_path):
    torch.manual_seed(0)
    save_parser(tmp_path / "p.safetensors", ParseNet(ParserSpec(32, width=4, output_stride=2)))
    (tmp_path / "align").mkdir()
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32, 3), np.uint8)
    np.save(tmp_path / "align" / "images.npy", images)
    files = {"align": "align", "weights": "p.safetensors", "output": "out", "examples": "e.png"}
    options = [word for name, file in files.items() for word in (f"--{name}", str(tmp_path / file))]
    assert cli.main(["parse", *options, "--set", "parse.released.left_features_bug=true"]) == 0
    masks, weights = (np.load(tmp_path / "out" / name) for name in ("masks.npy", "weights.npy"))
    assert (masks > 1).any((0, 2, 3)).all()
    settings = ParseSection(released={"left_features_bug": True})
    for sample, view in itertools.product(range(2), range(3)):
        assert_array_equal(weights[sample, view], weights_of(masks[sample, view], settings, VIEWS[view]))
    assert [sorted(set(weights[:, v].flat) & {1, 254}) for v in range(3)] == [[1], [254], [254]]


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
    samples = AlignedSamples(tmp_path / "align", tmp_path / "parse", "train")
    plain, ours = batch_of(samples, 0, batch_size=4, augment=False), batch_of(samples, 0, batch_size=4)
    varied, again = (batch_of(samples, 0, released(colours=True).vary, batch_size=4) for _ in range(2))
    assert not torch.equal(varied.images, plain.images)
    assert torch.equal(varied.images, again.images)
    rest = ("masks", "weights", "landmarks", "landmarks_3d", "seen")
    assert all(torch.equal(getattr(varied, name), getattr(plain, name)) for name in rest)
    assert not torch.equal(ours.landmarks, plain.landmarks)  # mirrored, some of them
    same = batch_of(samples, 0, released(third_column=True).vary, batch_size=4)
    assert all(torch.equal(a, b) for a, b in zip(ours, same, strict=True))


# A training with every switch


def train(folder, name, *more):
    """Train with all that the released code does otherwise; gives the rows of metrics and the network's state."""
    switches = preset("released_code").train
    changed = {f"released.{key}": value for key, value in switches.released}
    changed |= {f"loss.{key}": value for key, value in switches.loss}
    changed |= {"landmark_share": 0, "epochs": 4, "released.flat_share": 0.5, "released.mask_from": 0.5}
    settings = [f"{key}={value}" for key, value in changed.items()]
    assert cli.main(arguments(folder, folder / name, *settings, *more)) == 0
    with (folder / name / "metrics.csv").open() as stream:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]
    return rows, read_network(folder / name / "weights.safetensors").network.state_dict()


def test_a_training_as_released_is_one_without_a_mask_loss(tmp_path):
    toy_samples(tmp_path, 2)
    rows, state = train(tmp_path, "as_released")
    assert list(rows[0]) == ["step", "epoch", "learning_rate", *ReleasedLossTerms._fields]
    assert [row["mask"] > 0 for row in rows] == [False, False, True, True]
    rates = [row["learning_rate"] / TrainSection().learning_rate for row in rows]
    assert rates == pytest.approx([1, 1, 1, 0.01 + 0.99 / 2])
    for row in rows:
        weighted = 24 * row["photo"] + row["mask"] + 0.02 * row["landmark_2d"] + row["landmark_3d"]
        weighted += 3e-4 * row["regularisation"] + 10 * row["lighting"] + 5 * row["albedo"]
        assert row["total"] == pytest.approx(weighted, rel=1e-4)
    _, without = train(tmp_path, "without", "loss.mask=0")
    assert all(torch.equal(state[name], without[name]) for name in state)
    _, mended = train(tmp_path, "mended", "released.detached_mask_loss=false")
    assert any(not torch.equal(state[name], mended[name]) for name in state)
