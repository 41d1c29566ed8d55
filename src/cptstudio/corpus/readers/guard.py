"""Keeps at the file what happens in it: no exception of a reader ends a build.

A reader is a chain of generators over libraries, and a damaged file may make any of them raise
anything, when it is opened, half way, or when it is closed: `KeyError`, `struct.error`, a panic
of a Rust library, `RecursionError`. The build therefore takes every step of every reader through
`guarded`, which knows one outcome only: `Unreadable`. What happens outside of a step, such as a
full disk under the document store, is the build's own and passes.

A file that computes for too long ends the same way. That is watched by a timer of the process's
computing time, so that a busy machine refuses nothing. A library that never comes back from C
code, or that crashes, is not reached by any of this: such readers run in processes of their own
(`reader_pool`).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import FrameType
from typing import Any, TypeVar

from cptstudio.child_limits import file_seconds
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.corpus.readers.words import words_of
from cptstudio.errors import UserError

T = TypeVar("T")

_TICK = 1.0
# Ours or the machine's, never a file's.
_PASS = (KeyboardInterrupt, SystemExit, GeneratorExit)


class _TooLongError(BaseException):
    """A file took longer than it may; no `Exception`, so that no library goes on after it."""


class ReadTimer:
    """Ends the reading of a file that computes for too long; a context around that of all files.

    It ticks once a second of the process's computing time (ITIMER_PROF), so that a step itself
    costs nothing. Outside of the main thread, where Python takes no signals, it does nothing.

    Attributes:
        running: a step of a reader is being taken.
    """

    def __init__(self) -> None:
        self.running = False
        self._limit = file_seconds(0)
        self._ticks = 0
        self._former: Any = None

    def __enter__(self) -> ReadTimer:
        if threading.current_thread() is threading.main_thread():
            self._former = signal.signal(signal.SIGPROF, self._tick)
            signal.setitimer(signal.ITIMER_PROF, _TICK, _TICK)
        return self

    def __exit__(self, *_: object) -> None:
        if self._former is not None:
            signal.setitimer(signal.ITIMER_PROF, 0)
            # A last tick may be on its way still, and by default it would end the process.
            ignored = self._former == signal.SIG_DFL
            signal.signal(signal.SIGPROF, signal.SIG_IGN if ignored else self._former)

    def begin(self, size: int) -> None:
        """Begin a file of `size` bytes."""
        self._limit, self._ticks = file_seconds(size), 0

    def extend(self, seconds: float) -> None:
        """Give the file more time, for a part that has a limit of its own."""
        self._limit += seconds

    def _tick(self, number: int, frame: FrameType | None) -> None:
        if self.running:
            self._ticks += 1
            if self._ticks * _TICK > self._limit:
                raise _TooLongError(f"{self._limit:,.0f}")


def guarded(things: Iterable[T], timer: ReadTimer | None = None) -> Iterator[T]:
    """Yield the same things; whatever is raised on the way to the next one becomes `Unreadable`."""
    timer = timer or ReadTimer()
    iterator = iter(things)
    try:
        while True:
            try:
                timer.running = True
                thing = next(iterator)
                timer.running = False
            except StopIteration:
                return
            except _PASS:
                raise
            except BaseException as error:
                timer.running = False
                raise _unreadable(error) from None
            finally:
                timer.running = False
            yield thing
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            with suppress(Exception):
                close()


def attempt(item: Item, place: str, read: Callable[[], T]) -> T | None:
    """Return one part of a document, such as a page; None with a note when it cannot be read.

    Args:
        item: gets the note.
        place: names the part, such as "page 3".
        read: reads it.
    """
    try:
        return read()
    except (*_PASS, _TooLongError):
        # The time is the whole file's.
        raise
    except BaseException as error:
        item.findings.add(f"{place}: {_unreadable(error)}")
        return None


def reason_of(error: BaseException) -> str:
    """Return why a file cannot be read, told after its name."""
    if isinstance(error, UserError):
        return str(getattr(error, "reason", error.message))
    if isinstance(error, _TooLongError):
        return f"gave up after {error} s of computing"
    if isinstance(error, FileNotFoundError):
        return "disappeared during the build"
    return f"unreadable: {words_of(error)}"


def _unreadable(error: BaseException) -> Unreadable:
    if isinstance(error, Unreadable):
        return error
    try:
        return Unreadable(reason_of(error))
    except Exception:  # A library's exception may be broken itself.
        return Unreadable("unreadable")
