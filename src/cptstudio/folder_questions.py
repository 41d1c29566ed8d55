"""Repeated questions about a folder, answered once while its files stay the same.

A plan asks such things at every keystroke, and each costs a process of its own that loads large
libraries. One folder is asked one thing once at a time, and no folder waits for another.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from cptstudio.child_process import ChildEndedError
from cptstudio.durable import FolderSignature
from cptstudio.errors import UserError

REPEAT_SECONDS: Final = 600.0
"""How long an end at a limit is remembered: a busy machine may have been the reason."""
_MOST_WAITING: Final = 8

_Answer = TypeVar("_Answer")


class _Question(Generic[_Answer]):
    """A question about one folder, and its answer as soon as there is one.

    Attributes:
        signature: the files that it is of.
        until: monotonic seconds; the answer holds so long if the files stay as they are.
    """

    def __init__(self, signature: FolderSignature) -> None:
        self.signature = signature
        self.answered = threading.Event()
        self.waiting = 0
        self.began = time.monotonic()
        self.answer: _Answer | UserError | None = None
        self.until = math.inf

    def find_out(self, find: Callable[[], _Answer | UserError], what: str) -> None:
        """Answer it."""
        try:
            self.answer = find()
        except ChildEndedError as error:
            # To ask again would take as long again, and this is asked at every keystroke.
            self.until = time.monotonic() + (REPEAT_SECONDS if error.at_limit else 0.0)
            self.answer = error
        except UserError as error:
            self.until = 0.0
            self.answer = error
        except BaseException:
            self.until = 0.0
            self.answer = UserError(f"Reading {what} was interrupted. Try again.")
            raise
        finally:
            self.answered.set()


class FolderQuestions(Generic[_Answer]):
    """One kind of question, and the answers of all folders."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, _Question[_Answer]] = {}
        self._lock = threading.Lock()

    def answer(
        self,
        key: Hashable,
        signature: FolderSignature,
        find: Callable[[], _Answer | UserError],
        *,
        what: str,
        again: bool = False,
    ) -> _Answer:
        """Return what is known of a folder, found out now where it is not known yet.

        Args:
            key: the folder, and whatever else the answer depends on.
            signature: of the files that the answer depends on.
            find: finds it out. A `UserError` that it returns holds as long as an answer does; one
                that it raises is told once and then asked again.
            what: is read, for sentences, such as "the tokenizer in PATH".
            again: ask again where the last time ended at a limit, because the user asked for it.

        Raises:
            UserError: there is no answer, or it could not be found out.
        """
        with self._lock:
            question = self._asked.get(key)
            is_new = (
                question is None
                or question.signature != signature
                or question.until <= time.monotonic()
                or (again and question.until < math.inf)
            )
            if question is None or is_new:
                question = self._asked[key] = _Question(signature)
            elif not question.answered.is_set():
                _check_room(question, what)
                question.waiting += 1
        if is_new:
            question.find_out(find, what)
        question.answered.wait()
        found = question.answer
        assert found is not None
        if isinstance(found, UserError):
            raise UserError(found.message, found.findings)
        return found


def _check_room(question: _Question[_Answer], what: str) -> None:
    """Refuse to wait where many do: whoever waits holds a thread of the server."""
    if question.waiting >= _MOST_WAITING:
        seconds = time.monotonic() - question.began
        name = what[0].upper() + what[1:]
        raise UserError(
            f"{name} is still being read ({seconds:.0f} s so far). Try again in a moment."
        )
