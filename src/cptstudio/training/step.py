"""One optimizer update: micro-batches, gradients, clipping, and the guards' verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from cptstudio.corpus.rows import Batch
from cptstudio.lm.gradients import counted_targets
from cptstudio.lm.vocabulary import check_ids
from cptstudio.training.accumulation import Seed, accumulate
from cptstudio.training.guards import Limits, skip_reason
from cptstudio.training.optimizers import clip_factor
from cptstudio.training.seeds import micro_batch_seed, row_seed
from cptstudio.training.setup import Setup
from cptstudio.training.whole_step import WholeStep, allowed, is_whole


@dataclass(frozen=True)
class SubmittedStep:
    """A step whose values may still be under way on the device.

    Attributes:
        next_batch: number of the batch of the order that follows.
        tokens: counted targets.
        loss: scalar, mean nats per token.
        gradient_norm: scalar, of the mean's gradient, before clipping.
    """

    next_batch: int
    tokens: int
    rate: float
    limits: Limits
    loss: mx.array
    gradient_norm: mx.array

    def read(self) -> tuple[float, float]:
        """Return the loss and gradient norm; waits for the device."""
        return _number(self.loss), _number(self.gradient_norm)


class TrainingStep:
    """Does a run's steps; the same step of the same run always computes the same.

    Attributes:
        ahead: how many steps may be under way at once. On a CPU the values are there at once
            and decide whether the update is made; on a GPU waiting for them would leave it
            idle, so the device decides, and they are read when the next step is submitted.
    """

    def __init__(self, setup: Setup, whole: bool | None = None) -> None:
        """Args: whole: compile the step as one (None: where `is_whole` says so)."""
        self._setup = setup
        # What the ranks add up lies between the gradients and the update.
        whole = is_whole(setup) and setup.ranks.size == 1 if whole is None else whole
        self._whole = WholeStep(setup) if whole else None
        self.ahead = 0 if mx.default_device().type == mx.DeviceType.cpu else 1

    def submit(self, index: int, first_batch: int, limits: Limits) -> SubmittedStep:
        """Compute the gradients of a step and apply its update, unless the guards forbid it.

        Args:
            index: zero-based number of the step.
            first_batch: number of its first batch in the order of training.
            limits: what the loss and gradient norm of a step of the usual size may be.
        """
        setup = self._setup
        settings = setup.settings
        order = setup.data.order
        until = min(first_batch + order.batches_per_update, setup.length.batches)
        ranks = setup.ranks
        batches = (
            (self._checked(batch, index), self._seed(batch, index, number))
            for number, batch in enumerate(
                order.micro_batches(
                    first_batch, until, settings.batch.cut[0], ranks.rank, ranks.size
                )
            )
        )
        fraction = setup.schedule(index)
        if self._whole is not None:
            return self._submit_whole(self._whole, list(batches), until, fraction, limits)
        own = accumulate(setup.gradient_step, batches)
        nats, tokens, gradients, divisor = ranks.sums(*own)
        if not tokens:
            tokens, divisor = 1, 1.0  # Where nothing counts, loss and gradients are 0.
        step = SubmittedStep(
            next_batch=until,
            tokens=tokens,
            rate=fraction * (settings.optimizer.learning_rate or 0.0),
            limits=limits.widened(tokens / setup.length.tokens_per_step),
            loss=nats / tokens,
            gradient_norm=setup.optimizer.gradient_norm(gradients) / divisor,
        )
        self._apply(step, gradients, fraction, divisor)
        return step

    def _submit_whole(
        self,
        whole: WholeStep,
        batches: list[tuple[Batch, Seed]],
        until: int,
        fraction: float,
        limits: Limits,
    ) -> SubmittedStep:
        setup = self._setup
        *before, (batch, seed) = batches
        former, tokens = None, counted_targets(batch.inputs, batch.mask)
        if before:
            nats, more, gradients = accumulate(setup.gradient_step, before)
            former, tokens = (nats, gradients), tokens + more
        tokens = max(1, tokens)
        limits = limits.widened(tokens / setup.length.tokens_per_step)
        loss, norm = whole(batch, seed, former, tokens=tokens, fraction=fraction, limits=limits)
        rate = fraction * (setup.settings.optimizer.learning_rate or 0.0)
        return SubmittedStep(until, tokens, rate, limits, loss, norm)

    def _seed(self, batch: Batch, index: int, number: int) -> Seed:
        """What the dropout of a micro-batch is drawn with: by its rows, or by its number."""
        seed = self._setup.settings.seed
        if self._setup.config.dropout_of == "micro-batches" or batch.places is None:
            return micro_batch_seed(seed, index, number)
        return [row_seed(seed, index, place) for place in batch.places.tolist()]

    def _checked(self, batch: Batch, index: int) -> Batch:
        """The micro-batch, whose ids all have rows: MLX reads outside an array without a word."""
        rows = self._setup.loaded.embedding_rows
        for ids in (batch.inputs, batch.targets):
            check_ids(ids, rows, f"The text of step {index + 1:,}", self._setup.loaded.path)
        return batch

    def _apply(
        self,
        step: SubmittedStep,
        gradients: dict[str, mx.array],
        fraction: float,
        divisor: float,
    ) -> None:
        setup = self._setup
        scale = clip_factor(step.gradient_norm, setup.settings.optimizer.clip_norm) / divisor
        keep = None
        if not self.ahead:
            mx.eval(step.loss, step.gradient_norm, scale)
            if skip_reason(*step.read(), step.limits) is not None:
                return
        else:
            limits = step.limits
            keep = allowed(step.loss, step.gradient_norm, limits.loss, limits.gradient_norm)
        setup.optimizer.update(setup.parameters, gradients, rate=fraction, scale=scale, keep=keep)
        if self.ahead:
            mx.async_eval(step.loss, step.gradient_norm)  # type: ignore[no-untyped-call]


def _number(scalar: mx.array) -> float:
    value: Any = scalar.item()
    return float(value)
