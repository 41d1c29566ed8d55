"""Small files that went wrong once, in `cases/`: each gives its text, or is named with why not.

They were made by other programs, or damaged by hand; the first number groups those of a kind.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import pytest

from benchmarks.damage.zipping import zipped
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.manifest import BuildSettings
from tests.corpus.test_office import p, word

CASES = Path(__file__).parent / "cases"
KEEP_ALL = BuildSettings(exact_dedup=False, near_dedup=False, validation=0, test=0)
_PACKAGE = (
    "<package><manifest><item id='a' href='one.xhtml#start'/><item id='b' href='in\\two.xhtml'/>"
    "</manifest><spine><itemref idref='a'/><itemref idref='b'/></spine></package>"
)
_SMART = (
    "<w:r><w:t>In </w:t></w:r><w:smartTag><w:smartTag><w:r><w:t>New York</w:t></w:r></w:smartTag>"
    "</w:smartTag>"
)
# Those that were told without a file.
MADE = {
    "php.html": "<p>before</p><?php echo 1; ?><p>after</p>",
    "hidden.html": "<p>seen</p><p hidden>no</p><p style='display:none'>no</p>",
    "alone.xhtml": "<html xmlns='http://www.w3.org/1999/xhtml'><head><script src='x'/><title/>"
    "</head><body><p>Seen <![CDATA[a < b]]></p></body></html>",
    "picture.ipynb": '{"cells": [{"source": "![a](data:image/png;base64,' + "iVBOR" * 40 + ')"}, '
    '{"source": "x = 1"}]}',
    "page.mht": "MIME-Version: 1.0\nContent-Type: multipart/related; boundary=b\n\n--b\n"
    "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
    "<p>Gr=C3=B6=C3=9Fe=\n hier</p>\n--b\nContent-Type: image/png\n"
    "Content-Transfer-Encoding: base64\n\niVBOR\n--b--\n",
    "null.jsonl": '{"text": null}\n{"text": "second"}\n',
    "spine.epub": zipped({
        "META-INF/container.xml": b"<c><rootfile full-path='p.opf'/></c>",
        "p.opf": _PACKAGE.encode(), "one.xhtml": b"<p>One.</p>", "in/two.xhtml": b"<p>Two.</p>",
    }),
    "smart.docx": word(p(_SMART)),
}  # fmt: skip
# The documents' texts, or how they begin.
READ = {
    "01-docx-tracked-a.docx": [
        "The valve opens at seven bar.\n\nThis whole sentence was added by a reviewer.\n\n"
        "A moved sentence."
    ],
    "02-docx-sdt-a.docx": [
        "Before the control.\n\nBlock control text, a whole chapter may be in it.\n\n"
        "Client: Inline control end."
    ],
    "04-docx-tables-a.docx": [
        "Table follows.\n\nWIDE\nTALL\tr1c1\ninner-left\tinner-right\n\tr1c2\n"
        "\tr2c1\ttwo\nparagraphs"
    ],
    "05-epub-selfclosing-a.epub": [
        "Chapter one is here.\n\nChapter two is here.\n\nChapter three is here.\n\nBefore after."
        "\n\nChapter four goes on.\n\nEnd of four.\n\nChapter five is here.\n\nAfter the svg."
        "\n\nMath in cdata end."
    ],
    "06-epub-encoding-a.epub": [
        "Die Größe der Übung läßt sich schätzen.\n\nSechzehn Bit.\n\nВойна и мир, часть первая."  # noqa: RUF001
    ],
    "07-epub-damaged-a.epub": ["Chapter two."],
    "09-epub-spine-case.epub": ["First, in another case.\n\nSecond."],
    "09-epub-spine-missing.epub": ["One.\n\nThree."],
    "14-csv-single-column-a.csv": [
        "Hello, world, this is a sentence.",
        "Another one; with a semicolon.",
    ],
    "15-csv-unbalanced-a.csv": ['"starts but never ends', "second", "third"],
    "15-csv-unbalanced-b.tsv": [
        '"Quoted" he said.', "second", '"never closed here', "fourth", "fifth",
    ],
    "16-csv-headers-cr.csv": ["hello", "there"],
    "17-jsonl-mixed-concat.jsonl": ["x1", "x2", "x3", "x4"],
    "17-jsonl-mixed-pretty.jsonl": ["p1", "p2"],
    "18-json-shapes-u16.json": ["wide json"],
    "19-pdf-encrypted-AES-128.pdf": ["Word gap here"],
    "21-pdf-fonts-ligature-null.pdf": ["o\N{REPLACEMENT CHARACTER}ces"],
    # What follows lies outside of the page, as every viewer shows it.
    "22-pdf-damaged-badtoken.pdf": ["Before"],
    "23-parquet-types-dict.parquet": ["d1", "d2", "d1"],
    "26-textlike-doc.rtf": ["Grüße bold"],
    "26-textlike-mail.eml": ["Grüße\n\nGrüße aus dem Büro."],
    "30-encodings-iso2022jp.txt": ["日本語の電子メール。"],
    "30-encodings-mixed.txt": ["Größe in UTF-8.\nUnd Größe, Füße, Äpfel in Latin-1."],
    "32-office-damaged-vmerge-shift.docx": ["Paragraph 0 of the good text with some words in it."],
    "php.html": ["before\n\nafter"],
    "hidden.html": ["seen"],
    "alone.xhtml": ["Seen a < b"],
    "picture.ipynb": ["![a]()\n\nx = 1"],
    "page.mht": ["Größe hier"],
    "null.jsonl": ["second"],
    "spine.epub": ["One.\n\nTwo."],
    "smart.docx": ["In New York"],
}  # fmt: skip
# A word of what the report says of the file; those that are not in READ give no document.
NAMED = {
    "null.jsonl": "line 1: field 'text' is null",
    "07-epub-damaged-a.epub": "chapter 1 (OPS/1.xhtml): unreadable",
    "08-epub-drm-a.epub": "encrypted",
    "09-epub-spine-missing.epub": "chapter 2 (OPS/2.xhtml): missing",
    "14-csv-single-column-c.csv": "line 2 has 3 fields, but the header has 2",
    "15-csv-unbalanced-a.csv": "line 2 has an unclosed quote",
    "21-pdf-fonts-ligature-null.pdf": "1 characters have no Unicode value",
    "22-pdf-damaged-asciihex.pdf": "1 of 1 pages have no text",
    "22-pdf-damaged-badtoken.pdf": "1 of 1 pages contain text of size zero",
    "22-pdf-damaged-kidsloop.pdf": "page 1: unreadable",
    "30-encodings-mixed.txt": "1 lines are not UTF-8 and were read as cp1252",
    "32-office-damaged-deflate64.docx": "compression method is not supported",
    "32-office-damaged-e-zipcrypt.epub": "password required",
    "32-office-damaged-nobody.docx": "unreadable Word file",
}
HALF_RIGHT = {"14-csv-single-column-c.csv"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The documents and the findings of each file, from one build of all of them."""
    folder = tmp_path_factory.mktemp("cases")
    sources = folder / "s"
    shutil.copytree(CASES, sources)
    for name, made in MADE.items():
        (sources / name).write_bytes(made if isinstance(made, bytes) else made.encode())
    corpus = build_corpus(folder / "corpus", [sources], KEEP_ALL).corpus
    labels, texts = [source.label for source in corpus.sources()], defaultdict(list)
    documents = corpus.documents
    for number in range(len(documents)):
        label = labels[int(documents.records["source"][number])].removeprefix("s/")
        texts[label].append(documents.text(number))
    findings = {
        source.label.removeprefix("s/"): " | ".join([source.skipped or "", *source.notes])
        for source in corpus.sources()
    }
    return texts, findings


