"""The facts that a run is asked at each of its evaluations; see `fact_answers` for asking them.

Imports no MLX, since plans ask it what that costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from cptstudio.corpus.corpus import Corpus
from cptstudio.errors import UserError
from cptstudio.ledgers.ledger import (
    FACTS,
    Ledger,
    ledger_folder,
    open_ledger,
    read_ledger,
    record_of,
)
from cptstudio.ledgers.options import Asked, asked_of, check_askable
from cptstudio.run_files import LedgerRecord, RunConfig
from cptstudio.settings import TrainingSettings
from cptstudio.training.training_data import EVALUATION_COST, RunLength, evaluations
from cptstudio.workspace import Workspace

_USUAL_TOKENS_PER_BYTE: Final = 0.3


@dataclass(frozen=True)
class FactQuestions:
    """The facts of a ledger that a run is asked.

    Attributes:
        record: the ledger as it was when they were chosen.
        asked: wordings with their options, without reversed forms.
        facts: that are asked.
        of: facts of the ledger.
    """

    record: LedgerRecord
    asked: tuple[Asked, ...]
    facts: int
    of: int

    @property
    def chance(self) -> float:
        """The share that guessing gets right."""
        options = {one.fact: len(one.continuations) for one in self.asked}
        return sum(1 / count for count in options.values()) / len(options)

    @property
    def note(self) -> str:
        """What is asked, in a sentence."""
        which = f"{self.facts:,} of {self.of:,}" if self.facts < self.of else f"{self.facts:,}"
        return (
            f"Each evaluation asks {which} facts of the ledger {self.record.name!r}, the same ones "
            f"every time; guessing gets about {self.chance:.0%} right."
        )


def planned_questions(workspace: Workspace, settings: TrainingSettings) -> FactQuestions | None:
    """Return what a run with these settings is asked; None where they name no ledger.

    Raises:
        UserError: there is no such ledger, or none of its facts can be asked.
    """
    name = settings.evaluation.facts
    if name is None:
        return None
    folder = ledger_folder(workspace, name)
    try:
        status = (folder / FACTS).stat()
    except FileNotFoundError:
        check_askable(read_ledger(workspace, name).facts)  # Says what there is.
        raise UserError(f"The ledger {name!r} has no facts.") from None
    mark = (status.st_mtime_ns, status.st_size, status.st_ino)
    return _questions(folder, settings.evaluation.max_facts, mark)


def questions_of(config: RunConfig) -> FactQuestions | None:
    """Return what a prepared run is asked; None where that is nothing.

    Raises:
        UserError: the ledger is missing or has changed since.
    """
    record = config.facts
    if record is None:
        return None
    advice = (
        "so the run cannot be continued exactly. Restore it and resume, or fork the run from its "
        "last checkpoint, with another ledger or none."
    )
    try:
        ledger = open_ledger(Path(record.path))
    except FileNotFoundError:
        raise UserError(
            f"The ledger {record.name!r} that this run's evaluations ask is missing from "
            f"{record.path}, {advice}"
        ) from None
    if ledger.fingerprint != record.fingerprint:
        raise UserError(
            f"The ledger {record.name!r} has changed since this run was created: it had "
            f"{record.facts:,} facts and now has {len(ledger.facts):,}, or others, {advice}"
        )
    return _chosen(ledger, config.settings.evaluation.max_facts)


@lru_cache(maxsize=8)
def _questions(folder: Path, most: int, _mark: tuple[int, int, int]) -> FactQuestions:
    """The same until the ledger's file changes; a plan asks at every keystroke."""
    ledger = open_ledger(folder)
    check_askable(ledger.facts)
    return _chosen(ledger, most)


def _chosen(ledger: Ledger, most: int) -> FactQuestions:
    """At most so many facts: those of the lowest ids, which are hashes, so evenly from all."""
    order = sorted(range(len(ledger.facts)), key=lambda place: ledger.facts[place].id)
    asked = [
        one
        for one in asked_of(ledger.facts, only=frozenset(order[:most]))
        if one.form != "reversed"
    ]
    facts = len({one.fact for one in asked})
    if not asked:
        raise UserError(
            f"None of the {min(most, len(ledger.facts)):,} facts that would be asked of the ledger "
            f"{ledger.name!r} has a wrong answer to be compared with. Add distractors."
        )
    return FactQuestions(record_of(ledger), tuple(asked), facts, len(ledger.facts))


def facts_part(
    questions: FactQuestions | None,
    corpora: Sequence[Corpus],
    tokenizer_hash: str,
    length: RunLength,
) -> float:
    """Return the time in which all evaluations of a run ask facts, relative to its training."""
    if questions is None:
        return 0.0
    size = sum(
        len((one.context + text).encode()) for one in questions.asked for text in one.continuations
    )
    tokens = size * _tokens_per_byte(corpora, tokenizer_hash)
    times = evaluations(length.steps, length.evaluate_every)
    return EVALUATION_COST * times * tokens / length.positions


def _tokens_per_byte(corpora: Sequence[Corpus], tokenizer_hash: str) -> float:
    manifests = [corpus.token_store(tokenizer_hash).manifest for corpus in corpora]
    size = sum(manifest.text_bytes.get("train", 0) for manifest in manifests)
    tokens = sum(manifest.tokens.get("train", 0) for manifest in manifests)
    return tokens / size if size else _USUAL_TOKENS_PER_BYTE
