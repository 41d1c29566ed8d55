"""Documents that are archives of files, such as .docx and .epub."""

from __future__ import annotations

import io
import zipfile
from typing import IO

from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.durable import MEBIBYTE

_FILE_LIMIT = 512 * MEBIBYTE
_UNPACKED_LIMIT = 512 * MEBIBYTE
# How files of Office 97 begin, and those that newer ones encrypt (MS-CFB, MS-OFFCRYPTO).
_COMPOUND = bytes.fromhex("d0cf11e0a1b11ae1")


def seekable(item: Item) -> IO[bytes]:
    """Return an item opened so that its reader may jump in it, in memory where it is compressed."""
    file = item.open()
    if file.seekable():
        return file
    file.close()
    return io.BytesIO(item.read(_FILE_LIMIT))


def check_archive(file: IO[bytes]) -> zipfile.ZipFile:
    """Return the archive that a document of several files is.

    Raises:
        Unreadable: it is none, or would take too much memory.
    """
    if file.read(len(_COMPOUND)) == _COMPOUND:
        raise Unreadable("password-protected or in an old format; save it again without a password")
    file.seek(0)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError):
        raise Unreadable("not a file of this type, or damaged: it could not be unpacked") from None
    except (OSError, NotImplementedError) as error:
        raise Unreadable(f"could not be unpacked: {error}") from None
    unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > _UNPACKED_LIMIT:
        raise Unreadable(f"unpacks to {unpacked:,} bytes, more than {_UNPACKED_LIMIT:,}")
    return archive
