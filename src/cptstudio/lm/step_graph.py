"""The graph of a step's gradients at its true size, built to be looked at, never computed.

MLX builds a graph before it computes anything, so a network of any size can be differentiated in
a second and without memory; `mx.export_function` then tells every operation with its shapes.
Gradients of our own cannot be exported, so their functions are described by stand-ins of plain
operations (`cpu_fusion.described`). The graph is that of the rows of a micro-batch up to the hidden
states; the output head works in chunks and is counted apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.utils import tree_flatten, tree_map, tree_unflatten

from cptstudio.lm import attention_blocks
from cptstudio.lm.attention_blocks import FUSED_SIZES
from cptstudio.lm.checkpointing import decoder_layers
from cptstudio.lm.cpu_fusion import described, held
from cptstudio.lm.cpu_kernels import described_as_gpu, fast_kernels
from cptstudio.lm.delta_rule import delta_rule_in_chunks
from cptstudio.lm.gradients import GradientStep
from cptstudio.lm.graph_memory import Array, Graph, Operation
from cptstudio.lm.long_contexts import attention_in_blocks
from cptstudio.lm.output_head import OutputHead, likely_output_head
from cptstudio.lm.parameters import named_parameters, trainable_parameters


def gradient_graph(
    model: Module,
    rows: int,
    length: int,
    *,
    streams: int,
    compute_dtype: mx.Dtype | None = None,
    long_attention: bool = False,
) -> Graph:
    """Return the graph of the gradients of `rows` rows of `length` tokens.

    Args:
        model: with the parameters to train unfrozen; its weights may be unread, and stay so.
        streams: that the rows are shared out over.
        compute_dtype: see `GradientStep`, as for `long_attention`.
    """
    with described():
        step = GradientStep(
            model,
            streams=streams,
            compute_dtype=compute_dtype,
            long_attention=long_attention,
            head=_likely_head(model),
        )
    step.streams = streams

    def gradients(tokens: mx.array) -> list[mx.array]:
        nats, _, found = step(tokens, tokens, seed=1)
        return [nats, *_leaves(found)]

    return _exported(model, gradients, mx.zeros((rows, length), mx.int32))


def layer_graphs(
    model: Module, rows: int, length: int, *, long_attention: bool = False
) -> Iterator[tuple[Graph, int]]:
    """Yield the graph of each kind of decoder layer with its gradients, by itself.

    It is what gradient checkpointing computes again at once: all layers are run, but only one of
    them is differentiated. With it come the bytes of what the layer hands on.
    """
    known = set()
    for layer in decoder_layers(model):
        shapes = [(name, array.shape) for name, array in named_parameters(layer).items()]
        kind = (type(layer), *shapes)
        if kind in known or not trainable_parameters(layer):
            continue
        known.add(kind)
        probe = _Probe(layer, long_attention)
        with described(), probe.among(decoder_layers(model)):
            graph = _exported(model, probe.gradients(model), mx.zeros((rows, length), mx.int32))
        yield graph, probe.handed_on


class _Probe:
    """One layer that is differentiated, among others that are only run."""

    def __init__(self, layer: Module, long_attention: bool) -> None:
        self._layer, self._outputs = layer, list[mx.array]()
        self._long_attention = long_attention
        self.handed_on = 0

    @contextmanager
    def among(self, layers: Sequence[Module]) -> Iterator[None]:
        classes = [type(layer) for layer in layers]
        for layer, cls in zip(layers, classes, strict=True):
            own = {"__call__": self._called(cast(Any, cls).__call__), "__module__": cls.__module__}
            cast(Any, layer).__class__ = type(cls.__name__, (cls,), own)
        try:
            yield
        finally:
            for layer, cls in zip(layers, classes, strict=True):
                cast(Any, layer).__class__ = cls

    def _called(self, stock: Callable[..., Any]) -> Callable[..., Any]:
        def call(layer: Any, *arguments: Any, **named: Any) -> Any:
            result = stock(layer, *arguments, **named)
            if layer is self._layer:
                self._outputs = [one for one in _leaves(result) if _is_array(one)]
                return result
            return tree_map(lambda one: mx.stop_gradient(one) if _is_array(one) else one, result)

        return call

    def gradients(self, model: Module) -> Callable[[mx.array], list[mx.array]]:
        layer: Any = self._layer

        def total(parameters: dict[str, Any], tokens: mx.array) -> mx.array:
            layer.update(parameters)
            cast(Any, model)(tokens)
            self.handed_on = sum(one.nbytes for one in self._outputs)
            return cast(mx.array, sum(one.sum() for one in self._outputs))

        def gradients(tokens: mx.array) -> list[mx.array]:
            long_attention = attention_in_blocks(self._long_attention)
            with fast_kernels(), long_attention, delta_rule_in_chunks():
                value, found = mx.value_and_grad(total)(layer.trainable_parameters(), tokens)
            return [value, *_leaves(found)]

        return gradients


def _likely_head(model: Module) -> OutputHead | None:
    logits = cast(Any, model)(mx.zeros((1, 8), mx.int32))
    return likely_output_head(model, int(logits.shape[-1]))


def _exported(
    model: Module, function: Callable[[mx.array], list[mx.array]], tokens: mx.array
) -> Graph:
    """The graph of a function of the model's parameters, which stay unread."""
    everything: list[tuple[str, mx.array]] = list(tree_flatten(cast(Any, model).parameters()))  # type: ignore[arg-type]
    names = [name for name, _ in everything]
    said: list[dict[str, Any]] = []

    def call(tokens: mx.array, *parameters: mx.array) -> tuple[mx.array, ...]:
        model.update(tree_unflatten(list(zip(names, parameters, strict=True))))
        return tuple(function(tokens))

    export: Any = mx.export_function
    try:
        with described(), _exportable():
            export(said.append, call, tokens, *(array for _, array in everything))
    finally:
        model.update(tree_unflatten(everything))
    return _read(said)


