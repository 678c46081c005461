"""What the trainings of the two baselines share: losses of single photographs, and how a batch is seen.

N photographs, each with coefficients of its own; S pixels a side. Lengths in pixels are those of the 224 px reference
image, colours in [0, 1], so that the weights of the papers hold.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dfmvr.conventions import REFERENCE_SIZE_PX
from dfmvr.errors import DataError
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.views import coarse_for, see_landmarks
from dfmvr.geometry.camera import pose
from dfmvr.geometry.normals import vertex_normals
from dfmvr.geometry.rotation import euler_to_rotmat
from dfmvr.losses import is_skin, photo_loss, unevenness_loss
from dfmvr.rendering.rasterizer import Fragments
from dfmvr.rendering.renderer import render
from dfmvr.rendering.shading import shade
from dfmvr.train.batch import Batch
from dfmvr.train.data import cosine_rate

Embedding = Callable[[Tensor], Tensor]
"""A face recognition network: RGB in [0, 1] (N, 3, 224, 224) to embeddings (N, D) of any length."""


class Seen(NamedTuple):
    """N faces as their photographs' cameras see them. Without rendering, all but the landmarks are None."""

    landmarks: Tensor  # (N, 68, 2) px
    image: Tensor | None = None  # (N, 3, S, S), unclamped, 0 at background
    alpha: Tensor | None = None  # (N, S, S), 1 where the face is seen; without gradient
    albedo: Tensor | None = None  # (N, V, 3)
    posed: Tensor | None = None  # (N, V, 3) mm
    fragments: Fragments | None = None


def as_samples(per_view: Coefficients) -> Coefficients:
    """Coefficients (B, V, ...) of each view for itself as those of B * V samples of one view."""
    identity, expression, texture, *views = (values.flatten(0, 1) for values in per_view)
    return Coefficients(identity, expression, texture, *(values[:, None] for values in views))


def see(model: MorphableModel, coefficients: Coefficients, image_size: int, rendered: bool = True) -> Seen:
    """Render N faces, each in its one view, or find their landmarks only.

    Args:
        model: the face model.
        coefficients: of N samples of one view, from `as_samples`.
        image_size: width and height in pixels.
        rendered: False leaves all but the landmarks out.
    """
    vertices, landmarks = see_landmarks(model, coefficients, image_size)
    if not rendered:
        return Seen(landmarks[:, 0])
    angles = coefficients.angles[:, 0]
    normals = vertex_normals(vertices, model.triangles) @ euler_to_rotmat(angles).transpose(-1, -2)
    albedo = model.albedo(coefficients.texture)
    posed = pose(vertices, angles, coefficients.translation[:, 0])
    colours = shade(albedo, normals, coefficients.lighting[:, 0])
    image, alpha, fragments = render(posed, model.triangles, colours, image_size)
    return Seen(landmarks[:, 0], image, alpha[:, 0], albedo, posed, fragments)


def face_photo_loss(rendered: Tensor, photo: Tensor, coverage: Tensor, masks: Tensor) -> Tensor:
    """Mean colour distance where the rendering covers the face of the photograph.

    L = mean over images of [ sum_p A_p |I_p - I'_p|_2 / sum_p A_p ].

    ASSUME: A_p is 1 where the parser says skin or a facial feature, where Deng et al. have the probability of skin
    from a mixture of Gaussians of colour. Both keep hair, glasses and background out.

    Args:
        rendered, photo: (N, 3, S, S) RGB.
        coverage: (N, S, S), 1 where the face is drawn.
        masks: (N, S, S) class ids.
    """
    return photo_loss(rendered[:, None], photo[:, None], coverage[:, None], (masks > 0)[:, None])


def squared_landmark_loss(
    landmarks: Tensor, target: Tensor, emphasised: tuple[int, ...], emphasis: float, image_size: int
) -> Tensor:
    """Weighted square of the distance to the annotated landmarks.

    L = 1/68 sum_n w_n |l_n - l'_n|^2, w = `emphasis` for the `emphasised`, 1 otherwise; mean over images.

    Args:
        landmarks, target: (N, 68, 2) px of an image `image_size` pixels wide.
    Returns:
        Scalar in squared pixels of the 224 px reference image.
    """
    weights = landmarks.new_ones(landmarks.shape[-2])
    weights[list(emphasised)] = emphasis
    squares = (landmarks - target).square().sum(-1)
    return (weights * squares).mean() * (REFERENCE_SIZE_PX / image_size) ** 2


