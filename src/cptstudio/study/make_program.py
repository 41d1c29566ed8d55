"""Makes or plans study texts as a job: `python -m cptstudio.study.make_program`.

The request, see `job_programs`:

    {"do": "make"|"plan", "workspace": FOLDER, "name": NAME, "corpus": NAME,
     "settings": StudySettings, "writer": WriterChoice, "most": NUMBER|null, "model": FOLDER|null,
     "fast_blas": true|false}

What was written is kept when it ends early, so that the same request goes on with it.
"""

from __future__ import annotations

import sys
from typing import Any

from cptstudio import job_programs
from cptstudio.corpus.build_program import progress_to
from cptstudio.job_programs import Answer
from cptstudio.light_imports import leave_out_torch
from cptstudio.study.making import make_study
from cptstudio.study.order import StudyOrder, opened
from cptstudio.study.plan import plan_study
from cptstudio.study.settings import StudySettings
from cptstudio.workspace import Workspace
from cptstudio.writers.choice import WriterChoice


def work(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Do what the request says; the result is the plan, or the report of what was made."""
    leave_out_torch()
    order = StudyOrder(
        Workspace.held(request["workspace"]),
        request["name"],
        request["corpus"],
        StudySettings.model_validate(request["settings"]),
        WriterChoice.model_validate(request["writer"]),
    )
    fast_blas = bool(request.get("fast_blas", True))
    if request["do"] == "plan":
        answer.progress(phase="reading", final=True)
        with opened(order, fast_blas=fast_blas) as study:
            return plan_study(study).told()
    return make_study(
        order,
        answer,
        progress_to(answer),
        most=request.get("most"),
        model=request.get("model"),
        fast_blas=fast_blas,
    )


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
