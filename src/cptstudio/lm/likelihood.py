"""How likely a model finds documents: nats of each document's own text.

The first token of a document is predicted from the tokenizer's start token, so that every token of
the text is scored exactly once, and nothing else is. A document longer than the context is read in
windows; with a stride shorter than the window each further window begins with text that is already
scored, as context (huggingface.co/docs/transformers/perplexity).

Bits per byte, nats / ln 2 / UTF-8 bytes, do not depend on the tokenizer, and so compare models with
different vocabularies; perplexity does depend on it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import mlx.core as mx
import numpy as np
import numpy.typing as npt
from mlx.nn.layers.base import Module

from cptstudio.child_limits import usable_cores
from cptstudio.lm import blas
from cptstudio.lm.attention_blocks import LONG_CONTEXT
from cptstudio.lm.cpu_kernels import exponential, fast_kernels, on_cpu, row_sums
from cptstudio.lm.delta_rule import delta_rule_in_chunks
from cptstudio.lm.long_contexts import attention_in_blocks
from cptstudio.lm.loss import CPU_CHUNK_BYTES, GPU_CHUNK_BYTES
from cptstudio.lm.output_head import OutputHead, find_output_head, hidden_states
from cptstudio.lm.parameters import network_rows
from cptstudio.lm.vocabulary import check_ids
from cptstudio.metrics import MEASURES

Tokens = Sequence[int] | npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]
Progress = Callable[[int, int], None]

BATCH_TOKENS = 4096
"""Tokens that go through the model at once, padding included."""
CPU_BATCH_TOKENS = 1024
"""On a CPU products of so many rows are about as fast as larger ones."""


@dataclass(frozen=True)
class Scores:
    """How documents were scored; one entry for each document, in their order.

    Attributes:
        nats: float64 [documents], the sum of -log p over a document's tokens; not finite where
            the model's output is not.
        tokens: int64 [documents], tokens of the text, none of them special; of a conversation
            those of its answers, with the token that ends each.
        bytes: int64 [documents], UTF-8 bytes of the text.
    """

    nats: npt.NDArray[np.float64]
    tokens: npt.NDArray[np.int64]
    bytes: npt.NDArray[np.int64]

    @property
    def loss(self) -> float:
        """Nats for each token, over all documents."""
        return _ratio(float(self.nats.sum()), int(self.tokens.sum()))

    @property
    def perplexity(self) -> float:
        """exp(loss); infinite where that is too large for a float."""
        return perplexity(self.loss)

    @property
    def bits_per_byte(self) -> float:
        """Bits for each byte of text, over all documents."""
        return bits_per_byte(float(self.nats.sum()), int(self.bytes.sum()))

    def figures(self) -> dict[str, Any]:
        """Return `metrics.MEASURES` by name, with the `tokens` and `bytes` that they are of."""
        measures = {measure.name: getattr(self, measure.name) for measure in MEASURES}
        return measures | {"tokens": int(self.tokens.sum()), "bytes": int(self.bytes.sum())}


def bits_per_byte(nats: float, utf8_bytes: int) -> float:
    """Convert a sum of nats over a text of so many bytes; NaN for an empty text."""
    return _ratio(nats / math.log(2), utf8_bytes)


def perplexity(nats_per_token: float) -> float:
    """Convert a mean of nats for each token; infinite where that is too large for a float."""
    try:
        return math.exp(nats_per_token)
    except OverflowError:
        return math.inf


def _ratio(amount: float, count: int) -> float:
    return amount / count if count else math.nan


def score_documents(
    model: Module,
    documents: Sequence[Tokens],
    byte_lengths: Sequence[int] | npt.NDArray[Any],
    *,
    start_token: int,
    context_length: int,
    stride: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
    head: OutputHead | None = None,
    streams: int | None = None,
    progress: Progress | None = None,
    counts: Sequence[Flags | None] | None = None,
    starts: Sequence[int | None] | None = None,
) -> Scores:
    """Score documents.

    Args:
        model: any mlx-lm network; it is put into evaluation mode meanwhile.
        documents: token ids of each text, without special tokens.
        byte_lengths: UTF-8 bytes of each text.
        start_token: what the first token is predicted from: the tokenizer's BOS, or its EOS.
        context_length: tokens of one window.
        stride: new tokens in each window after the first; None for as many as fit, so that no
            token is read twice.
        head: from `lm.loss.find_output_head`, to find it once for many calls.
        streams: CPU streams to share the rows over; None for one on each core. Ignored on a GPU.
        progress: called after each batch with the tokens scored so far and in all.
        counts: bool [tokens] of each document, which of them are scored; None for all.
        starts: what the first token of each is predicted from; None for `start_token`.
    """
    flags: Sequence[Flags | None] = counts or [None] * len(documents)
    lengths = np.array(
        [
            len(document) if flag is None else int(flag.sum())
            for document, flag in zip(documents, flags, strict=True)
        ],
        dtype=np.int64,
    )
    nats = np.zeros(len(documents), dtype=np.float64)
    reading = _Reading(
        start_token, context_length, stride, batch_tokens, head, streams, progress, starts
    )
    for batch, losses in _scored_batches(model, documents, reading):
        owners = np.repeat(
            [window.document for window in batch], [window.end - window.scored for window in batch]
        )
        counted = np.concatenate([_counted(flags[window.document], window) for window in batch])
        np.add.at(nats, owners[counted], losses[counted])
    return Scores(nats, lengths, np.asarray(byte_lengths, dtype=np.int64))


def _counted(flags: Flags | None, window: _Window) -> Flags:
    """Which of a window's scored tokens count."""
    if flags is None:
        return np.ones(window.end - window.scored, dtype=bool)
    return flags[window.scored : window.end]


