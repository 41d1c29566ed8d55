"""A few hundred damaged files; `python -m benchmarks.damaged_files` does thousands."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.damaged_files import Tally, check_batch, run

pytestmark = pytest.mark.slow


def test_damaged_files_end_no_build_and_are_named(tmp_path: Path) -> None:
    tally = run(files=300, seed=2026, state=tmp_path)
    assert (tally.files, tally.sound, tally.builds) == (300, 3, 1)
    assert sum(tally.outcomes.values()) == 303
    assert not tally.ended
    assert not tally.unnamed
    assert not tally.lost
    assert not tally.words
    assert not tally.slow
    # What came of it is kept, and not done again.
    assert run(files=300, seed=2026, state=tmp_path, part=2, parts=2) == tally


def test_every_file_is_counted_once_also_where_a_build_ends(tmp_path: Path) -> None:
    made = {"7/sound-0.txt": "sound", "7/sound-1.txt": "sound", "7/a.txt": "cut"}
    for path in made:
        file = tmp_path / "s" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("The valve opens at seven bar." if "sound" in path else "", "utf-8")
    tally = Tally()
    check_batch(tmp_path, made, tally)
    assert tally.outcomes == {"sound: read": 2, "cut: named": 1}
    assert not tally.wrong and not tally.unjudged
    # A build without sources ends.
    check_batch(tmp_path / "nowhere", made, tally)
    assert (tally.files, tally.sound, tally.builds) == (2, 4, 2)
    assert len(tally.ended) == tally.wrong == 1
    assert tally.unjudged + sum(tally.outcomes.values()) == 6
