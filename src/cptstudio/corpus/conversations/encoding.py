"""Texts with answers to tokens, and which of them count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.conversations.answers import AnswerText

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Encoded:
    """The tokens of a text with answers.

    Attributes:
        tokens: uint32 [tokens], as a chat encodes the text: special tokens are those that the
            template wrote, and none is added.
        counts: bool [tokens], which are an answer's, the token that ends it included.
        byte_length: UTF-8 bytes of the answers, without the tokens that end them.
        straddling: tokens that lie on both sides of an answer's beginning. None of them counts: a
            chat breaks there, and its prompt has other tokens.
        whole: whether each answer counts at all, up to the token that ends it.
    """

    tokens: npt.NDArray[np.uint32]
    counts: Flags
    byte_length: int
    straddling: int
    whole: bool


class ConversationEncoder:
    """Encodes as a chat does.

    Args:
        backend: the `tokenizers.Tokenizer` of the corpus, which takes special tokens for text; it
            is left as it is.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = type(backend).from_str(backend.to_str())
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = False
        added = self._backend.get_added_tokens_decoder()
        self._added = np.array(sorted(added), dtype=np.uint32)

    def encode(self, texts: Sequence[AnswerText]) -> list[Encoded]:
        """Return the tokens of each, encoded on all cores."""
        found = self._backend.encode_batch([one.text for one in texts], add_special_tokens=False)
        return [self._encoded(one, ids) for one, ids in zip(texts, found, strict=True)]

    def _encoded(self, text: AnswerText, encoding: Any) -> Encoded:
        tokens = np.array(encoding.ids, dtype=np.uint32)
        places = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        begins, stops = places[:, 0].copy(), places[:, 1].copy()
        # An added token may take the spaces around it: its own text decides where it lies.
        for at in np.flatnonzero(np.isin(tokens, self._added)):
            own = text.text[begins[at] : stops[at]]
            if not own.strip():
                continue  # Of Gemma's some are line breaks.
            begins[at] += len(own) - len(own.lstrip())
            stops[at] -= len(own) - len(own.rstrip())
        counts = np.zeros(len(tokens), dtype=bool)
        straddling, size, whole = 0, 0, True
        for (start, stop), end in zip(text.answers, text.ends, strict=True):
            # A token of no characters goes with those behind it.
            inside = (begins >= start) & (begins < stop) & (stops <= stop)
            across = (begins < stop) & (stops > start) & ~inside
            straddling += int(across.sum())
            counts |= inside
            ends = inside & (begins == end)
            whole &= bool(ends.any()) and int(inside.sum()) > int(ends.sum())
            size += len(text.text[start:end].encode("utf-8", "surrogatepass"))
        return Encoded(tokens, counts, size, straddling, whole)
