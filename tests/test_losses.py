"""Each loss against its closed form, its gradient against finite differences, and what it must not see."""

import dataclasses
import math

import pytest
import torch

from dfmvr.config import LossSection
from dfmvr.conventions import ALIGNMENT_IN_101
from dfmvr.geometry.rotation import euler_to_rotmat
from dfmvr.losses import (
    EMPHASISED_68,
    LossWeights,
    Prediction,
    Target,
    landmark_2d_loss,
    landmark_3d_loss,
    mask_loss,
    photo_loss,
    regularisation_loss,
    total_loss,
)
from dfmvr.networks import BiSeNet, Coefficients

ONES = torch.ones(1, 1, 4, 4)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def face_points(samples=2, dtype=torch.double):
    """Points of about a face's size, mm."""
    return 40 * torch.randn(samples, 101, 3, generator=generator(), dtype=dtype)


def coefficients(identity=0.0, expression=0.0, texture=0.0, samples=2):
    sizes = {"identity": (8, identity), "expression": (5, expression), "texture": (7, texture)}
    values = {name: torch.full((samples, size), float(value)) for name, (size, value) in sizes.items()}
    zeros = torch.zeros(samples, 3, 3)
    return Coefficients(**values, lighting=torch.zeros(samples, 3, 9, 3), angles=zeros, translation=zeros)


# Photo loss, Eq. 2


def test_photo_loss_of_a_constant_difference_is_its_length():
    photo = torch.rand(2, 3, 3, 8, 8, generator=generator())
    rendered = photo + torch.tensor([0.1, 0.2, -0.2]).view(3, 1, 1)
    weights = torch.rand(2, 3, 8, 8, generator=generator(1))
    loss = photo_loss(rendered, photo, torch.ones(2, 3, 8, 8), weights)
    assert loss.item() == pytest.approx(0.3, abs=1e-6)


def test_photo_loss_weighs_pixels_by_the_map():
    rendered, photo, weights = torch.zeros(1, 1, 3, 4, 4), torch.zeros(1, 1, 3, 4, 4), 32 * ONES.clone()
    photo[..., 0, 0, 0], weights[..., 0, 0] = 0.5, 254
    assert photo_loss(rendered, photo, ONES, weights).item() == pytest.approx(0.5 * 254 / (254 + 15 * 32))


def test_photo_loss_normalises_every_view_by_its_own_weights():
    photo = torch.zeros(1, 2, 3, 4, 4)
    photo[:, 0, 0] = 0.4
    coverage = torch.ones(1, 2, 4, 4)
    coverage[:, 0, 1:] = 0  # the view that is wrong covers a quarter of the pixels of the other
    assert photo_loss(torch.zeros_like(photo), photo, coverage, coverage + 1).item() == pytest.approx(0.2)


def test_photo_loss_sees_covered_pixels_alone():
    rendered = torch.rand(1, 1, 3, 4, 4, generator=generator()).requires_grad_()
    coverage = (torch.arange(16).view(1, 1, 4, 4) % 2).float()
    photo_loss(rendered, torch.zeros(1, 1, 3, 4, 4), coverage, ONES).backward()
    assert torch.equal((rendered.grad.abs().sum(2) > 0).float(), coverage)


def test_photo_loss_of_equal_images_and_of_no_pixels_is_zero_with_zero_gradient():
    photo = torch.rand(1, 1, 3, 4, 4, generator=generator())
    for rendered, coverage in ((photo, ONES), (photo + 0.1, 0 * ONES)):
        rendered = rendered.clone().requires_grad_()
        loss = photo_loss(rendered, photo, coverage, ONES)
        loss.backward()
        assert loss.item() == 0
        assert not rendered.grad.any()


def test_photo_loss_passes_gradcheck():
    rendered, photo = torch.rand(2, 2, 2, 3, 4, 4, generator=generator(), dtype=torch.double)
    weights = torch.rand(2, 2, 4, 4, generator=generator(), dtype=torch.double)
    inputs = (rendered.requires_grad_(), photo, (weights > 0.3).double(), weights)
    assert torch.autograd.gradcheck(photo_loss, inputs)


# Mask loss, Eq. 3


def test_mask_loss_of_a_parser_without_opinion_is_log_10():
    masks = torch.randint(1, 10, (2, 3, 4, 4), generator=generator())
    assert mask_loss(torch.zeros(2, 3, 10, 4, 4), masks).item() == pytest.approx(math.log(10))


def test_mask_loss_of_a_sure_and_right_parser_is_zero():
    masks = torch.randint(0, 10, (2, 3, 4, 4), generator=generator(), dtype=torch.uint8)
    logits = 50 * torch.nn.functional.one_hot(masks.long(), 10).movedim(-1, 2).float()
    assert mask_loss(logits, masks).item() == pytest.approx(0, abs=1e-6)


def test_mask_loss_sees_the_covered_face_alone():
    logits = torch.randn(1, 1, 10, 4, 4, generator=generator()).requires_grad_()
    masks = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    masks[..., :2] = 3
    coverage = torch.zeros(1, 1, 4, 4)
    coverage[:, :, :2] = 1
    mask_loss(logits, masks, coverage).backward()
    assert torch.equal(logits.grad.abs().sum(2) > 0, (masks > 0) & (coverage > 0))


def test_mask_loss_reaches_the_rendered_image_through_a_frozen_parser():
    parser = BiSeNet(10, 4, 4).eval().requires_grad_(False)
    images = torch.rand(1, 3, 32, 32, generator=generator()).requires_grad_()
    mask_loss(parser(images)[None], torch.ones(1, 1, 32, 32)).backward()
    assert images.grad.any()
    assert all(p.grad is None for p in parser.parameters())


# 2D landmarks, Eq. 4


