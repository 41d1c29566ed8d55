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
_FEW = 10
_JAPANESE = re.compile(rb"\x1b(?:\$[@B]|\([BIJ])")


@dataclass
class _Validity:
    """The result of reading a file as UTF-8."""

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
        raise Unreadable("empty file")
    encoding = _marked(head) or _wide(head)
    if encoding is None:
        _refuse_binary(head)
        found = _validate(item)
        if found.wrong and found.multibyte and found.multibyte < _FEW * found.wrong:
            yield from _mixed(item, found)
            return
        encoding = "iso2022_jp" if _is_japanese_mail(head, found) else _choose(item, found)
    yield from _decode(item, encoding)


def is_wide(head: bytes) -> bool:
    """Return whether a file that begins so is in UTF-16 or UTF-32."""
    return (_marked(head) or _wide(head) or "utf-8") != "utf-8"


def _decode(item: Item, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    wrong = 0
    with item.open() as file:
        final = False
        while not final:
            data = file.read(_PART)
            final = not data
            text = decoder.decode(data, final)
            if encoding != "utf-8":
                wrong += text.count("\N{REPLACEMENT CHARACTER}")
            yield text
    if wrong:
        item.notes.append(f"{wrong:,} places are not {encoding} and were replaced with U+FFFD")


def _is_japanese_mail(head: bytes, found: _Validity) -> bool:
    """ISO-2022-JP is ASCII with escape sequences that choose another set (RFC 1468)."""
    return not (found.wrong or found.multibyte) and _JAPANESE.search(head) is not None


def _mixed(item: Item, found: _Validity) -> Iterator[str]:
    """A file of which some lines are UTF-8 and others are not: each is read as what it is."""
    encoding = _guess(b"".join(line for line in _sample_lines(item, found) if not _is_utf8(line)))
    others = 0
    with item.open() as file:
        while line := file.readline(_PART):
            if _is_utf8(line):
                yield line.decode()
            else:
                others += 1
                yield line.decode(encoding, "replace")
    item.notes.append(f"{others:,} lines are not UTF-8 and were read as {encoding}")


def _sample_lines(item: Item, found: _Validity) -> list[bytes]:
    with item.open() as file:
        for _ in range(found.first_wrong // _PART):
            file.read(_PART)
        return file.read(_PART).splitlines(keepends=True)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


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
        raise Unreadable("binary file")


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
        raise Unreadable("binary file")
    if found.multibyte >= _FEW * found.wrong:
        item.notes.append(f"{found.wrong:,} bytes are not UTF-8 and were replaced with U+FFFD")
        return "utf-8"
    with item.open() as file:
        for _ in range(max(0, found.first_wrong - _SAMPLE // 2) // _PART):
            file.read(_PART)
        encoding = _guess(file.read(_PART)[:_SAMPLE])
    item.notes.append(f"not UTF-8; read as {encoding}")
    return encoding


def _guess(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(sample[:_SAMPLE]).best()
    if best is None:
        raise Unreadable("unknown character encoding")
    # Where several spell this sample alike, the commonest is likelier to be right further on.
    return "cp1252" if "cp1252" in best.could_be_from_charset else best.encoding
