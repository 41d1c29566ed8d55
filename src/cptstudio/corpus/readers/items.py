"""Things that readers read: a file, what a compressed file holds, a member of an archive."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, cast

import zstandard

from cptstudio import durable
from cptstudio.corpus.left_aside import Aside, LeftAside
from cptstudio.corpus.ocr import Recognizer
from cptstudio.corpus.readers.words import words_of
from cptstudio.corpus.sources import SourceFile, printable
from cptstudio.durable import MEBIBYTE

_EXPANSION_FREE = 64 * MEBIBYTE
_EXPANSION = 200
_MEMBERS = 1_000_000
_NOTES = 5


class Unreadable(Exception):  # noqa: N818 - a reason to go on with the next file, not a fault
    """A file, or a part of it, that yields no text; the message is the reason."""


class Findings:
    """Notes about parts of a file: the first few with their reason, and how many in all."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes
        self.count = 0

    def add(self, text: str) -> None:
        """Note one more."""
        self.count += 1
        if self.count <= _NOTES:
            self._notes.append(text)

    def finish(self) -> None:
        """Say how many there were beyond those that were noted."""
        if self.count > _NOTES:
            self._notes.append(f"{self.count - _NOTES:,} more like these")
        self.count = 0

    def forget(self) -> None:
        """Take them back: the file was read another way."""
        del self._notes[len(self._notes) - min(self.count, _NOTES) :]
        self.count = 0


@dataclass
class Item:
    """A file, or a member of an archive, that can be read.

    Attributes:
        label: its name in reports.
        suffix: what decides its reader, lower case with the dot, such as ".md".
        open: opens it for reading from its start; may be called more than once.
        notes: what a reader finds worth telling while it reads on.
        left_out: what is in no document by design, such as running heads: how much, by its name.
        nulls: rows of a table of columns that have no value in its text's column.
        conversations: records that are conversations and not read, by the field that holds them.
        forms: conversations that were read for a corpus of them, by the form they have.
        no_conversations: records that are none, by the reason.
        place: of the record that was read last, such as "line 5".
        aside: why it is not to be read at all.
        conversations_as_text: they are documents, see `BuildSettings`.
        main_text: of a web page only the main text is wanted, see `BuildSettings`.
        recognizer: reads pages that are pictures; None where they are not to be read.
        recognized: pages that it read.
        pictures: pages that are pictures and were not read.
    """

    label: str
    suffix: str
    open: Callable[[], IO[bytes]]
    notes: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    nulls: int = 0
    conversations: dict[str, int] = field(default_factory=dict)
    forms: Counter[str] = field(default_factory=Counter)
    no_conversations: Counter[str] = field(default_factory=Counter)
    place: str = ""
    aside: Aside | None = None
    main_text: bool = True
    conversations_as_text: bool = False
    recognizer: Recognizer | None = None
    recognized: int = 0
    pictures: int = 0

    @cached_property
    def findings(self) -> Findings:
        """Notes about its parts."""
        return Findings(self.notes)

    def read(self, limit: int) -> bytes:
        """Return all of its bytes.

        Raises:
            Unreadable: there are more than `limit`.
        """
        with self.open() as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise Unreadable(f"larger than {limit // MEBIBYTE} MiB")
        return data


class _Bounded(io.RawIOBase):
    """Stops a decompression bomb: reading more than `limit` bytes is an error."""

    def __init__(self, source: IO[bytes], limit: int) -> None:
        self._source = source
        self._limit = limit
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._source.read(len(buffer))
        except (OSError, EOFError, zlib.error, zstandard.ZstdError, zipfile.BadZipFile) as error:
            raise Unreadable(f"damaged file: {words_of(error)}") from None
        except RuntimeError as error:
            # zipfile raises it for members that need a password.
            raise Unreadable(str(error)) from None
        self._read += len(data)
        if self._read > self._limit:
            raise Unreadable(
                f"expands to more than {self._limit:,} bytes (possible decompression bomb)"
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._source.close()
        super().close()


def _bounded(source: IO[bytes], compressed_size: int) -> IO[bytes]:
    limit = _EXPANSION_FREE + _EXPANSION * compressed_size
    return io.BufferedReader(_Bounded(source, limit), buffer_size=1 << 20)


def items_of(source: SourceFile, aside: LeftAside | None = None) -> Iterator[Item]:
    """Yield a source file's items: itself, its decompressed content, or an archive's members.

    Args:
        source: the file.
        aside: members of archives that it leaves aside come without being opened.

    Raises:
        Unreadable: it cannot be opened, or is no archive although its name says so.
    """

    def open_file() -> IO[bytes]:
        try:
            return durable.open_regular_file(source.path)
        except FileNotFoundError:
            raise Unreadable("disappeared during the build") from None
        except durable.UnusableFileError as error:
            raise Unreadable(error.reason) from None

    suffixes = [suffix.lower() for suffix in source.path.suffixes]
    last = suffixes[-1] if suffixes else ""
    if last == ".zip":
        yield from _members(source, open_file, aside or LeftAside())
        return
    if last in (".gz", ".zst"):
        inner = suffixes[-2] if len(suffixes) > 1 else ""
        if inner in (".zip", ".tar"):
            raise Unreadable(f"archive inside {last}; unpack it first")

        def open_decompressed() -> IO[bytes]:
            file = open_file()
            if last == ".gz":
                return _bounded(cast(IO[bytes], gzip.GzipFile(fileobj=file)), source.size)
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            return _bounded(reader, source.size)

        yield Item(source.label, inner, open_decompressed)
        return
    yield Item(source.label, last, open_file)


def _members(
    source: SourceFile, open_file: Callable[[], IO[bytes]], aside: LeftAside
) -> Iterator[Item]:
    with open_file() as file:
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
            raise Unreadable(f"unreadable zip archive: {words_of(error)}") from None
        members = sorted(
            (m for m in archive.infolist() if not m.is_dir()), key=lambda m: m.filename
        )
        unpacked = sum(member.file_size for member in members)
        if unpacked > _EXPANSION_FREE + _EXPANSION * source.size:
            raise Unreadable(f"expands to {unpacked:,} bytes (possible decompression bomb)")
        if len(members) > _MEMBERS:
            raise Unreadable(f"contains {len(members):,} files, more than {_MEMBERS:,}")
        marked = aside.marked_folders(member.filename for member in members)
        told: set[str] = set()
        for member in members:
            left = aside.of_path(member.filename, marked)
            if left is None:
                yield _member(source, archive, member)
            elif left[0] not in told:
                told.add(left[0])
                item = _member(source, archive, member)
                item.label, item.aside = f"{source.label}!{printable(left[0])}", left[1]
                yield item


def _member(source: SourceFile, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Item:
    def open_member() -> IO[bytes]:
        try:
            opened = archive.open(member)
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
            raise Unreadable(f"could not be unpacked: {words_of(error)}") from None
        return _bounded(opened, max(member.compress_size, 1))

    name = printable(member.filename)
    suffix = "." + name.rpartition(".")[2].lower() if "." in name.rpartition("/")[2] else ""
    return Item(f"{source.label}!{name}", suffix, open_member)
