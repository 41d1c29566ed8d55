"""The suite program: `python -m cptstudio.evaluation.suite_program`, see `job_programs`.

Request: {"workspace": folder, "suite": name, "models": [{"label", "model", "adapter", "run"}],
"fast_blas"}. The result {"report", "title"} names the report that holds the matrix.
"""

from __future__ import annotations

import sys
from typing import Any

from cptstudio import job_programs
from cptstudio.evaluation.inference import InferenceWorker
from cptstudio.evaluation.references import reference_of
from cptstudio.evaluation.reports import Reports
from cptstudio.evaluation.suites import read_suite, run_suite
from cptstudio.job_programs import TellsProgress
from cptstudio.workspace import Workspace


def work(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Put a suite to models, and keep the matrix as a report."""
    workspace, name = Workspace.held(request["workspace"]), request["suite"]
    suite = read_suite(workspace, name)
    references = [reference_of(entry) for entry in request["models"]]

    def tell(label: str, done: int, total: int) -> None:
        answer.progress(final=done == total, phase=label, done=done, total=total, unit="prompts")

    with InferenceWorker(fast_blas=request["fast_blas"]) as worker:
        matrix = run_suite(worker, workspace, suite, references, tell)
    labels = ", ".join(reference.label for reference in references)
    # The suite may be another one tomorrow.
    asked = {**request, "prompts": suite.prompts}
    return Reports(workspace).keep("suite", f"{name}: {labels}", asked, {"suite": name, **matrix})


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
