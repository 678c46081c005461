"""Diagrams of the networks: their blocks are those of a real pass, their weights those of the sum, all legible."""

import json

import pytest
import torch
import torch.nn.functional as F
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from test_structure import ROOT

from dfmvr import cli
from dfmvr.config.configuration import load
from dfmvr.conventions import VIEWS
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.losses import LossTarget, Prediction, overall_loss, total_loss
from dfmvr.networks.df_mvr import DFMVR
from dfmvr.networks.flow import IMAGES, MASKS, data_flow
from dfmvr.networks.heads import NetworkSizes
from dfmvr.networks.residual import FINER
from dfmvr.networks.tri_unet import TriUNet
from dfmvr.networks.unet import UNet
from dfmvr.released.losses import ReleasedLossTerms
from dfmvr.report import diagrams as command
from dfmvr.report.figures import diagrams
from dfmvr.train.batches import draw_single_views

TABLE_4 = {
    "v1": "dfmvr_cnn",
    "v2": "dfmvr_unet",
    "v3": "dfmvr_resnet",
    "v4": "dfmvr_without_mask",
    "v5": "dfmvr_without_l3d",
    "v6": "dfmvr",
}
SIZES = NetworkSizes(45, 5, 4, 3)  # of an odd size, which pooling rounds up


@pytest.fixture(scope="module")
def study():
    return load(None, [])


@pytest.fixture(scope="module")
def paper():
    return load(ROOT / "config" / "paper.yaml", [])


def network_of(study, name):
    torch.manual_seed(0)
    return DFMVR(study.variant(name).network, SIZES).eval()


class Calls(dict):
    """Calls the parts of a network one by one, and holds the shapes of what comes out by their names."""

    def one(self, module, name, *given):
        out = module(*given)
        self[name] = tuple(out.shape)
        return out

    def encoder(self, encoder, name, x):
        maps = []
        for i, level in enumerate(encoder.levels):
            maps.append(self.one(level, f"{name}.levels.{i}", F.max_pool2d(maps[-1], 2, ceil_mode=True) if i else x))
        return maps

    def decoder(self, decoder, maps):
        x = torch.cat([levels[-1] for levels in maps], 1)
        for k, level in enumerate(decoder):
            name, skips = f"fusion.decoder.{k}", [levels[-2 - k] for levels in maps]
            side = skips[0].shape[-1]
            x = self.one(level.up, f"{name}.up", x)[..., :side, :side]
            gates = enumerate(level.gates or [])
            gated = [self.one(gate, f"{name}.gates.{i}", x, skips[i]) for i, gate in gates]
            x = self.one(level.conv, f"{name}.conv", torch.cat([x, *(gated or skips)], 1))
        return x

    def fusion(self, fusion, views):
        if isinstance(fusion, TriUNet):
            encoders = enumerate(fusion.encoders)
            return self.decoder(
                fusion.decoder, [self.encoder(e, f"fusion.encoders.{i}", views[:, i]) for i, e in encoders]
            )
        if isinstance(fusion, UNet):
            seen = views[0] if fusion.late else views.flatten(1, 2)
            return self.decoder(fusion.decoder, [self.encoder(fusion.encoder, "fusion.encoder", seen)])
        x = views[0]
        for i, block in enumerate(fusion):
            x = self.one(block, f"fusion.{i}", x)
        return x

    def network(self, network):
        views = torch.rand(1, 3, network.fusion.in_channels, SIZES.image_size, SIZES.image_size)
        x = self.fusion(network.fusion, views)
        x = x.reshape(1, -1, *x.shape[-2:])
        maps = []
        for part in ("stem", "layer1", "layer2", "layer3", "layer4"):
            x = self.one(getattr(network.backbone, part), f"backbone.{part}", x)
            maps.append(x)
        if network.backbone.fine is not None:
            fine = self.one(network.backbone.fine, "backbone.fine", maps[2])
            whole = [FINER * side - found for side, found in zip(x.shape[-2:], fine.shape[-2:], strict=True)]
            x = torch.cat((x, F.pixel_unshuffle(F.pad(fine, (0, whole[1], 0, whole[0])), FINER)), 1)
        x = self.one(network.neck, "neck", x)
        for name, head in network.heads.items():
            self.one(head, f"heads.{name}", x)
        return self


