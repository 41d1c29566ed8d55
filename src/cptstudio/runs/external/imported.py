"""Runs of other programs from the files they left, read-only, for history and charts.

Read are: the `CPT_*.json` and `IFT_*.json` that ForgeLLM's metrics logger writes (as of its
version 0.4.7), plain metrics as JSON or JSON lines, and logs of mlx-lm and mlx-lm-lora.

A file of a run that still goes on may be caught half-written; it is refused with that reason.
What was not measured is absent. That takes care in one place: when a ForgeLLM run ends, its
logger fills each missing training loss with one interpolated between its neighbours. Such rows
hold no other measurement of training, and their training loss is left out and counted.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from cptstudio.durable import JSON_SIZE_LIMIT, UnusableFileError, open_regular_file, read_bytes
from cptstudio.json_lines import read_json_lines
from cptstudio.runs.external.log_parser import LogParser, LogRecord, RecordKind

Source = Literal["forgellm", "metrics", "log"]

LOG_SIZE_LIMIT: Final = 256 * 1024**2
_CHUNK: Final = 1 << 20
_SETTLED_NS: Final = 2 * 10**9
_LARGEST_WHOLE: Final = 2**53
_LONGEST_TEXT: Final = 4096

# Names under which measurements are written, the first that is there counts: ForgeLLM's, those
# of mlx-lm's callbacks, of transformers' trainer, and short ones.
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "iteration": ("iteration", "iter", "step", "global_step"),
    "train_loss": ("train_loss", "training_loss", "loss"),
    "validation_loss": ("validation_loss", "val_loss", "valid_loss", "eval_loss"),
    "test_loss": ("test_loss",),
    "learning_rate": ("learning_rate", "lr"),
    "validation_seconds": ("validation_seconds", "val_time_sec", "val_time", "eval_runtime"),
    "iterations_per_second": ("iterations_per_second", "iterations_per_sec", "it_per_sec", "it/s"),
    "tokens_per_second": ("tokens_per_second", "tokens_per_sec", "tok/s"),
    "trained_tokens": ("trained_tokens",),
    "peak_memory_gigabytes": ("peak_memory_gigabytes", "peak_memory_gb", "peak_memory"),
}
_OF_TRAINING: Final = (
    "learning_rate",
    "iterations_per_second",
    "tokens_per_second",
    "trained_tokens",
    "peak_memory_gigabytes",
)
_OF_KIND: Final[dict[RecordKind, tuple[str, ...]]] = {
    "train": ("train_loss", *_OF_TRAINING),
    "validation": ("validation_loss", "validation_seconds"),
    "test": ("test_loss",),
}
"""What a row may hold of each kind of record; without the first there is none."""
_LISTS: Final = ("metrics", "log_history", "history", "rows")


@dataclass(frozen=True)
class ImportedRun:
    """A run of another program, as its file tells it.

    Attributes:
        name: of the run or its model, as the file names it, else the file's name.
        rows: train, validation, test and saved records, in the file's order.
        created: Unix time in seconds when it began, or None when the file does not tell.
        ended: Unix time in seconds when it ended, or None when the file does not tell.
        base_model: name or path, where the file tells.
        output: folder it wrote to, where the file tells; never written to by us.
        notes: what was left out and why, in sentences.
    """

    path: Path
    name: str
    source: Source
    rows: tuple[LogRecord, ...]
    created: float | None = None
    ended: float | None = None
    base_model: str | None = None
    output: str | None = None
    notes: tuple[str, ...] = ()


def read_imported_run(path: Path) -> ImportedRun:
    """Read a run by its file: .json, .jsonl, or else a log.

    Raises:
        FileNotFoundError: nothing is there.
        UserError: what is there cannot be used; the reason is told.
    """
    if path.suffix == ".jsonl":
        return _read_lines(path)
    if path.suffix == ".json":
        return _read_document(path)
    return _read_log(path)


_Listing = tuple[int, int, tuple[str, ...]]


def find_imported_runs(folder: Path, known: dict[str, _Listing] | None = None) -> list[Path]:
    """Files of ForgeLLM runs in a folder and the folders in it, by name; links are left out.

    Args:
        known: what was found in the inner folders before, which is brought up to date: only
            those whose time has changed are listed again.
    """
    known = {} if known is None else known
    names, inner = _listed(folder)
    found = [folder / name for name in names]
    there = {}
    for name in inner:
        path = f"{folder}/{name}"
        try:
            status = os.lstat(path)
        except OSError:
            continue
        listing = known.get(path)
        if listing is None or listing[:2] != (status.st_ino, status.st_mtime_ns):
            # One that has just changed may change again without its time telling.
            settled = time.time_ns() - status.st_mtime_ns > _SETTLED_NS
            changed = status.st_mtime_ns if settled else -1
            listing = (status.st_ino, changed, tuple(_listed(path)[0]))
        there[path] = listing
        found += [folder / name / file for file in listing[2]]
    known.clear()
    known.update(there)
    return sorted(found)


def _listed(folder: Path | str) -> tuple[list[str], list[str]]:
    """The names of a folder's runs and of the folders in it."""
    runs, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif (
                    entry.name[:4] in ("CPT_", "IFT_")
                    and entry.name.endswith(".json")
                    and entry.is_file(follow_symlinks=False)
                ):
                    runs.append(entry.name)
    except OSError:
        pass
    return runs, folders


