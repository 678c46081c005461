"""Tri-UNet and DF-MVR: size, structure, start and precision."""

import dataclasses
import math

import pytest
import torch
from test_bisenet import official

from dfmvr.config import NetworkSection
from dfmvr.errors import ConfigError, DataError
from dfmvr.networks import DFMVR, NetworkSettings, TriUNet

SMALL = NetworkSettings(width=4, backbone_width=16, depth=14)


def small(size=48, **changes):
    torch.manual_seed(0)
    return DFMVR(dataclasses.replace(SMALL, **changes), size, 8, 5, 7)


def batch(images=2, size=48):
    generator = torch.Generator().manual_seed(1)
    masks = torch.randint(0, 10, (images, 3, size, size), generator=generator, dtype=torch.uint8)
    return torch.rand(images, 3, 3, size, size, generator=generator), masks


def randomise_heads(net):
    for head in net.heads.values():
        torch.nn.init.normal_(head.weight)
    return net


def shapes_by_size(items):
    """Shapes of weights, sorted: what stays the same under renaming."""
    return sorted(shape for name, shape in items if len(shape) > 0)


@pytest.mark.parametrize(("released_concat", "parameters"), [(False, 80_263_236), (True, 80_078_532)])
def test_tri_unet_has_the_papers_size(released_concat, parameters):
    with torch.device("meta"):
        net = TriUNet(4, 64, released_concat)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert net.out_channels == (256 if released_concat else 64)


def test_tri_unet_has_the_authors_shapes():
    with torch.device("meta"):
        state = TriUNet(4, 64).state_dict()
    assert shapes_by_size((k, tuple(v.shape)) for k, v in state.items()) == shapes_by_size(official("uuunet.").items())


def test_backbone_has_the_authors_names_and_shapes():
    theirs = {k: v for k, v in official("rednet_fc.rednet.").items() if not k.startswith("pts_net")}
    with torch.device("meta"):
        state = DFMVR(NetworkSettings(released_concat=True), 224, 80, 64, 80).backbone.state_dict()
    assert {k: tuple(v.shape) for k, v in state.items()} == theirs


@pytest.mark.parametrize("size", [(32, 32), (72, 50), (33, 47)])
def test_tri_unet_keeps_the_size_of_the_images(size):
    assert TriUNet(4, 4)(torch.rand(2, 3, 4, *size)).shape == (2, 4, *size)


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
    from dfmvr.geometry.rotation import euler_to_rotmat

    noses = euler_to_rotmat(small().mean_angles) @ torch.tensor([0.0, 0, 1])
    assert noses[0, 0] < 0 < noses[2, 0]
    assert noses[1].tolist() == [0, 0, 1]


def test_every_weight_learns():
    net = randomise_heads(small(size=96))
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
    net = randomise_heads(small(face_mask=False)).eval()
    images, masks = batch(1)
    assert torch.equal(net(images, masks).identity, net(images).identity)


@pytest.mark.parametrize("masks", [None, torch.zeros(2, 3, 24, 48)])
def test_network_names_missing_masks(masks):
    with pytest.raises(DataError, match=r"expected masks \(2, 3, 48, 48\)"):
        small()(batch()[0], masks)


def test_network_names_images_it_cannot_take():
    with pytest.raises(DataError, match=r"\(B, 3, 3, 48, 48\)"):
        small()(*batch(size=64))
    with pytest.raises(ConfigError, match="found 16"):
        small(size=16)
    with pytest.raises(ConfigError, match="tri_unet"):
        small(fusion="concatenation")


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


def test_settings_and_configuration_have_the_same_keys():
    assert {f.name for f in dataclasses.fields(NetworkSettings)} == set(NetworkSection.model_fields)
    assert NetworkSettings(**NetworkSection().model_dump()).width == NetworkSection().width
