"""Tables in Markdown, and a page that several scripts each keep a part of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def table(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """A Markdown table; its columns after the first `texts` are aligned right."""
    rule = ["---" if column < texts else "--:" for column in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *rows])


def replace_part(page: Path, part: str, text: str) -> None:
    """Put `text` between the page's markers of that part.

    Raises:
        ValueError: the page does not have both markers.
    """
    begin, end = f"<!-- begin {part} -->", f"<!-- end {part} -->"
    old = page.read_text(encoding="utf-8")
    before, found, rest = old.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} lacks the markers {begin} and {end}")
    page.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")
