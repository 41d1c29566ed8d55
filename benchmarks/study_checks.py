"""How often the check of names and numbers is wrong: true texts dropped, mistakes let by.

    python -m benchmarks.study_checks

Passages about things that do not exist, each reworded by hand three times without any mistake, as a
good writer would; then mistakes are planted in the rewordings, one at a time, by rules and seeds.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Callable, Iterator, Set
from pathlib import Path

from cptstudio.intervals import share_of
from cptstudio.study.words import Found, doubtful, invented, look, names_in

OTHERS = ("Brannock", "Tilsa", "Ferrow", "Quenby", "Ostrava", "Maren Holt", "Dunmoor", "Ivo Sand")
WORDS = ("four", "five", "six", "seven", "eight", "nine", "eleven", "twelve", "thirteen", "thirty")
_GIVEN = tomllib.loads(Path(__file__).with_suffix("").with_name("study_passages.toml").read_text())
PASSAGES = [(one["text"], one["rewordings"]) for one in _GIVEN["passage"]]
Plant = Callable[[str, random.Random], str | None]


def _number(text: str, chance: random.Random, change: Callable[[str], str]) -> str | None:
    found = list(re.finditer(r"(?<![\w.,])\d[\d,]*\d(?![\w.,]*\d)", text))
    if not found:
        return None
    one = chance.choice(found)
    return text[: one.start()] + change(one[0]) + text[one.end() :]


def digit(text: str, chance: random.Random) -> str | None:
    """Another last digit."""
    return _number(text, chance, lambda n: n[:-1] + str((int(n[-1]) + chance.randint(1, 9)) % 10))


def swapped(text: str, chance: random.Random) -> str | None:
    """Two digits exchanged."""
    made = _number(text, chance, lambda n: n[:-2] + n[-1] + n[-2])
    return None if made == text else made


def ten_times(text: str, chance: random.Random) -> str | None:
    """Ten times as many."""
    return _number(text, chance, lambda n: f"{int(n.replace(',', '')) * 10:,}")


def in_words(text: str, chance: random.Random) -> str | None:
    """A wrong number, in words."""
    return _number(text, chance, lambda _: chance.choice(WORDS))


def _name(text: str, chance: random.Random, change: Callable[[str], str]) -> str | None:
    names = names_in(text)
    if not names:
        return None
    name = chance.choice(names)
    return re.sub(rf"\b{re.escape(name)}\b", lambda _: change(name), text, count=1)


def misspelled(text: str, chance: random.Random) -> str | None:
    """A letter of a name changed."""

    def change(name: str) -> str:
        at = chance.randrange(1, len(name))
        return (
            name[:at] + chance.choice("bdfgklmprtvz".replace(name[at].lower(), "")) + name[at + 1 :]
        )

    return _name(text, chance, change)


def another(text: str, chance: random.Random) -> str | None:
    """A name that the passage does not have, in the place of one."""
    return _name(text, chance, lambda _: chance.choice(OTHERS))


def opening(text: str, chance: random.Random) -> str | None:
    """A sentence more that begins with a name of its own."""
    return f"{text} {chance.choice(OTHERS)} was there, too."


def acronym(text: str, chance: random.Random) -> str | None:
    """An organization more."""
    return f"{text} The {''.join(chance.sample('BCDFGKLMNPRST', 3))} confirmed this."


def exchanged(text: str, chance: random.Random) -> str | None:
    """A name of the passage in the place of another one: nothing that the check can see."""
    names = names_in(text)
    if len(names) < 2:
        return None
    one, other = chance.sample(names, 2)
    return re.sub(rf"\b{re.escape(one)}\b", lambda _: other, text, count=1)


PLANTS: dict[str, Plant] = {
    "another last digit": digit,
    "two digits exchanged": swapped,
    "ten times as many": ten_times,
    "wrong number in words": in_words,
    "letter of a name changed": misspelled,
    "another name": another,
    "name at a sentence's beginning": opening,
    "acronym": acronym,
    "names of the passage exchanged": exchanged,
}
SEEN = tuple(PLANTS)[:-1]
"""What the check is there to find."""


def pairs() -> Iterator[tuple[str, str]]:
    """Yield each passage with each of its rewordings."""
    for passage, texts in PASSAGES:
        for text in texts:
            yield passage, text


def flagged(text: str, source: Found, small: Set[str], *, unsure: bool = False) -> bool:
    """Return whether the check is sure of a mistake, or only unsure."""
    made = look(text, made=True)
    return bool(doubtful(made, source, small) if unsure else invented(made, source))


def ordinary() -> set[str]:
    """Return words that are no names, as the product knows them: texts write them small."""
    small = {word for passage, _ in PASSAGES for word in look(passage).small}
    once: set[str] = set()
    for _, text in pairs():
        found = look(text).small
        small |= found & once
        once |= found
    return small


def alarms(*, unsure: bool = False) -> list[str]:
    """Return the true texts in which the check finds a mistake, or is unsure."""
    small = ordinary()
    return [text for passage, text in pairs() if flagged(text, look(passage), small, unsure=unsure)]


def planted(seeds: int = 10) -> dict[str, tuple[int, int, int]]:
    """Return by kind of mistake: found, of the others those that are doubted, and all."""
    small = ordinary()
    counts: dict[str, tuple[int, int, int]] = dict.fromkeys(PLANTS, (0, 0, 0))
    for number, (passage, text) in enumerate(pairs()):
        source = look(passage)
        if flagged(text, source, small):
            continue
        before = flagged(text, source, small, unsure=True)
        for kind, plant in PLANTS.items():
            for seed in range(seeds):
                made = plant(text, random.Random(f"{number} {kind} {seed}"))
                if made is None or made == text:
                    continue
                found = flagged(made, source, small)
                doubts = not found and not before and flagged(made, source, small, unsure=True)
                one, other, count = counts[kind]
                counts[kind] = one + found, other + doubts, count + 1
    return counts


def main() -> None:
    """Print the table of docs/study.md."""
    texts = sum(1 for _ in pairs())
    for words, wrong in (("dropped", alarms()), ("doubted", alarms(unsure=True))):
        share = share_of([at < len(wrong) for at in range(texts)])
        assert share is not None
        interval = f"95%: {share.low:.0%} to {share.high:.0%}"
        print(f"True texts {words}: {len(wrong)} of {texts} ({interval})")
    print("| Planted mistake | Dropped | Doubted |\n|---|--:|--:|")
    found = planted()
    for kind, (right, doubts, count) in found.items():
        print(f"| {kind} | {right:,} of {count:,} ({right / count:.0%}) | {doubts:,} |")
    right, count = (sum(found[kind][at] for kind in SEEN) for at in (0, 2))
    print(f"All but the last: {right:,} of {count:,} ({right / count:.1%})")
    for text in alarms():
        print("dropped:", text[:120])


if __name__ == "__main__":
    main()
