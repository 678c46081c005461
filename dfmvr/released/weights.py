"""The authors' released weights as ours: names, and the meaning of the coefficients.

In     a state dict of the released code's `MVRNet` (`uuunet.*`, `rednet_fc.*`, `mask_model.*`).
Gives  a state dict of `ReleasedDFMVR` that answers the same face in the same image, and one of the face parser.

The authors' coefficients and ours (conventions of `dfmvr.conventions`; S the shape in their decimetres, R = Rz Ry Rx):

    identity, expression, texture   standard deviations in both
    angles                          V' = S R^T + t on rows is R S + t on columns: the same angles
    translation t, dm               u = 112 + 1015 X / (1 - Z) in dm, u = 112 + 1015 x / (1000 - z) in mm: the same
                                    where (x, y, z) = 100 (X, Y, Z) + (0, 0, 900), so ours is 100 t + (0, 0, 900)
    lighting (27)                   three colours of nine harmonics each, 0.8 added to the constant in both; one for all
                                    views, on normals in the right view's frame (`dfmvr.released.lighting`)

All of it but that frame is affine, so it is folded into the weights of the heads. The released network and its parser
see colours in [-1, 1] (mean and deviation `GREY`, in training and test alike); the mask alone is raw, class ids 0 to 9.
ASSUME: the views are joined in the order left, front, right everywhere, as the names of the heads (lt, ft, rt) and the
order of the skips are, and its classes are ours.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from dfmvr.conventions import CAMERA_DISTANCE_MM, CLASSES, REFERENCE_SIZE_PX, VIEWS
from dfmvr.errors import DataError
from dfmvr.face_model.coefficients import mean_angles
from dfmvr.networks.bisenet import BiSeNet
from dfmvr.networks.heads import ANGLE_UNIT_RAD, LIGHTING_UNIT, TRANSLATION_UNIT_MM, NetworkSizes
from dfmvr.networks.residual import BLOCKS
from dfmvr.released.network import ReleasedDFMVR
from dfmvr.rendering.shading import SH_BANDS

if TYPE_CHECKING:
    from dfmvr.config.training import NetworkSection

MM_PER_UNIT = 100.0
"""The released code's lengths are decimetres."""
CAMERA_DISTANCE_UNITS = 1.0
"""Its camera stands that far from the origin."""

GREY = (0.5, 0.5, 0.5)
"""Mean of the colours that its parser subtracts, and their deviation, by which it divides."""

UNUSED = ("uuunet.conv9.", "rednet_fc.rednet.pts_net.")
"""What the released code builds and stores but never calls."""

_PARSER = "mask_model."
_BODY = ("fusion.", "backbone.")
_GATE = {"gate": "W_g", "skip": "W_x", "psi": "psi"}
_SIDES = dict(zip(VIEWS, ("lt", "ft", "rt"), strict=True))
_PLAIN_HEADS = {"identity": "id", "expression": "exp", "texture": "color"}


class ReleasedWeights(NamedTuple):
    """The authors' weights, as ours."""

    settings: NetworkSection
    sizes: NetworkSizes
    network: dict[str, Tensor]  # state dict of ReleasedDFMVR(settings, sizes)
    parser: dict[str, Tensor]  # state dict of BiSeNet(mean=GREY, std=GREY); empty if the weights have none
    unused: list[str]  # names known to be without effect
    unexpected: list[str]  # names that the released code does not have


