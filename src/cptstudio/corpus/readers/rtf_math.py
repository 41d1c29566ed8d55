"""Equations of RTF (RTF 1.9.1, "Math"): its words are OMML's elements with an m before them."""

from __future__ import annotations

from typing import Any

_SPACE = "http://schemas.openxmlformats.org/officeDocument/2006/math"
_VALUE = f"{{{_SPACE}}}val"
_PARTS = frozenset(
    {"r", "f", "num", "den", "rad", "deg", "e", "sSup", "sSub", "sSubSup", "sPre", "sub", "sup"}
    | {"nary", "func", "fName", "limLow", "limUpp", "lim", "d", "m", "mr", "eqArr", "acc", "bar"}
    | {"box", "borderBox", "groupChr", "oMath"}
)
# What of their looks is a sign that is shown.
_SIGNS = frozenset({"chr", "begChr", "sepChr", "endChr", "type"})
_LOOKS = frozenset({"naryPr", "dPr", "fPr", "accPr"})
_DEEPEST = 100


def begun(parent: Any | None, word: str) -> Any | None:
    """Return the element that a word begins inside another one; None where it begins none."""
    from lxml import etree  # type: ignore[import-untyped]

    name = word[1:]
    if not word.startswith("m") or name not in _PARTS | _SIGNS | _LOOKS:
        return None
    if parent is None:
        return etree.Element(f"{{{_SPACE}}}{name}") if name == "oMath" else None
    if sum(1 for _ in parent.iterancestors()) > _DEEPEST:
        return None
    return etree.SubElement(parent, f"{{{_SPACE}}}{name}")


def ended(element: Any, text: str) -> None:
    """Give an element what stood in it beside other elements."""
    from lxml import etree

    name = element.tag.rpartition("}")[2]
    if name in _SIGNS:
        element.set(_VALUE, text.strip())
    elif name not in _LOOKS and text:
        run = element if name == "r" else etree.SubElement(element, f"{{{_SPACE}}}r")
        etree.SubElement(run, f"{{{_SPACE}}}t").text = text
