"""Cross-entropy of next tokens without full logits, for any decoder of mlx-lm.

The logits of a batch, tokens x vocabulary, are the largest array of a training step: 630 MB for
1,024 tokens and a vocabulary of 150,000, several times over with their gradients. Here the output
head is applied to a chunk of tokens at a time, and the gradients with respect to hidden states and
head weights are computed right there, in the forward pass, so that one chunk's logits are all that
ever exists (as in Cut Your Losses, arXiv 2411.09009, and Liger Kernel, arXiv 2410.10989). On a CPU
a chunk is cut into tiles of words, too (`cpu_head`).
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.dropout import Dropout
from mlx.nn.layers.embedding import Embedding
from mlx.nn.layers.linear import Linear
from mlx.nn.losses import cross_entropy
from mlx.utils import tree_unflatten

from cptstudio.lm import cpu_head
from cptstudio.lm.cpu_fusion import untraced, with_gradient
from cptstudio.lm.cpu_kernels import exponential, on_cpu, row_sums
from cptstudio.lm.embedding_gradient import less_rows
from cptstudio.lm.output_head import OutputHead, hidden_states, output_size
from cptstudio.lm.parameters import flatten

CPU_CHUNK_BYTES = 48 << 20
"""Bytes of float32 logits in one chunk on a CPU: 32 to 64 MB are equally fast, fewer slower."""

GPU_CHUNK_BYTES = 256 << 20
"""The same on a GPU, which needs more work at a time."""


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
    model's full logits are used. Differentiable once, with respect to parameters and hidden states,
    not weights.
    """
    if head is None:
        return _plain_nats(model(inputs), targets, weights)
    hidden = hidden_states(model, inputs, head)
    flat = None if weights is None else weights.reshape(-1)
    tokens = hidden.reshape(-1, hidden.shape[-1])
    return head_nats(model, head, tokens, targets.reshape(-1), flat, chunk_bytes)