def authors_name(name: str) -> str:
    """The authors' name of one of our tensors of the fusion or the backbone."""
    patterns = (
        (r"fusion\.encoders\.(\d)\.levels\.(\d)\.(.+)", lambda m: f"uuunet.conv{int(m[2]) + 1}_{m[1]}.conv.{m[3]}"),
        (r"fusion\.decoder\.(\d)\.up\.(.+)", lambda m: f"uuunet.up{int(m[1]) + 6}.{m[2]}"),
        (r"fusion\.decoder\.(\d)\.conv\.(.+)", lambda m: f"uuunet.conv{int(m[1]) + 6}.conv.{m[2]}"),
        (
            r"fusion\.decoder\.(\d)\.gates\.(\d)\.(gate|skip|psi)\.(.+)",
            lambda m: f"uuunet.att{4 - int(m[1])}_{m[2]}.{_GATE[m[3]]}.{m[4]}",
        ),
        (r"backbone\.(.+)", lambda m: f"rednet_fc.rednet.{m[1]}"),
    )
    return next(rename(match) for pattern, rename in patterns if (match := re.fullmatch(pattern, name)))


def authors_heads(head: str, answers: int) -> dict[str, int]:
    """The authors' layers that together are one of our heads of so many answers, in their order, and theirs of each."""
    if head in _PLAIN_HEADS:
        return {f"rednet_fc.conv2_{_PLAIN_HEADS[head]}": answers}
    if head == "lighting":
        return {"rednet_fc.conv2_gamma": answers}
    kinds = {"rotate": 3} if head == "angles" else {"offset_xy": 2, "offset_z": 1}
    return {f"rednet_fc.conv2_{kind}_{_SIDES[view]}": count for view in VIEWS for kind, count in kinds.items()}


def _settings(state: dict[str, Tensor], source: str) -> tuple[NetworkSection, NetworkSizes]:
    """Read from the shapes how wide and deep this network is."""
    from dfmvr.config.training import NetworkSection  # here, as a training that starts its heads so needs none of it

    names = re.findall(r"rednet_fc\.rednet\.layer([1-4])\.(\d+)\.conv1\.weight", " ".join(state))
    blocks = tuple(sum(stage == number for stage, _ in names) for number in "1234")
    depths = [depth for depth, known in BLOCKS.items() if known == blocks]
    try:
        width, in_channels = state["uuunet.conv1_0.conv.0.weight"].shape[:2]
        backbone_width = state["rednet_fc.rednet.stem.4.conv.weight"].shape[0]
        face = [state[f"rednet_fc.conv2_{key}.bias"].shape[0] for key in _PLAIN_HEADS.values()]
        if not depths:
            raise DataError(
                f"{source}: expected a RedNet of {', '.join(map(str, BLOCKS))} layers, found stages of {blocks}"
            )
        settings = NetworkSection(
            fusion="tri_unet",
            width=width,
            backbone="rednet",
            backbone_width=backbone_width,
            depth=depths[0],
            face_mask=in_channels == 4,
            last_concat=True,
            stem_pool=True,
            neck=0,
            fine=0,
            quick_start=False,
        )
    except (KeyError, ValueError, IndexError) as error:
        raise DataError(f"{source}: not the weights of the released network ({error}); name its checkpoint") from None
    return settings, NetworkSizes(REFERENCE_SIZE_PX, *face)


def _take(state: dict[str, Tensor], expected: dict[str, tuple[int, ...]], source: str) -> dict[str, Tensor]:
    """The tensors of these names and shapes, in single precision; DataError names what is missing or misshapen."""
    missing = [name for name in expected if name not in state]
    problems = [f"missing: {', '.join(missing)}"] if missing else []
    for name, shape in expected.items():
        if name in state and tuple(state[name].shape) != shape:
            problems.append(f"{name}: expected {shape}, found {tuple(state[name].shape)}")
        elif name in state and not state[name].isfinite().all():
            problems.append(f"{name}: not finite")
    if problems:
        raise DataError(f"{source}: not the weights of the released network: {'; '.join(problems)}")
    return {name: state[name].float() if state[name].is_floating_point() else state[name] for name in expected}


