"""Rows as training would see them, decoded for a person to read.

Row positions count from 0 at the first batch of the first epoch. A document boundary is shown
by a marker line that names the document which begins or goes on there.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

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
        [MixtureMember(corpus.name, corpus.token_store(tokenizer.facts.hash))],
        context_length=context_length,
        packing=packing,
        rows_per_batch=1,
        seed=seed,
    )


def rows_from(
    corpus: Corpus, tokenizer: CorpusTokenizer, order: RowOrder, first_batch: int, rows: int
) -> list[SampleRow]:
    """Return decoded rows of an order, from a batch on."""
    store = corpus.token_store(tokenizer.facts.hash)
    documents = corpus.documents
    result: list[SampleRow] = []
    batch = first_batch
    while len(result) < rows and batch < order.batches_per_epoch:
        length = order.batch(batch).targets.shape[1]
        for row, segments in enumerate(order.origins(batch)):
            labels = document_labels(corpus, documents, [one.document for one in segments])
            parts = []
            for segment in segments:
                position = int(np.searchsorted(store.documents, segment.document))
                tokens = store.document_tokens(position)
                text = tokenizer.decode(tokens[segment.start : segment.stop].tolist())
                parts.append(_part(segment, len(tokens), text, labels[segment.document]))
            result.append(SampleRow(batch, row, length, tuple(parts)))
        batch += 1
    documents.close()
    return result[:rows]


def _part(segment: Segment, tokens: int, text: str, label: str) -> SamplePart:
    return SamplePart(segment.document, label, segment.start, segment.stop, tokens, text)


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
