"""Instructions whose fulfillment code can decide, after the idea of IFEval (arXiv 2311.07911).

Each check looks at the text of an answer alone, without the token that ended it, and an empty
answer fulfills none. What a check needs besides the text are its arguments in the set of prompts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cptstudio import durable
from cptstudio.errors import UserError

Check = Callable[..., bool]
_BULLET: Final = re.compile(r"^\s*[-*•]\s+\S")
_NUMBER: Final = re.compile(r"^\s*(\d+)[.)]\s+\S")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?…])[\"'\u201d\u2019)\]]*\s+")
_FENCE: Final = re.compile(r"^```\w*\n(.*)\n```$", re.DOTALL)
_WORD: Final = re.compile(r"\w+(?:['\u2019-]\w+)*")
_FUNCTION_WORDS: Final[Mapping[str, frozenset[str]]] = {
    code: frozenset(words.split())
    for code, words in {
        "de": "der die das und ist nicht ein eine mit für auf dem den von zu im es sich auch wie "
        "oder wenn aber sind wird wir man bei aus nach sehr kann",
        "en": "the and is not a an with for on of to in it that also as or when but are will we "
        "by from after very can they this you your their was",
        "es": "el la los las y es no un una con para en de del que se por como o cuando pero son "
        "más muy su sus al lo también puede",
        "fr": "le la les et est ne pas un une avec pour dans des du de que se par comme ou quand "
        "mais sont plus très leur leurs au aux ce cette peut",
    }.items()
}
"""Common words that tell a language; a text of several sentences has many of them."""


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _unfenced(text: str) -> str:
    fenced = _FENCE.match(text)
    return fenced[1] if fenced else text


def _json(text: str) -> Any:
    try:
        return durable.parse_json(_unfenced(text))
    except ValueError:
        return None


def bullets(text: str, count: int) -> bool:
    """Return whether the answer is a list of exactly so many bullet points."""
    found = _lines(text)
    return len(found) == count and all(_BULLET.match(line) for line in found)


def numbered(text: str, count: int) -> bool:
    """Return whether the answer has exactly so many numbered lines, from 1 on."""
    numbers = [int(found[1]) for line in _lines(text) if (found := _NUMBER.match(line))]
    return numbers == list(range(1, count + 1))


def matches(text: str, pattern: str) -> bool:
    """Return whether a regular expression is found."""
    return re.search(pattern, text) is not None


def lowercase(text: str) -> bool:
    """Return whether there are letters, and none is a capital."""
    return text == text.lower() and text != text.upper()


def uppercase(text: str) -> bool:
    """Return whether there are letters, and all are capitals."""
    return text == text.upper() and text != text.lower()


def parts(text: str, separator: str, count: int) -> bool:
    """Return whether lines with the separator alone divide so many texts, none empty."""
    found = re.split(rf"(?m)^\s*{re.escape(separator)}\s*$", text)
    return len(found) == count and all(part.strip() for part in found)


def paragraphs(text: str, count: int) -> bool:
    """Return whether blank lines divide so many paragraphs."""
    return len(re.split(r"\n\s*\n", text)) == count


def json_object(text: str, keys: Sequence[str]) -> bool:
    """Return whether the answer is a JSON object with exactly these keys, in a fence or not."""
    value = _json(text)
    return isinstance(value, dict) and value.keys() == set(keys)


def json_list(text: str, count: int) -> bool:
    """Return whether the answer is a JSON list of so many strings, in a fence or not."""
    value = _json(text)
    return (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(entry, str) for entry in value)
    )


def words(text: str, least: int = 1, most: int | None = None) -> bool:
    """Return whether the number of words is within bounds."""
    count = len(_WORD.findall(text))
    return count >= least and (most is None or count <= most)


def sentences(text: str, count: int) -> bool:
    """Return whether the answer has exactly so many sentences, the last one ended."""
    found = [part for part in _SENTENCE_END.split(text) if part.strip()]
    return len(found) == count and re.search(r"[.!?…][\"'\u201d\u2019)\]]*$", text) is not None


def language(text: str, code: str) -> bool:
    """Return whether the most common words are those of a language: "de", "en", "es" or "fr"."""
    said = Counter(word.lower() for word in _WORD.findall(text))
    found = {
        one: sum(number for word, number in said.items() if word in known)
        for one, known in _FUNCTION_WORDS.items()
    }
    others = [number for one, number in found.items() if one != code]
    return found[code] >= 3 and found[code] > max(others)


def contains(text: str, words: Sequence[str], times: int = 1) -> bool:
    """Return whether each of the words is there so many times or more, in any case."""
    return all(_count(text, word) >= times for word in words)


def leaves_out(text: str, words: Sequence[str]) -> bool:
    """Return whether none of the words is there, in any case."""
    return all(_count(text, word) == 0 for word in words)


def _count(text: str, word: str) -> int:
    return len(re.findall(rf"\b{re.escape(word)}\b", text, re.IGNORECASE))


def lacks(text: str, text_left_out: str) -> bool:
    """Return whether a text is nowhere in the answer."""
    return text_left_out not in text


def one_of(text: str, choices: Sequence[str]) -> bool:
    """Return whether the answer is one of the choices, whatever its case and punctuation."""
    return re.sub(r"[\W_]+", " ", text).strip().lower() in {choice.lower() for choice in choices}


def starts(text: str, beginning: str) -> bool:
    """Return whether the answer begins so."""
    return text.startswith(beginning)


def ends(text: str, ending: str) -> bool:
    """Return whether the answer ends so."""
    return text.endswith(ending)


CHECKS: Final[Mapping[str, Check]] = {
    "bullets": bullets,
    "numbered": numbered,
    "matches": matches,
    "lowercase": lowercase,
    "uppercase": uppercase,
    "parts": parts,
    "paragraphs": paragraphs,
    "json": json_object,
    "json_list": json_list,
    "words": words,
    "sentences": sentences,
    "language": language,
    "contains": contains,
    "leaves_out": leaves_out,
    "lacks": lacks,
    "one_of": one_of,
    "starts": starts,
    "ends": ends,
}
"""The checks by the names that a set of prompts gives them."""


def fulfills(text: str, check: Mapping[str, Any]) -> bool:
    """Return whether an answer fulfills an instruction.

    Args:
        check: {"check": its name, and its arguments}.

    Raises:
        UserError: there is no such check, or its arguments are others.
    """
    arguments = {name: value for name, value in check.items() if name != "check"}
    function = CHECKS.get(check.get("check", ""))
    if function is None:
        raise UserError(f"There is no check {check.get('check')!r}. Checks: {', '.join(CHECKS)}.")
    said = text.strip()
    try:
        return function(said, **arguments) and bool(said)
    except TypeError:
        given = ", ".join(arguments) or "none"
        raise UserError(
            f"The check {check['check']!r} takes other arguments than these: {given}."
        ) from None
