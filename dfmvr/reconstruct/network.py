"""Reconstruction by a trained network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from dfmvr.conventions import VIEWS
from dfmvr.errors import DataError
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.networks.checkpoint import Trained, read_network
from dfmvr.networks.df_mvr import DFMVR, SH_BANDS
from dfmvr.networks.inference import for_inference
from dfmvr.train.data import AlignedSamples
from dfmvr.train.system import what_is_seen


def load_for_model(path: Path | str, model: MorphableModel) -> Trained:
    """Read a network and check that it speaks the language of this face model.

    Raises:
        DataError: unreadable, or trained for a model of another size.
    """
    trained = read_network(path)
    for name in ("identity_size", "expression_size", "texture_size"):
        if trained.about[name] != getattr(model, name):
            raise DataError(
                f"{path}: expected {name} {getattr(model, name)} as in the face model, found {trained.about[name]}; "
                "name the face model that it was trained with by --face-model"
            )
    return trained


@torch.inference_mode()
def regress(trained: Trained, samples: AlignedSamples, view: str | None = None, batch_size: int = 16) -> Coefficients:
    """Coefficients of all samples, in their order.

    Args:
        view: the one view that the network sees (V-C); None shows it all three.
    """
    parts, network = [], trained.network
    if isinstance(network, DFMVR):
        network = for_inference(network)
    seen = torch.tensor([view in (None, name) for name in VIEWS])
    for start in range(0, len(samples), batch_size):
        batch = samples.batch(np.arange(start, min(start + batch_size, len(samples))))
        if view is not None and hasattr(network, "per_view"):
            parts.append(_of_view(network.per_view(batch.images), VIEWS.index(view)))
        else:
            parts.append(network(*what_is_seen(batch._replace(seen=seen.expand(len(batch.images), -1)))))
    return Coefficients(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _of_view(answers: Coefficients, view: int) -> Coefficients:
    """The face that a network for single images sees in one view; light and pose are of each view anyway."""
    face = {name: getattr(answers, name)[:, view] for name in ("identity", "expression", "texture")}
    return answers._replace(**face)


def mean_faces(model: MorphableModel, count: int, views: int = 3) -> Coefficients:
    """Coefficients of `count` mean faces in neutral pose: what a method that has learnt nothing would answer."""
    zeros = torch.zeros
    return Coefficients(
        zeros(count, model.identity_size),
        zeros(count, model.expression_size),
        zeros(count, model.texture_size),
        zeros(count, views, SH_BANDS, 3),
        zeros(count, views, 3),
        zeros(count, views, 3),
    )
