"""Diagrams after the paper's Figs. 1, 3 and 8, drawn from the blocks of the network (`networks.flow`) and the settings.

Places are in inches from the lower left corner. A map is written as its channels and its side in px, 8 × 64².
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle
from matplotlib.path import Path

from dfmvr.conventions import VIEWS
from dfmvr.networks.flow import IMAGES, MASKS, NetworkBlock
from dfmvr.report.figures.style import styled

if TYPE_CHECKING:
    from dfmvr.config.training import TrainSection

LINE, POOLED, BORDER = "#444444", "#b3261e", "#777777"
DATA, LEARNT, FIXED, LOSS, UNSEEN = "#f7f7f7", "#d3e3f3", "#e4e4e4", "#fbe3e0", "#000000"
OF_VIEW = dict(zip(VIEWS, ("#0b5394", "#00795a", "#d55e00"), strict=True))
KINDS = {
    "DoubleConv": (LEARNT, "two 3 × 3 convolutions"),
    "ConvTranspose2d": ("#d5eed9", "transposed convolution"),
    "AttentionGate": ("#fbd08a", "attention gate"),
    "Identity": (FIXED, "concatenation"),
}
"""Blocks of the fusion: how they are filled, and what the legend calls them."""


class Box(NamedTuple):
    """A drawn box, by its centre and size."""

    x: float
    y: float
    width: float
    height: float

    def at(self, across: float, up: float) -> tuple[float, float]:
        """A place on it: -1 is its left or lower edge, 1 the right or upper one."""
        return self.x + across * self.width / 2, self.y + up * self.height / 2


class Drawing(Figure):
    """A figure of boxes and arrows."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height))
        self.plane = self.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
        self.plane.set_axis_off()

    def box(self, box: Box, fill: str, *lines: str) -> Box:
        """Draw a box with lines of text in it, white where it is black."""
        corner = box.at(-1, -1)
        look = {"facecolor": fill, "edgecolor": BORDER, "linewidth": 0.8, "zorder": 3}
        self.plane.add_patch(Rectangle(corner, box.width, box.height, **look))
        self.write(box.x, box.y, *lines, colour="white" if fill == UNSEEN else "black")
        return box

    def write(self, x: float, y: float, *lines: str, colour: str = "black") -> None:
        """Write lines of text about a place."""
        look = {"ha": "center", "va": "center", "fontsize": 7, "linespacing": 1.25, "color": colour, "zorder": 4}
        self.plane.text(x, y, "\n".join(lines), **look)

    def chain(self, *boxes: Box) -> None:
        """Draw arrows from each box to the next."""
        for start, end in pairwise(boxes):
            self.arrow(*_way(start, end))

    def arrow(self, *places: tuple[float, float], colour: str = LINE) -> None:
        """Draw an arrow along some places, with a gap about it where it passes over others."""
        self.plane.plot(*zip(*places, strict=True), color="white", linewidth=3, zorder=2)
        look = {"arrowstyle": "-|>", "mutation_scale": 6, "color": colour, "linewidth": 1.0, "joinstyle": "miter"}
        self.plane.add_patch(FancyArrowPatch(path=Path(places), zorder=2, **look))


def map_of(shape: tuple[int, ...]) -> str:
    """What is printed of the shape (N, C, H, W) of a map, or (N, C) of features; N where it is not 1."""
    one = " × ".join([str(shape[1]), *(f"{side}²" for side in shape[3:])])
    return one if shape[0] == 1 else f"{shape[0]} × ({one})"


def count(number: int) -> str:
    """A number of parameters in print."""
    return f"{number / 1e6:.1f} M" if number >= 1e6 else f"{number / 1e3:.0f} k"


def passes(block: NetworkBlock, source: str, operation: str) -> bool:
    """Whether what a block takes from a source passes an operation, named by the beginning of its name."""
    return any(name.startswith(operation) for name in block.sources[source])


TRACK, LABELS, ENCODER, GATES, DECODER = 0.18, 0.5, 0.62, 0.45, 1.2
"""Height of a skip's way through a row, and widths of the columns of a fusion: sizes, an encoder, gates, decoder."""
HEAD, FOOT, FLAT = 0.54, 0.56, 0.155
"""Heights above and below the rows, and of a block that takes one map."""


