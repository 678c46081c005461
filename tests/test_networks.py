"""The fusions, the backbones and DF-MVR: size, structure, gradients, start and precision."""

import argparse
import copy
import math

import pytest
import torch
from test_bisenet import official
from torch.utils.flop_counter import FlopCounterMode
from toy_network import PAPER, SMALL, learn, small_network, toy_batch, training

from dfmvr.config import configuration
from dfmvr.config.training import NetworkSection
from dfmvr.errors import ConfigError, DataError
from dfmvr.geometry.rotation import euler_to_rotmat
from dfmvr.networks import inference
from dfmvr.networks.cnn_fusion import CNNFusion
from dfmvr.networks.deep3d import Deep3D
from dfmvr.networks.df_mvr import DFMVR
from dfmvr.networks.heads import NetworkSizes
from dfmvr.networks.inference import for_inference
from dfmvr.networks.involution import Involution
from dfmvr.networks.residual import Bottleneck
from dfmvr.networks.resnet import ResNet
from dfmvr.networks.training import cosine_rate
from dfmvr.networks.tri_unet import TriUNet
from dfmvr.networks.unet import UNet
from dfmvr.networks.winograd import WinogradConv
from dfmvr.released.network import ReleasedDFMVR
from dfmvr.train.describe import add_arguments, describe, main

FULL = NetworkSizes(224, 80, 64, 80)
VARIANTS = {
    "v1": {"fusion": "cnn"},
    "v2": {"fusion": "unet"},
    "v2_late": {"fusion": "unet_late"},
    "v3": {"backbone": "resnet"},
    "v4": {"face_mask": False},
    "v6": {},
    "released": {},
}


def small(variant="v6", size=48, **changes):
    torch.manual_seed(0)
    kind = ReleasedDFMVR if variant == "released" else DFMVR
    return kind(SMALL.model_copy(update=VARIANTS[variant] | changes), NetworkSizes(size, 8, 5, 7))


def batch(images=2, size=48):
    generator = torch.Generator().manual_seed(1)
    masks = torch.randint(0, 10, (images, 3, size, size), generator=generator, dtype=torch.uint8)
    return torch.rand(images, 3, 3, size, size, generator=generator), masks


def randomise_heads(net):
    for head in net.heads.values():
        torch.nn.init.normal_(head.weight)
    return net


@pytest.mark.parametrize(("last_concat", "parameters"), [(False, 80_263_236), (True, 80_078_532)])
def test_tri_unet_has_the_papers_size(last_concat, parameters):
    with torch.device("meta"):
        net = TriUNet(4, 64, last_concat)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert net.out_channels == (256 if last_concat else 64)


def test_tri_unet_has_the_authors_shapes():
    with torch.device("meta"):
        shapes = [tuple(value.shape) for value in TriUNet(4, 64).state_dict().values()]
    assert sorted(filter(None, shapes)) == sorted(filter(None, official("uuunet.").values()))


def test_backbone_has_the_authors_names_and_shapes():
    theirs = {k: v for k, v in official("rednet_fc.rednet.").items() if not k.startswith("pts_net")}
    with torch.device("meta"):
        state = DFMVR(PAPER.network.model_copy(update={"last_concat": True}), FULL).backbone.state_dict()
    assert {k: tuple(v.shape) for k, v in state.items()} == theirs


@torch.no_grad()
@pytest.mark.parametrize("view", [0, 1, 2])
def test_a_view_is_seen_through_its_own_encoder_alone(view):
    torch.manual_seed(0)
    net = TriUNet(4, 4)
    views = torch.rand(1, 3, 4, 32, 32)
    for parameter in net.encoders[view].parameters():
        parameter.zero_()
    same, other = views.clone(), views.clone()
    same[:, view] = 0
    other[:, (view + 1) % 3] = 0
    assert torch.equal(net(same), net(views))  # a dead encoder hides its view
    assert not torch.equal(net(other), net(views))  # and no other


