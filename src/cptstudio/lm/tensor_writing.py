"""Writes safetensors files one tensor after the other: a save needs no second copy of a model.

Numbers are converted and hashed in parts, by numpy, on the way to the disk. Nothing here computes
with MLX unless a tensor's numbers are not there yet, so what is there can be written by a thread
beside the training.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from cptstudio.durable import real_path
from cptstudio.run_files import FileRecord
from cptstudio.weight_files import Tensor

TYPES: Final = {
    mx.bool_: "BOOL", mx.uint8: "U8", mx.int8: "I8", mx.uint16: "U16", mx.int16: "I16",
    mx.uint32: "U32", mx.int32: "I32", mx.uint64: "U64", mx.int64: "I64", mx.float16: "F16",
    mx.bfloat16: "BF16", mx.float32: "F32", mx.complex64: "C64",
}  # fmt: skip
"""MLX's types as the safetensors format names them."""

_BITS: Final = {1: mx.uint8, 2: mx.uint16, 4: mx.uint32, 8: mx.uint64}
_METADATA: Final = {"format": "mlx"}
_AT_ONCE: Final = 1 << 20
"""Elements that are converted, hashed and written at once."""

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Unwritten:
    """A tensor that is to be written.

    Attributes:
        dtype: in the file, as the safetensors format names it.
        held: the type that its numbers have now, named alike.
        bytes: size of its data in the file.
        numbers: gives them, in any layout in memory; those of bfloat16 as their bits.
    """

    dtype: str
    shape: tuple[int, ...]
    held: str
    bytes: int
    numbers: Callable[[], Numbers]


def unwritten(value: mx.array, dtype: mx.Dtype | None = None) -> Unwritten:
    """Return an array as it will be written.

    Args:
        value: may be lazy; it is computed when it is written.
        dtype: to be written as; None for its own type.
    """
    wanted = dtype or value.dtype
    return Unwritten(
        TYPES[wanted], value.shape, TYPES[value.dtype], wanted.size * value.size,
        lambda: host_numbers(value),
    )  # fmt: skip


def host_numbers(value: mx.array) -> Numbers:
    """Return an array's numbers where they lie; those of bfloat16 as their bits.

    Where `memory_is_apart`, the array is in the host's memory from then on.
    """
    plain = value.view(mx.uint16) if value.dtype == mx.bfloat16 else value
    return np.array(plain, copy=False)


def memory_is_apart() -> bool:
    """Return whether the device computes in a memory of its own, as a card under CUDA does.

    Its arrays move to memory that both reach once the host reads them (`move_to_unified_memory` in
    mlx/backend/cuda/allocator.cpp), and then the steps that use them fetch every page back. So the
    arrays of a training are copied on the card, and the copies are read.
    """
    return mx.default_device().type == mx.DeviceType.gpu and not mx.metal.is_available()


class Copies:
    """Copies of arrays on their device, each made once, that no step uses.

    Those of bfloat16 are uint16, so that `host_numbers` of a copy computes nothing and any thread
    may ask for it.
    """

    def __init__(self) -> None:
        self._made: dict[int, tuple[mx.array, mx.array]] = {}

    def of(self, values: Mapping[str, mx.array]) -> dict[str, mx.array]:
        """Return copies with the same bits, computed, by the names of the arrays."""
        new = {id(value): value for value in values.values() if id(value) not in self._made}
        for key, value in new.items():
            bits = value.view(_BITS[value.itemsize])
            copy = bits + mx.array(0, bits.dtype)
            # The array is kept beside its copy, so that no other gets its id.
            self._made[key] = (
                value, copy if value.dtype == mx.bfloat16 else copy.view(value.dtype)
            )  # fmt: skip
        mx.eval([self._made[key][1] for key in new])
        return {name: self._made[id(value)][1] for name, value in values.items()}


def of_file(folder: Path, tensor: Tensor) -> Unwritten:
    """Return a tensor of a model folder's weight files, to be written as it lies."""

    def numbers() -> Numbers:
        file = real_path(folder / tensor.file)
        return np.memmap(file, np.uint8, "r", tensor.start, (tensor.bytes,))

    return Unwritten(tensor.dtype, tensor.shape, tensor.dtype, tensor.bytes, numbers)


def write_tensors(
    file: Path, tensors: dict[str, Unwritten], going_on: Callable[[], None] = lambda: None
) -> FileRecord:
    """Write a safetensors file (github.com/huggingface/safetensors#format).

    Args:
        tensors: by name; each is taken out once it is written, so that its memory may go.
        going_on: called again and again; what it raises ends the writing.

    Returns:
        Size and SHA-256 of the file.
    """
    header, end = {"__metadata__": _METADATA}, 0
    entries: dict[str, Any] = {}
    for name, tensor in tensors.items():
        offsets = [end, end := end + tensor.bytes]
        entries[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": offsets,
        }
    text = json.dumps(header | entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    hashed = hashlib.sha256()
    with file.open("xb", buffering=0) as stream:
        for part in _parts(text, tensors):
            going_on()
            hashed.update(part)
            rest = part
            while rest:
                rest = rest[stream.write(rest) :]
        size = stream.tell()
    return FileRecord(size=size, sha256=hashed.hexdigest())


def _parts(header: bytes, tensors: dict[str, Unwritten]) -> Iterator[memoryview]:
    yield memoryview(struct.pack("<Q", len(header)) + header)
    for name in list(tensors):
        tensor = tensors.pop(name)
        for numbers in _runs(tensor.numbers()):
            data = _converted(numbers, tensor.held, tensor.dtype)
            yield np.ascontiguousarray(data).reshape(-1).view(np.uint8).data


def _runs(numbers: Numbers) -> Iterator[Numbers]:
    """Cut an array into consecutive parts of its elements."""
    if not numbers.size:
        return
    if numbers.flags.c_contiguous:
        numbers = numbers.reshape(-1)
    count = max(1, _AT_ONCE * numbers.shape[0] // numbers.size) if numbers.ndim else 1
    if not numbers.ndim:
        yield numbers
        return
    for begin in range(0, numbers.shape[0], count):
        yield numbers[begin : begin + count]


def _converted(numbers: Numbers, held: str, wanted: str) -> Numbers:
    """Return numbers in another floating-point type, rounded to nearest, ties to even."""
    if held == wanted:
        return numbers
    wide = numbers.astype(np.float32) if held == "F16" else numbers
    if held == "BF16":
        wide = (numbers.astype(np.uint32) << 16).view(np.float32)
    if wide.dtype != np.float32 or wanted not in ("F32", "F16", "BF16"):
        raise ValueError(f"{held} is not written as {wanted}")
    if wanted == "F32":
        return wide
    if wanted == "F16":
        with np.errstate(over="ignore"):
            return wide.astype(np.float16)
    bits = np.ascontiguousarray(wide).view(np.uint32)
    rounded = ((bits + (((bits >> 16) & 1) + np.uint32(0x7FFF))) >> 16).astype(np.uint16)
    return np.where(np.isnan(wide), np.uint16(0x7FC0), rounded)


def main_type(tensors: Mapping[str, Unwritten]) -> str | None:
    """Return the floating-point type that most numbers will have; None where there are none."""
    sizes: dict[str, int] = {}
    for tensor in tensors.values():
        if tensor.dtype in ("F32", "F16", "BF16"):
            size = sizes.get(tensor.dtype, 0)
            sizes[tensor.dtype] = size + math.prod(tensor.shape)
    return max(sizes, key=lambda dtype: sizes[dtype]) if sizes else None
