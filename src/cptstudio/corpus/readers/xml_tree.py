"""XML from outside: parsed without entities or network, its names short."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from cptstudio.corpus.readers.items import Unreadable

_OASIS = "urn:oasis:names:tc:opendocument:xmlns:"
_TRANSITIONAL = "http://schemas.openxmlformats.org/"
_STRICT = "http://purl.oclc.org/ooxml/"  # ISO/IEC 29500-1; the same elements under other names.
_PREFIXES = {
    **{
        base + path: prefix
        for path, prefix in {
            "wordprocessingml/2006/main": "w",
            "officeDocument/2006/math": "m",
            "officeDocument/2006/relationships": "r",
            "presentationml/2006/main": "p",
            "drawingml/2006/main": "a",
            "drawingml/2006/diagram": "dgm",
            "drawingml/2006/chart": "c",
        }.items()
        for base in (_TRANSITIONAL, _STRICT)
    },
    **{
        _STRICT + path: prefix
        for path, prefix in {
            "wordprocessingml/main": "w",
            "officeDocument/math": "m",
            "officeDocument/relationships": "r",
            "presentationml/main": "p",
            "drawingml/main": "a",
            "drawingml/diagram": "dgm",
            "drawingml/chart": "c",
        }.items()
    },
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc",
    "http://schemas.microsoft.com/office/drawing/2008/diagram": "dsp",
    "urn:schemas-microsoft-com:vml": "v",
    "http://www.w3.org/1998/Math/MathML": "math",
    "http://www.w3.org/1999/xhtml": "h",
    "http://www.w3.org/1999/xlink": "xlink",
    **{
        f"{_OASIS}{path}:1.0": path
        for path in ("office", "text", "table", "style", "presentation", "manifest", "form", "meta")
    },
    _OASIS + "drawing:1.0": "draw",
    _OASIS + "xsl-fo-compatible:1.0": "fo",
    _OASIS + "svg-compatible:1.0": "svg",
}


@lru_cache(maxsize=4096)
def short(tag: str) -> str:
    """Return the name of an element or attribute as it is usually written: "w:p", "text:h"."""
    namespace, _, name = tag.rpartition("}")
    return f"{_PREFIXES.get(namespace[1:], '?')}:{name}" if namespace else name


def name_of(element: Any) -> str:
    """Return an element's short name; empty for comments and processing instructions."""
    tag = element.tag
    return short(tag) if isinstance(tag, str) else ""


def attributes(element: Any) -> dict[str, str]:
    """Return an element's attributes by their short names."""
    return {short(name): value for name, value in element.attrib.items()}


def find(parent: Any, *path: str) -> Any | None:
    """Return the first element down a path of short names; None where there is none."""
    for name in path:
        parent = next((child for child in parent if name_of(child) == name), None)
        if parent is None:
            return None
    return parent


def below(parent: Any, *names: str) -> Any:
    """Return all elements below one, of some short names, in order."""
    return (element for element in parent.iter() if name_of(element) in names)


def parse(data: bytes, damage: Callable[[str], None] | None = None) -> Any:
    """Return the root of a document.

    Args:
        data: its bytes.
        damage: is told what is wrong with it; what can be read of it is then returned.

    Raises:
        Unreadable: it is not well-formed.
    """
    from lxml import etree  # type: ignore[import-untyped]

    def root(recover: bool) -> Any:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=recover)
        return etree.fromstring(data, parser)

    try:
        return root(recover=False)
    except (etree.XMLSyntaxError, ValueError) as error:
        reason = f"damaged XML: {error.args[0] if error.args else error}"
        if damage is not None:
            found = root(recover=True)
            if found is not None:
                damage(reason)
                return found
        raise Unreadable(reason) from None
