"""How words of a PDF and of the same text as HTML are compared."""

from __future__ import annotations

from benchmarks.pdf_quality import compare, printed_words, words_of


def test_torn_joined_and_missing_words_are_counted() -> None:
    expected = words_of("a well known plan of downloading all of the manuals, twice in a year")
    found = words_of("a wellknown plan of down loading all of the manuals in a year 12")
    quality = compare(expected, [["A", "note"]], [*found, "A", "note"])
    assert (quality.words, quality.torn, quality.joined) == (len(expected) + 2, 1, 1)
    # "well known", "downloading" and "twice" are not there as they should be.
    assert quality.in_order == quality.words - 4


def test_only_what_is_printed_is_expected() -> None:
    words, notes = printed_words(
        "<head><title>No</title></head><div class=header>Next: No</div><h2>Chapter</h2>"
        "<p>See <a href='#x'>another name</a> for <b>bold</b>ness.</p><table><tr><td>one</td>"
        "<td>two</td></tr></table><div class=footnote><h5><a href='#f'>(1)</a></h5>"
        "<p>A note.</p></div>"
    )
    assert words == ["Chapter", "See", "for", "boldness", "one", "two"]
    assert notes == [["A", "note"]]
