"""The evaluation program: `python -m cptstudio.testing.evaluate`, a request on standard input.

Request: {"models": [{"label", "model", "adapter"}], "corpora": [{"name", "path"}], "side":
"validation" or "test", "max_bytes": count, "context_length": tokens or null, "fast_blas"}. All
models are measured on the same documents, which are chosen by their bytes, so that models with
different tokenizers compare. One model is in memory at a time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx

from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.token_store import Side
from cptstudio.corpus.tokenising import ensure_tokens
from cptstudio.errors import UserError
from cptstudio.lm.blas import use_fast_blas
from cptstudio.lm.description import describe_model
from cptstudio.lm.likelihood import score_documents
from cptstudio.lm.loading import LoadedModel, load_for_inference
from cptstudio.testing import program

LONGEST_WINDOW = 2048


def evaluate(request: dict[str, Any]) -> dict[str, Any]:
    """Score every model on the held-out documents of every corpus."""
    use_fast_blas(enabled=request["fast_blas"])
    corpora = [open_corpus(entry["path"]) for entry in request["corpora"]]
    context_length = request["context_length"] or _common_context(request["models"])
    results = []
    for entry in request["models"]:
        program.say(progress={"doing": f"loading {entry['label']}", "done": 0, "total": None})
        adapter = entry["adapter"]
        loaded = load_for_inference(Path(entry["model"]), Path(adapter) if adapter else None)
        measured = {
            corpus.name: _measure(loaded, entry["label"], corpus, request, context_length)
            for corpus in corpora
        }
        results.append({"label": entry["label"], "corpora": measured})
        del loaded
        mx.clear_cache()
    return {"side": request["side"], "context_length": context_length, "models": results}


def _common_context(models: list[dict[str, Any]]) -> int:
    """The longest window that all models allow, up to a limit."""
    limits = [describe_model(Path(entry["model"])).context_limit for entry in models]
    return min([LONGEST_WINDOW, *(limit for limit in limits if limit is not None)])


def _measure(
    loaded: LoadedModel, label: str, corpus: Corpus, request: dict[str, Any], context_length: int
) -> dict[str, Any]:
    side: Side = request["side"]
    store = ensure_tokens(corpus, loaded.path)
    documents = corpus.held_out_documents(
        side, store.tokenizer.hash, max_bytes=request["max_bytes"]
    )
    if not documents:
        raise UserError(f"The corpus {corpus.name!r} has no {side} documents to measure on.")

    def tell(done: int, total: int) -> None:
        program.say(progress={"doing": f"{label} on {corpus.name}", "done": done, "total": total})

    scores = score_documents(
        loaded.model,
        [document.tokens for document in documents],
        [document.byte_length for document in documents],
        start_token=store.tokenizer.start,
        context_length=context_length,
        progress=tell,
    )
    return {
        "bits_per_byte": scores.bits_per_byte,
        "loss": scores.loss,
        "perplexity": scores.perplexity,
        "documents": len(documents),
        "tokens": int(scores.tokens.sum()),
        "bytes": int(scores.bytes.sum()),
    }


if __name__ == "__main__":
    program.run(evaluate)
