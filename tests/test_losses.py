"""Each loss against its closed form, its gradient against finite differences, and what it must not see."""

import math

import numpy as np
import pytest
import torch

from dfmvr.config.training import LossSection, ReleasedSection
from dfmvr.conventions import ALIGNMENT_IN_101
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.geometry.rotation import euler_to_rotmat
from dfmvr.geometry.similarity import fit_similarity
from dfmvr.losses import (
    NOSE_AND_INNER_MOUTH,
    LossTarget,
    Prediction,
    albedo_loss,
    landmark_2d_loss,
    landmark_3d_loss,
    lighting_loss,
    mask_loss,
    photo_loss,
    regularisation_loss,
    total_loss,
)
from dfmvr.networks.bisenet import BiSeNet
from dfmvr.released.losses import EYES, released_loss
from dfmvr.released.similarity import fit_as_released

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


def bright_is_skin(images):
    """A parser that takes for skin what is bright, for background what is black; of 10 classes."""
    logits = torch.full((len(images), 10, *images.shape[-2:]), -20.0)
    logits[:, 1] = 20 * (images.mean(1) - 0.5)
    logits[:, 0] = -logits[:, 1]
    return logits


@pytest.mark.parametrize(("uncovered", "costs"), [(False, 0.0), (True, 20 * 12 / 16)])
def test_a_face_drawn_too_small_costs_what_the_whole_mask_is_counted_for(uncovered, costs):
    """A face of 16 pixels in the photograph, of which four are drawn, bright on black."""
    prediction, target = example(8)
    masks = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    masks[:, :, 2:6, 2:6] = 1
    target = target._replace(masks=masks)
    for rows, expected in ((slice(2, 6), 0.0), (slice(3, 4), costs)):
        drawn = torch.zeros(2, 3, 8, 8, dtype=torch.bool)
        drawn[:, :, rows, 2:6] = True
        images = drawn[:, :, None].expand(-1, -1, 3, -1, -1).float()
        seen = prediction._replace(images=images, coverage=drawn)
        weights = LossSection(mask_uncovered=uncovered)
        assert total_loss(seen, target, bright_is_skin, weights).mask.item() == pytest.approx(expected, abs=1e-4)
        found = released_loss(seen, target, bright_is_skin, None, SKIN, weights, ReleasedSection())
        assert found.mask.item() == pytest.approx(expected, abs=1e-4)


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


@pytest.mark.parametrize(
    ("emphasised", "expected"),
    [
        (NOSE_AND_INNER_MOUTH, [*range(27, 36), *range(60, 68)]),
        (EYES, [28, 29, 30, *range(36, 48), *range(60, 68)]),
    ],
)
def test_landmark_2d_loss_emphasises(emphasised, expected):
    target = torch.zeros(1, 1, 68, 2)
    for i in range(68):
        moved = torch.eye(68)[i][None, None, :, None] * torch.tensor([3.0, 4.0])
        weight = 20 if i in expected else 1
        assert landmark_2d_loss(moved, target, 224, emphasised).item() == pytest.approx(5 * weight / 68)


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


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("align", [fit_similarity, fit_as_released])
def test_landmark_3d_loss_passes_gradcheck_through_the_alignment(align, mirrored):
    target = face_points(1) * torch.tensor([-1.0 if mirrored else 1.0, 1, 1])
    points = (face_points(1) + torch.randn(1, 101, 3, generator=generator(2))).requires_grad_()
    assert torch.autograd.gradcheck(lambda points: landmark_3d_loss(points, target, align), points)


# The released code's way with Eq. 5


def released_alignment_naive(source, target):
    """The released code's alignment of points (N, 3), step by step."""
    source_mean, target_mean = source.mean(0), target.mean(0)
    p, q = (source - source_mean).T, (target - target_mean).T
    u, _, vt = np.linalg.svd(q @ p.T)
    rotation = u @ vt
    if np.linalg.det(rotation) < 0:
        rotation[:, 2] *= -1
    scale = np.sqrt(np.mean(q**2)) / np.sqrt(np.mean(p**2))
    return scale, rotation, target_mean - scale * rotation @ source_mean


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_released_alignment_is_the_naive_one(mirrored):
    rng = np.random.default_rng(4)
    source = rng.normal(size=(5, 7, 3)) * 40
    target = source * [-1 if mirrored else 1, 1.0, 1] + rng.normal(size=(5, 7, 3)) * 5
    found = fit_as_released(torch.from_numpy(source), torch.from_numpy(target))
    for i in range(5):
        expected = released_alignment_naive(source[i], target[i])
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours[i], theirs, rtol=1e-9, atol=1e-9)


