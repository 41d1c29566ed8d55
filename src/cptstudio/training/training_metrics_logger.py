"""Writes a run's lines: metrics.jsonl, events.jsonl, samples.jsonl, document_sums.jsonl.

Rows are handed to the operating system as they come, so they survive the trainer's death;
`flush_to_disk` makes them survive the machine's, and runs before each checkpoint is committed,
so that a checkpoint never knows more than the rows do.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

from cptstudio.json_lines import JsonLinesWriter
from cptstudio.metrics import ROW_FIELDS
from cptstudio.run_files import DOCUMENT_SUMS, EVENTS, METRICS, SAMPLES
from cptstudio.run_rows import RESUME, last_seq

EventKind = Literal[
    "started", "resumed", "evaluation", "checkpoint", "deleted", "skipped", "stop", "ended"
]


class TrainingMetricsLogger:
    """The only writer of a run's JSON lines.

    Args:
        run_directory: must exist.

    Attributes:
        seq: position of the last row; 0 before the first.
    """

    def __init__(self, run_directory: Path, session: int) -> None:
        self._session = session
        self._metrics = JsonLinesWriter(run_directory / METRICS)
        # Of after the opening: a last line that lacked only its newline has become a row by it.
        self.seq = last_seq(run_directory)
        self._events = JsonLinesWriter(run_directory / EVENTS)
        self._samples = JsonLinesWriter(run_directory / SAMPLES)
        self._sums = JsonLinesWriter(run_directory / DOCUMENT_SUMS)

    def row(self, kind: str, step: int, **values: Any) -> None:
        """Append a row to metrics.jsonl.

        Raises:
            ValueError: a value has no record in `cptstudio.metrics`, which all who read rows ask.
        """
        if not ROW_FIELDS.issuperset(values):
            unknown = ", ".join(sorted(values.keys() - ROW_FIELDS))
            raise ValueError(f"{unknown}: not in the table of cptstudio/metrics.py")
        record = {
            "seq": self.seq + 1,
            "session": self._session,
            "kind": kind,
            "step": step,
            "time": time.time(),
            **values,
        }
        self._metrics.append(record)
        self.seq += 1

    def resume(self, from_step: int, after_seq: int) -> None:
        """Append the row that supersedes what an earlier session wrote after its checkpoint."""
        self.row(RESUME, from_step, from_step=from_step, after_seq=after_seq)

    def event(self, kind: EventKind, step: int, message: str, **values: Any) -> None:
        """Append a line to the run's events; `message` is a sentence for the user."""
        self._note(self._events, event=kind, step=step, message=message, **values)

    def sample(self, step: int, index: int, prompt: str, completion: str) -> None:
        """Append a completion of the prompt suite; later lines for a step replace earlier ones."""
        self._note(self._samples, step=step, index=index, prompt=prompt, completion=completion)

    def document_sums(self, step: int, values: dict[str, Any]) -> None:
        """Append what an evaluation found of each document; see `cptstudio.document_sums`."""
        self._note(self._sums, step=step, **values)

    def _note(self, writer: JsonLinesWriter, **values: Any) -> None:
        writer.append({"time": time.time(), "session": self._session, **values})

    def flush_to_disk(self) -> None:
        """Make everything written so far survive a power cut."""
        for writer in (self._metrics, self._events, self._samples, self._sums):
            writer.flush_to_disk()

    def close(self) -> None:
        """Close the files."""
        for writer in (self._metrics, self._events, self._samples, self._sums):
            writer.close()
