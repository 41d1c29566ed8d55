"""The current rows of one run as columns, following its metrics.jsonl as it grows.

What a resume supersedes is left out as `run_rows` says, and the `generation`
changes with it, as it does when the file is exchanged or cut off: whoever drew an earlier
generation draws anew.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cptstudio import metrics
from cptstudio.run_rows import EVALUATION, RESUME, held_spans, resumed_after
from cptstudio.web.series import parsing
from cptstudio.web.series.parsing import Floats, Integers, Rows

_RECENT_ROWS: Final = 512
_MOST_EVALUATIONS: Final = 20_000
_PLACE_BYTES: Final = 1024 * 1024
_RESUME_BITS: Final = 20
_files = itertools.count(1)


@dataclass(frozen=True)
class Place:
    """Where rows lie in the file: between two offsets; row numbers count valid rows only."""

    start: int
    end: int
    first_row: int
    damaged: int


class Column:
    """Values that are appended in blocks and joined when they are looked at."""

    def __init__(self, blocks: Sequence[npt.NDArray[Any]], dtype: Any = np.float64) -> None:
        self._blocks = list(blocks)
        self._dtype = dtype

    def append(self, block: npt.NDArray[Any]) -> None:
        """Add values at the end. Small blocks are joined, so that there are few."""
        self._blocks.append(block)
        while len(self._blocks) > 1 and len(self._blocks[-2]) <= 2 * len(self._blocks[-1]):
            self._blocks[-2:] = [np.concatenate(self._blocks[-2:])]

    def values(self) -> npt.NDArray[Any]:
        """Return all values."""
        if len(self._blocks) != 1:
            empty = np.empty(0, self._dtype)
            self._blocks = [np.concatenate(self._blocks) if self._blocks else empty]
        return self._blocks[0]


class RunColumns:
    """One run's rows. Hold `lock` while using it; every method expects that.

    Attributes:
        path: of metrics.jsonl.
        lock: one thread at a time.
        offset: bytes that were read.
        before: the last bytes before it, by which the file is known again.
        mark: device, inode, size and time of the file when it was read last.
        skipping: in the middle of a line that is too long for a row.
        count: valid rows, superseded ones included.
        damaged: lines that hold no valid row.
        recent: the newest current rows as they are in the file, for who follows the run.
        recent_after: `recent` holds all current rows with a greater `seq`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.recent: deque[dict[str, Any]] = deque(maxlen=_RECENT_ROWS)
        self.reset()

    def reset(self) -> None:
        """Forget everything: the file is another one."""
        self._file = next(_files)
        self.mark: tuple[int, int, int, int] | None = None
        self.offset = 0
        self.damaged = 0
        self.last_seq = 0
        self.before = b""
        self.skipping = False
        self.count = 0
        self._seq = Column([], np.int64)
        self._train = Column([], np.bool_)
        self._columns = {name: Column([]) for name in metrics.NUMBERS}
        # (index among all rows, seq, after_seq)
        self._resumes: list[tuple[int, int, int]] = []
        self._evaluations: list[tuple[int, dict[str, Any]]] = []
        self._places: list[Place] = []
        self._kept: tuple[int, Integers] | None = None
        self.recent.clear()
        self.recent_after = 0

    # --- what it holds -----------------------------------------------------------------------

    @property
    def generation(self) -> int:
        """Changes whenever rows that were told before hold no more."""
        return self._file << _RESUME_BITS | min(len(self._resumes), (1 << _RESUME_BITS) - 1)

    @property
    def memory(self) -> int:
        """Bytes that the columns take, about."""
        return self.count * 8 * (len(metrics.NUMBERS) + 2)

    def column(self, name: str) -> Floats:
        """Return a number of the current training rows, in file order; see `parsing.ABSENT`."""
        values: Floats = self._columns[name].values()
        kept = self._kept_train_rows()
        return values if len(kept) == len(values) else values[kept]

    def seqs(self) -> Integers:
        """`seq` of the current training rows."""
        values: Integers = self._seq.values()
        return values[self._kept_train_rows()]

    def all_seqs(self) -> Integers:
        """`seq` of all valid rows, superseded ones included."""
        seqs: Integers = self._seq.values()
        return seqs

    def all_train(self) -> npt.NDArray[np.bool_]:
        """Return which of all valid rows are training rows."""
        train: npt.NDArray[np.bool_] = self._train.values()
        return train

    def all_values(self, name: str) -> Floats:
        """Return a number of all valid rows."""
        values: Floats = self._columns[name].values()
        return values

    def others(self) -> list[tuple[int, dict[str, Any]]]:
        """Return the number and content of all rows that are no training rows."""
        resumes = [
            (at, {parsing.SEQ: own, "kind": RESUME, "after_seq": after})
            for at, own, after in self._resumes
        ]
        return sorted([*self._evaluations, *resumes], key=lambda item: item[0])

    def restore(self, rows: Rows, places: Sequence[Place], offset: int, before: bytes) -> None:
        """Take over what an earlier reader kept; nothing was read so far."""
        self.add(rows, 0, offset)
        self._places = list(places)
        self.offset, self.before = offset, before
        self.forget_recent()

    def evaluations(self) -> list[dict[str, Any]]:
        """Return the current evaluation rows, as they are in the file."""
        held = self._held(np.array([row[parsing.SEQ] for _, row in self._evaluations], np.int64))
        return [row for at, (_, row) in enumerate(self._evaluations) if held is None or held[at]]

    def _kept_train_rows(self) -> Integers:
        if self._kept is None or self._kept[0] != self.count:
            train = self._train.values()
            held = self.held()
            self._kept = (self.count, np.flatnonzero(train if held is None else train & held))
        return self._kept[1]

    # --- what it is given ----------------------------------------------------------------------

    def waiting(self) -> int:
        """Return the bytes of the file that were not read yet; 0 when nothing changed.

        A file that was exchanged or cut off since is taken for a new one.
        """
        try:
            status = os.stat(self.path, follow_symlinks=False)
        except OSError:
            if self.offset:
                self.reset()
            self.mark = None
            return 0
        mark = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if mark == self.mark:
            return 0
        exchanged = self.mark is not None and mark[:2] != self.mark[:2]
        if exchanged or status.st_size < self.offset:
            self.reset()
        return max(1, status.st_size - self.offset)

    def add(self, rows: Rows, start: int, end: int) -> None:
        """Append parsed rows, which lie between two offsets of the file."""
        self._remember_place(start, end, rows.damaged)
        self._seq.append(rows.seq)
        self._train.append(rows.train)
        for name, column in self._columns.items():
            column.append(rows.columns[name])
        resumed = False
        for at, row in rows.others:
            if row["kind"] == RESUME:
                after = resumed_after(row)
                if after is not None:
                    self._resumes.append((self.count + at, row[parsing.SEQ], after))
                    resumed = True
            elif row["kind"] == EVALUATION and len(self._evaluations) < _MOST_EVALUATIONS:
                self._evaluations.append((self.count + at, row))
        self.count += len(rows)
        self.damaged += rows.damaged
        if len(rows):
            self.last_seq = max(self.last_seq, int(rows.seq.max()))
        if resumed:
            self.forget_recent()

    def add_recent(self, rows: Iterable[dict[str, Any]]) -> None:
        """Keep rows that were just added for who follows the run."""
        for row in rows:
            if row["kind"] == RESUME:
                self.forget_recent()
                continue
            if len(self.recent) == _RECENT_ROWS:
                self.recent_after = self.recent[0][parsing.SEQ]
            self.recent.append(row)

    def forget_recent(self) -> None:
        """Who follows the run has to fetch what was added since."""
        self.recent.clear()
        self.recent_after = self.last_seq

    def places(self, after_seq: int) -> list[Place]:
        """Return where the rows with a greater `seq` may lie, in file order."""
        seqs = self._seq.values()
        # Blocks at the end that hold nothing but damaged lines have no rows.
        filled = [place for place in self._places if place.first_row < len(seqs)]
        if not filled:
            return []
        greatest = np.maximum.reduceat(seqs, [place.first_row for place in filled])
        return [
            place for place, seq in zip(filled, greatest.tolist(), strict=True) if seq > after_seq
        ]

    def held(self) -> npt.NDArray[np.bool_] | None:
        """Return which of all rows are not superseded; None when all of them hold."""
        return self._held(self._seq.values())

    def _held(self, seq: Integers) -> npt.NDArray[np.bool_] | None:
        if not self._resumes:
            return None
        lows, highs = np.array(held_spans((own, after) for _, own, after in self._resumes)).T
        held: npt.NDArray[np.bool_] = seq <= highs[np.searchsorted(lows, seq) - 1]
        return held

    def _remember_place(self, start: int, end: int, damaged: int) -> None:
        if self._places:
            last = self._places[-1]
            if last.end == start and end - last.start <= _PLACE_BYTES:
                whole = Place(last.start, end, last.first_row, last.damaged + damaged)
                self._places[-1] = whole
                return
        self._places.append(Place(start, end, self.count, damaged))
