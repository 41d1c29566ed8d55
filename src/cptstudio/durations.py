"""Lengths of time as people write them; `web/ui/lib/format.js` writes them alike."""

from __future__ import annotations

_UNITS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))


def duration(seconds: float) -> str:
    """Return a length of time: 45 s, 3 min 20 s, 2 h 05 min, 3 d 4 h."""
    if 0 < seconds < 1:
        return "< 1 s"
    whole = max(0, round(seconds))
    for size, unit, smaller, smaller_unit in _UNITS:
        if whole >= size:
            rest = whole % size // smaller
            digits = 1 if unit == "d" else 2
            return f"{whole // size} {unit}" + (f" {rest:0{digits}} {smaller_unit}" if rest else "")
    return f"{whole} s"
