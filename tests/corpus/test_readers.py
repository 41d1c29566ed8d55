"""Each kind of file gives the text that a person reads in it."""

from __future__ import annotations

import gzip
import io
import json
import sys
import textwrap
import unicodedata
import zipfile
from collections import Counter
from pathlib import Path
from types import ModuleType

import docx
import pyarrow as arrow
import pyarrow.parquet
import pytest
import zstandard
from lxml import etree

from benchmarks.damage import material
from cptstudio.corpus.cleaning import Cleaner
from cptstudio.corpus.readers import dispatch
from cptstudio.corpus.readers.dispatch import FORMATS, PACKED, Format, read_documents
from cptstudio.corpus.readers.items import Unreadable, items_of
from cptstudio.corpus.readers.markup import text_of_html
from cptstudio.corpus.readers.words import words_of
from cptstudio.corpus.sources import find_sources


def read(path: Path, field: str = "text") -> list[str]:
    files, _ = find_sources([path])
    items = (item for file in files for item in items_of(file))
    return ["".join(parts) for item in items for parts in read_documents(item, field)]


def test_every_format_has_a_valid_file_and_reads_it(tmp_path: Path) -> None:
    made = dict(material.made())
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
        assert any(text.strip() for text in read(tmp_path / name)), name
    suffixes = {Path(name).suffix for name in made}
    assert [one.title for one in FORMATS if one.suffixes and not suffixes & {*one.suffixes}] == []
    known = [suffix for one in FORMATS for suffix in one.suffixes]
    assert len(known) == len({*known, *PACKED}) - len(PACKED)


def test_the_reader_of_contributing_is_all_that_a_format_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text().split("### A reader\n")[1]
    module, record, example = (
        textwrap.dedent(part.split("```")[0]) for part in text.split("```python\n")[1:4]
    )
    opml = ModuleType("opml")
    exec(module, vars(opml))
    monkeypatch.setitem(sys.modules, "cptstudio.corpus.readers.opml", opml)
    added: Format = eval(record, {"Format": Format, "reader": dispatch.reader})
    name, data = eval(example.replace("yield ", ""))
    (tmp_path / name).write_bytes(data)
    monkeypatch.setitem(dispatch._READERS, added.suffixes[0], added.read)
    assert read(tmp_path / name) == ["One\nTwo\n"]
    monkeypatch.setattr(dispatch, "FORMATS", (added, *FORMATS))
    assert "OPML" in dispatch.formats_in_words()


def test_html_keeps_paragraphs_lists_cells_and_preformatted_text() -> None:
    page = (
        "<html><head><title>t</title><style>x{}</style></head><body><h1>Title</h1>"
        "<p>One <b>bold</b>\n  word.<br>Next</p><script>no()</script><ul><li>a</li><li>b</li></ul>"
        "<table><tr><td>1</td><td>2</td></tr></table><pre>def f():\n    return 1\n</pre></body>"
    )
    assert text_of_html(page) == (
        "Title\n\nOne bold word.\nNext\n\na\nb\n\n1\t2\n\ndef f():\n    return 1\n"
    )


def test_html_rows_are_lines_and_ordered_lists_have_numbers() -> None:
    rows = (
        "<table><tr><td></td><th>A</th><th>B</th></tr><tr><td><p>x</p></td><td></td><td>1</td></tr>"
        "<tr><td><p>two</p><p>paragraphs</p></td><td>c</td></tr></table>"
        "<table><tr><td>out</td><td><table><tr><td>in</td><td>ner</td></tr></table></td></tr>"
        "<tr><td><pre>1\n2</pre></td><td><pre>x\ny</pre></td></tr></table>"
    )
    assert text_of_html(rows) == (
        "\tA\tB\nx\t\t1\ntwo\n\nparagraphs\n\nc\n\nout\tin\tner\n1\n2\n\nx\ny\n"
    )
    lists = (
        "<ol start=3 type=A><li>x<ol><li>y</ol><li value=9>z<li></ol><ol reversed><li>a<li>b</ol>"
        "<ol style='list-style:none'><li>q</ol><ol style='list-style-type: lower-roman'><li>r</ol>"
    )
    assert text_of_html(lists).split() == "C. x 1. y I. z 2. a 1. b q i. r".split()  # noqa: SIM905


