"""What the trainings of the two baselines share: losses of single photographs.

N photographs, each with coefficients of its own; S pixels a side. Lengths in pixels are those of the 224 px reference
image, colours in [0, 1], so that the weights of the papers hold.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from dfmvr.conventions import REFERENCE_SIZE_PX
from dfmvr.errors import DataError
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.views import Views
from dfmvr.losses import photo_loss
from dfmvr.networks.imagenet import load_imagenet
from dfmvr.networks.single_image import PerViewNetwork
from dfmvr.train.samples import Batch
from dfmvr.train.system import TrainingSystem

if TYPE_CHECKING:
    from dfmvr.config.section import Section
    from dfmvr.config.training import TrainSection

Embedding = Callable[[Tensor], Tensor]
"""A face recognition network: RGB in [0, 1] (N, 3, 224, 224) to embeddings (N, D) of any length."""


def as_samples(per_view: Coefficients) -> Coefficients:
    """Coefficients (B, V, ...) of each view for itself as those of B * V samples of one view."""
    identity, expression, texture, *views = (values.flatten(0, 1) for values in per_view)
    return Coefficients(identity, expression, texture, *(values[:, None] for values in views))


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


class SingleImageTraining(TrainingSystem):
    """What turns a batch into losses of each of its photographs.

    Raises:
        DataError: the embedding that the perceptual loss compares cannot be read.
    """

    emphasised_68: ClassVar[tuple[int, ...]]
    """Landmarks that weigh `emphasis`; the others weigh 1."""
    emphasis: ClassVar[float]

    def __init__(self, settings: TrainSection, *parts: Any) -> None:
        super().__init__(settings, *parts)
        self.weights = getattr(settings, self.kind).loss
        self.embed = None
        if self.weights.embedding is not None and self.weights.perceptual > 0:
            self.embed = load_embedding(self.weights.embedding, self.model.mean.device)

    @classmethod
    def network_section(cls, settings: TrainSection) -> Section:
        """The network in the section of the method."""
        return getattr(settings, cls.kind).network

    @classmethod
    def start(cls, network: PerViewNetwork, settings: TrainSection) -> None:
        """Start from ImageNet's weights, where the section of the method names their file."""
        if weights := getattr(settings, cls.kind).imagenet_weights:
            load_imagenet(network.regressor.backbone, weights)

    def losses(self, batch: Batch, rendered: bool = True) -> Any:
        """All losses of a batch; without rendering, those of landmarks, poses and coefficients alone."""
        return self.losses_of(self.autocast(self.network)(batch.images, each=True), batch, rendered)

    def losses_of(self, per_view: Coefficients, batch: Batch, rendered: bool = True) -> Any:
        """All losses of coefficients (B, 3, ...) of single photographs."""
        raise NotImplementedError

    def of_photographs(self, views: Views, batch: Batch) -> tuple[Tensor | None, Tensor, Tensor | None]:
        """Photo, landmark and perceptual loss of the batch's photographs, each seen as a sample of one view.

        Without a rendering, the first is None; without an embedding, the last.
        """
        images, masks, landmarks = (values.flatten(0, 1) for values in (batch.images, batch.masks, batch.landmarks))
        near = squared_landmark_loss(
            views.landmarks[:, 0], landmarks, self.emphasised_68, self.emphasis, self.image_size
        )
        if views.image is None:
            return None, near, None
        rendered = views.image[:, 0]
        alike = None if self.embed is None else perceptual_loss(self.embed, rendered, images)
        return face_photo_loss(rendered, images, views.alpha[:, 0], masks), near, alike


def weighted_sum(terms: dict[str, Tensor | None], weights: Section) -> Tensor:
    """Sum of the terms times the weights of their names; None, a term that is left out, counts nothing."""
    return torch.stack([getattr(weights, name) * value for name, value in terms.items() if value is not None]).sum()


def with_total(terms: dict[str, Tensor | None], total: Tensor) -> dict[str, Tensor]:
    """The terms and the total as a training notes them: NaN for a term that is left out."""
    missing = torch.full_like(total, torch.nan)
    return {name: missing if value is None else value for name, value in terms.items()} | {"total": total}