def test_the_released_scale_is_too_large_by_what_does_not_fit():
    source = face_points(1)[:, :7]
    noise = 20 * torch.randn(source.shape, generator=generator(6), dtype=torch.double)
    fitted, by_size = fit_similarity(source, source + noise), fit_as_released(source, source + noise)
    rest = ((fitted.apply(source) - source - noise).square().sum() / (source + noise).var(1, correction=0).sum()).item()
    # |q|^2 = |s R p|^2 + rest, so the ratio of the scales is the cosine of the angle between the two sets
    assert (fitted.scale / by_size.scale).item() == pytest.approx(math.sqrt(1 - rest / 7))
    assert fitted.scale < 0.97 * by_size.scale
    assert fit_as_released(source, 1.3 * source).scale.item() == pytest.approx(1.3)


def test_the_released_mending_of_a_reflection_is_a_rotation_but_not_the_nearest():
    source = face_points(1)[:, :7] * torch.tensor([0.1, 1.0, 2.0])  # flat in x, so that it is x to turn over
    target = source * torch.tensor([-1.0, 1, 1])
    least, third = fit_similarity(source, target), fit_as_released(source, target, rms_scale=False)
    assert torch.linalg.det(torch.cat((least.rotation, third.rotation))).tolist() == pytest.approx([1, 1])
    left_over = [(fit.apply(source) - target).square().sum().item() for fit in (least, third)]
    assert left_over[1] > 10 * left_over[0]


def test_without_a_reflection_the_two_mendings_are_one():
    source = face_points(3)[:, :7]
    target = source + torch.randn(3, 7, 3, generator=generator(7))
    for a, b in zip(fit_similarity(source, target), fit_as_released(source, target, rms_scale=False), strict=True):
        torch.testing.assert_close(a, b)


# Regularisation, Eq. 8, and the sum


def test_regularisation_is_the_weighted_sum_of_squares():
    loss = regularisation_loss(coefficients(identity=2, expression=-1, texture=3), LossSection())
    assert loss.item() == pytest.approx(8 * 4 + 0.8 * 5 * 1 + 0.017 * 7 * 9)


# The two terms that are not the paper's


def test_lighting_loss_is_the_mean_square_of_what_is_not_grey():
    lighting = torch.zeros(2, 3, 9, 3)
    lighting[..., 2, :] = 0.4  # grey
    assert lighting_loss(lighting).item() == pytest.approx(0, abs=1e-12)
    lighting[0, 0, 5] = torch.tensor([0.6, 0.0, 0.0])
    assert lighting_loss(lighting).item() == pytest.approx((0.4**2 + 2 * 0.2**2) / (2 * 3 * 9 * 3))


def test_albedo_loss_is_the_variance_of_each_face_and_view_over_its_skin():
    labels = torch.arange(10).repeat(5)
    skin = (labels == 1) | (labels == 6)
    even = torch.rand(2, 3, 1, 3, generator=generator()).expand(2, 3, 50, 3).clone()
    even[:, :, ~skin] = torch.rand(40, 3, generator=generator())
    assert albedo_loss(even, skin).item() == pytest.approx(0, abs=1e-12)
    halves = torch.where(labels == 6, 0.1, -0.1)[:, None] * torch.tensor([1.0, 0, 2])
    assert albedo_loss(even + halves, skin).item() == pytest.approx(0.01 + 0.04, rel=1e-4)


SKIN = torch.ones(20, dtype=torch.bool)


def example(size=32):
    """A prediction and a target that differ in everything."""
    rng = generator(3)
    images = torch.rand(2, 2, 3, 3, size, size, generator=rng)
    flat = torch.rand(2, 2, 3, 68, 2, generator=rng) * size
    masks = torch.randint(0, 10, (2, 3, size, size), generator=rng, dtype=torch.uint8)
    solid = face_points(4, torch.float32).view(2, 2, 101, 3)
    drawn = torch.ones(2, 3, size, size, dtype=torch.bool)
    prediction = Prediction(images[0], drawn, flat[0], solid[0], coefficients(1))
    return prediction, LossTarget(images[1], masks, torch.full_like(masks, 128), flat[1], solid[1])


def test_total_is_the_weighted_sum_of_the_terms():
    losses = total_loss(*example(), BiSeNet(10, 4).eval(), LossSection())
    photo, mask, landmark_2d, landmark_3d, regularisation, total = (each.item() for each in losses)
    assert min(photo, mask, landmark_2d, landmark_3d, regularisation) > 0
    expected = 4 * photo + 3 * mask + (0.02 * landmark_2d + landmark_3d) + 3e-4 * regularisation
    assert total == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["photo", "mask", "landmark_2d", "landmark_3d", "regularisation"])
def test_a_weight_of_zero_removes_its_term_and_no_other(name):
    parser, weights = BiSeNet(10, 4).eval(), LossSection()
    every = total_loss(*example(), parser, weights)
    without = total_loss(*example(), parser, weights.model_copy(update={name: 0.0}))
    share = getattr(weights, name) * getattr(every, name)
    rounding = 1e-6 * every.total.item()
    assert (every.total - without.total).item() == pytest.approx(share.item(), abs=rounding)


