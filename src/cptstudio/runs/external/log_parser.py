"""Reads what mlx-lm and mlx-lm-lora print while they train.

Three forms are known, all made by running the real programs (tests/runs/make_fixtures.py):

- mlx-lm up to 0.31, a line each: `Iter 100: Train loss 1.234, Learning Rate 1.000e-05, ...`
- mlx-lm from 0.32, a table with colors: `   100    1.234 ▼    5,432     12.3k`
- mlx-lm-lora: `Iter 100: loss 1.234, lr 1.000e-05, it/s 2.500, tok/s 512.000, ...`

The parser is fed bytes as they come, in pieces of any size, and gives the same records for every
way to cut them. It never raises on any input and holds a bounded amount of it. What was not
printed is absent from the record: nothing is computed or guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

LINE_LIMIT: Final = 16 * 1024
"""Bytes of one line that are looked at: the last ones, where a message stands after a bar."""

TRACEBACK_LINES: Final = 400
TRACEBACK_CONTINUATION_LINES: Final = 40

RecordKind = Literal["planned", "train", "validation", "test", "saved", "traceback"]


@dataclass(frozen=True)
class LogRecord:
    """One thing a training program reported. What it did not report is None.

    Attributes:
        kind: "planned" (the number of iterations, told at the start), "train", "validation",
            "test", "saved" or "traceback".
        iteration: of the training program, counted from 1.
        train_loss: mean over the iterations since the last report, nats per token.
        validation_loss: nats per token.
        test_loss: nats per token.
        validation_seconds: time that the validation took.
        tokens_per_second: trained tokens per second.
        trained_tokens: since the start; mlx-lm from 0.32 prints it rounded to hundreds.
        peak_memory_gigabytes: in units of 1e9 bytes.
        planned_iterations: of the whole run.
        saved_paths: files that were written, as printed (mlx-lm from 0.32 prints only a name).
        traceback: text of a Python traceback, lines parted by newlines.
    """

    kind: RecordKind
    iteration: int | None = None
    train_loss: float | None = None
    validation_loss: float | None = None
    test_loss: float | None = None
    learning_rate: float | None = None
    validation_seconds: float | None = None
    iterations_per_second: float | None = None
    tokens_per_second: float | None = None
    trained_tokens: int | None = None
    peak_memory_gigabytes: float | None = None
    planned_iterations: int | None = None
    saved_paths: tuple[str, ...] = ()
    traceback: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the reported values, without those that are None."""
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}


# --- bytes to lines of plain text ------------------------------------------------------------

# ECMA-48: control sequences (CSI), command strings (OSC and its kin), and two-byte escapes.
_CONTROL_SEQUENCE = re.compile(
    r"\x1b\[(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)"
    r"|\x1b[ -/]*[0-~]?"
)
# What moves the cursor or erases begins a new line as far as the text is concerned.
_MOVES_OR_ERASES = frozenset("ABCDEFGHJKSTfsu")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _plain_lines(line: bytes) -> list[str]:
    """Texts that a terminal would have shown on one line, one after the other."""
    text = line.decode("utf-8", errors="replace")
    if "\x1b" in text:
        text = _CONTROL_SEQUENCE.sub(
            lambda match: "\n" if match["final"] in _MOVES_OR_ERASES else "", text
        )
    texts = (_CONTROL_CHARACTERS.sub("", part).rstrip() for part in text.split("\n"))
    return [part for part in texts if part]


# --- lines to records ------------------------------------------------------------------------

_NUMBER = r"[-+]?(?:\d[\d,]*(?:\.\d*)?(?:[eE][-+]?\d+)?|nan|inf)"
_ITERATION_LINE = re.compile(r"Iter (\d{1,15}): ((?:Train loss|Val loss|loss|Saved) .*)")
_MEASUREMENT = re.compile(rf"(?P<name>[A-Za-z][A-Za-z/_ ]*?):? (?P<value>{_NUMBER})(?: ?(?:s|GB))?")
_SAVED = re.compile(r"Saved (?:adapter|final|final adapter) weights to (?P<paths>.+?)\.?")
_TEST_LINE = re.compile(rf"Test loss ({_NUMBER}), Test ppl {_NUMBER}\.?")
_PLANNED_LINE = re.compile(r"Starting training\.\.\., iters: (\d{1,15})")