@pytest.mark.parametrize("fusion", ["cnn", "unet", "unet_late", "tri_unet"])
@pytest.mark.parametrize(("last_concat", "fine"), [(True, 32), (False, 0)])
def test_the_blocks_are_those_of_a_real_pass(fusion, last_concat, fine):
    concat = json.dumps(last_concat)
    settings = load(None, [f"train.network={{fusion: {fusion}, last_concat: {concat}, fine: {fine}, width: 4}}"])
    network = network_of(settings, "dfmvr")
    blocks = data_flow(lambda: DFMVR(settings.train.network, SIZES), SIZES.image_size)
    assert {block.name: block.shape for block in blocks} == Calls().network(network)
    assert sum(block.parameters for block in blocks) == sum(p.numel() for p in network.parameters())
    modules = dict(network.named_modules())
    assert all(block.kind == type(modules[block.name]).__name__ for block in blocks)


def test_what_joins_tri_unet_is_what_the_paper_tells(study):
    """III-C: an encoder a view, pooled; the deepest features together; a gate a skip, beside the decoder's."""
    blocks = {block.name: block for block in data_flow(lambda: network_of(study, "dfmvr"), SIZES.image_size)}
    joins = {name: set(block.sources) for name, block in blocks.items()}
    encoders, decoder = [f"fusion.encoders.{e}.levels" for e in range(3)], "fusion.decoder"
    for encoder in encoders:
        assert joins[f"{encoder}.0"] == {IMAGES, MASKS}
        for level in range(1, 5):
            assert joins[f"{encoder}.{level}"] == {f"{encoder}.{level - 1}"}
            assert diagrams.passes(blocks[f"{encoder}.{level}"], f"{encoder}.{level - 1}", "MaxPool")
    assert joins[f"{decoder}.0.up"] == {f"{encoder}.4" for encoder in encoders}
    for k in range(4):
        if k:
            assert joins[f"{decoder}.{k}.up"] == {f"{decoder}.{k - 1}.conv"}
        for e, encoder in enumerate(encoders):
            assert joins[f"{decoder}.{k}.gates.{e}"] == {f"{decoder}.{k}.up", f"{encoder}.{3 - k}"}
        assert joins[f"{decoder}.{k}.conv"] == {f"{decoder}.{k}.up", *(f"{decoder}.{k}.gates.{e}" for e in range(3))}
    assert joins["backbone.stem"] == {f"{decoder}.3.conv"}


def test_joins_follow_the_data_and_not_the_names(study):
    network = network_of(study, "dfmvr")
    network.fusion.decoder[0].gates = None
    blocks = {block.name: set(block.sources) for block in data_flow(lambda: network.to("meta"), SIZES.image_size)}
    skips = {f"fusion.encoders.{e}.levels.3" for e in range(3)}
    assert blocks["fusion.decoder.0.conv"] == {"fusion.decoder.0.up", *skips}


def texts(figure):
    return [text.get_text() for text in figure.plane.texts]


def lines(figure):
    return {line for text in texts(figure) for line in text.split("\n")}


def drawn(study, name):
    blocks = command.blocks_of(study, name)
    return diagrams.overview(blocks, study.variant(name), 1000), diagrams.fusion(blocks)


def test_every_variant_of_table_4_has_a_drawing_of_its_own(study):
    found = {version: drawn(study, name) for version, name in TABLE_4.items()}
    assert len({tuple(sorted(texts(overview))) for overview, _ in found.values()}) == len(TABLE_4)
    whole = {version: lines(overview) for version, (overview, _) in found.items()}
    assert "(b) Tri-UNet" in whole["v6"]
    assert "(b) CNN" in whole["v1"]
    assert "(b) U-Net" in whole["v2"]
    assert "(c) ResNet-14" in whole["v3"]
    assert all("(c) RedNet-14" in whole[version] for version in TABLE_4 if version != "v3")
    assert {version for version in TABLE_4 if "mask" not in whole[version]} == {"v4"}
    assert {version for version in TABLE_4 if "3 × (3 × 64²)" in lines_of(found[version][0], "input")} == {"v4"}
    assert {version for version in TABLE_4 if "3D landmarks" not in whole[version]} == {"v5"}
    joined = {version for version in TABLE_4 if ("masks", "input") in arrows_of(found[version][0])}
    assert joined == TABLE_4.keys() - {"v4"}
    fusions = {version: tuple(texts(fusion)) for version, (_, fusion) in found.items()}
    assert len(set(fusions.values())) == 4  # v1, v2, v4 and the others
    assert fusions["v3"] == fusions["v5"] == fusions["v6"]


