"""What was written, kept by the key of its task, and the lock of who writes."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.json_lines import JsonLinesWriter, located_json_lines, read_json_lines_backwards

MADE: Final = "made.jsonl"
_LOCK: Final = "lock"
_FLUSH_SECONDS: Final = 5.0


@contextmanager
def only_writer(folder: Path, what: str) -> Iterator[None]:
    """Hold the lock of a folder in which texts are kept.

    Args:
        what: is written there, for the message, such as "The study texts of".

    Raises:
        UserError: it is being written already.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(folder / _LOCK, flags, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{what} {folder.name!r} are being written now.") from None
        yield
    finally:
        os.close(descriptor)


class MadeTexts:
    """Every text that was written in a folder, by the key of its task; append-only.

    Only keys and places are in memory. A text that could not be written is written again.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / MADE
        self._places: dict[str, int] = {}
        for place, record in located_json_lines(self._path):
            key = record.get("key")
            if isinstance(key, str) and isinstance(record.get("text"), str):
                if record.get("problem"):
                    self._places.pop(key, None)
                else:
                    self._places[key] = place
        self._writer: JsonLinesWriter | None = None
        self._flushed = time.monotonic()

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def read(self, key: str) -> dict[str, Any] | None:
        """Return the record of a task's text, or None where there is none."""
        place = self._places.get(key)
        if place is None:
            return None
        with durable.open_regular_file(self._path) as file:
            file.seek(place)
            line = file.readline(durable.LINE_SIZE_LIMIT)
        record = durable.parse_json(line)
        assert isinstance(record, dict)
        return record

    def newest(self, writer: str, most: int = 100) -> Iterator[dict[str, Any]]:
        """Yield the newest texts that a writer wrote."""
        for record in islice(read_json_lines_backwards(self._path), 10 * most):
            if record.get("writer") == writer and not record.get("problem"):
                most -= 1
                yield record
                if not most:
                    return

    def append(self, record: dict[str, Any]) -> None:
        """Keep a text; the death of this process does not lose it."""
        if self._writer is None:
            self._writer = JsonLinesWriter(self._path)
        place = self._path.stat().st_size
        self._writer.append(record)
        if not record["problem"]:
            self._places[record["key"]] = place
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._writer.flush_to_disk()
            self._flushed = time.monotonic()

    def close(self) -> None:
        """Force all of it onto the disk."""
        if self._writer is not None:
            self._writer.flush_to_disk()
            self._writer.close()
            self._writer = None
