"""Word documents (WordprocessingML, ECMA-376 part 1), as if every tracked change were accepted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from cptstudio.corpus.readers.guard import attempt, words_of
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.corpus.readers.packages import check_archive, seekable

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_PARAGRAPH, _TABLE, _ROW, _CELL, _BOX = (
    _W + name for name in ("p", "tbl", "tr", "tc", "txbxContent")
)
# Around blocks, rows or cells that belong to what they lie in: content controls, insertions.
_WRAPPERS = frozenset(
    _W + name for name in ("sdt", "sdtContent", "customXml", "ins", "moveTo", "smartTag")
)
# Properties, deleted text, what another element repeats, and pronunciations.
_WITHOUT_TEXT = frozenset(
    [_W + name for name in ("pPr", "rPr", "sdtPr", "del", "moveFrom", "rt", "instrText")]
    + [_FALLBACK, _BOX]
)
_SIGNS = {_W + "tab": "\t", _W + "ptab": "\t", _W + "cr": "\n", _W + "noBreakHyphen": "-"}


def word(item: Item, field: str) -> Iterator[Iterable[str]]:
    """The paragraphs, tables and text boxes of a .docx file, in their order."""
    from docx import Document

    with seekable(item) as file:
        check_archive(file)
        try:
            blocks = list(_inside(Document(file).element.body, (_PARAGRAPH, _TABLE)))
        except Exception as error:
            raise Unreadable(f"is not a Word file that can be read: {words_of(error)}") from None
        parts = []
        for number, block in enumerate(blocks, start=1):
            part = attempt(item, f"paragraph or table {number:,}", partial(_block, block))
            if part and part.strip():
                parts.append(part)
        notes = sum(1 for block in blocks for _ in block.iter(_W + "footnoteReference"))
        notes += sum(1 for block in blocks for _ in block.iter(_W + "endnoteReference"))
        if notes:
            item.notes.append(f"{notes:,} footnotes or endnotes are left out")
        yield ("\n\n".join(parts),)


def _inside(parent: Any, wanted: tuple[str, ...]) -> Iterator[Any]:
    """The elements of some kinds that a parent holds, also inside wrappers."""
    waiting = list(reversed(parent))
    while waiting:
        element = waiting.pop()
        if element.tag in wanted:
            yield element
        elif element.tag in _WRAPPERS:
            waiting.extend(reversed(element))


def _block(block: Any) -> str:
    if block.tag == _PARAGRAPH:
        boxes = [
            box for box in block.iter(_BOX) if next(box.iterancestors(_FALLBACK), None) is None
        ]
        return "\n\n".join(part for part in (_text(block), *map(_cell, boxes)) if part.strip())
    rows = []
    for row in _inside(block, (_ROW,)):
        if row.find(f"{_W}trPr/{_W}del") is None:
            # A merged cell is one element, and an empty one in each row that it goes on in.
            rows.append("\t".join(_cell(cell) for cell in _inside(row, (_CELL,))))
    return "\n".join(rows)


def _cell(cell: Any) -> str:
    return "\n".join(_block(block) for block in _inside(cell, (_PARAGRAPH, _TABLE)))


def _text(paragraph: Any) -> str:
    parts = []
    waiting = list(reversed(paragraph))
    while waiting:
        element = waiting.pop()
        tag = element.tag
        if tag in (_W + "t", _M + "t"):
            parts.append(element.text or "")
        elif tag == _W + "br":
            # Breaks of pages and columns are layout.
            parts.append("\n" if element.get(_W + "type") in (None, "textWrapping") else "")
        elif tag in _SIGNS:
            parts.append(_SIGNS[tag])
        elif tag not in _WITHOUT_TEXT:
            waiting.extend(reversed(element))
    return "".join(parts)