@pytest.mark.parametrize("name", READ)
def test_the_text_of(name: str, built: tuple[dict[str, list[str]], dict[str, str]]) -> None:
    texts = [text.strip() for text in built[0][name]]
    assert len(texts) == len(READ[name])
    assert all(text.startswith(start) for text, start in zip(texts, READ[name], strict=True)), texts
    assert name in NAMED or not built[1][name], built[1][name]


@pytest.mark.parametrize("name", NAMED)
def test_the_report_names(name: str, built: tuple[dict[str, list[str]], dict[str, str]]) -> None:
    assert NAMED[name] in built[1][name]
    assert name in READ or name in HALF_RIGHT or not built[0].get(name)


def test_a_field_three_structs_deep_is_read_and_a_wrong_one_named(tmp_path: Path) -> None:
    source = CASES / "24-parquet-struct-deep.parquet"
    settings = KEEP_ALL.model_copy(update={"text_field": "doc.in.text"})
    corpus = build_corpus(tmp_path / "c", [source], settings).corpus
    assert corpus.documents.text(0) == "deep1"
    settings = KEEP_ALL.model_copy(update={"text_field": "doc.on.text"})
    (tmp_path / "good.txt").write_text("good", encoding="utf-8")
    corpus = build_corpus(tmp_path / "c", [source, tmp_path / "good.txt"], settings).corpus
    (problem,) = corpus.manifest.report.problems
    assert problem == f"{source.name}: no column 'doc.on.text' (inside 'on': in)"
