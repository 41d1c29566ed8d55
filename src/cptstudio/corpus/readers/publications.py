"""PDF, Word and EPUB files; each is one document."""

from __future__ import annotations

import codecs
import io
import logging
import posixpath
import re
import zipfile
from collections.abc import Iterable, Iterator
from functools import partial
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote
from xml.etree import ElementTree

from cptstudio.corpus.readers.guard import attempt, words_of
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.corpus.readers.markup import HTML_LIMIT, text_of_html
from cptstudio.durable import MEBIBYTE

if TYPE_CHECKING:
    from pypdf import PdfReader

_FILE_LIMIT = 512 * MEBIBYTE
_UNPACKED_LIMIT = 512 * MEBIBYTE
_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_NO_CHARACTER = "\0"  # What pypdf makes of a glyph that its font maps to none.
_PAGES_GIVEN_UP = 100
_WRONG_SHARE = 0.02


def pdf(item: Item, field: str) -> Iterator[Iterable[str]]:
    """The text of a PDF file's pages; scanned pages have none, damaged ones are named."""
    from pypdf import PdfReader

    # It warns about every flaw of a file; what matters arrives as an exception.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    with _seekable(item) as file:
        try:
            reader = PdfReader(file)
            # Many are encrypted only against changes and open without a password.
            if reader.is_encrypted and not reader.decrypt(""):
                raise Unreadable("is protected by a password")
            count = len(reader.pages)
        except Unreadable:
            raise
        except Exception as error:
            raise Unreadable(f"is not a PDF file that can be read: {words_of(error)}") from None
        yield _pages(item, reader, count)


def _pages(item: Item, reader: PdfReader, count: int) -> Iterator[str]:
    without = failed = in_a_row = marks = 0
    for number in range(count):
        text = attempt(item, f"page {number + 1:,}", partial(_page, reader, number))
        failed += text is None
        in_a_row = in_a_row + 1 if text is None else 0
        if in_a_row == _PAGES_GIVEN_UP:
            item.notes.append(f"of {count:,} pages those from page {number + 2:,} on are left out")
            break
        if not text:
            without += text is not None
            continue
        marks += text.count(_NO_CHARACTER)
        yield ("\n\n" if number else "") + text.replace(_NO_CHARACTER, "\N{REPLACEMENT CHARACTER}")
    if marks:
        item.notes.append(
            f"{marks:,} characters have no Unicode value in its fonts; U+FFFD stands for each"
        )
    if without:
        item.notes.append(f"{without:,} of its {count:,} pages hold no text (scanned?)")
    if failed == count:
        raise Unreadable("has no page that can be read")


def _page(reader: PdfReader, number: int) -> str:
    text = reader.pages[number].extract_text()
    return text if text.strip() else ""


def word(item: Item, field: str) -> Iterator[Iterable[str]]:
    """The paragraphs and tables of a .docx file, in their order."""
    from docx import Document

    with _seekable(item) as file:
        _check_archive(file)
        try:
            blocks = list(Document(file).iter_inner_content())
        except Exception as error:
            raise Unreadable(f"is not a Word file that can be read: {words_of(error)}") from None
        parts = []
        for number, block in enumerate(blocks, start=1):
            part = attempt(item, f"paragraph or table {number:,}", partial(_block, block))
            if part and part.strip():
                parts.append(part)
        yield ("\n\n".join(parts),)


def _block(block: Any) -> str:
    from docx.oxml.ns import qn
    from docx.table import Table, _Cell

    if not isinstance(block, Table):
        return str(block.text)
    rows = []
    # Not by `row.cells`: it repeats merged cells, and refuses tables whose merges do not add up.
    for row in block._tbl.iterchildren(qn("w:tr")):
        cells = [_Cell(cell, block) for cell in row.iterchildren(qn("w:tc"))]
        rows.append(
            "\t".join("\n".join(_block(inner) for inner in c.iter_inner_content()) for c in cells)
        )
    return "\n".join(rows)