_TABLE_TRAIN = re.compile(
    rf"\s*(\d{{1,15}})\s+({_NUMBER})\s+[▼▲?]\s+({_NUMBER})\s+(\d{{1,15}}(?:\.\d)?)k"
)
_TABLE_VALIDATION = re.compile(rf"\s*(\d{{1,15}})\s+val\s+({_NUMBER})\s+(\d[\d.]*)s")
_TABLE_SAVE = re.compile(r"\s*save\s+((?:(\d{7,15})_)?\S.*)")
_TABLE_PLANNED = re.compile(r"│\s*batch · iters\s+\d[\d,]{0,19} · (\d[\d,]{0,19})\s*│")

_FIELD_OF_NAME: Final = {
    "Train loss": "train_loss",
    "loss": "train_loss",
    "Val loss": "validation_loss",
    "Val took": "validation_seconds",
    "Learning Rate": "learning_rate",
    "lr": "learning_rate",
    "It/sec": "iterations_per_second",
    "it/s": "iterations_per_second",
    "Tokens/sec": "tokens_per_second",
    "tok/s": "tokens_per_second",
    "Trained Tokens": "trained_tokens",
    "trained_tok": "trained_tokens",
    "Peak mem": "peak_memory_gigabytes",
    "peak_mem": "peak_memory_gigabytes",
}


def _number(digits: str) -> float:
    return float(digits.replace(",", ""))


def _whole(digits: str) -> int | None:
    value = _number(digits)
    return int(value) if value.is_integer() and value < 1e15 else None


def _saved_paths(text: str) -> tuple[str, ...]:
    match = _SAVED.fullmatch(text)
    return tuple(match["paths"].split(" and ")) if match else ()


def _iteration_record(iteration: int, text: str) -> LogRecord | None:
    """A record from the part after `Iter N: `; None unless all of it is understood.

    Measurements of other names are left out, as mlx-lm-lora's preference methods print many.
    """
    if text.startswith("Saved"):
        paths = _saved_paths(text)
        return LogRecord("saved", iteration, saved_paths=paths) if paths else None
    measured: dict[str, float] = {}
    tokens: int | None = None
    for part in text.split(", "):
        match = _MEASUREMENT.fullmatch(part)
        if not match:
            return None
        field = _FIELD_OF_NAME.get(match["name"])
        if field == "trained_tokens":
            tokens = _whole(match["value"])
        elif field is not None:
            measured[field] = _number(match["value"])
    if "train_loss" in measured:
        return LogRecord("train", iteration, trained_tokens=tokens, **measured)  # type: ignore[arg-type]
    if "validation_loss" in measured:
        return LogRecord("validation", iteration, **measured)  # type: ignore[arg-type]
    return None


def _table_record(text: str) -> LogRecord | None:
    if match := _TABLE_TRAIN.fullmatch(text):
        iteration, loss, speed, thousands = match.groups()
        return LogRecord(
            "train",
            int(iteration),
            train_loss=_number(loss),
            tokens_per_second=_number(speed),
            trained_tokens=round(float(thousands) * 1000),
        )
    if match := _TABLE_VALIDATION.fullmatch(text):
        iteration, loss, seconds = match.groups()
        if seconds.count(".") > 1:
            return None
        return LogRecord(
            "validation",
            int(iteration),
            validation_loss=_number(loss),
            validation_seconds=float(seconds),
        )
    if (match := _TABLE_SAVE.fullmatch(text)) and match[1].endswith(".safetensors"):
        iteration = match[2]
        return LogRecord("saved", int(iteration) if iteration else None, saved_paths=(match[1],))
    if match := _TABLE_PLANNED.fullmatch(text):
        planned = _whole(match[1])
        return LogRecord("planned", planned_iterations=planned) if planned is not None else None
    return None


def record_of_line(text: str) -> LogRecord | None:
    """Return the record of one line of plain text, or None when it holds none."""
    # A progress bar on the error stream may stand before a message on the same line.
    start = text.rfind("Iter ")
    if start >= 0 and (match := _ITERATION_LINE.fullmatch(text, start)):
        return _iteration_record(int(match[1]), match[2])
    if (start := text.rfind("Test loss ")) >= 0 and (match := _TEST_LINE.fullmatch(text, start)):
        return LogRecord("test", test_loss=_number(match[1]))
    if match := _PLANNED_LINE.fullmatch(text):
        return LogRecord("planned", planned_iterations=int(match[1]))
    if (start := text.rfind("Saved final ")) >= 0 and (paths := _saved_paths(text[start:])):
        return LogRecord("saved", saved_paths=paths)
    return _table_record(text)


