"""What read like a translation stands in no source any more: the table is `tests/words.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.words import LABELS, TEXTS

ROOT = Path(__file__).parent.parent
SUFFIXES = (".py", ".js", ".html")
QUOTES = ('""', "''", "``", "><")


@pytest.mark.slow
def test_no_such_text_is_left_in_sources_and_documents() -> None:
    paths = [
        path
        for path in (ROOT / "src" / "cptstudio").rglob("*")
        if path.suffix in SUFFIXES and "vendor" not in path.parts
    ]
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    source = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    told = source + "\n".join(path.read_text(encoding="utf-8") for path in documents)
    assert [text for text in TEXTS if text in told] == []
    assert [
        label for label in LABELS for left, right in QUOTES if f"{left}{label}{right}" in source
    ] == []
    assert len({*LABELS, *TEXTS}) == len(LABELS) + len(TEXTS)