def lines_of(figure, first):
    """The lines of the box that begins with this one."""
    (found,) = [text.split("\n") for text in texts(figure) if text.startswith(f"{first}\n")]
    return found


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.network.width=4", ("4", "32 → 8", "fused\n16 × 64²")),
        ("train.network.last_concat=false", ("32 → 8", "fused\n8 × 64²")),
        ("align.image_size=96", ("96²", "6²", "fused\n32 × 96²")),
        ("train.network.face_mask=false", ("left\n3", "front\n3", "right\n3")),
        ("train.network.fusion=unet", ("3 views\n12", "64 → 32", "fused\n16 × 64²")),
    ],
)
def test_a_setting_changes_what_is_printed_of_the_fusion(study, override, expected):
    _, usual = drawn(study, "dfmvr")
    _, other = drawn(load(None, [override]), "dfmvr")
    assert set(expected) <= set(texts(other))
    assert not set(expected) <= set(texts(usual))


def test_depth_and_components_change_the_overview():
    other, _ = drawn(load(None, ["train.network.depth=26", "face_model.identity_components=33"]), "dfmvr")
    assert {"(c) RedNet-26", "identity 33"} <= lines(other)


def test_a_loss_weighs_what_it_adds_to_the_sum(study, paper):
    changed = load(None, ["train.loss={photo: 2.5, landmark: 0.5, landmark_2d: 0.04, landmark_3d: 3.0}"])
    terms = ("photo", "mask", "landmark_2d", "landmark_3d", "regularisation")
    for settings in (paper.train, changed.train, *(study.variant(name) for name in TABLE_4.values())):
        weights = diagrams.weights_of(settings)
        for term in terms:
            one = (torch.tensor(float(term == other)) for other in terms)
            assert overall_loss(*one, settings.loss).total.item() == pytest.approx(weights.get(term, 0.0))
    released = load(None, ["train.released={lighting: 10.0, albedo: 5.0}"])
    assert {"light × 10", "skin × 5", "Eq. 8 × 0.0003"} <= lines(drawn(released, "dfmvr")[0])
    assert set(diagrams.weights_of(released.train)) == set(ReleasedLossTerms._fields) - {"total"}


FED = {
    "images": "3 views",
    "masks": "masks",
    "weights": "masks",  # from which they are made
    "landmarks": "annotated",
    "landmarks_3d": "annotated",
}
ANSWERED = {
    "images": "renderings",
    "landmarks": "face model, Eq. 1,",
    "landmarks_3d": "face model, Eq. 1,",
    "coefficients": "identity 80",
}
"""The box that stands for a field of the target and of the prediction."""
PRINTED = ("photo", "mask", "2D landmarks", "3D landmarks", "coefficients")


def arrows_of(figure):
    """Pairs of boxes that an arrow joins, by the first lines in them."""
    patches = [patch.get_bbox() for patch in figure.plane.patches if isinstance(patch, Rectangle)]
    written = {text.get_position(): text.get_text().split("\n")[0] for text in figure.plane.texts}
    boxes = [(box, next(told for place, told in written.items() if box.contains(*place))) for box in patches]
    ends = [line.get_xydata()[[0, -1]] for line in figure.plane.lines]
    return {tuple(next(told for box, told in boxes if on_edge(place, box)) for place in pair) for pair in ends}


def test_arrows_lead_to_a_loss_from_what_changes_it(study):
    """What it is drawn to compare is what `total_loss` compares; the mask loss sees renderings through the parser."""
    random = torch.Generator().manual_seed(0)

    def some(*shape):
        return torch.rand(shape, generator=random)

    coefficients = Coefficients(some(2, 5), some(2, 4), some(2, 3), some(2, 3, 9, 3), some(2, 3, 3), some(2, 3, 3))
    answer = Prediction(some(2, 3, 3, 8, 8), torch.ones(2, 3, 8, 8), some(2, 3, 68, 2), some(2, 101, 3), coefficients)
    masks = torch.randint(1, 9, (2, 3, 8, 8), generator=random)
    known = LossTarget(some(2, 3, 3, 8, 8), masks, some(2, 3, 8, 8), some(2, 3, 68, 2), some(2, 101, 3))
    kernel = some(10, 3, 1, 1)

    def losses(answer, known):
        return torch.stack(total_loss(answer, known, lambda x: F.conv2d(x, kernel), study.train.loss)[:-1])

    def change(value):
        return Coefficients(*(2 * part for part in value)) if isinstance(value, tuple) else value.flip(-1, -2)

    usual, found = losses(answer, known), set()
    for field, box in FED.items():
        changed = losses(answer, known._replace(**{field: change(getattr(known, field))})) != usual
        found |= {(box, loss) for loss, differs in zip(PRINTED, changed, strict=True) if differs}
    for field, box in ANSWERED.items():
        changed = losses(answer._replace(**{field: change(getattr(answer, field))}), known) != usual
        found |= {(box, loss) for loss, differs in zip(PRINTED, changed, strict=True) if differs}
    arrows = arrows_of(drawn(study, "dfmvr")[0])
    assert ("renderings", "BiSeNet, fixed") in arrows
    told = {("renderings" if a == "BiSeNet, fixed" else a, b) for a, b in arrows if b in PRINTED}
    assert told == found


