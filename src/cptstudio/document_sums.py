"""A run's evaluations by document: document_sums.jsonl, one line per evaluation.

    {"time", "session", "step", "domain": bits per byte or null,
     "corpora": {name: {"role", "documents": [...], "bytes": [...], "nats": [...]}}}

There is an entry for each section of text that was measured; sections of one document stand behind
one another with the same number. The texts are the same in every evaluation of a run, and in runs
with the same corpora and evaluation size, so any two evaluations can be compared in pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from cptstudio import run_files
from cptstudio.durable import UnusableFileError, dump_json
from cptstudio.intervals import Change, Numbers, Values, relative_change
from cptstudio.json_lines import read_json_lines, read_json_lines_backwards
from cptstudio.run_rows import CurrentNotes

MOST_SECTIONS: Final = 1_000
"""Of one corpus in one line."""
ROLES: Final = ("domain", "general")


@dataclass(frozen=True)
class CorpusSums:
    """One evaluation's sums for one corpus.

    Attributes:
        role: "domain"; all others are general text.
        documents: int64 [sections], which one each section is of.
        nats: float64 [sections].
        bytes: int64 [sections], UTF-8.
    """

    role: str
    documents: Numbers
    nats: Values
    bytes: Numbers

    def same_text(self, other: CorpusSums) -> bool:
        """Return whether the same sections were measured, as far as their places and sizes tell."""
        return np.array_equal(self.documents, other.documents) and np.array_equal(
            self.bytes, other.bytes
        )


@dataclass(frozen=True)
class RunSums:
    """One evaluation of a run.

    Attributes:
        step: updates done.
        domain: bits per byte over all domain corpora.
        corpora: by name.
    """

    step: int
    domain: float | None
    corpora: Mapping[str, CorpusSums]

    def plain(self) -> dict[str, Any]:
        """Return what its line holds."""
        corpora = {
            name: {
                "role": one.role,
                "documents": one.documents.tolist(),
                "bytes": one.bytes.tolist(),
                "nats": one.nats.tolist(),
            }
            for name, one in self.corpora.items()
        }
        return {"domain": self.domain, "corpora": corpora}

    @property
    def size(self) -> int:
        """Bytes of its line, about."""
        return len(dump_json(self.plain())) + 100


def changes_between(now: RunSums, before: RunSums) -> dict[str, Change]:
    """Return how domain and general text changed between two evaluations of the same text.

    A role is left out where not all of its text was measured both times.
    """
    found: dict[str, Change] = {}
    for role in ROLES:
        pairs = [
            (one, before.corpora.get(name))
            for name, one in now.corpora.items()
            if (one.role == "domain") == (role == "domain")
        ]
        if not pairs or any(was is None or not one.same_text(was) for one, was in pairs):
            continue
        begun, documents = 0, []
        for one, _ in pairs:
            documents.append(one.documents + begun)
            begun += int(one.documents[-1]) + 1
        change = relative_change(
            np.concatenate([one.nats for one, _ in pairs]),
            np.concatenate([was.nats for _, was in pairs if was is not None]),
            np.concatenate([one.bytes for one, _ in pairs]),
            np.concatenate(documents),
        )
        if change is not None:
            found[role] = change
    return found


def current_sums(run_directory: Path, before: int) -> list[RunSums]:
    """Return the evaluations that hold of a run that is resumed, those before a step.

    Raises:
        UnusableFileError: a file is no regular file, or larger than any is.
    """
    current = CurrentNotes()
    for event in read_json_lines(run_directory / run_files.EVENTS).records:
        current.see(event)
    for line in read_json_lines(run_directory / run_files.DOCUMENT_SUMS).records:
        current.add(line)
    steps: dict[int, RunSums] = {}
    for line in current.notes():
        sums = _sums(line)
        if sums is not None and sums.step < before:
            steps[sums.step] = sums
    return [steps[step] for step in sorted(steps)]


def sums_at(run_directory: Path, step: int) -> RunSums | None:
    """Return the newest evaluation of a step; None where none was kept."""
    try:
        lines = read_json_lines_backwards(run_directory / run_files.DOCUMENT_SUMS)
        return next(_at(lines, step), None)
    except (OSError, UnusableFileError):
        return None


def _at(lines: Iterator[dict[str, Any]], step: int) -> Iterator[RunSums]:
    for line in lines:
        sums = _sums(line) if line.get("step") == step else None
        if sums is not None:
            yield sums


def _sums(line: Mapping[str, Any]) -> RunSums | None:
    """What a line holds, or None where it is none of ours."""
    try:
        corpora = {
            str(name): CorpusSums(
                role=str(one["role"]),
                documents=np.array(one["documents"], dtype=np.int64),
                # Numbers that are not finite are stored as words ("NaN"), which float() reads.
                nats=np.array([float(value) for value in one["nats"]]),
                bytes=np.array(one["bytes"], dtype=np.int64),
            )
            for name, one in line["corpora"].items()
        }
        domain = None if line["domain"] is None else float(line["domain"])
        step = int(line["step"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    for one in corpora.values():
        if not (one.documents.ndim == 1 and 0 < len(one.nats) == len(one.bytes)):
            return None
        if len(one.documents) != len(one.nats) or (np.diff(one.documents) < 0).any():
            return None
    return RunSums(step, domain, corpora)
