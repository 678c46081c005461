"""The regression: a trained network is asked for the coefficients of faces, of a study or of photographs."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from dfmvr.conventions import VIEWS
from dfmvr.errors import DataError
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.networks.checkpoint import Trained, read_network
from dfmvr.networks.df_mvr import DFMVR
from dfmvr.networks.inference import for_inference


def read_regressor(path: Path | str, model: MorphableModel, device: torch.device | str = "cpu") -> Trained:
    """Read a network, check that it speaks the language of this face model, and make it fast.

    Raises:
        DataError: unreadable, or trained for a model of another size.
    """
    network, about = read_network(path, device)
    for name in ("identity_size", "expression_size", "texture_size"):
        if about[name] != getattr(model, name):
            raise DataError(
                f"{path}: expected {name} {getattr(model, name)} as in the face model, found {about[name]}; "
                "name the face model that it was trained with by --face-model"
            )
    return Trained(for_inference(network) if isinstance(network, DFMVR) else network, about)


@torch.inference_mode()
def regress(network: nn.Module, images: Tensor, masks: Tensor, view: str | None = None) -> Coefficients:
    """Ask a network.

    Args:
        network: from `read_regressor`.
        images: (B, 3, 3, S, S) RGB in [0, 1]; black where there is no such view.
        masks: (B, 3, S, S) class ids, int64.
        view: the one view that the network sees (V-C); None shows it all three.
    Returns:
        The coefficients of B faces, on the CPU.
    Raises:
        DataError: the answer is not finite.
    """
    if view is None:
        answer = network(images, masks)
    elif hasattr(network, "per_view"):
        answer = _of_view(network.per_view(images), VIEWS.index(view))
    else:
        answer = network(*(_alone(tensor, VIEWS.index(view)) for tensor in (images, masks)))
    answer = Coefficients(*(tensor.float().cpu() for tensor in answer))
    if not all(torch.isfinite(tensor).all() for tensor in answer):
        raise DataError("the network's answer is not finite; use another checkpoint")
    return answer


def _alone(views: Tensor, view: int) -> Tensor:
    """Images or masks (B, 3, ...) without those of the other views."""
    result = torch.zeros_like(views)
    result[:, view] = views[:, view]
    return result


def _of_view(answers: Coefficients, view: int) -> Coefficients:
    """The face that a network for single images sees in one view; light and pose are of each view anyway."""
    return Coefficients(*(tensor[:, view] for tensor in answers[:3]), *answers[3:])
