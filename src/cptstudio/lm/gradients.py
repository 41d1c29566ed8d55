"""Loss and gradients of one micro-batch: the call that the training loop makes.

On a CPU the rows of a micro-batch are shared out over as many streams as there are cores. mlx runs
each stream in a thread of its own, so its single-threaded element-wise kernels run in parallel too,
which more BLAS threads cannot do. The shares are fixed by the shape, and every operation is
deterministic: same input, same bits.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import mlx.core as mx
import numpy as np
import psutil
from mlx.nn.layers.base import Module
from mlx.utils import tree_map, tree_map_with_path

from cptstudio.child_limits import usable_cores
from cptstudio.lm import blas
from cptstudio.lm.checkpointing import checkpointed_layers, decoder_layers
from cptstudio.lm.cpu_kernels import fast_kernels, on_cpu, prepare_cpu
from cptstudio.lm.delta_rule import delta_rule_in_chunks
from cptstudio.lm.dropout import KeySource, keyed_dropout, keys_of_rows
from cptstudio.lm.embedding_gradient import exact_lookups
from cptstudio.lm.long_contexts import attention_in_blocks
from cptstudio.lm.loss import next_token_nats
from cptstudio.lm.output_head import OutputHead, find_output_head
from cptstudio.lm.parameters import trainable_parameters
from cptstudio.lm.streams import equal_parts, most_streams

Tokens = np.ndarray[Any, Any] | mx.array


def counted_targets(inputs: Tokens, mask: Tokens | None) -> int:
    """Return how many targets of a micro-batch count."""
    return int(np.asarray(mask).sum()) if mask is not None else int(np.prod(inputs.shape))


class GradientStep:
    """Sum of nats of a micro-batch and its gradients, as `step(inputs, targets, mask, seed=...)`.

    Args:
        model: an mlx-lm model whose parameters to train are unfrozen.
        streams: CPU streams to share the rows over, and threads of BLAS in all of them together
            (None: one for each core), streams as far as memory allows; ignored on a GPU.
        grad_checkpoint: keep only each layer's input and compute the rest again for the gradients
            (arXiv 1604.06174).
        compile: compile the computation with `mx.compile`, once for each shape. On a CPU that calls
            a C++ compiler, which takes some seconds for each.
        compute_dtype: type that trained parameters are cast to for the computation (None: their
            own). The gradients have the parameters' own types.
        lasting: names of those that are not cast.
        long_attention: compute attention in blocks that take memory with the length, not with its
            square (`long_contexts`).
        head: the output head, where it is known; else it is found out.
    """

    def __init__(
        self,
        model: Module,
        *,
        streams: int | None = None,
        grad_checkpoint: bool = False,
        compile: bool = False,
        compute_dtype: mx.Dtype | None = None,
        lasting: Collection[str] = (),
        long_attention: bool = False,
        head: OutputHead | None = None,
    ) -> None:
        prepare_cpu()
        self.model = model
        self.compute_dtype = compute_dtype
        self._lasting = frozenset(lasting)
        self.head = head or find_output_head(model)
        self._threads = max(1, streams or usable_cores())
        self.streams = 1
        if on_cpu():
            size = sum(array.nbytes for array in trainable_parameters(model).values())
            self.streams = most_streams(self._threads, size, psutil.virtual_memory().total)
        self._layers = decoder_layers(model) if grad_checkpoint else []
        self.compiled = compile
        self._long_attention = long_attention
        self._keys = KeySource(mx.random.key(0))
        self._cpu_streams: list[mx.Stream] = []
        self._functions: list[Callable[..., Any]] = []

    def __call__(
        self,
        inputs: Tokens,
        targets: Tokens,
        mask: Tokens | None = None,
        *,
        seed: int | Sequence[int] | None = None,
    ) -> tuple[mx.array, int, dict[str, Any]]:
        """Sum of nats over the counted targets, their number, and the gradients of that sum.

        `inputs` and `targets` are int [rows, length], `mask` is None (every target counts) or bool
        of that shape. Nothing is evaluated yet: `mx.eval` what is returned. Dropout depends on
        `seed` alone: same seed, same bits (None: drawn from mlx's global state). Where that is one
        for each row, a row's dropout depends on its own, whatever rows are beside it.
        """
        count = counted_targets(inputs, mask)
        key = mx.random.randint(0, 2**31 - 1, (2,)).astype(mx.uint32)
        if seed is not None:
            key = mx.random.key(seed) if isinstance(seed, int) else keys_of_rows(seed)
        if not self.model.training:
            self.model.train()
        arrays = [mx.array(inputs), mx.array(targets)]
        if mask is not None:
            arrays.append(mx.array(mask).astype(mx.float32))
        parameters = cast(Any, self.model).trainable_parameters()
        shares = self._shares(int(inputs.shape[0]))
        if key.ndim == 2:
            keys = [key[rows] for _, rows in shares]
        else:
            keys = list(mx.random.split(key, len(shares)))
        results = []
        try:
            for index, (stream, rows) in enumerate(shares):
                with mx.stream(stream):
                    parts = [array[rows] for array in arrays]
                    results.append(self._function(index)(parameters, keys[index], *parts))
        finally:
            self.model.update(parameters)
        nats, gradients = results.pop(0)
        while results:
            more_nats, more = results.pop(0)
            nats, gradients = nats + more_nats, tree_map(mx.add, gradients, more)
        return nats, count, gradients

    def _function(self, index: int) -> Callable[..., Any]:
        """The function of parameters, key and data for the share `index`.

        Each share has its own: a compiled function keeps the stream it was first called on.
        """
        while len(self._functions) <= index:
            differentiate = mx.value_and_grad(self._nats)
            function = mx.compile(differentiate) if self.compiled else differentiate
            self._functions.append(function)
        chosen = self._functions[index]

        def call(*arguments: Any) -> Any:
            with self._building():
                return chosen(*arguments)

        return call

    @contextmanager
    def _building(self) -> Iterator[None]:
        """What a graph is built within.

        Checkpointed layers are computed again, and draw their dropout masks again, while the
        gradients are derived: after `_nats` has returned.
        """
        with (
            fast_kernels(compiling=self.compiled),
            attention_in_blocks(self._long_attention),
            delta_rule_in_chunks(),
            keyed_dropout(self._keys),
            exact_lookups(),
        ):
            yield

    def compiled_with(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Compile a function that calls the one of gradients, as one with it.

        Args:
            function: of that one and of more; that one takes trainable parameters, the key of the
                dropout, inputs, targets and perhaps weights, and gives the sum of nats and its
                gradients.

        Returns:
            A function of the seed of the dropout and what `function` takes besides. It computes on
            the default stream.
        """
        compiled = mx.compile(partial(function, mx.value_and_grad(self._nats)))

        def call(seed: int | Sequence[int], *arguments: Any) -> Any:
            parameters = cast(Any, self.model).trainable_parameters()
            if isinstance(seed, int):
                [key] = mx.random.split(mx.random.key(seed), 1)
            else:
                key = keys_of_rows(seed)
            if not self.model.training:
                self.model.train()
            blas.set_blas_threads(self._threads)
            try:
                with self._building():
                    return compiled(parameters, key, *arguments)
            finally:
                self.model.update(parameters)

        return call

    def _nats(
        self,
        parameters: dict[str, Any],
        key: mx.array,
        inputs: mx.array,
        targets: mx.array,
        weights: mx.array | None = None,
    ) -> mx.array:
        if self.compute_dtype is not None:
            dtype, lasting = self.compute_dtype, self._lasting
            parameters = tree_map_with_path(
                lambda name, value: value if name in lasting else value.astype(dtype), parameters
            )
        self.model.update(parameters)
        self._keys.key = key
        with checkpointed_layers(self._layers, self._keys):
            return next_token_nats(self.model, inputs, targets, weights, head=self.head)

    def _shares(self, rows: int) -> list[tuple[mx.Stream, slice]]:
        """Which rows each stream gets; also sets how many threads BLAS uses in each."""
        count = min(self.streams, rows)
        blas.set_blas_threads(max(1, self._threads // count))
        if count < 2:
            return [(mx.default_stream(mx.default_device()), slice(0, rows))]
        while len(self._cpu_streams) < count:
            self._cpu_streams.append(mx.new_stream(mx.Device(mx.cpu)))
        return list(zip(self._cpu_streams, equal_parts(rows, count), strict=False))
