"""Cross-entropy of next tokens without full logits, for any decoder of mlx-lm.

The logits of a batch, tokens x vocabulary, are the largest array of a training step: 630 MB for
1,024 tokens and a vocabulary of 150,000, several times over with their gradients. Here the output
head is applied to a chunk of tokens at a time, and the gradients with respect to hidden states and
head weights are computed right there, in the forward pass, so that one chunk's logits are all that
ever exists (as in Cut Your Losses, arXiv 2411.09009, and Liger Kernel, arXiv 2410.10989).

What the head is, `find_output_head` finds out by experiment rather than by the names of
architectures: it puts a probe in the place of each module that could be it, and accepts one only if
hidden states, head and what the model does to the logits afterwards (a factor, a soft cap)
reproduce the model's own logits on random input.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.dropout import Dropout
from mlx.nn.layers.embedding import Embedding
from mlx.nn.layers.linear import Linear
from mlx.nn.losses import cross_entropy
from mlx.utils import tree_flatten, tree_unflatten

logger = logging.getLogger(__name__)

# Bytes of float32 logits in one chunk. Smaller ones stay in cache on a CPU, larger ones fill a GPU.
CPU_CHUNK_BYTES = 48 << 20
GPU_CHUNK_BYTES = 256 << 20

_PROBES = (0.25, -0.5, 1.0, -3.0, 20.0, -60.0, 1e6)


@dataclass(frozen=True)
class OutputHead:
    """How a model makes logits from hidden states.

    `path` names the module in the model's tree, `tied` says that it is the embedding, used
    backwards. What follows it is `logits = scale * raw`, or `softcap * tanh(scale * raw /
    softcap)`.
    """

    path: str
    tied: bool
    scale: float = 1.0
    softcap: float | None = None

    def module(self, model: Module) -> Any:
        """The head's module in `model`."""
        parent, name = _parent(model, self.path)
        return parent[name]

    def raw_logits(self, module: Any, hidden: mx.array) -> mx.array:
        """What the head's module gives for hidden states [..., hidden size]: [..., vocabulary]."""
        logits: mx.array = module.as_linear(hidden) if self.tied else module(hidden)
        return logits

    def finish(self, raw: mx.array) -> mx.array:
        """Apply the factor and the soft cap."""
        if self.softcap is not None:
            return mx.tanh(raw * (self.scale / self.softcap)) * self.softcap
        return raw if self.scale == 1.0 else raw * self.scale


def next_token_nats(
    model: Module,
    inputs: mx.array,
    targets: mx.array,
    weights: mx.array | None = None,
    *,
    head: OutputHead | None,
    chunk_bytes: int | None = None,
) -> mx.array:
    """Sum of the cross-entropies of the next tokens, in nats: a float32 scalar, differentiable.

    `inputs` and `targets` are [rows, length]; `weights` [rows, length] multiplies each target's
    term (a mask of 0 and 1, for instance). `head` comes from `find_output_head`; with None the
    model's full logits are used.
    """
    if head is None:
        logits = model(inputs)
        losses = cross_entropy(logits.astype(mx.float32), targets)
        return (losses if weights is None else losses * weights).sum()
    hidden = hidden_states(model, inputs, head)
    hidden = hidden.reshape(-1, hidden.shape[-1])
    flat = None if weights is None else weights.reshape(-1).astype(mx.float32)
    return head_nats(model, head, hidden, targets.reshape(-1), flat, chunk_bytes)


def hidden_states(model: Module, inputs: mx.array, head: OutputHead) -> mx.array:
    """What the model hands to its output head: [rows, length, hidden size]."""
    with _tapped(model, head.path) as tap:
        model(inputs)
    hidden: mx.array = tap.seen[0]
    return hidden


