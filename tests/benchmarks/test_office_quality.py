"""What the comparison with LibreOffice's text counts."""

from __future__ import annotations

from pathlib import Path

from benchmarks.office_documents import box, comment, flat, math, note, p
from benchmarks.office_quality import compared, once, words_of
from benchmarks.office_readings import asides_in, heads_in


def test_words_in_order_beside_and_twice() -> None:
    theirs = words_of("The valve opens1 at seven bar, and it closes at two when the pipe is cold.")
    assert compared("a", theirs, theirs, []).is_good
    ours = words_of(
        "The valve opens[1] at bar, and it closes at two when the pipe is cold. [1] A note. "
        "bar, and it closes at two when the pipe is cold."
    )
    found = compared("a", theirs, ours, words_of("A note."))
    assert (found.words, found.kept, found.ours - found.kept) == (18, 17, 12)
    assert (found.missing, found.twice, found.is_good) == (["seven"], 4, False)


def test_a_box_that_is_there_twice_counts_as_often_as_ours_has_it() -> None:
    pieces = [["in", "a", "box"], ["in", "a", "box"], ["else"]]
    assert once(pieces, ["text"], ["text", "in", "a", "box"]) == ["in", "a", "box", "else"]
    assert once(pieces, ["text", "in", "a", "box"], ["in", "a", "box"]) == ["else"]
    assert len(once(pieces, [], ["in", "a", "box"] * 2)) == 7


def test_what_stands_beside_a_text(tmp_path: Path) -> None:
    """Notes, boxes and equations come from LibreOffice's flat file, endnotes last."""
    body = (
        p("Text" + note("An end.", "i", "endnote") + note("A foot.", "1") + box(p("A box.")))
        + p(math("<mi>x</mi><mo>=</mo><mfrac><mi>a</mi><mn>2</mn></mfrac>") + comment("none"))
    )  # fmt: skip
    path = tmp_path / "a.fodt"
    path.write_text(flat(body), "utf-8")
    words = [words_of(one) for one in asides_in(path)]
    assert words == [["A", "box"], ["A", "foot"], ["x", "a", "2"], ["An", "end"]]
    assert [words_of(one) for one in heads_in(path)] == [
        ["Running", "head", "of", "the", "manual"], ["Page"],
    ]  # fmt: skip
