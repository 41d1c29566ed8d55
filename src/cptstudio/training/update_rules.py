"""The update of one parameter, for each optimizer: pure functions of arrays.

AdamW is written out here and the others are MLX's own. MLX's AdamW computes its bias
correction from a step count inside the kernel; when that is compiled, the power is fused into
the element-wise loop and evaluated for every weight (measured on a CPU: 317 ms in place of
39 ms for 13M weights), so here the corrections come in as numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import mlx.core as mx
import mlx.optimizers

from cptstudio.optimizer_records import OPTIMIZERS
from cptstudio.settings import OptimizerSettings

State = dict[str, mx.array]


@dataclass(frozen=True)
class Scalars:
    """Values that all parameters of a group share in one update; arrays, so nothing is retraced.

    Attributes:
        updates: number of this update, counting the first as 1 and skipped ones not at all.
        correction1: 1 / (1 - beta1 ** updates).
        correction2: 1 / sqrt(1 - beta2 ** updates).
    """

    rate: mx.array
    updates: mx.array
    correction1: mx.array
    correction2: mx.array


def make_scalars(settings: OptimizerSettings, rate: float, updates: mx.array) -> Scalars:
    """Scalars of the update with this number (1 for the first)."""
    count = updates.astype(mx.float32)
    # expm1 keeps the digits of 1 - beta ** n where that is close to 0.
    remaining = [
        -mx.expm1(count * math.log(beta)) if beta else mx.ones_like(count)
        for beta in (settings.beta1, settings.beta2)
    ]
    return Scalars(mx.array(rate), updates, 1 / remaining[0], mx.rsqrt(remaining[1]))


class UpdateRule(Protocol):
    """How one parameter and its state change by a gradient.

    Attributes:
        compiled: it is faster compiled.
    """

    @property
    def compiled(self) -> bool: ...

    def initial_state(self, parameter: mx.array) -> State:
        """State before the first update."""

    def __call__(
        self, parameter: mx.array, gradient: mx.array, state: State, scalars: Scalars
    ) -> tuple[mx.array, State]:
        """The new parameter and the new state; nothing is changed in place."""


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay and bias correction (arXiv 1711.05101, algorithm 2)."""

    beta1: float
    beta2: float
    epsilon: float
    weight_decay: float
    compiled: bool = True

    def initial_state(self, parameter: mx.array) -> State:
        """First and second moment, zero."""
        return {"m": mx.zeros_like(parameter), "v": mx.zeros_like(parameter)}

    def __call__(
        self, parameter: mx.array, gradient: mx.array, state: State, scalars: Scalars
    ) -> tuple[mx.array, State]:
        """One update."""
        m = self.beta1 * state["m"] + (1 - self.beta1) * gradient
        v = self.beta2 * state["v"] + (1 - self.beta2) * mx.square(gradient)
        if self.weight_decay:
            parameter = parameter * (1 - scalars.rate * self.weight_decay)
        size = scalars.rate * scalars.correction1
        step = size * m / (mx.sqrt(v) * scalars.correction2 + self.epsilon)
        return parameter - step, {"m": m, "v": v}


class FromMLX:
    """An optimizer of `mlx.optimizers`, one parameter at a time."""

    def __init__(self, optimizer: mlx.optimizers.Optimizer, *, compiled: bool = True) -> None:
        self._optimizer = optimizer
        self.compiled = compiled

    def initial_state(self, parameter: mx.array) -> State:
        """Return the state that the optimizer makes for a parameter of this shape."""
        state: State = {}
        self._optimizer.init_single(parameter, state)
        return state

    def __call__(
        self, parameter: mx.array, gradient: mx.array, state: State, scalars: Scalars
    ) -> tuple[mx.array, State]:
        """One update."""
        state = dict(state)
        # The count as float32: MLX raises it to a negative power, which integers lack.
        self._optimizer.state = {
            "step": scalars.updates.astype(mx.float32),
            "learning_rate": scalars.rate,
        }
        parameter = self._optimizer.apply_single(gradient, parameter, state)
        self._optimizer.state = {}
        return parameter, state


