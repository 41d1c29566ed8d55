"""Word documents (WordprocessingML, ECMA-376 part 1), as if every tracked change were accepted.

Text, lists' numbers, tables, text boxes, notes and equations are read, each once and where it
stands: boxes after their paragraph, footnotes after the paragraph or table that calls them,
endnotes at the end. Headers and footers, comments and hidden text are left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from cptstudio.corpus.readers.equations import text_of_omml
from cptstudio.corpus.readers.guard import attempt
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.corpus.readers.number_forms import number_in
from cptstudio.corpus.readers.ooxml import Package, drawn_text
from cptstudio.corpus.readers.packages import check_archive, seekable
from cptstudio.corpus.readers.symbol_fonts import UNKNOWN, sign_of, without_private
from cptstudio.corpus.readers.word_fields import is_silent, shown_by
from cptstudio.corpus.readers.word_styles import (
    Numbering,
    Styles,
    is_on,
    list_label,
    value,
)
from cptstudio.corpus.readers.words import words_of
from cptstudio.corpus.readers.xml_tree import attributes, below, find, name_of

# Around blocks, rows or cells that belong to what they lie in: content controls, insertions.
_WRAPPERS = frozenset(
    {"w:sdt", "w:sdtContent", "w:customXml", "w:ins", "w:moveTo", "w:smartTag"}
    | {"mc:AlternateContent", "mc:Choice"}
)
_BLOCKS = ("w:p", "w:tbl", "w:altChunk", "w:subDoc")
# Properties, deleted text, what another element repeats, and pronunciations.
_WITHOUT_TEXT = frozenset(
    {"w:pPr", "w:rPr", "w:sdtPr", "w:del", "w:moveFrom", "w:rt", "w:instrText", "w:delText"}
    | {"w:delInstrText", "mc:Fallback"}
)
_SIGNS = {"w:tab": "\t", "w:ptab": "\t", "w:cr": "\n", "w:noBreakHyphen": "-", "w:br": "\n"}
_NOTES = {"w:footnoteReference": "footnotes", "w:endnoteReference": "endnotes"}
_OWN_MARKS = ("w:footnoteRef", "w:endnoteRef")
# What Word itself keeps among the notes: lines between them and the text.
_SEPARATORS = ("separator", "continuationSeparator", "continuationNotice")


def word(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield the visible text of a .docx file, in its order."""
    with seekable(item) as file:
        archive = check_archive(file)
        try:
            package = Package(archive, item)
            document = _Document(package)
        except Exception as error:
            raise Unreadable(f"unreadable Word file: {words_of(error)}") from None
        parts = document.read(item)
        item.findings.finish()
        item.left_out.update(document.left_out())
        item.notes += document.lost()
        yield ("\n\n".join(parts),)


