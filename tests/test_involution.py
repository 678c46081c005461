"""Involution against its definition with an unfolded buffer, and RedNet against its published size."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from dfmvr.errors import ConfigError
from dfmvr.networks.involution import Involution, involve
from dfmvr.networks.rednet import RedNet

CASES = [(3, 1, 5, 7), (7, 1, 9, 6), (7, 2, 9, 6), (7, 2, 8, 8), (7, 2, 3, 3), (7, 1, 1, 2)]


def involve_naive(x, weight, kernel_size, stride):
    """The definition: every place's neighbourhood unfolded, times its kernel."""
    images, channels = x.shape[:2]
    groups, size = weight.shape[1] // kernel_size**2, weight.shape[-2:]
    taps = F.unfold(x, kernel_size, padding=kernel_size // 2, stride=stride)
    taps = taps.view(images, groups, channels // groups, kernel_size**2, *size)
    kernels = weight.view(images, groups, 1, kernel_size**2, *size)
    return (taps * kernels).sum(3).view(images, channels, *size)


def example(kernel_size, stride, height, width, dtype=torch.double, group=16):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 2 * group, height, width, generator=generator, dtype=dtype)
    size = -(-height // stride), -(-width // stride)
    weight = torch.randn(2, 2 * kernel_size**2, *size, generator=generator, dtype=dtype)
    return x.requires_grad_(), weight.requires_grad_()


@pytest.mark.parametrize(("kernel_size", "stride", "height", "width"), CASES)
def test_involution_equals_the_definition(kernel_size, stride, height, width):
    x, weight = example(kernel_size, stride, height, width)
    ours, naive = involve(x, weight, kernel_size, stride), involve_naive(x, weight, kernel_size, stride)
    torch.testing.assert_close(ours, naive, rtol=0, atol=1e-13)
    grad = torch.randn_like(ours)
    gradients = (torch.autograd.grad(out, (x, weight), grad) for out in (ours, naive))
    for of_ours, of_naive in zip(*gradients, strict=True):
        torch.testing.assert_close(of_ours, of_naive, rtol=0, atol=1e-13)


@pytest.mark.parametrize("stride", [1, 2])
def test_involution_passes_gradcheck(stride):
    x, weight = example(3, stride, 4, 3, group=2)
    assert torch.autograd.gradcheck(lambda x, weight: involve(x, weight, 3, stride), (x, weight))


def test_involution_does_not_depend_on_the_memory_format():
    x, weight = example(7, 2, 9, 6)
    last = [t.detach().contiguous(memory_format=torch.channels_last) for t in (x, weight)]
    assert torch.equal(involve(*last, 7, 2), involve(x, weight, 7, 2))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2**-8)])
def test_involution_sums_in_single_precision(dtype, tolerance):
    x, weight = (t.detach().to(dtype) for t in example(7, 1, 9, 6))
    out = involve(x, weight, 7)
    assert out.dtype == dtype
    # bfloat16 has 8 bits: the result may lose half a unit of the last, the sum of 49 nothing more.
    exact = involve_naive(x.double(), weight.double(), 7, 1)
    torch.testing.assert_close(out.double(), exact, rtol=tolerance, atol=1e-5)


@pytest.mark.parametrize(("size", "stride"), [(6, 1), (6, 2), (7, 2)])
def test_involution_layer_halves_upward(size, stride):
    out = Involution(32, 7, stride)(torch.randn(2, 32, size, size))
    assert out.shape == (2, 32, -(-size // stride), -(-size // stride))


def test_involution_layer_names_what_does_not_fit():
    with pytest.raises(ConfigError, match="24 channels"):
        Involution(24, 7)


@pytest.mark.parametrize(("in_channels", "parameters"), [(256, 13_564_670), (64, 13_509_374)])
def test_rednet_50_has_the_published_size(in_channels, parameters):
    # 13,491,806 with 3 channels, and 2,049,000 of the classifier, are the 15.54 M of Li et al. 2021, table 1.
    with torch.device("meta"):
        assert sum(p.numel() for p in RedNet(in_channels).parameters()) == parameters


@pytest.mark.parametrize("depth", [26, 38])
def test_rednet_gives_a_32nd_of_the_size(depth):
    net = RedNet(8, depth, 16)
    assert net(torch.randn(2, 8, 72, 50)).shape == (2, net.out_channels, 3, 2)
    assert net.out_channels == 512


def test_fresh_rednet_blocks_are_their_shortcuts():
    block = RedNet(8, 50, 16).layer1[1]
    x = torch.rand(2, 64, 5, 5)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(("depth", "width"), [(34, 64), (50, 24), (50, 0)])
def test_rednet_names_what_does_not_fit(depth, width):
    with pytest.raises(ConfigError, match="backbone: expected"):
        RedNet(8, depth, width)


@pytest.mark.parametrize("stride", [1, 2])
def test_involution_is_a_well_behaved_operator(stride):
    x, weight = example(3, stride, 6, 4)
    torch.library.opcheck(torch.ops.dfmvr.involve, (x, weight, 3, stride))


def test_involution_tells_that_it_has_no_second_derivative():
    x, weight = example(3, 1, 4, 4)
    (grad,) = torch.autograd.grad(involve(x, weight, 3).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="involve_backward"):
        grad.sum().backward()


@pytest.mark.parametrize("stride", [1, 2])
def test_involution_costs_a_multiplication_and_an_addition_a_tap(stride):
    x, weight = example(7, stride, 6, 6)
    counter = FlopCounterMode(display=False)
    with counter:
        out = involve(x, weight, 7, stride)
    assert counter.get_total_flops() == 2 * 49 * out.numel()
    with counter:
        out.sum().backward()
    assert counter.get_total_flops() == 4 * 49 * out.numel()
