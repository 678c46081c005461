"""Two small networks that find faces and their 68 landmarks in grey pictures, and the file that holds them.

`Search` looks everywhere for faces some 16 to 36 px wide; `Points` looks at one crop that a face about fills.
Source: soft-argmax of heat maps, Sun et al. 2018 (Integral human pose regression); cascade, Cao et al. 2014.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfmvr.align.frame import CROP_PX
from dfmvr.networks.weights_file import made_by, read_about, read_tensors, write_weights

STRIDE = 4
"""Pixels between two places that `Search` looks at."""

SEARCHED_PX = (15.0, 36.0)
"""Widths of the faces that `Search` finds; more than an octave, so that no face falls between two pictures."""

FORMAT = "landmarks 1"
"""What the header of their file calls itself."""

CONTRAST_FLOOR = 4.0
"""ASSUME: grey levels, of 256; what varies less than this is noise."""


class Residual(nn.Module):
    """Two 3x3 convolutions with a short cut."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = _conv(channels, channels, dilation=dilation)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return F.relu(x + self.second(self.first(x)))


def _conv(inputs: int, outputs: int, size: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution, normalisation, ReLU."""
    padding = dilation * (size - 1) // 2
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Search(nn.Module):
    """Where in a picture are faces: (B, 1, H, W) to (B, 4, H/4, W/4).

    The channels are the logit of a face, the way to its centre (x, y) and the logarithm of its width, the last three in
    units of 24 px.
    """

    UNIT_PX = 24.0

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _conv(1, 16, 5, 2), _conv(16, 32, 3, 2), _conv(32, 48), Residual(48, 2), Residual(48, 2), _conv(48, 48)
        )
        self.head = nn.Conv2d(48, 4, 1)
        nn.init.constant_(self.head.bias, 0.0)
        nn.init.constant_(self.head.bias[:1], -4.0)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 1, H, W) to (B, 4, H/4, W/4)."""
        return self.head(self.layers(x))


class Points(nn.Module):
    """68 landmarks of the face in a crop: (B, 1, 64, 64) to (B, 68, 2) px and (B,) logits of a well-placed face."""

    CELLS = 16

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(_conv(1, 24, 5, 2), _conv(24, 48, 3, 2), Residual(48))
        self.middle = nn.Sequential(_conv(48, 80, 3, 2), Residual(80), Residual(80))
        self.coarse = nn.Sequential(_conv(80, 128, 3, 2), Residual(128), Residual(128))
        self.down_to_middle, self.down_to_fine = nn.Conv2d(128, 80, 1), nn.Conv2d(80, 48, 1)
        self.join_middle, self.join_fine = _conv(80, 80), _conv(48, 64)
        self.heat = nn.Conv2d(64, 68, 1)
        self.face = nn.Sequential(nn.Linear(256, 48), nn.ReLU(), nn.Linear(48, 1))
        centres = (torch.arange(self.CELLS) + 0.5) * (CROP_PX / self.CELLS)
        self.register_buffer("centres", centres, persistent=False)

    def heat_maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give the logarithm of each landmark's share of the cells, (B, 68, 16, 16), and the face's logit, (B,)."""
        fine = self.fine(x)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = self.join_middle(middle + F.interpolate(self.down_to_middle(coarse), scale_factor=2, mode="bilinear"))
        fine = self.join_fine(fine + F.interpolate(self.down_to_fine(middle), scale_factor=2, mode="bilinear"))
        logits = self.heat(fine).float()
        pooled = torch.cat([coarse.mean((2, 3)), coarse.amax((2, 3))], 1)
        return logits.flatten(2).log_softmax(2).view_as(logits), self.face(pooled).float()[:, 0]

    def place(self, log_shares: Tensor) -> Tensor:
        """Give the mean place of each heat map, (B, 68, 2) px."""
        shares = log_shares.exp()
        return torch.stack([shares.sum(2) @ self.centres, shares.sum(3) @ self.centres], -1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, 1, 64, 64) to (B, 68, 2) px and (B,) logits."""
        log_shares, face = self.heat_maps(x)
        return self.place(log_shares), face


class LandmarkNetworks(nn.Module):
    """Both networks and the standard face."""

    def __init__(self, standard: np.ndarray) -> None:
        """Take the standard face's landmarks, (68, 3) mm."""
        super().__init__()
        self.search, self.points = Search(), Points()
        self.register_buffer("standard", torch.as_tensor(np.asarray(standard, np.float32)))


def normalise_crops(crops: np.ndarray) -> np.ndarray:
    """Give crops (B, H, W) of grey levels zero mean and unit spread, float32."""
    crops = crops.astype(np.float32)
    mean, spread = crops.mean((1, 2), keepdims=True), crops.std((1, 2), keepdims=True)
    return (crops - mean) / (spread + CONTRAST_FLOOR)


def normalise_picture(picture: np.ndarray) -> np.ndarray:
    """Even out light and contrast of a picture (H, W) of grey levels, each place by what is around it; float32."""
    picture = picture.astype(np.float32)
    mean = cv2.GaussianBlur(picture, (0, 0), Search.UNIT_PX / 2, borderType=cv2.BORDER_REPLICATE)
    off = picture - mean
    spread = np.sqrt(cv2.GaussianBlur(off * off, (0, 0), Search.UNIT_PX / 2, borderType=cv2.BORDER_REPLICATE))
    return off / (spread + CONTRAST_FLOOR)


def write_landmark_networks(path: Path | str, networks: LandmarkNetworks, about: dict[str, Any]) -> None:
    """Write the networks in half precision, atomically; the standard face keeps its own."""
    tensors = {
        name: tensor.to(torch.float32 if name == "standard" else torch.float16)
        for name, tensor in networks.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    write_weights(path, tensors, {"format": FORMAT, **about})


def read_landmark_networks(path: Path | str, device: str = "cpu") -> tuple[LandmarkNetworks, dict[str, Any]]:
    """Build the networks from their file, in evaluation mode, and give what its header tells.

    Raises:
        DataError: the file is missing, unreadable, or not written by `write_landmark_networks`.
    """
    with made_by("dfmvr align pretrain", path):
        about = read_about(path)
        tensors = {name: tensor.float() for name, tensor in read_tensors(path).items()}
        networks = LandmarkNetworks(tensors["standard"].numpy())
        wanted = {name for name in networks.state_dict() if not name.endswith("num_batches_tracked")}
        if about.get("format") != FORMAT or wanted != set(tensors):
            raise ValueError("another format")
        networks.load_state_dict(tensors, strict=False)
    return networks.to(device, memory_format=torch.channels_last).eval(), about
