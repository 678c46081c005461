"""The face parser against the published names and shapes, and on small images."""

from ast import literal_eval
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from dfmvr.errors import ConfigError, DataError
from dfmvr.networks.bisenet import BiSeNet

OFFICIAL = Path(__file__).parents[2] / "shared" / "official_state_dict_keys.txt"


def official(prefix):
    if not OFFICIAL.exists():
        pytest.skip(f"no {OFFICIAL.name}: the list of the authors' weights is not here")
    rows = (line.split("\t") for line in OFFICIAL.read_text().splitlines() if line.startswith(prefix))
    return {row[0].removeprefix(prefix): literal_eval(row[1]) for row in rows}


def test_weights_have_the_authors_names_and_shapes():
    with torch.device("meta"):
        ours = {name: tuple(value.shape) for name, value in BiSeNet(10, 64).state_dict().items()}
    assert ours == official("mask_model.")


def test_facexlib_size():
    # ResNet-18 without its classifier has 11,176,512 parameters (13,300,416 in all: facexlib's parsing_bisenet.pth).
    with torch.device("meta"):
        net = BiSeNet(19, 64)
    assert sum(p.numel() for p in net.cp.resnet.parameters()) == 11_176_512
    assert sum(p.numel() for p in net.parameters()) == 13_300_416


@pytest.mark.parametrize("output_stride", [2, 4, 8])
@pytest.mark.parametrize("size", [(32, 32), (72, 50), (97, 33)])
def test_logits_have_the_size_of_the_image(size, output_stride):
    net = BiSeNet(10, 4, output_stride)
    logits = net(torch.rand(2, 3, *size))
    assert all(each.shape == (2, 10, *size) for each in logits)
    assert len(logits) == 3
    assert net.eval()(torch.rand(1, 3, *size)).shape == (1, 10, *size)


def test_output_stride_leaves_the_weights_as_they_are():
    shapes = [{k: v.shape for k, v in BiSeNet(10, 4, stride).state_dict().items()} for stride in (2, 4, 8)]
    assert shapes[0] == shapes[1] == shapes[2]


@pytest.mark.parametrize("output_stride", [2, 4, 8])
def test_grid_of_classes_is_as_fine_as_asked(output_stride):
    net = BiSeNet(10, 4, output_stride).eval()
    assert net.cp(torch.rand(1, 3, 64, 64))[0].shape[-2:] == (64 // output_stride, 64 // output_stride)


def test_frozen_parser_hands_the_gradient_to_the_image():
    net = BiSeNet(10, 4, 4).eval().requires_grad_(False)
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    net(images).logsumexp(1).sum().backward()
    assert images.grad.abs().min() > 0


def discs(images):
    """Images of a disc 6 px wide, as an eye in an image of 96 px, on a noisy ground, and their masks."""
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    centres = 8 + 32 * torch.rand(images, 2, 1, 1)
    masks = ((y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2 < 9).long()
    return 0.3 * torch.rand(images, 3, 48, 48) + 0.5 * masks[:, None], masks


def overlap_after_training(output_stride, steps=80):
    torch.manual_seed(0)
    net = BiSeNet(2, 8, output_stride)
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(steps):
        images, masks = discs(16)
        optimiser.zero_grad()
        sum(F.cross_entropy(each, masks) for each in net(images)).backward()
        optimiser.step()
    images, masks = discs(64)
    found = net.eval()(images).argmax(1)
    return ((found & masks).sum() / (found | masks).sum()).item()


def test_parser_learns_small_parts_on_a_fine_grid():
    fine, coarse = overlap_after_training(4), overlap_after_training(8)
    assert fine > 0.5 > coarse


@pytest.mark.parametrize("shape", [(1, 3, 31, 64), (1, 4, 64, 64), (3, 64, 64)])
def test_parser_names_images_it_cannot_take(shape):
    with pytest.raises(DataError, match="32 px"):
        BiSeNet(10, 4)(torch.rand(shape))


def test_parser_names_what_does_not_fit():
    with pytest.raises(ConfigError, match="output_stride"):
        BiSeNet(10, 4, 3)
