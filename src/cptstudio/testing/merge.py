"""The merging program: `python -m cptstudio.testing.merge`, a request on standard input.

Request: {"workspace": folder, "points": [{"label", "parts": [{"model", "adapter", "weight"}]}],
"corpora": [{"name", "path"}], "side", "max_bytes", "context_length", "save": {"point": label,
"folder": path} or null, "fast_blas"}. Each point is a weighted sum of models (see `lm.merging`).
It is made in memory, measured on the corpora, and written only when it is the one to save.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.lm.blas import use_fast_blas
from cptstudio.lm.loading import LoadedModel, cast_floating, default_compute_dtype
from cptstudio.lm.merging import Part, check_parts, merge
from cptstudio.lm.parameters import named_parameters
from cptstudio.lm.saving import save_model_folder
from cptstudio.testing import program
from cptstudio.testing.documents import (
    DocumentSet,
    common_context,
    how_measured,
    measure,
    open_sets,
    summary,
)
from cptstudio.testing.results import Results, model_identity
from cptstudio.workspace import Workspace


def merge_points(request: dict[str, Any]) -> dict[str, Any]:
    """Measure every point of the frontier, and save one of them if asked."""
    use_fast_blas(enabled=request["fast_blas"])
    points = [(point["label"], _parts(point)) for point in request["points"]]
    for _, parts in points:
        check_parts(parts)
    save = request["save"]
    target = Path(save["folder"]) if save else None
    if target is not None and (target.exists() or target.is_symlink()):
        raise UserError(f"There is something at {target} already; choose another name.")
    sets = open_sets(request)
    context = request["context_length"] or common_context([parts[0].model for _, parts in points])
    results = Results(Workspace(request["workspace"]))
    measured = []
    for label, parts in points:
        wanted = target if save and save["point"] == label else None
        measured.append(_point(label, parts, sets, request, context, results, wanted))
    answers = [
        {
            "label": label,
            "corpora": {
                one.name: summary(of_point[one.name], measured[0][one.name], frozenset())
                for one in sets
            },
        }
        for (label, _), of_point in zip(points, measured, strict=True)
    ]
    return {"context_length": context, "points": answers, "saved": str(target) if target else None}


def _parts(point: dict[str, Any]) -> list[Part]:
    return [
        Part(
            Path(part["model"]),
            Path(part["adapter"]) if part["adapter"] else None,
            float(part["weight"]),
        )
        for part in point["parts"]
    ]


def _point(
    label: str,
    parts: list[Part],
    sets: list[DocumentSet],
    request: dict[str, Any],
    context: int,
    results: Results,
    target: Path | None,
) -> dict[str, Any]:
    identities = [
        [model_identity(part.model, part.adapter), part.weight] for part in parts if part.weight
    ]
    found: dict[str, Any] = {}
    loaded: LoadedModel | None = None
    if target is not None:
        loaded = _made(label, parts)
        _save(loaded, target)
    for one in sets:
        inputs = {"merge": identities, **how_measured(one, request, context)}
        kept = results.find(inputs)
        if kept is None:
            loaded = loaded or _made(label, parts)
            _prepare(loaded)
            kept = measure(loaded, label, one, request, context)
            results.keep(inputs, kept)
        found[one.name] = kept
    del loaded
    mx.clear_cache()
    return found


def _made(label: str, parts: list[Part]) -> LoadedModel:
    def tell(done: int, total: int) -> None:
        program.say(progress={"doing": f"merging {label}", "done": done, "total": total})

    return merge(parts, tell)


def _prepare(loaded: LoadedModel) -> None:
    """Into the type that is computed with; after saving, which keeps the stored one."""
    dtype = default_compute_dtype()
    if dtype == mx.float32:
        cast_floating(loaded.model, dtype, respect_exceptions=True)


def _save(loaded: LoadedModel, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = durable.staging_path(target)
    staged.mkdir()
    try:
        save_model_folder(staged, loaded, named_parameters(loaded.model))
        durable.flush_tree(staged)
        durable.commit_directory(staged, target)
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror}. Nothing was saved.") from (
            error
        )
    finally:
        shutil.rmtree(staged, ignore_errors=True)


if __name__ == "__main__":
    program.run(merge_points)
