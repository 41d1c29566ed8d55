"""HTML to text: what a reader of the page reads, with paragraphs and preformatted text kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from cptstudio.corpus.readers.decoding import decoded
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.durable import MEBIBYTE

HTML_LIMIT = 64 * MEBIBYTE
_SILENT = frozenset(
    {"script", "style", "noscript", "template", "head", "svg", "iframe", "object", "button"}
)
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
_PREFORMATTED = frozenset({"pre", "textarea", "xmp"})
# Elements that a later one does not close, and the formatting elements.
_NESTING = re.compile(
    "<(/?)(?:(address|article|aside|blockquote|center|details|dialog|dir|div|dl|fieldset|figure|"
    "footer|form|h[1-6]|header|main|menu|nav|ol|pre|section|span|summary|svg|table|ul)|"
    "a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?=[ \t\n\r\f/>])",
    re.IGNORECASE,
)
_FEW_TAGS = 5_000
_BLOCK_STEPS = 2_000_000_000
_FORMAT_STEPS = 50_000_000
_SPACES = re.compile(r"[ \t\n\r\f]+")
_EMPTY_LINES = re.compile(r"\n{3,}")


def html(item: Item, field: str) -> Iterator[Iterable[str]]:
    """One HTML page as one document."""
    parts, size = [], 0
    for part in decoded(item):
        parts.append(part)
        size += len(part)
        if size > HTML_LIMIT:
            raise Unreadable(f"is larger than {HTML_LIMIT // MEBIBYTE} MiB")
    yield (text_of_html("".join(parts)),)


def text_of_html(source: str) -> str:
    """The visible text of a page: paragraphs apart by an empty line, cells by a tab.

    Raises:
        Unreadable: it would keep the parser busy for minutes.
    """
    # Imported here, since help texts need no parser.
    from selectolax.lexbor import LexborHTMLParser

    _check_nesting(source)
    root = LexborHTMLParser(source.encode("utf-8", "replace")).root
    if root is None:
        return ""
    writer = _Writer()
    # (node, 0) enters a node, (name, 1) leaves it: the tree may be deeper than the stack allows.
    waiting: list[tuple[Any, bool]] = [(root, False)]
    while waiting:
        node, leaving = waiting.pop()
        if leaving:
            writer.leave(node)
            continue
        name = node.tag
        if name == "-text":
            writer.text(node.text_content or "")
            continue
        # Processing instructions, such as <?php ?>, have no name.
        if name is None or name in _SILENT or name.startswith(("-", "!")):
            continue
        writer.enter(name)
        waiting.append((name, True))
        child, children = node.child, []
        while child is not None:
            children.append((child, False))
            child = child.next
        waiting.extend(reversed(children))
    return writer.finish()


def _check_nesting(source: str) -> None:
    """Refuse what a parser takes quadratic time or memory for (HTML Standard, section 13.2).

    At each tag it may walk up all open elements, and in each new block it opens all formatting
    elements that were left open anew. No page that anyone wrote comes near these products.
    """
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
        raise Unreadable(f"is nested too deeply: {max(deepest, most):,} elements inside each other")


class _Writer:
    def __init__(self) -> None:
        self._parts: list[str] = []
        self._gap = ""
        self._preformatted = 0

    def enter(self, name: str) -> None:
        self._break(name)
        if name in ("td", "th"):
            self._gap = self._gap or "\t"
        self._preformatted += name in _PREFORMATTED

    def leave(self, name: str) -> None:
        self._preformatted -= name in _PREFORMATTED
        self._break(name)

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
            if self._parts:
                self._parts.append(self._gap)
            self._parts.append(text)
            self._gap = ""

    def _break(self, name: str) -> None:
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
