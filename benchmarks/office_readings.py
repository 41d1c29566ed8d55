"""What LibreOffice's readings of a file hold: asides of a text, slides, chapters of a book."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from lxml import etree  # type: ignore[import-untyped]

_TEXT = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
_BREAKS = ("p", "h", "line-break", "tab", "s", "table-cell", "covered-table-cell", "list-item")
_SILENT = frozenset(
    {"annotation", "tracked-changes", "ruby-text", "title", "desc", "note-citation", "forms"}
    | {"binary-data", "enhanced-geometry", "sequence-decls", "image"}
)
_BOXES = frozenset(
    {"text-box", "custom-shape", "rect", "ellipse", "circle", "line", "path", "polygon", "polyline"}
    | {"connector", "caption"}
)


def _name(element: Any) -> str:
    return "" if not isinstance(element.tag, str) else etree.QName(element).localname


def _root(path: Path) -> Any:
    return etree.parse(str(path), etree.XMLParser(huge_tree=True, recover=True)).getroot()


def asides_in(flat: Path) -> list[str]:
    """Notes, boxes, shapes and equations of a text, where they stand; endnotes come last."""
    root = _root(flat)
    text = next(root.iter("{*}body"))[0]
    found, ends = [], []
    for block in text:
        aside = _Aside()
        _text(block, aside)
        found += [*aside.equations, *aside.boxes, *aside.notes]
        ends += aside.ends
    return [one for one in (*found, *ends) if one.strip()]


def heads_in(flat: Path) -> list[str]:
    """Heads and feet of pages, which a web page has in its text."""
    heads = _root(flat).iter("{*}header", "{*}footer")
    return [_text(one, _Aside()) for one in heads if one.getparent().tag.endswith("}master-page")]


@dataclass
class _Aside:
    """What stands beside a text."""

    equations: list[str] = field(default_factory=list)
    boxes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)


def _text(element: Any, aside: _Aside) -> str:
    """The text of an element; what stands beside it goes to the others."""
    name = _name(element)
    charted = name == "object" and not any(_name(one) == "math" for one in element)
    if name in _SILENT or not name or charted:
        return ""
    if name == "math":
        aside.equations.append(_equation(element))
        return ""
    boxes = len(aside.boxes)
    parts = [element.text or ""]
    for child in element:
        parts += [_text(child, aside), child.tail or ""]
    text = "".join(parts) + ("\n" if name in _BREAKS else "")
    if name in _BOXES:
        aside.boxes.insert(boxes, text)
        return ""
    if name == "note":
        endnote = element.get(f"{{{_TEXT}}}note-class") == "endnote"
        (aside.ends if endnote else aside.notes).append(text)
        return ""
    return text


def _equation(element: Any) -> str:
    """What of it is shown; parts of a structure are apart, tokens in a row are not."""
    name = _name(element)
    if name.startswith("annotation") or not name:
        return ""
    row = name in ("math", "semantics", "mrow", "mstyle", "mi", "mn", "mo", "mtext")
    return (
        (element.text or "").strip()
        + ("" if row else " ").join(map(_equation, element))
        + ("" if row else " ")
    )


def slides_in(flat: Path) -> str:
    """Slides in their order: the title, all else, the speaker's notes."""
    presentation = "{urn:oasis:names:tc:opendocument:xmlns:presentation:1.0}class"
    parts = []
    for page in _root(flat).iter("{*}page"):
        shown = [one for one in page if _name(one) != "notes"]
        shown.sort(key=lambda one: one.get(presentation) != "title")
        for one in shown:
            if one.get(presentation) not in ("header", "footer", "date-time", "page-number"):
                parts += _shape(one)
        for notes in (one for one in page if _name(one) == "notes"):
            parts += [text for one in notes for text in _shape(one)]
    return "\n".join(parts)


def _shape(element: Any) -> list[str]:
    aside = _Aside()
    text = _text(element, aside)
    return [text, *aside.boxes, *aside.equations]


def chapters(book: Path, name: Path) -> Iterator[Path]:
    """The chapters of a book in their order, each as a file of HTML; they are written once."""
    folder = name.with_suffix(".chapters")
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(book) as archive:
        for number, place in enumerate(_spine(archive)):
            chapter = folder / f"{number:04}.html"
            if not chapter.exists():
                try:
                    root = etree.fromstring(archive.read(place), etree.XMLParser(recover=True))
                except (KeyError, etree.XMLSyntaxError):
                    continue
                # LibreOffice reads pronunciations as text.
                etree.strip_elements(root, "{*}rt", "{*}rp", with_tail=False)
                for one in root.iter(etree.Element):
                    one.tag = etree.QName(one).localname
                chapter.write_bytes(etree.tostring(root, method="html", encoding="utf-8"))
            yield chapter


def _spine(archive: zipfile.ZipFile) -> list[str]:
    container = etree.fromstring(archive.read("META-INF/container.xml"))
    package = next(container.iter("{*}rootfile")).get("full-path")
    root = etree.fromstring(archive.read(package))
    files = {one.get("id"): unquote(one.get("href", "")) for one in root.iter("{*}item")}
    places = (files.get(one.get("idref"), "") for one in root.iter("{*}itemref"))
    return [posixpath.normpath(posixpath.join(posixpath.dirname(package), one)) for one in places]
