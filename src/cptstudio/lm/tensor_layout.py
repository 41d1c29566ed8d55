"""From mlx-lm's parameter names back to the names and shapes in the model's own files.

Each architecture in mlx-lm has a `sanitize` that renames, transposes, stacks or splits the
tensors of a published checkpoint into the parameters of its network. A checkpoint that other
programs shall read has to undo that. Instead of one hand-written inverse for each of some 130
architectures, the inverse is measured: `sanitize` is run on arrays that hold, in place of
weights, the position of each element in the files, and what comes out says where each element
went. Where it does more than move elements (such as adding 1 to a norm's weights) there is no
exact inverse, and the caller keeps mlx-lm's own names, which mlx-lm reads as well.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
from mlx.nn.layers.base import Module

from cptstudio.lm.description import Tensor, read_tensors

_SCATTER_LIMIT = 64_000_000
"""Elements up to which an irregular move is kept as an index, 8 bytes each."""

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Move:
    """How one parameter is spread over tensors of the files.

    Attributes:
        parameter: the name in mlx-lm.
        sources: names in the files; several when they were stacked along a new first axis.
        axes: transposition that was applied to each source; None for an irregular move.
        index: for an irregular move, the position in `sources` (laid end to end, flattened)
            of each element of the parameter.
    """

    parameter: str
    sources: tuple[str, ...]
    axes: tuple[int, ...] | None
    index: Index | None = None


@dataclass(frozen=True)
class TensorLayout:
    """The exact inverse of one architecture's `sanitize`, for one model folder.

    Attributes:
        shapes: of the tensors in the files that hold parameters.
        dropped: tensors in the files that are no parameters of the network, such as those of
            an image encoder.
    """

    shapes: Mapping[str, tuple[int, ...]]
    dropped: tuple[str, ...]
    _moves: tuple[_Move, ...]

    def restore(self, parameters: Mapping[str, mx.array]) -> dict[str, mx.array]:
        """Tensors as the files hold them, from parameters as mlx-lm names them (lazy)."""
        tensors: dict[str, mx.array] = {}
        pieces: dict[str, list[tuple[Index, npt.NDArray[Any]]]] = {}
        for move in self._moves:
            value = parameters[move.parameter]
            if move.index is not None:
                _split_irregular(move, self.shapes, value, pieces)
                continue
            parts = [value] if len(move.sources) == 1 else list(value)
            for source, part in zip(move.sources, parts, strict=True):
                assert move.axes is not None
                shape = self.shapes[source]
                transposed = part.reshape([shape[axis] for axis in move.axes])
                inverse = [int(axis) for axis in np.argsort(move.axes)]
                tensors[source] = transposed.transpose(inverse)
        for source, parts_of_it in pieces.items():
            whole = np.empty(math.prod(self.shapes[source]), dtype=parts_of_it[0][1].dtype)
            for positions, values in parts_of_it:
                whole[positions] = values
            tensors[source] = mx.array(whole.reshape(self.shapes[source]))
        return {name: tensors[name] for name in self.shapes}


def measure_layout(model: Module, config: dict[str, Any], path: Path) -> TensorLayout | None:
    """Find how the tensors in a folder become the parameters of its model.

    Args:
        model: an instance of the network, for its class alone.
        config: as returned by mlx-lm's `load_model`.
        path: the folder the model was loaded from; only headers are read.

    Returns:
        None when `sanitize` has no exact inverse.
    """
    tensors = read_tensors(path)
    starts = _starts(tensors)
    try:
        moved = _sanitized_positions(model, config, tensors, starts)
        moves = [_recognize(name, moved.pop(name), tensors, starts) for name in list(moved)]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError):
        return None
    if not _complete(moves, tensors):
        return None
    used = {source for move in moves for source in move.sources}
    return TensorLayout(
        shapes={name: tensor.shape for name, tensor in tensors.items() if name in used},
        dropped=tuple(name for name in tensors if name not in used),
        _moves=tuple(moves),
    )


def _starts(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    # A hole after each tensor, and one before the first, so that arithmetic on positions
    # cannot pass for a move: x + 1 leads out of its tensor at the end.
    starts, position = {}, 1
    for name, tensor in tensors.items():
        starts[name] = position
        position += math.prod(tensor.shape) + 1
    return starts


def _sanitized_positions(
    model: Module,
    config: dict[str, Any],
    tensors: Mapping[str, Tensor],
    starts: Mapping[str, int],
) -> dict[str, mx.array]:
    positions = {
        name: mx.arange(
            starts[name], starts[name] + math.prod(tensor.shape), dtype=mx.int64
        ).reshape(tensor.shape)
        for name, tensor in tensors.items()
    }
    # sanitize may change the network it is called on (it removes an unused head), so it gets a
    # fresh one. MLX is lazy: the fresh network's random weights are never computed.
    network: Any = type(model)
    fresh = network(sys.modules[network.__module__].ModelArgs.from_dict(config))
    sanitize = getattr(fresh, "sanitize", None)
    if sanitize is None:
        return positions
    moved: dict[str, mx.array] = sanitize(positions)
    return moved


def _recognize(
    name: str, positions: mx.array, tensors: Mapping[str, Tensor], starts: Mapping[str, int]
) -> _Move:
    if positions.dtype != mx.int64:
        raise ValueError(f"{name} was computed, not moved")
    where: Index = np.array(positions)
    names = list(starts)
    first = np.fromiter(starts.values(), dtype=np.int64)
    owners = np.searchsorted(first, where, side="right") - 1
    if owners.min() < 0:
        raise ValueError(f"{name} holds elements that no file has")
    single = _source_of(where, owners, names)
    if single is not None:
        axes = _transposition(where - starts[single], tensors[single].shape)
        if axes is not None:
            return _Move(name, (single,), axes)
    elif where.ndim > 1:
        stacked = _recognize_stack(name, where, owners, names, tensors, starts)
        if stacked is not None:
            return stacked
    return _irregular(name, where, owners, names, tensors, starts)


def _source_of(where: Index, owners: Index, names: Sequence[str]) -> str | None:
    owner = int(owners.flat[0])
    return names[owner] if where.size and bool((owners == owner).all()) else None


def _recognize_stack(
    name: str,
    where: Index,
    owners: Index,
    names: Sequence[str],
    tensors: Mapping[str, Tensor],
    starts: Mapping[str, int],
) -> _Move | None:
    sources: list[str] = []
    common: tuple[int, ...] | None = None
    for part, part_owners in zip(where, owners, strict=True):
        source = _source_of(part, part_owners, names)
        if source is None:
            return None
        axes = _transposition(part - starts[source], tensors[source].shape)
        if axes is None or (common is not None and axes != common):
            return None
        common = axes
        sources.append(source)
    return _Move(name, tuple(sources), common)


def _transposition(where: Index, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The axes by which an array of this shape was transposed to be laid out like `where`."""
    size = math.prod(shape)
    if where.size != size:
        return None
    plain = np.arange(size, dtype=np.int64).reshape(shape)
    flat = where.reshape(-1)
    for axes in itertools.permutations(range(len(shape))):
        if np.array_equal(plain.transpose(axes).reshape(-1), flat):
            return axes
    return None