class _Rows:
    """Where the blocks of a fusion stand: a row a level, in it a way for each encoder's skip, and one for the decoder.

    Args:
        parts: the blocks by name, those of a decoder within `.decoder`.
    """

    def __init__(self, parts: dict[str, NetworkBlock]) -> None:
        chains: dict[str, list[NetworkBlock]] = {}
        for name, block in parts.items():
            if ".decoder." not in name:
                chains.setdefault(name.rpartition(".")[0], []).append(block)
        self.chains = list(chains.values())
        self.count, self.ways = max(map(len, self.chains)), len(self.chains)
        self.decodes = any(".decoder." in name for name in parts)
        self.step = TRACK * (self.ways + (2.2 if self.decodes else 0.6))
        gated = any(".gates." in name for name in parts)
        self.middle = LABELS + ENCODER * self.ways + GATES * gated
        self.height = HEAD + self.step * (self.count - 1) + TRACK * self.ways + FOOT

    def way(self, row: int, track: float) -> float:
        """Height of a skip's way."""
        return self.height - HEAD - self.step * row - TRACK * (track + 0.5)

    def joined(self, row: int) -> Box:
        """What takes all skips of a row."""
        middle = self.way(row, self.ways / 2 - 0.5)
        return Box(self.middle + DECODER / 2, middle, 0.84, TRACK * self.ways - 0.045)

    def place(self, name: str) -> Box:
        """Where a block stands, by its name."""
        _, decodes, place = name.partition(".decoder.")
        if not decodes:
            track, row = next(
                (t, r) for t, chain in enumerate(self.chains) for r, b in enumerate(chain) if b.name == name
            )
            return Box(LABELS + ENCODER * (track + 0.5), self.way(row, track), 0.44, FLAT)
        level, part, *gate = place.split(".")
        row = self.count - 2 - int(level)
        if gate:
            return Box(self.middle - 0.2, self.way(row, int(gate[0])), 0.16, 0.11)
        whole = self.joined(row)
        return whole._replace(y=self.way(row, self.ways + 0.45), height=FLAT) if part == "up" else whole


@styled()
def fusion(blocks: Sequence[NetworkBlock]) -> Figure:
    """The fusion of the views after Fig. 3: every block with its channels, a row for every level.

    Args:
        blocks: what `data_flow` gives for DF-MVR.
    """
    parts = {block.name: block for block in blocks if block.name.startswith("fusion.")}
    after = next(block for block in blocks if block.name not in parts)
    rows = _Rows(parts)
    drawing = Drawing(max(rows.middle + DECODER + 0.1, 3.1), rows.height)
    places = {name: rows.place(name) for name in parts}
    drawing.write(0.25, rows.height - 0.2, "maps,", "px")
    for row, block in enumerate(rows.chains[0]):
        drawing.write(0.25, rows.joined(row).y, f"{block.shape[-1]}²")
    for track, (block, *_) in enumerate(rows.chains):
        above = Box(places[block.name].x, rows.height - 0.2, 0.54, 0.33)
        drawing.chain(drawing.box(above, DATA, *_seen(block, track, rows.ways)), places[block.name])
    joins = False
    for name, block in parts.items():
        drawing.box(places[name], KINDS[block.kind][0], _channels(block))
        sources, target = [source for source in block.sources if source in parts], places[name]
        if block.kind == "ConvTranspose2d" and len(sources) > 1:
            joins, target = True, drawing.box(rows.joined(rows.count - 1), KINDS["Identity"][0], str(block.given[1]))
            drawing.chain(target, places[name])
        for source in sources:
            colour = POOLED if passes(block, source, "MaxPool") else LINE
            drawing.arrow(*_way(places[source], target), colour=colour)
    (last,) = after.sources
    beside = rows.height - 0.2 if rows.decodes else rows.joined(rows.count - 1).y
    end = drawing.box(Box(rows.middle + DECODER / 2, beside, 1.0, 0.33), DATA, "fused", map_of(after.given))
    drawing.chain(places[last], end)
    _legend(drawing, list(parts.values()), joins)
    return drawing


def _seen(block: NetworkBlock, track: int, tracks: int) -> tuple[str, str]:
    """What goes into an encoder, and its channels."""
    view = VIEWS[track] if tracks > 1 else f"{len(VIEWS)} views"
    return view, f"each {block.given[1]}" if block.given[0] > 1 else str(block.given[1])


def _channels(block: NetworkBlock) -> str:
    """What is printed in a block of the fusion: the channels that come out, of a joint one also those that go in."""
    if block.kind == "AttentionGate":
        return ""
    joint = block.kind == "DoubleConv" and len(block.sources) > 1 and ".decoder." in block.name
    return f"{block.given[1]} → {block.shape[1]}" if joint else str(block.shape[1])


def _way(start: Box, end: Box) -> list[tuple[float, float]]:
    """How an arrow runs: straight up, down or aside, or round a corner, into the end from below."""
    if abs(start.x - end.x) < 0.01:
        up = 1 if end.y > start.y else -1
        return [start.at(0, up), end.at(0, -up)]
    ahead = 1 if end.x > start.x else -1
    if abs(start.y - end.y) < end.height / 2:
        return [start.at(ahead, 0), (end.at(-ahead, 0)[0], start.y)]
    return [start.at(ahead, 0), (end.x, start.y), end.at(0, -1)]


