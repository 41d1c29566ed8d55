"""Metrics that other programs reported, in the form of our own rows and events.

A chart of a run needs rows as `run_rows.current_rows` gives them. Only names and units are
changed here: no value is computed from others, and what was not reported stays absent. mlx-lm
measures nats per token on its validation set and knows no bytes, so bits per byte are absent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from cptstudio.durable import jsonable
from cptstudio.runs.external.log_parser import LogRecord

_GIGABYTE: Final = 1e9
_EVALUATED: Final = {"validation": "validation_loss", "test": "test_loss"}


@dataclass(frozen=True)
class ForeignHistory:
    """Rows and events of a run of another program.

    Attributes:
        rows: of kind "train": `seq`, `session` (0), `kind`, `step`, and of `loss` (nats per
            token, a mean over the steps since the row before), `learning_rate`,
            `tokens_per_second`, `iterations_per_second`, `tokens_seen` and `memory_peak`
            (bytes) those that were reported. Of kind "evaluation": `corpora`, which holds
            under "validation" or "test" the `loss`, and `evaluation_seconds`. Steps are the
            iterations that the program printed.
        events: `event` ("started", "checkpoint" or "traceback"), `message`, and where they were
            reported `step` and `planned_steps`.
    """

    rows: tuple[dict[str, Any], ...] = ()
    events: tuple[dict[str, Any], ...] = ()


class ForeignRows:
    """Turns records into rows and events, numbered on from where it was."""

    def __init__(self) -> None:
        self._seq = 0

    def add(self, records: Iterable[LogRecord]) -> ForeignHistory:
        """Return the rows and events of these records, in their order."""
        rows, events = [], []
        for record in records:
            event = _event(record)
            if event is not None:
                events.append(event)
                continue
            row = _row(record)
            if row is not None:
                self._seq += 1
                rows.append({"seq": self._seq, "session": 0} | row)
        return ForeignHistory(tuple(rows), tuple(events))


def _row(record: LogRecord) -> dict[str, Any] | None:
    if record.iteration is None and record.kind != "test":
        return None
    row: dict[str, Any] = {"kind": "train" if record.kind == "train" else "evaluation"}
    if record.iteration is not None:
        row["step"] = record.iteration
    values: dict[str, Any]
    if record.kind == "train":
        memory = record.peak_memory_gigabytes
        if memory is not None and math.isfinite(memory):
            memory = round(memory * _GIGABYTE)
        values = {
            "loss": record.train_loss,
            "learning_rate": record.learning_rate,
            "iterations_per_second": record.iterations_per_second,
            "tokens_per_second": record.tokens_per_second,
            "tokens_seen": record.trained_tokens,
            "memory_peak": memory,
        }
    else:
        loss = getattr(record, _EVALUATED[record.kind])
        values = {
            "corpora": {record.kind: {"role": "evaluation", "loss": jsonable(loss)}},
            "evaluation_seconds": record.validation_seconds,
        }
    measured = {name: jsonable(value) for name, value in values.items() if value is not None}
    return row | measured


def _event(record: LogRecord) -> dict[str, Any] | None:
    step = {} if record.iteration is None else {"step": record.iteration}
    if record.kind == "planned":
        planned = record.planned_iterations
        message = f"{planned:,} iterations are planned."
        return {"event": "started", "message": message, "planned_steps": planned}
    if record.kind == "saved":
        message = f"Saved {' and '.join(record.saved_paths)}."
        return {"event": "checkpoint", "message": message} | step
    if record.kind == "traceback":
        return {"event": "traceback", "message": record.traceback or ""} | step
    return None
