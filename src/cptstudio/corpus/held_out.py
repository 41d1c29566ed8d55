"""The held-out text that models are measured on, always the same for the same corpus.

Where there is more of it than was asked for, windows are measured that lie evenly over all
documents, so that a corpus of a few long books costs what was asked, and each book is in it.
A window is a piece of a document's text, cut before white space where there is some; it is
encoded alone, so its bytes are exact and models with different tokenizers get the same text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.corpus import Corpus, HeldOutDocument, in_hash_order
from cptstudio.corpus.document_store import DocumentStore
from cptstudio.corpus.token_store import Side, TokenStore
from cptstudio.corpus.tokenizer import CorpusTokenizer

WINDOW_BYTES = 8192
"""Bytes of a window where nothing else is asked: some 2,000 tokens of English."""
FEWEST_WINDOWS = 16
"""Windows are made shorter rather than fewer than that."""
SHORTEST_WINDOW = 256
_WHITE_SPACE = b" \n\t\r"


@dataclass(frozen=True)
class _Windows:
    """Pieces of documents, in order.

    Attributes:
        documents: int64 [windows], index of each one's document.
        pieces: int64 [windows], its number among the pieces of its document.
        counts: int64 [windows], how many pieces its document has.
    """

    documents: npt.NDArray[np.int64]
    pieces: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


def held_out_text(
    corpus: Corpus,
    side: Side,
    tokenizer_hash: str,
    tokenizer: Callable[[], CorpusTokenizer],
    *,
    max_bytes: int | None = None,
    max_tokens: int | None = None,
    window_tokens: int | None = None,
) -> list[HeldOutDocument]:
    """Return what is measured of one side: all documents, or windows of them.

    Args:
        corpus: built, with tokens of this tokenizer.
        side: "validation" or "test".
        tokenizer_hash: whose tokens.
        tokenizer: gives that tokenizer; called only when a document is cut.
        max_bytes: UTF-8 bytes at most.
        max_tokens: about so many tokens, by the mean bytes of a token of this side.
        window_tokens: tokens of a window, about; `WINDOW_BYTES` where left out.

    Whole conversations are chosen where the corpus is one of them, and only answers are measured.

    Returns:
        Windows in the order of their documents' content hashes; several may have one document.
    """
    store = corpus.token_store(tokenizer_hash)
    if store.counts is not None:
        return _held_out_answers(corpus, store, side, max_bytes, max_tokens)
    with closing(corpus.documents) as documents:
        positions = in_hash_order(store, documents.records, side)
        sizes = store.byte_lengths[positions].astype(np.int64)
        total = int(sizes.sum())
        per_token = total / max(1, store.manifest.tokens.get(side, 0))
        limits = [
            total,
            *([max_bytes] if max_bytes is not None else []),
            *([int(max_tokens * per_token)] if max_tokens is not None else []),
        ]
        budget = min(limits)
        if budget >= total:
            return [_whole(store, int(position)) for position in positions]
        longest = WINDOW_BYTES if window_tokens is None else int(window_tokens * per_token)
        window = max(SHORTEST_WINDOW, min(longest, budget // FEWEST_WINDOWS))
        chosen = _chosen(sizes, window, budget)
        return _read(store, documents, positions, chosen, tokenizer)


def _held_out_answers(
    corpus: Corpus, store: TokenStore, side: Side, max_bytes: int | None, max_tokens: int | None
) -> list[HeldOutDocument]:
    """Conversations at even distances among all, as many as fit into both limits, one at least."""
    with closing(corpus.documents) as documents:
        positions = in_hash_order(store, documents.records, side).astype(np.int64)
    numbers, owners = np.unique(store.documents[positions], return_inverse=True)
    # In the order of the hashes, not of the numbers.
    firsts = np.full(len(numbers), len(positions))
    np.minimum.at(firsts, owners, np.arange(len(positions)))
    place_of = np.argsort(np.argsort(firsts))[owners]
    sizes = store.byte_lengths[positions].astype(np.int64)
    tokens = np.asarray(store.offsets[positions + 1] - store.offsets[positions])
    amount = len(numbers)
    while amount > 1:
        taken = _evenly(amount, len(numbers))
        chosen = np.isin(place_of, taken)
        over = [
            int(values[chosen].sum()) / limit
            for values, limit in ((sizes, max_bytes), (tokens, max_tokens))
            if limit is not None
        ]
        if max(over, default=0.0) <= 1:
            break
        amount = max(1, min(amount - 1, math.floor(amount / max(over))))
    chosen = np.isin(place_of, _evenly(amount, len(numbers)))
    return [_answers(store, int(position)) for position in positions[chosen]]


def _evenly(amount: int, count: int) -> npt.NDArray[np.int64]:
    return ((np.arange(amount) + 0.5) * count / max(1, amount)).astype(np.int64)


def _answers(store: TokenStore, position: int) -> HeldOutDocument:
    """A conversation's text: predicted from its first token, which its template writes."""
    tokens = store.document_tokens(position).astype(np.int32)
    counts = store.document_counts(position)
    assert counts is not None
    number, size = int(store.documents[position]), int(store.byte_lengths[position])
    return HeldOutDocument(number, tokens[1:], size, np.array(counts[1:]), int(tokens[0]))


