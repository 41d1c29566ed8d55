"""XHTML as HTML: one parser then reads both."""

from __future__ import annotations

import re
from html.entities import html5 as html_entities
from typing import Any

_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
# Those that XML does not know without a document type; & and < must stay as they are.
_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)([A-Za-z][A-Za-z0-9]*);")
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source"}
    | {"track", "wbr"}
)
_CLOSED = re.compile(r"<([A-Za-z][\w:.-]*)((?:\s[^<>]*)?)/>")
_DATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)


def as_html(text: str) -> str:
    """Return a page of XHTML as HTML: in XML `<p/>` is empty, in HTML it stays open.

    What is not well-formed is left to the HTML parser, which makes the most of it; elements that
    close themselves and CDATA sections, which only XML knows, are written out before.
    """
    root = parsed(text)
    if root is not None:
        from lxml import etree  # type: ignore[import-untyped]

        for element in root.iter(etree.Element):
            element.tag = etree.QName(element).localname
        return str(etree.tostring(root, method="html", encoding="unicode"))
    text = _DATA.sub(lambda found: _escaped(found[1]), _DECLARATION.sub("", text, count=1))
    return _CLOSED.sub(
        lambda found: (
            found[0] if found[1].lower() in _VOID else f"<{found[1]}{found[2]}></{found[1]}>"
        ),
        text,
    )


def parsed(text: str) -> Any | None:
    """Return the root of a page or a part of one; None where it is not well-formed."""
    from lxml import etree

    known = _ENTITY.sub(lambda found: html_entities.get(found[1] + ";", found[0]), text)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)
    try:
        return etree.fromstring(_DECLARATION.sub("", known, count=1).encode(), parser)
    except (etree.XMLSyntaxError, ValueError):
        return None


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
