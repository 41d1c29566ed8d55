"""HTML to text: what a reader of the page reads, with paragraphs and preformatted text kept.

What its author hid is left out, and so is what stands around the main text, where the page says by
its elements or roles which that is (HTML Standard, 4.3 and 4.4; WAI-ARIA 1.2, landmark roles).
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cptstudio.corpus.readers.decoding import decoded
from cptstudio.corpus.readers.equations import text_of_mathml
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.corpus.readers.navigation import is_around
from cptstudio.corpus.readers.number_forms import number_in
from cptstudio.corpus.readers.xhtml import as_html, parsed
from cptstudio.durable import MEBIBYTE

HTML_LIMIT = 64 * MEBIBYTE
_SILENT = frozenset(
    {"script", "style", "noscript", "template", "head", "svg", "iframe", "object", "button"}
    # What browsers of today show instead, pronunciations, and choices that are not shown.
    | {"noframes", "noembed", "audio", "video", "canvas", "rt", "rp", "datalist"}
)
_HIDING = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\s*(?:!|;|$)", re.IGNORECASE
)
# KaTeX and MathJax show an equation in elements of their own beside its MathML.
_SHOWN_MATH = ("katex-html", "MathJax_Preview", "mwe-math-fallback-image-inline")
_DECLARED = re.compile(
    rb"""<meta\s[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9._:-]+)"""
    rb"""|\A\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""",
    re.IGNORECASE,
)
_DECLARED_WITHIN = 4096
# Names that mean another encoding on the web (Encoding Standard, 4.2).
_ON_THE_WEB = {
    "iso8859-1": "cp1252", "ascii": "cp1252", "iso8859-9": "cp1254", "shift_jis": "cp932",
    "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "big5": "big5hkscs",
    "tis-620": "cp874", "iso8859-11": "cp874",
}  # fmt: skip
_PARAGRAPHS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "ul",
    ]
)
_LINES = frozenset({"br", "tr", "caption", "summary", "legend", "option"})
_LISTS = frozenset({"ol", "ul", "menu", "dir"})
_NUMBERS = {
    "1": "decimal",
    "a": "lowerLetter",
    "A": "upperLetter",
    "i": "lowerRoman",
    "I": "upperRoman",
}
# CSS Lists 3, `list-style-type`; others are rare, and decimal here.
_STYLED = re.compile(
    r"(?:^|;)\s*list-style(?:-type)?\s*:[^;]*?\b(none|(?:lower|upper)-(?:alpha|latin|roman))",
    re.IGNORECASE,
)
_PREFORMATTED = frozenset({"pre", "textarea", "xmp"})
# Elements that a later one does not close, and the formatting elements.
_NESTING = re.compile(
    "<(/?)(?:(address|article|aside|blockquote|center|details|dialog|dir|div|dl|fieldset|figure|"
    "footer|form|h[1-6]|header|main|menu|nav|ol|pre|section|span|summary|svg|table|ul)|"
    "a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?=[ \t\n\r\f/>])",
    re.IGNORECASE,
)
_LONG_TAG = re.compile(r"<[A-Za-z][^<>]{50000,}")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_ATTRIBUTES = 10_000
_FEW_TAGS = 5_000
_CELLS = 8
"""Tables inside each other of which each is told; the outer ones of more are as they are."""
_BLOCK_STEPS = 2_000_000_000
_FORMAT_STEPS = 50_000_000
_SPACES = re.compile(r"[ \t\n\r\f]+")
_NUMBER = re.compile(r"-?[0-9]{1,9}")
_EMPTY_LINES = re.compile(r"\n{3,}")


def html(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield one HTML page as one document."""
    page = _page(item)
    source = as_html(page) if _is_xml(item, page) else page
    yield (text_of_html(source, left_out=item.left_out, main=item.main_text),)


def _page(item: Item) -> str:
    encoding = _declared(item)
    if encoding is not None:
        try:
            return item.read(HTML_LIMIT).decode(encoding)
        except UnicodeDecodeError:
            pass  # It is not what it says; found out as of any other text.
    parts, size = [], 0
    for part in decoded(item):
        parts.append(part)
        size += len(part)
        if size > HTML_LIMIT:
            raise Unreadable(f"larger than {HTML_LIMIT // MEBIBYTE} MiB")
    return "".join(parts)


