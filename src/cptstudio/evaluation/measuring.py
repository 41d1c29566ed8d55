"""Measuring a model on sets of documents, where that was not done before.

What is kept of a measurement are the nats, tokens and bytes of each section of a document, by the
document's hash; every figure that is shown is made of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from cptstudio.corpus.corpus import HeldOutDocument
from cptstudio.corpus.held_out import held_out_text
from cptstudio.corpus.tokenising import ensure_tokens
from cptstudio.corpus.tokenizer import load_tokenizer
from cptstudio.corpus.tokenizer_identity import identify
from cptstudio.corpus.tokenizer_loss import (
    SAMPLE_CHARACTERS,
    SAMPLE_TEXTS,
    measure_loss,
    refuse_measuring,
)
from cptstudio.errors import UserError
from cptstudio.evaluation.documents import DocumentSet
from cptstudio.evaluation.results import Results
from cptstudio.evaluation.scoring import check_scores
from cptstudio.job_programs import TellsProgress, counted
from cptstudio.lm.likelihood import Scores, score_documents
from cptstudio.lm.loading import LoadedModel
from cptstudio.lm.vocabulary import check_ids


@dataclass(frozen=True)
class Measuring:
    """How all models of a request are measured.

    Attributes:
        sets: on what.
        request: "side", "max_bytes" and "stride" are taken from it.
        context_length: tokens of a window.
        results: measurements that are kept.
        answer: told how far the work is.
    """

    sets: Sequence[DocumentSet]
    request: dict[str, Any]
    context_length: int
    results: Results
    answer: TellsProgress

    @property
    def stride(self) -> int:
        """New tokens in each window after the first."""
        return min(self.request.get("stride") or self.context_length, self.context_length)

    def measure(
        self, label: str, detail: str, identity: dict[str, Any], load: Callable[[], LoadedModel]
    ) -> dict[str, dict[str, Any]]:
        """Return one model's nats, tokens and bytes of each section, for each set by its name.

        "documents" holds the hash of the document that each is of; those of one document stand
        behind one another.

        Args:
            label: of the model, as the user knows it.
            detail: what else is told with the progress.
            identity: what tells the model's weights from others.
            load: gives the model; called once at most, and not where all was measured before.
        """
        found: dict[str, dict[str, Any]] = {}
        loaded: LoadedModel | None = None
        for one in self.sets:
            inputs = {**identity, **self._how(one)}
            if one.corpus is not None and one.corpus.manifest.settings.kind == "conversations":
                # Which chat template a folder has is no part of its weights' identity.
                loaded = loaded or load()
                inputs["template"] = identify(loaded.path).template
            measured = self.results.find(inputs)
            if measured is None or not _is_whole(measured):
                loaded = loaded or load()
                measured = self._on(one, loaded, label, detail)
                self.results.keep(inputs, measured)
            found[one.name] = measured
        return found

    def _how(self, one: DocumentSet) -> dict[str, Any]:
        """All that decides a measurement but the model."""
        return {
            "documents": one.identity,
            "side": self.request["side"] if one.corpus else None,
            "max_bytes": self.request["max_bytes"] if one.corpus else None,
            # Before there were windows, whole documents were measured, and then those of one
            # document were kept as one.
            **({"text": "sections"} if one.corpus else {}),
            "context_length": self.context_length,
            "stride": self.stride,
        }

    def _on(self, one: DocumentSet, loaded: LoadedModel, label: str, detail: str) -> dict[str, Any]:
        phase = f"{label} on {one.name}"
        self.answer.progress(phase=phase, detail=detail)
        documents, names, start = _documents(loaded, one, self.request)
        rows = loaded.embedding_rows
        for document in documents:
            check_ids(document.tokens, rows, f"The text of {one.name!r}", loaded.path)
        beginnings = {start, *(own.start for own in documents if own.start is not None)}
        check_ids(sorted(beginnings), rows, "Each document's beginning", loaded.path)
        scores: Scores = score_documents(
            loaded.model,
            [document.tokens for document in documents],
            [document.byte_length for document in documents],
            counts=[document.counts for document in documents],
            starts=[document.start for document in documents],
            start_token=start,
            context_length=self.context_length,
            stride=self.stride,
            progress=counted(self.answer, phase, "tokens", detail),
        )
        check_scores(scores.nats, label, loaded.path)
        return _by_section(names, scores)


def _is_whole(measured: dict[str, Any]) -> bool:
    if any(column.name not in measured for column in fields(Scores)):
        return False  # Measured before there was that column.
    # Before scores were checked, those of damaged models were kept, too.
    return all(isinstance(value, (int, float)) for value in measured["nats"])


def _by_section(names: Sequence[str], scores: Scores) -> dict[str, Any]:
    """A measurement as it is kept."""
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    order = sorted(range(len(names)), key=lambda at: places[names[at]])
    columns = {column.name: getattr(scores, column.name)[order] for column in fields(Scores)}
    return {
        "documents": [names[at] for at in order],
        **{name: values.tolist() for name, values in columns.items()},
    }


def _documents(
    loaded: LoadedModel, one: DocumentSet, request: dict[str, Any]
) -> tuple[list[HeldOutDocument], list[str], int]:
    """Texts with the hash of each one's document, and the tokenizer's start token.

    Several texts may have one hash: windows of one document.
    """
    if one.corpus is None:
        tokenizer = load_tokenizer(loaded.path)
        texts = [text.text for text in one.texts]
        sizes = [len(text.encode("utf-8")) for text in texts]
        sample = [text[:SAMPLE_CHARACTERS] for text in texts[:SAMPLE_TEXTS]]
        refuse_measuring(measure_loss(tokenizer, sample), repr(Path(one.name).name))
        documents = [
            HeldOutDocument(number, tokens.astype(np.int32), size)
            for number, (tokens, size) in enumerate(
                zip(tokenizer.encode_batch(texts), sizes, strict=True)
            )
        ]
        return documents, [text.hash.hex() for text in one.texts], tokenizer.facts.start
    store = ensure_tokens(one.corpus, loaded.path)
    documents = held_out_text(
        one.corpus.in_template(store.template),
        request["side"],
        store.tokenizer.hash,
        lambda: load_tokenizer(loaded.path),
        max_bytes=request["max_bytes"],
    )
    if not documents:
        raise UserError(
            f"The corpus {one.name!r} has no {request['side']} documents to evaluate on."
        )
    hashes = one.corpus.documents.records["hash"]
    names = [bytes(hashes[document.number]).hex() for document in documents]
    return documents, names, store.tokenizer.start
