"""The program that makes facts: `python -m cptstudio.facts.make_program`, see `job_programs`.

Request: {"workspace": folder, "ledger": name, "corpus": name, "choices": `MakeChoices`}.
"""

from __future__ import annotations

import sys
from typing import Any

from cptstudio import job_programs
from cptstudio.facts.making import MakeChoices, make_from_corpus
from cptstudio.job_programs import TellsProgress
from cptstudio.validation import checked
from cptstudio.workspace import Workspace


def work(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Do what the request says."""
    workspace = Workspace.held(request["workspace"])
    choices = checked(MakeChoices, **request["choices"])
    return make_from_corpus(workspace, request["ledger"], request["corpus"], choices, answer)


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