# --- kinds of files --------------------------------------------------------------------------


def _read_document(path: Path) -> ImportedRun:
    value = _parse(path)
    if isinstance(value, dict) and "session_id" in value and "metrics" in value:
        return _forgellm(path, value)
    rows, problems = _measurements(_row_list(path, value))
    return _with_rows(
        path, _text(value, "name") if isinstance(value, dict) else None, rows, problems
    )


def _read_lines(path: Path) -> ImportedRun:
    if not path.exists():
        raise FileNotFoundError(path)
    lines = read_json_lines(path)
    rows, problems = _measurements(lines.records)
    if lines.damaged:
        problems.append(f"{len(lines.damaged)} lines that are not JSON objects were skipped.")
    return _with_rows(path, None, rows, problems)


def _with_rows(
    path: Path, name: str | None, rows: list[LogRecord], problems: list[str]
) -> ImportedRun:
    if not rows:
        raise UnusableFileError(
            path, "contains no metrics: it needs rows with `iteration` or `step` and a loss"
        )
    return ImportedRun(path, name or path.stem, "metrics", tuple(rows), notes=tuple(problems))


def _read_log(path: Path) -> ImportedRun:
    parser = LogParser()
    rows: list[LogRecord] = []
    with open_regular_file(path) as file:
        left = LOG_SIZE_LIMIT
        while left > 0 and (data := file.read(min(_CHUNK, left))):
            left -= len(data)
            rows.extend(parser.feed(data))
    rows.extend(parser.close())
    if not rows:
        raise UnusableFileError(path, "contains no training output of mlx-lm or mlx-lm-lora")
    notes = [f"Only the first {LOG_SIZE_LIMIT:,} bytes were read."] if left <= 0 else []
    return ImportedRun(path, path.stem, "log", tuple(rows), notes=tuple(notes))


def _forgellm(path: Path, session: dict[str, Any]) -> ImportedRun:
    metrics = session["metrics"]
    if not isinstance(metrics, list):
        raise UnusableFileError(path, "is not a ForgeLLM metrics file: `metrics` is not a list")
    measured, notes = _without_interpolated(metrics)
    rows, problems = _measurements(measured)
    return ImportedRun(
        path,
        _text(session, "model_name") or _text(session, "session_id") or path.stem,
        "forgellm",
        tuple(rows),
        created=_time(session.get("start_time")),
        ended=_time(session.get("end_time")),
        base_model=_text(session, "base_model"),
        output=_text(session, "output_path"),
        notes=(*notes, *problems),
    )


