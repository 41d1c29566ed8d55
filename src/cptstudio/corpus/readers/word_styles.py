"""Text that a Word file's styles and lists add (numbers) or hide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cptstudio.corpus.readers.number_forms import number_in
from cptstudio.corpus.readers.xml_tree import attributes, find, name_of

_STEPS = 50


def value(element: Any | None, usual: str = "") -> str:
    """Return the `w:val` of an element."""
    return usual if element is None else attributes(element).get("w:val", usual)


def is_on(element: Any | None) -> bool | None:
    """Return a property that is on or off (17.17.4); None where it is not given."""
    return None if element is None else value(element, "true") not in ("0", "false", "off")


@dataclass
class _Level:
    start: int = 1
    form: str = "decimal"
    text: str = ""
    style: str = ""
    restarts: bool = True
    legal: bool = False
    width: int = 0

    def number(self, number: int) -> str:
        """Return a number as this level prints it."""
        return number_in(self.form, number).zfill(self.width)


@dataclass
class _List:
    levels: dict[int, _Level] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    link: str = ""
    linked: str = ""


class Numbering:
    """The lists of a document, counted on as its paragraphs are read in order (17.9)."""

    def __init__(self, root: Any | None) -> None:
        self._lists: dict[str, _List] = {}
        self._uses: dict[str, tuple[_List, dict[int, int]]] = {}
        for element in () if root is None else root:
            if name_of(element) == "w:abstractNum":
                made = _List(
                    link=value(find(element, "w:numStyleLink")),
                    linked=value(find(element, "w:styleLink")),
                )
                for child in element:
                    if name_of(child) == "w:lvl":
                        made.levels[_whole(attributes(child).get("w:ilvl"))] = _level(child)
                self._lists[attributes(element).get("w:abstractNumId", "")] = made
        for element in () if root is None else root:
            if name_of(element) == "w:num":
                self._add(element)

    def _add(self, element: Any) -> None:
        used = self._lists.get(value(find(element, "w:abstractNumId")))
        if used is not None and used.link:
            used = next((one for one in self._lists.values() if one.linked == used.link), used)
        if used is None:
            return
        starts = {}
        for change in element:
            if name_of(change) != "w:lvlOverride":
                continue
            number = _whole(attributes(change).get("w:ilvl"))
            start, level = find(change, "w:startOverride"), find(change, "w:lvl")
            if level is not None:
                used = _List({**used.levels, number: _level(level)}, used.counts)
            if start is not None:
                starts[number] = _whole(value(start))
        self._uses[attributes(element).get("w:numId", "")] = (used, starts)

    def level_of_style(self, number: str, style: str) -> int:
        """Return the level of a list that a paragraph's style stands for."""
        used = self._uses.get(number)
        levels = used[0].levels if used is not None else {}
        return next((place for place, one in levels.items() if one.style == style), 0)

    def label(self, number: str, place: int) -> str:
        """Count on, and return what is printed before a paragraph; empty for bullets."""
        if number not in self._uses:
            return ""
        used, starts = self._uses[number]
        level = used.levels.get(place)
        if level is None:
            return ""
        counts = used.counts
        if place in starts:
            # Once: from its first paragraph on it counts by itself.
            counts[place] = starts.pop(place)
        else:
            counts[place] = counts[place] + 1 if place in counts else level.start
        for deeper in [other for other in counts if other > place]:
            if used.levels.get(deeper, level).restarts:
                del counts[deeper]
        if level.form in ("bullet", "none"):
            return "" if level.form == "bullet" else _shown(level, used, counts)
        return _shown(level, used, counts)


def _shown(level: _Level, used: _List, counts: dict[int, int]) -> str:
    text = level.text
    for place, other in used.levels.items():
        mark = f"%{place + 1}"
        if mark in text:
            number = counts.get(place, other.start)
            shown = str(number) if level.legal else other.number(number)
            text = text.replace(mark, "" if other.form == "none" and not level.legal else shown)
    return text


def _level(element: Any) -> _Level:
    form = find(element, "mc:AlternateContent", "mc:Choice", "w:numFmt")
    form = find(element, "w:numFmt") if form is None else form
    # "001, 002, 003, ...": of a form of its own only how many digits it has is read.
    own = "" if form is None else attributes(form).get("w:format", "").split(",")[0].strip()
    return _Level(
        width=len(own) if own.isdigit() else 0,
        start=_whole(value(find(element, "w:start"), "0")),
        form=value(form, "decimal"),
        text=value(find(element, "w:lvlText")),
        style=value(find(element, "w:pStyle")),
        restarts=value(find(element, "w:lvlRestart"), "1") != "0",
        legal=is_on(find(element, "w:isLgl")) or False,
    )


def _whole(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 9 else 0


class Styles:
    """The styles of a document, each with what it takes over from others (17.7)."""

    def __init__(self, root: Any | None) -> None:
        self._styles: dict[str, Any] = {}
        self._usual = ""
        for element in () if root is None else root:
            if name_of(element) == "w:style":
                given = attributes(element)
                self._styles[given.get("w:styleId", "")] = element
                usual = given.get("w:default") in ("1", "true", "on")
                if usual and given.get("w:type") == "paragraph":
                    self._usual = given.get("w:styleId", "")
        self._hidden: dict[str, bool] = {}
        self._numbers: dict[str, tuple[str, str, str]] = {}

    def _property(self, style: str, *path: str) -> tuple[str, Any] | None:
        for _ in range(_STEPS):
            element = self._styles.get(style)
            if element is None:
                return None
            found = find(element, *path)
            if found is not None:
                return style, found
            style = value(find(element, "w:basedOn"))
        return None

    def hides(self, style: str) -> bool:
        """Return whether text of a style is hidden."""
        if style not in self._hidden:
            found = self._property(style, "w:rPr", "w:vanish")
            self._hidden[style] = bool(found and is_on(found[1]))
        return self._hidden[style]

    def number(self, style: str) -> tuple[str, str, str]:
        """Return the list and the level that a style names, and the style that names them."""
        style = style or self._usual
        if style not in self._numbers:
            named = self._property(style, "w:pPr", "w:numPr", "w:numId")
            level = self._property(style, "w:pPr", "w:numPr", "w:ilvl")
            self._numbers[style] = (
                value(named[1]) if named else "",
                value(level[1]) if level else "",
                style,
            )
        return self._numbers[style]


def list_label(properties: Any | None, styles: Styles, numbering: Numbering) -> str:
    """Return the number before a paragraph with these properties; counts on."""
    style = "" if properties is None else value(find(properties, "w:pStyle"))
    number, level, naming = styles.number(style)
    given = None if properties is None else find(properties, "w:numPr")
    if given is not None:
        number = value(find(given, "w:numId"), number)
        level = value(find(given, "w:ilvl"), level)
    if not number or number == "0":
        return ""
    place = _whole(level) if level else numbering.level_of_style(number, naming)
    return numbering.label(number, place)
