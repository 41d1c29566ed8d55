"""Decoded training rows, from child processes that keep their tokenizer for a while.

Loading a tokenizer's libraries takes seconds and a quarter of a gigabyte, which this server
neither needs nor should hold up its other answers for. A child is started by the first question
and ended two minutes after the last. There are two, and a model has one of them at most, so that
rows of a model that hangs hold up no other's.
"""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

from cptstudio import durable
from cptstudio.child_limits import ROWS_SECONDS, Limits, for_a_look
from cptstudio.child_service import ChildService
from cptstudio.web.problems import Problem

PROGRAM = "cptstudio.corpus.sample_program"
_CHILDREN = 2
_IDLE_SECONDS = 120.0
_WAIT_SECONDS = 20.0
_ANSWER_LIMIT = 16 * durable.MEBIBYTE


class RowSampler:
    """Asks the children, each one question at a time.

    Args:
        idle_seconds: after which an unused child is ended.
        patience_seconds: after which a question is given up, and its child with it.
        wait_seconds: that a question waits for those before it.
    """

    def __init__(
        self,
        idle_seconds: float = _IDLE_SECONDS,
        patience_seconds: float = ROWS_SECONDS,
        wait_seconds: float = _WAIT_SECONDS,
    ) -> None:
        self._wait_seconds = wait_seconds
        self._changed = threading.Condition()
        self._models: dict[ChildService, str | None] = {}
        self._busy: set[ChildService] = set()
        for _ in range(_CHILDREN):
            service = ChildService(
                ("-m", PROGRAM),
                lambda: _limits(patience_seconds),
                "The sequences couldn't be decoded.",
                line_limit=_ANSWER_LIMIT,
                idle_seconds=idle_seconds,
            )
            self._models[service] = None

    def sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer one question, see `cptstudio.corpus.sample_program`.

        Raises:
            UserError: what the program says, or that it died.
            Problem: 503 when it is busy with other questions for long.
        """
        model = str(request["model"])
        with self._changed:
            if not self._changed.wait_for(lambda: self._free(model), self._wait_seconds):
                raise Problem(
                    "Other sequences are still being decoded. Try again soon.", status=503
                )
            service = self._free(model)
            assert service is not None
            self._busy.add(service)
            self._models[service] = model
        try:
            return service.ask(request)
        finally:
            with self._changed:
                self._busy.discard(service)
                self._changed.notify_all()

    def close(self) -> None:
        """End the children."""
        for service in self._models:
            service.close()

    def _free(self, model: str) -> ChildService | None:
        """The child that holds the model's tokenizer, or any, unless one is at that model."""
        if any(self._models[one] == model for one in self._busy):
            return None
        free = [one for one in self._models if one not in self._busy]
        return next((one for one in free if self._models[one] == model), free[0] if free else None)


def _limits(seconds: float) -> Limits:
    limits = for_a_look(
        "The corpus or its disk has a problem. Try again, or rebuild the corpus.",
        "Show fewer or shorter sequences.",
    )
    return dataclasses.replace(limits, seconds=seconds)
