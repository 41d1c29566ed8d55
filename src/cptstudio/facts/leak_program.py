"""The program that looks for leaks: `python -m cptstudio.facts.leak_program`, see `job_programs`.

Request: {"workspace": folder, "ledger": name, "run": name or null, "corpora": names}. With a run,
its corpora are looked through, those that are only measured left out.
"""

from __future__ import annotations

import sys
from typing import Any

from cptstudio import job_programs, run_files
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.errors import UserError
from cptstudio.evaluation.reports import Reports
from cptstudio.facts.leaks import find_leaks
from cptstudio.job_programs import TellsProgress, counted
from cptstudio.ledgers.ledger import read_ledger
from cptstudio.workspace import Workspace


def work(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Look, and keep what was found as a report."""
    workspace = Workspace.held(request["workspace"])
    ledger = read_ledger(workspace, request["ledger"])
    corpora = _corpora(workspace, request["run"], request["corpora"])
    names = [corpus.name for corpus in corpora]
    answer.progress(phase="reading documents")
    found = find_leaks(ledger.facts, corpora, counted(answer, "reading documents", "documents"))
    result = {"ledger": ledger.name, "run": request["run"], "corpora": names, **found}
    title = f"{ledger.name} in {request['run'] or ', '.join(names)}"
    return Reports(workspace).keep("leaks", title, request, result)


def _corpora(workspace: Workspace, run: str | None, names: list[str]) -> list[Corpus]:
    if run is None:
        return [open_corpus(workspace.corpus(name)) for name in names]
    config = run_files.read_config(workspace.run(run))
    measured = {use.name for use in config.settings.data.corpora if use.role == "evaluation"}
    found = [open_corpus(one.path) for one in config.corpora if one.name not in measured]
    if not found:
        raise UserError(f"The run {run!r} has no corpora that it trains on.")
    return found


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
