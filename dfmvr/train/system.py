"""From a batch to its losses: what the trainings of all methods have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.views import coarse_for
from dfmvr.networks.checkpoint import network_header
from dfmvr.networks.heads import NetworkSizes
from dfmvr.networks.training import cosine_rate
from dfmvr.train.samples import Batch

if TYPE_CHECKING:
    from dfmvr.config.section import Section
    from dfmvr.config.training import TrainSection

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class TrainingSystem:
    """What turns batches into losses. Only the network learns; face model and parser are fixed.

    Args:
        settings: the section `train` of the configuration.
        network: from images and masks to `Coefficients`, made by `make_network`, or what shares it among processes.
        model: the face model. All parts are on one device.
        parser: images (N, 3, S, S) to logits, for methods that parse renderings; None switches the mask loss off.
        image_size: S.
    """

    kind: ClassVar[str]
    """The network's name in its file's header."""
    names: ClassVar[tuple[str, ...]]
    """The losses that are noted, `total` among them."""
    network_class: ClassVar[Callable[[Section, NetworkSizes], nn.Module]]

    def __init__(
        self,
        settings: TrainSection,
        network: nn.Module,
        model: MorphableModel,
        parser: nn.Module | None,
        image_size: int,
    ) -> None:
        self.network, self.parser, self.image_size = network, parser, image_size
        self.model = coarse_for(model, image_size)
        self.landmarks = self.model.landmarks_alone()
        self.precision = PRECISIONS[settings.precision]

    @staticmethod
    def network_section(settings: TrainSection) -> Section:
        """The part of the settings from which the network is built."""
        raise NotImplementedError

    @staticmethod
    def needs_parser(settings: TrainSection) -> bool:
        """Whether the losses look at parsed renderings."""
        return False

    @classmethod
    def make_network(cls, settings: TrainSection, sizes: NetworkSizes) -> nn.Module:
        """Build a fresh network."""
        return cls.network_class(cls.network_section(settings), sizes)

    @classmethod
    def header(cls, settings: TrainSection, sizes: NetworkSizes) -> dict[str, Any]:
        """What the network's file must tell so that it can be built again."""
        return network_header(cls.kind, cls.network_section(settings), sizes)

    @classmethod
    def start(cls, network: nn.Module, settings: TrainSection) -> None:
        """Give a fresh network the initial weights that the settings name.

        Raises:
            DataError: they cannot be read, or are another network's.
        """

    def vary(self, images: Tensor, generator: torch.Generator) -> Tensor | None:
        """A method's own variation of the images of a batch; None: mirror samples and vary their colours."""
        return None

    def phase(self, step: int, steps: int) -> None:
        """Make ready for `step` of `steps`."""

    def rate(self, step: int, steps: int) -> float:
        """Factor of the learning rate at `step` of `steps`."""
        return cosine_rate(step, steps)

    def losses(self, batch: Batch, rendered: bool = True) -> Any:
        """All losses of a batch, a named tuple of `names`, NaN for what is left out.

        Without rendering, those of landmarks and coefficients alone.
        """
        raise NotImplementedError

    def model_of(self, rendered: bool) -> MorphableModel:
        """The face model of a step: its landmarks are all that one without renderings looks at."""
        return self.model if rendered else self.landmarks

    def autocast(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A network under mixed precision where that is asked for; geometry and rendering are always float32."""
        if self.precision == torch.float32:
            return function

        def run(images: Tensor, *rest: Any, **options: Any) -> Tensor | Coefficients:
            with torch.autocast(images.device.type, self.precision):
                return function(images, *rest, **options)

        return run
