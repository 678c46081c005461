"""The methods that can be trained: each one's network and what turns a batch into its losses."""

from __future__ import annotations

from dataclasses import asdict
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from dfmvr.face_model.model import MorphableModel
from dfmvr.losses import LossWeights
from dfmvr.networks.deep3d import Deep3DSettings
from dfmvr.networks.df_mvr import DFMVR, NetworkSettings
from dfmvr.networks.single_image import SingleImageSettings
from dfmvr.train.baselines import deng, shang
from dfmvr.train.batch import Batch
from dfmvr.train.system import TrainingSystem

if TYPE_CHECKING:
    from dfmvr.config.training import TrainSection


class System(Protocol):
    """What turns a batch into losses."""

    names: tuple[str, ...]

    def losses(self, batch: Batch, rendered: bool = True) -> Any:
        """Give a named tuple of scalars, one of them `total`; NaN for terms left out."""


class Method(Protocol):
    """A method: from settings to a network and its training."""

    def make_network(self, settings: TrainSection, sizes: dict[str, int]) -> nn.Module:
        """Build a fresh network; `sizes` has image_size, identity_size, expression_size and texture_size."""

    def needs_parser(self, settings: TrainSection) -> bool:
        """Tell whether the losses look at parsed renderings."""

    def make_system(
        self,
        settings: TrainSection,
        network: nn.Module,
        model: MorphableModel,
        parser: nn.Module | None,
        image_size: int,
        precision: torch.dtype,
    ) -> System:
        """Put the parts of a training step together."""

    def describe(self, settings: TrainSection) -> dict[str, Any]:
        """What the network's file must tell so that it can be built again."""


def settings_of(kind: type, section: Any) -> Any:
    """The fields of a section of the configuration as a plain dataclass, which needs no pydantic."""
    return kind(**section.model_dump())


class DfMvr:
    """DF-MVR and its variants (Table IV)."""

    def make_network(self, settings: TrainSection, sizes: dict[str, int]) -> nn.Module:
        """Build a fresh network."""
        return DFMVR(settings_of(NetworkSettings, settings.network), **sizes)

    def needs_parser(self, settings: TrainSection) -> bool:
        """Tell whether there is a mask loss."""
        return settings.loss.mask > 0

    def make_system(self, settings: TrainSection, network: nn.Module, *parts: Any) -> System:
        """Put network, face model, renderer and parser together."""
        model, parser, image_size, precision = parts
        weights = settings_of(LossWeights, settings.loss)
        return TrainingSystem(network, model, parser, weights, image_size, precision)

    def describe(self, settings: TrainSection) -> dict[str, Any]:
        """The settings of the network."""
        return asdict(settings_of(NetworkSettings, settings.network))


class Baseline:
    """Deng et al. 2019 or Shang et al. 2020."""

    def __init__(self, name: str, training: ModuleType, network: type, weights: type) -> None:
        self.name, self.training, self.network, self.weights = name, training, network, weights

    def make_network(self, settings: TrainSection, sizes: dict[str, int]) -> nn.Module:
        """Build a fresh network."""
        return self.training.make_network(settings_of(self.network, getattr(settings, self.name).network), **sizes)

    def needs_parser(self, settings: TrainSection) -> bool:
        """Tell that no rendering is parsed."""
        return False

    def make_system(self, settings: TrainSection, network: nn.Module, *parts: Any) -> System:
        """Put network, face model and renderer together."""
        model, parser, image_size, precision = parts
        weights = settings_of(self.weights, getattr(settings, self.name).loss)
        return self.training.System(network, model, parser, weights, image_size, precision)

    def describe(self, settings: TrainSection) -> dict[str, Any]:
        """The settings of the network."""
        return asdict(settings_of(self.network, getattr(settings, self.name).network))


METHODS: dict[str, Method] = {
    "df_mvr": DfMvr(),
    "deng": Baseline("deng", deng, Deep3DSettings, deng.DengWeights),
    "shang": Baseline("shang", shang, SingleImageSettings, shang.ShangWeights),
}
"""By the names of `train.method`."""
