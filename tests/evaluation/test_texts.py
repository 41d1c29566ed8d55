"""Files of texts that are measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from cptstudio.errors import UserError
from cptstudio.evaluation.texts import read_texts


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "invalid JSON"),
        ('{"text": ' + "[" * 100_000, r"invalid JSON \(nested too deeply\)"),
        ('{"number": ' + "1" * 5000 + "}", r"invalid JSON \(a number of 5000 digits\)"),
        ('{"text": 5}', "no text in 'text'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, reason: str) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "one", "score": NaN}\n' + line + "\n")
    with pytest.raises(UserError, match=f"line 2: {reason}"):
        read_texts(file)
