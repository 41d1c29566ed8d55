"""OpenDocument texts and presentations (ODF 1.3), as if every tracked change were accepted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from cptstudio.corpus.readers.equations import text_of_mathml
from cptstudio.corpus.readers.guard import attempt
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.corpus.readers.opendocument_lists import Lists
from cptstudio.corpus.readers.packages import check_archive, seekable
from cptstudio.corpus.readers.words import words_of
from cptstudio.corpus.readers.xml_tree import attributes, below, find, name_of, parse
from cptstudio.durable import MEBIBYTE

_FLAT_LIMIT = 256 * MEBIBYTE
_SPACES = re.compile(r"[ \t\r\n]+")
_MOST_SPACES = 1000
_PROTECTED = "password-protected"
# Around blocks that belong to what they lie in. An index holds what it once listed.
_WRAPPERS = frozenset(
    {"text:section", "text:index-body", "text:index-title", "text:table-of-content"}
    | {"text:alphabetical-index", "text:illustration-index", "text:table-index"}
    | {"text:object-index", "text:user-index", "text:bibliography", "text:numbered-paragraph"}
    | {"table:table-header-rows", "table:table-rows", "table:table-row-group"}
    | {"table:table-cell", "draw:g", "draw:a", "draw:page", "office:text", "text:list-header"}
)
_SHAPES = frozenset(
    {"draw:custom-shape", "draw:rect", "draw:circle", "draw:ellipse", "draw:line", "draw:path"}
    | {"draw:polyline", "draw:polygon", "draw:regular-polygon", "draw:connector", "draw:caption"}
    | {"draw:measure", "draw:text-box"}
)
_WITHOUT_TEXT = frozenset(
    {"text:tracked-changes", "office:annotation", "office:annotation-end", "text:ruby-text"}
    | {"svg:title", "svg:desc", "office:forms", "text:script", "text:hidden-text", "text:number"}
    | {"office:binary-data", "draw:image", "draw:glue-point", "office:event-listeners"}
    | {"presentation:notes", "text:sequence-decls", "text:variable-decls", "draw:enhanced-geometry"}
)
_HEADS = (
    "presentation:header",
    "presentation:footer",
    "presentation:date-time",
    "text:page-number",
)


def open_document(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield the visible text of a text document or a presentation, slide by slide."""
    if item.suffix.startswith(".f"):
        root = parse(item.read(_FLAT_LIMIT))
        yield _text_of(item, _Document(root, root, None))
        return
    with seekable(item) as file:
        archive = check_archive(file)
        names = set(archive.namelist())

        def part(name: str) -> Any | None:
            return parse(archive.read(name)) if name in names else None

        try:
            manifest = part("META-INF/manifest.xml")
            if manifest is not None and any(
                True for _ in below(manifest, "manifest:encryption-data")
            ):
                raise Unreadable(_PROTECTED)
            content = part("content.xml")
            if content is None:
                raise Unreadable("no content")
            document = _Document(content, part("styles.xml"), part)
        except Unreadable as reason:
            if str(reason) == _PROTECTED:
                raise
            raise Unreadable(f"unreadable OpenDocument file: {reason}") from None
        except Exception as error:
            reason_ = f"unreadable OpenDocument file: {words_of(error)}"
            raise Unreadable(reason_) from None
        yield _text_of(item, document)


def _text_of(item: Item, document: _Document) -> Iterator[str]:
    parts = []
    for number, block in enumerate(document.blocks, start=1):
        place = f"{document.unit} {number:,}"
        for text in attempt(item, place, partial(document.top, block)) or ():
            parts.append(text)
    parts += document.endnotes
    item.left_out.update(document.left_out())
    yield "\n\n".join(part for part in parts if part.strip())


