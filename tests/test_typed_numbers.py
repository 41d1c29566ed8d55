"""Typed numbers: one table for the command line's, the API's and the pages' reading.

The pages' is held to it by tests/web/ui/typed_number.test.mjs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cptstudio.typed_numbers import AmbiguousNumberError, UnreadableNumberError, read_number

TABLE = Path(__file__).parent / "typed_numbers.json"
CASES = json.loads(TABLE.read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize(("text", "options", "meant"), CASES)
def test_a_typed_number_is_read_right_or_refused(
    text: str, options: dict[str, Any], meant: Any
) -> None:
    if meant == "refused":
        with pytest.raises(UnreadableNumberError):
            read_number(text, **options)
    elif isinstance(meant, list):
        with pytest.raises(AmbiguousNumberError, match=f"could mean {meant[0]} or {meant[1]}\\."):
            read_number(text, **options)
    else:
        found = read_number(text, **options)
        assert found == meant
        assert isinstance(found, int) == bool(options.get("whole") and found is not None)
