"""The ranks of a run: processes, on one machine or several, that train it together.

Every rank has the whole model and computes its rows of each update; sums over all ranks stand in
the place of a rank's own, and so the same update is made everywhere. The engine is MLX's
(`mlx.core.distributed`): this says what the training exchanges, and in which order. Whoever trains
alone goes the same way with `Alone`, which exchanges nothing.

Ranks that disagree about which exchange comes next would add up what does not belong together.
So each exchange is made where all ranks are at the same point of the loop, and one is computed
before the next is asked for.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar, get_args

import mlx.core as mx
import numpy as np
from mlx.nn.utils import average_gradients

from cptstudio.errors import UserError
from cptstudio.lm.parameters import flatten
from cptstudio.run_files import RANKS
from cptstudio.training.rank_state import StateNote
from cptstudio.training.stop_requests import REASONS, StopRequest

Backend = Literal["ring", "jaccl", "mpi", "nccl"]
BACKENDS: Final[tuple[Backend, ...]] = get_args(Backend)
MESSAGE_BYTES: Final = 32 * 1024**2
"""Gradients that are added up in one message, and are more than it by one array at most."""

_Json = TypeVar("_Json")


class Ranks(Protocol):
    """What a rank exchanges with the others.

    Attributes:
        rank: number of this one. Rank 0 writes the run directory.
        size: how many there are.
        here: how many of them this machine has.
        machines: the name of each one's machine.
    """

    rank: int
    size: int
    here: int
    machines: Sequence[str]

    def agree(self, stop: StopRequest) -> None:
        """Let all ranks know at the same point whether any of them was asked to stop."""

    def gathered(self, value: _Json) -> list[_Json]:
        """Return the value of each rank, by its number. It must be JSON."""

    def agreeing(self) -> AbstractContextManager[None]:
        """Return a context whose UserError in one rank is raised in all, with that one's number."""

    def sums(
        self, nats: mx.array, tokens: int, gradients: dict[str, mx.array]
    ) -> tuple[mx.array, int, dict[str, mx.array], float]:
        """Add up what the ranks have computed of an update.

        Returns:
            The sum of nats, the number of counted targets, the gradients, and the number of targets
            that these are to be divided by to be the mean's.
        """

    def of_first(self, arrays: Mapping[str, mx.array]) -> dict[str, mx.array]:
        """Return rank 0's arrays, bit for bit. All ranks have some of these names and shapes."""


class Alone:
    """One process that trains by itself."""

    rank = 0
    size = 1
    here = 1
    machines: Sequence[str] = ("",)

    def agree(self, stop: StopRequest) -> None:
        """Do nothing: nobody else has to know."""

    def gathered(self, value: _Json) -> list[_Json]:
        """Return the value."""
        return [value]

    @contextmanager
    def agreeing(self) -> Iterator[None]:
        """Raise what is raised."""
        yield

    def sums(
        self, nats: mx.array, tokens: int, gradients: dict[str, mx.array]
    ) -> tuple[mx.array, int, dict[str, mx.array], float]:
        """Return what was computed."""
        return nats, tokens, gradients, tokens

    def of_first(self, arrays: Mapping[str, mx.array]) -> dict[str, mx.array]:
        """Return the arrays."""
        return dict(arrays)


ALONE: Final = Alone()


class FailedElsewhereError(UserError):
    """What another rank failed by."""


class LostRankError(Exception):
    """Another rank is gone, or cannot be reached any more."""


