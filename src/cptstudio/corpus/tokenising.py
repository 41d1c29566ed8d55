"""Documents of a corpus to a token store, with the model's own tokenizer.

Documents of usual length are encoded in batches of about two million characters, on all cores;
long ones by `long_text`. A text's token count in memory is some hundred times the bytes of
a token on disk, so the batch, not the corpus, decides the memory.
"""

from __future__ import annotations

import codecs
import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cptstudio import durable
from cptstudio.corpus.build_progress import ProgressCallback, ProgressMeter
from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.document_store import DocumentStore
from cptstudio.corpus.long_text import LONG_TEXT, LongTextEncoder
from cptstudio.corpus.manifest import STATUSES
from cptstudio.corpus.token_store import SIDES, TokenStore
from cptstudio.corpus.token_writer import TokenStoreWriter
from cptstudio.corpus.tokenizer import CorpusTokenizer, load_tokenizer
from cptstudio.corpus.tokenizer_loss import (
    SAMPLE_CHARACTERS,
    SAMPLE_TEXTS,
    measure_loss,
    refuse_loss,
)
from cptstudio.errors import UserError

_BATCH_BYTES = 2 * durable.MEBIBYTE
_EXACT_DUPLICATE = STATUSES.index("exact duplicate")


def tokenise(
    store: DocumentStore,
    folder: Path,
    tokenizer: CorpusTokenizer,
    corpus_fingerprint: str,
    meter: ProgressMeter,
    *,
    allow_lossy: bool = False,
) -> None:
    """Write the token store of a document store into a new folder.

    Raises:
        UserError: the tokenizer loses more of the text than `LARGEST_LOSS`, and that was not
            allowed; nothing was written.
    """
    records = store.records
    meter.begin("tokenising", int(records["length"].sum()))
    loss = measure_loss(tokenizer, _sample(store))
    if not allow_lossy:
        refuse_loss(loss)
    writer = TokenStoreWriter(folder, tokenizer.facts, corpus_fingerprint, tokenizer.unknown, loss)
    encoder = LongTextEncoder(tokenizer)
    copies = _exact_copies(records)
    batch: list[int] = []
    size = 0
    for number in range(len(store)):
        length = int(records["length"][number])
        if records["status"][number] == _EXACT_DUPLICATE:
            meter.bytes_done += length
            continue
        if length > LONG_TEXT:
            _encode_batch(store, batch, tokenizer, copies, writer, meter)
            batch, size = [], 0
            _encode_long(store, number, encoder, copies, writer, meter)
            continue
        batch.append(number)
        size += length
        if size >= _BATCH_BYTES:
            _encode_batch(store, batch, tokenizer, copies, writer, meter)
            batch, size = [], 0
    _encode_batch(store, batch, tokenizer, copies, writer, meter)
    writer.inexact_cuts = encoder.inexact_cuts
    meter.tell(final=True)
    writer.finish()


def _sample(store: DocumentStore) -> Iterator[str]:
    """Beginnings of kept documents, spread evenly over all of them."""
    kept = np.flatnonzero(store.records["status"] < len(SIDES))
    places = np.linspace(0, len(kept) - 1, min(len(kept), SAMPLE_TEXTS)).astype(np.int64)
    for number in kept[np.unique(places)].tolist() if len(kept) else ():
        if int(store.records["length"][number]) > LONG_TEXT:
            part = next(iter(store.parts(number)), b"")
            # The end of the part may cut a character.
            yield part.decode("utf-8", "ignore")[:SAMPLE_CHARACTERS]
        else:
            yield store.text(number)[:SAMPLE_CHARACTERS]


def _exact_copies(records: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """How many dropped copies each kept document has, [documents]."""
    copies = np.zeros(len(records), dtype=np.int64)
    dropped = records["status"] == _EXACT_DUPLICATE
    if dropped.any():
        hashes = np.ascontiguousarray(records["hash"]).view("<u8").reshape(-1, 2)[:, 0]
        values, counts = np.unique(hashes[dropped], return_counts=True)
        places = np.minimum(np.searchsorted(values, hashes), len(values) - 1)
        copies = np.where((values[places] == hashes) & ~dropped, counts[places], 0)
    return copies


def _encode_batch(
    store: DocumentStore,
    batch: list[int],
    tokenizer: CorpusTokenizer,
    copies: npt.NDArray[np.int64],
    writer: TokenStoreWriter,
    meter: ProgressMeter,
) -> None:
    if not batch:
        return
    texts = [store.text(number) for number in batch]
    for number, tokens in zip(batch, tokenizer.encode_batch(texts), strict=True):
        status = int(store.records["status"][number])
        length = int(store.records["length"][number])
        if status < len(SIDES):
            writer.extend(tokens)
            writer.end_document(SIDES[status], length, number)
        else:
            writer.drop(STATUSES[status], len(tokens))
        if copies[number]:
            writer.drop(STATUSES[_EXACT_DUPLICATE], int(copies[number]) * len(tokens))
        meter.bytes_done += length
    meter.tell()


def _encode_long(
    store: DocumentStore,
    number: int,
    encoder: LongTextEncoder,
    copies: npt.NDArray[np.int64],
    writer: TokenStoreWriter,
    meter: ProgressMeter,
) -> None:
    status = int(store.records["status"][number])
    kept = status < len(SIDES)
    for tokens in encoder.encode(_decoded_parts(store, number, meter)):
        if kept:
            writer.extend(tokens)
        else:
            writer.drop(STATUSES[status], len(tokens))
        if copies[number]:
            writer.drop(STATUSES[_EXACT_DUPLICATE], int(copies[number]) * len(tokens))
    if kept:
        writer.end_document(SIDES[status], int(store.records["length"][number]), number)


def _decoded_parts(store: DocumentStore, number: int, meter: ProgressMeter) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for part in store.parts(number):
        yield decoder.decode(part)
        meter.bytes_done += len(part)
        meter.tell()


def ensure_tokens(
    corpus: Corpus,
    model_path: Path | str,
    progress: ProgressCallback | None = None,
    *,
    allow_lossy: bool = False,
) -> TokenStore:
    """The corpus's tokens under a model's tokenizer, made from its documents if need be.

    The sources are not read again.
    """
    tokenizer = load_tokenizer(model_path)
    return ensure_tokens_of(corpus, tokenizer, ProgressMeter(progress), allow_lossy=allow_lossy)


def ensure_tokens_of(
    corpus: Corpus,
    tokenizer: CorpusTokenizer,
    meter: ProgressMeter,
    *,
    allow_lossy: bool = False,
) -> TokenStore:
    """`ensure_tokens` with a tokenizer that is loaded already."""
    if tokenizer.facts.hash in corpus.tokenizer_hashes():
        # Damaged ones are made anew from the documents, and are then the same as before.
        with contextlib.suppress(UserError):
            there = corpus.token_store(tokenizer.facts.hash)
            there.check_intact()
            return there
    target = corpus.folder / "tokens" / tokenizer.facts.hash
    target.parent.mkdir(exist_ok=True)
    staged = durable.staging_path(target)
    store = corpus.documents
    try:
        tokenise(
            store,
            staged,
            tokenizer,
            corpus.manifest.fingerprint,
            meter,
            allow_lossy=allow_lossy,
        )
        durable.commit_directory(staged, target)
    finally:
        store.close()
        shutil.rmtree(staged, ignore_errors=True)
    return corpus.token_store(tokenizer.facts.hash)
