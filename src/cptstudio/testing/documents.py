"""The documents that models are measured on, and what is measured on each of them.

A set of documents is the held-out side of a corpus or the texts of a file. All models are measured
on the same documents, which are chosen by their bytes, so that models with different tokenizers
compare. What is kept of a measurement are the nats, tokens and bytes of each document, by the
document's hash; every figure that is shown is a sum of these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.tokenising import ensure_tokens
from cptstudio.corpus.tokenizer import load_tokenizer
from cptstudio.errors import UserError
from cptstudio.lm.description import describe_model
from cptstudio.lm.likelihood import Scores, score_documents
from cptstudio.lm.loading import LoadedModel
from cptstudio.testing import program
from cptstudio.testing.intervals import paired_difference
from cptstudio.testing.texts import Text, read_texts

LONGEST_WINDOW = 2048


@dataclass(frozen=True)
class DocumentSet:
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


def open_sets(request: dict[str, Any]) -> list[DocumentSet]:
    """The sets of a request's "corpora" and "texts".

    Raises:
        UserError: one of them cannot be read.
    """
    found = []
    for entry in request["corpora"]:
        corpus = open_corpus(entry["path"])
        found.append(DocumentSet(entry["name"], corpus, (), corpus.manifest.fingerprint))
    for entry in request.get("texts", ()):
        texts = tuple(read_texts(Path(entry["path"])))
        identity = hashlib.sha256(b"".join(text.hash for text in texts)).hexdigest()
        found.append(DocumentSet(entry["name"], None, texts, identity))
    return found


def common_context(models: Sequence[Path]) -> int:
    """The longest window in tokens that all models allow, up to a limit."""
    limits = [describe_model(model).context_limit for model in models]
    return min([LONGEST_WINDOW, *(limit for limit in limits if limit is not None)])


def how_measured(one: DocumentSet, request: dict[str, Any], context_length: int) -> dict[str, Any]:
    """All that decides a measurement but the model."""
    return {
        "documents": one.identity,
        "side": request["side"] if one.corpus else None,
        "max_bytes": request["max_bytes"] if one.corpus else None,
        "context_length": context_length,
        "stride": request.get("stride") or context_length,
    }


def measure(
    loaded: LoadedModel,
    label: str,
    one: DocumentSet,
    request: dict[str, Any],
    context_length: int,
) -> dict[str, Any]:
    """Nats, tokens and bytes of each document of a set under a model."""
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
    loaded: LoadedModel, one: DocumentSet, request: dict[str, Any]
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


def summary(
    measured: dict[str, Any], base: dict[str, Any], left_out: set[str] | frozenset[str]
) -> dict[str, Any]:
    """A set's figures, and how they differ from the base's on the same documents.

    Args:
        measured: what `measure` returned.
        base: the same for the model to compare with; `measured` itself for that one.
        left_out: hashes of documents that do not count.
    """
    kept = np.array([name not in left_out for name in measured["documents"]])
    nats, base_nats = _numbers(measured, "nats", kept), _numbers(base, "nats", kept)
    size = _numbers(measured, "bytes", kept).astype(np.int64)
    scores = Scores(nats, _numbers(measured, "tokens", kept).astype(np.int64), size)
    figures: dict[str, Any] = {
        "bits_per_byte": scores.bits_per_byte,
        "loss": scores.loss,
        "perplexity": scores.perplexity,
        "documents": int(kept.sum()),
        "tokens": int(scores.tokens.sum()),
        "bytes": int(scores.bytes.sum()),
    }
    if measured is not base:
        difference = paired_difference(nats, base_nats, size.astype(np.float64))
        figures["difference"] = {**asdict(difference), "sure": difference.sure}
    return figures


def _numbers(
    measured: dict[str, Any], key: str, kept: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    # Numbers that are not finite are stored as words ("NaN"), which float() understands.
    return np.array([float(value) for value in measured[key]])[kept]