def epub(item: Item, field: str) -> Iterator[Iterable[str]]:
    """The chapters of an EPUB book in reading order (EPUB 3.3, package document's spine)."""
    with _seekable(item) as file:
        archive = _check_archive(file)
        try:
            chapters = _spine(archive)
            encrypted = _encrypted(archive)
        except Unreadable:
            raise
        except Exception as error:
            reason = f"is not an EPUB book that can be read: {words_of(error)}"
            raise Unreadable(reason) from None
        if chapters and all(name in encrypted for name in chapters):
            raise Unreadable("is encrypted (DRM)")
        yield _chapters(item, archive, chapters, encrypted)


def _chapters(
    item: Item, archive: zipfile.ZipFile, names: list[str], encrypted: set[str]
) -> Iterator[str]:
    there = {name: name for name in archive.namelist()}
    # Books made on Windows and macOS name files in another case than they have.
    for name in archive.namelist():
        there.setdefault(name.casefold(), name)
    failed = 0
    for number, name in enumerate(names, start=1):
        place = f"chapter {number:,} ({name})"
        real = there.get(name) or there.get(name.casefold())
        text = None
        if real is None:
            item.findings.add(f"{place} is missing")
        elif real in encrypted:
            item.findings.add(f"{place} is encrypted (DRM)")
        else:
            text = attempt(item, place, partial(_chapter, item, archive, real, place))
        failed += text is None
        if text is not None:
            yield text + "\n"
    if names and failed == len(names):
        raise Unreadable("has no chapter that can be read")


def _chapter(item: Item, archive: zipfile.ZipFile, name: str, place: str) -> str:
    with archive.open(name) as chapter:
        data = chapter.read(HTML_LIMIT + 1)
    if len(data) > HTML_LIMIT:
        raise Unreadable(f"is larger than {HTML_LIMIT // MEBIBYTE} MiB")
    encoding = _xml_encoding(data)
    try:
        text = data.decode(encoding, "replace")
    except LookupError:
        raise Unreadable(f"is in an unknown encoding, {encoding!r}") from None
    wrong = text.count("\N{REPLACEMENT CHARACTER}")
    if wrong > _WRONG_SHARE * len(text) or "\0" in text:
        raise Unreadable("is not text: it is encrypted or damaged")
    if wrong:
        item.findings.add(
            f"{place} has {wrong:,} bytes that are not {encoding}; U+FFFD stands there"
        )
    return text_of_html(text)


def _xml_encoding(data: bytes) -> str:
    """By byte order mark, else by declaration, else UTF-8 (XML 1.0, appendix F)."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    declared = _DECLARED.match(data)
    return declared[1].decode("ascii") if declared else "utf-8"


def _encrypted(archive: zipfile.ZipFile) -> set[str]:
    """Names of encrypted files (EPUB 3.3, encryption.xml); obfuscated fonts are among them."""
    try:
        root = ElementTree.fromstring(archive.read(_ENCRYPTION))
    except KeyError:
        return set()
    return {unquote(one.attrib.get("URI", "")) for one in root.iterfind(".//{*}CipherReference")}


def _spine(archive: zipfile.ZipFile) -> list[str]:
    container = ElementTree.fromstring(archive.read(_CONTAINER))
    rootfile = container.find(".//{*}rootfile")
    if rootfile is None:
        raise Unreadable("is not an EPUB book: it names no package document")
    package_name = rootfile.attrib["full-path"]
    package = ElementTree.fromstring(archive.read(package_name))
    folder = posixpath.dirname(package_name)
    files = {}
    for entry in package.iterfind(".//{*}manifest/{*}item"):
        href = entry.attrib.get("href", "").replace("\\", "/").partition("#")[0]
        path = posixpath.normpath(posixpath.join(folder, unquote(href)))
        files[entry.attrib.get("id", "")] = path
    order = [entry.attrib.get("idref", "") for entry in package.iterfind(".//{*}spine/{*}itemref")]
    return [files.get(name, name) for name in order]


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
