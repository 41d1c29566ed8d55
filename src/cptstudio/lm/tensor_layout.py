"""From mlx-lm's parameter names back to the names and shapes in the model's own files.

Each architecture in mlx-lm has a `sanitize` that renames, transposes, stacks or splits the
tensors of a published checkpoint into the parameters of its network. A checkpoint that other
programs shall read has to undo that. Instead of one hand-written inverse for each of some 130
architectures, the inverse is measured: `sanitize` is run on arrays that hold, in place of
weights, where each element stands in the files, and what comes out says where it went. Where it
does more than move elements (such as adding 1 to a norm's weights) there is no exact inverse, and
the caller keeps mlx-lm's own names, which mlx-lm reads as well.

A first save needs no more memory than training by this: where an element stands along one axis is
an array that is as long as that axis and broadcast to the tensor's shape, so `sanitize` is run
once for each axis, and what it hands on untouched takes no memory at all.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
from mlx.nn.layers.base import Module

from cptstudio.weight_files import Tensor, read_tensors

_AT_ONCE = 1 << 20
"""Elements that are compared at once."""

Index = npt.NDArray[np.int64]
Numbers = npt.NDArray[Any]
Factor = tuple[int, int]
"""A count of elements, and the distance between them."""
Block = tuple[tuple[int, int], ...]
"""From and to along each axis."""


@dataclass(frozen=True)
class _Piece:
    """A block of one parameter and the elements of one tensor that fill it.

    Attributes:
        parameter: the name in mlx-lm.
        source: the name in the files.
        block: where it lies in the parameter, from and to along each axis.
        first: position in the flattened source of the block's first element.
        factors: the block's elements lie in the source at `first` plus a multiple of each distance,
            the last factor running fastest.
    """

    parameter: str
    source: str
    block: Block
    first: int
    factors: tuple[Factor, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(count for count, _ in self.factors)

    def box(self, size: int) -> tuple[list[int], list[slice], list[int]] | None:
        """See the source's elements as a box in which the block is a smaller box.

        Args:
            size: of the source.

        Returns:
            The lengths of the large box's axes, the small one in it, and the order in which the
            factors become its axes; None where they are no such boxes.
        """
        order = sorted(range(len(self.factors)), key=lambda place: -self.factors[place][1])
        lengths, small, above = [], [], size
        for place in order:
            count, distance = self.factors[place]
            if distance < 1 or above % distance:
                return None
            length = above // distance
            begin = self.first // distance % length
            if begin + count > length:
                return None
            lengths.append(length)
            small.append(slice(begin, begin + count))
            above = distance
        return [*lengths, above], [*small, slice(self.first % above, self.first % above + 1)], order


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
    _pieces: Mapping[str, tuple[_Piece, ...]]

    def parameters_of(self, name: str) -> tuple[str, ...]:
        """Return the parameters that a tensor of the files is made of; one may come repeatedly."""
        return tuple(piece.parameter for piece in self._pieces[name])

    def restored(self, name: str, parameters: Mapping[str, Numbers]) -> Numbers:
        """Return a tensor as the files hold it, from parameters as mlx-lm names them."""
        pieces, shape = self._pieces[name], self.shapes[name]
        size = math.prod(shape)
        whole: Numbers | None = None
        for piece in pieces:
            box = piece.box(size)
            assert box is not None, "it was looked at when it was measured"
            lengths, small, order = box
            value = parameters[piece.parameter][tuple(slice(*ends) for ends in piece.block)]
            value = value.reshape([count for count, _ in piece.factors]).transpose(order)[..., None]
            if piece.size == size:
                return value.reshape(shape)
            if whole is None:
                whole = np.empty(size, dtype=value.dtype)
            whole.reshape(lengths)[tuple(small)] = value
        assert whole is not None
        return whole.reshape(shape)


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
    # sanitize may change the network it is called on (it removes an unused head), so it gets a
    # fresh one. MLX is lazy: the fresh network's random weights are never computed.
    network: Any = type(model)
    arguments = sys.modules[network.__module__].ModelArgs

    def sanitized(numbered: dict[str, mx.array]) -> dict[str, mx.array]:
        sanitize = getattr(network(arguments.from_dict(config)), "sanitize", None)
        return numbered if sanitize is None else dict(sanitize(numbered))

    try:
        found = list(_Numbering(tensors).pieces(sanitized))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError):
        return None
    pieces: dict[str, list[_Piece]] = {}
    for piece in found:
        pieces.setdefault(piece.source, []).append(piece)
    if not all(_complete(parts, math.prod(tensors[name].shape)) for name, parts in pieces.items()):
        return None
    return TensorLayout(
        shapes={name: tensor.shape for name, tensor in tensors.items() if name in pieces},
        dropped=tuple(name for name in tensors if name not in pieces),
        _pieces={name: tuple(parts) for name, parts in pieces.items()},
    )


class _Numbering:
    """Numbers for the places along each axis of each tensor, different for all tensors."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._shapes = {name: tensor.shape for name, tensor in tensors.items()}
        self._names = list(tensors)
        self._axes = max([1, *(len(shape) for shape in self._shapes.values())])
        # A hole after each tensor, and one before the first, so that arithmetic on numbers cannot
        # pass for a move: x + 1 leads out of its tensor at the end.
        sizes = [max([1, *shape]) + 1 for shape in self._shapes.values()]
        self._starts: Index = np.cumsum([1, *sizes[:-1]], dtype=np.int64)
        self._start_of = dict(zip(self._names, self._starts.tolist(), strict=True))
        large = sum(sizes) >= np.iinfo(np.int32).max
        self._dtype = mx.int64 if large else mx.int32

    def pieces(
        self, sanitized: Callable[[dict[str, mx.array]], dict[str, mx.array]]
    ) -> Iterator[_Piece]:
        """Yield where every parameter comes from.

        Raises:
            ValueError: something was computed, or moved in another way than can be undone.
        """
        moved: dict[str, list[mx.array]] = {}
        for axis in range(self._axes):
            places = {name: self._places(name, axis) for name in self._names}
            numbered = {name: mx.broadcast_to(places[name], self._shapes[name]) for name in places}
            mx.eval(numbered)
            whole = {id(array): (name, _address(array)) for name, array in numbered.items()}
            keep_alive = [*numbered.values(), *places.values()]
            results = sanitized(numbered)
            for parameter, array in results.items():
                if axis and parameter not in moved:
                    continue
                source, address = whole.get(id(array), (None, 0))
                # Falcon-H1's multiplies in place: the same object has other numbers then.
                if source is None or axis or _address(array) != address:
                    moved.setdefault(parameter, []).append(array)
                else:
                    yield _untouched(parameter, source, self._shapes[source])
            del keep_alive
        for parameter in list(moved):
            # Taken out, so that the memory of each goes before that of the next is needed.
            yield from self._recognized(parameter, moved.pop(parameter))

    def _places(self, name: str, axis: int) -> mx.array:
        """The number of each place along an axis, to be broadcast to the tensor's shape."""
        shape, start = self._shapes[name], self._start_of[name]
        length = shape[axis] if axis < len(shape) else 1
        places = mx.arange(start, start + length, dtype=self._dtype)
        return places.reshape(
            [length, *(1 for _ in shape[axis + 1 :])] if axis < len(shape) else []
        )

    def _recognized(self, parameter: str, moved: list[mx.array]) -> Iterator[_Piece]:
        if any(one.dtype != self._dtype or one.shape != moved[0].shape for one in moved):
            raise ValueError(f"{parameter} was computed, not moved")
        if len(moved) < self._axes or not moved[0].size:
            raise ValueError(f"{parameter} is not there whenever it is made")
        numbers = [np.array(moved[0], copy=False)]
        blocks = self._blocks(numbers[0])
        sources = [self._names[self._owner(_corner(numbers[0], block))] for block in blocks]
        # Axes that none of its sources has need not be looked at.
        most = max(len(self._shapes[source]) for source in sources)
        numbers += [np.array(one, copy=False) for one in moved[1:most]]
        for block, source in zip(blocks, sources, strict=True):
            part = [one[tuple(slice(*ends) for ends in block)] for one in numbers]
            yield self._piece(parameter, source, block, part)

    def _owner(self, number: int) -> int:
        return int(self._owners(np.array([number]))[0])

    def _owners(self, numbers: Numbers) -> Index:
        owners = np.searchsorted(self._starts, numbers, side="right") - 1
        if owners.size and owners.min() < 0:
            raise ValueError("an element that no file has")
        return owners

    def _blocks(self, numbers: Numbers) -> list[Block]:
        """Cut a parameter along one axis where another tensor begins."""
        shape = numbers.shape
        for axis in range(numbers.ndim):
            line = numbers[tuple(slice(None) if d == axis else 0 for d in range(numbers.ndim))]
            cuts = np.flatnonzero(np.diff(self._owners(line))) + 1
            if cuts.size:
                return [
                    tuple((low, high) if d == axis else (0, shape[d]) for d in range(numbers.ndim))
                    for low, high in itertools.pairwise([0, *cuts.tolist(), shape[axis]])
                ]
        return [tuple((0, size) for size in shape)]

    def _piece(self, parameter: str, source: str, block: Block, numbers: list[Numbers]) -> _Piece:
        shape, start = self._shapes[source], self._start_of[source]
        distances = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]

        def positions(part: tuple[Any, ...]) -> Index:
            """Return the positions in the flattened source of a part of the block."""
            total: Any = np.zeros((), np.int64)
            for axis, one in enumerate(numbers):
                places = one[part].astype(np.int64) - start
                length = shape[axis] if axis < len(shape) else 1
                if places.size and (places.min() < 0 or places.max() >= length):
                    raise ValueError(f"{parameter} holds elements of several tensors")
                if axis < len(shape):
                    total = total + places * distances[axis]
            return np.asarray(total, dtype=np.int64)

        dimensions = numbers[0].ndim
        corner = (slice(0, 1),) * dimensions
        first = int(positions(corner).reshape(-1)[0])
        factors: list[Factor] = []
        lines = []
        for axis in range(dimensions):
            line = positions((*corner[:axis], slice(None), *corner[axis + 1 :])) - first
            lines.append(line)
            factors += _factors(line.reshape(-1))
        rows = max(1, _AT_ONCE * numbers[0].shape[0] // numbers[0].size) if dimensions else 1
        for begin in range(0, numbers[0].shape[0] if dimensions else 1, rows):
            chunk = (slice(begin, begin + rows),) if dimensions else ()
            expected: Any = np.int64(first)
            for axis, line in enumerate(lines):
                expected = expected + (line[begin : begin + rows] if axis == 0 else line)
            if not np.array_equal(positions(chunk), expected):
                raise ValueError(f"{parameter} is moved in another way than along its axes")
        piece = _Piece(parameter, source, block, first, tuple(factors))
        if piece.box(math.prod(shape)) is None:
            raise ValueError(f"{parameter} is no box in {source}")
        return piece


def _untouched(parameter: str, source: str, shape: tuple[int, ...]) -> _Piece:
    block = tuple((0, size) for size in shape)
    return _Piece(parameter, source, block, 0, ((math.prod(shape), 1),))


def _corner(numbers: Numbers, block: Block) -> int:
    return int(numbers[tuple(low for low, _ in block)])


def _address(array: mx.array) -> int:
    """Where an array's numbers lie: elsewhere once something was computed with them."""
    # Also of one without elements, of which no view can be made.
    return int(np.array(array, copy=False).ctypes.data) if array.size else 0


def _factors(line: Index) -> list[Factor]:
    """Cut positions along one axis into steps of steps, the largest first.

    Raises:
        ValueError: they do not repeat themselves.
    """
    found: list[Factor] = []
    while line.size > 1:
        steps = np.diff(line)
        others = np.flatnonzero(steps != steps[0])
        count = int(others[0]) + 1 if others.size else line.size
        if line.size % count:
            raise ValueError("elements at uneven distances")
        if not np.array_equal(line.reshape(-1, count), line[::count, None] + line[:count]):
            raise ValueError("elements at uneven distances")
        found.insert(0, (count, int(steps[0])))
        line = line[::count]
    return found


def _complete(pieces: Sequence[_Piece], size: int) -> bool:
    """Whether the pieces give each element of a tensor exactly once."""
    if sum(piece.size for piece in pieces) != size:
        return False
    if len(pieces) == 1:
        return True
    given = np.zeros(size, dtype=bool)
    for piece in pieces:
        box = piece.box(size)
        assert box is not None
        given.reshape(box[0])[tuple(box[1])] = True
    return bool(given.all())
