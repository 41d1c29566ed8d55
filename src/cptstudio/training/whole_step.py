"""Gradient, norm, clipping and update of a step as one compiled function, for devices but the CPU.

A GPU waits for whoever hands it work. In parts a step is some hundred small submissions, with a
wait where few chunks of the optimizer may be under way; as one function it is handed over at once,
with the norms and the guards' verdict in it, and nothing waits before the next step is submitted.
mlx-lm's own trainer compiles its step in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx

from cptstudio.corpus.rows import Batch
from cptstudio.lm.parameters import flatten
from cptstudio.training.accumulation import Seed
from cptstudio.training.guards import Limits
from cptstudio.training.optimizers import clip_factor
from cptstudio.training.setup import Setup


def is_whole(setup: Setup) -> bool:
    """Return whether a run's step is compiled as one, and why not where it is not.

    - On a CPU it is not: a step there shares its rows out over streams, whose gradients are added
      by single operations, and its kernels are functions that a compiled graph takes apart. The
      values are there when the update is decided about, so nothing is won either.
    - Where the gradients are not compiled (`compute.compile`), the step is not.
    - Rules that are not faster compiled (Adafactor's) stay as they are.
    """
    cpu = mx.default_device().type == mx.DeviceType.cpu
    return not cpu and setup.gradient_step.compiled and setup.optimizer.compiled


class WholeStep:
    """The last micro-batch of a step with all that follows it."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._factors = list(setup.optimizer.shared_numbers(1.0))
        self._function = setup.gradient_step.compiled_with(self._step)

    def __call__(
        self,
        batch: Batch,
        seed: Seed,
        former: tuple[mx.array, dict[str, mx.array]] | None,
        *,
        tokens: int,
        fraction: float,
        limits: Limits,
    ) -> tuple[mx.array, mx.array]:
        """Submit it; returns loss and gradient norm, which nobody waits for.

        Args:
            former: sum of nats and gradients of the micro-batches before.
            tokens: counted targets of all of them.
            fraction: of the peak rate.
        """
        optimizer, parameters = self._setup.optimizer, self._setup.parameters
        data = [mx.array(batch.inputs), mx.array(batch.targets)]
        if batch.mask is not None:
            data.append(mx.array(batch.mask).astype(mx.float32))
        # As arrays: what is compiled is made anew for each other number.
        numbers = [mx.array(float(x)) for x in (tokens, limits.loss, limits.gradient_norm)]
        shared = optimizer.shared_numbers(fraction)
        loss, norm, keep, values, states = self._function(
            seed,
            optimizer.take_states(),
            list(shared.values()),
            numbers,
            former,
            *data,
        )
        del former
        for name in list(values):
            parameters[name] = values.pop(name)
        optimizer.put_states(states, keep)
        # Nothing here holds an old value any more, so that new ones can take their memory.
        mx.async_eval(  # type: ignore[no-untyped-call]
            loss, norm, list(parameters.values()), list(optimizer.state().values())
        )
        return loss, norm

    def _step(
        self,
        gradients_of: Callable[..., Any],
        parameters: Any,
        key: mx.array,
        states: dict[str, dict[str, mx.array]],
        shared: list[list[mx.array]],
        numbers: list[mx.array],
        former: tuple[mx.array, dict[str, mx.array]] | None,
        *data: mx.array,
    ) -> tuple[Any, ...]:
        tokens, loss_limit, norm_limit = numbers
        nats, tree = gradients_of(parameters, key, *data)
        gradients = flatten(tree)
        if former is not None:
            nats = nats + former[0]
            gradients = {name: value + former[1][name] for name, value in gradients.items()}
        loss = nats / tokens
        squares = [mx.square(value).sum() for value in gradients.values()]
        norm = mx.sqrt(mx.stack(squares).sum()) / tokens
        scale = clip_factor(norm, self._setup.settings.optimizer.clip_norm) / tokens
        keep = allowed(loss, norm, loss_limit, norm_limit)
        by_factor = dict(zip(self._factors, shared, strict=True))
        values, changed = self._setup.optimizer.updated(
            flatten(parameters), gradients, states, by_factor, _by_itself(scale), keep
        )
        return loss, norm, keep, values, changed


def allowed(loss: mx.array, norm: mx.array, loss_limit: Any, norm_limit: Any) -> mx.array:
    """Return whether the guards let an update be made, told on the device."""
    finite: mx.array = mx.isfinite(loss) & mx.isfinite(norm)
    small: mx.array = (loss <= loss_limit) & (norm <= norm_limit)
    return finite & small


def _by_itself(number: mx.array) -> mx.array:
    """A number that is computed once; else a compiled loop computes it anew for each weight."""
    return number.reshape(1).sum()
