"""PDFs as their readers see them; `cases/40` and `41` were printed by Chromium."""

from __future__ import annotations

import io
from pathlib import Path

import pypdf
import pytest
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    NumberObject,
    TextStringObject,
)

from benchmarks.damage import material
from cptstudio.corpus.file_reading import left_out_in_words
from cptstudio.corpus.readers.items import Item
from cptstudio.corpus.readers.pdf import pdf
from cptstudio.corpus.readers.pdf_characters import expanded, mapped
from cptstudio.corpus.readers.pdf_doubt import is_doubtful
from cptstudio.corpus.readers.pdf_words import Vocabulary

CASES = Path(__file__).parent / "cases"


def read(data: bytes) -> tuple[list[str], list[str]]:
    """A file's paragraphs, and what is noted of it."""
    item = Item("a.pdf", ".pdf", lambda: io.BytesIO(data))
    [text] = ["".join(parts) for parts in pdf(item, "")]
    return text.split("\n\n"), [*left_out_in_words(item.left_out), *item.notes]


@pytest.fixture(scope="module")
def book() -> tuple[list[str], list[str]]:
    return read((CASES / "40-pdf-book.pdf").read_bytes())


def paragraph(chapter: int) -> str:
    around = (
        "The valve opens at seven bar and closes again when the pressure has fallen below five."
    )
    return (
        f"{around} Nobody has to touch it, and a well-known test shows every month whether it "
        f"still moves. In chapter {chapter} we look at what happens in between: the downloading "
        "of measurements, their transmission, and the state of a well-known sensor. " + around
    )


def test_columns_lines_and_hyphens_become_paragraphs(book: tuple[list[str], list[str]]) -> None:
    paragraphs, _ = book
    for chapter in range(1, 5):
        assert paragraphs.count(paragraph(chapter)) == 7
        assert f"{chapter} Chapter of valves" in paragraphs


def test_heads_are_left_out_and_counted_and_nothing_else(
    book: tuple[list[str], list[str]],
) -> None:
    paragraphs, notes = book
    assert notes == ["10 running heads and page numbers left out"]
    assert not [one for one in paragraphs if "Handbook" in one or one.startswith("Page")]
    # Five pages of the same words at the same places: rows of the text are no heads.
    assert len(paragraphs) == 4 * 8 + 5


def test_code_keeps_its_indents_over_a_page_and_tables_their_rows(
    book: tuple[list[str], list[str]],
) -> None:
    paragraphs, _ = book
    at = paragraphs.index(
        "def open(valve):\n    if valve.bar > 7:\n        valve.open()\n    return valve"
    )
    assert paragraphs[at + 1 : at + 5] == [
        "bar\tstate\tsince\n5\tclosed\t1997\n7\topen\t2003",
        "It is oiled once a year, before the winter begins and nobody is there any more to do it.",
        "It is tested.",
        "1 The office\N{RIGHT SINGLE QUOTATION MARK}s efficient files are affected: final flow.",
    ]


def test_text_from_right_to_left_comes_in_its_order() -> None:
    paragraphs, notes = read((CASES / "41-pdf-right-to-left.pdf").read_bytes())
    assert paragraphs == [
        "השסתום נפתח בשבעה בר ונסגר שוב כאשר הלחץ יורד מתחת לחמישה. אף אחד לא צריך לגעת בו.",
        "يفتح الصمام عند سبعة بار ويغلق مرة أخرى عندما ينخفض الضغط.",
    ]
    assert notes == []


@pytest.mark.parametrize(
    ("turn", "moved", "size", "told"),
    [
        (90, (792, 0), (792, 612), True),
        (180, (612, 792), (612, 792), True),
        (270, (0, 612), (792, 612), True),
        # A viewer shows it on its side.
        (90, (792, 0), (792, 612), False),
    ],
)
def test_pages_set_sideways_are_read(
    turn: int, moved: tuple[float, float], size: tuple[float, float], told: bool
) -> None:
    upright = dict(material.made())["plain.pdf"]
    writer = pypdf.PdfWriter(clone_from=pypdf.PdfReader(io.BytesIO(upright)))
    for page in writer.pages:
        page.add_transformation(pypdf.Transformation().rotate(turn).translate(*moved))
        page.mediabox.upper_right = size
        if told:
            page[NameObject("/Rotate")] = NumberObject(turn)
    out = io.BytesIO()
    writer.write(out)
    assert read(out.getvalue()) == read(upright)


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ("down", "loading", False),  # "downloaded" is in the document
        ("well", "known", True),
        ("sub", "directory", True),  # "sub-architecture" is
        ("MIT", "style", True),
        ("non", "Gaussian", True),
        ("encoun", "tered", False),
        ("long", "running", True),  # both are words
        ("1990", "2022", True),
    ],
)
def test_the_documents_own_words_tell_whose_a_hyphen_is(
    before: str, after: str, kept: bool
) -> None:
    vocabulary = Vocabulary()
    vocabulary.count(
        "They downloaded a well-known sub-architecture; the directory, as long as it was running."
    )
    assert vocabulary.keeps_hyphen(before, after) is kept


