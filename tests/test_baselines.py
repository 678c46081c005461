"""The baselines of Deng et al. and Shang et al.: networks, losses by hand, phases, one batch learnt by heart."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from toy_model import SIZES, toy_coefficients, toy_model
from toy_network import PAPERS_RESNET, SIZE, learn, sizes, torchvision_resnet, toy_batch

from dfmvr.config.training import (
    Deep3DSection,
    DengWeightsSection,
    ShangWeightsSection,
    SingleImageSection,
    TrainSection,
)
from dfmvr.errors import ConfigError, DataError
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.views import render_views
from dfmvr.networks import imagenet
from dfmvr.networks.deep3d import Deep3D, aggregate
from dfmvr.networks.heads import NetworkSizes
from dfmvr.networks.mgcnet import MGCNet
from dfmvr.networks.resnet import ResNet
from dfmvr.networks.training import cosine_rate
from dfmvr.train.methods import shang, single_image
from dfmvr.train.methods.deng import DengLossTerms, DengTraining
from dfmvr.train.methods.shang import ShangLossTerms, ShangTraining
from dfmvr.train.samples import Batch

BOTH = [DengTraining, ShangTraining]
TINY = {"backbone_width": 16, "depth": 14, "stem_pool": False, "neck": 64, "quick_start": True}
NETWORKS = {
    "deng": lambda: Deep3D(Deep3DSection(**TINY), sizes()),
    "deng, mean": lambda: Deep3D(Deep3DSection(**TINY, aggregation="mean"), sizes()),
    "shang": lambda: MGCNet(SingleImageSection(**TINY), sizes()),
}


def network(name, seed=0, spread=0.3):
    """A network whose heads are not all zero."""
    torch.manual_seed(seed)
    result = NETWORKS[name]()
    for head in result.regressor.heads.values():
        torch.nn.init.normal_(head.weight, std=spread)
    if getattr(result, "confidence", None) is not None:
        torch.nn.init.normal_(result.confidence.scores.weight, std=spread)
    return result


def training(kind, model=None, network=None, precision="float32", **weights):
    """The training of one of the two, under other weights of its losses."""
    settings = TrainSection(**{kind.kind: {"loss": weights}}, precision=precision)
    return kind(settings, network or torch.nn.Module(), model or toy_model(), None, SIZE)


def pictures(count=2, views=3, seed=0):
    return torch.rand(count, views, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def each_view(truth):
    """Coefficients of samples as those of each view."""
    one = (values[:, None].expand(-1, 3, -1) for values in truth[:3])
    return Coefficients(*one, *truth[3:])


@pytest.fixture(scope="module")
def evenly_lit():
    """Faces lit alike in all views, their coefficients, and the batch of their photographs."""
    model, truth = toy_model(), toy_coefficients(2)
    truth = truth._replace(lighting=torch.zeros_like(truth.lighting))
    views = render_views(model, truth, SIZE)
    masks, seen = views.alpha.long(), torch.ones(2, 3, dtype=torch.bool)
    points = views.vertices[:, model.landmarks_101]
    return model, truth, Batch(views.image, masks, 128 * views.alpha, views.landmarks, points, seen)


def test_the_regressor_has_257_outputs_for_a_basel_face_model():
    torch.manual_seed(0)
    found = Deep3D(Deep3DSection(**TINY), NetworkSizes(SIZE, 80, 64, 80))
    assert sum(head.out_features for head in found.regressor.heads.values()) == 257


def test_the_paper_s_regressor_is_resnet_50():
    with torch.device("meta"):
        found = MGCNet(PAPERS_RESNET, NetworkSizes(224, 80, 64, 80))
    parameters = sum(values.numel() for values in found.parameters())
    assert parameters == 23_508_032 + 257 * (2048 + 1)


def torchvision_answer(found, images, blocks=(1, 1, 1, 1)):
    """Mean of the last map of torchvision's ResNet, by hand, for RGB in [0, 1] with a border of 0.5."""
    mean, std = (torch.tensor(v, dtype=torch.double)[:, None, None] for v in (imagenet.MEAN, imagenet.STD))

    def layer(x, name, norm, stride=1, padding=0):
        x = F.conv2d(x, found[f"{name}.weight"], None, stride, padding)
        values = (found[f"{norm}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *values)

    x = (F.pad(images, (3, 3, 3, 3), value=0.5) - mean) / std
    x = F.max_pool2d(layer(x, "conv1", "bn1", 2).relu(), 3, 2, 1)
    for stage, count in enumerate(blocks):
        for block in range(count):
            place, stride = f"layer{stage + 1}.{block}", 2 if stage and not block else 1
            y = layer(x, f"{place}.conv1", f"{place}.bn1").relu()
            y = layer(y, f"{place}.conv2", f"{place}.bn2", stride, 1).relu()
            y = layer(y, f"{place}.conv3", f"{place}.bn3")
            kept = x if block else layer(x, f"{place}.downsample.0", f"{place}.downsample.1", stride)
            x = (y + kept).relu()
    return x.mean((-2, -1))


@pytest.mark.parametrize("kind", BOTH)
def test_a_baseline_starts_from_the_weights_of_imagenet(kind, tmp_path):
    found = torchvision_resnet()
    torch.save(found, tmp_path / "resnet.pth")
    section = {"network": PAPERS_RESNET.model_dump() | {"depth": 14, "backbone_width": 16}}
    section["imagenet_weights"] = tmp_path / "resnet.pth"
    settings = TrainSection(method=kind.kind, **{kind.kind: section})
    assert settings.files == [tmp_path / "resnet.pth"]
    start = kind.make_network(settings, sizes())
    kind.start(start, settings)
    backbone, images = start.regressor.backbone.double().eval(), pictures().double().flatten(0, 1)
    with torch.no_grad():
        answer = backbone(2 * images - 1).mean((-2, -1))
    torch.testing.assert_close(answer, torchvision_answer(found, images), rtol=1e-5, atol=1e-5)


def test_resnet_50_takes_torchvisions_tensors_and_no_others(tmp_path):
    path, blocks = tmp_path / "resnet.pth", (3, 4, 6, 3)
    torch.save({name: values.float() for name, values in torchvision_resnet(blocks, 64).items()}, path)
    imagenet.load_imagenet(ResNet(3), path)
    finer = ResNet(3, fine=8)
    fresh = finer.fine[0].weight.clone()
    imagenet.load_imagenet(finer, path)
    assert torch.equal(finer.fine[0].weight, fresh)
    with pytest.raises(DataError, match="not the weights of torchvision's ResNet") as error:
        imagenet.load_imagenet(ResNet(3, depth=26), path)
    assert "layer1.1" in str(error.value)
    with pytest.raises(DataError, match=r"no such file; imagenet_weights should name"):
        imagenet.load_imagenet(ResNet(3), tmp_path / "none.pth")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_fresh_network_answers_the_mean_face_from_the_front(name):
    torch.manual_seed(0)
    for answer in (NETWORKS[name]().eval()(pictures()), NETWORKS[name]().eval().per_view(pictures())):
        assert all((values == 0).all() for values in answer)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_shapes_of_the_answers(name):
    found = network(name).eval()
    per_view, whole = found.per_view(pictures()), found(pictures())
    k, e, t = SIZES.values()
    views = [(2, 3, 9, 3), (2, 3, 3), (2, 3, 3)]
    assert [tuple(values.shape) for values in per_view] == [(2, 3, k), (2, 3, e), (2, 3, t), *views]
    assert [tuple(values.shape) for values in whole] == [(2, k), (2, e), (2, t), *views]
    assert all(torch.equal(a, b) for a, b in zip(per_view[3:], whole[3:], strict=True))

    # Expression and texture are the front view's.
    assert torch.equal(whole.expression, per_view.expression[:, 1])
    assert torch.equal(whole.texture, per_view.texture[:, 1])
    if name == "shang":
        assert torch.equal(whole.identity, per_view.identity[:, 1])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_view_knows_nothing_of_the_others(name):
    found, images = network(name).eval(), pictures()
    changed = images.clone()
    changed[:, 0] = 0
    before, after = found.per_view(images), found.per_view(changed)
    for a, b in zip(before, after, strict=True):
        assert not torch.allclose(a[:, 0], b[:, 0], atol=1e-3)
        torch.testing.assert_close(a[:, 1:], b[:, 1:], atol=1e-5, rtol=1e-5)
    alone = found.per_view(images[:1, 2:])
    torch.testing.assert_close(alone.identity[0, 0], before.identity[0, 2], atol=1e-5, rtol=1e-5)


def test_aggregation_by_hand():
    identity = torch.tensor([[[1.0, 2.0], [4.0, -2.0], [0.0, 6.0]]])
    confidence = torch.tensor([[[1.0, 1.0], [2.0, 1.0], [1.0, 2.0]]])
    torch.testing.assert_close(aggregate(identity, confidence), torch.tensor([[9 / 4, 12 / 4]]))


def test_the_identity_of_a_set_is_weighted_by_c_net():
    found, images = network("deng").eval(), pictures() * torch.tensor([0.1, 0.5, 1.0]).view(3, 1, 1, 1)
    torch.nn.init.normal_(found.confidence.scores.weight, std=10)
    per_view, identity = found.image_set(images)
    features = found.regressor.features(images)
    confidence = found.confidence(features).unflatten(0, (2, 3))
    assert (confidence > 0).all()
    expected = (confidence * per_view.identity).sum(1) / confidence.sum(1)
    torch.testing.assert_close(found(images).identity, expected)
    torch.testing.assert_close(identity, expected)
    assert (expected - per_view.identity.mean(1)).abs().max() > 0.01


def test_the_order_of_a_set_does_not_matter():
    found, images = network("deng").eval(), pictures()
    turned = found.image_set(images.flip(1)).identity
    torch.testing.assert_close(found.image_set(images).identity, turned, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("fresh", [True, False])
def test_without_confidence_the_set_has_the_mean_identity(fresh):
    found = network("deng" if fresh else "deng, mean").eval()
    if fresh:
        torch.nn.init.zeros_(found.confidence.scores.weight)
    torch.testing.assert_close(found(pictures()).identity, found.per_view(pictures()).identity.mean(1))


def test_what_does_not_fit_is_an_error():
    for name in NETWORKS:
        with pytest.raises(DataError, match=r"expected images \(B, 3, 3, S, S\), found \(2, 2, 3, 48, 48\)"):
            network(name)(pictures(views=2))
        with pytest.raises(DataError, match=r"expected images \(B, V, 3, 48, 48\), found \(2, 3, 3, 24, 24\)"):
            network(name)(pictures()[..., ::2, ::2])
    with pytest.raises(ConfigError, match="32 px or more, found 16 px"):
        MGCNet(PAPERS_RESNET, sizes(16))


def test_landmark_loss_by_hand():
    target = torch.zeros(2, 68, 2)
    points = target.clone()
    points[0, 0] = torch.tensor([3.0, 4.0])
    points[1, 30] = torch.tensor([0.0, 2.0])
    found = single_image.squared_landmark_loss(points, target, DengTraining.emphasised_68, DengTraining.emphasis, 112)
    assert float(found) == pytest.approx((25 + 20 * 4) / (2 * 68) * 4)
    found = single_image.squared_landmark_loss(points, target, ShangTraining.emphasised_68, ShangTraining.emphasis, 224)
    assert float(found) == pytest.approx((25 + 5 * 4) / (2 * 68))


def test_photo_loss_counts_the_face_of_the_mask_that_is_drawn():
    photo, drawn = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    masks, coverage = torch.zeros(2, 4, 4, dtype=torch.long), torch.zeros(2, 4, 4)
    masks[0, 0], coverage[0, :, :2] = torch.tensor([1, 6, 9, 0]), 1
    drawn[0, :, 0, 0] = torch.tensor([0.3, 0.4, 0.0])
    drawn[0, :, 1] = 1.0  # drawn, but no face there
    drawn[0, :, 0, 2] = 1.0  # face, but not drawn
    drawn[1] = 1.0  # nothing drawn on a face
    found = single_image.face_photo_loss(drawn, photo, coverage, masks)
    assert float(found) == pytest.approx((0.5 / 2 + 0) / 2)


def test_a_view_alone_is_seen_as_among_others():
    model, truth = toy_model(), toy_coefficients(2)
    together = render_views(model, truth, SIZE)
    alone = render_views(model, single_image.as_samples(each_view(truth)), SIZE)
    torch.testing.assert_close(alone.image[:, 0].unflatten(0, (2, 3)), together.image, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(alone.landmarks[:, 0].unflatten(0, (2, 3)), together.landmarks)
    other = alone.alpha[:, 0].unflatten(0, (2, 3)) != together.alpha
    assert other.float().mean() < 1e-3  # another batch may round a rim the other way
    torch.testing.assert_close(alone.albedo.unflatten(0, (2, 3))[:, 0], model.albedo(truth.texture))
    unrendered = render_views(model, truth, SIZE, rendered=False)
    assert torch.equal(unrendered.landmarks, together.landmarks)
    assert unrendered.image is None


def test_the_front_view_is_the_target_of_both_sides():
    target, source = shang.pairs_of(torch.arange(6).view(2, 3))
    assert target.tolist() == [1, 4, 1, 4]
    assert source.tolist() == [0, 3, 2, 5]


@pytest.mark.parametrize("kind", BOTH)
def test_pixels_beside_the_face_do_not_count(kind, evenly_lit):
    model, truth, batch = evenly_lit
    system = training(kind, model)
    masks = batch.masks.clone()
    masks[..., : SIZE // 2] = 0
    painted = torch.where(masks[:, :, None] > 0, batch.images, 1.0)
    found = system.losses_of(each_view(truth), batch._replace(images=painted, masks=masks))
    assert float(found.photo) == pytest.approx(0, abs=1e-6)
    whole = system.losses_of(each_view(truth), batch._replace(images=painted))
    assert float(whole.photo) > 0.1


def test_the_weights_are_the_authors():
    weights = DengWeightsSection()
    assert (weights.photo, weights.landmark_2d, weights.regularisation) == (1.92, 1.6e-3, 3e-4)
    assert (weights.lighting, weights.albedo, weights.perceptual) == (10, 5, 0.2)
    assert (weights.identity, weights.expression, weights.texture) == (1, 0.8, 0.017)
    weights = ShangWeightsSection()
    assert (weights.photo, weights.landmark_2d, weights.shape, weights.expression) == (1.9, 1e-3, 1e-4, 0.8)
    assert weights.texture == pytest.approx(5.1e-7)
    assert (weights.multi_view, weights.pixel, weights.depth) == (1, 0.15, 1e-4)
    assert DengTraining.emphasised_68 == (28, 29, 30, 60, 61, 62, 63, 64, 65, 66, 67)
    assert ShangTraining.emphasised_68 == (*range(27, 36), *range(60, 68))


def left_out(losses):
    return [name for name, value in losses._asdict().items() if value.isnan()]


def test_deng_s_total_is_the_weighted_sum(evenly_lit):
    model, truth, batch = evenly_lit
    system = training(DengTraining, model)
    found = system.losses_of(each_view(truth._replace(texture=0 * truth.texture)), batch)
    assert found._fields == DengLossTerms._fields
    assert math.isnan(found.perceptual)
    expected = 1.92 * found.photo + 1.6e-3 * found.landmark_2d + 3e-4 * found.regularisation
    expected += 10 * found.lighting + 5 * found.albedo
    assert float(found.total) == pytest.approx(float(expected))
    squares = [float(values.square().sum(1).mean()) for values in truth[:2]]
    assert float(found.regularisation) == pytest.approx(squares[0] + 0.8 * squares[1])
    unrendered = system.losses_of(each_view(truth), batch._replace(landmarks=batch.landmarks + 1), rendered=False)
    assert left_out(unrendered) == ["photo", "lighting", "albedo", "perceptual"]
    expected = 1.6e-3 * unrendered.landmark_2d + 3e-4 * unrendered.regularisation
    assert float(unrendered.total) == pytest.approx(float(expected))
    assert float(unrendered.landmark_2d) == pytest.approx(2 * (224 / SIZE) ** 2 * (57 + 11 * 20) / 68, rel=1e-3)


def test_shang_s_total_is_the_weighted_sum(evenly_lit):
    model, truth, batch = evenly_lit
    system = training(ShangTraining, model, multi_view=2.0, epipolar=0.01)
    off = truth._replace(angles=truth.angles + torch.tensor([0.1, 0.0, 0.2])[:, None])
    found = system.losses_of(each_view(off), batch)
    assert found._fields == ShangLossTerms._fields
    single = 1.9 * found.photo + 1e-3 * found.landmark_2d + 1e-4 * found.shape + 5.1e-7 * found.texture
    agreement = 0.15 * found.pixel + 1e-4 * found.depth + 0.01 * found.epipolar
    assert float(found.total) == pytest.approx(float(single + 2 * agreement))
    unrendered = system.losses_of(each_view(off), batch, rendered=False)
    assert left_out(unrendered) == ["photo", "perceptual", "pixel", "depth"]
    single = 1e-3 * found.landmark_2d + 1e-4 * found.shape + 5.1e-7 * found.texture
    assert float(unrendered.total) == pytest.approx(float(single + 2 * 0.01 * found.epipolar))


def test_the_truth_agrees_with_itself_and_other_poses_do_not(evenly_lit):
    model, truth, batch = evenly_lit
    system = training(ShangTraining, model)
    right = system.losses_of(each_view(truth), batch)
    turned = truth.angles + torch.tensor([0.15, 0.0, -0.15])[:, None]
    wrong = system.losses_of(each_view(truth._replace(angles=turned)), batch)
    assert float(right.photo) == pytest.approx(0, abs=1e-6)
    assert float(right.landmark_2d) == pytest.approx(0, abs=1e-6)
    assert float(right.epipolar) < 1e-3
    assert float(wrong.epipolar) > 0.5
    assert float(right.pixel) < 0.5 * float(wrong.pixel)
    # half a millimetre: the toy's triangles of 4 mm, and pixels of 4.7 mm
    assert float(right.depth) < 0.5


def test_another_shape_in_one_view_disagrees_in_depth(evenly_lit):
    model, truth, batch = evenly_lit
    system = training(ShangTraining, model)
    per_view = each_view(truth)
    identity = per_view.identity.clone()
    identity[:, 0] += 3
    right, wrong = (system.losses_of(c, batch).depth for c in (per_view, per_view._replace(identity=identity)))
    assert float(wrong) > float(right) + 0.5


def test_depth_difference_by_hand():
    target = torch.tensor([[[10.0, 20.0], [99.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])
    carried = torch.tensor([[[10.0, 5.0], [1.0, 5.0]], [[1.0, 1.0], [1.0, 1.0]]])
    mask = torch.tensor([[[True, True], [False, False]], [[False, False], [False, False]]])
    # The scale is 30 / 15; |20 - 10| and |10 - 20|; the second pair sees nothing in common.
    assert float(shang.depth_difference(target, carried, mask)) == pytest.approx(10 / 2)


def test_views_with_nothing_in_common_do_not_break_the_gradient(evenly_lit):
    model, truth, batch = evenly_lit
    angles = truth.angles.clone()
    angles[:, 0, 1] = math.pi
    leaves = Coefficients(*(v.clone().requires_grad_() for v in each_view(truth._replace(angles=angles))))
    found = training(ShangTraining, model).losses_of(leaves, batch)
    found.total.backward()
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves)


@pytest.mark.parametrize("kind", BOTH)
def test_gradients_of_the_total_equal_finite_differences(kind, evenly_lit):
    _, truth, batch = evenly_lit
    batch = Batch(*(v.double() if v.is_floating_point() else v for v in batch))
    system = training(kind, toy_model().double())
    generator = torch.Generator().manual_seed(6)

    def noise(like):
        return torch.randn(like.shape, dtype=torch.float64, generator=generator)

    scales = (0.5, 0.5, 0.5, 0.05, 0.02, 1.0)
    start = [(v.double() + s * noise(v)) for v, s in zip(each_view(truth), scales, strict=True)]
    for index, scale in enumerate(scales):
        direction = scale * noise(start[index])

        def total(step, index=index, direction=direction):
            moved = [v + step * direction if i == index else v for i, v in enumerate(start)]
            return system.losses_of(Coefficients(*moved), batch).total

        step = torch.zeros((), dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(total(step), step)
        difference = (total(1e-6) - total(-1e-6)) / 2e-6
        assert float(slope) == pytest.approx(float(difference), rel=1e-3, abs=1e-6), Coefficients._fields[index]


class MeanColours(torch.nn.Module):
    """A toy embedding: the mean colour of each quarter, about grey."""

    def forward(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images - 0.5, 2).flatten(1)


def test_perceptual_loss_is_one_minus_the_cosine():
    images = torch.rand(3, 3, 20, 20)
    embed = MeanColours()
    assert float(single_image.perceptual_loss(embed, images, images)) == pytest.approx(0, abs=1e-6)
    assert float(single_image.perceptual_loss(embed, images, 1 - images)) == pytest.approx(2, abs=1e-5)
    half = torch.full((1, 3, 224, 224), 0.5)
    left, top = half.clone(), half.clone()
    left[..., :112], top[..., :112, :] = 1.0, 1.0
    assert float(single_image.perceptual_loss(embed, left, top)) == pytest.approx(1 - 0.5)
    glaring = torch.where(left == 1, 5.0, 0.75)  # the face may be lit more than a photograph can show
    assert float(single_image.perceptual_loss(embed, glaring, glaring.clamp(0, 1))) == pytest.approx(0, abs=1e-6)


def exported(module, path, size=224):
    rows = torch.export.Dim("rows", min=1, max=1024)
    torch.export.save(torch.export.export(module, (torch.zeros(4, 3, size, size),), dynamic_shapes=({0: rows},)), path)
    return path


def test_an_exported_embedding_takes_part_in_training(tmp_path, evenly_lit):
    model, truth, batch = evenly_lit
    path = exported(MeanColours().eval(), tmp_path / "embedding.pt2")
    for kind in BOTH:
        with_it, without = (training(kind, model, embedding=p) for p in (path, None))
        leaves = Coefficients(*(v.clone().requires_grad_() for v in each_view(truth)))
        inverted = batch._replace(images=1 - batch.images)
        found, plain = with_it.losses_of(leaves, inverted), without.losses_of(each_view(truth), inverted)
        assert float(found.perceptual.detach()) > 0.1
        expected = (plain.total + 0.2 * found.perceptual).detach()
        assert float(found.total.detach()) == pytest.approx(float(expected), rel=1e-5)
        (gradient,) = torch.autograd.grad(found.perceptual, leaves.texture)
        assert gradient.abs().sum() > 0


def test_an_embedding_that_cannot_be_used_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        single_image.load_embedding(tmp_path / "none.pt2")
    (tmp_path / "broken.pt2").write_bytes(b"not an archive")
    with pytest.raises(DataError, match=r"not a network that torch\.export wrote"):
        single_image.load_embedding(tmp_path / "broken.pt2")
    with pytest.raises(DataError, match=r"expected embeddings \(2, D\) of two images, found \(2, 3, 224, 224\)"):
        single_image.load_embedding(exported(torch.nn.ReLU(), tmp_path / "map.pt2"))


def test_the_last_steps_train_c_net_alone(evenly_lit):
    model, _, batch = evenly_lit
    found = network("deng", spread=0.05).train()
    system = training(DengTraining, model, found, confidence_share=0.4)
    optimiser = torch.optim.Adam(found.parameters(), 1e-3)
    states = []
    for step in range(5):
        states.append({name: values.clone() for name, values in found.state_dict().items()})
        system.phase(step, 5)
        optimiser.zero_grad()
        system.losses(batch).total.backward()
        optimiser.step()
    states.append(found.state_dict())
    for step, (before, after) in enumerate(itertools.pairwise(states)):
        for part in ("regressor", "confidence"):
            same = all(torch.equal(before[name], after[name]) for name in before if name.startswith(part))
            assert same == ((part == "regressor") == (step >= 3)), (step, part)
    # As a run that went on from a checkpoint would be.
    fresh = network("deng").train()
    training(DengTraining, model, fresh, confidence_share=0.4).phase(4, 5)
    assert not any(module.training for module in fresh.regressor.modules())


def test_the_rate_falls_in_each_phase_of_deng():
    system = training(DengTraining, network=network("deng"), confidence_share=0.25)
    rates = [system.rate(step, 8) for step in range(8)]
    assert rates == pytest.approx([cosine_rate(step, 6) for step in range(6)] + [1.0, 0.5])
    plain = training(DengTraining, network=network("deng, mean"))
    assert [plain.rate(step, 8) for step in range(8)] == [cosine_rate(step, 8) for step in range(8)]
    plain.phase(7, 8)
    assert plain.network.training


def test_c_net_learns_which_view_to_trust(evenly_lit):
    model, truth, batch = evenly_lit
    found = network("deng", spread=0.0).train()
    # R-Net as it may be: right about the front view, at odds with itself about the others.
    answers = each_view(truth)
    wrong = answers.identity + torch.tensor([4.0, 0.0, -2.0])[:, None]
    answers = answers._replace(identity=wrong)
    found.regressor.coefficients = lambda features, views: answers
    system = training(DengTraining, model, found, confidence_share=1.0, albedo=0.0)

    def losses(step):
        system.phase(step, 30)
        return system.losses(batch).total

    history = learn(found.confidence, losses, 30, 1e-2)
    assert history[-1] < 0.5 * history[0]
    identity = found.image_set(batch.images).identity
    assert (identity - truth.identity).abs().mean() < 0.5 * (wrong.mean(1) - truth.identity).abs().mean()


def test_both_phases_of_deng_run_shared_between_processes(evenly_lit, process_group):
    model, _, batch = evenly_lit
    for step in (0, 9):
        gradients = []
        for shared in (False, True):
            found = network("deng").train()
            wrap = torch.nn.parallel.DistributedDataParallel
            whole = wrap(found, broadcast_buffers=False, find_unused_parameters=True) if shared else found
            system = training(DengTraining, model, whole)
            system.phase(step, 10)
            system.losses(batch).total.backward()
            gradients.append({name: p.grad for name, p in found.named_parameters()})
        for name, alone in gradients[0].items():
            assert (alone is None) == (gradients[1][name] is None) == (name.startswith("regressor") == (step == 9))
            if alone is not None:
                torch.testing.assert_close(alone, gradients[1][name])


@pytest.mark.parametrize("kind", BOTH)
def test_bfloat16_stays_near_float32(kind, evenly_lit):
    model, _, batch = evenly_lit
    exact, rough = (
        float(training(kind, model, network(kind.kind, spread=0.02).eval(), precision).losses(batch).total.detach())
        for precision in ("float32", "bfloat16")
    )
    assert rough != exact
    assert rough == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize("kind", BOTH)
def test_one_batch_is_learnt_by_heart(kind, tmp_path):
    model, batch = toy_batch(tmp_path)
    tiny = TINY | {"stem_pool": True, "neck": 0, "quick_start": False}
    # The true coefficients themselves cost Deng et al.'s albedo and regularisation losses a twelfth of the start.
    deng = kind is DengTraining
    changes = {"network": tiny | {"aggregation": "mean"}, "loss": {"albedo": 0.0, "regularisation": 0.0}}
    settings = TrainSection(**{kind.kind: changes if deng else {"network": tiny}})
    torch.manual_seed(0)
    found = kind.make_network(settings, sizes()).train()
    system = kind(settings, found, model, None, SIZE)

    def losses(step):
        return system.losses(batch, rendered=step == 0 or step >= 55).total

    history = learn(found, losses, 110, 5e-3, system.rate)
    assert history[-1] < 0.1 * history[0]