def head_nats(
    model: Module,
    head: OutputHead,
    hidden: mx.array,
    targets: mx.array,
    weights: mx.array | None,
    chunk_bytes: int | None = None,
) -> mx.array:
    """Sum of cross-entropies from hidden states [tokens, size] and targets [tokens], in nats."""
    module = head.module(model)
    if _has_dropout(module):
        # Its gradient must use the same random mask as its value, which plain differentiation does.
        return _plain_nats(head.finish(head.raw_logits(module, hidden)), targets, weights)
    if weights is not None:
        weights = weights.astype(mx.float32)
    trained = flatten(module.trainable_parameters())
    if chunk_bytes is None:
        chunk_bytes = CPU_CHUNK_BYTES if on_cpu() else GPU_CHUNK_BYTES
    rows = max(16, chunk_bytes // (4 * output_size(module)))
    chunks = _in_chunks_plain if type(module) in (Linear, Embedding) else _in_chunks_any

    def total(hidden: mx.array, *parameters: mx.array) -> tuple[mx.array, ...]:
        values = dict(zip(trained, parameters, strict=True))
        return chunks(head, module, values, hidden, targets, weights, rows)

    def total_vjp(primals: Any, cotangents: Any, outputs: Any) -> Any:
        # mlx hands over a single argument, and takes back its gradient, without a tuple around it.
        alone = isinstance(primals, mx.array)
        gradients = tuple(
            (gradient * cotangents[0]).astype(primal.dtype)
            for gradient, primal in zip(outputs[1:], [primals] if alone else primals, strict=True)
        )
        return gradients[0] if alone else gradients

    def stand_in(*arguments: mx.array) -> mx.array:
        # What the head takes is no part of the graph: it is bounded by its chunks.
        return cast(mx.array, sum(argument.sum() for argument in arguments))

    return with_gradient(total, total_vjp, stand_in)(hidden, *trained.values())


def _plain_nats(logits: mx.array, targets: mx.array, weights: mx.array | None) -> mx.array:
    losses = cross_entropy(logits.astype(mx.float32), targets)
    return (losses if weights is None else losses * weights).sum()


class _Softmax:
    """One chunk's logits [rows, vocabulary], their exponentials, and its sum of nats."""

    def __init__(
        self, head: OutputHead, raw: mx.array, targets: mx.array, weights: mx.array | None
    ) -> None:
        logits = head.finish(raw).astype(mx.float32)
        peak = logits.max(axis=-1, keepdims=True)
        self.exps = exponential(logits - peak)
        self.total = row_sums(self.exps)
        target_logits = mx.take_along_axis(logits, targets[:, None], axis=-1)
        losses = (peak + mx.log(self.total) - target_logits).squeeze(-1)
        self.nats = (losses if weights is None else losses * weights).sum()
        ones = mx.ones((raw.shape[0], 1))
        self.row = (ones if weights is None else weights[:, None]) * head.scale
        self.at_target = self.row
        if head.softcap is not None:
            self.exps = self.exps * head.slope(logits)
            self.at_target = self.row * head.slope(target_logits)


def _in_chunks_plain(
    head: OutputHead,
    module: Any,
    trained: dict[str, mx.array],
    hidden: mx.array,
    targets: mx.array,
    weights: mx.array | None,
    rows: int,
) -> tuple[mx.array, ...]:
    """Nats and their gradients for `hidden` and `trained`; the head is a matrix, maybe with a bias.

    The gradient for a chunk's logits is row * (exps / total - onehot), with one factor for each
    row. The factors go to the small operands of the products, and the one-hot part to rows of the
    matrix, so that the exponentials are all that is computed for each token and word.
    """
    values = {key: module[key] for key in ("weight", "bias") if key in module} | trained
    matrix, bias = values["weight"], values.get("bias")
    if on_cpu() and hidden.dtype == matrix.dtype == mx.float32:
        most = rows if trained else cpu_head.MOST_TOKENS
        linear = cpu_head.Linear(matrix, bias, tuple(trained))
        parts = _parts(hidden.shape[0], most)
        arguments = (head, linear, hidden, targets, weights, parts)
        return cast(tuple[mx.array, ...], untraced(cpu_head.in_tiles, *arguments))
    nats = mx.array(0.0)
    found: list[mx.array] = []
    at_targets: list[mx.array] = []
    sums: dict[str, mx.array] = {}
    for part in _parts(hidden.shape[0], rows):
        piece = _after(hidden[part], found, sums)
        raw = piece @ matrix.T if bias is None else mx.addmm(bias, piece, matrix.T)
        chunk = _Softmax(head, raw, targets[part], None if weights is None else weights[part])
        nats = nats + chunk.nats
        factor = chunk.row / chunk.total
        exps = chunk.exps.astype(piece.dtype)
        gradient = (exps @ matrix) * factor - matrix[targets[part]] * chunk.at_target
        found.append(gradient.astype(piece.dtype))
        at_targets.append(chunk.at_target)
        if "weight" in trained:
            _accumulate(sums, "weight", exps, (piece * factor).astype(piece.dtype))
        if "bias" in trained:
            _accumulate(sums, "bias", exps, factor.astype(piece.dtype))
    at_target = mx.concatenate(at_targets)
    if "weight" in sums:
        sums["weight"] = less_rows(sums["weight"], targets, hidden * at_target)
    if "bias" in sums:
        sums["bias"] = less_rows(sums["bias"], targets, at_target).squeeze(-1)
    return nats, mx.concatenate(found), *(sums[name] for name in trained)


def _accumulate(sums: dict[str, mx.array], name: str, exps: mx.array, right: mx.array) -> None:
    """Add the float32 product exps^T right to a sum."""
    product = (exps.T @ right).astype(mx.float32)
    sums[name] = sums[name] + product if name in sums else product


def _in_chunks_any(
    head: OutputHead,
    module: Any,
    trained: dict[str, mx.array],
    hidden: mx.array,
    targets: mx.array,
    weights: mx.array | None,
    rows: int,
) -> tuple[mx.array, ...]:
    """The same for any other head (quantized, LoRA, DoRA), by differentiating its module."""
    names, values = list(trained), list(trained.values())

    def raw_logits(hidden: mx.array, *parameters: mx.array) -> mx.array:
        former = list(flatten(module.trainable_parameters()).items())
        module.update(tree_unflatten(list(zip(names, parameters, strict=True))))
        try:
            return head.raw_logits(module, hidden)
        finally:
            module.update(tree_unflatten(former))

    nats = mx.array(0.0)
    found: list[mx.array] = []
    sums: dict[str, mx.array] = {}
    for part in _parts(hidden.shape[0], rows):
        piece = _after(hidden[part], found, sums)
        raw = raw_logits(piece, *values)
        chunk = _Softmax(head, raw, targets[part], None if weights is None else weights[part])
        nats = nats + chunk.nats
        at = targets[part][:, None]
        wanted = chunk.exps * (chunk.row / chunk.total)
        target = mx.take_along_axis(wanted, at, axis=-1) - chunk.at_target
        wanted = mx.put_along_axis(wanted, at, target, axis=-1).astype(raw.dtype)
        _, (gradient, *others) = mx.vjp(raw_logits, [piece, *values], [wanted])
        found.append(gradient)
        for name, other in zip(names, others, strict=True):
            other = other.astype(mx.float32)
            sums[name] = sums[name] + other if name in sums else other
    return nats, mx.concatenate(found), *(sums[name] for name in trained)


def _parts(tokens: int, rows: int) -> list[slice]:
    """Equal parts of at most `rows` tokens."""
    count = max(1, math.ceil(tokens / rows))
    step = math.ceil(tokens / count)
    return [slice(start, start + step) for start in range(0, tokens, step)]


def _after(piece: mx.array, found: Sequence[mx.array], sums: dict[str, mx.array]) -> mx.array:
    """`piece`, not to be computed on before the last chunk is done.

    Without this order nothing keeps the evaluation from making all chunks' logits at once.
    """
    return cast(mx.array, mx.depends(piece, [found[-1], *sums.values()])) if found else piece


def _has_dropout(module: Any) -> bool:
    """Whether the module has dropout that is at work."""
    parts = module.modules() if module.training else []
    return any(isinstance(part, Dropout) and part._p_1 < 1 for part in parts)