@pytest.mark.parametrize(("lighting", "albedo"), [(10.0, 0.0), (0.0, 5.0), (10.0, 5.0)])
def test_a_further_term_adds_its_share_and_no_other(lighting, albedo):
    prediction, target = example()
    light, colours = torch.rand(2, 3, 9, 3, generator=generator(8)), torch.rand(2, 1, 20, 3, generator=generator(9))
    prediction = prediction._replace(coefficients=prediction.coefficients._replace(lighting=light))
    plain = total_loss(prediction, target, None, LossSection())
    released = ReleasedSection(lighting=lighting, albedo=albedo)
    found = released_loss(prediction, target, None, colours, SKIN, LossSection(), released)
    assert found[:5] == plain[:5]
    expected = {
        "lighting": light.var(-1, correction=0).mean().item(),
        "albedo": colours.var(2, correction=0).sum(-1).mean().item(),
    }
    shares = 0.0
    for name, weight in (("lighting", lighting), ("albedo", albedo)):
        value = getattr(found, name).item()
        assert math.isnan(value) if weight == 0 else value == pytest.approx(expected[name], rel=1e-5)
        shares += weight * expected[name]
    assert (found.total - plain.total).item() == pytest.approx(shares, rel=1e-4)


def test_without_rendering_what_looks_at_images_is_left_out():
    prediction, target = example()
    prediction = prediction._replace(images=None, coverage=None)
    plain = total_loss(prediction, target, None, LossSection())
    assert [name for name, value in plain._asdict().items() if value.isnan()] == ["photo", "mask"]
    released = ReleasedSection(lighting=10.0, albedo=5.0)
    found = released_loss(prediction, target, None, None, SKIN, LossSection(), released)
    assert found.total == plain.total
    assert found.lighting.isnan()
    assert found.albedo.isnan()


def test_the_total_is_the_papers_sum_by_hand():
    """Constant errors, so that every term of the default losses is a number known beforehand."""
    photo = torch.full((2, 3, 3, 8, 8), 0.4)
    flat, solid = torch.full((2, 3, 68, 2), 4.0), face_points(2, torch.float32)
    far = solid.clone()
    far[:, [i for i in range(101) if i not in ALIGNMENT_IN_101], 1] += 2.0
    drawn = torch.ones(2, 3, 8, 8)
    prediction = Prediction(photo + 0.1, drawn, flat + torch.tensor([3.0, 4.0]) / 28, far, coefficients(1, 2, 3))
    target = LossTarget(photo, drawn.long(), 128 * drawn, flat, solid)

    def undecided(images):
        return torch.zeros(len(images), 10, 8, 8)

    losses = total_loss(prediction, target, undecided, LossSection())
    expected = {
        "photo": 0.1 * math.sqrt(3),
        "mask": math.log(10),
        "landmark_2d": 5 * (17 * 20 + 51) / 68,  # 5 / 28 px of 8 are 5 of 224
        "landmark_3d": 2 * 94 / 101,
        "regularisation": 8 * 1 + 0.8 * 5 * 4 + 0.017 * 7 * 9,
    }
    assert list(expected) == list(losses._fields[:-1])
    for name, value in expected.items():
        assert getattr(losses, name).item() == pytest.approx(value, rel=1e-5)
    weights = dict(zip(expected, (4.0, 3.0, 0.02, 1.0, 3e-4), strict=True))
    assert losses.total.item() == pytest.approx(sum(weights[name] * expected[name] for name in expected), rel=1e-5)


def mask_alone(detached):
    """Gradient of the mask loss in the rendered images, and its value."""
    torch.manual_seed(0)
    prediction, target = example()
    images = prediction.images.clone().requires_grad_()
    parser = BiSeNet(10, 4).eval().requires_grad_(False)
    weights = LossSection(photo=0.0, landmark=0.0, regularisation=0.0)
    released = ReleasedSection(detached_mask_loss=detached)
    losses = released_loss(
        prediction._replace(images=images), target, parser, None, torch.ones(20, dtype=torch.bool), weights, released
    )
    losses.total.backward()
    return images.grad, losses.mask


def test_the_released_mask_loss_is_a_number_without_a_gradient():
    gradient, loss = mask_alone(False)
    none, same = mask_alone(True)
    assert loss == same > 0
    assert gradient.any()
    assert not none.any()


def test_parser_is_not_called_for_a_mask_loss_without_weight():
    def parser(images):
        raise AssertionError("called")

    assert total_loss(*example(), parser, LossSection(mask=0.0)).mask == 0
    assert total_loss(*example(), None, LossSection()).mask == 0