# Bars and warnings are most of a log: what holds none of these words holds no record. The
# arrows stand in the table's training rows ("?" where a terminal has no such characters).
_MAY_TELL = re.compile(
    rb"Iter \d|Test loss|Starting training|Saved|safetensors|Traceback|val|iters"
    rb"|\xe2\x96[\xbc\xb2]|\d \?"
)


# --- the parser ------------------------------------------------------------------------------

_TRACEBACK_START = "Traceback (most recent call last):"
_EXCEPTION_LINE = re.compile(r"[A-Za-z_][\w.]*(?::.*)?")


class _Traceback:
    """Collects one traceback: its head, its indented frames, the line of the exception."""

    def __init__(self) -> None:
        self.lines = [_TRACEBACK_START]
        self._continuation_left = 0
        self._has_exception = False

    def add(self, text: str) -> bool:
        """Take a line if it belongs; says whether the traceback is complete now."""
        if self._has_exception:
            self._continuation_left -= 1
        elif text[0].isspace():
            # The end of a long one matters more than its middle.
            if len(self.lines) >= TRACEBACK_LINES:
                del self.lines[TRACEBACK_LINES // 2]
            self.lines.append(text)
            return False
        elif _EXCEPTION_LINE.fullmatch(text):
            self._has_exception = True
            self._continuation_left = TRACEBACK_CONTINUATION_LINES
        else:
            return False
        self.lines.append(text)
        # MLX lists names after the first line of a message: "Missing 2 parameters:" and on.
        return not text.endswith((":", ",")) or self._continuation_left <= 0

    def record(self) -> LogRecord:
        return LogRecord("traceback", traceback="\n".join(self.lines))


class LogParser:
    """Turns the output of a training program into records, piece by piece.

    Attributes:
        truncated_lines: lines longer than `LINE_LIMIT`, of which only the end was looked at.
    """

    def __init__(self) -> None:
        self.truncated_lines = 0
        self._pending = bytearray()
        self._pending_is_truncated = False
        self._traceback: _Traceback | None = None

    def feed(self, data: bytes) -> list[LogRecord]:
        """Records that are complete with these bytes. A line counts once it has ended."""
        records: list[LogRecord] = []
        start = 0
        for match in _LINE_END.finditer(data):
            self._hold(data[start : match.start()])
            start = match.end()
            records.extend(self._end_line())
        self._hold(data[start:])
        return records

    def close(self) -> list[LogRecord]:
        """Return the remaining records when the log has ended.

        A last line without its end is left out, since a number in it may be a part of one; a
        traceback that broke off is given as far as it came.
        """
        self._pending.clear()
        self._pending_is_truncated = False
        if self._traceback is None:
            return []
        record = self._traceback.record()
        self._traceback = None
        return [record]

    def _hold(self, piece: bytes) -> None:
        self._pending += piece[-LINE_LIMIT:]
        if len(self._pending) > LINE_LIMIT or len(piece) > LINE_LIMIT:
            del self._pending[:-LINE_LIMIT]
            self._pending_is_truncated = True

    def _end_line(self) -> Iterator[LogRecord]:
        line = bytes(self._pending)
        self._pending.clear()
        self.truncated_lines += self._pending_is_truncated
        self._pending_is_truncated = False
        if self._traceback is None and not _MAY_TELL.search(line):
            return
        for text in _plain_lines(line):
            yield from self._records_of(text)

    def _records_of(self, text: str) -> Iterator[LogRecord]:
        if text.endswith(_TRACEBACK_START):
            if self._traceback is not None:
                yield self._traceback.record()
            self._traceback = _Traceback()
            return
        record = record_of_line(text)
        if record is not None:
            yield record
        elif self._traceback is not None and self._traceback.add(text):
            yield self._traceback.record()
            self._traceback = None


_LINE_END = re.compile(rb"[\r\n]")