def _declared(item: Item) -> str | None:
    """The encoding that a page names, where that is none that every text is tried as."""
    with item.open() as file:
        head = file.read(_DECLARED_WITHIN)
    found = _DECLARED.search(head)
    if found is None:
        return None
    try:
        name = codecs.lookup((found[1] or found[2]).decode("ascii")).name
    except LookupError:
        return None
    if name.startswith("utf"):
        return None
    data = item.read(HTML_LIMIT)
    try:
        # Hardly any text happens to be valid UTF-8.
        data.decode("utf-8")
    except UnicodeDecodeError:
        return _ON_THE_WEB.get(name, name)
    return None if not data.isascii() or name.startswith("cp") else name


def _is_xml(item: Item, page: str) -> bool:
    return item.suffix == ".xhtml" or page.lstrip("\ufeff \t\r\n").startswith("<?xml")


def text_of_html(source: str, *, left_out: Counter[str] | None = None, main: bool = False) -> str:
    """Return the visible text of a page: paragraphs apart by an empty line, cells by a tab.

    Args:
        source: the page.
        left_out: counts what is left out.
        main: leave out what its elements say is not its main text.

    Raises:
        Unreadable: it would keep the parser busy for minutes.
    """
    # Imported here, since help texts need no parser.
    from selectolax.lexbor import LexborHTMLParser

    _check_nesting(source)
    root = LexborHTMLParser(source.encode("utf-8", "replace")).root
    if root is None:
        return ""
    counts = Counter() if left_out is None else left_out
    if main:
        marked = [node for node in root.css("main, [role=main]") if not _is_hidden(node)]
        # Of several none is known to be the one, and an empty one is filled by a program.
        if len(marked) == 1:
            inside: Counter[str] = Counter()
            text = _written(marked[0], inside, main=True)
            if text:
                whole = _written(root, Counter(), main=False)
                inside["passages outside the main text"] += len(whole) > len(text)
                counts.update(inside)
                return text
    return _written(root, counts, main=main)


def _written(root: Any, counts: Counter[str], *, main: bool) -> str:
    writer = _Writer()
    # (node, 0) enters a node, (name, 1) leaves it: the tree may be deeper than the stack allows.
    waiting: list[tuple[Any, bool]] = [(root, False)]
    lists: list[_Numbers | None] = []
    while waiting:
        node, leaving = waiting.pop()
        if leaving:
            writer.leave(node)
            if node in _LISTS:
                lists.pop()
            continue
        name = node.tag
        if name == "-text":
            writer.text(node.text_content or "")
            continue
        # Processing instructions, such as <?php ?>, have no name.
        if name is None or name in _SILENT or name.startswith(("-", "!")):
            continue
        if name == "math":
            writer.text(_equation(node))
            continue
        given = node.attributes
        if (given or name == "dialog") and _is_hidden(node):
            counts["hidden passages"] += bool((node.text() or "").strip())
            continue
        if main and node is not root and is_around(node, name, given):
            counts["passages outside the main text"] += bool((node.text() or "").strip())
            continue
        writer.enter(name)
        if name in _LISTS:
            lists.append(_numbers(node, given) if name == "ol" else None)
        elif name == "li" and lists and (counted := lists[-1]) is not None:
            writer.label(counted.next(given.get("value")))
        waiting.append((name, True))
        child, children = node.child, []
        while child is not None:
            children.append((child, False))
            child = child.next
        waiting.extend(reversed(children))
    return writer.finish()


@dataclass
class _Numbers:
    """An ordered list that is being read (HTML Standard, 4.4.5 and 4.4.8)."""

    form: str
    number: int
    step: int

    def next(self, given: str | None) -> str:
        """Return the text to print before the next item, which may be given its number."""
        number = _whole(given, self.number)
        self.number = number + self.step
        return number_in(self.form, number) + "."


def _numbers(node: Any, given: dict[str, str | None]) -> _Numbers | None:
    """The numbers of an `ol`; None where its style says that it has none."""
    form = _NUMBERS.get(given.get("type") or "", "decimal")
    if styled := _STYLED.search(given.get("style") or ""):
        kind, _, of = styled[1].lower().partition("-")
        if kind == "none":
            return None
        form = kind + ("Roman" if of == "roman" else "Letter")
    if "reversed" not in given:
        return _Numbers(form, _whole(given.get("start"), 1), 1)
    items, child = 0, node.child
    while child is not None:
        items += child.tag == "li"
        child = child.next
    return _Numbers(form, _whole(given.get("start"), items), -1)


def _whole(text: str | None, usual: int) -> int:
    text = (text or "").strip()
    return int(text) if _NUMBER.fullmatch(text) else usual


