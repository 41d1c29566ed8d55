"""Equations as a line of text, in the linear form of Word and of UnicodeMath.

A fraction is `(a+b)/c`, indices are `x_i^2`, a root is `√(x)`. What groups is put into brackets
only where it is more than one sign. Elements of OMML (ECMA-376 part 1, 22.1) and of MathML 3.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

from cptstudio.corpus.readers.xml_tree import attributes, find, name_of

_SIGNS = {"\u0302": "^", "\u0303": "~", "\u0305": "¯", "\u0307": "˙", "\u20d7": "→"}
_BIG = "∫"


def _grouped(text: str) -> str:
    """In brackets, where it is not one word or number already."""
    closed = text[:1] + text[-1:] in ("()", "[]", "{}") and text[1:-1].isalnum()
    return text if len(text) == 1 or text.isalnum() or closed else f"({text})"


def _fraction(over: str, under: str, *, bar: bool = True) -> str:
    return f"{_grouped(over)}/{_grouped(under)}" if bar else f"({over}¦{under})"


def _scripts(base: str, below: str = "", above: str = "") -> str:
    low = f"_{_grouped(below)}" if below else ""
    high = f"^{_grouped(above)}" if above else ""
    return base + low + high


def _root(inside: str, degree: str = "") -> str:
    return f"√({degree}&{inside})" if degree else f"√({inside})"


def text_of_omml(element: Any) -> str:
    """Return an `m:oMath`, or what is inside one."""
    return "".join(map(_omml, element))


def _omml(element: Any) -> str:
    name = name_of(element)
    if name == "m:r":
        return "".join(child.text or "" for child in element if name_of(child) in ("m:t", "w:t"))
    if name.endswith("Pr") or name in ("w:del", "w:moveFrom"):
        return ""
    make = _OMML.get(name)
    return make(element) if make is not None else text_of_omml(element)


def _part(element: Any, name: str) -> str:
    part = find(element, "m:" + name)
    return "" if part is None else text_of_omml(part)


def _property(element: Any, *path: str, usual: str = "") -> str:
    found = find(element, *("m:" + name for name in path))
    return usual if found is None else attributes(found).get("m:val", "")


def _omml_nary(element: Any) -> str:
    sign = _property(element, "naryPr", "chr", usual=_BIG)
    head = _scripts(sign, _part(element, "sub"), _part(element, "sup"))
    return f"{head} {_part(element, 'e')}"


def _omml_delimited(element: Any) -> str:
    opening = _property(element, "dPr", "begChr", usual="(")
    between = _property(element, "dPr", "sepChr", usual="|")
    closing = _property(element, "dPr", "endChr", usual=")")
    inside = (text_of_omml(child) for child in element if name_of(child) == "m:e")
    return opening + between.join(inside) + closing


def _omml_matrix(element: Any) -> str:
    rows = (row for row in element if name_of(row) == "m:mr")
    cells = ("&".join(text_of_omml(cell) for cell in row) for row in rows)
    return "(" + "@".join(cells) + ")"


def _omml_lines(element: Any) -> str:
    return "\n".join(text_of_omml(line) for line in element if name_of(line) == "m:e")


def _omml_accent(element: Any) -> str:
    sign = _property(element, "accPr", "chr", usual="\u0302")
    inside = _part(element, "e")
    return inside + sign if len(inside) == 1 else f"{_SIGNS.get(sign, sign)}({inside})"


_OMML: dict[str, Callable[[Any], str]] = {
    "m:f": lambda e: _fraction(
        _part(e, "num"), _part(e, "den"), bar=_property(e, "fPr", "type") != "noBar"
    ),
    "m:sSup": lambda e: _scripts(_part(e, "e"), above=_part(e, "sup")),
    "m:sSub": lambda e: _scripts(_part(e, "e"), _part(e, "sub")),
    "m:sSubSup": lambda e: _scripts(_part(e, "e"), _part(e, "sub"), _part(e, "sup")),
    "m:sPre": lambda e: _scripts("", _part(e, "sub"), _part(e, "sup")) + _part(e, "e"),
    "m:rad": lambda e: _root(_part(e, "e"), _part(e, "deg")),
    "m:limLow": lambda e: _scripts(_part(e, "e"), _part(e, "lim")),
    "m:limUpp": lambda e: _scripts(_part(e, "e"), above=_part(e, "lim")),
    "m:func": lambda e: f"{_part(e, 'fName')} {_part(e, 'e')}",
    "m:nary": _omml_nary,
    "m:d": _omml_delimited,
    "m:m": _omml_matrix,
    "m:eqArr": _omml_lines,
    "m:acc": _omml_accent,
}


def text_of_mathml(element: Any) -> str:
    """Return a `math` element of MathML, or what is inside one.

    What its author wrote in TeX beside it is taken instead, since that says more.
    """
    tex = _tex(element)
    return tex if tex is not None else _mathml(element)


def _local(element: Any) -> str:
    return name_of(element).rpartition(":")[2]


def _tex(element: Any) -> str | None:
    for found in element.iter():
        if _local(found) == "annotation" and "tex" in (found.get("encoding") or "").lower():
            return " ".join("".join(found.itertext()).split())
    return None


def _mathml(element: Any) -> str:
    name = _local(element)
    if not name or name.startswith("annotation"):
        return ""
    parts = [_mathml(child) for child in element if name_of(child)]
    make = _MATHML.get(name)
    if make is not None:
        try:
            return str(make(*parts))
        except TypeError:  # Too few children or too many: then just in their order.
            return "".join(parts)
    if name == "mtable":
        return "(" + "@".join(parts) + ")"
    if name == "mtr":
        return "&".join(parts)
    if name == "mfenced":
        between = str(element.get("separators", ","))[:1]
        return f"{element.get('open', '(')}{between.join(parts)}{element.get('close', ')')}"
    if name == "msqrt":
        return _root("".join(parts))
    if name == "mspace":
        return " "
    if parts:
        return _joined([child for child in element if name_of(child)], parts)
    text = " ".join((element.text or "").split())
    return text if name != "mo" or len(text) < 2 or not text.isalpha() else f" {text} "


def _joined(elements: list[Any], parts: list[str]) -> str:
    """Parts one after the other; the bounds of a sum stand apart from what is summed."""
    out = ""
    for element, part in zip(elements, parts, strict=True):
        out += part
        first = next((one for one in element if name_of(one)), None)
        if _local(element) in _WITH_BOUNDS and first is not None:
            base = "".join(first.itertext()).strip()
            out += " " if base and all(unicodedata.category(sign) == "Sm" for sign in base) else ""
    return out.rstrip(" ") if out != " " else out


_WITH_BOUNDS = frozenset({"munderover", "munder", "mover", "msubsup", "msub", "msup"})
_MATHML: dict[str, Callable[..., str]] = {
    "mfrac": lambda over, under: _fraction(over, under),
    "msup": lambda base, above: _scripts(base, above=above),
    "msub": lambda base, below: _scripts(base, below),
    "msubsup": _scripts,
    "munderover": _scripts,
    "munder": lambda base, below: _scripts(base, below),
    "mover": lambda base, above: (
        base + above if len(above) == 1 and not above.isalnum() else _scripts(base, above=above)
    ),
    "mroot": _root,
}