def head_nats(
    model: Module,
    head: OutputHead,
    hidden: mx.array,
    targets: mx.array,
    weights: mx.array | None,
    chunk_bytes: int | None = None,
) -> mx.array:
    """The sum of cross-entropies from hidden states [tokens, hidden size] and targets [tokens]."""
    module = head.module(model)
    trained = _flat(module.trainable_parameters())
    names = [name for name, _ in trained]
    if _has_dropout(module):
        # Its gradient must use the same random mask as its value, which only plain differentiation
        # ensures.
        logits = head.finish(head.raw_logits(module, hidden)).astype(mx.float32)
        losses = cross_entropy(logits, targets)
        return (losses if weights is None else losses * weights).sum()
    plain = type(module) in (Linear, Embedding)
    chunk = _PlainChunk(head, module, names) if plain else _AnyChunk(head, module, names)
    if chunk_bytes is None:
        on_cpu = mx.default_device() == mx.Device(mx.cpu)
        chunk_bytes = CPU_CHUNK_BYTES if on_cpu else GPU_CHUNK_BYTES
    rows = max(16, chunk_bytes // (4 * chunk.vocabulary))

    @mx.custom_function
    def total(hidden: mx.array, *parameters: mx.array) -> tuple[mx.array, ...]:
        return _in_chunks(chunk, rows, hidden, targets, weights, parameters)

    def total_vjp(primals: Any, cotangents: Any, outputs: Any) -> tuple[mx.array, ...]:
        return tuple(
            (gradient * cotangents[0]).astype(primal.dtype)
            for gradient, primal in zip(outputs[1:], primals, strict=True)
        )

    total.vjp(total_vjp)
    outputs: Any = total(hidden, *(value for _, value in trained))
    nats: mx.array = outputs[0]
    return nats


def _in_chunks(
    chunk: "_PlainChunk | _AnyChunk",
    rows: int,
    hidden: mx.array,
    targets: mx.array,
    weights: mx.array | None,
    parameters: tuple[mx.array, ...],
) -> tuple[mx.array, ...]:
    """Nats, and their gradients with respect to `hidden` and `parameters`, chunk after chunk."""
    tokens = hidden.shape[0]
    count = max(1, math.ceil(tokens / rows))
    rows = math.ceil(tokens / count)
    nats = mx.array(0.0)
    hidden_gradients: list[mx.array] = []
    sums: list[mx.array] | None = None
    for start in range(0, tokens, rows):
        part = slice(start, start + rows)
        piece = hidden[part]
        if hidden_gradients:
            # Without this order nothing keeps the evaluation from making all chunks' logits at
            # once.
            piece = mx.depends(piece, [hidden_gradients[-1], *(sums or ())])
        weight = None if weights is None else weights[part]
        value, gradient, sums = chunk.gradients(piece, targets[part], weight, parameters, sums)
        nats = nats + value
        hidden_gradients.append(gradient)
    full = mx.concatenate(hidden_gradients) if len(hidden_gradients) > 1 else hidden_gradients[0]
    return nats, full, *chunk.finish_sums(sums or [], hidden, targets, weights)


def exponential(x: mx.array) -> mx.array:
    """exp(x). mlx's CPU kernel for `exp` takes three times as long as a power of e does."""
    if mx.default_device() == mx.Device(mx.cpu):
        return mx.power(mx.array(math.e, x.dtype), x)
    return mx.exp(x)


class _PlainChunk:
    """A head that is one matrix, perhaps with a bias: gradients in closed form."""

    def __init__(self, head: OutputHead, module: Any, names: list[str]) -> None:
        self.head, self.names = head, names
        self.frozen = {key: module[key] for key in ("weight", "bias") if key in module}
        self.vocabulary = int(module.weight.shape[0])

    def gradients(
        self,
        hidden: mx.array,
        targets: mx.array,
        weights: mx.array | None,
        parameters: tuple[mx.array, ...],
        sums: list[mx.array] | None,
    ) -> tuple[mx.array, mx.array, list[mx.array]]:
        """Nats of a chunk, their gradient for `hidden`, sums of those for the parameters."""
        values = self.frozen | dict(zip(self.names, parameters, strict=True))
        matrix, bias = values["weight"], values.get("bias")
        raw = hidden @ matrix.T if bias is None else mx.addmm(bias, hidden, matrix.T)
        logits = self.head.finish(raw).astype(mx.float32)
        peak = logits.max(axis=-1, keepdims=True)
        exps = exponential(logits - peak)
        total = _row_sums(exps)
        target_logits = mx.take_along_axis(logits, targets[:, None], axis=-1)
        losses = (peak + mx.log(total) - target_logits).squeeze(-1)
        row = self.head.scale if weights is None else self.head.scale * weights[:, None]
        # The gradient for the logits is row * (exps / total - onehot), times the cap's slope; the
        # factors go to the small operands, and the one-hot part to rows of the matrix.
        at_target = row
        if self.head.softcap is not None:
            cap = self.head.softcap
            exps = exps * (1 - mx.square(logits * (1 / cap)))
            at_target = row * (1 - mx.square(target_logits * (1 / cap)))
        row = row / total
        exps = exps.astype(hidden.dtype)
        gradient = (exps @ matrix) * row - matrix[targets] * at_target
        new = []
        for name in self.names:
            if name == "weight":
                new.append(exps.T @ (hidden * row).astype(hidden.dtype))
            else:
                new.append((exps.T @ row.astype(hidden.dtype)).squeeze(-1))
        value = (losses if weights is None else losses * weights).sum()
        sums = _add(sums, [g.astype(mx.float32) for g in new])
        self._scatter(sums, hidden, targets, at_target)
        return value, gradient.astype(hidden.dtype), sums

    def _scatter(self, sums: list[mx.array], hidden: mx.array, targets: mx.array, at: Any) -> None:
        for index, name in enumerate(self.names):
            if name == "weight":
                sums[index] = sums[index].at[targets].subtract((hidden * at).astype(mx.float32))
            else:
                column = mx.broadcast_to(at, (hidden.shape[0], 1)).squeeze(-1)
                sums[index] = sums[index].at[targets].subtract(column.astype(mx.float32))

    def finish_sums(self, sums: list[mx.array], *_: Any) -> list[mx.array]:
        return sums


class _AnyChunk:
    """Any other head (quantized, LoRA, DoRA): gradients by differentiating its module."""

    def __init__(self, head: OutputHead, module: Any, names: list[str]) -> None:
        self.head, self.module, self.names = head, module, names
        self.vocabulary = _output_size(module)

    def gradients(
        self,
        hidden: mx.array,
        targets: mx.array,
        weights: mx.array | None,
        parameters: tuple[mx.array, ...],
        sums: list[mx.array] | None,
    ) -> tuple[mx.array, mx.array, list[mx.array]]:
        """As `_PlainChunk.gradients`."""
        raw = self._raw(hidden, *parameters)
        logits = self.head.finish(raw).astype(mx.float32)
        peak = logits.max(axis=-1, keepdims=True)
        exps = exponential(logits - peak)
        total = _row_sums(exps)
        target_logits = mx.take_along_axis(logits, targets[:, None], axis=-1)
        losses = (peak + mx.log(total) - target_logits).squeeze(-1)
        scaled = exps / total
        onehot = mx.take_along_axis(scaled, targets[:, None], axis=-1) - 1
        wanted = mx.put_along_axis(scaled, targets[:, None], onehot, axis=-1)
        if weights is not None:
            wanted = wanted * weights[:, None]
        if self.head.softcap is not None:
            wanted = wanted * (1 - mx.square(logits * (1 / self.head.softcap)))
        wanted = (wanted * self.head.scale).astype(raw.dtype)
        _, found = mx.vjp(self._raw, [hidden, *parameters], [wanted])
        value = (losses if weights is None else losses * weights).sum()
        return value, found[0], _add(sums, [g.astype(mx.float32) for g in found[1:]])

    def finish_sums(self, sums: list[mx.array], *_: Any) -> list[mx.array]:
        return sums

    def _raw(self, hidden: mx.array, *parameters: mx.array) -> mx.array:
        former = dict(_flat(self.module.trainable_parameters()))
        self.module.update(tree_unflatten(list(zip(self.names, parameters, strict=True))))
        try:
            return self.head.raw_logits(self.module, hidden)
        finally:
            self.module.update(tree_unflatten(list(former.items())))


def _flat(tree: Any) -> list[tuple[str, mx.array]]:
    """The arrays of a tree with their dotted names."""
    flat: Any = tree_flatten(tree)
    return list(flat)


def _row_sums(x: mx.array) -> mx.array:
    """Sums over the last axis, kept: [rows, 1]. On a CPU a product is faster than `sum`."""
    if mx.default_device() == mx.Device(mx.cpu):
        return x @ mx.ones((x.shape[-1], 1), x.dtype)
    return x.sum(axis=-1, keepdims=True)


def _add(sums: list[mx.array] | None, new: list[mx.array]) -> list[mx.array]:
    return new if sums is None else [a + b for a, b in zip(sums, new, strict=True)]


def find_output_head(model: Module) -> OutputHead | None:
    """Find out how `model` makes logits; None where the head cannot be split off.

    Runs the model on a few tokens; what is returned has reproduced its logits.
    """
    training = model.training
    model.eval()
    try:
        inputs = mx.array([[3, 1, 4, 1, 5, 2, 6, 5]], mx.int32)
        logits = model(inputs)
        mx.eval(logits)
        for path in _candidates(model, int(logits.shape[-1])):
            head = _try_head(model, path, inputs, logits)
            if head is not None:
                return head
    # A model of unknown shape may fail in any way when it is probed; it can still train on its full
    # logits.
    except Exception as error:
        logger.info(
            "The output head was not found (%r); the loss uses the model's full logits.", error
        )
        return None
    finally:
        model.train(training)
    logger.info("The output head was not found; the loss uses the model's full logits.")
    return None


def _try_head(model: Module, path: str, inputs: mx.array, logits: mx.array) -> OutputHead | None:
    """The head at `path`, if it is the model's and reproduces its logits."""
    with _tapped(model, path) as tap:
        model(inputs)
        if len(tap.seen) != 1:
            return None
        hidden, tied = tap.seen[0], tap.backwards
        size = int(logits.shape[-1])
        probe = mx.zeros((1, 1, size)).at[0, 0, : len(_PROBES)].add(mx.array(_PROBES))
        tap.answer = mx.broadcast_to(probe, (*inputs.shape, size)).astype(hidden.dtype)
        found: Any = model(inputs)[0, 0, : len(_PROBES)].astype(mx.float32).tolist()
    fitted = _fit(found)
    if fitted is None:
        return None
    head = OutputHead(path, tied, *fitted)
    own = head.finish(head.raw_logits(head.module(model), hidden)).astype(mx.float32)
    logits = logits.astype(mx.float32)
    tolerance = 1e-4 if hidden.dtype == mx.float32 else 3e-2
    error = float(mx.abs(own - logits).max())
    return head if error <= tolerance * (float(mx.abs(logits).max()) + 1e-6) else None


def _fit(answer: list[float]) -> tuple[float, float | None] | None:
    """Factor and soft cap that explain what became of the probes' values, or None."""
    far, one = answer[-1], answer[2]
    if abs(far) > 1e3:
        scale, cap = far / _PROBES[-1], None
    else:
        cap = abs(far)
        if not cap or abs(one) >= cap:
            return None
        scale = cap * math.atanh(one / cap)
    for probe, found in zip(_PROBES, answer, strict=True):
        expected = scale * probe if cap is None else cap * math.tanh(scale * probe / cap)
        if abs(expected - found) > 1e-2 * abs(expected) + 1e-6:
            return None
    return (1.0 if abs(scale - 1) < 1e-6 else scale), cap


def _candidates(model: Module, vocabulary: int) -> list[str]:
    """Paths of the modules that could be the output head, outermost only."""
    found: list[str] = []
    modules: Any = cast(Any, model).named_modules()
    for path, module in sorted(modules, key=lambda item: str(item[0]).count(".")):
        inside = any(path.startswith(f"{other}.") for other in found)
        if path and not inside and _output_size(module) == vocabulary:
            found.append(path)
    return found


def _output_size(module: Any) -> int:
    """How many outputs a linear layer has, or rows an embedding; 0 for other modules."""
    if "lora_b" in module:
        inner = module.get("linear", module.get("embedding"))
        return _output_size(inner) if inner is not None else 0
    weight = module.get("weight")
    return int(weight.shape[0]) if isinstance(weight, mx.array) and weight.ndim == 2 else 0


def _has_dropout(module: Any) -> bool:
    return module.training and any(
        isinstance(part, Dropout) and part._p_1 < 1 for part in module.modules()
    )


class _Tap:
    """Stands in the output head's place, remembers what comes in, answers something cheap."""

    def __init__(self, module: Any) -> None:
        self.wrapped, self.seen, self.backwards = module, list[mx.array](), False
        self.answer: mx.array | None = None

    def __call__(self, x: mx.array, *rest: Any, **named: Any) -> Any:
        if x.dtype in (mx.int32, mx.uint32, mx.int64, mx.int16, mx.uint16, mx.uint8):
            return self.wrapped(x, *rest, **named)
        return self._take(x)

    def as_linear(self, x: mx.array) -> mx.array:
        self.backwards = True
        return self._take(x)

    def _take(self, x: mx.array) -> mx.array:
        self.seen.append(x)
        if self.answer is not None:
            return self.answer
        # Never evaluated: only what came in is used.
        return mx.zeros((*x.shape[:-1], _output_size(self.wrapped)), x.dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)


@contextmanager
def _tapped(model: Module, path: str) -> Iterator[_Tap]:
    """Put a tap in the place of the module at `path` for a while."""
    parent, name = _parent(model, path)
    module = parent[name]
    tap = _Tap(module)
    # Not by attribute: that would move the key to the end of the module, and with it the order of
    # parameters.
    dict.__setitem__(parent, name, tap)
    try:
        yield tap
    finally:
        dict.__setitem__(parent, name, module)


def _parent(model: Module, path: str) -> tuple[Any, str]:
    """The module that holds the one at `path`, and its key there."""
    *outer, name = path.split(".")
    parent: Any = model
    for key in outer:
        parent = parent[int(key)] if isinstance(parent, list) else parent[key]
    return parent, name
