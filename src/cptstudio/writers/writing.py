"""Writes what is not written yet, one text or several at once, and keeps each when it comes."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Final, Generic, TypeVar

from cptstudio.errors import UserError
from cptstudio.job_programs import TellsProgress
from cptstudio.writers.asked import WritingSettings, WritingTask
from cptstudio.writers.cost import Cost
from cptstudio.writers.made import MadeTexts
from cptstudio.writers.writer import Writer, Written

_Task = TypeVar("_Task", bound=WritingTask)
_FAILURES: Final = 8
"""Texts in a row that could not be written: then the writer does not work."""


class Writing(Generic[_Task]):
    """Writes the texts of an order.

    Args:
        cost: sums what is written now.
        total: how many texts there are in all.
        most: texts to write now; None for all.

    Attributes:
        stopped: why not all is written, or None.
        failed: texts that could not be written, by their keys, with reasons.
        written: texts that were written now.
    """

    def __init__(
        self,
        writer: Writer[_Task],
        made: MadeTexts,
        settings: WritingSettings,
        cost: Cost,
        answer: TellsProgress,
        total: int,
        most: int | None = None,
    ) -> None:
        self._writer, self._made, self._settings = writer, made, settings
        self._cost = cost
        self._answer = answer
        self._total = total
        self._most = most
        self.stopped: str | None = None
        self.failed: dict[str, str] = {}
        self.written = 0
        self._done = 0
        self._in_a_row = 0
        self._began = time.monotonic()
        self._waiting = ""

    def run(self, tasks: Iterator[_Task], phase: str) -> None:
        """Write those of some tasks that are not written yet.

        Raises:
            UserError: the writer cannot write; what was written is kept.
        """
        self._done = 0
        wanted = (task for task in tasks if self._is_wanted(task))
        if self._writer.parallel == 1:
            for task in wanted:
                if self._stops():
                    return
                self._tell(phase)
                self._keep(task, self._write(task), phase)
        else:
            self._run_together(wanted, phase)
        self._tell(phase, final=True)

    def told(self, seconds: float, why: str) -> None:
        """Take note that the writer has to be waited for."""
        self._waiting = f"waiting {seconds:.0f} s: {why}"

    def _run_together(self, tasks: Iterator[_Task], phase: str) -> None:
        pool = ThreadPoolExecutor(self._writer.parallel)
        running: dict[Future[Written], _Task] = {}
        keys: set[str] = set()
        try:
            for task in tasks:
                if self._stops(len(running)):
                    break
                if task.key in keys:
                    continue
                keys.add(task.key)
                running[pool.submit(self._write, task)] = task
                while len(running) >= self._writer.parallel:
                    self._take(running, keys, phase)
            while running:
                self._take(running, keys, phase)
        finally:
            # Whoever cancels does not wait for an answer that may take minutes.
            pool.shutdown(wait=False, cancel_futures=True)

    def _take(self, running: dict[Future[Written], _Task], keys: set[str], phase: str) -> None:
        self._tell(phase)
        done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
        for future in done:
            task = running.pop(future)
            keys.discard(task.key)
            self._keep(task, future.result(), phase)

    def _write(self, task: _Task) -> Written:
        return self._writer.write(task, self._settings)

    def _is_wanted(self, task: _Task) -> bool:
        if task.key in self._made:
            self._done += 1
            return False
        return True

    def _keep(self, task: _Task, written: Written, phase: str) -> None:
        record = _record_of(task, written, self._writer.shown)
        self._made.append(record)
        self._waiting = ""
        self._done += 1
        self.written += task.counted
        self._cost.add(record, "".join(message["content"] for message in task.messages()))
        self._tell(phase)
        if not written.problem:
            self._in_a_row = 0
            return
        self.failed[task.key] = written.problem
        self._in_a_row += 1
        if self._in_a_row >= _FAILURES:
            raise UserError(
                f"{_FAILURES} texts in a row could not be written, so writing stopped: "
                f"{written.problem} What was written before is kept."
            )

    def _stops(self, running: int = 0) -> bool:
        limit = self._settings.max_cost
        money = self._cost.money
        if limit is not None and money is not None and money >= limit:
            self.stopped = f"the maximum cost of {limit:g} was reached"
        elif self._most is not None and self.written + running >= self._most:
            self.stopped = f"{self._most:,} texts were asked for this time"
        return self.stopped is not None

    def _tell(self, phase: str, *, final: bool = False) -> None:
        seconds = time.monotonic() - self._began
        rate = self.written / seconds if self.written and seconds > 0 else None
        left = max(0, self._total - self._done)
        self._answer.progress(
            final=final,
            phase=phase,
            done=self._done,
            total=max(self._total, self._done),
            unit="documents",
            detail=self._waiting or (self._cost.sentence() if self._cost.texts else None),
            rate=rate,
            remaining_seconds=left / rate if rate else None,
        )


def _record_of(task: WritingTask, written: Written, writer: str) -> dict[str, Any]:
    """Return a text as it is kept, with where it came from."""
    return {
        "key": task.key,
        "text": written.text,
        "finish": written.finish,
        "problem": written.problem,
        "tokens_in": written.tokens_in,
        "tokens_out": written.tokens_out,
        "seconds": round(written.seconds, 3),
        **task.noted(),
        "writer": writer,
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
