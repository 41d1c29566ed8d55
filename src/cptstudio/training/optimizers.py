"""Gradients become updates: parameter groups, clipping, and the optimizer's state.

Weight decay and Muon apply to matrices, by what each parameter is (`lm.parameter_kinds`);
embeddings and the output head may have a rate of their own.

The update runs in chunks of parameters. Each is compiled (its many element-wise passes become
one: 110 to 40 ms on a CPU for 13M weights with AdamW), only a few are under way at a time, so that
old and new values of all weights never exist together, and on a CPU two streams take turns. The
last ones are still under way when `update` returns: the next step's graph is built meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module

from cptstudio.lm.parameter_kinds import Treatment
from cptstudio.lm.parameters import place_of, trainable_parameters
from cptstudio.settings import OptimizerSettings
from cptstudio.training.update_rules import Scalars, State, UpdateRule, make_rule, make_scalars

CHUNK_ELEMENTS = 4_000_000
GPU_CHUNKS = 32
"""A GPU gets about so many chunks where they are larger: a fast one updates 4M weights in some 40
microseconds, less than Python needs to hand them out."""
MOST_UNDER_WAY = 4
"""Chunks whose old and new values exist together: with AdamW some 200 MB more for a while."""

UPDATES = "updates"


@dataclass(frozen=True)
class _Chunk:
    """Parameters that are updated together by one rule at one rate.

    Attributes:
        update: as it is called by itself; `plain` is the same, uncompiled.
    """

    names: tuple[str, ...]
    update: Callable[..., Any]
    plain: Callable[..., Any]
    stream: mx.Stream
    rate_factor: float


class Optimizer:
    """Updates parameters in place of their old values and keeps the state for it.

    Attributes:
        compiled: whether all its rules are faster compiled.

    Args:
        parameters: the trained ones, by name, float32.
        settings: learning_rate must be set.
        treatments: how each is updated, by name.
        embeddings: names of the parameters of embeddings and head.
        embedding_rate_factor: their rate as a multiple of the learning rate.
    """

    def __init__(
        self,
        parameters: Mapping[str, mx.array],
        settings: OptimizerSettings,
        *,
        treatments: Mapping[str, Treatment],
        embeddings: Collection[str] = (),
        embedding_rate_factor: float = 1.0,
        compile: bool = True,
    ) -> None:
        assert settings.learning_rate is not None, "the planner resolves the learning rate"
        self._settings = settings
        self._peak_rate = settings.learning_rate
        self._compile = compile
        cpu = mx.default_device().type == mx.DeviceType.cpu
        self._chunk_elements = chunk_elements(sum(value.size for value in parameters.values()), cpu)
        default = mx.default_stream(mx.default_device())
        self._streams = [mx.new_stream(mx.cpu), mx.new_stream(mx.cpu)] if cpu else [default]
        self._updates = mx.array(0, mx.uint32)
        self._states: dict[str, State] = {}
        self._chunks: list[_Chunk] = []
        self.compiled = True
        groups: dict[tuple[bool, int, Treatment], list[str]] = {}
        for name, value in parameters.items():
            group = (name in embeddings, value.ndim, treatments[name])
            groups.setdefault(group, []).append(name)
        for (embedding, _, treatment), names in groups.items():
            rule = make_rule(settings, decayed=treatment.decayed, muon=treatment.muon)
            self._add_group(parameters, names, rule, embedding_rate_factor if embedding else 1.0)

    def _add_group(
        self,
        parameters: Mapping[str, mx.array],
        names: list[str],
        rule: UpdateRule,
        rate_factor: float,
    ) -> None:
        for name in names:
            self._states[name] = rule.initial_state(parameters[name])
        self.compiled = self.compiled and rule.compiled
        plain = _chunk_update(rule)
        updates = [_chunk_update(rule) for _ in self._streams]
        if self._compile and rule.compiled:
            # One for each stream: what is compiled stays on the stream it was first used on.
            updates = [mx.compile(update) for update in updates]
        for part in _parts(names, parameters, self._chunk_elements):
            lane = len(self._chunks) % len(self._streams)
            chunk = _Chunk(part, updates[lane], plain, self._streams[lane], rate_factor)
            self._chunks.append(chunk)

    def gradient_norm(self, gradients: Mapping[str, mx.array]) -> mx.array:
        """Euclidean norm of all gradients together, not evaluated yet."""
        squares: list[mx.array] = []
        for chunk in self._chunks:
            with mx.stream(chunk.stream):
                squares.extend(mx.square(gradients[name]).sum() for name in chunk.names)
        return mx.sqrt(mx.stack(squares).sum())

    def update(
        self,
        parameters: MutableMapping[str, mx.array],
        gradients: dict[str, mx.array],
        *,
        rate: float,
        scale: mx.array,
        keep: mx.array | None = None,
    ) -> None:
        """Apply one update.

        Args:
            parameters: by name; each is replaced by its new value. The caller must hold no
                other reference to the old ones, or their memory cannot be reused.
            gradients: by name; emptied.
            rate: learning rate as a fraction of the peak rate.
            scale: number that the gradients are multiplied with.
            keep: bool scalar on the device; where it is false, nothing changes.
        """
        under_way: list[list[mx.array]] = []
        shared = self.shared_numbers(rate)
        mx.async_eval(list(shared.values()), scale)  # type: ignore[no-untyped-call]
        for chunk in self._chunks:
            with mx.stream(chunk.stream):
                values, states = chunk.update(
                    [parameters[name] for name in chunk.names],
                    [gradients.pop(name) for name in chunk.names],
                    [self._states.pop(name) for name in chunk.names],
                    [*shared[chunk.rate_factor], scale],
                    keep,
                )
            for name, value, state in zip(chunk.names, values, states, strict=True):
                parameters[name] = value
                self._states[name] = state
            results = [*values, *(leaf for state in states for leaf in state.values())]
            del values, states
            mx.async_eval(*results)  # type: ignore[no-untyped-call]
            under_way.append(results)
            if len(under_way) > MOST_UNDER_WAY:
                mx.eval(under_way.pop(0))
        self._count(keep)

    def _count(self, keep: mx.array | None) -> None:
        updates = self._updates + 1
        self._updates = updates if keep is None else mx.where(keep, updates, self._updates)

    # --- as a part of a larger function ------------------------------------------------------

    def shared_numbers(self, rate: float) -> dict[float, list[mx.array]]:
        """Return the values that all parameters share in the next update, by their rate factor."""
        factors = dict.fromkeys(chunk.rate_factor for chunk in self._chunks)
        updates = self._updates + 1
        return {
            factor: list(
                vars(
                    make_scalars(self._settings, rate * self._peak_rate * factor, updates)
                ).values()
            )
            for factor in factors
        }

    def updated(
        self,
        parameters: Mapping[str, mx.array],
        gradients: Mapping[str, mx.array],
        states: Mapping[str, State],
        shared: Mapping[float, list[mx.array]],
        scale: mx.array,
        keep: mx.array,
    ) -> tuple[dict[str, mx.array], dict[str, State]]:
        """Return new parameters and states; nothing is changed. The arguments are `update`'s."""
        new_values: dict[str, mx.array] = {}
        new_states: dict[str, State] = {}
        for chunk in self._chunks:
            values, changed = chunk.plain(
                *([table[name] for name in chunk.names] for table in (parameters, gradients)),
                [states[name] for name in chunk.names],
                [*shared[chunk.rate_factor], scale],
                keep,
            )
            new_values.update(zip(chunk.names, values, strict=True))
            new_states.update(zip(chunk.names, changed, strict=True))
        return new_values, new_states

    def take_states(self) -> dict[str, State]:
        """Give away the states, so that nothing else holds them when they are replaced."""
        states, self._states = self._states, {}
        return states

    def put_states(self, states: dict[str, State], keep: mx.array) -> None:
        """Take the states after an update that is made where `keep` is true."""
        self._states = states
        self._count(keep)

    def state(self) -> dict[str, mx.array]:
        """Return all state by name: "updates", and "PARAMETER/LEAF" for each parameter."""
        leaves = {
            f"{name}/{leaf}": value
            for name, state in sorted(self._states.items())
            for leaf, value in sorted(state.items())
        }
        return {UPDATES: self._updates, **leaves}

    def load_state(self, leaves: Mapping[str, mx.array]) -> None:
        """Take over what `state` gave.

        Raises:
            ValueError: it is the state of other parameters or another optimizer.
        """
        expected = self.state()
        for name in sorted(expected.keys() ^ leaves.keys()):
            where = "saved state" if name in expected else "optimizer"
            raise ValueError(f"the {where} has no {name}")
        for name, value in expected.items():
            if leaves[name].shape != value.shape or leaves[name].dtype != value.dtype:
                raise ValueError(f"{name} is {leaves[name].dtype}{leaves[name].shape}")
        self._updates = leaves[UPDATES]
        for name in self._states:
            for leaf in self._states[name]:
                self._states[name][leaf] = leaves[f"{name}/{leaf}"]