@pytest.mark.parametrize("size", [96, 224])
def test_landmark_2d_loss_counts_pixels_of_the_reference_image(size):
    target = torch.rand(2, 3, 68, 2, generator=generator()) * size
    shift = torch.tensor([3.0, -4.0]) * size / 224
    expected = 5 * (17 * 20 + 51) / 68
    assert landmark_2d_loss(target + shift, target, size).item() == pytest.approx(expected, rel=1e-5)


def test_landmark_2d_loss_emphasises_nose_and_inner_mouth():
    target = torch.zeros(1, 1, 68, 2)
    shares = [landmark_2d_loss(torch.eye(68)[i][None, None, :, None] * torch.ones(2), target, 224) for i in range(68)]
    heavy = [i for i, share in enumerate(shares) if share > 10 * shares[0]]
    assert heavy == list(EMPHASISED_68) == [*range(27, 36), *range(60, 68)]


def test_landmark_losses_have_no_nan_at_a_perfect_answer():
    flat, solid = torch.rand(1, 3, 68, 2).requires_grad_(), face_points().requires_grad_()
    (landmark_2d_loss(flat, flat.detach(), 96) + landmark_3d_loss(solid, solid.detach())).backward()
    assert flat.grad.isfinite().all()
    assert solid.grad.isfinite().all()


# 3D landmarks, Eqs. 5 and 6


def test_landmark_3d_loss_does_not_see_a_similarity():
    points = face_points()
    rotation = euler_to_rotmat(torch.tensor([0.3, -0.7, 0.2], dtype=torch.double))
    moved = 1.3 * points @ rotation.T + torch.tensor([5.0, -80, 900])
    assert landmark_3d_loss(moved, points).item() == pytest.approx(0, abs=1e-9)


def test_landmark_3d_loss_is_the_mean_distance_in_mm():
    points = face_points()
    rest = [i for i in range(101) if i not in ALIGNMENT_IN_101]
    moved = points.clone()
    moved[:, rest] += torch.tensor([2.0, -1, 2])  # 3 mm; the seven, hence the alignment, stay
    assert landmark_3d_loss(moved, points).item() == pytest.approx(3 * 94 / 101)


def test_landmark_3d_loss_leaves_out_samples_without_landmarks():
    points, target = face_points(3).requires_grad_(), face_points(3) + torch.randn(3, 101, 3, generator=generator(5))
    alone = landmark_3d_loss(points[:1], target[:1])
    target[1], target[2, 4, 0] = math.nan, math.nan
    loss = landmark_3d_loss(points, target)
    loss.backward()
    assert loss.item() == pytest.approx(alone.item())
    assert points.grad.isfinite().all()
    assert points.grad[0].any()
    assert not points.grad[1:].any()


def test_landmark_3d_loss_of_no_sample_is_zero():
    points = face_points().requires_grad_()
    loss = landmark_3d_loss(points, torch.full_like(points, math.nan))
    loss.backward()
    assert loss.item() == 0
    assert not points.grad.any()


def test_landmark_3d_loss_passes_gradcheck_through_the_alignment():
    target = face_points(1)
    points = (target + torch.randn(1, 101, 3, generator=generator(2))).requires_grad_()
    assert torch.autograd.gradcheck(lambda points: landmark_3d_loss(points, target), points)


# Regularisation, Eq. 8, and the sum


def test_regularisation_is_the_weighted_sum_of_squares():
    loss = regularisation_loss(coefficients(identity=2, expression=-1, texture=3), LossWeights())
    assert loss.item() == pytest.approx(8 * 4 + 0.8 * 5 * 1 + 0.017 * 7 * 9)


def example(size=32):
    """A prediction and a target that differ in everything."""
    rng = generator(3)
    images = torch.rand(2, 2, 3, 3, size, size, generator=rng)
    flat = torch.rand(2, 2, 3, 68, 2, generator=rng) * size
    masks = torch.randint(0, 10, (2, 3, size, size), generator=rng, dtype=torch.uint8)
    solid = face_points(4, torch.float32).view(2, 2, 101, 3)
    prediction = Prediction(
        images[0], torch.ones(2, 3, size, size, dtype=torch.bool), flat[0], solid[0], coefficients(1)
    )
    return prediction, Target(images[1], masks, torch.full_like(masks, 128), flat[1], solid[1])


def test_total_is_the_weighted_sum_of_the_terms():
    losses = total_loss(*example(), BiSeNet(10, 4).eval(), LossWeights())
    photo, mask, landmark_2d, landmark_3d, regularisation, total = (each.item() for each in losses)
    assert min(photo, mask, landmark_2d, landmark_3d, regularisation) > 0
    expected = 4 * photo + 3 * mask + (0.02 * landmark_2d + landmark_3d) + 3e-4 * regularisation
    assert total == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["photo", "mask", "landmark_2d", "landmark_3d", "regularisation"])
def test_a_weight_of_zero_removes_its_term_and_no_other(name):
    parser, weights = BiSeNet(10, 4).eval(), LossWeights()
    every = total_loss(*example(), parser, weights)
    without = total_loss(*example(), parser, dataclasses.replace(weights, **{name: 0.0}))
    share = getattr(weights, name) * getattr(every, name)
    rounding = 1e-6 * every.total.item()
    assert (every.total - without.total).item() == pytest.approx(share.item(), abs=rounding)


def test_parser_is_not_called_for_a_mask_loss_without_weight():
    def parser(images):
        raise AssertionError("called")

    assert total_loss(*example(), parser, dataclasses.replace(LossWeights(), mask=0.0)).mask == 0
    assert total_loss(*example(), None, LossWeights()).mask == 0


def test_default_weights_are_the_configurations():
    assert dataclasses.asdict(LossWeights()) == LossSection().model_dump()
