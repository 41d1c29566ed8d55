"""From bytes to text: is it text at all, and in which encoding?

UTF-8 is tried first, because hardly any other text happens to be valid UTF-8. Where it is not,
a few wrong bytes among many valid sequences are replaced by U+FFFD, and anything else is left to
charset-normalizer. Everything but clean UTF-8 is noted for the report.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from cptstudio.corpus.readers.items import Item, Unreadable

_HEAD = 1 << 16
_PART = 1 << 20
_SAMPLE = 1 << 18
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL_BYTES = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
_BINARY_SHARE = 0.05


@dataclass
class _Validity:
    """What reading a file as UTF-8 found."""

    size: int = 0
    wrong: int = 0
    multibyte: int = 0
    controls: int = 0
    first_wrong: int = 0


def decoded(item: Item) -> Iterator[str]:
    """Yield the text of an item in parts of about a million characters.

    Raises:
        Unreadable: it is empty, binary, or in no known encoding.
    """
    with item.open() as file:
        head = file.read(_HEAD)
    if not head:
        raise Unreadable("is empty")
    encoding = _marked(head) or _wide(head)
    if encoding is None:
        _refuse_binary(head)
        encoding = _choose(item, _validate(item))
    yield from _decode(item, encoding)


def _decode(item: Item, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    with item.open() as file:
        while data := file.read(_PART):
            yield decoder.decode(data)
    yield decoder.decode(b"", final=True)


def _marked(head: bytes) -> str | None:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    return None


def _wide(head: bytes) -> str | None:
    """UTF-16 without a byte order mark: nearly every second byte of western text is zero."""
    pairs = len(head) // 2
    if pairs < 8:
        return None
    even, odd = head[0 : 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    if odd > 0.7 * pairs and even < 0.05 * pairs:
        return "utf-16-le"
    if even > 0.7 * pairs and odd < 0.05 * pairs:
        return "utf-16-be"
    return None


def _refuse_binary(head: bytes) -> None:
    if b"\0" in head or len(_CONTROL_BYTES.findall(head)) > _BINARY_SHARE * len(head):
        raise Unreadable("is binary, not text")


def _validate(item: Item) -> _Validity:
    found = _Validity()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with item.open() as file:
        final = False
        while not final:
            data = file.read(_PART)
            final = not data
            text = decoder.decode(data, final)
            if not text.isascii() or not data.isascii():
                wrong = max(0, text.count("\ufffd") - data.count(b"\xef\xbf\xbd"))
                if wrong and not found.wrong:
                    found.first_wrong = found.size
                found.wrong += wrong
                found.multibyte += len(text) - len(_ascii_only(text)) - wrong
            found.controls += data.count(b"\0")
            found.size += len(data)
    return found


def _ascii_only(text: str) -> bytes:
    return text.encode("ascii", "ignore")


def _choose(item: Item, found: _Validity) -> str:
    if not found.wrong:
        return "utf-8"
    if found.controls:
        raise Unreadable("is binary, not text")
    if found.multibyte >= 10 * found.wrong:
        item.notes.append(f"{found.wrong:,} bytes are not UTF-8 and were replaced by U+FFFD")
        return "utf-8"
    from charset_normalizer import from_bytes

    with item.open() as file:
        for _ in range(max(0, found.first_wrong - _SAMPLE // 2) // _PART):
            file.read(_PART)
        best = from_bytes(file.read(_PART)[:_SAMPLE]).best()
    if best is None:
        raise Unreadable("is in no encoding that could be recognised")
    item.notes.append(f"is not UTF-8; read as {best.encoding}")
    return best.encoding
