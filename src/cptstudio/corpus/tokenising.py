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
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cptstudio import durable
from cptstudio.corpus.build_progress import ProgressCallback, ProgressMeter
from cptstudio.corpus.conversations.tokenising import template_needed, tokenise_conversations
from cptstudio.corpus.corpus import Corpus, tokens_name
from cptstudio.corpus.document_store import DocumentStore
from cptstudio.corpus.long_text import LONG_TEXT, LongTextEncoder
from cptstudio.corpus.manifest import STATUSES, CorpusKind
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
_AT_ONCE = 1 << 16


def tokenise(
    store: DocumentStore,
    folder: Path,
    tokenizer: CorpusTokenizer,
    corpus_fingerprint: str,
    meter: ProgressMeter,
    *,
    kind: CorpusKind = "documents",
    allow_lossy: bool = False,
) -> None:
    """Write the token store of a document store into a new folder.

    Args:
        kind: what the documents are; conversations are put into the tokenizer's chat template.

    Raises:
        UserError: the tokenizer loses more of the text than `LARGEST_LOSS`, and that was not
            allowed; nothing was written.
    """
    records = store.records
    meter.begin("tokenizing", int(records["length"].sum()))
    loss = measure_loss(tokenizer, _sample(store))
    if not allow_lossy:
        refuse_loss(loss)
    if kind == "conversations":
        tokenise_conversations(store, folder, tokenizer, corpus_fingerprint, loss, meter)
        meter.tell(final=True)
        return
    writer = TokenStoreWriter(folder, tokenizer.facts, corpus_fingerprint, tokenizer.unknown, loss)
    encoder = LongTextEncoder(tokenizer)
    copies = _exact_copies(records)
    batch: list[_Document] = []
    size = 0
    for one in _documents(records, copies):
        if one.status == _EXACT_DUPLICATE:
            meter.bytes_done += one.length
            continue
        if one.length > LONG_TEXT:
            _encode_batch(store, batch, tokenizer, writer, meter)
            batch, size = [], 0
            _encode_long(store, one, encoder, writer, meter)
            continue
        batch.append(one)
        size += one.length
        if size >= _BATCH_BYTES:
            _encode_batch(store, batch, tokenizer, writer, meter)
            batch, size = [], 0
    _encode_batch(store, batch, tokenizer, writer, meter)
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


class _Document(NamedTuple):
    """The known facts about a document; `copies`: how many dropped ones are equal to it."""

    number: int
    start: int
    length: int
    status: int
    copies: int


def _documents(records: npt.NDArray[Any], copies: npt.NDArray[np.int32]) -> Iterator[_Document]:
    # Looking into the mapped records for each one takes ten times as long.
    for first in range(0, len(records), _AT_ONCE):
        part = records[first : first + _AT_ONCE]
        numbers = range(first, first + len(part))
        fields = [part[name].tolist() for name in ("start", "length", "status")]
        more = copies[first : first + _AT_ONCE].tolist()
        yield from map(_Document._make, zip(numbers, *fields, more, strict=True))


def _exact_copies(records: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """How many dropped copies each kept document has, [documents]."""
    copies = np.zeros(len(records), dtype=np.int32)
    dropped = records["status"] == _EXACT_DUPLICATE
    if dropped.any():
        hashes = np.ascontiguousarray(records["hash"]).view("<u8").reshape(-1, 2)[:, 0]
        values, counts = np.unique(hashes[dropped], return_counts=True)
        for first in range(0, len(records), _AT_ONCE):
            here = slice(first, first + _AT_ONCE)
            places = np.minimum(np.searchsorted(values, hashes[here]), len(values) - 1)
            equal = (values[places] == hashes[here]) & ~dropped[here]
            copies[here] = np.where(equal, counts[places], 0)
    return copies


def _encode_batch(
    store: DocumentStore,
    batch: list[_Document],
    tokenizer: CorpusTokenizer,
    writer: TokenStoreWriter,
    meter: ProgressMeter,
) -> None:
    if not batch:
        return
    encoded = tokenizer.encode_batch([store.text_at(*one[:3]) for one in batch])
    kept = [place for place, one in enumerate(batch) if one.status < len(SIDES)]
    writer.add(
        [encoded[place] for place in kept],
        [batch[place].status for place in kept],
        [batch[place].length for place in kept],
        [batch[place].number for place in kept],
    )
    for one, tokens in zip(batch, encoded, strict=True):
        if one.status >= len(SIDES):
            writer.drop(STATUSES[one.status], len(tokens))
        if one.copies:
            writer.drop(STATUSES[_EXACT_DUPLICATE], one.copies * len(tokens))
        meter.bytes_done += one.length
    meter.tell()


def _encode_long(
    store: DocumentStore,
    one: _Document,
    encoder: LongTextEncoder,
    writer: TokenStoreWriter,
    meter: ProgressMeter,
) -> None:
    kept = one.status < len(SIDES)
    for tokens in encoder.encode(_decoded_parts(store, one.number, meter)):
        if kept:
            writer.extend(tokens)
        else:
            writer.drop(STATUSES[one.status], len(tokens))
        if one.copies:
            writer.drop(STATUSES[_EXACT_DUPLICATE], one.copies * len(tokens))
    if kept:
        writer.end_document(SIDES[one.status], one.length, one.number)


def _decoded_parts(store: DocumentStore, number: int, meter: ProgressMeter) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for part in store.parts(number):
        yield decoder.decode(part)
        meter.bytes_done += len(part)
        meter.tell()


def store_name(tokenizer: CorpusTokenizer, kind: CorpusKind) -> str:
    """Return the name of the folder of a corpus's tokens under this tokenizer.

    Raises:
        UserError: it is for conversations, and the model has no chat template.
    """
    if kind == "documents":
        return tokenizer.facts.hash
    return tokens_name(tokenizer.facts.hash, template_needed(tokenizer).hash)


def ensure_tokens(
    corpus: Corpus,
    model_path: Path | str,
    progress: ProgressCallback | None = None,
    *,
    allow_lossy: bool = False,
) -> TokenStore:
    """Return the corpus's tokens under a model's tokenizer, made from its documents if need be.

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
    kind = corpus.manifest.settings.kind
    name = store_name(tokenizer, kind)
    if name in corpus.tokenizer_hashes():
        # Damaged ones are made anew from the documents, and are then the same as before.
        with contextlib.suppress(UserError):
            there = corpus.token_store(name)
            there.check_intact()
            return there
    target = corpus.folder / "tokens" / name
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
            kind=kind,
            allow_lossy=allow_lossy,
        )
        durable.commit_directory(staged, target)
    finally:
        store.close()
        shutil.rmtree(staged, ignore_errors=True)
    return corpus.token_store(name)