def test_html_leaves_out_what_is_hidden_and_what_stands_around_the_main_text() -> None:
    math = "<math><mfrac><mi>a</mi><mrow><mi>b</mi><mo>+</mo><mn>1</mn></mrow></mfrac></math>"
    katex = (
        "<span class='katex-mathml'><math><semantics><mi>x</mi><annotation encoding="
        "'application/x-tex'>x^2</annotation></semantics></math></span>"
        "<span class='katex-html'>x2</span>"
    )
    page = (
        "<nav>Home</nav><header><h1>Title</h1></header><p hidden>gone</p><dialog>gone</dialog>"
        f"<p style='color:red; display : none'>gone</p><p>{math} and {katex}</p>"
        "<ruby>漢<rt>かん</rt></ruby><article><footer>Its author</footer></article>"
    )
    left_out: Counter[str] = Counter()
    text = text_of_html(page + "<footer>Imprint</footer>", left_out=left_out, main=True)
    assert text == "Title\n\na/(b+1) and x^2\n\n漢\n\nIts author\n"
    assert left_out == {"hidden passages": 4, "passages outside the main text": 2}
    links = "".join(f"<li><a href=x>entry {n}</a></li>" for n in range(3))
    named = (
        f"<div class='sidebar'><h3>In</h3><ul>{links}</ul></div><p>Text.</p><div id='nav-1'>{links}"
        "<p>with words of the text, which are no navigation</p></div><p class='navheader'>Up</p>"
        "<div class=header>Next: <a rel=next href=x>Calls</a>, Up: <a rel=up href=y>T</a>"
        "</div>"
    )
    left_out.clear()
    text = text_of_html(named, left_out=left_out, main=True)
    assert text.startswith("Text.\n\nentry 0\n") and text.endswith("no navigation\n")
    assert left_out == {"passages outside the main text": 3} and "In" in text_of_html(named)
    framed = f"<div>around</div><main><nav>Contents</nav>{page}</main>"
    assert text_of_html(framed, main=True) == "Title\n\na/(b+1) and x^2\n\n漢\n\nIts author\n"
    assert "around" in text_of_html(framed) and "around" in text_of_html(
        "<main></main>around", main=True
    )


def test_html_in_a_declared_encoding_and_xhtml(tmp_path: Path) -> None:
    text = "Больше, чем слова"
    declared = f"<meta charset='koi8-r'><p>{text}</p>"
    (tmp_path / "a.html").write_bytes(declared.encode("koi8-r"))
    (tmp_path / "b.html").write_bytes(declared.encode())
    space = "xmlns='http://www.w3.org/1999/xhtml'"
    page = f"<html {space}><script src='x'/><p><![CDATA[a < b]]>{{}}</p></html>"
    (tmp_path / "c.xhtml").write_text(page.format(""), encoding="utf-8")
    (tmp_path / "d.xhtml").write_text(page.format("<br> & more"), encoding="utf-8")
    assert read(tmp_path / "a.html") == read(tmp_path / "b.html") == [text + "\n"]
    assert read(tmp_path / "c.xhtml") == ["a < b\n"]
    assert read(tmp_path / "d.xhtml") == ["a < b\n& more\n"]


def test_deeply_nested_html_is_read() -> None:
    assert text_of_html("<div>" * 20_000 + "deep") == "deep\n"


def test_word(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_paragraph("First paragraph.")
    table = document.add_table(rows=1, cols=2)
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    document.add_paragraph("Last paragraph.")
    document.save(str(tmp_path / "a.docx"))
    assert read(tmp_path / "a.docx") == ["First paragraph.\n\nleft\tright\n\nLast paragraph."]


def test_epub_in_the_order_of_its_spine(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.epub", "w") as archive:
        archive.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        )
        archive.writestr(
            "OPS/book.opf",
            '<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
            '<item id="b" href="two.xhtml"/>'
            '<item id="a" href="one%20.xhtml"/></manifest><spine><itemref idref="a"/>'
            '<itemref idref="b"/></spine></package>',
        )
        archive.writestr("OPS/one .xhtml", "<html><body><p>Chapter one</p></body></html>")
        archive.writestr("OPS/two.xhtml", "<html><body><p>Chapter two</p></body></html>")
    assert read(tmp_path / "a.epub") == ["Chapter one\n\nChapter two\n\n"]


def test_pdf(tmp_path: Path) -> None:
    stream = b"BT /F1 24 Tf 72 700 Td (Words on a page) Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    table = out.tell()
    out.write(b"xref\n0 6\n0000000000 65535 f \n")
    out.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % table)
    (tmp_path / "a.pdf").write_bytes(out.getvalue())
    assert [text.strip() for text in read(tmp_path / "a.pdf")] == ["Words on a page"]


