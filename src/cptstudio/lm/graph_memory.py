"""How much memory MLX takes to evaluate a graph, found by walking through it without computing.

MLX is lazy: what a step needs is decided by the order in which `eval` takes the operations, and by
when the last reader of an array lets go of it. Both are rules that can be followed with shapes
alone (mlx/transforms.cpp, `eval_impl`; mlx/backend/cpu and /common for what is a view, what takes
the memory of its input, and what is copied first). So the peak of a graph is known before any of
its arrays exists. Imports no MLX.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Strides = tuple[int, ...]

_UNDER_WAY: Final = 10
"""Operations that are handed out before one of them is done (`MAX_ACTIVE_TASKS`)."""
_SLACK: Final = 16_384
"""Bytes that the memory of an input may be larger than the output that takes it over."""
_HANDED_ON: Final = frozenset({"Copy", "StopGradient", "Depends", "CustomTransforms"})
_RESHAPES: Final = frozenset({"Reshape", "Flatten", "Unflatten", "Squeeze", "ExpandDims"})
_PRODUCTS: Final = frozenset({"Matmul", "AddMM"})
_IN_PLACE: Final = frozenset({"SliceUpdate", "DynamicSliceUpdate", "Scatter", "ScatterAxis"})
CONTIGUOUS: Final = "Negative"
"""Stands in for `Contiguous`, which an export has no form for; see `step_graph`."""
_ELEMENT_WISE: Final = frozenset(
    {
        "Abs", "Add", "ArcTan2", "AsType", "BitwiseBinary", "Ceil", "Cos", "Divide", "Equal", "Erf",
        "ErfInv", "Exp", "Expm1", "Floor", "Greater", "GreaterEqual", "Less", "LessEqual", "Log",
        "Log1p", "LogAddExp", "LogicalAnd", "LogicalNot", "LogicalOr", "Maximum", "Minimum",
        "Multiply", "NotEqual", "Power", "Remainder", "Round", "Rsqrt", "Select", "Sigmoid", "Sign",
        "Sin", "Softmax", "Sqrt", "Square", "Subtract", "Tanh",
    }
)  # fmt: skip


class _Buffer:
    __slots__ = ("readers", "size")

    def __init__(self, size: int) -> None:
        self.size, self.readers = size, 0


@dataclass(eq=False, slots=True)
class Array:
    """An array of a graph.

    Attributes:
        shape: its axes.
        item: bytes of a number.
        made_by: the operation whose output it is; None for what is there before.
    """

    shape: tuple[int, ...]
    item: int
    made_by: Operation | None = None
    _strides: Strides = ()
    _buffer: _Buffer = field(default_factory=lambda: _Buffer(0))

    @property
    def bytes(self) -> int:
        """Of all its numbers."""
        return math.prod(self.shape) * self.item


@dataclass(eq=False, slots=True)
class Operation:
    """An operation of a graph: name and arguments as MLX's export gives them."""

    name: str
    inputs: Sequence[Array]
    outputs: Sequence[Array]
    arguments: Sequence[Any]


@dataclass(frozen=True)
class Graph:
    """The operations of a computation.

    Attributes:
        given: arrays that are there before; they cost nothing here.
        outputs: what is wanted.
        operations: how many there are.
    """

    given: Sequence[Array]
    outputs: Sequence[Array]
    operations: int


def peak_bytes(graph: Graph, width: int) -> int:
    """Return the most bytes that the arrays of a graph take together while it is evaluated.

    Args:
        width: as MLX_BFS_MAX_WIDTH: how many operations may wait before the order becomes
            depth-first.
    """
    return _Evaluation(graph).run(_order(graph.outputs, width))


def _order(outputs: Sequence[Array], width: int) -> list[Operation]:
    """The operations as `eval` takes them: breadth-first from the outputs, up to a width."""
    root = Operation("Synchronize", outputs, (), ())
    left: Counter[int] = Counter()
    known: set[int] = set()
    found = [root]
    while found:
        for array in found.pop().inputs:
            if (maker := array.made_by) is not None:
                left[id(maker)] += 1
                if id(maker) not in known:
                    known.add(id(maker))
                    found.append(maker)
    tape, place = [root], 0
    deeper: list[tuple[Operation, int]] = []
    while left and (place < len(tape) or deeper):
        if place < len(tape):
            operation, first = tape[place], 0
            place += 1
        else:
            operation, first = deeper.pop()
        for index in range(first, len(operation.inputs)):
            maker = operation.inputs[index].made_by
            if maker is None or id(maker) not in left:
                continue
            if len(tape) - place >= width:
                deeper.append((operation, index))
                break
            left[id(maker)] -= 1
            if not left[id(maker)]:
                del left[id(maker)]
                tape.append(maker)
    return tape[:0:-1]


