"""PowerPoint presentations (PresentationML, ECMA-376 part 1): slides in order, with their notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from cptstudio.corpus.readers.equations import text_of_omml
from cptstudio.corpus.readers.guard import attempt
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.corpus.readers.number_forms import number_in
from cptstudio.corpus.readers.ooxml import Package, drawn_text
from cptstudio.corpus.readers.packages import check_archive, seekable
from cptstudio.corpus.readers.words import words_of
from cptstudio.corpus.readers.xml_tree import attributes, below, find, name_of

# Of a slide's shapes, what is printed on each alike.
_HEADS = frozenset({"dt", "ftr", "sldNum", "hdr"})
_AUTO = {"arabic": "decimal", "alphaLc": "lowerLetter", "alphaUc": "upperLetter"} | {
    "romanLc": "lowerRoman", "romanUc": "upperRoman",
}  # fmt: skip


def power_point(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield the visible text of a .pptx file, slide by slide; hidden slides are left out."""
    with seekable(item) as file:
        archive = check_archive(file)
        try:
            package = Package(archive, item)
            names = _slides(package)
        except Exception as error:
            reason = f"unreadable PowerPoint file: {words_of(error)}"
            raise Unreadable(reason) from None
        parts = []
        for number, name in enumerate(names, start=1):
            slide = partial(_slide, package, name, item.left_out)
            parts.append(attempt(item, f"slide {number:,}", slide) or "")
        yield ("\n\n".join(part for part in parts if part.strip()),)


def _slides(package: Package) -> list[str]:
    relations = package.relations(package.main)
    named = find(package.part(package.main), "p:sldIdLst")
    identities = [attributes(one).get("r:id", "") for one in (() if named is None else named)]
    return [relations[one].target for one in identities if one in relations]


def _slide(package: Package, name: str, counts: Counter[str]) -> str:
    root = package.part(name)
    if attributes(root).get("show") in ("0", "false"):
        counts["hidden slides"] += 1
        return ""
    tree = find(root, "p:cSld", "p:spTree")
    lines = [] if tree is None else _Slide(package, name, counts).lines(tree)
    for part in package.related(name, "notesSlide"):
        notes = find(package.part(part), "p:cSld", "p:spTree")
        if notes is not None:
            # Beside the notes there is a picture of the slide.
            lines += _Slide(package, part, Counter()).lines(notes)
    for kind in ("comments", "comment"):
        counts["comments"] += sum(
            1
            for part in package.related(name, kind)
            for one in package.part(part).iter()
            if name_of(one).rpartition(":")[2] == "cm"
        )
    return "\n".join(line for line in lines if line.strip())


class _Slide:
    """One slide, or the notes to one."""

    def __init__(self, package: Package, part: str, counts: Counter[str]) -> None:
        self._package = package
        self._part = part
        self._counts = counts

    def lines(self, parent: Any) -> list[str]:
        """Return the text of all shapes: titles first, the others in their order."""
        titles: list[str] = []
        others: list[str] = []
        for element in parent:
            name = name_of(element)
            if name in ("p:sp", "p:cxnSp"):
                kind = _placeholder(element)
                if kind in _HEADS:
                    self._counts["headers, footers and slide numbers"] += _holds_text(element)
                elif not _is_hidden(element):
                    text = self._body(find(element, "p:txBody"))
                    (titles if kind in ("title", "ctrTitle") else others).append(text)
            elif name == "p:graphicFrame":
                others += [] if _is_hidden(element) else self._frame(element)
            elif name == "mc:AlternateContent":
                form = find(element, "mc:Choice")
                form = find(element, "mc:Fallback") if form is None else form
                others += [] if form is None else self.lines(form)
            elif name == "p:grpSp" and not _is_hidden(element):
                others += self.lines(element)
        return titles + others

    def _frame(self, frame: Any) -> list[str]:
        lines = []
        for table in below(frame, "a:tbl"):
            for row in table:
                if name_of(row) == "a:tr":
                    lines.append(
                        "\t".join(self._cell(cell) for cell in row if name_of(cell) == "a:tc")
                    )
        for drawn in below(frame, "dgm:relIds", "c:chart"):
            lines += drawn_text(self._package, self._part, drawn)
        return lines

    def _cell(self, cell: Any) -> str:
        given = attributes(cell)
        # A merged cell is told again, empty, in each place that it covers.
        covered = given.get("hMerge") in ("1", "true") or given.get("vMerge") in ("1", "true")
        return "" if covered else self._body(find(cell, "a:txBody"))

    def _body(self, body: Any | None) -> str:
        if body is None:
            return ""
        lines: list[str] = []
        counted: dict[int, int] = {}
        for paragraph in body:
            if name_of(paragraph) != "a:p":
                continue
            text = "".join(_pieces(paragraph)).strip("\n")
            properties = find(paragraph, "a:pPr")
            auto = None if properties is None else find(properties, "a:buAutoNum")
            level = int(attributes(properties).get("lvl", "0")) if properties is not None else 0
            for deeper in [
                other for other in counted if other > level or (other == level and auto is None)
            ]:
                del counted[deeper]
            if auto is not None and text.strip():
                given = attributes(auto)
                counted[level] = counted.get(level, int(given.get("startAt", "1")) - 1) + 1
                text = f"{_auto_number(given.get('type', ''), counted[level])} {text}"
            lines.append(text)
        return "\n".join(lines)


def _auto_number(kind: str, number: int) -> str:
    form = next((form for begin, form in _AUTO.items() if kind.startswith(begin)), "decimal")
    shown = number_in(form, number)
    if kind.endswith("ParenBoth"):
        return f"({shown})"
    return shown + (")" if kind.endswith("ParenR") else "." if kind.endswith("Period") else "")


def _pieces(parent: Any) -> Iterator[str]:
    for element in parent:
        name = name_of(element)
        if name == "a:t":
            # A vertical tab is a line break in titles.
            yield (element.text or "").replace("\v", "\n")
        elif name == "a:br":
            yield "\n"
        elif name == "m:oMath":
            yield text_of_omml(element)
        elif name == "mc:AlternateContent":
            form = find(element, "mc:Choice")
            yield from _pieces(element if form is None else form)
        elif name and not name.endswith("Pr"):
            yield from _pieces(element)


def _properties(shape: Any) -> Any | None:
    return next((one for one in shape if name_of(one).startswith("p:nv")), None)


def _placeholder(shape: Any) -> str:
    own = _properties(shape)
    found = None if own is None else find(own, "p:nvPr", "p:ph")
    return "" if found is None else attributes(found).get("type", "")


def _is_hidden(shape: Any) -> bool:
    own = _properties(shape)
    found = None if own is None else find(own, "p:cNvPr")
    return found is not None and attributes(found).get("hidden") in ("1", "true")


def _holds_text(shape: Any) -> bool:
    return any((text.text or "").strip() for text in below(shape, "a:t"))
