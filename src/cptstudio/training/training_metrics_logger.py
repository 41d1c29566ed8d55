"""Writes the run's rows and its story: metrics.jsonl, events.jsonl, samples.jsonl.

Rows are handed to the operating system as they come, so they survive the trainer's death;
`flush_to_disk` makes them survive the machine's, and runs before each checkpoint is committed,
so that a checkpoint never knows more than the rows do.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final, Literal

from cptstudio.json_lines import JsonLinesWriter
from cptstudio.run_files import EVENTS, METRICS, SAMPLES
from cptstudio.run_rows import last_seq

KIND: Final = "kind"
TRAIN: Final = "train"
EVALUATION: Final = "evaluation"
RESUME: Final = "resume"

SEQ: Final = "seq"
SESSION: Final = "session"
STEP: Final = "step"
LOSS: Final = "loss"
LEARNING_RATE: Final = "learning_rate"
GRADIENT_NORM: Final = "gradient_norm"
TOKENS: Final = "tokens"
TOKENS_SEEN: Final = "tokens_seen"
EPOCH: Final = "epoch"
SKIPPED: Final = "skipped"
TIME: Final = "time"
ELAPSED: Final = "elapsed"
STEP_SECONDS: Final = "step_seconds"
TOKENS_PER_SECOND: Final = "tokens_per_second"
EVALUATION_SECONDS: Final = "evaluation_seconds"
MEMORY_ACTIVE: Final = "memory_active"
MEMORY_PEAK: Final = "memory_peak"
MEMORY_CACHE: Final = "memory_cache"
MEMORY_PROCESS: Final = "memory_process"
CORPORA: Final = "corpora"
DOMAIN_BITS_PER_BYTE: Final = "domain_bits_per_byte"
GENERAL_BITS_PER_BYTE: Final = "general_bits_per_byte"
BEST: Final = "best"

BOOKKEEPING_FIELDS: Final = frozenset({SEQ, SESSION})
"""Where a row stands in the file; differs between a resumed run and an uninterrupted one."""

MEASURED_FIELDS: Final = frozenset(
    {
        TIME,
        ELAPSED,
        STEP_SECONDS,
        TOKENS_PER_SECOND,
        EVALUATION_SECONDS,
        MEMORY_ACTIVE,
        MEMORY_PEAK,
        MEMORY_CACHE,
        MEMORY_PROCESS,
    }
)
"""Time, speed and memory: what the machine did. All other fields are functions of config.json
and the data, equal in every repetition on the same machine."""

EventKind = Literal[
    "started", "resumed", "evaluation", "checkpoint", "deleted", "skipped", "stop", "ended"
]


def reproducible(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what may differ between repetitions."""
    dropped = BOOKKEEPING_FIELDS | MEASURED_FIELDS
    return {name: value for name, value in row.items() if name not in dropped}


class TrainingMetricsLogger:
    """The only writer of a run's JSON lines.

    Args:
        run_directory: must exist.
        session: which trainer process of the run this is.

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

    def row(self, kind: str, step: int, **values: Any) -> None:
        """Append a row to metrics.jsonl."""
        record = {
            SEQ: self.seq + 1,
            SESSION: self._session,
            KIND: kind,
            STEP: step,
            TIME: time.time(),
            **values,
        }
        self._metrics.append(record)
        self.seq += 1

    def resume(self, from_step: int, after_seq: int) -> None:
        """Append the row that supersedes what an earlier session wrote after its checkpoint."""
        self.row(RESUME, from_step, from_step=from_step, after_seq=after_seq)

    def event(self, kind: EventKind, step: int, message: str, **values: Any) -> None:
        """Append a line to the run's story; `message` is a sentence for the user."""
        self._events.append(
            {
                TIME: time.time(),
                SESSION: self._session,
                "event": kind,
                STEP: step,
                "message": message,
                **values,
            }
        )

    def sample(self, step: int, index: int, prompt: str, completion: str) -> None:
        """Append a completion of the prompt suite; later lines for a step replace earlier ones."""
        self._samples.append(
            {
                TIME: time.time(),
                SESSION: self._session,
                STEP: step,
                "index": index,
                "prompt": prompt,
                "completion": completion,
            }
        )

    def flush_to_disk(self) -> None:
        """Make everything written so far survive a power cut."""
        for writer in (self._metrics, self._events, self._samples):
            writer.flush_to_disk()

    def close(self) -> None:
        """Close the files."""
        for writer in (self._metrics, self._events, self._samples):
            writer.close()