def test_encoders_and_gates_share_no_weights():
    torch.manual_seed(0)
    net = TriUNet(4, 4)
    pointers = [p.data_ptr() for p in net.parameters()]
    assert len(set(pointers)) == len(pointers)
    net(torch.rand(1, 1, 4, 32, 32).expand(2, 3, 4, 32, 32)).square().sum().backward()
    first, second, _ = ([p.grad for p in encoder.parameters()] for encoder in net.encoders)
    assert any(not torch.allclose(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("size", [(32, 32), (72, 50), (33, 47)])
@pytest.mark.parametrize(
    ("fusion", "channels"),
    [
        (lambda: TriUNet(4, 4), 4),
        (lambda: CNNFusion(4, 4), 12),
        (lambda: UNet(4, 4), 4),
        (lambda: UNet(4, 4, last_concat=True), 8),
        (lambda: UNet(4, 4, late=True), 12),
        (lambda: UNet(3, 4, last_concat=True, late=True), 24),
    ],
)
def test_fusions_keep_the_size_of_the_images(fusion, channels, size):
    net = fusion()
    assert net(torch.rand(2, 3, net.in_channels, *size)).shape == (2, channels, *size)
    assert net.out_channels == channels


@torch.no_grad()
@pytest.mark.parametrize("make", [lambda: CNNFusion(4, 16), lambda: UNet(4, 16, late=True)])
def test_late_fusions_treat_every_view_alike(make):
    torch.manual_seed(0)  # a few random units may all be dead
    net, views = make(), torch.rand(2, 3, 4, 32, 32)
    first, second, third = net.eval()(views).unflatten(1, (3, -1)).unbind(1)
    turned = net(views.roll(1, 1)).unflatten(1, (3, -1))
    torch.testing.assert_close(turned, torch.stack((third, first, second), 1))
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("width", [8, 64])
@pytest.mark.parametrize("last_concat", [False, True])
@pytest.mark.parametrize("in_channels", [3, 4])
def test_the_cnn_costs_what_tri_unet_costs(width, last_concat, in_channels):
    costs = []
    for fusion in (CNNFusion, TriUNet):
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            fusion(in_channels, width, last_concat)(torch.empty(1, 3, in_channels, 64, 64))
        costs.append(counter.get_total_flops())
    assert costs[0] == pytest.approx(costs[1], rel=0.05)


def test_the_early_unet_mixes_the_views():
    net = UNet(4, 4).eval()
    views = torch.rand(1, 3, 4, 32, 32, requires_grad=True)
    net(views)[0, 0].sum().backward()
    assert all(views.grad[0, view].any() for view in range(3))


def test_unet_has_the_size_of_its_layers():
    def double(inputs, outputs):  # weights, biases, and scale and shift of two normalisations
        return 9 * (inputs + outputs) * outputs + 6 * outputs

    levels = [64, 128, 256, 512, 1024]
    expected = double(12, 64) + sum(double(n, 2 * n) + double(2 * n, n) + 4 * 2 * n * n + n for n in levels[:-1])
    with torch.device("meta"):
        assert sum(p.numel() for p in UNet(4, 64).parameters()) == expected


def test_resnet_50_has_the_published_size():
    # 25,557,032 with its classifier (He et al. 2016, table 1, as counted by its implementations).
    with torch.device("meta"):
        assert sum(p.numel() for p in ResNet(3).parameters()) == 25_557_032 - 2_049_000


@pytest.mark.parametrize(("stem_pool", "side"), [(True, 2), (False, 4)])
@pytest.mark.parametrize("depth", [14, 26, 38, 50])
def test_resnet_gives_maps_of_rednets_size(depth, stem_pool, side):
    net = ResNet(8, depth, 4, stem_pool)
    assert net(torch.rand(2, 8, 50, 60)).shape == (2, 128, side, side)
    assert (net.out_channels, net.stride) == (128, 32 if stem_pool else 16)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (50, 60)])
