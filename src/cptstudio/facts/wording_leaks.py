"""Finds texts by their wording in other texts: changed case, marks or a word do not hide one.

Texts are compared as words: Unicode's compatibility form, case and marks aside. Where three words
of a text stand in a row, the place around them is looked at: it holds the text when it has three
quarters of its words, weighted by how few of the texts that are looked for have them, and as many
of its rarest ones. So sentences of one pattern about different things are told apart.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

FEWEST_WORDS: Final = 4
"""Shorter texts stand anywhere."""
SHARE: Final = 0.75
_GRAM = 3
_SLACK = 3
_RAREST = 0.95
"""Words with nearly the highest weight say what a text is about."""
_WORD = re.compile(r"\w+")
_SHOWN = 300


@dataclass(frozen=True)
class Place:
    """Where a text was found.

    Attributes:
        number: of the text.
        share: of its weighted words that stand there.
        excerpt: what stands there.
    """

    number: int
    share: float
    excerpt: str


def words_of(text: str) -> list[str]:
    """Return the words by which texts are compared."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


class WordingIndex:
    """Texts that are looked for.

    Args:
        texts: those with fewer than `FEWEST_WORDS` words are never found.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = [words_of(text) for text in texts]
        self._grams: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
        frequent: Counter[str] = Counter()
        for number, words in enumerate(self._words):
            frequent.update(set(words))
            if len(words) < FEWEST_WORDS:
                continue
            for place in range(len(words) - _GRAM + 1):
                self._grams[tuple(words[place : place + _GRAM])].append((number, place))
        count = len(self._words)
        self._weight = {word: math.log((count + 1) / often) for word, often in frequent.items()}

    @property
    def too_short(self) -> int:
        """How many texts are too short to be found."""
        return sum(len(words) < FEWEST_WORDS for words in self._words)

    def find(self, text: str) -> Iterator[Place]:
        """Yield which of the texts stand in another one, each once, at its best place."""
        plain = unicodedata.normalize("NFKC", text)
        spans = [match.span() for match in _WORD.finditer(plain)]
        words = [plain[start:end].casefold() for start, end in spans]
        best: dict[int, tuple[float, int, int]] = {}
        looked: set[tuple[int, int]] = set()
        for place in range(len(words) - _GRAM + 1):
            for number, inside in self._grams.get(tuple(words[place : place + _GRAM]), ()):
                begin = max(0, place - inside)
                if (number, begin) in looked:
                    continue
                looked.add((number, begin))
                first = max(0, begin - _SLACK)
                last = min(len(words), begin + len(self._words[number]) + _SLACK)
                share = self._share(number, words[first:last])
                if share >= SHARE and share > best.get(number, (0.0, 0, 0))[0]:
                    best[number] = share, spans[first][0], spans[last - 1][1]
        for number, (share, start, end) in sorted(best.items()):
            yield Place(number, share, " ".join(plain[start:end].split())[:_SHOWN])

    def _share(self, number: int, there: Sequence[str]) -> float:
        wanted, found = Counter(self._words[number]), Counter(there)
        whole = sum(self._weight[word] * often for word, often in wanted.items())
        here = sum(self._weight[word] * min(often, found[word]) for word, often in wanted.items())
        most = _RAREST * max(self._weight[word] for word in wanted)
        rarest = [word for word in wanted if self._weight[word] >= most]
        if sum(word in found for word in rarest) < SHARE * len(rarest):
            return 0.0
        return here / whole if whole else 0.0