def _without_interpolated(metrics: list[Any]) -> tuple[list[Any], list[str]]:
    """Rows without the training losses that ForgeLLM made up when the run ended.

    mlx-lm prints a training loss always together with other measurements, so where some rows
    have those, a loss that stands alone was not printed.
    """
    cleaned: list[Any] = []
    printed = left_out = 0
    for row in metrics:
        if isinstance(row, dict) and _number(row, "train_loss") is not None:
            if any(_number(row, field) is not None for field in _OF_TRAINING):
                printed += 1
            else:
                left_out += 1
                row = {name: value for name, value in row.items() if name != "train_loss"}
        cleaned.append(row)
    if not printed or not left_out:
        return metrics, []
    return cleaned, [
        f"{left_out} training losses were skipped because ForgeLLM interpolated instead "
        "of measuring them."
    ]


# --- values ----------------------------------------------------------------------------------


def _parse(path: Path) -> Any:
    # Unlike our own files these may hold the literals NaN and Infinity: Python writes them.
    data = read_bytes(path, JSON_SIZE_LIMIT)
    try:
        return json.loads(data, parse_int=_integer)
    except RecursionError:
        raise UnusableFileError(path, "is nested too deeply") from None
    except ValueError as error:
        raise UnusableFileError(
            path, f"is not valid JSON (maybe still being written): {error}"
        ) from None


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= 30 else float(digits)


def _row_list(path: Path, value: Any) -> list[Any]:
    """The rows of a document: a list of them, under a usual name, or columns of equal length."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        for name in _LISTS:
            if isinstance(value.get(name), list):
                return list(value[name])
        columns = {name: column for name, column in value.items() if isinstance(column, list)}
        if columns and len({len(column) for column in columns.values()}) == 1:
            return [
                dict(zip(columns, cells, strict=True))
                for cells in zip(*columns.values(), strict=True)
            ]
    raise UnusableFileError(path, "contains no list of metrics")


def _measurements(rows: Iterable[Any]) -> tuple[list[LogRecord], list[str]]:
    records: list[LogRecord] = []
    useless = 0
    for row in rows:
        made = _records_of(row) if isinstance(row, dict) else []
        useless += not made
        records.extend(made)
    problems = [f"{useless} rows without iteration and loss were skipped."] if useless else []
    return records, problems


def _records_of(row: Mapping[str, Any]) -> list[LogRecord]:
    """A row's records: training, validation, test and a saved checkpoint apart."""
    iteration = _whole(row, "iteration")
    if iteration is None:
        return []
    records = []
    for kind, fields in _OF_KIND.items():
        measured: dict[str, Any] = {field: _number(row, field) for field in fields}
        if "trained_tokens" in measured:
            measured["trained_tokens"] = _whole(row, "trained_tokens")
        if measured[fields[0]] is not None:
            records.append(LogRecord(kind, iteration, **measured))
    saved = _text(row, "checkpoint_path")
    if saved is not None:
        # ForgeLLM stores the rest of mlx-lm's line: "a.safetensors and b.safetensors."
        paths = tuple(saved.removesuffix(".").split(" and "))
        records.append(LogRecord("saved", iteration, saved_paths=paths))
    return records


def _number(row: Mapping[str, Any], field: str) -> float | None:
    """The measurement under any of its names. Non-finite ones are kept, as strings too."""
    for name in _NAMES[field]:
        value = row.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if value in ("NaN", "Infinity", "-Infinity"):
            return float(value)
    return None


def _whole(row: Mapping[str, Any], field: str) -> int | None:
    value = _number(row, field)
    if value is None or not math.isfinite(value) or not value.is_integer():
        return None
    return int(value) if 0 <= value <= _LARGEST_WHOLE else None


def _text(row: Mapping[str, Any], name: str) -> str | None:
    value = row.get(name)
    return value[:_LONGEST_TEXT] if isinstance(value, str) and value else None


def _time(value: Any) -> float | None:
    """Unix time of an ISO 8601 text; without a zone it is this machine's local time."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
