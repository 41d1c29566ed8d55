"""What the comparison with LibreOffice's text counts."""

from __future__ import annotations

from benchmarks.office_quality import compared, words_of


def test_words_in_order_beside_and_twice() -> None:
    theirs = words_of("The valve opens1 at seven bar, and it closes at two when the pipe is cold.")
    assert compared("a", theirs, theirs).share == 1
    ours = words_of(
        "The valve opens[1] at bar, and it closes at two when the pipe is cold. [1] A note. "
        "bar, and it closes at two when the pipe is cold."
    )
    found = compared("a", theirs, ours)
    assert (found.words, found.kept, found.ours - found.kept) == (16, 15, 14)
    assert (found.missing, found.twice) == (["seven"], 4)