def _legend(drawing: Drawing, parts: Sequence[NetworkBlock], joined: bool) -> None:
    """Tell the kinds of blocks, with their parameters, and of arrows that there are."""
    signs: list[Artist] = []
    for kind in dict.fromkeys([*(block.kind for block in parts), *["Identity"] * joined]):
        label = KINDS[kind][1]
        if kind != "Identity":
            label += f", {parameters(block for block in parts if block.kind == kind)}"
        signs.append(Patch(facecolor=KINDS[kind][0], edgecolor=BORDER, label=label))
    if any(passes(block, source, "MaxPool") for block in parts for source in block.sources):
        signs.append(Line2D([], [], color=POOLED, marker=">", markersize=4, label="max pooling"))
    place = {"loc": "lower left", "bbox_to_anchor": (0.1, 0.02), "bbox_transform": drawing.dpi_scale_trans}
    drawing.legend(handles=signs, ncols=2, fontsize=6.5, handlelength=1.4, columnspacing=1, borderpad=0, **place)


FUSIONS = {"cnn": "CNN", "unet": "U-Net", "unet_late": "U-Net", "tri_unet": "Tri-UNet"}
BACKBONES = {"rednet": "RedNet", "resnet": "ResNet"}
"""Printed names of what the settings name."""
PRIORS = {
    "regularisation": ("coefficients", "Eq. 8 × {:g}"),
    "lighting": ("light × {:g}",),
    "albedo": ("skin × {:g}",),
}
"""What is printed of the losses that compare with nothing."""
TOP, MIDDLE, LOW = 3.05, 1.85, 0.42
"""Heights of the rows of the overview: what is given, losses, what is rendered."""


def parameters(blocks: Iterable[NetworkBlock]) -> str:
    """The number of parameters of some blocks in print."""
    return count(sum(block.parameters for block in blocks))


def weights_of(settings: TrainSection) -> dict[str, float]:
    """What each loss counts in the sum, by its name; those that count nothing are left out."""
    loss, released = settings.loss, settings.released
    weights = {
        "photo": loss.photo,
        "mask": loss.mask,
        "landmark_2d": loss.landmark * loss.landmark_2d,
        "landmark_3d": loss.landmark * loss.landmark_3d,
        "regularisation": loss.regularisation,
        "lighting": released.lighting,
        "albedo": released.albedo,
    }
    return {name: weight for name, weight in weights.items() if weight > 0}


@styled()
def overview(blocks: Sequence[NetworkBlock], settings: TrainSection, parser_parameters: int) -> Figure:
    """The whole method after Fig. 1: from views and masks over network and renderer to the losses and their weights.

    Args:
        blocks: what `data_flow` gives for DF-MVR.
        settings: what it is trained by.
        parser_parameters: of the face parse net.
    """
    drawing, network, views = Drawing(7.2, 3.6), settings.network, len(VIEWS)
    begun = [block for block in blocks if IMAGES in block.sources]
    fused, stages, (neck,), heads = (
        [block for block in blocks if block.name.startswith(part)] for part in ("fusion", "backbone", "neck", "heads")
    )
    side = begun[0].given[-1]
    together = map_of((sum(block.given[0] for block in begun), *begun[0].given[1:]))
    parser = ("BiSeNet, fixed", count(parser_parameters))

    photos = drawing.box(Box(0.62, TOP, 1.0, 0.5), DATA, f"{views} views", f"{views} × (3 × {side}²)")
    parse = drawing.box(Box(1.85, TOP, 1.05, 0.4), FIXED, f"(a) {parser[0]}", *parser[1:])
    masks = drawing.box(Box(3.02, TOP, 0.95, 0.5), DATA, "masks", f"{views} × (1 × {side}²)")
    given = drawing.box(Box(4.1, TOP, 0.85, 0.5), DATA, "input", together)
    lines = (f"(b) {FUSIONS[network.fusion]}", parameters(fused), f"→ {map_of(stages[0].given)}")
    fuse = drawing.box(Box(5.2, TOP, 0.95, 0.6), LEARNT, *lines)
    lines = (f"(c) {BACKBONES[network.backbone]}-{network.depth}", parameters(stages))
    signs = ("+" if stage.name.endswith(".fine") else "→" for stage in stages)  # the neck sees both
    maps = (f"{sign} {map_of(stage.shape)}" for sign, stage in zip(signs, stages, strict=True))
    regress = drawing.box(Box(6.55, 2.83, 1.1, 1.2), LEARNT, *lines, *maps)
    lines = (f"linear → {neck.shape[1]}", count(neck.parameters)) if neck.parameters else (f"mean → {neck.shape[1]}",)
    reduced = drawing.box(Box(6.55, 1.78, 1.1, 0.4), LEARNT, *lines)
    lines = ("linear heads", parameters(heads))
    answer = drawing.box(Box(6.55, 1.28, 1.1, 0.36), LEARNT, *lines)
    lines = tuple(f"{head.name.partition('.')[2]} {head.shape[1]}" for head in heads)
    found = drawing.box(Box(6.55, 0.52, 1.1, 0.92), DATA, *lines)
    model = drawing.box(Box(4.95, LOW, 1.2, 0.5), FIXED, "face model, Eq. 1,", f"posed in {views} views")
    render = drawing.box(Box(3.83, LOW, 0.65, 0.4), FIXED, "renderer")
    drawn = drawing.box(Box(1.72, LOW, 3.2, 0.5), DATA, "renderings", f"{views} × (3 × {side}²)")

    drawing.arrow(photos.at(0, 1), (photos.x, 3.5), (given.x, 3.5), given.at(0, 1))
    drawing.chain(photos, parse, masks, *([given] if MASKS in begun[0].sources else []))
    drawing.chain(given, fuse, regress, reduced, answer, found)
    drawing.arrow((found.at(-1, 0)[0], LOW), model.at(1, 0))
    drawing.chain(model, render, drawn)
    _losses(drawing, weights_of(settings), (photos, masks, drawn, model, found), parser)
    return drawing


