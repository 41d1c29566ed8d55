"""Rows as training would see them, decoded for a person to read.

Row positions count from 0 at the first batch of the first epoch. A document boundary is shown
by a marker line that names the document which begins or goes on there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.document_store import DocumentStore
from cptstudio.corpus.listed import SamplePart, SampleRow
from cptstudio.corpus.packing import Segment
from cptstudio.corpus.rows import MixtureMember, RowOrder, build_row_order
from cptstudio.corpus.tokenizer import CorpusTokenizer
from cptstudio.settings import Packing


def sample_rows(
    corpus: Corpus,
    tokenizer: CorpusTokenizer,
    *,
    rows: int = 3,
    context_length: int = 512,
    packing: Packing = "concat",
    seed: int = 0,
    first_batch: int = 0,
) -> list[SampleRow]:
    """Decoded training rows of a corpus, the first ones of an epoch's order.

    Raises:
        UserError: the corpus has no tokens for this tokenizer, or no training documents.
    """
    order = sample_order(corpus, tokenizer, context_length, packing, seed)
    return rows_from(corpus, tokenizer, order, first_batch, rows)


def sample_order(
    corpus: Corpus, tokenizer: CorpusTokenizer, context_length: int, packing: Packing, seed: int
) -> RowOrder:
    """Return the order of rows of a run on this corpus alone.

    Raises:
        UserError: the corpus has no tokens for this tokenizer, or no training documents.
    """
    return build_row_order(
        [
            MixtureMember(
                corpus.name, of_tokenizer(corpus, tokenizer).token_store(tokenizer.facts.hash)
            )
        ],
        context_length=context_length,
        packing=packing,
        rows_per_batch=1,
        seed=seed,
    )


def of_tokenizer(corpus: Corpus, tokenizer: CorpusTokenizer) -> Corpus:
    """Return a corpus, whose conversations are in the tokenizer's chat template."""
    return corpus.in_template(tokenizer.template.hash if tokenizer.template else None)


def rows_from(
    corpus: Corpus, tokenizer: CorpusTokenizer, order: RowOrder, first_batch: int, rows: int
) -> list[SampleRow]:
    """Return decoded rows of an order, from a batch on."""
    store = of_tokenizer(corpus, tokenizer).token_store(tokenizer.facts.hash)
    documents = corpus.documents
    result: list[SampleRow] = []
    batch = first_batch
    while len(result) < rows and batch < order.batches_per_epoch:
        length = order.batch(batch).targets.shape[1]
        for row, segments in enumerate(order.origins(batch)):
            labels = document_labels(corpus, documents, [one.document for one in segments])
            parts = []
            for segment in segments:
                position = segment.position
                if position is None:
                    position = int(np.searchsorted(store.documents, segment.document))
                tokens = store.document_tokens(position)
                here = slice(segment.start, segment.stop)
                counts = store.document_counts(position)
                text, counted = _decoded(
                    tokenizer, tokens[here], None if counts is None else counts[here]
                )
                parts.append(_part(segment, len(tokens), text, labels[segment.document], counted))
            result.append(SampleRow(batch, row, length, tuple(parts)))
        batch += 1
    documents.close()
    return result[:rows]


def _part(
    segment: Segment,
    tokens: int,
    text: str,
    label: str,
    counted: tuple[tuple[int, int], ...] | None,
) -> SamplePart:
    return SamplePart(
        segment.document, label, segment.start, segment.stop, tokens, text, counted=counted
    )


def _decoded(
    tokenizer: CorpusTokenizer,
    tokens: npt.NDArray[Any],
    counts: npt.NDArray[np.bool_] | None,
) -> tuple[str, tuple[tuple[int, int], ...] | None]:
    """The text of tokens, and which spans of its characters count; None where all of it does."""
    if counts is None:
        return tokenizer.decode(tokens.tolist()), None
    # Nothing predicts the first token.
    counts = counts & (np.arange(len(counts)) > 0)
    edges = np.flatnonzero(np.diff(counts)) + 1
    text = ""
    counted = []
    for run in np.split(np.arange(len(tokens)), edges):
        begin = len(text)
        text += tokenizer.decode(tokens[run].tolist())
        if len(run) and counts[run[0]]:
            counted.append((begin, len(text)))
    return text, tuple(counted)


def document_labels(
    corpus: Corpus, documents: DocumentStore, numbers: Iterable[int]
) -> dict[int, str]:
    """Return the source of each document, with its place in it when that holds several."""
    records = documents.records
    places = {n: (int(records["source"][n]), int(records["member"][n])) for n in numbers}
    labels = corpus.source_labels(source for source, _ in places.values())
    return {
        number: labels.get(source, "") + (f" #{member + 1}" if member else "")
        for number, (source, member) in places.items()
    }
