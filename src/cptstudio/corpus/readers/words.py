"""Libraries' errors about damaged files, in a user's words."""

from __future__ import annotations

import zipfile

_OF_PROGRAMS = (AttributeError, TypeError, IndexError, AssertionError, NameError, StopIteration)
_MESSAGE = 200


def words_of(error: BaseException) -> str:
    """Return a library's error message, where it may help a user."""
    if isinstance(error, MemoryError):
        return "it needs more memory than this machine has"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, OSError) and error.errno is not None:
        return str(error.strerror)
    if isinstance(error, zipfile.BadZipFile):
        return _words_of_zip(str(error))
    if isinstance(error, UnicodeDecodeError):
        byte, place = error.object[error.start], error.start + 1
        return (
            f"it contains bytes that are not {error.encoding.upper()} (0x{byte:02x}, byte "
            f"{place:,})"
        )
    if isinstance(error, _OF_PROGRAMS):
        # A library stumbled over what it did not expect; its words are about its own inside.
        return "it is damaged, or of an unsupported type"
    # str() of a KeyError is the key as Python would write it.
    told = error.args[0] if isinstance(error, KeyError) and error.args else error
    words = " ".join(str(told).split())
    if "XML_PARSE_HUGE" in words:
        # What libxml2 says of XML that goes beyond its limits, the only one that files reach.
        return "it is nested too deeply"
    return words[:_MESSAGE] or "it is damaged"


def _words_of_zip(said: str) -> str:
    if "not a zip file" in said:
        return "it has no list of files at its end: it was cut off, or is not an archive"
    if "central directory" in said:
        return "its list of files is damaged"
    if "CRC" in said:
        return "a checksum does not match"
    if "header" in said:
        return "a file in it does not start where it should"
    return said[:_MESSAGE]
