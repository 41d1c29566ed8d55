"""The program that makes facts: `python -m cptstudio.facts.make_program`, see `job_programs`.

Request: {"workspace": folder, "ledger": name, "corpus": name, "choices": `MakeChoices`}, for cloze
facts; with "writer": `WriterChoice`, "choices" are `WriteChoices`, and there may be
"do": "make"|"plan" and "fast_blas": true|false. What a writer wrote is kept when it ends early, so
that the same request goes on with it.
"""

from __future__ import annotations

import sys
from typing import Any

from cptstudio import job_programs
from cptstudio.facts.by_writer import FactOrder, make_by_writer, plan_facts
from cptstudio.facts.choices import MakeChoices, WriteChoices
from cptstudio.facts.making import make_from_corpus
from cptstudio.job_programs import TellsProgress
from cptstudio.light_imports import leave_out_torch
from cptstudio.validation import checked
from cptstudio.workspace import Workspace
from cptstudio.writers.choice import WriterChoice


def work(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Do what the request says."""
    workspace = Workspace.held(request["workspace"])
    ledger, corpus = request["ledger"], request["corpus"]
    if request.get("writer") is None:
        choices = checked(MakeChoices, **request["choices"])
        return make_from_corpus(workspace, ledger, corpus, choices, answer)
    leave_out_torch()
    order = FactOrder(
        workspace,
        ledger,
        corpus,
        checked(WriteChoices, **request["choices"]),
        WriterChoice.model_validate(request["writer"]),
    )
    if request.get("do") == "plan":
        return plan_facts(order)
    return make_by_writer(order, answer, fast_blas=bool(request.get("fast_blas", True)))


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