def _is_hidden(node: Any) -> bool:
    given = node.attributes
    if "hidden" in given or (node.tag == "dialog" and "open" not in given):
        return True
    if _HIDING.search(given.get("style") or ""):
        return True
    return any(word in _SHOWN_MATH for word in (given.get("class") or "").split())


def _equation(node: Any) -> str:
    tree = parsed(node.html)
    return (node.text() or "") if tree is None else text_of_mathml(tree)


def _check_nesting(source: str) -> None:
    """Refuse what a parser takes quadratic time or memory for (HTML Standard, section 13.2).

    At each tag it may walk up all open elements, and in each new block it opens all formatting
    elements that were left open anew. Each attribute is compared with those before it. No page that
    anyone wrote comes near these numbers.
    """
    for tag in _LONG_TAG.finditer(source):
        attributes = _QUOTED.sub("", tag[0]).count("=")
        if attributes > _ATTRIBUTES:
            raise Unreadable(f"an element has {attributes:,} attributes")
    tags = source.count("<")
    if tags < _FEW_TAGS:
        return
    blocks = formats = deepest = most = 0
    for found in _NESTING.finditer(source):
        step = -1 if found[1] else 1
        if found[2]:
            blocks = max(0, blocks + step)
            deepest = max(deepest, blocks)
        else:
            formats = max(0, formats + step)
            most = max(most, formats)
    if deepest * tags > _BLOCK_STEPS or most * tags > _FORMAT_STEPS:
        raise Unreadable(f"nested too deeply ({max(deepest, most):,} levels)")


@dataclass
class _Cell:
    """A cell that is open: whether nothing was written in it, and whether it has paragraphs."""

    fresh: bool = True
    paragraphs: bool = False


class _Writer:
    def __init__(self) -> None:
        self._parts: list[str] = []
        self._gap = ""
        self._label = ""
        self._preformatted = 0
        self._cells: list[_Cell] = []
        # How many cells each open row has had, and whether the last one held paragraphs.
        self._rows: list[int] = []
        self._apart = False

    def label(self, text: str) -> None:
        """Write a number before the next text of the item that was entered."""
        self._label += text + " "

    def enter(self, name: str) -> None:
        self._break(name)
        if name == "tr":
            self._rows.append(0)
            self._apart = False
        elif name in ("td", "th"):
            self._enter_cell()
        self._preformatted += name in _PREFORMATTED

    def leave(self, name: str) -> None:
        self._preformatted -= name in _PREFORMATTED
        if name == "li":
            self._label = ""
        elif name == "tr" and self._rows:
            self._rows.pop()
        elif name in ("td", "th") and self._cells:
            cell = self._cells.pop()
            if not cell.fresh:
                self._apart = cell.paragraphs
                self._gap = "\n\n" if cell.paragraphs else ""
        self._break(name)

    def _enter_cell(self) -> None:
        """A row is a line, but where its cells hold several paragraphs each."""
        self._cells.append(_Cell())
        if self._rows:
            self._rows[-1] += 1
        if not self._apart and (not self._rows or self._rows[-1] > 1):
            self._gap = self._gap.rstrip(" ") + "\t"

    def text(self, text: str) -> None:
        if not self._preformatted:
            collapsed = _SPACES.sub(" ", text)
            if collapsed.startswith(" "):
                self._gap = self._gap or " "
                collapsed = collapsed[1:]
            trailing = collapsed.endswith(" ")
            self._write(collapsed.removesuffix(" "))
            if trailing:
                self._gap = self._gap or " "
        else:
            self._write(text)

    def _write(self, text: str) -> None:
        if text:
            apart = self._gap.endswith("\n\n")
            lines = self._preformatted > 0 and "\n" in text
            for cell in self._cells[-_CELLS:]:
                cell.paragraphs = cell.paragraphs or lines or (apart and not cell.fresh)
                cell.fresh = False
            self._parts.append(self._gap if self._parts else self._gap.strip(" \n"))
            self._parts.append(self._label + text)
            self._gap = self._label = ""

    def _break(self, name: str) -> None:
        if self._cells and self._cells[-1].fresh:
            return
        if name in _PARAGRAPHS:
            # Items of a list stand on lines of their own without an empty line between them.
            wanted = "\n" if name in ("li", "dt", "dd") else "\n\n"
        elif name in _LINES:
            wanted = "\n"
        else:
            return
        if self._gap.count("\n") < len(wanted):
            self._gap = wanted

    def finish(self) -> str:
        text = _EMPTY_LINES.sub("\n\n", "".join(self._parts)).strip("\n")
        return text + "\n" if text else ""
