"""Runs that wait for the one before.

The queue is one small file, so that it survives the server. After a restart it waits until
the user says go on: nothing starts that nobody asked for in this server's life.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError
from cptstudio.runs import locks
from cptstudio.runs.launching import Beginning
from cptstudio.session_settings import parse_session

_FILE = "queue.json"
_LOCK = "queue.lock"
_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Waiting:
    """A run in the queue; `resume` is the checkpoint it goes on from.

    Attributes:
        resume: name of the checkpoint to continue from, or None for its first start.
        attempt: the run's last attempt when it was queued, or None; another one since means
            that it was started by hand and has left the queue.
        added: Unix time in seconds.
        given: what the session is told to do otherwise than the run.
        ranks: processes that train it together.
    """

    run: str
    resume: str | None
    attempt: Annotated[str | None, Field(exclude=True)]
    added: float
    given: dict[str, Any] = field(default_factory=dict)
    ranks: Annotated[int, Field(exclude=True, ge=1)] = 1

    @property
    def beginning(self) -> Beginning:
        """How it begins.

        Raises:
            UserError: what is given cannot be used.
        """
        return Beginning(self.resume, parse_session(self.given), self.ranks)


class Queue:
    """The waiting runs of a workspace."""

    def __init__(self, private: Path) -> None:
        self._private = private

    def waiting(self) -> list[Waiting]:
        """Return the runs that wait, the next one first.

        Raises:
            UnusableFileError: the queue's file is damaged.
        """
        path = self._private / _FILE
        try:
            value = durable.read_json(path, durable.MEBIBYTE)
        except FileNotFoundError:
            return []
        try:
            return [_waiting(item) for item in value["waiting"]]
        except (KeyError, TypeError, ValueError) as error:
            raise UnusableFileError(path, f"is not a queue: {error!r}") from None

    def add(self, run: str, beginning: Beginning, attempt: str | None) -> int:
        """Put a run at the end; returns its place, 1 for the next one.

        Raises:
            UserError: it waits already.
        """
        with self._changing() as waiting:
            if any(item.run == run for item in waiting):
                raise UserError(f"The run {run} is already in the queue.")
            given = beginning.given.told()
            waiting.append(
                Waiting(run, beginning.resume, attempt, time.time(), given, beginning.ranks)
            )
            return len(waiting)

    def remove(self, run: str) -> dict[str, Any]:
        """Take a run out; returns what `put_back` takes, which is empty when it was not there."""
        if not any(item.run == run for item in self.waiting()):
            return {}
        removed = {}
        with self._changing() as waiting:
            for place, item in enumerate(waiting, start=1):
                if item.run == run:
                    removed = {"waiting": asdict(item), "place": place}
            waiting[:] = [item for item in waiting if item.run != run]
        return removed

    def put_back(self, removed: Mapping[str, Any]) -> None:
        """Undo `remove`: a run waits again where it did, or at the end of a queue that is shorter.

        What was not in the queue, or is there again, is left as it is.
        """
        if "waiting" not in removed:
            return
        item, place = _waiting(removed["waiting"]), int(removed["place"])
        with self._changing() as waiting:
            if all(other.run != item.run for other in waiting):
                waiting.insert(place - 1, item)

    def move(self, run: str, place: int) -> None:
        """Give a run another place, 1 for the next one; the others keep their order.

        Raises:
            UserError: it does not wait, or there is no such place.
        """
        with self._changing() as waiting:
            found = next((item for item in waiting if item.run == run), None)
            if found is None:
                raise UserError(f"The run {run} is not in the queue.")
            if not 1 <= place <= len(waiting):
                raise UserError.at(
                    "place",
                    f"The queue has no position {place}. Use 1 to {len(waiting)}."
                    if len(waiting) > 1
                    else f"The queue has no position {place}. {run} is the only run in it.",
                )
            waiting.remove(found)
            waiting.insert(place - 1, found)

    @contextmanager
    def _changing(self) -> Iterator[list[Waiting]]:
        self._private.mkdir(exist_ok=True, mode=0o700)
        lock = locks.take(self._private / _LOCK, _PATIENCE_SECONDS)
        if lock is None:
            raise UserError("Another process is changing the queue. Try again.")
        with lock:
            waiting = self.waiting()
            yield waiting
            value = {"waiting": [asdict(item) for item in waiting]}
            durable.write_json(self._private / _FILE, value, mode=0o600)


def _waiting(item: Any) -> Waiting:
    return Waiting(
        run=_text(item["run"]),
        resume=None if item["resume"] is None else _text(item["resume"]),
        attempt=None if item["attempt"] is None else _text(item["attempt"]),
        added=float(item["added"]),
        given=dict(item.get("given") or {}),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