def test_the_inputs_are_as_frequent_as_they_are_drawn(study):
    share = study.variant("dfmvr_mixed").single_view_share
    figure = diagrams.inputs(share)
    boxes = [text for text in texts(figure) if "%" not in text]
    told = [float(text.split()[0]) / 100 for text in texts(figure) if "%" in text]
    forms = [tuple(box != "none" for box in boxes[i : i + 3]) for i in range(0, len(boxes), 3)]
    seen = draw_single_views(100_000, share, torch.Generator().manual_seed(0))
    drawn_forms, counts = seen.unique(dim=0, return_counts=True)
    found = dict(zip(map(tuple, drawn_forms.tolist()), (counts / len(seen)).tolist(), strict=True))
    assert found == pytest.approx(dict(zip(forms, told, strict=True)), abs=0.006)  # four standard deviations
    assert [box for box in boxes if box != "none"] == [*VIEWS, *VIEWS]


# --- how it is drawn


def every_figure(study):
    overviews = [drawn(study, name)[0] for name in TABLE_4.values()]
    return [*overviews, *(figure for _, figure, _ in command.figures(study))]


def within(inner, outer):
    return outer.x0 <= inner.x0 and inner.x1 <= outer.x1 and outer.y0 <= inner.y0 and inner.y1 <= outer.y1


def on_edge(place, box):
    x, y = place
    beside = min(abs(x - box.x0), abs(x - box.x1), abs(y - box.y0), abs(y - box.y1))
    return beside < 1e-6 and box.x0 - 1e-6 <= x <= box.x1 + 1e-6 and box.y0 - 1e-6 <= y <= box.y1 + 1e-6


@pytest.mark.parametrize("which", ["study", "paper"])
def test_boxes_stand_apart_text_fits_and_arrows_meet_boxes(which, request):
    for figure in every_figure(request.getfixturevalue(which)):
        figure.draw_without_rendering()
        inches = figure.dpi_scale_trans.inverted()
        boxes = [patch.get_bbox() for patch in figure.plane.patches if isinstance(patch, Rectangle)]
        legends = [legend.get_window_extent().transformed(inches) for legend in figure.legends]
        paper = Bbox.from_bounds(0, 0, *figure.get_size_inches())
        for i, box in enumerate([*boxes, *legends]):
            assert within(box, paper)
            assert not any(box.overlaps(other) for other in boxes[:i])
        for text in filter(Text.get_text, figure.plane.texts):
            extent = text.get_window_extent().transformed(inches)
            about = [box for box in boxes if box.overlaps(extent)] or [paper]
            assert [within(extent, box) for box in about] == [True], text.get_text()
        arrows = [line.get_xydata() for line in figure.plane.lines]
        assert len(arrows) == sum(isinstance(patch, FancyArrowPatch) for patch in figure.plane.patches)
        for places in arrows:
            assert any(on_edge(places[0], box) for box in boxes)
            assert any(on_edge(places[-1], box) for box in boxes)


def test_without_df_mvr_there_is_nothing_to_draw(tmp_path):
    tests = "study.tests={pixel_face: [mean_face, deng, floor]}"
    assert cli.main(["report", "diagrams", "--set", tests, "--output", str(tmp_path / "d")]) == 0
    assert [file.name for file in (tmp_path / "d").glob("[!.]*")] == ["figures.json"]
    assert json.loads((tmp_path / "d" / "figures.json").read_text()) == {}