class _Document:
    """A document and what belongs to it.

    Attributes:
        blocks: its paragraphs, tables and lists, or its slides.
        unit: what one of them is called in a report.
        endnotes: those that were read.
    """

    def __init__(
        self, content: Any, styles: Any | None, part: Callable[[str], Any | None] | None
    ) -> None:
        body = find(content, "office:body")
        inner = None if body is None else next((one for one in body if name_of(one)), None)
        if inner is None:
            raise Unreadable("no body")
        self._slides = name_of(inner) in ("office:presentation", "office:drawing")
        self.unit = "slide" if self._slides else "paragraph or table"
        if self._slides:
            self.blocks = [one for one in inner if name_of(one) == "draw:page"]
        else:
            self.blocks = list(inner)
        self._part = part
        self._roots = [content] if styles is None or styles is content else [content, styles]
        self._lists = Lists(self._roots)
        self._hidden = _hidden_styles(self._roots)
        self._after: list[str] = []
        self._boxes: list[str] = []
        self.endnotes: list[str] = []
        self.counts: Counter[str] = Counter()

    def top(self, block: Any) -> list[str]:
        """Return the parts of a block or slide, with the notes that it calls."""
        self._after, self._boxes = [], []
        parts = self._blocks(block) if self._slides else self._block(block)
        if self._slides:
            for notes in below(block, "presentation:notes"):
                lines = [line for child in notes for line in self._block(child)]
                parts += lines
        return parts + self._boxes + self._after

    def left_out(self) -> Counter[str]:
        """Return the counts of parts that are left out by design."""
        heads = 0
        for kind in ("style:header", "style:footer"):
            for root in self._roots:
                heads += sum(bool("".join(one.itertext()).strip()) for one in below(root, kind))
        comments = sum(1 for one in self._roots[:1] for _ in below(one, "office:annotation"))
        return Counter({"headers and footers": heads, "comments": comments}) + self.counts

    def _blocks(self, parent: Any) -> list[str]:
        lines = []
        for child in parent:
            lines += self._block(child)
            boxes, self._boxes = self._boxes, []
            lines += boxes
        return lines

    def _block(self, block: Any) -> list[str]:
        name = name_of(block)
        if name in ("text:p", "text:h"):
            return [self._paragraph(block)]
        if name == "table:table":
            return [self._table(block)]
        if name == "text:list":
            return self._list(block)
        if name == "draw:frame":
            return self._frame(block)
        if name in _SHAPES:
            return self._blocks(block)
        if name in _WRAPPERS or (name.startswith("text:") and name.endswith("-index")):
            if attributes(block).get("text:display") == "none":
                self.counts["hidden sections"] += 1
                return []
            return self._blocks(block)
        return []

    def _paragraph(self, paragraph: Any, label: str = "") -> str:
        given = attributes(paragraph)
        if name_of(paragraph) == "text:h" and not label:
            label = self._lists.heading(paragraph)
        out: list[str] = []
        if given.get("text:style-name") in self._hidden or _is_hidden_paragraph(paragraph):
            self.counts["passages of hidden text"] += 1
            return ""
        self._inline(paragraph, out)
        text = "".join(out).strip(" ")
        return f"{label} {text}" if label and text else text

    def _inline(self, element: Any, out: list[str]) -> None:
        self._say(element.text, out)
        for child in element:
            self._inline_child(child, out)
            self._say(child.tail, out)

    def _say(self, text: str | None, out: list[str]) -> None:
        if text:
            text = _SPACES.sub(" ", text)
            # White space is one space, also over the bounds of elements (6.1.2).
            if text[0] == " " and (not out or out[-1][-1:] in (" ", "\n")):
                text = text[1:]
            if text:
                out.append(text)

    def _inline_child(self, child: Any, out: list[str]) -> None:
        name, given = name_of(child), attributes(child)
        if name == "text:s":
            count = given.get("text:c", "1")
            out.append(" " * min(int(count) if count.isdigit() else 1, _MOST_SPACES))
        elif name == "text:tab":
            out.append("\t")
        elif name == "text:line-break":
            out.append("\n")
        elif name == "text:note":
            self._note(child, out)
        elif name == "draw:frame" or name in _SHAPES or name == "draw:g":
            self._drawn(child, out)
        elif not name or name in _WITHOUT_TEXT or name in _HEADS:
            return
        elif given.get("text:style-name") in self._hidden:
            self.counts["passages of hidden text"] += 1
        else:
            self._inline(child, out)

    def _note(self, note: Any, out: list[str]) -> None:
        citation, body = find(note, "text:note-citation"), find(note, "text:note-body")
        mark = "" if citation is None else "".join(citation.itertext()).strip()
        out.append(f"[{mark}]")
        outer, self._boxes = self._boxes, []
        text = "" if body is None else "\n".join(self._blocks(body))
        self._boxes = outer
        last = attributes(note).get("text:note-class") == "endnote"
        (self.endnotes if last else self._after).append(f"[{mark}] {text}")

    def _drawn(self, shape: Any, out: list[str]) -> None:
        """An equation stands in its line, any other frame or shape after its paragraph."""
        equation = self._equation(shape) if name_of(shape) == "draw:frame" else None
        if equation is not None:
            out.append(equation)
            return
        outer, self._boxes = self._boxes, []
        lines = self._block(shape) + self._boxes
        self._boxes = outer
        text = "\n".join(lines)
        if text.strip():
            self._boxes.append(text)

    def _equation(self, frame: Any) -> str | None:
        held = find(frame, "draw:object")
        if held is None:
            return None
        math = find(held, "math:math")
        place = attributes(held).get("xlink:href", "")
        if math is None and self._part is not None and place:
            root = self._part(place.removeprefix("./") + "/content.xml")
            math = root if root is not None and name_of(root) == "math:math" else None
        return None if math is None else text_of_mathml(math)

    def _frame(self, frame: Any) -> list[str]:
        if attributes(frame).get("presentation:class") in ("header", "footer", "date-time"):
            self.counts["headers and footers"] += 1
            return []
        equation = self._equation(frame)
        if equation is not None:
            return [equation]
        # Its children are forms of the same; the first that holds text is what is shown.
        for child in frame:
            name = name_of(child)
            if name in ("draw:text-box", "table:table"):
                return self._block(child) if name == "table:table" else self._blocks(child)
        return []

    def _list(self, element: Any, level: int = 1, style: str = "") -> list[str]:
        style = self._lists.enter(element, level, style)
        lines = []
        for entry in element:
            numbered = name_of(entry) == "text:list-item"
            if not numbered and name_of(entry) != "text:list-header":
                continue
            # One that begins with a list inside it only leads to a deeper level.
            first = next((name_of(child) for child in entry if name_of(child)), "")
            numbered = numbered and first in ("text:p", "text:h")
            label = self._lists.label(entry, level, style) if numbered else ""
            for child in entry:
                name = name_of(child)
                if name == "text:list":
                    lines += self._list(child, level + 1, style)
                elif name in ("text:p", "text:h"):
                    lines.append(self._paragraph(child, label))
                    label = ""
                else:
                    lines += self._block(child)
                boxes, self._boxes = self._boxes, []
                lines += boxes
        return lines

    def _table(self, table: Any) -> str:
        rows = []
        for row in below_rows(table):
            cells = []
            for cell in row:
                name = name_of(cell)
                if name == "table:table-cell":
                    cells.append("\n".join(self._blocks(cell)))
                elif name == "table:covered-table-cell":
                    cells.append("")
            rows.append("\t".join(cells).rstrip("\t") if not any(cells) else "\t".join(cells))
        return "\n".join(rows)


def below_rows(table: Any) -> Iterator[Any]:
    """Yield the rows of a table, also those of its head and its groups."""
    for child in table:
        name = name_of(child)
        if name == "table:table-row":
            yield child
        elif name in ("table:table-header-rows", "table:table-rows", "table:table-row-group"):
            yield from below_rows(child)


def _is_hidden_paragraph(paragraph: Any) -> bool:
    first = find(paragraph, "text:hidden-paragraph")
    return first is not None and attributes(first).get("text:is-hidden") == "true"


def _hidden_styles(roots: list[Any]) -> set[str]:
    found = set()
    for root in roots:
        for style in below(root, "style:style"):
            properties = find(style, "style:text-properties")
            shown = None if properties is None else attributes(properties).get("text:display")
            if shown == "none":
                found.add(attributes(style).get("style:name", ""))
    return found - {""}
