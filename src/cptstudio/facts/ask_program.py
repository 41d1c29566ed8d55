"""The program that asks facts: `python -m cptstudio.facts.ask_program`, see `job_programs`.

Request: {"workspace": folder, "ledger": name, "models": [{"label", "model", "adapter", "run"}],
"how": {"open_book", "said", "per_byte"}, "fast_blas"}. The first model is the baseline. The result
{"report", "title"} names the report that holds what was found.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cptstudio import job_programs
from cptstudio.corpus.corpus import open_corpus
from cptstudio.errors import UserError
from cptstudio.evaluation.inference import InferenceWorker
from cptstudio.evaluation.leaks import trained_on
from cptstudio.evaluation.model_requests import Unload
from cptstudio.evaluation.references import ModelReference, reference_of
from cptstudio.evaluation.reports import Reports
from cptstudio.evaluation.results import Results
from cptstudio.facts.asking import How, ask_model, progress_to
from cptstudio.facts.figures import Group, found_of
from cptstudio.job_programs import TellsProgress
from cptstudio.ledgers.fact import Fact
from cptstudio.ledgers.ledger import read_ledger
from cptstudio.ledgers.options import check_askable
from cptstudio.workspace import Workspace


def work(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Ask, and keep what came of it as a report."""
    workspace = Workspace.held(request["workspace"])
    ledger = read_ledger(workspace, request["ledger"])
    check_askable(ledger.facts)
    references = [reference_of(entry) for entry in request["models"]]
    how, results, tell = How(**request["how"]), Results(workspace), progress_to(answer)
    groups, notes = groups_of(workspace, ledger.facts, references)
    answers = []
    with InferenceWorker(fast_blas=request["fast_blas"]) as worker:
        for reference in references:
            tell(f"checking {reference.label}", 0, 0)
            answers.append(ask_model(worker, reference, ledger.facts, how, results, tell))
            if reference.label in worker.state().labels:
                worker.result(Unload(labels=(reference.label,)))
    labels = [reference.label for reference in references]
    result = {
        "ledger": ledger.name,
        "fingerprint": ledger.fingerprint,
        "how": request["how"],
        "notes": [*ledger.problems, *notes],
        **found_of(ledger.facts, groups, labels, answers),
    }
    title = f"{ledger.name}: {', '.join(labels)}"
    return Reports(workspace).keep("facts", title, request, result)


def groups_of(
    workspace: Workspace, facts: Sequence[Fact], references: Sequence[ModelReference]
) -> tuple[list[Group], list[str]]:
    """Return of each fact whether a run among the models trained on its document.

    Returns:
        The groups, "all" where no model is a run's; and sentences about what could not be known.
    """
    runs = list(dict.fromkeys(one.run for one in references if one.run is not None))
    seen: set[str] = set()
    notes: list[str] = []
    for run in runs:
        known = trained_on(Path(run))
        seen.update(value.hex() for value in known.hashes)
        notes += [note for note in known.notes if note not in notes]
    if not runs:
        return ["all"] * len(facts), notes
    there = _documents_of(workspace, {fact.source.corpus for fact in facts})
    found: list[Group] = [
        "held_out"
        if fact.source.document in there and fact.source.document not in seen
        else "trained"
        for fact in facts
    ]
    unknown = sum(fact.source.document not in there | seen for fact in facts)
    if unknown:
        notes.append(
            f"{unknown:,} of {len(facts):,} facts name no document that a corpus of the workspace "
            "has now. They count as trained on."
        )
    return found, notes


def _documents_of(workspace: Workspace, names: set[str]) -> set[str]:
    """The hashes of the documents of corpora, as far as these are there."""
    found: set[str] = set()
    for name in names & set(workspace.corpus_names()):
        with suppress(UserError, OSError):
            records = open_corpus(workspace.corpus(name)).documents.records
            found.update(bytes(value).hex() for value in records["hash"])
    return found


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