def _leaves(tree: Any) -> list[Any]:
    found: list[Any] = []
    tree_map(found.append, tree)
    return found


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, mx.array)


@contextmanager
def _exportable() -> Iterator[None]:
    """Build without the two operations that have no exported form."""
    former = {name: getattr(mx, name) for name in ("contiguous", "gather_mm")}
    # See `graph_memory.CONTIGUOUS`.
    cast(Any, mx).contiguous = lambda x, *_, **__: mx.negative(x)
    cast(Any, mx).gather_mm = _gather_mm
    try:
        yield
    finally:
        for name, function in former.items():
            setattr(mx, name, function)


@contextmanager
def on_a_gpu(wanted: bool) -> Iterator[None]:
    """Describe graphs as a GPU computes them, with its fused kernels."""
    if not wanted:
        yield
        return
    stand_ins = {
        "rms_norm": _norm,
        "layer_norm": _norm,
        "rope": _rope,
        "scaled_dot_product_attention": _attention(mx.fast.scaled_dot_product_attention),
    }
    former = {name: getattr(mx.fast, name) for name in stand_ins}
    for name, function in stand_ins.items():
        setattr(mx.fast, name, function)
    try:
        with described_as_gpu():
            yield
    finally:
        for name, function in former.items():
            setattr(mx.fast, name, function)


def _norm(x: mx.array, *positional: Any, **named: Any) -> mx.array:
    """RMS norm and layer norm: one kernel, whose gradient reads what came in."""
    result = x * held(x[..., :1])
    for parameter in (*positional, *named.values()):
        if _is_array(parameter):
            result = result * parameter
    return result


def _rope(x: mx.array, *_: Any, **__: Any) -> mx.array:
    return x * mx.ones(x.shape[-2:], x.dtype)


def _attention(stock: Callable[..., mx.array]) -> Callable[..., mx.array]:
    """Fused attention where Metal has kernels for its gradient (mlx 0.32.4), else the whole one."""

    def attention(
        queries: mx.array, keys: mx.array, values: mx.array, *, mask: Any = None, **named: Any
    ) -> mx.array:
        plain = mask is None or isinstance(mask, str)
        if not (plain and named.get("sinks") is None and queries.shape[-1] in FUSED_SIZES):
            # One more than a walk through the graph sees: measured by benchmarks.plan_fallback.
            scores = queries.shape[0] * queries.shape[1] * queries.dtype.size
            attention_blocks.described.append(lambda length: scores * length * length)
            return stock(queries, keys, values, mask=mask, **named)
        # It reads all three for its gradient, and makes one for each.
        others = (keys * held(keys)).sum() + (values * held(values)).sum()
        ones = mx.ones((queries.shape[-1], values.shape[-1]), queries.dtype)
        return (queries * held(queries)) @ ones + others

    return attention


def _gather_mm(
    a: mx.array,
    b: mx.array,
    lhs_indices: mx.array | None = None,
    rhs_indices: mx.array | None = None,
    **_: Any,
) -> mx.array:
    """Products with chosen matrices, by the first: as large, and so is its gradient for all."""
    result = a @ b[0]
    chosen = rhs_indices if rhs_indices is not None else lhs_indices
    shape = (*(chosen.shape if chosen is not None else ()), 1, 1)
    return result * mx.ones(shape, result.dtype)


def _read(said: list[dict[str, Any]]) -> Graph:
    """The graph of what an export told."""
    arrays: dict[str, Array] = {}
    given: list[Array] = []
    outputs: list[Array] = []
    operations = 0

    def known(told: tuple[str, Any, mx.Dtype]) -> Array:
        name, shape, dtype = told
        if name not in arrays:
            arrays[name] = Array(tuple(shape), dtype.size)
        return arrays[name]

    for one in said:
        if one["type"] == "inputs":
            given += map(known, one["inputs"])
        elif one["type"] == "outputs":
            outputs += map(known, one["outputs"])
        elif one["type"] == "constants":
            for name, value in one["constants"]:
                arrays[name] = Array(tuple(value.shape), value.dtype.size)
                given.append(arrays[name])
        elif one["type"] == "primitive":
            operations += 1
            inputs, made = map(known, one["inputs"]), [known(told) for told in one["outputs"]]
            operation = Operation(one["name"], list(inputs), made, one["arguments"])
            for array in made:
                array.made_by = operation
    return Graph(given, outputs, operations)
