"""Weights as one safetensors file, with what else there is to tell about them as JSON in its header."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from dfmvr.errors import DataError, DfmvrError
from dfmvr.files import writing

KEY = "dfmvr"
"""Of the header's entry."""


def write_weights(path: Path | str, tensors: Mapping[str, Tensor], about: dict[str, Any], key: str = KEY) -> None:
    """Write tensors and what there is to tell, atomically."""
    from safetensors.torch import save_file

    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with writing(path) as partial:
        save_file(held, str(partial), metadata={key: json.dumps(about)})


def read_about(path: Path | str, key: str = KEY) -> dict[str, Any]:
    """Read what a file tells; see `made_by` for errors."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        return json.loads((file.metadata() or {})[key])


def read_tensors(path: Path | str) -> dict[str, Tensor]:
    """Read the tensors of a file; see `made_by` for errors."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


@contextmanager
def made_by(maker: str, path: Path | str) -> Iterator[None]:
    """Say of a file that cannot be read, or from which nothing can be built, which command makes such files.

    Raises:
        DataError: in place of what the block raises, unless that tells what to do.
    """
    from safetensors import SafetensorError

    try:
        yield
    except DfmvrError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; make it with `{maker}`, or name another") from None
    except (SafetensorError, OSError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not a file written by `{maker}` ({reason}); make it again") from None
