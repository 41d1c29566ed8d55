"""Loss and gradients of one micro-batch: the call that the training loop makes.

On a CPU the rows of a micro-batch are shared out over as many streams as there are cores. mlx runs
each stream in a thread of its own, so its single-threaded element-wise kernels run in parallel too,
which more BLAS threads cannot do. The shares are fixed by the shape, and every operation is
deterministic: same input, same bits.
"""

from typing import Any, cast

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module
from mlx.utils import tree_map

from cptstudio.lm import blas
from cptstudio.lm.loss import OutputHead, find_output_head, next_token_nats

Tokens = np.ndarray[Any, Any] | mx.array


class GradientStep:
    """Sum of nats of a micro-batch and its gradients, as `step(inputs, targets, mask)`.

    Args:
        model: an mlx-lm model whose parameters to train are unfrozen. streams: CPU streams to share
        the rows over (None: one for each core; ignored on a GPU). grad_checkpoint: keep only each
        layer's input and compute the rest again for the gradients. compile: compile the whole step
        with `mx.compile`, once for each shape. compute_dtype: type that trained parameters are cast
        to for the computation (None: their own).

    The model's parameters are read at each call; its gradients have their types.
    """

    def __init__(
        self,
        model: Module,
        *,
        streams: int | None = None,
        grad_checkpoint: bool = False,
        compile: bool = False,
        compute_dtype: mx.Dtype | None = None,
    ) -> None:
        self.model = model
        self.on_cpu = mx.default_device() == mx.Device(mx.cpu)
        self.streams = (streams or blas.usable_cores()) if self.on_cpu else 1
        self.compute_dtype = compute_dtype
        self.head: OutputHead | None = find_output_head(model)
        self._cpu_streams: list[mx.Stream] = []

    def __call__(
        self,
        inputs: Tokens,
        targets: Tokens,
        mask: Tokens | None = None,
        *,
        seed: int | None = None,
    ) -> tuple[mx.array, int, dict[str, Any]]:
        """Sum of nats over the counted targets, their number, and the gradients of that sum.

        `inputs` and `targets` are int [rows, length], `mask` is None (every target counts) or bool
        of that shape. Nothing is evaluated yet: `mx.eval` what is returned. `seed` fixes dropout:
        same seed, same bits.
        """
        count = int(np.asarray(mask).sum()) if mask is not None else int(np.prod(inputs.shape))
        if seed is not None:
            mx.random.seed(seed)
        if not self.model.training:
            self.model.train()
        inputs, targets = mx.array(inputs), mx.array(targets)
        weights = None if mask is None else mx.array(mask).astype(mx.float32)
        parameters = cast(Any, self.model).trainable_parameters()
        differentiate = mx.value_and_grad(self._nats)
        parts = self._shares(inputs.shape[0])
        results = []
        try:
            for stream, rows in parts:
                with mx.stream(stream):
                    share = None if weights is None else weights[rows]
                    results.append(differentiate(parameters, inputs[rows], targets[rows], share))
        finally:
            self.model.update(parameters)
        nats, gradients = results[0]
        for more_nats, more in results[1:]:
            nats = nats + more_nats
            gradients = tree_map(mx.add, gradients, more)
        return nats, count, gradients

    def _nats(
        self,
        parameters: dict[str, Any],
        inputs: mx.array,
        targets: mx.array,
        weights: mx.array | None,
    ) -> mx.array:
        if self.compute_dtype is not None:
            dtype = self.compute_dtype
            parameters = tree_map(lambda value: value.astype(dtype), parameters)
        self.model.update(parameters)
        return next_token_nats(self.model, inputs, targets, weights, head=self.head)

    def _shares(self, rows: int) -> list[tuple[mx.Stream, slice]]:
        """Which rows each stream gets."""
        count = min(self.streams, rows)
        if count < 2:
            blas.set_blas_threads(self.streams)
            return [(mx.default_stream(mx.default_device()), slice(0, rows))]
        blas.set_blas_threads(1)
        while len(self._cpu_streams) < count:
            self._cpu_streams.append(mx.new_stream(mx.cpu))
        edges = [rows * index // count for index in range(count + 1)]
        return [
            (self._cpu_streams[index], slice(edges[index], edges[index + 1]))
            for index in range(count)
        ]