def _whole(store: TokenStore, position: int) -> HeldOutDocument:
    tokens = store.document_tokens(position).astype(np.int32)
    return HeldOutDocument(
        int(store.documents[position]), tokens, int(store.byte_lengths[position])
    )


def _chosen(sizes: npt.NDArray[np.int64], window: int, budget: int) -> _Windows:
    """As many windows as fit into the budget, at even distances among all, one at least."""
    counts = np.maximum(1, -(-sizes // window))
    ends = np.cumsum(counts)
    shares = sizes / counts
    amount = max(1, int(ends[-1] * budget / int(sizes.sum())))
    while True:
        numbers = ((np.arange(amount) + 0.5) * ends[-1] / amount).astype(np.int64)
        documents = np.searchsorted(ends, numbers, side="right")
        taken = float(shares[documents].sum())
        if taken <= budget or amount == 1:
            break
        amount = max(1, min(amount - 1, math.floor(amount * budget / taken)))
    pieces = numbers - (ends - counts)[documents]
    return _Windows(documents, pieces, counts[documents])


def _read(
    store: TokenStore,
    documents: DocumentStore,
    positions: Sequence[int] | npt.NDArray[np.uint32],
    windows: _Windows,
    tokenizer: Callable[[], CorpusTokenizer],
) -> list[HeldOutDocument]:
    found: list[HeldOutDocument | None] = []
    texts: list[str] = []
    owners: list[tuple[int, int]] = []
    rows = np.stack([windows.documents, windows.pieces, windows.counts], axis=1).tolist()
    for document, piece, count in rows:
        position = int(positions[document])
        if count == 1:
            found.append(_whole(store, position))
            continue
        number = int(store.documents[position])
        begin = _cut(documents, number, piece, count)
        data = documents.piece(number, begin, _cut(documents, number, piece + 1, count))
        owners.append((len(found), number))
        texts.append(data.decode("utf-8"))
        found.append(None)
    if texts:
        encoded = tokenizer().encode_batch(texts)
        for (place, number), text, tokens in zip(owners, texts, encoded, strict=True):
            size = len(text.encode("utf-8"))
            found[place] = HeldOutDocument(number, tokens.astype(np.int32), size)
    return [one for one in found if one is not None]


def _cut(documents: DocumentStore, number: int, piece: int, count: int) -> int:
    """Where a piece of a document begins, in bytes; the document's end for one after the last."""
    size = int(documents.records[number]["length"])
    if piece in (0, count):
        return piece and size
    begin = piece * size // count
    following = documents.piece(number, begin, begin + min(256, size // count // 2))
    spaces = [at for at in (following.find(byte) for byte in _WHITE_SPACE) if at >= 0]
    if spaces:
        return begin + min(spaces)
    # Not inside a character: its further bytes are 10xxxxxx.
    return begin + next(at for at, byte in enumerate(following) if byte & 0xC0 != 0x80)