def _irregular(
    name: str,
    where: Index,
    owners: Index,
    names: Sequence[str],
    tensors: Mapping[str, Tensor],
    starts: Mapping[str, int],
) -> _Move:
    if where.size > _SCATTER_LIMIT:
        raise ValueError(f"{name} is too large to be moved element by element")
    index = np.empty(where.size, dtype=np.int64)
    flat, flat_owners = where.reshape(-1), owners.reshape(-1)
    sources: list[str] = []
    offset = 0
    for owner in np.unique(flat_owners):
        source = names[int(owner)]
        mine = flat_owners == owner
        size = math.prod(tensors[source].shape)
        local = flat[mine] - starts[source]
        if local.max() >= size:
            raise ValueError(f"{name} holds elements that no file has")
        index[mine] = local + offset
        offset += size
        sources.append(source)
    if np.unique(index).size != index.size:
        raise ValueError(f"{name} repeats elements")
    return _Move(name, tuple(sources), None, index)


def _split_irregular(
    move: _Move,
    shapes: Mapping[str, tuple[int, ...]],
    value: mx.array,
    pieces: dict[str, list[tuple[Index, npt.NDArray[Any]]]],
) -> None:
    assert move.index is not None
    # NumPy has no bfloat16; float32 holds every bfloat16 exactly.
    values = np.array(value.astype(mx.float32) if value.dtype == mx.bfloat16 else value).ravel()
    offset = 0
    for source in move.sources:
        size = math.prod(shapes[source])
        mine = (move.index >= offset) & (move.index < offset + size)
        pieces.setdefault(source, []).append((move.index[mine] - offset, values[mine]))
        offset += size


def _complete(moves: Sequence[_Move], tensors: Mapping[str, Tensor]) -> bool:
    """Whether each tensor that is used at all gets each of its elements exactly once."""
    counts: dict[str, int] = {}
    for move in moves:
        offset = 0
        for source in move.sources:
            size = math.prod(tensors[source].shape)
            share = size
            if move.index is not None:
                share = int(((move.index >= offset) & (move.index < offset + size)).sum())
            offset += size
            counts[source] = counts.get(source, 0) + share
    return all(counts[name] == math.prod(tensors[name].shape) for name in counts)