def test_parquet_and_saved_datasets(tmp_path: Path) -> None:
    table = arrow.table({"id": [1, 2, 3], "body": ["one", None, "three"]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with arrow.ipc.new_stream(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table)
    assert read(tmp_path / "a.parquet", "body") == ["one", "three"]
    assert read(tmp_path / "a.arrow", "body") == ["one", "three"]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_files_are_read_as_what_they_hold(tmp_path: Path, suffix: str) -> None:
    data = "".join(json.dumps({"text": text}) + "\n" for text in ("one", "two")).encode()
    packed = gzip.compress(data) if suffix == ".gz" else zstandard.compress(data)
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(packed)
    assert read(path) == ["one", "two"]


def test_json_documents_and_notebooks(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text('[{"text": "one"}, "two"]', encoding="utf-8")
    (tmp_path / "data.json").write_text('{"data": [{"a": {"b": "in"}}]}', encoding="utf-8")
    cells = [{"source": ["x = 1\n", "y = 2"]}, {"source": "# note"}]
    (tmp_path / "book.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert read(tmp_path / "list.json") == ["one", "two"]
    assert read(tmp_path / "data.json", "a.b") == ["in"]
    assert read(tmp_path / "book.ipynb") == ["x = 1\ny = 2\n\n# note"]


def test_cleaning_is_the_same_however_the_text_is_cut() -> None:
    text = "\ufeffA\r\nB\rC\te\u0301 \x00\x07x\u0085y\n\x0cpage\r\n\u1112\u1161\u11ab \u0915\u093c"
    whole = "".join(Cleaner().clean([text]))
    assert whole == "A\nB\nC\té x\ny\n\x0cpage\n\ud55c \u0915\u093c"
    for size in (1, 2, 3, 7):
        parts = [text[start : start + size] for start in range(0, len(text), size)]
        assert "".join(Cleaner().clean(parts)) == whole


def test_columns_of_every_kind_of_text_and_names_with_dots(tmp_path: Path) -> None:
    columns = {
        "text": arrow.array(["one", "two"], arrow.string_view()),
        "doc.text": arrow.array(["dot one", "dot two"]),
        "doc": arrow.array([{"in": "struct one"}, {"in": "struct two"}]),
        "large": arrow.array(["large one", "large two"], arrow.large_string()),
    }
    table = arrow.table(columns)
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with arrow.ipc.new_stream(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table)
    for name in ("a.parquet", "a.arrow"):
        assert read(tmp_path / name) == ["one", "two"]
        assert read(tmp_path / name, "doc.text") == ["dot one", "dot two"]
        assert read(tmp_path / name, "doc.in") == ["struct one", "struct two"]
        assert read(tmp_path / name, "large") == ["large one", "large two"]


def test_json_lines_in_utf16(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"text": f"Größe {n}"}, ensure_ascii=False) + "\n" for n in range(3))
    (tmp_path / "marked.jsonl").write_bytes(lines.encode("utf-16"))
    (tmp_path / "bare.jsonl").write_bytes(lines.encode("utf-16-be"))
    for name in ("marked.jsonl", "bare.jsonl"):
        assert read(tmp_path / name) == ["Größe 0", "Größe 1", "Größe 2"]


def test_quotes_that_are_not_closed_take_no_rows_with_them(tmp_path: Path) -> None:
    rows = ['1,"one', '2,"two', '3,"three ""a"" and', 'its second line"', '4,"so" to say', '5,5"']
    (tmp_path / "a.csv").write_text("id,text\n" + "\n".join(rows) + "\n", encoding="utf-8")
    assert read(tmp_path / "a.csv") == [
        '"one', '"two', 'three "a" and\nits second line', "so to say", '5"',
    ]  # fmt: skip


def test_marks_without_end_are_left_as_they_are_and_the_rest_is_composed() -> None:
    marks = "\u0301\u0327" * 200_000
    cleaner = Cleaner()
    assert "".join(cleaner.clean([f"e\u0301 a{marks} e\u0301"])) == f"\u00e9 a{marks} \u00e9"
    assert cleaner.long_runs == 1
    decorated = "a" + "\u0301\u0327" * 100
    assert "".join(Cleaner().clean([decorated])) == unicodedata.normalize("NFC", decorated)


def test_what_takes_a_parser_the_square_of_its_size_is_refused() -> None:
    attributes = " ".join(f"a{number}=1" for number in range(200_000))
    with pytest.raises(Unreadable, match="an element has 200,000 attributes"):
        text_of_html(f"<p {attributes}>x</p>")
    drawing = "M 1 2 " * 100_000
    assert text_of_html(f'<path d="{drawing}"></path><p title="{"=" * 60_000}">x</p>') == "x\n"
    with pytest.raises(Unreadable, match="300,000 levels"):
        text_of_html("<div>" * 300_000)
    with pytest.raises(etree.XMLSyntaxError) as raised:
        etree.fromstring("<a>" * 300 + "</a>" * 300)
    assert words_of(raised.value) == "it is nested too deeply"
