"""The evaluation program: `python -m cptstudio.evaluation.evaluate`, see `job_programs`.

Request: {"workspace": folder, "models": [{"label", "model", "adapter", "run"}], "corpora":
[{"name", "path"}], "texts": [{"name", "path"}], "side": "validation" or "test", "max_bytes":
count, "context_length": tokens or null, "stride": tokens or null, "fast_blas"}. All models are
measured on the same documents. One model is in memory at a time, and none where all was measured
before. The result {"report", "title"} names the report that holds what was found.
"""

from __future__ import annotations

from cptstudio.light_imports import leave_out_torch

if __name__ == "__main__":
    leave_out_torch()

import sys
from pathlib import Path
from typing import Any

import mlx.core as mx

from cptstudio import job_programs
from cptstudio.errors import UserError
from cptstudio.evaluation.documents import DocumentSet, open_sets
from cptstudio.evaluation.figures import changed_most, summary
from cptstudio.evaluation.leaks import trained_on
from cptstudio.evaluation.measuring import Measuring
from cptstudio.evaluation.reports import Reports
from cptstudio.evaluation.results import Results
from cptstudio.evaluation.windows import common_context
from cptstudio.job_programs import TellsProgress
from cptstudio.lm.blas import use_fast_blas
from cptstudio.lm.loading import LoadedModel, load_for_inference
from cptstudio.workspace import Workspace


def work(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Evaluate, and keep what came of it as a report."""
    workspace = Workspace.held(request["workspace"])
    result = evaluate(request, answer)
    models = ", ".join(entry["label"] for entry in request["models"])
    sets = ", ".join(Path(entry["name"]).name for entry in _all_sets(request))
    return Reports(workspace).keep("evaluation", f"{models} on {sets}", request, result)


def _all_sets(request: dict[str, Any]) -> list[dict[str, Any]]:
    return [*request["corpora"], *request.get("texts", ())]


def evaluate(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Score every model on the held-out documents of every corpus and on every text file."""
    results = Results(Workspace.held(request["workspace"]))
    use_fast_blas(enabled=request["fast_blas"])
    sets = open_sets(request)
    paths = [Path(entry["model"]) for entry in request["models"]]
    context_length = common_context(paths, request["context_length"])
    measuring = Measuring(sets, request, context_length, results, answer)
    measured = [
        _measure(entry, number, len(paths), measuring)
        for number, entry in enumerate(request["models"], 1)
    ]
    left_out, notes = _leaks(request["models"], sets, measured[0])
    models = [
        {
            "label": entry["label"],
            "corpora": {
                one.name: _figures(one, of_model, measured[0], left_out[one.name]) for one in sets
            },
        }
        for entry, of_model in zip(request["models"], measured, strict=True)
    ]
    return {
        "side": request["side"],
        "context_length": context_length,
        "stride": measuring.stride,
        "models": models,
        "left_out": {name: len(numbers) for name, numbers in left_out.items()},
        "notes": notes,
    }


def _measure(
    entry: dict[str, Any], number: int, count: int, measuring: Measuring
) -> dict[str, dict[str, Any]]:
    """One model's nats of each document of each set, kept or newly measured."""
    path = Path(entry["model"])
    adapter = Path(entry["adapter"]) if entry["adapter"] else None
    label, detail = entry["label"], f"model {number} of {count}"
    measuring.answer.progress(phase=f"checking {label}", detail=detail)
    identity = {"model": measuring.results.identity(path, adapter)}

    def load() -> LoadedModel:
        measuring.answer.progress(phase=f"loading {label}", detail=detail)
        return load_for_inference(path, adapter)

    found = measuring.measure(label, detail, identity, load)
    mx.clear_cache()
    return found


def _figures(
    one: DocumentSet,
    of_model: dict[str, dict[str, Any]],
    of_first: dict[str, dict[str, Any]],
    left_out: set[str],
) -> dict[str, Any]:
    here, there = of_model[one.name], of_first[one.name]
    figures = summary(here, there, left_out)
    if here is not there:
        figures["changed"] = changed_most(one, here, there, left_out)
    return figures


# --- leaks -----------------------------------------------------------------------------------


def _leaks(
    models: list[dict[str, Any]], sets: list[DocumentSet], measured: dict[str, dict[str, Any]]
) -> tuple[dict[str, set[str]], list[str]]:
    """Hashes of the documents that some model trained on, for each set, and what is to be said."""
    seen: set[str] = set()
    notes: list[str] = []
    for run in dict.fromkeys(entry["run"] for entry in models if entry.get("run")):
        known = trained_on(Path(run))
        seen.update(value.hex() for value in known.hashes)
        notes += [note for note in known.notes if note not in notes]
    left_out = {}
    for one in sets:
        documents = set(measured[one.name]["documents"])
        leaked = seen & documents
        if leaked and leaked == documents:
            raise UserError(
                f"Every document of {one.name!r} was used to train one of these models, "
                "so the result would say nothing about new text. Evaluate on other text."
            )
        if leaked:
            notes.append(
                f"{len(leaked):,} of {len(documents):,} documents of {one.name} are left "
                "out for all models because one of them was trained on them."
            )
        left_out[one.name] = leaked
    return left_out, notes


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