def _losses(drawing: Drawing, weights: dict[str, float], boxes: Sequence[Box], parser: Sequence[str]) -> None:
    """The losses that count, between what is given and what is rendered, with arrows from what each compares."""
    photos, masks, drawn, model, answers = boxes

    def loss(name: str, x: float, told: str, equation: str) -> Box:
        return drawing.box(Box(x, MIDDLE, 0.76, 0.38), LOSS, told, f"{equation} × {weights[name]:g}")

    if "photo" in weights:
        photo = loss("photo", photos.x, "photo", "Eq. 2")
        drawing.arrow(photos.at(0, -1), photo.at(0, 1))
        drawing.arrow((photo.x, drawn.at(0, 1)[1]), photo.at(0, -1))
        drawing.arrow((2.82, masks.at(0, -1)[1]), (2.82, 2.5), (0.85, 2.5), (0.85, photo.at(0, 1)[1]))
        drawing.write(1.85, 2.58, "weight of every pixel")
    if "mask" in weights:
        mask = loss("mask", masks.x, "mask", "Eq. 3")
        parse = drawing.box(Box(masks.x, 1.18, 0.95, 0.4), FIXED, *parser)
        drawing.arrow((parse.x, drawn.at(0, 1)[1]), parse.at(0, -1))
        drawing.chain(masks, mask)
        drawing.chain(parse, mask)
    for name, x, equation in (("landmark_2d", 3.87, "Eq. 4"), ("landmark_3d", 4.72, "Eq. 6")):
        if name in weights:
            found = loss(name, x, f"{name[-2:].upper()} landmarks", equation)
            leaves = max(x, 4.52)
            drawing.arrow((leaves, model.at(0, 1)[1]), (leaves, 1.2), (x, 1.2), found.at(0, -1))
            drawing.chain(drawing.box(Box(x, 2.42, 0.76, 0.22), DATA, "annotated"), found)
    lines = [line.format(weights[name]) for name, told in PRIORS.items() if name in weights for line in told]
    if lines:
        prior = drawing.box(Box(5.56, MIDDLE, 0.82, 0.14 + 0.12 * len(lines)), LOSS, *lines)
        drawing.arrow((answers.at(-1, 0)[0], 0.85), (prior.x, 0.85), prior.at(0, -1))


@styled()
def inputs(share: float) -> Figure:
    """What the network sees in the mixed training after Fig. 8: all views, or one alone, and how often.

    Args:
        share: of the samples, of which one view alone is seen.
    """
    forms = {VIEWS: 1 - share} | {(view,): share / len(VIEWS) for view in VIEWS}
    drawing = Drawing(0.85 * len(forms) + 0.1, 1.5)
    for i, (seen, probability) in enumerate(forms.items()):
        x = 0.85 * (i + 0.5) + 0.05
        for v, view in enumerate(VIEWS):
            place = Box(x, 1.3 - 0.36 * v, 0.7, 0.28)
            drawing.box(place, *((DATA, view) if view in seen else (UNSEEN, "none")))
        drawing.write(x, 0.2, f"{100 * probability:.3g} %")
    return drawing
