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

import shutil
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx

from cptstudio import durable, job_programs
from cptstudio.errors import UserError
from cptstudio.evaluation.documents import open_sets
from cptstudio.evaluation.figures import summary
from cptstudio.evaluation.measuring import Measuring
from cptstudio.evaluation.reports import Reports
from cptstudio.evaluation.results import Results
from cptstudio.evaluation.windows import common_context
from cptstudio.job_programs import TellsProgress, counted
from cptstudio.lm.blas import use_fast_blas
from cptstudio.lm.loading import LoadedModel, cast_floating, default_compute_dtype
from cptstudio.lm.merge_record import MergedPart, MergeRecord, write_merge_record
from cptstudio.lm.merging import Part, check_parts, merge
from cptstudio.lm.parameters import named_parameters
from cptstudio.lm.saving import save_model_folder
from cptstudio.workspace import Workspace, check_new_name


def work(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Measure and save, and keep what came of it as a report."""
    workspace = Workspace.held(request["workspace"])
    result = merge_points(request, answer)
    return Reports(workspace).keep("merge", request["title"], request, result)


def merge_points(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Measure every point of the frontier, and save one of them if asked."""
    results = Results(Workspace.held(request["workspace"]))
    use_fast_blas(enabled=request["fast_blas"])
    points = [(point, _parts(point)) for point in request["points"]]
    for _, parts in points:
        check_parts(parts)
    save = request["save"]
    target = Path(save["folder"]) if save else None
    if target is not None and (target.exists() or target.is_symlink()):
        raise UserError(f"{target} already exists. Choose another name.")
    if target is not None:
        # Now, since a workspace that is renamed while weights are summed is not to be made anew.
        target.parent.mkdir(parents=True, exist_ok=True)
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


def _parts(point: dict[str, Any]) -> list[Part]:
    return [
        Part(
            Path(part["model"]),
            Path(part["adapter"]) if part["adapter"] else None,
            float(part["weight"]),
        )
        for part in point["parts"]
    ]


class _Made:
    """A point's model, made when it is first needed."""

    def __init__(self, label: str, detail: str, parts: list[Part], answer: TellsProgress) -> None:
        self.label, self.detail, self.parts = label, detail, parts
        self._answer = answer
        self._loaded: LoadedModel | None = None

    def as_stored(self) -> LoadedModel:
        """In the type of the models' files."""
        if self._loaded is None:
            tell = counted(self._answer, f"merging {self.label}", "tensors", self.detail)
            self._loaded = merge(self.parts, tell)
        return self._loaded

    def to_compute(self) -> LoadedModel:
        """In the type that is computed with; after this it is not to be saved any more."""
        loaded = self.as_stored()
        if default_compute_dtype() == mx.float32:
            cast_floating(loaded.model, mx.float32, loaded.lasting)
        return loaded


def _point(
    label: str, detail: str, parts: list[Part], measuring: Measuring, target: Path | None
) -> dict[str, dict[str, Any]]:
    made = _Made(label, detail, parts, measuring.answer)
    identities = [
        [measuring.results.identity(part.model, part.adapter), part.weight]
        for part in parts
        if part.weight
    ]
    if target is not None:
        loaded = made.as_stored()
        measuring.answer.progress(phase=f"saving {target.name}", detail=detail)
        _save(loaded, target, label, parts)
        del loaded
    found = measuring.measure(label, detail, {"merge": identities}, made.to_compute)
    del made
    mx.clear_cache()
    return found


def _save(loaded: LoadedModel, target: Path, label: str, parts: list[Part]) -> None:
    check_new_name(target, "model")
    staged = durable.staging_path(target)
    try:
        staged.mkdir()
        save_model_folder(staged, loaded, named_parameters(loaded.model))
        made_of = [
            MergedPart(str(part.adapter or part.model), part.weight)
            for part in parts
            if part.weight
        ]
        write_merge_record(staged, MergeRecord(label, tuple(made_of)))
        durable.flush_tree(staged)
        durable.commit_directory(staged, target)
    except OSError as error:
        raise UserError(f"Could not write {target}: {error.strerror}. Nothing was saved.") from (
            error
        )
    finally:
        shutil.rmtree(staged, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