def albedo_loss(albedo: Tensor, labels: Tensor) -> Tensor:
    """Unevenness of the skin: variance of its albedo, the sum over red, green, blue.

    Args:
        albedo: (N, V, 3).
        labels: (V,) classes of the vertices.
    """
    return unevenness_loss(albedo[:, is_skin(labels)])


def perceptual_loss(embed: Embedding, rendered: Tensor, photo: Tensor) -> Tensor:
    """How little a face recognition network thinks of two images as of one person: 1 - cosine of their embeddings.

    Args:
        embed: the network, frozen; differentiable.
        rendered, photo: (N, 3, S, S) RGB.
    """
    size = (REFERENCE_SIZE_PX, REFERENCE_SIZE_PX)
    ours, theirs = (
        embed(nn.functional.interpolate(images.clamp(0, 1), size, mode="bilinear", align_corners=False))
        for images in (rendered, photo)
    )
    return (1 - nn.functional.cosine_similarity(ours, theirs, dim=1)).mean()


def load_embedding(path: Path | str, device: torch.device | str = "cpu") -> Embedding:
    """Read a face recognition network written by `torch.export.save`, with a batch axis of any size.

    ASSUME: it takes the 224 px aligned image as it is; cropping and normalising are part of the program.

    Raises:
        DataError: missing, unreadable, or its answer is not one vector an image.
    """
    try:
        network = torch.export.load(Path(path)).module().to(device)
        network.requires_grad_(False)
        found = network(torch.zeros(2, 3, REFERENCE_SIZE_PX, REFERENCE_SIZE_PX, device=device))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; export a face recognition network or leave its key empty") from None
    except Exception as error:  # reading a damaged archive or running a foreign program fails in many ways
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not a network that torch.export wrote for (N, 3, 224, 224) ({reason})") from None
    if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != 2:
        what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise DataError(f"{path}: expected embeddings (2, D) of two images, found {what}; export the embedding alone")
    return network


class SingleImageSystem:
    """What turns a batch into losses. Only the network learns; the face model is fixed.

    Args:
        network: images (B, 3, 3, S, S) and `each` to coefficients (B, 3, ...) of each view.
        model: the face model, on the network's device.
        parser: not used; the masks of the batch are.
        weights: of the losses; `embedding` among them names the network of the perceptual loss, None leaves it out.
        image_size: S.
        precision: of the networks; geometry and rendering are always float32.
    Raises:
        DataError: the embedding cannot be read.
    """

    def __init__(
        self,
        network: nn.Module,
        model: MorphableModel,
        parser: Callable[[Tensor], Tensor] | None,
        weights: Any,
        image_size: int,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.network, self.weights = network, weights
        self.model = coarse_for(model, image_size)
        self.image_size, self.precision = image_size, precision
        self.embed = None
        if weights.embedding is not None and weights.perceptual > 0:
            self.embed = load_embedding(weights.embedding, model.mean.device)

    def rate(self, step: int, steps: int) -> float:
        """Factor of the learning rate at `step` of `steps`."""
        return cosine_rate(step, steps)

    def regress(self, batch: Batch) -> Coefficients:
        """Coefficients (B, 3, ...) of each view, under mixed precision where that is asked for."""
        if self.precision == torch.float32:
            return self.network(batch.images, each=True)
        with torch.autocast(batch.images.device.type, self.precision):
            return self.network(batch.images, each=True)

    def perceptual(self, seen: Seen, photo: Tensor) -> Tensor | None:
        """The perceptual loss of rendered faces, None without an embedding."""
        return None if self.embed is None else perceptual_loss(self.embed, seen.image, photo)


def weighted_sum(terms: dict[str, Tensor | None], weights: Any) -> Tensor:
    """Sum of the terms times the weights of their names; None, a term that is left out, counts nothing."""
    return torch.stack([getattr(weights, name) * value for name, value in terms.items() if value is not None]).sum()


def noted(terms: dict[str, Tensor | None], total: Tensor) -> dict[str, Tensor]:
    """The terms and the total as a training notes them: NaN for a term that is left out."""
    missing = torch.full_like(total, torch.nan)
    return {name: missing if value is None else value for name, value in terms.items()} | {"total": total}
