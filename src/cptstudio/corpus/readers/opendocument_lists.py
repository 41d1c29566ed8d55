"""The numbers before paragraphs of OpenDocument lists and headings (ODF 1.3 part 3, 5.3, 16.30)."""

from __future__ import annotations

from typing import Any

from cptstudio.corpus.readers.number_forms import number_in
from cptstudio.corpus.readers.xml_tree import attributes, below, name_of

_FORMS = {
    "1": "decimal",
    "a": "lowerLetter",
    "A": "upperLetter",
    "i": "lowerRoman",
    "I": "upperRoman",
    # Others are written as they begin: "一, 二, 三, ...".
    "一": "chineseCounting",
    "壹": "chineseLegalSimplified",
    "甲": "ideographTraditional",
    "子": "ideographZodiac",
    "ア": "aiueo",
    "イ": "iroha",
    "①": "decimalEnclosedCircle",
    "가": "ganada",
    "ㄱ": "chosung",
    "일": "koreanCounting",
    "А": "russianUpper",  # noqa: RUF001
    "а": "russianLower",  # noqa: RUF001
    "א": "hebrew2",
    "أ": "arabicAlpha",
    "ก": "thaiLetters",
    "๑": "thaiNumbers",
    "०": "hindiNumbers",  # noqa: RUF001
}
_OUTLINE = "\0outline"


class Lists:
    """The list styles of a document, and how far each list has counted."""

    def __init__(self, roots: list[Any]) -> None:
        self._levels: dict[str, dict[int, dict[str, str]]] = {}
        for root in roots:
            for style in below(root, "text:list-style", "text:outline-style"):
                outline = name_of(style) == "text:outline-style"
                name = _OUTLINE if outline else attributes(style).get("style:name", "")
                self._levels[name] = {
                    _whole(given.get("text:level", "")): given
                    for given in map(attributes, style)
                    if given.get("style:num-format")
                }
        self._counts: dict[str, dict[int, int]] = {}

    def enter(self, element: Any, level: int, style: str) -> str:
        """Return the style of a list that begins; it counts from its start, unless it goes on.

        Lists inside a list begin anew with each item of that, see `_next`.
        """
        given = attributes(element)
        style = given.get("text:style-name", style)
        goes_on = given.get("text:continue-numbering") == "true" or "text:continue-list" in given
        counts = self._counts.setdefault(style, {})
        if not goes_on and level == 1:
            for deeper in [other for other in counts if other >= level]:
                del counts[deeper]
        return style

    def label(self, entry: Any, level: int, style: str) -> str:
        """Count an item; what is printed before it is empty for bullets."""
        return self._next(style, level, attributes(entry).get("text:start-value"))

    def heading(self, heading: Any) -> str:
        """Count a heading; what is printed before it."""
        given = attributes(heading)
        if given.get("text:is-list-header") == "true":
            return ""
        level = _whole(given.get("text:outline-level", "1"))
        return self._next(_OUTLINE, level, given.get("text:start-value"))

    def _next(self, style: str, level: int, start: str | None) -> str:
        levels = self._levels.get(style, {})
        given = levels.get(level)
        if given is None:
            return ""
        counts = self._counts.setdefault(style, {})
        first = _whole(given.get("text:start-value", "1"))
        counts[level] = _whole(start) if start else counts[level] + 1 if level in counts else first
        for deeper in [other for other in counts if other > level]:
            del counts[deeper]
        shown = max(1, _whole(given.get("text:display-levels", "1")))
        numbers = []
        for place in range(level - shown + 1, level + 1):
            form = levels.get(place, {}).get("style:num-format", "").split(",")[0].strip()
            if form:
                numbers.append(number_in(_FORMS.get(form, "decimal"), counts.get(place, 1)))
        label = given.get("style:num-prefix", "") + ".".join(numbers)
        return label + given.get("style:num-suffix", "") if numbers else ""


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1