def test_characters_of_fonts_without_unicode_values() -> None:
    assert expanded("e\N{LATIN SMALL LIGATURE FFI}cient \N{DIAERESIS}uber") == "efficient über"
    assert mapped("\x1c", "n", "d") == "\N{LATIN SMALL LIGATURE FI}"
    assert mapped("\uf0b7", "", " ") == "\N{BULLET}"
    assert mapped("\uf061", "", "") == "\N{GREEK SMALL LETTER ALPHA}"
    assert mapped("\ue123", "a", "b") == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    "text_object",
    [
        "BT /F1 0 Tf 72 700 Td (one) Tj ET",
        "BT /F1 12 Tf 0 0 0 0 9 9 Tm (one) Tj ET",
        "BT /F1 1e30 Tf 1e30 0 0 1e30 72 700 Tm (one) Tj ET",
        "BT /F1 12 Tf 72 700 Td (\\255) Tj 0 -14 Td (\\255 \\255) Tj ET",
    ],
)
def test_text_of_no_size_or_of_soft_hyphens_alone_does_no_harm(text_object: str) -> None:
    plain = dict(material.made())["plain.pdf"]
    writer = pypdf.PdfWriter(clone_from=pypdf.PdfReader(io.BytesIO(plain)))
    stream = DecodedStreamObject()
    stream.set_data(text_object.encode())
    writer.pages[0][NameObject("/Contents")] = writer._add_object(stream)
    out = io.BytesIO()
    writer.write(out)
    paragraphs, notes = read(out.getvalue())
    assert not [note for note in notes if "unreadable" in note]
    assert "valve pipe Größe" in " ".join(paragraphs)


def annotated(*annotations: tuple[str, str, bytes | None, int]) -> bytes:
    """A page with annotations from top to bottom: kind, text, what is drawn for it, flags."""
    writer = pypdf.PdfWriter(clone_from=pypdf.PdfReader(io.BytesIO(plain_pdf())))
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    found = ArrayObject()
    for number, (kind, text, drawn, flags) in enumerate(annotations):
        one = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Annot"),
                NameObject("/Subtype"): NameObject(kind),
                NameObject("/Rect"): rectangle(72, 100 - 30 * number, 372, 120 - 30 * number),
                NameObject("/Contents"): TextStringObject(text),
                NameObject("/F"): NumberObject(flags),
            }
        )
        if drawn is not None:
            form = DecodedStreamObject()
            form.set_data(b"BT /F1 12 Tf 2 4 Td (%s) Tj ET" % drawn)
            form[NameObject("/Subtype")] = NameObject("/Form")
            form[NameObject("/BBox")] = rectangle(0, 0, 300, 20)
            fonts = DictionaryObject({NameObject("/F1"): names(font)})
            form[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
            appearance = {NameObject("/N"): writer._add_object(form)}
            one[NameObject("/AP")] = DictionaryObject(appearance)
        found.append(writer._add_object(one))
    writer.pages[0][NameObject("/Annots")] = found
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def plain_pdf() -> bytes:
    return dict(material.made())["plain.pdf"]


def rectangle(*edges: float) -> ArrayObject:
    return ArrayObject(FloatObject(edge) for edge in edges)


def names(entries: dict[str, str]) -> DictionaryObject:
    return DictionaryObject({NameObject(key): NameObject(value) for key, value in entries.items()})


def test_what_is_written_onto_a_page_is_read_and_comments_are_counted() -> None:
    data = annotated(
        ("/FreeText", "as it was typed", b"a drawn note", 4),
        ("/Stamp", "", b"APPROVED", 4),
        ("/FreeText", "an undrawn note", None, 4),
        ("/FreeText", "hidden", b"hidden", 2),
        ("/Text", "a comment", None, 4),
    )
    item = Item("a.pdf", ".pdf", lambda: io.BytesIO(data))
    [text] = ["".join(parts) for parts in pdf(item, "")]
    assert "\n\na drawn note\n\nAPPROVED\n\nan undrawn note\n\n" in text
    assert "typed" not in text and "hidden" not in text
    assert item.left_out["comments"] == 1


def test_a_file_whose_table_of_objects_is_damaged_is_read_and_named() -> None:
    whole = plain_pdf()
    paragraphs, notes = read(whole)
    assert not [note for note in notes if "damaged" in note]
    place = whole.rindex(b"startxref")
    broken, told = read(whole[:place] + b"startxref\n7\n%%EOF\n")
    assert broken == paragraphs
    assert [note for note in told if note.startswith("damaged PDF file: its object table")]


def test_text_that_is_hardly_what_a_page_shows() -> None:
    assert is_doubtful("الAbب تwفyق الحykم في " * 10, recognized=False)  # noqa: RUF001
    assert not is_doubtful("Файл foo.iso для USB-диска найден. " * 10, recognized=False)
    assert is_doubtful("tbe va|ve op3ns at s~ven bar a^d " * 10, recognized=True)
    assert not is_doubtful("the valve opens at seven bar and " * 10, recognized=True)
