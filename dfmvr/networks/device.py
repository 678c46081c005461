"""Where networks run."""

from __future__ import annotations

import torch

from dfmvr.errors import UnavailableError
from dfmvr.networks.parallel import local_rank


def pick_device(name: str | None) -> torch.device:
    """The device of that name; without one, CUDA where there is one (each process its own), else the CPU.

    Raises:
        UnavailableError: the device is not to be had here.
    """
    if name is None:
        return torch.device("cuda", local_rank()) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UnavailableError(f"--device {name}: {str(error).splitlines()[0]}; use --device cpu") from None
    return device