class Group:
    """One of several ranks.

    Raises:
        UserError: the group has another size than the run was started with. MPI, for one, makes
            single processes of what it was not given right.
    """

    def __init__(self, group: mx.distributed.Group, size: int) -> None:
        if group.size() != size:
            raise UserError(
                f"The run was started with {size} ranks, but {group.size()} found each other. "
                "Start it with the launcher that belongs to its backend."
            )
        self._group = group
        self._note = StateNote()
        self.rank, self.size = group.rank(), group.size()
        own = socket.gethostname()
        self.machines: Sequence[str] = self.gathered(own)
        self.here = self.machines.count(own)

    def agree(self, stop: StopRequest) -> None:
        """As for `Ranks`."""
        asked = -1 if stop.asked is None else REASONS.index(stop.asked)
        highest = int(self._computed(mx.distributed.all_max(mx.array(asked), group=self._group)))
        stop.agree(None if highest < 0 else REASONS[highest])

    def gathered(self, value: _Json) -> list[_Json]:
        """As for `Ranks`."""
        data = np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)
        size = mx.array([len(data)], dtype=mx.int32)
        sizes = self._computed(mx.distributed.all_gather(size, group=self._group))
        padded = np.zeros(int(sizes.max()), dtype=np.uint8)
        padded[: len(data)] = data
        rows = self._computed(mx.distributed.all_gather(mx.array(padded)[None], group=self._group))
        return [
            json.loads(row[:length].tobytes())
            for row, length in zip(rows, sizes.tolist(), strict=True)
        ]

    @contextmanager
    def agreeing(self) -> Iterator[None]:
        """As for `Ranks`. Within, nothing must be exchanged."""
        failure: UserError | None = None
        try:
            yield
        except UserError as error:
            failure = error
        told = self.gathered(None if failure is None else str(failure))
        if failure is not None:
            raise failure
        for number, said in enumerate(told):
            if said is not None:
                raise FailedElsewhereError(f"Rank {number} on {self.machines[number]}: {said}")

    def sums(
        self, nats: mx.array, tokens: int, gradients: dict[str, mx.array]
    ) -> tuple[mx.array, int, dict[str, mx.array], float]:
        """As for `Ranks`."""
        # All that is local first: which exchange comes first in a graph depends on its form, and
        # ranks have different ones where they have different numbers of rows.
        mx.eval(nats, gradients)
        together = mx.array([tokens], dtype=mx.int64)
        counted = int(self._computed(mx.distributed.all_sum(together, group=self._group))[0])
        nats = mx.distributed.all_sum(nats, group=self._group)
        self._evaluated([nats])
        averaged = flatten(average_gradients(gradients, self._group, MESSAGE_BYTES))
        # One message after the other, as they were put together, so that each is told.
        for part in _messages(list(averaged.values())):
            self._evaluated(part)
        return nats, counted, averaged, counted / self.size

    def of_first(self, arrays: Mapping[str, mx.array]) -> dict[str, mx.array]:
        """As for `Ranks`; one after the other, so that none but one exists twice."""
        found = {}
        for name, value in sorted(arrays.items()):
            # As integers: a sum of numbers with zeros would lose the sign of a zero.
            bits = value.reshape(-1).view(mx.uint8)
            if self.rank:
                bits = mx.zeros_like(bits)
            summed = mx.distributed.all_sum(bits, group=self._group)
            self._evaluated([summed])
            found[name] = summed.view(value.dtype).reshape(value.shape)
        return found

    def _computed(self, array: mx.array) -> np.ndarray[Any, Any]:
        self._evaluated([array])
        return np.array(array)

    def _evaluated(self, arrays: list[mx.array]) -> None:
        self._note.begin(sum(array.nbytes for array in arrays))
        try:
            mx.eval(arrays)
        except RuntimeError as error:
            # "[ring] connection to a peer was lost"
            raise LostRankError("The connection to the other ranks was lost") from error
        finally:
            self._note.end()


def _messages(arrays: list[mx.array]) -> Iterator[list[mx.array]]:
    """Cut arrays as `average_gradients` does."""
    part: list[mx.array] = []
    for array in arrays:
        part.append(array)
        if sum(one.nbytes for one in part) >= MESSAGE_BYTES:
            yield part
            part = []
    if part:
        yield part


def join(size: int, backend: str) -> Ranks:
    """Return the ranks that this process was started as one of.

    Raises:
        UserError: they cannot be reached.
    """
    if size == 1:
        return ALONE
    try:
        group = mx.distributed.init(strict=True, backend=backend)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"The ranks could not be connected by {backend}: {error}") from None
    return Group(group, size)


def own_directory(run_directory: Path, rank: int) -> Path:
    """Return where a rank keeps its lock, log and rows: rank 0 in the run directory itself."""
    if rank == 0:
        return run_directory
    own = run_directory / RANKS / f"rank-{rank}"
    try:
        own.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Could not make {own}: {error.strerror}.") from None
    return own


def check_alike(what: str, of_ranks: Sequence[Mapping[str, Any]], machines: Sequence[str]) -> None:
    """Refuse to train where a rank has something else than rank 0.

    Args:
        what: "versions", for the sentence.
        of_ranks: by name, what each rank has.

    Raises:
        UserError: names the first rank that differs, and in what.
    """
    first = of_ranks[0]
    for number, other in enumerate(of_ranks):
        for name in sorted(first.keys() | other.keys()):
            if first.get(name) != other.get(name):
                of = f" of {name}" if name else ""
                raise UserError(
                    f"All ranks need the same {what}. On {machines[number]} (rank {number}), that"
                    f"{of} is {other.get(name)!r}; on {machines[0]} (rank 0) it is "
                    f"{first.get(name)!r}."
                )
