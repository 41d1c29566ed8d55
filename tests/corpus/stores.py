"""Small real token stores for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cptstudio.corpus.token_store import Side, TokenizerFacts, TokenStore
from cptstudio.corpus.token_writer import TokenStoreWriter

EOS, BOS = 0, 1


def facts(adds_bos: bool = False, vocabulary_size: int = 1 << 20) -> TokenizerFacts:
    return TokenizerFacts(
        hash="test",
        vocabulary_size=vocabulary_size,
        bos=BOS if adds_bos else None,
        eos=EOS,
        adds_bos=adds_bos,
    )


def write_store(
    folder: Path,
    lengths: Sequence[int],
    *,
    first_token: int = 2,
    adds_bos: bool = False,
    sides: Sequence[Side] | None = None,
) -> TokenStore:
    """A store whose tokens are all different: first_token, first_token + 1, ..."""
    writer = TokenStoreWriter(folder, facts(adds_bos), corpus_fingerprint=str(first_token))
    token = first_token
    for number, length in enumerate(lengths):
        writer.extend(np.arange(token, token + length, dtype=np.uint32))
        writer.end_document(sides[number] if sides else "train", length, number)
        token += length
    writer.finish()
    return TokenStore(folder)
