"""Weights that are no numbers: a model that holds NaN or infinity computes nothing of sense.

Loading looks at every weight (4 GB/s on a CPU). A plan cannot read a whole model at each
keystroke, so it looks at the beginning and the end of every tensor, which finds a training that
went wrong: then all weights are NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cptstudio.durable import open_regular_file, real_path
from cptstudio.errors import UserError

if TYPE_CHECKING:
    import mlx.core as mx

    from cptstudio.weight_files import Tensor

# A number whose exponent is all ones is NaN or infinity, by IEEE 754 and in bfloat16 alike.
_EXPONENTS = {"F32": 0x7F80_0000, "BF16": 0x7F80, "F16": 0x7C00}
_AT_ONCE = 1 << 18
_SAMPLE = 2048
"""Bytes at each end of a tensor."""


def check_weights(values: Mapping[str, mx.array], where: Path) -> None:
    """Look at every floating-point weight of a network.

    Args:
        values: by name; they are computed.
        where: the model's folder, for the message.

    Raises:
        UserError: some are NaN or infinite; the message names the first one.
    """
    broken = [name for name, value in values.items() if not _is_finite(value)]
    if broken:
        raise not_finite(where, broken[0], len(broken), len(values))


def not_finite(where: Path, name: str, broken: int, total: int) -> UserError:
    """Return what is said of a model with such weights."""
    more = f" and {broken - 1:,} more of its {total:,} tensors contain" if broken > 1 else " holds"
    return UserError(
        f"The model in {where} is damaged: {name}{more} NaN or infinity. Use another "
        "copy, or an earlier checkpoint."
    )


def _is_finite(value: mx.array) -> bool:
    import mlx.core as mx

    kinds = {mx.float32: "F32", mx.bfloat16: "BF16", mx.float16: "F16"}
    kind = kinds.get(value.dtype)
    if kind is None:
        return True
    if mx.default_device() != mx.Device(mx.cpu):
        return bool(mx.isfinite(value).all().item())
    # MLX's own kernels for this run at 0.06 GB/s on a CPU for types of 16 bits.
    bits = value.view(mx.uint32 if kind == "F32" else mx.uint16)
    return _all_finite(np.array(bits, copy=False).reshape(-1), kind)


def _all_finite(bits: npt.NDArray[Any], kind: str) -> bool:
    mask = bits.dtype.type(_EXPONENTS[kind])
    for start in range(0, bits.size, _AT_ONCE):
        if ((bits[start : start + _AT_ONCE] & mask) == mask).any():
            return False
    return True


def damaged_tensors(folder: Path, tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the tensors of a model folder that begin or end with NaN or infinity, by name."""
    damaged = []
    by_file: dict[str, list[tuple[str, Tensor]]] = {}
    for name, tensor in tensors.items():
        if tensor.dtype in _EXPONENTS and tensor.bytes:
            by_file.setdefault(tensor.file, []).append((name, tensor))
    for file, entries in by_file.items():
        with open_regular_file(real_path(folder / file)) as stream:
            for name, tensor in entries:
                last = max(tensor.start, tensor.start + tensor.bytes - _SAMPLE)
                for begin in {tensor.start, last}:
                    stream.seek(begin)
                    size = min(_SAMPLE, tensor.start + tensor.bytes - begin)
                    width = np.uint32 if tensor.dtype == "F32" else np.uint16
                    if not _all_finite(np.frombuffer(stream.read(size), dtype=width), tensor.dtype):
                        damaged.append(name)
                        break
    return damaged
