"""How a model makes logits from its hidden states, found out by experiment.

The loss needs the two apart: hidden states and output head. Rather than by the names of
architectures, `find_output_head` puts a tap in the place of each module that could be the head, and
accepts one only if hidden states, head and what the model does to the logits afterwards (a factor,
a soft cap) reproduce the model's own logits.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import mlx.core as mx
from mlx.nn.layers.base import Module

from cptstudio.lm.parameters import place_of

logger = logging.getLogger(__name__)

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
        """Return the head's module in `model`."""
        parent, name = place_of(model, self.path)
        return parent[name]

    def raw_logits(self, module: Any, hidden: mx.array) -> mx.array:
        """Return the head's output for hidden states [..., hidden size]: [..., vocabulary]."""
        logits: mx.array = module.as_linear(hidden) if self.tied else module(hidden)
        return logits

    def finish(self, raw: mx.array) -> mx.array:
        """Apply the factor and the soft cap."""
        if self.softcap is not None:
            return mx.tanh(raw * (self.scale / self.softcap)) * self.softcap
        return raw if self.scale == 1.0 else raw * self.scale

    def slope(self, logits: mx.array) -> mx.array | float:
        """Derivative of the soft cap, from finished logits; 1.0 where there is none."""
        if self.softcap is None:
            return 1.0
        # The derivative of cap * tanh(x / cap), from its value.
        return 1 - mx.square(logits * (1 / self.softcap))


def hidden_states(model: Module, inputs: mx.array, head: OutputHead) -> mx.array:
    """Return the model's input to its output head: [rows, length, hidden size]."""
    with _tapped(model, head.path) as tap:
        model(inputs)
    hidden: mx.array = tap.seen[0]
    return hidden


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


def likely_output_head(model: Module, vocabulary: int) -> OutputHead | None:
    """Return the head as it can be told without a weight: where the hidden states go, no more."""
    inputs = mx.array([[3, 1, 4, 1, 5, 2, 6, 5]], mx.int32)
    for path in _candidates(model, vocabulary):
        with _tapped(model, path) as tap:
            model(inputs)
        if len(tap.seen) == 1:
            return OutputHead(path, tap.backwards)
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
        if path and not inside and output_size(module) == vocabulary:
            found.append(path)
    return found


def output_size(module: Any) -> int:
    """Return how many outputs a linear layer has, or rows an embedding; 0 for other modules."""
    if "lora_b" in module:
        inner = module.get("linear", module.get("embedding"))
        return output_size(inner) if inner is not None else 0
    weight = module.get("weight")
    return int(weight.shape[0]) if isinstance(weight, mx.array) and weight.ndim == 2 else 0


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
        return mx.zeros((*x.shape[:-1], output_size(self.wrapped)), x.dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)


@contextmanager
def _tapped(model: Module, path: str) -> Iterator[_Tap]:
    """Put a tap in the place of the module at `path` for a while."""
    parent, name = place_of(model, path)
    module = parent[name]
    tap = _Tap(module)
    # Not by attribute: that would move the key to the end of the module, and with it the order of
    # parameters.
    dict.__setitem__(parent, name, tap)
    try:
        yield tap
    finally:
        dict.__setitem__(parent, name, module)
