"""What is to be written: a task for each text, named by a hash of all that decides the text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np

from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.languages import LanguageIdentifier
from cptstudio.corpus.manifest import STATUSES
from cptstudio.study import templates
from cptstudio.study.settings import StudySettings, sampling_of
from cptstudio.study.strategies import Strategy, chosen_strategies
from cptstudio.study.unknown import UnknownFacts
from cptstudio.study.words import look, names_in
from cptstudio.writers.passages import CountTokens, cut

_FORMAT: Final = 1
_TRAIN: Final = STATUSES.index("train")
_LEAST_TEXT: Final = 40
"""Bytes of a passage; shorter ones are headings and page numbers."""


@dataclass(frozen=True)
class Passage:
    """A part of a document that texts are made of.

    Attributes:
        document: its number in the corpus.
        source: label of the file that it came from, with its place there.
        place: which passage of the document, from 0.
        sha256: of its text.
    """

    document: int
    source: str
    place: int
    text: str
    sha256: str


@dataclass(frozen=True)
class Task:
    """A text to write.

    Attributes:
        key: hash of passage, strategy, prompt, pair, writer, sampling and seed.
        wording: from 0.
        prompt: hash of what the model is told but the passage.
        pair: what is connected; empty strings where it is no such strategy.
        lists: it asks for the things that a passage names, not for a text.
        by_rules: the templates write it.
    """

    key: str
    passage: Passage
    strategy: Strategy
    wording: int
    prompt: str
    seed: int
    pair: tuple[str, str] = ("", "")
    lists: bool = False
    by_rules: bool = False

    @property
    def style(self) -> str:
        """How it is written; the rules know no styles."""
        if self.by_rules:
            return f"wording {self.wording + 1}"
        return self.strategy.style(self.wording)

    @property
    def counted(self) -> bool:
        """Whether it is one of the texts."""
        return not self.lists

    def noted(self) -> dict[str, Any]:
        """Return what is kept with its text."""
        return {"strategy": self.strategy.name, "lists": self.lists}

    def messages(self) -> list[dict[str, str]]:
        """Return what a model is asked."""
        if self.lists:
            return self.strategy.list_messages(self.passage.text)
        return self.strategy.messages(self.passage.text, self.wording, *self.pair)


def passages_of(
    corpus: Corpus,
    settings: StudySettings,
    tokens: CountTokens,
    aim: UnknownFacts | None = None,
) -> Iterator[Passage]:
    """Yield the passages of a corpus's training documents; held-out ones are never looked at.

    Args:
        aim: only passages that hold one of these facts.
    """
    store = corpus.documents
    numbers = np.flatnonzero(store.records["status"] == _TRAIN)
    limit = settings.passages
    if limit is not None and len(numbers) > limit and aim is None:
        # Spread evenly, so that few passages are of the whole corpus.
        numbers = numbers[np.linspace(0, len(numbers) - 1, limit).astype(np.int64)]
    each = None if limit is None or aim is not None else -(-limit // max(1, len(numbers)))
    given = 0
    try:
        for number in numbers.tolist():
            record = store.records[number]
            source, member = int(record["source"]), int(record["member"])
            label = corpus.source_labels([source])[source] + (f" #{member + 1}" if member else "")
            parts = cut(store.text(number), settings.passage_tokens, tokens)[:each]
            for place, text in enumerate(parts):
                if limit is not None and given >= limit:
                    return
                data = text.encode()
                if len(data) < _LEAST_TEXT:
                    continue
                if aim is not None and not aim.concern(bytes(record["hash"]).hex(), text):
                    continue
                given += 1
                digest = hashlib.sha256(data).hexdigest()
                yield Passage(number, label, place, text, digest)
    finally:
        store.close()


class TaskMaker:
    """Makes the tasks of passages.

    Args:
        settings: what is asked for.
        writer: what identifies the writer: another one writes other texts.
        by_rules: the writer is the templates, which write some strategies of English texts alone.
    """

    def __init__(
        self, settings: StudySettings, writer: Mapping[str, Any], *, by_rules: bool
    ) -> None:
        self._settings = settings
        self._strategies = chosen_strategies(settings.strategies)
        self._by_rules = by_rules
        self._given: dict[str, Any] = {"format": _FORMAT, "writer": dict(writer)}
        if not by_rules:
            self._given["sampling"] = sampling_of(settings)
        self._identifier = LanguageIdentifier()
        self.not_english = 0

    def language(self, text: str) -> str:
        """Return in which language a text is."""
        return self._identifier.language(text)

    def lists(self, passage: Passage) -> Iterator[Task]:
        """Yield the task that asks a model for the things that a passage names, if it is needed."""
        for strategy in self._strategies:
            if strategy.kind == "pairs" and not self._by_rules:
                yield self._task(passage, strategy, 0, lists=True)

    def texts(
        self, passage: Passage, listed: Callable[[Task], str | None] = lambda task: None
    ) -> Iterator[Task]:
        """Yield the texts to write of a passage.

        Args:
            listed: what was answered to a task of `lists`; None where nothing was, yet.
        """
        if self._by_rules and self.language(passage.text) != templates.LANGUAGE:
            self.not_english += 1
            return
        numbers: frozenset[str] | None = None
        for strategy in self._strategies:
            if strategy.needs == "numbers":
                numbers = look(passage.text).numbers if numbers is None else numbers
                if not numbers:
                    continue
            pairs = [("", "")]
            if strategy.kind == "pairs":
                asked = next(self.lists(passage), None)
                answer = None if asked is None else listed(asked)
                pairs = _pairs(passage.text, answer, self._settings.pairs)
            for pair in pairs:
                for wording in range(self._settings.wordings):
                    yield self._task(passage, strategy, wording, pair)

    def _task(
        self,
        passage: Passage,
        strategy: Strategy,
        wording: int,
        pair: tuple[str, str] = ("", ""),
        *,
        lists: bool = False,
    ) -> Task:
        prompt = strategy.digest(wording)
        seed = (self._settings.seed + wording) % 2**32
        inputs = {
            **self._given,
            "passage": passage.sha256,
            "strategy": strategy.name,
            # The rules know no prompts; which of their wordings it is, does.
            "prompt": wording if self._by_rules else prompt,
            "pair": pair,
            "seed": self._settings.seed if self._by_rules else seed,
            "lists": lists,
        }
        text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
        key = hashlib.sha256(text.encode()).hexdigest()[:32]
        return Task(key, passage, strategy, wording, prompt, seed, pair, lists, self._by_rules)


def _pairs(text: str, answer: str | None, most: int) -> list[tuple[str, str]]:
    """Pairs of what a passage names: as a model listed it, else by the rules for names."""
    listed = [line.strip(" \t-*•.0123456789)") for line in (answer or "").splitlines()]
    # What the passage does not have was not listed but invented.
    names = list(dict.fromkeys(name for name in listed if 1 < len(name) <= 100 and name in text))
    if len(names) < 2:
        names = names_in(text)
    # The first ones are the most important; each pair of those comes before others.
    places = sorted(combinations(range(len(names)), 2), key=lambda pair: (sum(pair), pair))
    return [(names[one], names[other]) for one, other in places[:most]]