def test_a_backbone_hands_on_the_finer_map_place_by_place(height, width):
    torch.manual_seed(0)
    net, x = ResNet(8, 14, 4, False, fine=3).eval(), torch.rand(2, 8, height, width)
    coarse = copy.deepcopy(net)
    coarse.fine = None
    out, last = net(x), coarse(x)
    assert net.out_channels == 128 + 3 * 16
    assert torch.equal(out[:, :128], last)
    second = net.fine(net.layer2(net.layer1(net.stem(x))))
    rows, columns = second.shape[-2:]
    for row, column in ((0, 0), (5, 6), (rows - 1, columns - 1)):
        channels = 128 + torch.arange(3) * 16 + row % 4 * 4 + column % 4
        assert torch.equal(out[:, channels, row // 4, column // 4], second[:, :, row, column])
    check_gradients(net, torch.rand(2, 8, 20, 24, dtype=torch.double))


def check_gradients(module, x):
    """Compare the gradients of the input and of all weights with finite differences, each in a random direction."""
    module = module.double()
    shapes = {name: weight.shape for name, weight in module.named_parameters()}
    # Not the initial weights: some of them are 0, and their branch with them.
    weights = torch.randn(sum(shape.numel() for shape in shapes.values()), dtype=torch.double) * 0.3 + 0.1

    def run(x, weights):
        parts = weights.split([shape.numel() for shape in shapes.values()])
        state = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return torch.func.functional_call(module, state, (x,))

    assert torch.autograd.gradcheck(run, (x.requires_grad_(), weights.requires_grad_()), fast_mode=True)


@pytest.mark.parametrize(
    "net",
    [CNNFusion(4, 2), UNet(4, 2), UNet(3, 2, True, late=True), TriUNet(4, 2, True)],
    ids=lambda net: type(net).__name__,
)
@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_fusions(net, training):
    torch.manual_seed(1)
    check_gradients(net.train(training), torch.rand(2, 3, net.in_channels, 16, 16, dtype=torch.double))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("spatial", ["convolution", "involution"])
def test_gradients_of_blocks(spatial, stride):
    torch.manual_seed(1)
    middle = Involution(16, 7, stride) if spatial == "involution" else torch.nn.Conv2d(16, 16, 3, stride, 1, bias=False)
    check_gradients(Bottleneck(8, 16, stride, middle), torch.randn(2, 8, 6, 6, dtype=torch.double))


def test_fresh_network_answers_the_mean_face_in_the_mean_pose():
    identity, expression, texture, lighting, angles, translation = small()(*batch())
    assert (identity.shape, expression.shape, texture.shape) == ((2, 8), (2, 5), (2, 7))
    assert lighting.shape == (2, 3, 9, 3)
    assert all(not each.any() for each in (identity, expression, texture, lighting, translation))
    yaw = math.radians(35)
    torch.testing.assert_close(angles, torch.tensor([[0, -yaw, 0], [0, 0, 0], [0, yaw, 0]]).expand(2, 3, 3))


def test_heads_answer_in_their_units():
    net = small()
    torch.nn.init.ones_(net.heads["translation"].bias)
    torch.nn.init.ones_(net.heads["angles"].bias)
    found = net(*batch())
    torch.testing.assert_close(found.translation, torch.tensor([10.0, 10, 50]).expand(2, 3, 3))
    torch.testing.assert_close(found.angles - net.mean_angles, torch.full((2, 3, 3), 0.2))


def test_left_views_turn_the_nose_to_the_left_of_the_image():
    noses = euler_to_rotmat(small().mean_angles) @ torch.tensor([0.0, 0, 1])
    assert noses[0, 0] < 0 < noses[2, 0]
    assert noses[1].tolist() == [0, 0, 1]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_weight_learns(variant):
    net = randomise_heads(small(variant, 96))
    for parameter in net.backbone.parameters():  # the residual branches start switched off
        torch.nn.init.normal_(parameter, 0.1, 0.1)
    sum(each.square().sum() for each in net(*batch(size=96))).backward()
    # A bias before a batch normalisation has no effect, hence a gradient of rounding errors alone: not looked at.
    assert all(p.grad is not None and p.grad.any() for n, p in net.named_parameters() if n.endswith("weight"))


def test_network_reads_every_view_and_every_mask():
    net = randomise_heads(small()).eval()
    images, masks = batch(1)
    before = net(images, masks).identity
    for view in range(3):
        other = images.clone()
        other[:, view] = 0
        assert not torch.equal(net(other, masks).identity, before)
        other = masks.clone()
        other[:, view] = 0
        assert not torch.equal(net(images, other).identity, before)


def test_network_without_face_mask_looks_at_no_mask():
    net = randomise_heads(small("v4")).eval()
    images, masks = batch(1)
    assert torch.equal(net(images, masks).identity, net(images).identity)


def test_of_the_released_inputs_the_labels_alone_are_raw():
    images, masks = batch()
    seen = small("released").views(images, masks)
    assert torch.equal(seen[:, :, :3], (images - 0.5) / 0.5)
    assert torch.equal(seen[:, :, 3], masks.float())


@pytest.mark.parametrize("masks", [None, torch.zeros(2, 3, 24, 48)])
def test_network_names_missing_masks(masks):
    with pytest.raises(DataError, match=r"expected masks \(2, 3, 48, 48\)"):
        small()(batch()[0], masks)


def test_network_names_images_it_cannot_take():
    with pytest.raises(DataError, match=r"\(B, 3, 3, 48, 48\)"):
        small()(*batch(size=64))
    with pytest.raises(ConfigError, match="found 16"):
        small(size=16)


def test_seed_fixes_weights_and_answers():
    first, second = (randomise_heads(small()).eval()(*batch()) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_bfloat16_answers_in_single_precision():
    net = randomise_heads(small())
    images, masks = batch(8)
    net(images, masks)
    net.eval()
    with torch.no_grad():
        single = net(images, masks)
        with torch.autocast("cpu", torch.bfloat16):
            half = net(images, masks)
    for a, b in zip(single, half, strict=True):
        assert b.dtype == torch.float32
        assert (a - b).norm() < 0.05 * a.norm()  # 8 bits and some fifty layers


def test_every_fusion_and_backbone_of_the_configuration_is_built():
    fields = NetworkSection.model_fields
    for fusion in fields["fusion"].annotation.__args__:
        for backbone in fields["backbone"].annotation.__args__:
            assert small(fusion=fusion, backbone=backbone)(*batch()).identity.shape == (2, 8)


def described(kind, **changes):
    settings = PAPER.network.model_copy(update=changes)
    return {part.name: part for part in describe(lambda: kind(settings, FULL), 224)}


def test_description_of_the_released_network():
    parts = described(ReleasedDFMVR, last_concat=True)
    assert list(parts) == ["fusion", "backbone", "neck", "heads", "total"]
    assert parts["fusion"].parameters == 80_078_532
    assert parts["heads"].parameters == 269 * 2049
    assert parts["total"].parameters == 94_194_383
    assert parts["fusion"].flops == pytest.approx(143.8e9, rel=1e-3)
    assert parts["total"].flops == sum(part.flops for name, part in parts.items() if name != "total")


@pytest.mark.parametrize(("backbone", "published"), [("rednet", 2.71e9), ("resnet", 4.12e9)])
def test_description_of_the_backbones(backbone, published):
    # Published numbers take a multiplication and an addition as one, and count normalisations too. The stem's first
    # layer has more than three channels here.
    part = described(DFMVR, fusion="unet", backbone=backbone, width=2)["backbone"]
    more = {"rednet": 9 * 32, "resnet": 49 * 64}[backbone] * (2 - 3) * 112**2
    assert part.flops / 2 - more == pytest.approx(published, rel=0.03)


def test_description_of_the_baselines():
    parts = {part.name: part for part in describe(lambda: Deep3D(PAPER.deng.network, FULL), 224)}
    assert list(parts) == ["regressor", "confidence", "total"]
    # three photographs through ResNet-50, published with its classifier, and the heads in its place
    assert parts["regressor"].flops / 6 == pytest.approx(4.09e9, rel=0.01)
    assert parts["confidence"].flops > 0


def test_describe_prints_a_table(capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["--image-size", "96"])
    args.configuration = configuration.load(None, ["train.network.fusion=cnn"])
    main(args, args.configuration.train)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "One sample of 96 px."
    assert [line.split()[:2] for line in lines[2:4]] == [["fusion", "CNNFusion"], ["backbone", "RedNet"]]
    assert lines[6].startswith("total")
    assert [line.split()[0] for line in lines[9:]] == list(args.configuration.trained_on())
    args.method = "dfmvr_without_l3d"
    main(args, None)
    assert "CNNFusion" in capsys.readouterr().out


def trained(variant="v6"):
    """A network whose normalisations have statistics and weights of their own, as after a training."""
    net = randomise_heads(small(variant))
    for head in net.heads.values():  # moderate angles
        head.weight.data.mul_(0.1)
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            # Branches at full strength would double the signal, and the rounding, from block to block.
            torch.nn.init.uniform_(module.weight, *((0.05, 0.15) if name.endswith("bn3") else (0.7, 1.3)))
            torch.nn.init.normal_(module.bias, std=0.1)
            module.momentum = 1.0
    with torch.no_grad():
        net(*batch(8))
    return net.eval()


@torch.no_grad()
@pytest.mark.parametrize("transformed", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_fast_copy_answers_the_same(variant, transformed, monkeypatch):
    monkeypatch.setattr(inference, "WINOGRAD_CHANNELS", 1 if transformed else 10**6)
    # in double precision, where it is told from rounding, which is the processor's
    net = trained(variant).double()
    net.precision = torch.float64
    fast = for_inference(copy.deepcopy(net), torch.float64)
    assert any(isinstance(module, WinogradConv) for module in fast.modules()) == transformed
    # All but those after an involution, whose kernels are shared by channels, go into convolutions.
    left = sum(isinstance(module, torch.nn.BatchNorm2d) for module in fast.backbone.modules())
    assert left == sum(isinstance(module, Involution) for module in fast.backbone.modules())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fast.fusion.modules())
    for found, expected in zip(fast(*batch()), net(*batch()), strict=True):
        assert found.dtype == torch.float64
        assert (found - expected).abs().max() < 1e-10 * expected.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_fast_copy_loses_little_more_to_rounding(variant, monkeypatch):
    monkeypatch.setattr(inference, "WINOGRAD_CHANNELS", 1)
    net = trained(variant)
    double = copy.deepcopy(net).double()
    double.precision = torch.float64
    fast, usual, exact = for_inference(copy.deepcopy(net))(*batch()), net(*batch()), double(*batch())
    # Winograd's sums lose some six times what others do
    lost = max(((one - truth).norm() / truth.norm()).item() for one, truth in zip(usual, exact, strict=True))
    for found, expected in zip(fast, exact, strict=True):
        assert (found - expected).norm() < 20 * lost * expected.norm()


@torch.no_grad()
def test_the_fast_copy_in_half_precision_is_no_worse_than_mixed_precision():
    net, inputs = trained(), batch(8)
    exact, fast = net(*inputs), for_inference(copy.deepcopy(net), torch.bfloat16)(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = net(*inputs)
    for found, usual, expected in zip(fast, mixed, exact, strict=True):
        assert found.dtype == torch.float32
        assert (found - expected).norm() < 1.2 * (usual - expected).norm()


@torch.no_grad()
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 8, 12, 16), (1, 5, 7, 9), (1, 8, 120, 40), (3, 4, 2, 33)])
@pytest.mark.parametrize("tile", [2, 4])
def test_transformed_convolutions_equal_plain_ones(tile, shape, relu):
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(shape[1], 6, 3, padding=1).double()
    x = torch.randn(shape, dtype=torch.double).contiguous(memory_format=torch.channels_last)
    expected = conv(x).relu() if relu else conv(x)
    torch.testing.assert_close(WinogradConv(conv, tile, relu)(x), expected, rtol=0, atol=1e-13)


@torch.no_grad()
@pytest.mark.parametrize(("tile", "error"), [(2, 4e-6), (4, 4e-5)])
def test_transformed_convolutions_are_of_single_precision(tile, error):
    torch.manual_seed(0)
    conv, x = torch.nn.Conv2d(256, 64, 3, padding=1), torch.rand(1, 256, 20, 20)
    exact = torch.nn.functional.conv2d(x.double(), conv.weight.double(), conv.bias.double(), padding=1)
    found = WinogradConv(conv, tile, relu=False)(x).double()
    assert (found - exact).abs().max() < error * exact.abs().max()


@pytest.mark.parametrize("variant", ["v1", "v2", "v3", "v4", "v5", "v6"])
def test_every_variant_learns_one_batch_by_heart(tmp_path, variant):
    model, samples = toy_batch(tmp_path, size=32)
    changes = {"stem_pool": False, "last_concat": True} | VARIANTS.get(variant, {})
    network = small_network(SMALL.model_copy(update=changes), size=32).train()
    weights = {"mask": 0.0, "regularisation": 0.0, "landmark_3d": 0.0 if variant == "v5" else 1.0}
    system = training(network, model, size=32, **weights)

    def losses(_):
        return system.losses(samples, rendered=False).total  # test_train.py learns with the renderer

    history = learn(network, losses, 60 if variant == "v5" else 40, 1e-2, cosine_rate)
    assert history[-1] < 0.1 * history[0]
