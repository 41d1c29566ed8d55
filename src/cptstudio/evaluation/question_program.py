"""The question program: `python -m cptstudio.evaluation.question_program`, see `job_programs`.

Request: {"workspace": folder, "file": path, "name": what the file is called, "models": [{"label",
"model", "adapter", "run"}], "fast_blas"}. The result {"report", "title"} names the report that
holds the answers.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from cptstudio import job_programs
from cptstudio.evaluation.inference import InferenceWorker
from cptstudio.evaluation.model_requests import Unload
from cptstudio.evaluation.questions import ask_questions, read_questions
from cptstudio.evaluation.references import reference_of
from cptstudio.evaluation.reports import Reports
from cptstudio.job_programs import TellsProgress
from cptstudio.workspace import Workspace


def work(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Let models answer a file of questions, and keep the answers as a report."""
    workspace = Workspace.held(request["workspace"])
    questions = read_questions(Path(request["file"]), shown=request["name"])
    references = [reference_of(entry) for entry in request["models"]]
    found: dict[str, dict[str, Any]] = {}
    total = len(questions) * len(references)
    with InferenceWorker(fast_blas=request["fast_blas"]) as worker:
        for number, reference in enumerate(references):
            answer.progress(phase=f"loading {reference.label}")
            worker.load([reference])

            def tell(done: int, _: int, label: str = reference.label, number: int = number) -> None:
                answer.progress(
                    final=done == len(questions),
                    phase=label,
                    done=number * len(questions) + done,
                    total=total,
                    unit="questions",
                )

            found[reference.label] = ask_questions(worker, reference.label, questions, tell)
            worker.result(Unload(labels=(reference.label,)))
    labels = ", ".join(reference.label for reference in references)
    result = {"file": request["name"], "models": found}
    return Reports(workspace).keep("questions", f"{request['name']}: {labels}", request, result)


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
