"""Cloze facts from documents, without any model.

A name, a number or a term is taken out of the sentence that states it. Distractors are others of
the same kind and shape from the same corpus: numbers of the same form and magnitude, names of as
many words written alike, terms that stand in the corpus in the same places with the same ending.
So a guess by looks alone is right about as often as chance, and knowledge can be told from it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from cptstudio.facts.cloze_words import KINDS, Found, Kind, Vocabulary
from cptstudio.facts.sentences import Sentence, sentences_of
from cptstudio.ledgers.fact import GAP, Fact, FactText, Made, Source, fact_of, plain
from cptstudio.ledgers.likeness import luck

FEWEST_DISTRACTORS: Final = 3
_MOST_OF_ONE_ANSWER = 2
_LABEL = 1_000
_ONE_THING = 0.85


@dataclass(frozen=True)
class Document:
    """A document that facts are made of.

    Attributes:
        hash: of its text, hexadecimal.
        label: what the user knows it by.
        text: the whole.
        held_out: no run on the corpus trains on it.
    """

    hash: str
    label: str
    text: str
    held_out: bool


@dataclass(frozen=True)
class _Candidate:
    """A place in a sentence of a document."""

    document: int
    sentence: Sentence
    found: Found
    rank: float

    @property
    def answer(self) -> str:
        return self.sentence.text[self.found.start : self.found.end]


@dataclass(frozen=True)
class ClozeSettings:
    """How cloze facts are made.

    Attributes:
        count: facts at most.
        kinds: what is asked for.
        distractors: wrong answers of each, at most.
        held_out_share: part of the facts that are of held-out documents, as far as there are any.
        seed: decides among equals; the same corpus and seed give the same facts.
    """

    count: int
    kinds: tuple[Kind, ...] = KINDS
    distractors: int = 9
    held_out_share: float = 0.2
    seed: int = 0


def make_cloze(
    documents: Iterable[Document],
    corpus: str,
    settings: ClozeSettings,
    tell: Callable[[int], None] = lambda done: None,
) -> tuple[list[Fact], dict[str, int]]:
    """Make facts of a corpus's documents.

    Args:
        documents: in the corpus's order.
        corpus: its name.
        settings: how.
        tell: told the documents that were read.

    Returns:
        The facts in the order of the documents, and what was counted: "documents", "sentences",
        "sound" sentences, "candidates", "without_distractors".
    """
    kept: list[Document] = []
    words, sound, total = Vocabulary(), [], 0
    for number, document in enumerate(documents):
        kept.append(Document(document.hash, document.label, "", document.held_out))
        for sentence in sentences_of(document.text):
            total += 1
            words.look(sentence.text)
            if sentence.sound:
                sound.append((number, sentence))
        tell(number + 1)
    candidates = [
        _Candidate(
            number,
            sentence,
            found,
            found.worth + luck(f"{settings.seed}:{found.start}:{sentence.text}"),
        )
        for number, sentence in sound
        for found in words.found(sentence.text)
        if found.kind in settings.kinds
    ]
    maker = _Maker(words, corpus, settings)
    facts = maker.choose(candidates, kept)
    counts = {"documents": len(kept), "sentences": total, "sound": len(sound)}
    return facts, counts | {"candidates": len(candidates), "without_distractors": maker.without}


class _Maker:
    """Chooses among candidates, and gives each its distractors."""

    def __init__(self, words: Vocabulary, corpus: str, settings: ClozeSettings) -> None:
        self._words = words
        self._corpus = corpus
        self._settings = settings
        self._used: Counter[str] = Counter()
        self._asked: set[str] = set()
        self.without = 0

    def choose(self, candidates: list[_Candidate], documents: list[Document]) -> list[Fact]:
        """Return facts of held-out and of other documents, in the documents' order."""
        groups: dict[bool, list[_Candidate]] = {True: [], False: []}
        for one in candidates:
            groups[documents[one.document].held_out].append(one)
        count = self._settings.count
        wanted = round(count * self._settings.held_out_share) if groups[False] else count
        chosen = self._best(groups[True], documents, wanted)
        chosen += self._best(groups[False], documents, count - len(chosen))
        return [fact for _, fact in sorted(chosen, key=lambda pair: pair[0])]

    def _best(
        self, candidates: list[_Candidate], documents: list[Document], count: int
    ) -> list[tuple[int, Fact]]:
        """Of all documents what is worth most; the rest only where that is too little."""
        good = [one for one in candidates if one.found.worth > 0]
        found = self._spread(good, documents, count)
        others = [one for one in candidates if one.found.worth <= 0]
        return found + self._spread(others, documents, count - len(found))

    def _spread(
        self, candidates: list[_Candidate], documents: list[Document], count: int
    ) -> list[tuple[int, Fact]]:
        """The best of each document in turns, so that no long one has all of them."""
        queues: dict[int, list[_Candidate]] = defaultdict(list)
        for one in sorted(candidates, key=lambda one: one.rank):
            queues[one.document].append(one)
        found: list[tuple[int, Fact]] = []
        while len(found) < count and queues:
            for number in sorted(queues):
                # A document's share grows with its candidates, though less than in proportion.
                for _ in range(max(1, round(len(queues[number]) ** 0.5 / 4))):
                    fact = self._next(queues[number], documents[number])
                    if fact is None or len(found) >= count:
                        break
                    found.append((number, fact))
            queues = {number: queue for number, queue in queues.items() if queue}
        return found

    def _next(self, queue: list[_Candidate], document: Document) -> Fact | None:
        while queue:
            one = queue.pop()
            sentence = plain(one.sentence.text)
            if sentence in self._asked or self._used[one.answer] >= _MOST_OF_ONE_ANSWER:
                continue
            wrong = self._distractors(one)
            if len(wrong) < min(FEWEST_DISTRACTORS, self._settings.distractors):
                self.without += 1
                continue
            self._asked.add(sentence)
            self._used[one.answer] += 1
            return self._fact(one, document, wrong)
        return None

    def _fact(self, one: _Candidate, document: Document, wrong: tuple[str, ...]) -> Fact:
        text = one.sentence.text
        given = FactText(
            answer=one.answer,
            cloze=text[: one.found.start] + GAP + text[one.found.end :],
            distractors=wrong,
            source=Source(
                corpus=self._corpus,
                document=document.hash,
                label=document.label[:_LABEL],
                sentence=text,
                context=one.sentence.context,
            ),
        )
        return fact_of(given, Made(by="cloze", kind=one.found.kind, seed=self._settings.seed))

    def _distractors(self, one: _Candidate) -> tuple[str, ...]:
        text, answer, start = one.sentence.text, one.answer, one.found.start
        around = plain(one.sentence.context)
        pool = self._words.alike(one.found.kind, answer, text, start, self._settings.seed)
        found: list[str] = []
        for other in pool:
            if len(found) == self._settings.distractors:
                break
            words = one.found.kind != "number"
            if other == answer or (words and _may_mean(other, answer)):
                continue
            # What stands beside it may be true here as well, and so may what stands elsewhere.
            filled = text[:start] + other + text[one.found.end :]
            if plain(other) in around or plain(filled) in self._words.sentences:
                continue
            found.append(other)
        return tuple(found)


def _may_mean(one: str, other: str) -> bool:
    """Return whether two names may be spellings of one thing, for all that a rule can tell."""
    a, b = plain(one), plain(other)
    return a in b or b in a or SequenceMatcher(None, a, b).ratio() >= _ONE_THING
