"""Encoding a text too long to be encoded at once, with the tokens of the whole.

Cutting a text and joining the tokens of its parts is wrong in general: a word or a run of
spaces may be cut, and some tokenizers put a space before every text. So a long text is encoded
in windows that overlap by thousands of characters, and two windows are joined inside the
overlap, at a place where both have a token boundary and agree on the tokens around it. From
such a place on each window encodes as the whole does, because pre-tokenization and merges look
only a short way around them. Where no such place exists, both windows are encoded as one; when
even that grows too long (millions of equal characters), the cut is made as it is and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from cptstudio.corpus.tokenizer import CorpusTokenizer, TokenIds, token_ids

LONG_TEXT = 1 << 19
WINDOW = 1 << 17
OVERLAP = 1 << 12
_AGREEMENT = 8
_LARGEST_WINDOW = 1 << 21
_WINDOWS_AT_ONCE = 8


class LongTextEncoder:
    """Encodes long texts piece by piece.

    Args:
        tokenizer: the model's tokenizer.
        window: characters encoded at once.
        overlap: characters shared by neighbouring windows.

    Attributes:
        inexact_cuts: how often a cut could not be shown to leave the tokens unchanged.
    """

    def __init__(
        self, tokenizer: CorpusTokenizer, window: int = WINDOW, overlap: int = OVERLAP
    ) -> None:
        self._backend = tokenizer.backend
        self._window = window
        self._overlap = overlap
        self.inexact_cuts = 0

    def encode(self, parts: Iterable[str]) -> Iterator[TokenIds]:
        """Yield the tokens of the text that the parts make up, in pieces.

        Args:
            parts: consecutive parts of one text, of any lengths.
        """
        text, encoding, first = "", None, 0
        for window, last_window in self._encoded_windows(parts):
            following_text, following = window
            if encoding is None:
                text, encoding = following_text, following
            else:
                joint = self._join(encoding, len(text), following)
                if joint is None and len(text) + len(following_text) <= _LARGEST_WINDOW:
                    text += following_text[self._overlap :]
                    encoding = self._encode([text])[0]
                else:
                    stop, start = joint or self._plain_cut(encoding, len(text), following)
                    yield token_ids(encoding.ids[first:stop])
                    text, encoding, first = following_text, following, start
            if last_window:
                yield token_ids(encoding.ids[first:])

    def _encode(self, texts: list[str]) -> list[Any]:
        encodings: list[Any] = self._backend.encode_batch(texts, add_special_tokens=False)
        return encodings

    def _encoded_windows(self, parts: Iterable[str]) -> Iterator[tuple[tuple[str, Any], bool]]:
        waiting: list[str] = []
        for window in self._windows(parts):
            # One is held back, so that the last one is known as such.
            if len(waiting) == _WINDOWS_AT_ONCE + 1:
                for pair in zip(waiting[:-1], self._encode(waiting[:-1]), strict=True):
                    yield pair, False
                waiting = waiting[-1:]
            waiting.append(window)
        for number, pair in enumerate(zip(waiting, self._encode(waiting), strict=True), start=1):
            yield pair, number == len(waiting)

    def _windows(self, parts: Iterable[str]) -> Iterator[str]:
        held = ""
        fresh = False
        for part in parts:
            place = 0
            while place < len(part):
                taken = part[place : place + self._window - len(held)]
                held += taken
                place += len(taken)
                fresh = True
                if len(held) == self._window:
                    yield held
                    held, fresh = held[-self._overlap :], False
        if fresh:
            yield held

    def _boundaries(self, encoding: Any, low: int, high: int) -> dict[int, int]:
        """Token boundaries in [low, high): character -> number of the token that starts there."""
        first, last = None, None
        for place in range(low, high):
            first = encoding.char_to_token(place)
            if first is not None:
                break
        for place in range(high - 1, low - 1, -1):
            last = encoding.char_to_token(place)
            if last is not None:
                break
        if first is None or last is None:
            return {}
        spans = [encoding.token_to_chars(number) for number in range(first, last + 1)]
        found = {}
        for number in range(1, len(spans)):
            before, after = spans[number - 1], spans[number]
            if before and after and before[1] <= after[0]:
                found[after[0]] = first + number
        return found

    def _join(self, left: Any, left_length: int, right: Any) -> tuple[int, int] | None:
        """Where to leave the left window and enter the right one, as token numbers."""
        shift = left_length - self._overlap
        middle, reach = self._overlap // 2, self._overlap // 4
        in_left = self._boundaries(left, shift + middle - reach, shift + middle + reach)
        in_right = self._boundaries(right, middle - reach, middle + reach)
        left_ids, right_ids = left.ids, right.ids
        common = sorted(
            (at for at in in_right if shift + at in in_left), key=lambda a: abs(a - middle)
        )
        for at in common:
            stop, start = in_left[shift + at], in_right[at]
            around_left = left_ids[stop - _AGREEMENT : stop + _AGREEMENT]
            around_right = right_ids[max(0, start - _AGREEMENT) : start + _AGREEMENT]
            if (
                len(around_left) == 2 * _AGREEMENT
                and around_left == around_right
                and len(set(around_left)) >= _AGREEMENT // 2
            ):
                return stop, start
        return None

    def _plain_cut(self, left: Any, left_length: int, right: Any) -> tuple[int, int]:
        self.inexact_cuts += 1
        shift, middle = left_length - self._overlap, self._overlap // 2
        in_left = self._boundaries(left, shift, left_length)
        in_right = self._boundaries(right, 0, self._overlap)
        common = [at for at in in_right if shift + at in in_left]
        if common:
            at = min(common, key=lambda place: abs(place - middle))
            return in_left[shift + at], in_right[at]
        # No boundary in common: the overlap's tokens are the left window's.
        starts = [number for place, number in in_right.items() if place >= middle]
        return len(left.ids), min(starts, default=int(np.int64(len(right.ids))))