def score_tokens(
    model: Module,
    documents: Sequence[Tokens],
    *,
    start_token: int,
    context_length: int,
    stride: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
    progress: Progress | None = None,
) -> list[npt.NDArray[np.float64]]:
    """Return the nats of every token: float64 [tokens] for each document, in their order.

    The arguments are those of `score_documents`, whose sums these are.
    """
    nats = [np.full(len(document), np.nan) for document in documents]
    reading = _Reading(start_token, context_length, stride, batch_tokens, None, None, progress)
    for batch, losses in _scored_batches(model, documents, reading):
        position = 0
        for window in batch:
            count = window.end - window.scored
            nats[window.document][window.scored : window.end] = losses[position : position + count]
            position += count
    return nats


@dataclass(frozen=True)
class _Reading:
    """How documents are read: the arguments of `score_documents`."""

    start_token: int
    context_length: int
    stride: int | None
    batch_tokens: int
    head: OutputHead | None
    streams: int | None
    progress: Progress | None
    starts: Sequence[int | None] | None = None

    def start_of(self, document: int) -> int:
        """What a document's first token is predicted from."""
        own = None if self.starts is None else self.starts[document]
        return self.start_token if own is None else own


def _scored_batches(
    model: Module, documents: Sequence[Tokens], reading: _Reading
) -> Iterator[tuple[list[_Window], npt.NDArray[np.float64]]]:
    """Batches of windows with the nats of their counted tokens, window after window."""
    context, stride = reading.context_length, reading.stride or reading.context_length
    windows = [
        window
        for index, document in enumerate(documents)
        for window in _windows(index, len(document), context, stride)
    ]
    rows = network_rows(model)
    for tokens in documents:
        check_ids(tokens, rows, "The text", None)
    beginnings = sorted({reading.start_of(number) for number in range(len(documents))})
    check_ids(beginnings, rows, "Each text's beginning", None)
    head = reading.head or find_output_head(model)
    cores = reading.streams or usable_cores()
    streams = cores if on_cpu() else 1
    training, threads = model.training, blas.blas_threads()
    model.eval()
    done, total = 0, sum(len(document) for document in documents)
    under_way: deque[list[_Part]] = deque()

    def finish(leave: int) -> Iterator[tuple[list[_Window], npt.NDArray[np.float64]]]:
        nonlocal done
        while len(under_way) > leave:
            parts = under_way.popleft()
            losses = np.concatenate([part.losses() for part in parts])
            yield [window for part in parts for window in part.windows], losses
            done += len(losses)
            if reading.progress is not None:
                reading.progress(done, total)

    shares = 0
    try:
        for batch in _batches(windows, reading.batch_tokens, streams):
            if shares != min(len(batch), streams):
                # The threads of products change, and with them last bits: not those under way.
                yield from finish(leave=0)
                shares = min(len(batch), streams)
                blas.set_blas_threads(cores if shares == 1 else 1)
            parts = [
                _Part(model, head, documents, batch[number::shares], reading, stream)
                for number, stream in enumerate(_streams(shares))
            ]
            mx.async_eval([part.chunks for part in parts])  # type: ignore[no-untyped-call]
            under_way.append(parts)
            # While the last of this batch is computed, the next one's graph is built.
            yield from finish(leave=1)
        yield from finish(leave=0)
    finally:
        model.train(training)
        # Whoever computes next without streams of its own needs all threads in each product.
        blas.set_blas_threads(threads)


# --- windows and batches ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Window:
    """A piece of one document, in positions of the document's own tokens.

    Attributes:
        document: its index.
        begin: the first target.
        scored: the first target that counts; the ones before were scored by an earlier window.
        end: behind the last target.
    """

    document: int
    begin: int
    scored: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.begin


def _windows(document: int, length: int, context: int, stride: int) -> Iterator[_Window]:
    stride = min(stride, context)
    scored = 0
    while scored < length:
        end = min(length, context if scored == 0 else scored + stride)
        yield _Window(document, max(0, end - context), scored, end)
        scored = end


