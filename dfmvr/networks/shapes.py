"""What a network says of a tensor that it cannot take."""

from __future__ import annotations

from torch import Tensor

from dfmvr.errors import DataError


def expect_shape(tensor: Tensor | None, what: str, shape: tuple[int | str, ...], hint: str) -> None:
    """Check that a tensor has a shape, in which a letter stands for any number.

    Args:
        what: who expects what, such as `network: expected images`.
        hint: what to do about it.

    Raises:
        DataError: it has not, or there is none.
    """
    found = () if tensor is None else tuple(tensor.shape)
    if len(found) != len(shape) or any(n != m for n, m in zip(found, shape, strict=True) if not isinstance(m, str)):
        expected = ", ".join(map(str, shape))
        raise DataError(f"{what} ({expected}), found {'none' if tensor is None else found}; {hint}")
