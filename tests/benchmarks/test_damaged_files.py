"""A few hundred damaged files; `python -m benchmarks.damaged_files` does thousands."""

from __future__ import annotations

import pytest

from benchmarks.damaged_files import run

pytestmark = pytest.mark.slow


def test_damaged_files_end_no_build_and_are_named() -> None:
    tally = run(files=300, seed=2026)
    assert tally.files == 300 and sum(tally.outcomes.values()) == 303
    assert not tally.ended
    assert not tally.unnamed
    assert not tally.lost
    assert not tally.words
    assert tally.slowest[0] < 30
