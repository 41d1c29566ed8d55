"""Names, numbers and terms of a corpus's prose: what is one, how often, and which are alike."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from cptstudio.ledgers.fact import plain
from cptstudio.ledgers.likeness import NUMBER, form_of, luck, shape

Kind = Literal["name", "number", "term"]
KINDS: Final[tuple[Kind, ...]] = ("name", "number", "term")
_RARE = 12
_NEAR = 4
_LIKE = 0.2
_FAMILY = 3
_FEWEST_IN_FAMILY = 4
_WORDS = re.compile(r"[A-Za-z\u00c0-\u024f][A-Za-z\u00c0-\u024f0-9+/-]*")
_CAPITAL = r"[A-Z\u00c0-\u00de][A-Za-z\u00c0-\u024f0-9+]*(?:-[A-Za-z0-9\u00c0-\u024f]+)*"
_NAME = re.compile(rf"(?<![\w-]){_CAPITAL}(?: {_CAPITAL}){{0,3}}(?![\w-])")
_TERM = re.compile(r"(?<![\w-])[a-z]{5,}(?:-[a-z]+)*(?![\w-])")
_CITED = re.compile(
    r"(?:section|chapter|figure|fig\.|table|page|pages|pp?\.|vol\.|no\.|item|step|note|footnote|"
    r"equation|line|example|appendix|part)\s*$",
    re.IGNORECASE,
)
_BEFORE_TERM = re.compile(
    r"\b(?:called|termed|known as|named|referred to as|defined as) (?:an? |the )?$"
)
_FIRST_TERM = re.compile(r"^An? $")
_AFTER_TERM = re.compile(r"(?: (?:of|is|are|was|in|to|for|and|which|that)\b|[.,;:])")
_RANGE = re.compile(r"\d+ (?:to|and|or|through) $"), re.compile(r"^ (?:to|and|or|through) \d")
_ADJECTIVE = re.compile(
    r"-(?:a?like|speaking|based|style|related|only|specific|using|level|wide|free|aware|dependent)$"
)
_NO_NAME_WORDS = "The A An In On For Of At By To From With This That And Or If As"
_NO_NAME = frozenset(_NO_NAME_WORDS.split())
_DEFINES = re.compile(r"^ (?:is|are|was|were|means|denotes|refers to) ")
_ENDINGS = ("ation", "ment", "ness", "ity", "ies", "ers", "ion", "er", "es", "s")
_NO_NOUN = (
    "ed",
    "ing",
    "ly",
    "ive",
    "ous",
    "ful",
    "ible",
    "able",
    "ical",
    "ant",
    "ent",
    "al",
    "ic",
)
_COMMON_WORDS = """
about above across after again against almost along already although always among amount another
anything around because become before behind being below between beyond bring built called cannot
case certain change common could course default different directly during each either enough
especially even every example except few fewer first following found further general given great
happen having however include included includes including instead into itself large larger last
later least less like likely longer main making many means might more most much must name named
names nearly necessary never number often once only order other others otherwise part particular
perhaps place possible probably provide provided provides quite rather really reason recent
required results same second several should similar simple simply since small some something
sometimes special standard still such than that their them then there these they thing things
third this those through together under unless until upon used useful user users uses using usual
usually value values various very well were what when where whether which while whole will with
within without would write written years three four five seven eight rest end kind sort type way
side use need help form set list time
"""
_COMMON = frozenset(_COMMON_WORDS.split())


@dataclass(frozen=True)
class Found:
    """A place in a sentence that could be asked for.

    Attributes:
        kind: of what stands there.
        start, end: its characters.
        worth: how well the sentence determines it, by rough signs.
    """

    kind: Kind
    start: int
    end: int
    worth: float


@dataclass
class Vocabulary:
    """What all prose of a corpus has, from which rarity and distractors follow."""

    words: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)
    places: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Of each name and word: what stands before ("< of") and after it ("> of")."""
    spread: Counter[str] = field(default_factory=Counter)
    """Of how many different names and words each such place is one."""
    small: set[str] = field(default_factory=set)
    """Words that are also written small."""
    sentences: set[str] = field(default_factory=set)

    def look(self, text: str) -> None:
        """Take in a sentence."""
        self.sentences.add(plain(text))
        matches = list(_WORDS.finditer(text))
        self.words.update({match.group().lower() for match in matches})
        self.small.update(match.group() for match in matches if match.group().islower())
        for start, end, name in _names(text):
            self.names[name] += 1
            self._place(name, text, start, end)
        for number in NUMBER.finditer(text):
            self.numbers[number.group()] += 1
        for match in matches:
            if match.group().islower() and len(match.group()) >= 5:
                self._place(match.group(), text, match.start(), match.end())

    def _place(self, word: str, text: str, start: int, end: int) -> None:
        around = [*places_of(text, start, end), *_bag(text, start, end)]
        for place in around:
            if place not in self.places[word]:
                self.spread[place] += 1
            self.places[word][place] += 1

    def found(self, text: str) -> Iterator[Found]:
        """Yield what could be asked for in a sentence."""
        specific = [word for word in _WORDS.findall(text)[1:] if self._is_specific(word)]
        for start, end, name in _names(text):
            others = [word for word in specific if word not in name]
            if others and self._is_name(name) and text.count(name) == 1:
                yield Found("name", start, end, 2 * min(3, len(others)) + self._family_worth(name))
        for match in NUMBER.finditer(text):
            before, after = text[: match.start()], text[match.end() :]
            if _CITED.search(before) or _RANGE[0].search(before) or _RANGE[1].match(after):
                continue
            if specific and _is_worth_asking(match.group()):
                yield Found("number", match.start(), match.end(), 2 * min(3, len(specific)) + 0.5)
        for match in _TERM.finditer(text):
            others = [word for word in specific if word != match.group()]
            worth = self._term_worth(match, text)
            if worth is not None and others:
                yield Found("term", match.start(), match.end(), worth + min(3, len(others)))

    def alike(self, kind: Kind, answer: str, text: str, start: int, seed: int) -> list[str]:
        """Return others of the same kind and shape, the likest first.

        Args:
            text: the sentence, in which the answer begins at `start`.
            seed: decides among equals.
        """
        if kind == "number":
            return self._numbers_like(answer)
        here = places_of(text, start, start + len(answer))
        if kind == "name":
            pool = [
                name
                for name, often in self.names.items()
                if shape(name) == shape(answer) and (often > 1 or " " in name)
                if self._is_name(name)
            ]
            often = self.names
        else:
            pool = [word for word in self.small if self._is_like_term(word, answer, here[0])]
            often = self.words
        places, frequency = self.places[answer], often[answer].bit_length()

        likeness = {other: self._likeness(other, places, here) for other in pool}

        def distance(other: str) -> tuple[float, int, float]:
            marks = (_marks(other) != _marks(answer)) / 2
            marks -= (other[-_FAMILY:] == answer[-_FAMILY:]) / 2
            near = abs(often[other].bit_length() - frequency)
            return marks - likeness[other], near, luck(f"{seed}:{start}:{other}")

        # What never stands where the answer does would be told by its looks.
        pool = [other for other in pool if likeness[other] >= _LIKE]
        return sorted(pool, key=distance)

    def _likeness(self, other: str, places: Counter[str], here: Iterable[str]) -> float:
        """How far two stand in the same places; the rarer those are, the more."""
        own = self.places[other]
        same = sum(self._weight(place) for place in own if place in places)
        # What stands in many places shares some with everything.
        whole = math.sqrt(sum(self._weight(place) for place in own))
        return same / whole + sum(self._weight(place) for place in here if place in own) / 2

    def _weight(self, place: str) -> float:
        return (0.3 if place.startswith("~") else 1) / math.log2(2 + self.spread[place])

    def _is_specific(self, word: str) -> bool:
        """A word that says what a sentence is about: a name, or a term that is rare here."""
        if word[0].isupper() and len(word) > 1:
            return word in self.names or not word[1:].islower()
        return len(word) >= 6 and word not in _COMMON and self.words[word] <= _RARE

    def _family_worth(self, name: str) -> float:
        """Whether a name is told from its like by knowing alone: people, codes, one family.

        Single names of other kinds come last: what stands in their place is often absurd.
        """
        if " " in name or any(char.isdigit() for char in name):
            return 0.0
        family = sum(
            other.endswith(name[-_FAMILY:]) and shape(other) == shape(name) for other in self.names
        )
        return 0.0 if len(name) > _FAMILY and family > _FEWEST_IN_FAMILY else -6.0

    def _is_name(self, name: str) -> bool:
        words = name.split()
        letters = [char for char in name if char.isalpha()]
        if len(letters) < 3 or _ADJECTIVE.search(name) or words[0] in _NO_NAME:
            return False
        if len(words) > 1 and words[0].endswith("ing"):
            return False
        if name.endswith("s") and sum(char.isupper() for char in words[-1]) > 1:
            return False  # The plural of an abbreviation.
        if len(words) > 1 and min(map(len, words)) == 1:
            return False
        # A word that is also written small is no name; names of several have one that is not.
        return any(word[1:] and word.lower() not in self.small for word in words)

    def _term_worth(self, match: re.Match[str], text: str) -> float | None:
        word, before = match.group(), text[: match.start()]
        after = text[match.end() :]
        if word in _COMMON or word.endswith(_NO_NOUN) or not 2 <= self.words[word] <= 3 * _RARE:
            return None
        if len(re.findall(rf"\b{word}", text, re.IGNORECASE)) != 1:
            return None
        if _FIRST_TERM.match(before):
            return 4.0 if _DEFINES.match(after) else None
        # What a noun of two words is called is not asked by one of them.
        named = _BEFORE_TERM.search(before) is not None and _AFTER_TERM.match(after) is not None
        return 4.0 if named else None

    def _is_like_term(self, word: str, answer: str, place: str) -> bool:
        return (
            place in self.places[word]
            and _TERM.fullmatch(word) is not None
            and word not in _COMMON
            and not word.endswith(_NO_NOUN)
            and ending(word) == ending(answer)
            and word[:5] != answer[:5]
        )

    def _numbers_like(self, answer: str) -> list[str]:
        value = value_of(answer)
        alike = {
            other
            for other in self.numbers
            if form_of(other) == form_of(answer) and value / 4 <= value_of(other) <= value * 4
        }
        alike.update(neighbors(answer))

        def distance(one: str) -> tuple[int, float, str]:
            apart = abs(value_of(one) - value)
            near = apart <= max(value / 4, 5)
            # Those of the corpus that are near, then what is nearest by its value.
            return 0 if near and one in self.numbers else 1, apart, one

        return sorted(alike, key=distance)


