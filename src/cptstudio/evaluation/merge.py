"""The merging program: `python -m cptstudio.evaluation.merge`, see `job_programs`.

Request: {"workspace": folder, "title", "points": [{"label", "share", "parts": [{"model",
"adapter", "weight"}]}], "corpora": [{"name", "path"}], "roles": {name: "domain", "general" or
null}, "side", "max_bytes", "context_length", "save": {"point": label, "folder": path} or null,
"fast_blas"}. Each point is a weighted sum of models (see `lm.merging`). It is made in memory,
measured on the corpora, and written only when it is the one to save. The result {"report",
"title"} names the report that holds what was found.
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
from cptstudio.evaluation.documents import open_sets
from cptstudio.evaluation.figures import summary
from cptstudio.evaluation.measuring import Measuring
from cptstudio.evaluation.merged_points import (
    MadePoint,
    free_target,
    identities_of,
    parts_of,
    save_merged,
)
from cptstudio.evaluation.reports import Reports
from cptstudio.evaluation.results import Results
from cptstudio.evaluation.windows import common_context
from cptstudio.job_programs import TellsProgress
from cptstudio.lm.blas import use_fast_blas
from cptstudio.lm.merging import Part, check_parts
from cptstudio.workspace import Workspace


def work(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Measure and save, and keep what came of it as a report."""
    workspace = Workspace.held(request["workspace"])
    result = merge_points(request, answer)
    return Reports(workspace).keep("merge", request["title"], request, result)


def merge_points(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Measure every point of the frontier, and save one of them if asked."""
    results = Results(Workspace.held(request["workspace"]))
    use_fast_blas(enabled=request["fast_blas"])
    points = [(point, parts_of(point)) for point in request["points"]]
    for _, parts in points:
        check_parts(parts)
    save = request["save"]
    target = free_target(save)
    sets = open_sets(request)
    context = common_context([parts[0].model for _, parts in points], request["context_length"])
    measuring = Measuring(sets, request, context, results, answer)
    measured = []
    for number, (point, parts) in enumerate(points, 1):
        wanted = target if save and save["point"] == point["label"] else None
        detail = f"merge {number} of {len(points)}"
        measured.append(_point(point["label"], detail, parts, measuring, wanted))
    answers = [
        {
            "label": point["label"],
            "share": point.get("share"),
            "corpora": {
                one.name: summary(of_point[one.name], measured[0][one.name]) for one in sets
            },
        }
        for (point, _), of_point in zip(points, measured, strict=True)
    ]
    roles = request.get("roles") or {}
    return {
        "context_length": context,
        "points": answers,
        "saved": str(target) if target else None,
        "roles": {one.name: roles.get(one.name) for one in sets},
    }


def _point(
    label: str, detail: str, parts: list[Part], measuring: Measuring, target: Path | None
) -> dict[str, dict[str, Any]]:
    made = MadePoint(label, detail, parts, measuring.answer)
    identities = identities_of(parts, measuring.results)
    if target is not None:
        loaded = made.as_stored()
        measuring.answer.progress(phase=f"saving {target.name}", detail=detail)
        save_merged(loaded, target, label, parts)
        del loaded
    found = measuring.measure(label, detail, {"merge": identities}, made.to_compute)
    del made
    mx.clear_cache()
    return found


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