class _Evaluation:
    """The memory of one evaluation."""

    def __init__(self, graph: Graph) -> None:
        self._active = self._peak = 0
        self._given = _Buffer(0)
        self._uses: Counter[int] = Counter(id(array) for array in graph.outputs)
        for array in graph.given:
            array._buffer, array._strides = self._given, _dense(array.shape)

    def run(self, tape: Sequence[Operation]) -> int:
        for operation in tape:
            self._uses.update(id(array) for array in operation.inputs)
        # What an operation lets go of is free when it has been done, some operations later.
        under_way: deque[tuple[int, list[_Buffer]]] = deque()
        for operation in tape:
            copied = self._evaluate(operation)
            freed: list[_Buffer] = []
            for array in operation.inputs:
                self._uses[id(array)] -= 1
                if not self._uses[id(array)]:
                    self._let_go(array, freed)
            for array in operation.outputs:
                if not self._uses[id(array)]:
                    self._let_go(array, freed)
            under_way.append((copied, freed))
            if len(under_way) > _UNDER_WAY:
                copied, freed = under_way.popleft()
                self._active -= copied + sum(buffer.size for buffer in freed)
        return self._peak

    def _evaluate(self, operation: Operation) -> int:
        """Give the outputs their memory; returns the bytes of what is copied for it."""
        name, inputs, outputs = operation.name, operation.inputs, operation.outputs
        if name in _HANDED_ON:
            first = len(inputs) - len(outputs) if name == "CustomTransforms" else 0
            for array, source in zip(outputs, inputs[first:], strict=False):
                self._view(array, source, source._strides)
        elif name == "Split":
            for array in outputs:
                self._view(array, inputs[0], inputs[0]._strides)
        elif (strides := _strides_of_view(operation)) is not None:
            self._view(outputs[0], inputs[0], strides)
        elif name in _ELEMENT_WISE or name in _IN_PLACE:
            self._over(operation, inputs[:1] if name in _IN_PLACE else inputs)
        else:
            for array in outputs:
                self._allocate(array)
            if name in _PRODUCTS:
                copied = sum(one.bytes for one in inputs[:2] if not _fits_product(one))
                self._active += copied
                self._peak = max(self._peak, self._active)
                return copied
        return 0

    def _over(self, operation: Operation, sources: Iterable[Array]) -> None:
        """Let the output take the memory of an input that nobody reads any more."""
        output = operation.outputs[0]
        for source in sources:
            size = source._buffer.size
            if (
                source.bytes == output.bytes <= size <= output.bytes + _SLACK
                and source.shape == output.shape
                and source._buffer.readers == 1
                and self._uses[id(source)] == operation.inputs.count(source)
            ):
                self._view(output, source, source._strides)
                return
        self._allocate(output)

    def _allocate(self, array: Array) -> None:
        array._buffer, array._strides = _Buffer(array.bytes), _dense(array.shape)
        array._buffer.readers = 1
        self._active += array.bytes
        self._peak = max(self._peak, self._active)

    def _view(self, array: Array, source: Array, strides: Strides) -> None:
        array._buffer, array._strides = source._buffer, strides
        array._buffer.readers += 1

    def _let_go(self, array: Array, freed: list[_Buffer]) -> None:
        buffer = array._buffer
        if buffer is self._given:
            return
        buffer.readers -= 1
        if not buffer.readers:
            freed.append(buffer)
        array._buffer = self._given


def _strides_of_view(operation: Operation) -> Strides | None:
    """The strides of an output that is a view of its one input, or None where it is not."""
    name, source, shape = operation.name, operation.inputs[:1], operation.outputs[0].shape
    if not source:
        return None
    one = source[0]
    if name in _RESHAPES:
        return _reshaped(one, shape)
    if name == "Transpose":
        return tuple(one._strides[axis] for axis in operation.arguments[0])
    if name == "Slice":
        return tuple(a * b for a, b in zip(one._strides, operation.arguments[2], strict=True))
    if name in ("Broadcast", "BroadcastAxes"):
        new = len(shape) - len(one.shape)
        own = zip(one.shape, shape[new:], one._strides, strict=True)
        return (0,) * new + tuple(0 if a == 1 != b else stride for a, b, stride in own)
    if name == CONTIGUOUS and one._strides == _dense(one.shape):
        return one._strides if one._buffer.size <= one.bytes + _SLACK else None
    return None


def _dense(shape: Sequence[int]) -> Strides:
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def _is_dense(array: Array) -> bool:
    pairs = zip(array.shape, array._strides, _dense(array.shape), strict=True)
    return all(size == 1 or own == dense for size, own, dense in pairs)


def _reshaped(array: Array, shape: Sequence[int]) -> Strides | None:
    """The strides of an array in another shape, or None where it has to be copied for it."""
    if _is_dense(array):
        return _dense(shape)
    # Axes that lie behind each other are one.
    sizes: list[int] = []
    steps: list[int] = []
    for size, stride in zip(array.shape, array._strides, strict=True):
        if size == 1:
            continue
        if sizes and steps[-1] == stride * size:
            sizes[-1], steps[-1] = sizes[-1] * size, stride
        else:
            sizes.append(size)
            steps.append(stride)
    found: list[int] = []
    place = 0
    for size in shape:
        if place < len(sizes) and sizes[place] % size == 0:
            sizes[place] //= size
            found.append(sizes[place] * steps[place])
            place += sizes[place] == 1
        elif size == 1:
            found.append(found[-1] if found else 1)
        else:
            return None
    return tuple(found)


def _fits_product(array: Array) -> bool:
    """Whether BLAS takes a matrix as it lies, or turned; else it is copied first."""
    if len(array.shape) < 2:
        return True
    above, last = array._strides[-2:]
    rows, columns = array.shape[-2:]
    return (above == columns and last == 1) or (above == 1 and last == rows)
