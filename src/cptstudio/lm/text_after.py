"""Text of the tokens that follow a prompt, so that prompt and text together read as one.

A streaming detokenizer of mlx-lm takes its first token for the beginning of a text and drops the
space before its first word. After "the number of" a model says " lines", and not "lines". So it is
shown the end of the prompt first. For the same reason a token alone is decoded behind another.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

_SHOWN = 16
_ANCHOR = "a"
_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"


class TextAfter:
    """Makes text of tokens as they come.

    Args:
        tokenizer: mlx-lm's.
        prompt: token ids that come before; nothing of them is told. Empty where the text is to
            begin as a text of its own does.
    """

    def __init__(self, tokenizer: Any, prompt: Sequence[int] = ()) -> None:
        self._detokenizer = tokenizer.detokenizer
        special = set(tokenizer.all_special_ids)
        shown = [token for token in prompt[-_SHOWN:] if token not in special]
        for token in shown:
            self._detokenizer.add_token(token)
        self._held = self._end_of_prompt() if shown else ""

    def add(self, token: int) -> str:
        """Return the text that a token adds; empty while a character or word is incomplete."""
        self._detokenizer.add_token(token)
        return self._new()

    def finish(self) -> str:
        """Return the text that was held back for more tokens."""
        self._detokenizer.finalize()
        return self._new()

    def _new(self) -> str:
        text: str = self._detokenizer.last_segment
        held, self._held = (self._held, "") if text else ("", self._held)
        return text.removeprefix(held)

    def _end_of_prompt(self) -> str:
        """The end of the prompt that the detokenizer still holds back, such as a last space."""
        told = len(self._detokenizer.text)
        self._detokenizer.last_segment  # noqa: B018 - reading it is what moves on
        whole = copy.copy(self._detokenizer)
        whole.finalize()
        rest: str = whole.text[told:]
        # Of a character whose bytes go on in the text, all of it is the text's.
        return "" if _INCOMPLETE in rest else rest


def raw_tokens(tokenizer: Any, text: str) -> list[int]:
    """Ids of a raw text, with the special tokens that the tokenizer itself puts first, once."""
    bos = tokenizer.bos_token
    return list(tokenizer.encode(text, add_special_tokens=bos is None or not text.startswith(bos)))


def token_texts(tokenizer: Any, tokens: Sequence[int]) -> list[str]:
    """Return each of some tokens as text, with the space before a word that belongs to it."""
    ids = tokenizer.encode(_ANCHOR, add_special_tokens=False)
    before = tokenizer.decode(ids)
    found = []
    for token in tokens:
        both = tokenizer.decode([*ids, int(token)])
        follows = both.startswith(before)
        found.append(both[len(before) :] if follows else tokenizer.decode([int(token)]))
    return found
