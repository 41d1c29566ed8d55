"""Texts with answers to tokens, and which of them count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.conversations.answers import AnswerText
from cptstudio.corpus.tokenizer import token_ids

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

    def encode(self, texts: Sequence[AnswerText]) -> list[Encoded]:
        """Return the tokens of each, encoded on all cores."""
        found = self._backend.encode_batch([one.text for one in texts], add_special_tokens=False)
        return [self._encoded(one, ids) for one, ids in zip(texts, found, strict=True)]

    def _encoded(self, text: AnswerText, encoding: Any) -> Encoded:
        tokens = token_ids(encoding.ids)
        counts = np.zeros(len(tokens), dtype=bool)
        straddling, size, whole = 0, 0, True
        for (start, stop), end in zip(text.answers, text.ends, strict=True):
            # Spaces may be in no token.
            places = (encoding.char_to_token(at) for at in range(start, stop))
            first = next((place for place in places if place is not None), None)
            last = encoding.char_to_token(end)
            whole &= last is not None and encoding.token_to_chars(last)[0] == end
            if first is not None and encoding.token_to_chars(first)[0] < start:
                straddling += 1
                first += 1
            if first is None or last is None or first >= last:
                whole = False
                continue
            counts[first : last + 1] = True
            size += len(text.text[start:end].encode("utf-8", "surrogatepass"))
        return Encoded(tokens, counts, size, straddling, whole)
