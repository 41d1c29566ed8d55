"""Compares a run's evaluations with those before, document by document, and keeps what that takes.

An evaluation's row of metrics tells the changes with their intervals, so whoever shows a run reads
no sums. These are kept (`cptstudio.document_sums`) for the run's next session, which goes on as if
it were the same one, and for comparing runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from cptstudio import run_files
from cptstudio.document_sums import (
    MOST_SECTIONS,
    CorpusSums,
    RunSums,
    changes_between,
    current_sums,
)
from cptstudio.durable import MEBIBYTE
from cptstudio.lm.likelihood import Scores
from cptstudio.run_rows import is_better
from cptstudio.training.training_data import EvaluationSet

MOST_BYTES: Final = 64 * MEBIBYTE
"""Evaluations that would make the file longer leave no sums, but are compared all the same."""
_DIGITS: Final = 4


def sums_of(chosen: EvaluationSet, scores: Scores) -> CorpusSums:
    """Return what an evaluation found of one corpus, in at most `MOST_SECTIONS` sections.

    Where there are more, those of one document are added up, and then neighboring documents, which
    stand in the order of their hashes, a random one.
    """
    numbers = np.array([document.number for document in chosen.documents], dtype=np.int64)
    # By their places: the store's own numbers would only be longer.
    documents = np.cumsum(np.diff(numbers, prepend=numbers[:1]) != 0)
    sections = np.arange(len(documents))
    if len(sections) > MOST_SECTIONS:
        count = int(documents[-1]) + 1
        sections = documents if count <= MOST_SECTIONS else documents * MOST_SECTIONS // count
        documents = np.arange(int(sections[-1]) + 1)
    return CorpusSums(
        role=chosen.role,
        documents=documents,
        # Of the digits that are kept, so that a resumed run computes with the same numbers.
        nats=np.round(np.bincount(sections, weights=scores.nats), _DIGITS),
        bytes=np.bincount(sections, weights=scores.bytes).astype(np.int64),
    )


class HeldOutSums:
    """Compares each evaluation of a run with its first one and with the best one so far.

    Args:
        run_directory: whose sums of former sessions are read at the first evaluation.
        write: appends a line to their file; given the step and what the line holds.
    """

    def __init__(self, run_directory: Path, write: Callable[[int, dict[str, Any]], None]) -> None:
        self._directory = run_directory
        self._write = write
        self._room: int | None = None
        self._first: RunSums | None = None
        self._best: RunSums | None = None

    def observe(
        self, step: int, domain_bits_per_byte: float | None, corpora: Mapping[str, CorpusSums]
    ) -> dict[str, Any]:
        """Keep an evaluation's sums, and return how it differs from those before.

        Returns:
            "start" and "best" with the step of that evaluation and a `Change` by role, as plain
            values; without what cannot be compared.
        """
        if self._room is None:
            path = self._directory / run_files.DOCUMENT_SUMS
            self._room = MOST_BYTES - (path.stat().st_size if path.is_file() else 0)
            self._take(current_sums(self._directory, before=step))
        now = RunSums(step, domain_bits_per_byte, dict(corpora))
        found = {}
        for name, before in (("start", self._first), ("best", self._best)):
            if before is None or (name == "best" and before is self._first):
                continue
            changes = {
                role: asdict(change) for role, change in changes_between(now, before).items()
            }
            if changes:
                found[name] = {"step": before.step, **changes}
        size = now.size
        if size <= self._room:
            self._room -= size
            self._write(step, now.plain())
            self._take([now])
        return found

    def _take(self, sums: Iterable[RunSums]) -> None:
        for one in sums:
            if one.step == 0:
                self._first = self._best = one
            # A run of before, which kept no sums of its first evaluation, is compared with none.
            elif self._first is not None and is_better(
                one.domain, None if self._best is None else self._best.domain
            ):
                self._best = one
