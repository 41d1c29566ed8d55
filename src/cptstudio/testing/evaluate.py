"""The evaluation program: `python -m cptstudio.testing.evaluate`, a request on standard input.

Request: {"workspace": folder, "models": [{"label", "model", "adapter", "run"}], "corpora":
[{"name", "path"}], "texts": [{"name", "path"}], "side": "validation" or "test", "max_bytes":
count, "context_length": tokens or null, "stride": tokens or null, "fast_blas"}. All models are
measured on the same documents, which are chosen by their bytes, so that models with different
tokenizers compare. One model is in memory at a time, and none where all was measured before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx

from cptstudio.errors import UserError
from cptstudio.lm.blas import use_fast_blas
from cptstudio.lm.loading import LoadedModel, load_for_inference
from cptstudio.testing import program
from cptstudio.testing.documents import (
    DocumentSet,
    common_context,
    how_measured,
    measure,
    open_sets,
    summary,
)
from cptstudio.testing.leaks import trained_on
from cptstudio.testing.results import Results, model_identity
from cptstudio.workspace import Workspace


def evaluate(request: dict[str, Any]) -> dict[str, Any]:
    """Score every model on the held-out documents of every corpus and on every text file."""
    use_fast_blas(enabled=request["fast_blas"])
    sets = open_sets(request)
    context_length = request["context_length"] or common_context(
        [Path(entry["model"]) for entry in request["models"]]
    )
    results = Results(Workspace(request["workspace"]))
    measured = [
        _measure(entry, sets, request, context_length, results) for entry in request["models"]
    ]
    left_out, notes = _leaks(request["models"], sets, measured[0])
    models = [
        {
            "label": entry["label"],
            "corpora": {
                one.name: summary(of_model[one.name], measured[0][one.name], left_out[one.name])
                for one in sets
            },
        }
        for entry, of_model in zip(request["models"], measured, strict=True)
    ]
    return {
        "side": request["side"],
        "context_length": context_length,
        "stride": request.get("stride") or context_length,
        "models": models,
        "left_out": {name: len(numbers) for name, numbers in left_out.items()},
        "notes": notes,
    }


# --- measuring -------------------------------------------------------------------------------


def _measure(
    entry: dict[str, Any],
    sets: list[DocumentSet],
    request: dict[str, Any],
    context_length: int,
    results: Results,
) -> dict[str, dict[str, Any]]:
    """One model's nats of each document of each set, kept or newly measured."""
    path = Path(entry["model"])
    adapter = Path(entry["adapter"]) if entry["adapter"] else None
    program.say(progress={"doing": f"looking at {entry['label']}", "done": 0, "total": None})
    identity = model_identity(path, adapter)
    found: dict[str, dict[str, Any]] = {}
    loaded: LoadedModel | None = None
    for one in sets:
        inputs = {"model": identity, **how_measured(one, request, context_length)}
        measured = results.find(inputs)
        if measured is None:
            if loaded is None:
                doing = f"loading {entry['label']}"
                program.say(progress={"doing": doing, "done": 0, "total": None})
                loaded = load_for_inference(path, adapter)
            measured = measure(loaded, entry["label"], one, request, context_length)
            results.keep(inputs, measured)
        found[one.name] = measured
    del loaded
    mx.clear_cache()
    return found


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
        documents = measured[one.name]["documents"]
        leaked = seen.intersection(documents)
        if leaked and len(leaked) == len(set(documents)):
            raise UserError(
                f"Every document of {one.name!r} was trained on by one of these models: what it "
                "knows by heart says nothing about new text. Measure on other text."
            )
        if leaked:
            notes.append(
                f"{len(leaked):,} of {len(documents):,} documents of {one.name} are left out for "
                "all models, because one of them trained on these."
            )
        left_out[one.name] = leaked
    return left_out, notes


if __name__ == "__main__":
    program.run(evaluate)
