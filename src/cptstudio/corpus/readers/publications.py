"""EPUB books; each is one document."""

from __future__ import annotations

import codecs
import posixpath
import re
import zipfile
from collections.abc import Iterable, Iterator
from functools import partial
from urllib.parse import unquote
from xml.etree import ElementTree

from cptstudio.corpus.readers.guard import attempt
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.corpus.readers.markup import HTML_LIMIT, text_of_html
from cptstudio.corpus.readers.packages import check_archive, seekable
from cptstudio.corpus.readers.words import words_of
from cptstudio.corpus.readers.xhtml import as_html
from cptstudio.durable import MEBIBYTE

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_WRONG_SHARE = 0.02


def epub(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield the chapters of an EPUB book in reading order (EPUB 3.3, package document's spine)."""
    with seekable(item) as file:
        archive = check_archive(file)
        try:
            named = _spine(archive)
            encrypted = _encrypted(archive)
        except Unreadable:
            raise
        except Exception as error:
            reason = f"unreadable EPUB book: {words_of(error)}"
            raise Unreadable(reason) from None
        chapters = list(dict.fromkeys(named))
        if len(chapters) < len(named):
            item.notes.append(
                f"its reading order repeats chapters {len(named) - len(chapters):,} "
                "times; each is read once"
            )
        if chapters and all(name in encrypted for name in chapters):
            raise Unreadable("encrypted (DRM)")
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
            item.findings.add(f"{place}: missing")
        elif real in encrypted:
            item.findings.add(f"{place}: encrypted (DRM)")
        else:
            text = attempt(item, place, partial(_chapter, item, archive, real, place))
        failed += text is None
        if text is not None:
            yield text + "\n"
    if names and failed == len(names):
        raise Unreadable("none of its chapters could be read")


def _chapter(item: Item, archive: zipfile.ZipFile, name: str, place: str) -> str:
    with archive.open(name) as chapter:
        data = chapter.read(HTML_LIMIT + 1)
    if len(data) > HTML_LIMIT:
        raise Unreadable(f"larger than {HTML_LIMIT // MEBIBYTE} MiB")
    encoding = _xml_encoding(data)
    try:
        text = data.decode(encoding, "replace")
    except LookupError:
        raise Unreadable(f"unknown character encoding {encoding!r}") from None
    wrong = text.count("\N{REPLACEMENT CHARACTER}")
    if wrong > _WRONG_SHARE * len(text) or "\0" in text:
        raise Unreadable("not text: encrypted or damaged")
    if wrong:
        item.findings.add(
            f"{place}: {wrong:,} bytes are not {encoding} and were replaced with U+FFFD"
        )
    return text_of_html(as_html(text))


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
        raise Unreadable("not an EPUB book: it has no package document")
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