class Muon(FromMLX):
    """MLX's Muon with decoupled weight decay and a step as large as AdamW's.

    An orthogonalised update of shape [a, b] has a root mean square of 1 / sqrt(max(a, b)).
    Scaled by 0.2 * sqrt(max(a, b)) it matches AdamW's, so that one learning rate suits both
    (Liu et al., arXiv 2502.16982, section 2.2). Weight decay inside the gradient, as MLX has
    it, would be normalised away with it. Of a stack of matrices, one for each expert, each is
    orthogonalised on its own; MLX's would take the stack for one matrix.
    """

    def __init__(self, momentum: float, weight_decay: float) -> None:
        super().__init__(mlx.optimizers.Muon(1.0, momentum=momentum, weight_decay=0.0))
        self._weight_decay = weight_decay

    def __call__(
        self, parameter: mx.array, gradient: mx.array, state: State, scalars: Scalars
    ) -> tuple[mx.array, State]:
        """One update of a matrix."""
        if parameter.ndim > 2:
            return self._of_stack(parameter, gradient, state, scalars)
        rows, columns = parameter.shape
        step, state = super().__call__(mx.zeros_like(parameter), gradient, state, scalars)
        scale = 0.2 * math.sqrt(max(rows, columns)) / max(1.0, rows / columns) ** 0.5
        decay = 1 - scalars.rate * self._weight_decay
        return parameter * decay + scale * step, state

    def _of_stack(
        self, parameter: mx.array, gradient: mx.array, state: State, scalars: Scalars
    ) -> tuple[mx.array, State]:
        """One update of each matrix [..., rows, columns]."""

        def one(parameter: mx.array, gradient: mx.array, moment: mx.array) -> list[mx.array]:
            value, changed = self(parameter, gradient, {"v": moment}, scalars)
            return [value, changed["v"]]

        shape = parameter.shape
        parts = [part.reshape(-1, *shape[-2:]) for part in (parameter, gradient, state["v"])]
        value, moment = mx.vmap(one)(*parts)
        return value.reshape(shape), {"v": moment.reshape(shape)}


def _adafactor(settings: OptimizerSettings, decay: float) -> UpdateRule:
    # The given rate as it is: neither relative to the step nor to the weights' size.
    made = mlx.optimizers.Adafactor(
        1.0, weight_decay=decay, scale_parameter=False, relative_step=False
    )
    # Compiled, its row and column factors would be computed again for each weight.
    return FromMLX(made, compiled=False)


def _lion(settings: OptimizerSettings, decay: float) -> UpdateRule:
    betas = [settings.beta1, settings.beta2]
    return FromMLX(mlx.optimizers.Lion(1.0, betas=betas, weight_decay=decay))


RULES: Final[dict[str, Callable[[OptimizerSettings, float], UpdateRule]]] = {
    "adamw": lambda given, decay: AdamW(given.beta1, given.beta2, given.epsilon, decay),
    "adafactor": _adafactor,
    "lion": _lion,
    "muon": lambda given, decay: Muon(given.momentum, decay),
    "sgd": lambda given, decay: FromMLX(
        mlx.optimizers.SGD(1.0, momentum=given.momentum, weight_decay=decay)
    ),
}
"""How each of `optimizer_records` updates, made of the settings and the weight decay."""


def make_rule(settings: OptimizerSettings, *, decayed: bool, muon: bool) -> UpdateRule:
    """Return the rule for one kind of parameter.

    Args:
        decayed: whether weight decay applies to it.
        muon: whether it is a matrix that Muon, where that is chosen, may orthogonalise.
    """
    own = muon or not OPTIMIZERS[settings.name].matrices_only
    return RULES[settings.name if own else "adamw"](
        settings, settings.weight_decay if decayed else 0.0
    )
