"""PDF, Word and EPUB files; each is one document."""

from __future__ import annotations

import io
import logging
import posixpath
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote
from xml.etree import ElementTree

from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.corpus.readers.markup import HTML_LIMIT, text_of_html
from cptstudio.durable import MEBIBYTE

if TYPE_CHECKING:
    from pypdf import PdfReader

_FILE_LIMIT = 512 * MEBIBYTE
_UNPACKED_LIMIT = 512 * MEBIBYTE
_CONTAINER = "META-INF/container.xml"


def pdf(item: Item, field: str) -> Iterator[Iterable[str]]:
    """The text of a PDF file's pages; scanned pages have none."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    # It warns about every flaw of a file; what matters arrives as an exception.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    with _seekable(item) as file:
        try:
            reader = PdfReader(file)
            if reader.is_encrypted and not reader.decrypt(""):
                raise Unreadable("is protected by a password")
            yield _pages(item, reader)
        except PyPdfError as error:
            raise Unreadable(f"is not a PDF file that can be read: {error}") from None


def _pages(item: Item, reader: PdfReader) -> Iterator[str]:
    without = 0
    for number, page in enumerate(reader.pages):
        text = page.extract_text()
        without += not text.strip()
        if text.strip():
            yield ("\n\n" if number else "") + text
    if without:
        item.notes.append(f"{without:,} of its {len(reader.pages):,} pages hold no text (scanned?)")


def word(item: Item, field: str) -> Iterator[Iterable[str]]:
    """The paragraphs and tables of a .docx file, in their order."""
    from docx import Document
    from docx.table import Table

    with _seekable(item) as file:
        _check_archive(file)
        try:
            content = list(Document(file).iter_inner_content())
        except (KeyError, ValueError, zipfile.BadZipFile, SyntaxError) as error:
            raise Unreadable(f"is not a Word file that can be read: {error}") from None
        parts = []
        for block in content:
            if isinstance(block, Table):
                rows = ["\t".join(cell.text for cell in row.cells) for row in block.rows]
                parts.append("\n".join(rows))
            else:
                parts.append(block.text)
        yield ("\n\n".join(part for part in parts if part.strip()),)


def epub(item: Item, field: str) -> Iterator[Iterable[str]]:
    """The chapters of an EPUB book in reading order (EPUB 3.3, package document's spine)."""
    with _seekable(item) as file:
        archive = _check_archive(file)
        try:
            chapters = _spine(archive)
            yield _chapters(archive, chapters)
        except (KeyError, ElementTree.ParseError, zipfile.BadZipFile, RuntimeError) as error:
            raise Unreadable(f"is not an EPUB book that can be read: {error}") from None


def _chapters(archive: zipfile.ZipFile, names: list[str]) -> Iterator[str]:
    for name in names:
        with archive.open(name) as chapter:
            data = chapter.read(HTML_LIMIT + 1)
        if len(data) > HTML_LIMIT:
            raise Unreadable(f"has a chapter larger than {HTML_LIMIT // MEBIBYTE} MiB")
        yield text_of_html(data.decode("utf-8", "replace")) + "\n"


def _spine(archive: zipfile.ZipFile) -> list[str]:
    container = ElementTree.fromstring(archive.read(_CONTAINER))
    rootfile = container.find(".//{*}rootfile")
    if rootfile is None:
        raise Unreadable("is not an EPUB book: it names no package document")
    package_name = rootfile.attrib["full-path"]
    package = ElementTree.fromstring(archive.read(package_name))
    folder = posixpath.dirname(package_name)
    files = {
        entry.attrib["id"]: posixpath.normpath(
            posixpath.join(folder, unquote(entry.attrib["href"]))
        )
        for entry in package.iterfind(".//{*}manifest/{*}item")
    }
    order = [entry.attrib["idref"] for entry in package.iterfind(".//{*}spine/{*}itemref")]
    there = set(archive.namelist())
    return [files[name] for name in order if files.get(name) in there]


def _seekable(item: Item) -> IO[bytes]:
    file = item.open()
    if file.seekable():
        return file
    file.close()
    return io.BytesIO(item.read(_FILE_LIMIT))


def _check_archive(file: IO[bytes]) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Unreadable(f"cannot be unpacked: {error}") from None
    unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > _UNPACKED_LIMIT:
        raise Unreadable(f"unpacks to {unpacked:,} bytes, more than {_UNPACKED_LIMIT:,}")
    return archive
