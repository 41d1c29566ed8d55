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

import bisect
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

from cptstudio.weight_files import Tensor, read_tensors

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
        pieces: dict[str, list[tuple[mx.array, mx.array]]] = {}
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
            whole = mx.zeros(math.prod(self.shapes[source]), dtype=parts_of_it[0][1].dtype)
            for positions, values in parts_of_it:
                whole[positions] = values
            tensors[source] = whole.reshape(self.shapes[source])
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
    positions = _Positions(tensors, _starts(tensors))
    try:
        moves = _moves(model, config, positions)
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


def _moves(model: Module, config: dict[str, Any], positions: _Positions) -> list[_Move]:
    numbered = {
        name: mx.arange(
            positions.starts[name], positions.starts[name] + math.prod(tensor.shape), dtype=mx.int64
        ).reshape(tensor.shape)
        for name, tensor in positions.tensors.items()
    }
    untouched = {id(array): name for name, array in numbered.items()}
    keep_alive = list(numbered.values())
    # sanitize may change the network it is called on (it removes an unused head), so it gets a
    # fresh one. MLX is lazy: the fresh network's random weights are never computed.
    network: Any = type(model)
    fresh = network(sys.modules[network.__module__].ModelArgs.from_dict(config))
    sanitize = getattr(fresh, "sanitize", None)
    moved: dict[str, mx.array] = numbered if sanitize is None else sanitize(numbered)
    moves = []
    for name in list(moved):
        # Taking each out of the dictionary lets its memory go once it is recognised.
        array = moved.pop(name)
        source = untouched.get(id(array))
        if source is None or not positions.fills(source, array):
            moves.append(_recognize(name, array, positions))
        else:
            axes = tuple(range(len(positions.tensors[source].shape)))
            moves.append(_Move(name, (source,), axes))
    del keep_alive
    return moves


@dataclass(frozen=True)
class _Positions:
    """Where each tensor of the files begins in the numbering of all their elements."""

    tensors: Mapping[str, Tensor]
    starts: Mapping[str, int]

    def owner(self, position: int) -> str:
        """The tensor that an element belongs to."""
        index = bisect.bisect_right(list(self.starts.values()), position) - 1
        if index < 0:
            raise ValueError("an element that no file has")
        return list(self.starts)[index]

    def fills(self, source: str, moved: mx.array) -> bool:
        """Whether an array that sanitize handed on is still the tensor it got.

        Falcon-H1's multiplies in place. First and last element tell: arithmetic moves them.
        """
        start, size = self.starts[source], math.prod(self.tensors[source].shape)
        if moved.dtype != mx.int64 or moved.size != size or size == 0:
            return False
        flat = moved.reshape(-1)
        return flat[0].item() == start and flat[-1].item() == start + size - 1

    def transposition(self, where: Index) -> tuple[str, tuple[int, ...]] | None:
        """The tensor that fills an array alone, and the order of its axes there."""
        source = self.owner(int(where.flat[0]))
        axes = _transposition(where - self.starts[source], self.tensors[source].shape)
        return None if axes is None else (source, axes)


def _recognize(name: str, moved: mx.array, positions: _Positions) -> _Move:
    if moved.dtype != mx.int64:
        raise ValueError(f"{name} was computed, not moved")
    where: Index = np.array(moved)
    whole = positions.transposition(where)
    if whole is not None:
        return _Move(name, (whole[0],), whole[1])
    if where.ndim > 1:
        parts = [positions.transposition(part) for part in where]
        found = [part for part in parts if part is not None]
        if len(found) == len(parts) and len({axes for _, axes in found}) == 1:
            return _Move(name, tuple(source for source, _ in found), found[0][1])
    return _irregular(name, where, positions)


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


def _irregular(name: str, where: Index, positions: _Positions) -> _Move:
    if where.size > _SCATTER_LIMIT:
        raise ValueError(f"{name} is too large to be moved element by element")
    flat = where.reshape(-1)
    names = list(positions.starts)
    first = np.fromiter(positions.starts.values(), dtype=np.int64)
    owners = np.searchsorted(first, flat, side="right") - 1
    if owners.min() < 0:
        raise ValueError(f"{name} holds elements that no file has")
    index = np.empty(flat.size, dtype=np.int64)
    sources: list[str] = []
    offset = 0
    for owner in np.unique(owners):
        source = names[int(owner)]
        mine = owners == owner
        size = math.prod(positions.tensors[source].shape)
        local = flat[mine] - positions.starts[source]
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
    pieces: dict[str, list[tuple[mx.array, mx.array]]],
) -> None:
    assert move.index is not None
    values = value.reshape(-1)
    offset = 0
    for source in move.sources:
        size = math.prod(shapes[source])
        mine = (move.index >= offset) & (move.index < offset + size)
        targets = mx.array(move.index[mine] - offset)
        origins = mx.array(np.flatnonzero(mine))
        pieces.setdefault(source, []).append((targets, values[origins]))
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
