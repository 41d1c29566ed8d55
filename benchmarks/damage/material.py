"""Valid files of every format, made by the programs that are at hand.

python-docx, pyarrow, pypdf, zip, gzip, zstandard and the standard library make most of them; pandoc
makes Word, EPUB, HTML and notebooks, too, where it is installed; a folder of other real files may
be given. What each holds does not matter, only that its reader goes through all of itself.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import docx
import pyarrow as arrow
import pyarrow.parquet
import zstandard
from pypdf import PdfReader, PdfWriter

from benchmarks.damage.office_material import office_files
from benchmarks.damage.zipping import zipped
from cptstudio.corpus.readers.dispatch import FORMATS, PACKED
from cptstudio.durable import MEBIBYTE

LARGEST = MEBIBYTE // 2
"""Bytes of a file that is taken from a folder: larger ones would only take time."""
_WORDS = "valve pressure the opens at seven bar and Größe 日本 naïve pipe when sensor reads zero"
_SUFFIXES = {".py", *PACKED, *(suffix for one in FORMATS for suffix in one.suffixes)}


def sentences(number: int, count: int = 12) -> str:
    """Some text, another one for each number."""
    known = _WORDS.split()
    words = [known[(number * 7 + place * place) % len(known)] for place in range(12 * count)]
    lines = [" ".join(words[start : start + 12]) for start in range(0, len(words), 12)]
    return f"Text {number}.\n" + ".\n".join(lines) + ".\n"


def material(folder: Path | None = None) -> list[tuple[str, bytes]]:
    """Names and contents of valid files."""
    found = list(made())
    found += _by_pandoc()
    for path in sorted(folder.rglob("*")) if folder is not None else []:
        known = path.suffix.lower() in _SUFFIXES and path.is_file() and not path.is_symlink()
        if known and path.stat().st_size <= LARGEST:
            found.append((path.name, path.read_bytes()))
    return found


def made() -> Iterator[tuple[str, bytes]]:
    """Names and contents of files that need no other program."""
    text = sentences(1)
    for suffix in (".txt", ".md", ".rst", ".tex", ".py"):
        yield f"text{suffix}", text.encode()
    for encoding in ("utf-16", "utf-8-sig", "cp1252", "shift_jis", "iso2022_jp"):
        yield f"{encoding}.txt", text.encode(encoding, "replace")
    records = [{"text": sentences(number, 2), "id": number} for number in range(20)]
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
    yield "lines.jsonl", lines
    yield "wide.jsonl", lines.decode().encode("utf-16")
    yield "list.json", json.dumps(records).encode()
    cells = [{"cell_type": "code", "source": [sentences(n, 1)], "outputs": []} for n in range(5)]
    yield "book.ipynb", json.dumps({"cells": cells, "nbformat": 4}).encode()
    for name, dialect in (("table.csv", "excel"), ("table.tsv", "excel-tab")):
        out = io.StringIO()
        writer = csv.writer(out, dialect=dialect)
        writer.writerow(["id", "text"])
        writer.writerows([record["id"], record["text"]] for record in records)
        yield name, out.getvalue().encode()
    yield from _columns(records)
    yield "page.html", _html(1).encode()
    yield "page.xhtml", f'<?xml version="1.0"?>{_html(2)}'.encode()
    yield from _pdfs()
    word, book = _word(), _book()
    yield "word.docx", word
    yield "book.epub", book
    yield from office_files(sentences(4, 1).replace("\n", " "))
    yield "packed.txt.gz", gzip.compress(text.encode())
    yield "packed.jsonl.zst", zstandard.compress(lines)
    members = {"a.txt": text.encode(), "b/c.jsonl": lines, "d.docx": word, "e.epub": book}
    yield "archive.zip", zipped(members)


def _html(number: int) -> str:
    rows = "".join(f"<tr><td>{n}</td><td>{sentences(n, 1)}</td></tr>" for n in range(5))
    return (
        f"<html><head><title>t</title></head><body><h1>{number}</h1><p>{sentences(number)}</p>"
        f"<table>{rows}</table><pre>{sentences(3, 2)}</pre><?php echo 1; ?><!-- c --></body></html>"
    )


def _columns(records: list[dict[str, object]]) -> Iterator[tuple[str, bytes]]:
    plain = arrow.Table.from_pylist(records)
    dictionary = arrow.table({"text": arrow.array(["one", "two", "one"]).dictionary_encode()})
    for name, table, compression in (
        ("plain", plain, "none"),
        ("snappy", plain, "snappy"),
        ("zstd", plain, "zstd"),
        ("dictionary", dictionary, "gzip"),
    ):
        out = io.BytesIO()
        pyarrow.parquet.write_table(table, out, compression=compression)
        yield f"{name}.parquet", out.getvalue()
    out = io.BytesIO()
    with arrow.ipc.new_stream(out, plain.schema) as writer:
        writer.write_table(plain)
    yield "saved.arrow", out.getvalue()


def _word() -> bytes:
    document = docx.Document()
    for number in range(6):
        document.add_heading(f"Heading {number}", level=1 + number % 3)
        document.add_paragraph(sentences(number, 2))
    table = document.add_table(rows=4, cols=3)
    for number, cell in enumerate(table._cells):
        cell.text = f"cell {number}"
    table.cell(0, 0).merge(table.cell(0, 1))
    table.cell(1, 2).merge(table.cell(3, 2))
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def _book() -> bytes:
    names = [f"{number}.xhtml" for number in range(4)]
    manifest = "".join(f'<item id="c{n}" href="{name}"/>' for n, name in enumerate(names))
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(names)))
    members = {
        "mimetype": b"application/epub+zip",
        "META-INF/container.xml": b'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:'
        b'container"><rootfiles><rootfile full-path="OPS/b.opf"/></rootfiles></container>',
        "OPS/b.opf": f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{manifest}'
        f"</manifest><spine>{spine}</spine></package>".encode(),
    }
    members |= {f"OPS/{name}": _html(n).encode() for n, name in enumerate(names)}
    return zipped(members)


def _pdfs() -> Iterator[tuple[str, bytes]]:
    plain = _pdf([sentences(number, 2) for number in range(4)])
    yield "plain.pdf", plain
    steps: dict[str, Callable[[PdfWriter], object]] = {
        "aes.pdf": lambda writer: writer.encrypt("", "owner", algorithm="AES-256"),
        "rc4.pdf": lambda writer: writer.encrypt("", "owner", algorithm="RC4-128"),
        "packed.pdf": _compress,
    }
    for name, step in steps.items():
        writer = PdfWriter(clone_from=PdfReader(io.BytesIO(plain)))
        step(writer)
        out = io.BytesIO()
        writer.write(out)
        yield name, out.getvalue()


def _compress(writer: PdfWriter) -> None:
    for page in writer.pages:
        page.compress_content_streams()


def _pdf(pages: list[str]) -> bytes:
    """A PDF file by hand: one text object a page, one font."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, text in enumerate(pages):
        lines = [f"({line}) Tj T*".encode("cp1252", "replace") for line in text.splitlines()]
        stream = b"BT /F1 12 Tf 14 TL 72 700 Td " + b" ".join(lines) + b" ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * number} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    out = b"%PDF-1.4\n"
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count, start = len(objects) + 1, len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, table)
    return out + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (count, start)


def _by_pandoc() -> Iterator[tuple[str, bytes]]:
    """The same document as pandoc writes it; nothing where pandoc is not installed."""
    if shutil.which("pandoc") is None:
        return
    source = "\n\n".join(
        [
            "---\ntitle: A handbook\n---",
            *(
                f"# Chapter {n}\n\n{sentences(n, 2)}\n\n- one\n- *two*[^{n}]\n\n[^{n}]: A note."
                for n in range(3)
            ),
            "| a | b |\n|---|---|\n| 1 | 2 |",
            "```python\nprint(1)\n```",
        ]
    )
    for suffix in ("docx", "epub", "epub2", "html", "ipynb"):
        command = ["pandoc", "--standalone", "--from", "markdown", "--to", suffix, "--output", "-"]
        made = subprocess.run(command, input=source.encode(), capture_output=True, check=True)
        yield f"pandoc.{suffix.rstrip('2')}", made.stdout
