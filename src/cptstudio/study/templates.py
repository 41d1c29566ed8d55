"""Writes without any model: rewordings of single English sentences by rules.

What comes is true to its source, since every name and number is carried over as it stands, and it
is poor: the words stay, their order and their frame change. A sentence that no rule fits is framed
only. Strategies that need to understand the passage cannot be written like this (`CAN`). It is for
demonstrations and measurements of how many wordings a fact needs, where a model would add what
nobody controls.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from typing import Final

from cptstudio.study.words import OPENERS, names_in
from cptstudio.writers.passages import sentences_of

VERSION: Final = 1
CAN: Final = ("paraphrase", "questions", "entities", "timeline", "terms")
LANGUAGE: Final = "English"

FRAMES: Final = (
    "{S}",
    "According to the text, {s}",
    "It is a fact that {s}",
    "Remember: {S}",
    "Note that {s}",
    "It is worth knowing that {s}",
    "The following is true: {S}",
    "{S} This is certain.",
    "Keep in mind that {s}",
    "Readers learn that {s}",
    "To put it plainly, {s}",
    "For the record, {s}",
    "It has been noted that {s}",
    "One fact is that {s}",
    "Here is what is known: {S}",
    "As the source has it, {s}",
    "{S} So it is recorded.",
    "Whoever asks will hear that {s}",
)
_GAPS: Final = (
    'Question: What is missing here: "{gap}"?\nAnswer: {answer}',
    'Question: Complete this sentence: "{gap}"\nAnswer: {sentence}',
    'Question: "{gap}" Which words belong in the gap?\nAnswer: It is {answer}. {sentence}',
    'Question: Fill in the gap. "{gap}"\nAnswer: {answer}. The whole sentence: {sentence}',
)
_GAP: Final = "____"
_YEAR: Final = re.compile(r"\b(1\d{3}|20\d{2})\b")
_NUMBER: Final = re.compile(r"(?<![\w.,])\d[\d.,]*(?<=\d)")
_TIME: Final = (
    r"(?:[Ii]n|[Ss]ince|[Oo]n|[Dd]uring|[Uu]ntil|[Bb]efore|[Aa]fter) [^,.;:()]{2,40}?\d{1,4}"
)
_LEADING: Final = re.compile(rf"({_TIME}), ([^;:]+)\.")
_TRAILING: Final = re.compile(rf"([^;:]+?) ({_TIME})\.")
_COPULA: Final = re.compile(r"((?:\S+ ){1,6})(is|was) (the [^,;:]+)\.")
_DONE: Final = (
    r"\w+ed|built|made|written|led|found|won|drawn|sold|bought|taught|held|kept|sung|grown|worn|"
    r"brought|given|known|shown|seen|taken|spoken|chosen"
)
_PAST: Final = {"written": "wrote", "drawn": "drew", "sung": "sang", "grown": "grew",
                "worn": "wore", "given": "gave", "known": "knew", "shown": "showed", "seen": "saw",
                "taken": "took", "spoken": "spoke", "chosen": "chose"}  # fmt: skip
_PASSIVE: Final = re.compile(
    rf"([^,;:]+?) (was|were) ({_DONE}) by ([^,;:]+?)"
    r"((?: (?:in|on|at|from|for|with|during) [^,;:]+)?)\."
)
_ANAPHORA: Final = frozenset(
    ("it", "its", "he", "his", "she", "her", "they", "their", "this", "these", "that", "those",
     "however", "but", "and", "or", "so", "then", "therefore", "thus", "also", "both", "such",
     "there", "here", "instead", "moreover", "furthermore", "later", "afterwards", "since", "yet")
)  # fmt: skip


def write(strategy: str, passage: str, wording: int, seed: int, pair: tuple[str, str]) -> str:
    """Return a text of a passage, "" where the rules find nothing to write.

    Args:
        wording: from 0; another one is another text, as far as the passage allows it.
        pair: of the strategy "entities".
    """
    sentences = [one for one in sentences_of(passage) if one[-1:] in ".!?" and len(one.split()) > 2]
    if not sentences:
        return ""
    digest = hashlib.sha256(f"{seed}\0{passage}".encode()).digest()
    chance = random.Random(int.from_bytes(digest[:8], "big"))
    if strategy == "paraphrase":
        return _paraphrase(sentences, wording, chance)
    if strategy == "questions":
        return "\n\n".join(
            asked for one in sentences if (asked := _question(one, wording, chance.randrange(99)))
        )
    if strategy == "terms":
        return _terms(sentences, alphabetical=wording % 2 == 0)
    if strategy == "timeline":
        dated = sorted((year[0], one) for one in sentences if (year := _YEAR.search(one)))
        return "\n".join(f"{year}: {one}" for year, one in dated)
    return _together(sentences, pair, wording, chance)


def rewordings(sentence: str) -> list[str]:
    """Return a sentence in all wordings that the rules know, itself first; each once."""
    forms = [sentence]
    for rule in _RULES:
        forms += [changed for form in list(forms) if (changed := rule(form)) is not None]
    made = [
        frame.format(S=form, s=_lowered(form)) for frame in FRAMES for form in dict.fromkeys(forms)
    ]
    return list(dict.fromkeys(made))


def _paraphrase(sentences: list[str], wording: int, chance: random.Random) -> str:
    written = []
    for sentence in sentences:
        known = rewordings(sentence)
        # The source's own words come last: they are in the source.
        own, others = known[0], known[1:]
        chance.shuffle(others)
        written.append([*others, own][wording % len(known)])
    if wording % 2 and not any(_leans(one) for one in sentences[1:]):
        # Sentences that lean on the one before keep their places.
        at = 1 + wording // 2 % len(written)
        written = written[at:] + written[:at]
    return " ".join(written)


def _question(sentence: str, wording: int, start: int) -> str:
    asked = [made for rule in (_who, _what) if (made := rule(sentence)) is not None]
    gaps = [*names_in(sentence), *_NUMBER.findall(sentence)]
    for at in range(len(_GAPS)):
        for answer in gaps:
            gap = re.sub(rf"(?<!\w){re.escape(answer)}(?!\w)", _GAP, sentence, count=1)
            asked.append(_GAPS[at].format(gap=gap, answer=answer, sentence=sentence))
    return asked[(wording + (start if wording >= len(asked) else 0)) % len(asked)] if asked else ""


def _who(sentence: str) -> str | None:
    found = _PASSIVE.fullmatch(sentence)
    if found is None:
        return None
    thing, be, done, _, rest = found.groups()
    return f"Question: By whom {be} {_lowered(thing)} {done}{rest}?\nAnswer: {sentence}"


def _what(sentence: str) -> str | None:
    found = _COPULA.fullmatch(sentence)
    return found and f"Question: What {found[2]} {found[3]}?\nAnswer: {sentence}"


def _terms(sentences: list[str], *, alphabetical: bool) -> str:
    first: dict[str, str] = {}
    for sentence in sentences:
        for name in names_in(sentence):
            first.setdefault(name, sentence)
    names = sorted(first, key=str.casefold) if alphabetical else list(first)
    return "\n".join(f"{name}: {first[name]}" for name in names)


def _together(
    sentences: list[str], pair: tuple[str, str], wording: int, chance: random.Random
) -> str:
    about = [one for one in sentences if any(name in one for name in pair)]
    if not all(any(name in one for one in about) for name in pair):
        return ""
    heads = (
        "How are {} and {} connected?",
        "What the text says of {} and of {}:",
        "Of {} and {} this is known.",
    )
    return f"{heads[wording % len(heads)].format(*pair)} {_paraphrase(about, wording, chance)}"


def _front(sentence: str) -> str | None:
    """Make: "In 1912, it opened." of: "It opened in 1912."."""
    found = _TRAILING.fullmatch(sentence)
    if found is None or "," in found[1]:
        return None
    return f"{found[2][0].upper()}{found[2][1:]}, {_lowered(found[1])}."


def _back(sentence: str) -> str | None:
    """Make: "It opened in 1912." of: "In 1912, it opened."."""
    found = _LEADING.fullmatch(sentence)
    if found is None or "," in found[2]:
        return None
    return f"{found[2][0].upper()}{found[2][1:]} {found[1][0].lower()}{found[1][1:]}."


def _turned(sentence: str) -> str | None:
    """Make: "The capital of Zorbia is Marn." of: "Marn is the capital of Zorbia."."""
    found = _COPULA.fullmatch(sentence)
    if found is None or _leans(sentence) or re.search(r"\b(?:that|which|who)\b", found[3]):
        return None
    return f"T{found[3][1:]} {found[2]} {_lowered(found[1].strip())}."


def _active(sentence: str) -> str | None:
    """Make: "Ana Orr built the bridge." of: "The bridge was built by Ana Orr."."""
    found = _PASSIVE.fullmatch(sentence)
    if found is None or _leans(sentence):
        return None
    thing, _, done, who, rest = found.groups()
    if thing[0].islower() or " and " in who:
        return None
    return f"{who[0].upper()}{who[1:]} {_PAST.get(done, done)} {_lowered(thing)}{rest}."


_RULES: Final[tuple[Callable[[str], str | None], ...]] = (_active, _turned, _back, _front)


def _leans(sentence: str) -> bool:
    return re.split(r"\W", sentence.casefold(), maxsplit=1)[0] in _ANAPHORA


def _lowered(text: str) -> str:
    """Return what stands inside a sentence: ordinary first words lose their capital."""
    first = re.split(r"\W", text, maxsplit=1)[0]
    if first != "A" and (first.casefold() not in OPENERS or first.isupper()):
        return text
    return text[0].lower() + text[1:]