class _Document:
    """A document and what belongs to it."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.part = package.main
        bodies = [one for one in package.part(self.part) if name_of(one) == "w:body"]
        if not bodies:
            raise Unreadable("no body")
        self._blocks = [block for body in bodies for block in _inside(body, _BLOCKS)]
        self.styles = Styles(self._root("styles"))
        self.numbering = Numbering(self._root("numbering"))
        self.notes: dict[str, dict[str, Any]] = {}
        self._note_parts: dict[str, str] = {}
        for kind in _NOTES.values():
            root = self._root(kind)
            self._note_parts[kind] = next(iter(package.related(self.part, kind)), "")
            self.notes[kind] = {
                attributes(note).get("w:id", ""): note
                for note in (() if root is None else root)
                if attributes(note).get("w:type") not in _SEPARATORS
            }
        self.counts: Counter[str] = Counter()
        self.others: Counter[str] = Counter()
        self.marked: Counter[str] = Counter()

    def _root(self, kind: str) -> Any | None:
        names = self.package.related(self.part, kind)
        return self.package.part(names[0]) if names else None

    def read(self, item: Item) -> list[str]:
        """Return the parts of its text; what cannot be read is named."""
        balanced = all(_balanced(block) for block in self._blocks) or _balanced(*self._blocks)
        story = _Story(self, self.part, fields=balanced)
        parts: list[str] = []
        for number, block in enumerate(self._blocks, start=1):
            read = attempt(item, f"paragraph or table {number:,}", partial(story.block, block))
            parts += [] if read is None else [read, *story.boxes()]
            parts += self._read_notes(item, story, "footnotes")
        parts += [story.rest()]
        return [
            part for part in (*parts, *self._read_notes(item, story, "endnotes")) if part.strip()
        ]

    def _read_notes(self, item: Item, story: _Story, kind: str) -> list[str]:
        called, parts = story.called[kind], []
        story.called[kind] = []
        for identity, mark in called:
            note = self.notes[kind].get(identity)
            if note is None:
                item.findings.add(f"a note is missing from its {kind}")
                continue
            inner = _Story(self, self._note_parts[kind], fields=_balanced(note), mark=mark)
            text = attempt(item, f"{kind[:-1]} {mark}", partial(inner.all, note))
            parts.append("" if text is None else text)
        return parts

    def left_out(self) -> Counter[str]:
        """Return the counts of parts that are left out by design."""
        heads = 0
        for kind in ("header", "footer"):
            for name in self.package.related(self.part, kind):
                heads += _has_words(self.package, name)
        comments = self._root("comments")
        count = 0 if comments is None else len(comments)
        return Counter({"headers and footers": heads, "comments": count}) + self.counts

    def lost(self) -> list[str]:
        """Return notes about parts that could not be read."""
        notes = [f"{count:,} {what} left out" for what, count in self.others.items()]
        if self.marked[UNKNOWN]:
            notes.append(
                f"{self.marked[UNKNOWN]:,} symbol-font characters have no Unicode value "
                "and were replaced with U+FFFD"
            )
        return notes


def _has_words(package: Package, name: str) -> bool:
    try:
        root = package.part(name)
    except Exception:  # It is not read anyway.
        return False
    return any((text.text or "").strip() for text in below(root, "w:t"))


def _balanced(*blocks: Any) -> bool:
    """Whether every field that begins ends; otherwise one would hide all the text after it."""
    depth = 0
    for block in blocks:
        for mark in below(block, "w:fldChar"):
            kind = attributes(mark).get("w:fldCharType")
            depth += {"begin": 1, "end": -1}.get(kind or "", 0)
            if depth < 0:
                return False
    return depth == 0


def _inside(parent: Any, wanted: tuple[str, ...]) -> Iterator[Any]:
    """The elements of some kinds that a parent holds, also inside wrappers."""
    waiting = list(reversed(parent))
    while waiting:
        element = waiting.pop()
        name = name_of(element)
        if name in wanted:
            yield element
        elif name in _WRAPPERS:
            waiting.extend(reversed(element))


@dataclass
class _Field:
    """A field that has begun.

    Attributes:
        told: what it was told to do.
        over: that has been told, and its result, which follows, is shown.
        said: its result has text.
    """

    told: str = ""
    over: bool = False
    said: bool = False


class _Story:
    """A text that runs on: the body, or a note.

    Attributes:
        called: notes that were called since they were last read, by kind: id and mark.
    """

    def __init__(
        self, document: _Document, part: str, *, fields: bool, mark: str | None = None
    ) -> None:
        self._document = document
        self._part = part
        self._with_fields = fields
        self._mark = mark
        # The open fields, from outside.
        self._fields: list[_Field] = []
        self._carried = ""
        self._boxes: list[str] = []
        self.called: dict[str, list[tuple[str, str]]] = {kind: [] for kind in _NOTES.values()}
        self._numbers: Counter[str] = Counter()

    def all(self, parent: Any) -> str:
        """Return all of a note, with its mark before it."""
        text = self._blocks(parent)
        mark = f"[{self._mark}]" if self._mark else ""
        if mark and text.startswith(mark):
            return f"{mark} {text.removeprefix(mark).lstrip()}"
        return f"{mark} {text}" if mark and text.strip() else text

    def boxes(self) -> list[str]:
        """Return the text boxes since the last call."""
        boxes, self._boxes = self._boxes, []
        return [box for box in boxes if box.strip()]

    def rest(self) -> str:
        """Return the text that waits for a next paragraph that never came."""
        carried, self._carried = self._carried, ""
        return carried

    def block(self, block: Any) -> str:
        """Return a paragraph, table or embedded file."""
        name = name_of(block)
        if name == "w:p":
            return self._paragraph(block)
        if name == "w:tbl":
            return self._table(block)
        if name == "w:subDoc":
            self._document.others["linked documents"] += 1
            return ""
        return self._embedded(block)

    def _blocks(self, parent: Any) -> str:
        """All blocks of a cell, a box or a note, a line each."""
        outer, self._carried = self._carried, ""
        outer_boxes, self._boxes = self._boxes, []
        lines: list[str] = []
        for block in _inside(parent, _BLOCKS):
            text = self.block(block)
            # An empty line is one, but not a paragraph that goes on in the next.
            lines += [] if self._carried else [text]
            lines += self.boxes()
        lines += [self._carried] if self._carried else []
        self._carried, self._boxes = outer, outer_boxes
        return "\n".join(lines)

    def _table(self, table: Any) -> str:
        rows = []
        for row in _inside(table, ("w:tr",)):
            properties = find(row, "w:trPr")
            if properties is not None and (
                find(properties, "w:del") is not None or is_on(find(properties, "w:hidden"))
            ):
                continue
            # A merged cell is one element, and an empty one in each row that it goes on in.
            cells = (
                cell
                for cell in _inside(row, ("w:tc",))
                if find(cell, "w:tcPr", "w:cellDel") is None
            )
            rows.append("\t".join(map(self._blocks, cells)))
        return "\n".join(rows)

    def _embedded(self, chunk: Any) -> str:
        relations = self._document.package.relations(self._part)
        relation = relations.get(attributes(chunk).get("r:id", ""))
        suffix = "" if relation is None else relation.target.lower().rpartition(".")[2]
        if relation is not None and suffix in ("htm", "html", "xhtml", "txt"):
            from cptstudio.corpus.readers.markup import text_of_html

            text = self._document.package.data(relation.target).decode("utf-8", "replace")
            return text if suffix == "txt" else text_of_html(text).strip("\n")
        self._document.others[f"embedded documents (.{suffix})"] += 1
        return ""

    def _paragraph(self, paragraph: Any) -> str:
        properties = find(paragraph, "w:pPr")
        out: list[str] = []
        self._walk(paragraph, out, _style_of(properties, "w:pStyle"), "")
        text = "".join(out).strip("\n")
        if _goes_on(properties):
            self._carried += text
            return ""
        document = self._document
        label = list_label(properties, document.styles, document.numbering) if text or out else ""
        text, self._carried = self._carried + text, ""
        return f"{label} {text}" if label and text.strip() else text

    def _walk(self, parent: Any, out: list[str], style: str, font: str) -> None:
        for element in parent:
            name = name_of(element)
            if name == "w:r":
                self._run(element, out, style)
            elif name == "w:t":
                self._say(element.text or "", out, font)
            elif name in _SIGNS:
                self._say(_SIGNS[name], out, font)
            elif name == "w:fldChar":
                self._field(element, out)
            elif name == "w:instrText" and self._fields:
                self._fields[-1].told += element.text or ""
            elif name in ("m:oMath", "m:oMathPara"):
                self._say(_equations(element), out, font)
            elif name in _NOTES:
                self._call(element, _NOTES[name], out)
            elif name in _OWN_MARKS:
                self._say(f"[{self._mark}]" if self._mark else "", out, font)
            elif name == "w:sym":
                given = attributes(element)
                code = int(given.get("w:char", "0"), 16)
                self._say(sign_of(given.get("w:font", ""), code), out, font)
            elif name in ("w:txbxContent", "a:txBody"):
                self._box(element)
            elif name in ("dgm:relIds", "c:chart"):
                self._boxes += drawn_text(self._document.package, self._part, element)
            elif name == "v:textpath":
                self._boxes.append(element.get("string", ""))
            elif name == "mc:AlternateContent":
                self._alternative(element, out, style, font)
            elif name and name not in _WITHOUT_TEXT:
                self._walk(element, out, style, font)

    def _run(self, run: Any, out: list[str], style: str) -> None:
        properties, font = find(run, "w:rPr"), ""
        if properties is not None:
            fonts = find(properties, "w:rFonts")
            font = "" if fonts is None else attributes(fonts).get("w:ascii", "")
        if self._is_hidden(properties, style):
            # Fields begin and end in it all the same.
            unseen: list[str] = []
            self._walk(run, unseen, style, font)
            self._document.counts["passages of hidden text"] += bool("".join(unseen).strip())
        else:
            self._walk(run, out, style, font)

    def _is_hidden(self, properties: Any | None, style: str) -> bool:
        styles = self._document.styles
        if properties is not None:
            given = is_on(find(properties, "w:vanish"))
            if given is not None:
                return given
            if styles.hides(_style_of(properties, "w:rStyle")):
                return True
        return styles.hides(style)

    def _say(self, text: str, out: list[str], font: str) -> None:
        """Write, unless it is what a field is told to do."""
        if text and self._is_shown():
            if self._fields:
                self._fields[-1].said = True
            text = without_private(text, font)
            self._document.marked[UNKNOWN] += text.count(UNKNOWN)
            out.append(text)

    def _is_shown(self) -> bool:
        return all(field.over for field in self._fields)

    def _field(self, mark: Any, out: list[str]) -> None:
        if not self._with_fields:
            return
        kind = attributes(mark).get("w:fldCharType")
        if kind == "begin":
            self._say(_form_field(mark), out, "")
            self._fields.append(_Field())
        elif kind == "separate" and self._fields:
            self._fields[-1].over = not is_silent(self._fields[-1].told)
        elif kind == "end" and self._fields:
            field = self._fields.pop()
            if not field.said and not is_silent(field.told):
                self._say(shown_by(field.told), out, "")

    def _call(self, reference: Any, kind: str, out: list[str]) -> None:
        if not self._is_shown():
            return
        given = attributes(reference)
        identity = given.get("w:id", "")
        mark = ""
        if given.get("w:customMarkFollows") not in ("1", "true", "on"):
            self._numbers[kind] += 1
            form = "decimal" if kind == "footnotes" else "lowerRoman"
            mark = number_in(form, self._numbers[kind])
            out.append(f"[{mark}]")
        self.called[kind].append((identity, mark))

    def _box(self, content: Any) -> None:
        if name_of(content) == "a:txBody":
            lines = ("".join(t.text or "" for t in below(p, "a:t")) for p in below(content, "a:p"))
            self._boxes.append("\n".join(lines))
            return
        # A box may lie in the middle of a field.
        outer, self._fields = self._fields, []
        text = self._blocks(content)
        self._fields = outer
        self._boxes.append(text)

    def _alternative(self, element: Any, out: list[str], style: str, font: str) -> None:
        """The first of several forms of the same; the last one where there is no other."""
        form = find(element, "mc:Choice")
        form = find(element, "mc:Fallback") if form is None else form
        if form is not None:
            self._walk(form, out, style, font)


def _goes_on(properties: Any | None) -> bool:
    """Whether the next paragraph is the same: its end was deleted, or it is a large initial."""
    if properties is None:
        return False
    mark, frame = find(properties, "w:rPr"), find(properties, "w:framePr")
    gone = mark is not None and any(
        find(mark, name) is not None for name in ("w:del", "w:moveFrom")
    )
    return gone or (frame is not None and attributes(frame).get("w:dropCap") in ("drop", "margin"))


def _style_of(properties: Any | None, name: str) -> str:
    return "" if properties is None else value(find(properties, name))


def _equations(element: Any) -> str:
    if name_of(element) == "m:oMath":
        return text_of_omml(element)
    return "\n".join(text_of_omml(one) for one in element if name_of(one) == "m:oMath")


def _form_field(mark: Any) -> str:
    """What a field of a form shows that has no text of its own."""
    box, choice = find(mark, "w:ffData", "w:checkBox"), find(mark, "w:ffData", "w:ddList")
    if box is not None:
        ticked = is_on(find(box, "w:checked"))
        ticked = is_on(find(box, "w:default")) if ticked is None else ticked
        return "☒" if ticked else "☐"
    if choice is not None:
        entries = [value(one) for one in choice if name_of(one) == "w:listEntry"]
        chosen = value(find(choice, "w:result"), value(find(choice, "w:default"), "0"))
        place = int(chosen) if chosen.isdigit() else 0
        return entries[place] if place < len(entries) else ""
    return ""
