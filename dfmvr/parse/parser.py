"""The face parser as a module: images in, class scores out, with the file format of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfmvr.conventions import CLASSES
from dfmvr.errors import ConfigError, DataError
from dfmvr.networks.bisenet import IMAGENET_MEAN, IMAGENET_STD, BiSeNet
from dfmvr.networks.weights_file import made_by, read_about, read_tensors, write_weights

if TYPE_CHECKING:
    from dfmvr.config.training import ParseSection

BISENET_19 = (
    *("background", "skin", "left_brow", "right_brow", "left_eye", "right_eye", "glasses", "left_ear", "right_ear"),
    *("earring", "nose", "mouth", "upper_lip", "lower_lip", "neck", "necklace", "cloth", "hair", "hat"),
)
"""The 19 classes of facexlib's `parsing_bisenet.pth`, in its order (which is not that of its `parsing_parsenet`)."""

_KEPT_19 = tuple({"glasses": "skin"}.get(name, name if name in CLASSES else "background") for name in BISENET_19)

GROUPS_19 = tuple(tuple(i for i, name in enumerate(_KEPT_19) if name == kept) for kept in CLASSES)
"""For each of our classes, those of the 19 it is made of. As in `datasets.celebamask_hq`, glasses are skin and all
else that we do not keep is background."""


KEY = "parser"
"""Of the header's entry in a parser's file."""


@dataclass(frozen=True)
class ParserSpec:
    """All that is needed, beside the weights, to build a parser."""

    image_size: int  # px; side of the images the network sees: others are resampled to it and the scores back
    width: int = 64
    output_stride: int = 8
    labels: int = len(CLASSES)  # classes of the network itself: 10, or 19 to be merged
    mean: tuple[float, float, float] = IMAGENET_MEAN  # of the colours that it was trained on
    std: tuple[float, float, float] = IMAGENET_STD

    @classmethod
    def told(cls, header: Mapping[str, Any]) -> ParserSpec:
        """That of a file's header; older files, all of ImageNet's colours, do not tell these."""
        whole = (int(header[key]) for key in ("image_size", "width", "output_stride", "labels"))
        colours = (tuple(map(float, header.get(key, getattr(cls, key)))) for key in ("mean", "std"))
        return cls(*whole, *colours)

    def network(self) -> BiSeNet:
        """The network with random weights."""
        return BiSeNet(self.labels, self.width, self.output_stride, self.mean, self.std)


def merge_19(logits: Tensor) -> Tensor:
    """Scores of our classes from those of the 19.

    The probability of a union is the sum of the probabilities, so the softmax of the result is exactly the merged
    softmax of the input, and training through it maximises the exact likelihood.

    Args:
        logits: (N, 19, H, W).
    Returns:
        (N, 10, H, W).
    """
    return torch.stack([logits[:, list(group)].logsumexp(1) for group in GROUPS_19], 1)


class ParseNet(nn.Module):
    """BiSeNet that takes images of any size and gives scores of `conventions.CLASSES`; this is what is trained."""

    def __init__(self, spec: ParserSpec) -> None:
        super().__init__()
        if spec.labels not in (len(CLASSES), len(BISENET_19)):
            raise ConfigError(f"face parser: expected {len(CLASSES)} or {len(BISENET_19)} classes, found {spec.labels}")
        self.spec = spec
        self.network = spec.network()

    def heads(self, images: Tensor) -> tuple[Tensor, ...]:
        """Scores of the network's heads: the main one, followed in training mode by two auxiliary ones.

        Args:
            images: (N, 3, H, W) RGB in [0, 1].
        Returns:
            Tensors (N, 10, H, W).
        """
        size = images.shape[-2:]
        side = (self.spec.image_size,) * 2
        if size != side:
            images = F.interpolate(images, side, mode="bilinear", align_corners=False, antialias=True)
        found = self.network(images)
        heads = [found] if isinstance(found, Tensor) else list(found)
        if self.spec.labels == len(BISENET_19):
            heads = [merge_19(head) for head in heads]
        if size != side:
            heads = [F.interpolate(head, size, mode="bilinear", align_corners=False) for head in heads]
        return tuple(heads)

    def forward(self, images: Tensor) -> Tensor:
        """Scores (N, 10, H, W) of images (N, 3, H, W), RGB in [0, 1]; differentiable with respect to the images."""
        return self.heads(images)[0]


class FaceParser(ParseNet):
    """A trained parser that stays as it is: its parameters are frozen, and it never leaves evaluation mode.

    Paper: in the authors' released code only the parameters are frozen, and the statistics of batch normalisation
    drift when the model around the parser trains.
    """

    def __init__(self, spec: ParserSpec, told: dict[str, Any] | None = None) -> None:
        """Build it; `told` is what its file tells of the settings by which it was made."""
        super().__init__(spec)
        self._told = told or {}
        self.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> FaceParser:
        """Stay in evaluation mode, whatever the module around this one does."""
        return super().train(False)

    @property
    def settings(self) -> ParseSection:
        """Those by which it, and the weight maps of its masks, were made; the defaults where its file tells none.

        Raises:
            DataError: what its file tells cannot be.
        """
        from dfmvr.config.training import ParseSection  # here, as the network needs none of it

        known = {key: value for key, value in self._told.items() if key in ParseSection.model_fields}
        try:
            return ParseSection.model_validate(known)
        except ValueError as error:
            raise DataError(
                f"face parser: {' '.join(str(error).split())}; make it again with `dfmvr parse pretrain`"
            ) from None


@torch.inference_mode()
def predict(parser: ParseNet, images: np.ndarray) -> np.ndarray:
    """Class of every pixel.

    Args:
        parser: in evaluation mode.
        images: (N, H, W, 3) uint8 RGB.
    Returns:
        (N, H, W) uint8 class ids.
    """
    device = next(parser.parameters()).device
    tensor = torch.from_numpy(np.array(images)).to(device).permute(0, 3, 1, 2)
    return parser(tensor.contiguous().float() / 255).argmax(1).to(torch.uint8).cpu().numpy()


def save_parser(path: Path | str, parser: ParseNet, **notes: object) -> None:
    """Write a parser as safetensors, atomically; its header says how to build it.

    Args:
        path: file to write.
        parser: the network.
        notes: further entries of the header, anything that JSON can hold; `settings` are read again (`noted`).
    """
    header = {"format": "dfmvr-face-parser", "classes": list(CLASSES), **asdict(parser.spec), **notes}
    write_weights(path, parser.network.state_dict(), header, KEY)


def noted(settings: ParseSection) -> dict[str, Any]:
    """What a parser's file tells of the settings by which it was made: all but places on the maker's disk."""
    return settings.model_dump(mode="json", exclude={"facexlib_weights"})


def load_parser(path: Path | str, device: torch.device | str = "cpu") -> FaceParser:
    """Read a parser that `save_parser` wrote.

    Args:
        path: the safetensors file.
        device: where the parser is put.
    Returns:
        The parser, in evaluation mode for good, its parameters without gradient.
    Raises:
        DataError: the file is missing, no safetensors file, or not of this program.
    """
    with made_by("dfmvr parse pretrain", path):
        header = read_about(path, KEY)
        if tuple(header["classes"]) != CLASSES:
            found = ", ".join(map(str, header["classes"]))
            raise DataError(f"{path}: expected the classes {', '.join(CLASSES)}, found {found}")
        parser = FaceParser(ParserSpec.told(header), header.get("settings"))
        parser.network.load_state_dict(read_tensors(path))
    return parser.to(device)
