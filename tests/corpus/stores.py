"""Small real token stores for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cptstudio.corpus.token_store import ConversationFacts, Side, TokenizerFacts, TokenStore
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


def all_whole(
    template: str, conversations: int, answers: int, end: str | None = None
) -> ConversationFacts:
    """What is said of conversations that are rows as they are, with nothing left out."""
    return ConversationFacts(
        template=template,
        date=None,
        end=end,
        whole=conversations,
        by_answer=0,
        answers=answers,
        straddling=0,
        turns_after=0,
        reasoning_left_out=0,
        refused=[],
    )


def write_conversations(
    folder: Path,
    conversations: Sequence[Sequence[tuple[int, int]]],
    *,
    first_token: int = 2,
    sides: Sequence[Side] | None = None,
) -> TokenStore:
    """A store of conversations, each given as (tokens that do not count, tokens that do) a turn."""
    writer = TokenStoreWriter(folder, facts(), corpus_fingerprint=str(first_token), counts=True)
    token = first_token
    for number, turns in enumerate(conversations):
        for asked, answered in turns:
            size = asked + answered
            tokens = np.arange(token, token + size, dtype=np.uint32)
            writer.extend(tokens, np.arange(size) >= asked)
            token += size
        answers = sum(answered for _, answered in turns)
        writer.end_document(sides[number] if sides else "train", answers, number)
    turns_in_all = sum(map(len, conversations))
    writer.conversations = all_whole("template", len(conversations), turns_in_all)
    writer.finish()
    return TokenStore(folder)