def _names(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _NAME.finditer(text):
        before = text[: match.start()]
        quoted = before.count("\u201c") > before.count("\u201d") or before.count('"') % 2
        if before and not quoted and not before.rstrip().endswith((".", "?", "!", ":", "\u2018")):
            yield match.start(), match.end(), match.group()


def places_of(text: str, start: int, end: int) -> tuple[str, str]:
    """Return the words or marks before and after a place."""
    before = re.search(r"(\w+|[^\w\s])\s*$", text[:start])
    after = re.match(r"\s*(\w+|[^\w\s])", text[end:])
    return (
        f"< {before.group(1).lower() if before else ''}",
        f"> {after.group(1).lower() if after else ''}",
    )


def _bag(text: str, start: int, end: int) -> list[str]:
    """The words of some length that stand near a place."""
    before = re.findall(r"[A-Za-z\u00c0-\u024f]{4,}", text[:start])[-_NEAR:]
    after = re.findall(r"[A-Za-z\u00c0-\u024f]{4,}", text[end:])[:_NEAR]
    return [f"~ {word.lower()}" for word in (*before, *after)]


def _marks(name: str) -> tuple[bool, bool, bool]:
    """What strikes the eye in a name besides its letters' case."""
    return "-" in name, any(char.isdigit() for char in name), name.endswith("s")


def _is_worth_asking(number: str) -> bool:
    digits = number.rstrip("%").replace(",", "")
    return len(digits) >= 2 and digits not in ("10", "100", "1000")


def value_of(number: str) -> float:
    """Return a number's value; of a version such as 4.2.1, its parts count by thousandths."""
    parts = number.rstrip("%").replace(",", "").split(".")
    value = float(parts[0])
    for place, part in enumerate(parts[1:], 1):
        value += float(part) / (10 ** len(part) if len(parts) == 2 else 1000**place)
    return value


def neighbors(number: str) -> list[str]:
    """Return numbers near one, in its form."""
    percent = "%" if number.endswith("%") else ""
    parts = number.rstrip("%").split(".")
    last = parts[-1].replace(",", "")
    wide = len(parts) == 2 or last.startswith("0")
    found = []
    for step in (1, 2, 3, 5, 8, 13, 21):
        for value in (int(last) + step, int(last) - step):
            if value >= 0:
                text = f"{value:,}" if "," in parts[-1] else str(value)
                text = text.zfill(len(last)) if wide else text
                found.append(".".join([*parts[:-1], text]) + percent)
    return [one for one in found if form_of(one) == form_of(number)]


def ending(word: str) -> str:
    """Return the ending by which nouns are told apart."""
    return next((one for one in _ENDINGS if word.endswith(one)), "")