def _padded(length: int) -> int:
    return -(-length // 8) * 8


def _batches(
    windows: Sequence[_Window], batch_tokens: int, streams: int
) -> Iterator[list[_Window]]:
    """Batches of windows of like length, the longest first; of each, every stream gets as many.

    A batch has at most `batch_tokens`, padding included, or one window. It ends before a window
    that would be a tenth padding, if it is large enough to compute well by then.
    """
    enough = min(batch_tokens // 2, CPU_BATCH_TOKENS if on_cpu() else batch_tokens)
    ordered = sorted(windows, key=lambda window: (-window.length, window.document, window.begin))
    begin = 0
    while begin < len(ordered):
        width = _padded(ordered[begin].length)
        most = min(max(1, batch_tokens // width), len(ordered) - begin)
        count = 1
        while count < most:
            length = ordered[begin + count].length
            if length < 0.5 * width or (length < 0.9 * width and count * width >= enough):
                break
            count += 1
        if count > streams:
            count -= count % streams
        yield ordered[begin : begin + count]
        begin += count


class _Part:
    """Windows of a batch that are computed on one stream; nothing is evaluated yet.

    Attributes:
        chunks: nats of the counted tokens, window after window; one array a chunk of logits.
    """

    def __init__(
        self,
        model: Module,
        head: OutputHead | None,
        documents: Sequence[Tokens],
        windows: Sequence[_Window],
        reading: _Reading,
        stream: mx.Stream,
    ) -> None:
        self.windows = windows
        self._head = head
        inputs, targets, counted = _arrays(documents, windows, reading)
        where = mx.array(np.flatnonzero(counted))
        self._targets = mx.array(targets[counted])
        long = inputs.shape[1] >= LONG_CONTEXT
        with (
            mx.stream(stream),
            fast_kernels(),
            attention_in_blocks(long),
            delta_rule_in_chunks(),
        ):
            if head is None:
                outputs = model(mx.array(inputs))
            else:
                self._module = head.module(model)
                outputs = hidden_states(model, mx.array(inputs), head)
            self._outputs = outputs.reshape(-1, outputs.shape[-1])[where]
            rows, size = self._rows(), self._targets.size
            self.chunks: list[mx.array] = []
            for start in range(0, size, rows):
                self.chunks.append(self._losses(slice(start, start + rows)))

    def losses(self) -> npt.NDArray[np.float64]:
        """Return the nats, when they are there."""
        return np.concatenate([np.array(chunk, dtype=np.float64) for chunk in self.chunks])

    def _losses(self, part: slice) -> mx.array:
        # One chunk after the other: no more logits than a chunk's exist at once.
        piece = self._outputs[part]
        if self.chunks:
            piece = cast(mx.array, mx.depends(piece, self.chunks[-1]))
        logits = self._logits(piece).astype(mx.float32)
        peak = logits.max(axis=-1, keepdims=True)
        total = row_sums(exponential(logits - peak))
        target = mx.take_along_axis(logits, self._targets[part][:, None], axis=-1)
        return (peak + mx.log(total) - target).squeeze(-1)

    def _logits(self, outputs: mx.array) -> mx.array:
        if self._head is None:
            return outputs
        return self._head.finish(self._head.raw_logits(self._module, outputs))

    def _rows(self) -> int:
        vocabulary = int(self._logits(self._outputs[:1]).shape[-1])
        size = CPU_CHUNK_BYTES if on_cpu() else GPU_CHUNK_BYTES
        return max(16, size // (4 * vocabulary))


def _arrays(
    documents: Sequence[Tokens], windows: Sequence[_Window], reading: _Reading
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Inputs, targets and which targets count: [windows, width], the longest window first."""
    width = windows[0].length if len(windows) == 1 else _padded(windows[0].length)
    inputs = np.full((len(windows), width), reading.start_token, dtype=np.int32)
    targets = np.zeros((len(windows), width), dtype=np.int32)
    counted = np.zeros((len(windows), width), dtype=bool)
    for row, window in enumerate(windows):
        tokens = documents[window.document]
        length = window.length
        targets[row, :length] = tokens[window.begin : window.end]
        start = reading.start_of(window.document)
        first = start if window.begin == 0 else int(tokens[window.begin - 1])
        inputs[row, 0] = first
        inputs[row, 1:length] = targets[row, : length - 1]
        counted[row, window.scored - window.begin : length] = True
    return inputs, targets, counted


# --- CPU streams -----------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _cpu_stream(number: int) -> mx.Stream:
    return mx.new_stream(mx.cpu)


def _streams(count: int) -> list[mx.Stream]:
    """So many streams; MLX's CPU kernels use one thread, and each stream has one."""
    if count < 2:
        return [mx.default_stream(mx.default_device())]
    return [_cpu_stream(number) for number in range(count)]
