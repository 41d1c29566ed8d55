"""Held-out documents that a model has seen in training after all.

Within one corpus the sides never mix. A document can be held out in one corpus and trained from
another, though, and a text file can hold what a corpus was made of. Such documents are found by
the hash of their cleaned text and left out for all models alike, so that the rest still compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cptstudio import run_files
from cptstudio.corpus.corpus import open_corpus
from cptstudio.corpus.manifest import STATUSES
from cptstudio.errors import UserError

_TRAIN = STATUSES.index("train")
_LONGEST_LINE = 100


@dataclass(frozen=True)
class TrainedOn:
    """The documents that a run and its ancestors are known to be trained on.

    Attributes:
        hashes: of the documents' cleaned text.
        notes: sentences about what could not be known.
    """

    hashes: frozenset[bytes]
    notes: tuple[str, ...]


def trained_on(run_directory: Path) -> TrainedOn:
    """Return the documents of a run and of the runs it was forked from."""
    hashes: set[bytes] = set()
    notes: list[str] = []
    directory: Path | None = run_directory
    for _ in range(_LONGEST_LINE):
        if directory is None:
            break
        try:
            config = run_files.read_config(directory)
        except (UserError, OSError):
            notes.append(
                f"Could not read the run in {directory}, so its training documents are unknown."
            )
            break
        roles = {use.name: use.role for use in config.settings.data.corpora}
        for record in config.corpora:
            if roles.get(record.name) == "evaluation":
                continue
            hashes |= _training_hashes(Path(record.path), record.fingerprint, notes)
        directory = Path(config.parent.path) if config.parent else None
    return TrainedOn(frozenset(hashes), tuple(notes))


def _training_hashes(folder: Path, fingerprint: str, notes: list[str]) -> set[bytes]:
    try:
        corpus = open_corpus(folder)
        stores = [corpus.token_store(name) for name in corpus.tokenizer_hashes()]
        records = corpus.documents.records
    except (UserError, OSError):
        notes.append(f"The corpus in {folder} is gone, so the documents trained on are unknown.")
        return set()
    if fingerprint not in (store.fingerprint for store in stores):
        notes.append(
            f"The corpus {corpus.name} was rebuilt since the training, so its current "
            "training split was used."
        )
    chosen = np.ascontiguousarray(records["hash"][records["status"] == _TRAIN])
    return {bytes(value) for value in chosen}
