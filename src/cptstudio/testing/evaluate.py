"""The evaluation program: `python -m cptstudio.testing.evaluate`, a request on standard input.

Request: {"workspace": folder, "models": [{"label", "model", "adapter", "run"}], "corpora":
[{"name", "path"}], "texts": [{"name", "path"}], "side": "validation" or "test", "max_bytes":
count, "context_length": tokens or null, "stride": tokens or null, "fast_blas"}. All models are
measured on the same documents, which are chosen by their bytes, so that models with different
tokenizers compare. One model is in memory at a time, and none where all was measured before.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.tokenising import ensure_tokens
from cptstudio.corpus.tokenizer import load_tokenizer
from cptstudio.errors import UserError
from cptstudio.lm.blas import use_fast_blas
from cptstudio.lm.description import describe_model
from cptstudio.lm.likelihood import Scores, score_documents
from cptstudio.lm.loading import LoadedModel, load_for_inference
from cptstudio.testing import program
from cptstudio.testing.intervals import paired_difference
from cptstudio.testing.leaks import trained_on
from cptstudio.testing.results import Results, model_identity
from cptstudio.testing.texts import Text, read_texts
from cptstudio.workspace import Workspace

LONGEST_WINDOW = 2048


@dataclass(frozen=True)
class _Set:
    """Documents that models are measured on.

    Attributes:
        name: what the user calls it.
        corpus: where it is a corpus.
        texts: where it is a file.
        identity: changes when the documents do.
    """

    name: str
    corpus: Corpus | None
    texts: tuple[Text, ...]
    identity: str


def evaluate(request: dict[str, Any]) -> dict[str, Any]:
    """Score every model on the held-out documents of every corpus and on every text file."""
    use_fast_blas(enabled=request["fast_blas"])
    sets = _sets(request)
    context_length = request["context_length"] or _common_context(request["models"])
    results = Results(Workspace(request["workspace"]))
    measured = [
        _measure(entry, sets, request, context_length, results) for entry in request["models"]
    ]
    left_out, notes = _leaks(request["models"], sets, measured[0])
    models = [
        {
            "label": entry["label"],
            "corpora": {
                one.name: _summary(of_model[one.name], measured[0][one.name], left_out[one.name])
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


def _sets(request: dict[str, Any]) -> list[_Set]:
    found = []
    for entry in request["corpora"]:
        corpus = open_corpus(entry["path"])
        found.append(_Set(entry["name"], corpus, (), corpus.manifest.fingerprint))
    for entry in request.get("texts", ()):
        texts = tuple(read_texts(Path(entry["path"])))
        identity = hashlib.sha256(b"".join(text.hash for text in texts)).hexdigest()
        found.append(_Set(entry["name"], None, texts, identity))
    return found


def _common_context(models: list[dict[str, Any]]) -> int:
    """The longest window that all models allow, up to a limit."""
    limits = [describe_model(Path(entry["model"])).context_limit for entry in models]
    return min([LONGEST_WINDOW, *(limit for limit in limits if limit is not None)])


# --- measuring -------------------------------------------------------------------------------


def _measure(
    entry: dict[str, Any],
    sets: list[_Set],
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
        inputs = {
            "model": identity,
            "documents": one.identity,
            "side": request["side"] if one.corpus else None,
            "max_bytes": request["max_bytes"] if one.corpus else None,
            "context_length": context_length,
            "stride": request.get("stride") or context_length,
        }
        measured = results.find(inputs)
        if measured is None:
            if loaded is None:
                doing = f"loading {entry['label']}"
                program.say(progress={"doing": doing, "done": 0, "total": None})
                loaded = load_for_inference(path, adapter)
            measured = _measure_set(loaded, entry["label"], one, request, context_length)
            results.keep(inputs, measured)
        found[one.name] = measured
    del loaded
    mx.clear_cache()
    return found


def _measure_set(
    loaded: LoadedModel, label: str, one: _Set, request: dict[str, Any], context_length: int
) -> dict[str, Any]:
    tokens, sizes, names, start = _documents(loaded, one, request)

    def tell(done: int, total: int) -> None:
        program.say(progress={"doing": f"{label} on {one.name}", "done": done, "total": total})

    scores: Scores = score_documents(
        loaded.model,
        tokens,
        sizes,
        start_token=start,
        context_length=context_length,
        stride=request.get("stride"),
        progress=tell,
    )
    return {
        "documents": names,
        "nats": scores.nats.tolist(),
        "tokens": scores.tokens.tolist(),
        "bytes": scores.bytes.tolist(),
    }


def _documents(
    loaded: LoadedModel, one: _Set, request: dict[str, Any]
) -> tuple[list[npt.NDArray[Any]], list[int], list[str], int]:
    """Token ids, bytes and hashes of the documents, and the tokenizer's start token."""
    if one.corpus is None:
        tokenizer = load_tokenizer(loaded.path)
        texts = [text.text for text in one.texts]
        sizes = [len(text.encode("utf-8")) for text in texts]
        encoded: list[npt.NDArray[Any]] = list(tokenizer.encode_batch(texts))
        return encoded, sizes, [text.hash.hex() for text in one.texts], tokenizer.facts.start
    store = ensure_tokens(one.corpus, loaded.path)
    documents = one.corpus.held_out_documents(
        request["side"], store.tokenizer.hash, max_bytes=request["max_bytes"]
    )
    if not documents:
        raise UserError(f"The corpus {one.name!r} has no {request['side']} documents to measure.")
    hashes = one.corpus.documents.records["hash"]
    return (
        [document.tokens for document in documents],
        [document.byte_length for document in documents],
        [bytes(hashes[document.number]).hex() for document in documents],
        store.tokenizer.start,
    )


# --- leaks and sums --------------------------------------------------------------------------


def _leaks(
    models: list[dict[str, Any]], sets: list[_Set], measured: dict[str, dict[str, Any]]
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


def _summary(measured: dict[str, Any], base: dict[str, Any], left_out: set[str]) -> dict[str, Any]:
    kept = np.array([name not in left_out for name in measured["documents"]])
    nats, base_nats = _numbers(measured, "nats", kept), _numbers(base, "nats", kept)
    size = _numbers(measured, "bytes", kept).astype(np.int64)
    scores = Scores(nats, _numbers(measured, "tokens", kept).astype(np.int64), size)
    summary: dict[str, Any] = {
        "bits_per_byte": scores.bits_per_byte,
        "loss": scores.loss,
        "perplexity": scores.perplexity,
        "documents": int(kept.sum()),
        "tokens": int(scores.tokens.sum()),
        "bytes": int(scores.bytes.sum()),
    }
    if measured is not base:
        difference = paired_difference(nats, base_nats, size.astype(np.float64))
        summary["difference"] = {**asdict(difference), "sure": difference.sure}
    return summary


def _numbers(
    measured: dict[str, Any], key: str, kept: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    # Numbers that are not finite are stored as words ("NaN"), which float() understands.
    return np.array([float(value) for value in measured[key]])[kept]


if __name__ == "__main__":
    program.run(evaluate)