def _head(layers: list[tuple[Tensor, Tensor]], head: str) -> tuple[Tensor, Tensor]:
    """Weight (n, features) and bias (n,) of one of our heads from those of the authors' layers."""
    # In double: the bias of a depth is the small difference of 900 mm and about as much.
    weight, bias = (torch.cat(parts).double() for parts in zip(*layers, strict=True))
    weight, views = weight.flatten(1), len(VIEWS)
    if head == "lighting":
        order = torch.arange(len(bias)).view(-1, 3, SH_BANDS).transpose(1, 2).flatten()  # ours is harmonic by colour
        weight, bias = weight[order] / LIGHTING_UNIT, bias[order] / LIGHTING_UNIT
    elif head == "angles":
        weight, bias = weight / ANGLE_UNIT_RAD, (bias - mean_angles().double().flatten()) / ANGLE_UNIT_RAD
    elif head == "translation":
        unit = torch.tensor(TRANSLATION_UNIT_MM).double().repeat(views)
        offset = torch.tensor([0.0, 0.0, CAMERA_DISTANCE_MM - MM_PER_UNIT * CAMERA_DISTANCE_UNITS]).repeat(views)
        weight, bias = weight * (MM_PER_UNIT / unit)[:, None], (MM_PER_UNIT * bias + offset) / unit
    return weight.float(), bias.float()


def _expected(network: ReleasedDFMVR) -> dict[str, tuple[int, ...]]:
    """Names and shapes that the authors' weights have for a network of ours, the parser left out."""
    body = {name: tuple(t.shape) for name, t in network.state_dict().items() if name.startswith(_BODY)}
    result = {authors_name(name): shape for name, shape in body.items()}
    for head, layer in network.heads.items():
        for name, answers in authors_heads(head, layer.out_features).items():
            result |= {f"{name}.weight": (answers, layer.in_features, 1, 1), f"{name}.bias": (answers,)}
    return result


@torch.no_grad()
def start_heads(network: ReleasedDFMVR) -> None:
    """Give a fresh network the heads that the released code begins with: torch's random ones, at the camera, unturned.

    It has no mean pose to start from, and depths of about 0 put the face 1 dm before the camera: its heads have the
    900 mm to learn.
    """
    for name, head in network.heads.items():
        layers = [torch.nn.Conv2d(head.in_features, n, 1) for n in authors_heads(name, head.out_features).values()]
        weight, bias = _head([(layer.weight, layer.bias) for layer in layers], name)
        head.weight.copy_(weight)
        head.bias.copy_(bias)


def convert(state: dict[str, Tensor], source: str = "released weights") -> ReleasedWeights:
    """Translate the authors' state dict.

    Args:
        state: name to tensor, `uuunet.*`, `rednet_fc.*` and, if the parser is there, `mask_model.*`.
        source: where it comes from, for messages.
    Raises:
        DataError: tensors are missing, not finite, or of other shapes than the released network's.
    """
    settings, sizes = _settings(state, source)
    with torch.device("meta"):
        network, parser = ReleasedDFMVR(settings, sizes), BiSeNet(len(CLASSES)).state_dict()
    expected = _expected(network)
    if any(name.startswith(_PARSER) for name in state):
        expected |= {_PARSER + name: tuple(tensor.shape) for name, tensor in parser.items()}
    taken = _take(state, expected, source)
    ours = {name: taken[authors_name(name)] for name in network.state_dict() if name.startswith(_BODY)}
    ours["mean_angles"] = mean_angles()
    for head, layer in network.heads.items():
        layers = [(taken[f"{n}.weight"], taken[f"{n}.bias"]) for n in authors_heads(head, layer.out_features)]
        ours[f"heads.{head}.weight"], ours[f"heads.{head}.bias"] = _head(layers, head)
    theirs = {name.removeprefix(_PARSER): tensor for name, tensor in taken.items() if name.startswith(_PARSER)}
    rest = [name for name in state if name not in taken]
    return ReleasedWeights(
        settings,
        sizes,
        ours,
        theirs,
        [name for name in rest if name.startswith(UNUSED)],
        [name for name in rest if not name.startswith(UNUSED)],
    )