def chunk_elements(weights: int, cpu: bool) -> int:
    """Return how many weights a chunk has, about; it changes no number that is computed."""
    return CHUNK_ELEMENTS if cpu else max(CHUNK_ELEMENTS, weights // GPU_CHUNKS)


def _parts(
    names: list[str], parameters: Mapping[str, mx.array], most: int
) -> Iterator[tuple[str, ...]]:
    """Cut a group into runs of parameters of about so many weights."""
    part: list[str] = []
    elements = 0
    for name in names:
        part.append(name)
        elements += parameters[name].size
        if elements >= most:
            yield tuple(part)
            part, elements = [], 0
    if part:
        yield tuple(part)


def _chunk_update(rule: UpdateRule) -> Callable[..., Any]:
    def update(
        parameters: list[mx.array],
        gradients: list[mx.array],
        states: list[State],
        numbers: list[mx.array],
        keep: mx.array | None,
    ) -> tuple[list[mx.array], list[State]]:
        *shared, scale = numbers
        scalars = Scalars(*shared)
        new_values, new_states = [], []
        for parameter, gradient, state in zip(parameters, gradients, states, strict=True):
            value, changed = rule(parameter, gradient * scale, state, scalars)
            if keep is not None:
                value = mx.where(keep, value, parameter)
                changed = {leaf: mx.where(keep, changed[leaf], state[leaf]) for leaf in changed}
            new_values.append(value)
            new_states.append(changed)
        return new_values, new_states

    return update


def clip_factor(norm: mx.array, limit: float) -> mx.array:
    """Return the factor for gradients of this norm, so that the norm is `limit` at most.

    A limit of 0 means no clipping. The same as PyTorch's `clip_grad_norm_`.
    """
    if not limit:
        return mx.array(1.0)
    return mx.minimum(1.0, limit / (norm + 1e-6))


class TrainedParameters(MutableMapping[str, mx.array]):
    """The trained parameters of a network by name, read and replaced where they are.

    Nothing is copied, so a replaced parameter's memory is free at once.
    """

    def __init__(self, model: Module) -> None:
        self._places = {name: place_of(model, name) for name in trainable_parameters(model)}

    def __getitem__(self, name: str) -> mx.array:
        holder, key = self._places[name]
        value: mx.array = holder[key]
        return value

    def __setitem__(self, name: str, value: mx.array) -> None:
        holder, key = self._places[name]
        holder[key] = value

    def __delitem__(self, name: str) -> None:
        raise TypeError("a network's parameters cannot be removed")

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
