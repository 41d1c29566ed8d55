"""E-mail (RFC 5322, MIME), mailboxes, and pages that browsers saved as one file (MHTML).

Of a message the subject and the text are read: plain text where a message has it, else its HTML.
Attachments are left out and named; what is encrypted or encoded as letters never becomes text.
"""

from __future__ import annotations

import email.policy
import re
from collections.abc import Iterable, Iterator
from email.message import EmailMessage
from email.parser import BytesParser

from cptstudio.corpus.readers.guard import attempt
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.corpus.readers.markup import text_of_html
from cptstudio.durable import MEBIBYTE

_LIMIT = 128 * MEBIBYTE
_NESTED = 20
_NAMES = 3
# RFC 4880, 6.2: letters that stand for bytes, but for the text of a signed message.
_ARMOR = re.compile(
    r"^-----BEGIN (PGP (?!SIGNED)[A-Z ,/0-9]+)-----\r?\n.*?(?:^-----END \1-----\s*?$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_SIGNED = re.compile(
    r"^-----BEGIN PGP SIGNED MESSAGE-----\r?\n(?:[A-Za-z-]+: .*\r?\n)*\r?\n", re.MULTILINE
)
_UUENCODED = re.compile(
    r"^begin [0-7]{3} \S.*\n(?:[\x20-\x60]{2,62}\s*?\n)+(?:`?\s*\n)?end\s*?$", re.MULTILINE
)
_FROM = re.compile(rb"From \S+.*\d\d:\d\d.*\d{4}|From - ")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_WIDE = {"iso-8859-1": "cp1252", "latin-1": "cp1252", "us-ascii": "utf-8", "ascii": "utf-8"}


def message(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield one message as one document."""
    yield (_text_of(item, item.read(_LIMIT)),)


def mailbox(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield each message of an mbox file (RFC 4155) as a document."""
    with item.open() as file:
        first = file.readline(1000)
        if not first.startswith(b"From "):
            raise Unreadable('not a mailbox: it does not start with "From "')
        lines: list[bytes] = []
        size = number = 0
        blank = False
        while line := file.readline(MEBIBYTE):
            if blank and _FROM.match(line):
                number += 1
                yield from _of_mailbox(item, lines, number)
                lines, size = [], 0
            else:
                size += len(line)
                if size > _LIMIT:
                    raise Unreadable(f"contains a message larger than {_LIMIT // MEBIBYTE} MiB")
                lines.append(line)
            blank = not line.strip()
        yield from _of_mailbox(item, lines, number + 1)


def saved_page(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield the page of an .mht file, without the pictures that were saved with it."""
    root = _parsed(item.read(_LIMIT))
    for part in root.walk():
        if part.get_content_type() in ("text/html", "application/xhtml+xml"):
            yield (text_of_html(_content(item, part)),)
            return
    raise Unreadable("no page found")


def _of_mailbox(item: Item, lines: list[bytes], number: int) -> Iterator[Iterable[str]]:
    data = _QUOTED_FROM.sub(rb"\1", b"".join(lines))
    text = attempt(item, f"message {number:,}", lambda: _text_of(item, data))
    if text is not None:
        yield (text,)


def _parsed(data: bytes) -> EmailMessage:
    return BytesParser(EmailMessage, policy=email.policy.default).parsebytes(data)


def _text_of(item: Item, data: bytes) -> str:
    root = _parsed(data)
    if not root.keys():
        raise Unreadable("not a message: it has no header")
    left: list[str] = []
    parts = [_subject(root), *_parts(item, root, left, 0)]
    if left:
        named = ", ".join(left[:_NAMES]) + (", ..." if len(left) > _NAMES else "")
        item.findings.add(f"{len(left):,} attachments left out: {named}")
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())


def _subject(part: EmailMessage) -> str:
    try:
        return " ".join(str(part.get("subject", "")).split())
    except Exception:  # Damaged headers make the library raise one thing or another.
        return ""


def _parts(item: Item, part: EmailMessage, left: list[str], depth: int) -> Iterator[str]:
    """The texts of a part of a message, in their order."""
    kind = part.get_content_type()
    if depth > _NESTED:
        left.append(kind)
    elif kind == "multipart/encrypted" or (
        kind.startswith("application/") and "pkcs7-mime" in kind
    ):
        item.findings.add("an encrypted part was left out")
    elif kind == "multipart/alternative":
        yield from _best(item, part, left, depth)
    elif part.is_multipart():
        if kind == "message/rfc822" and part.get_content_disposition() == "attachment":
            left.append(_subject(part.get_payload(0)) or kind)  # type: ignore[arg-type]
            return
        for child in part.iter_parts():
            if kind == "message/rfc822":
                yield _subject(child)  # type: ignore[arg-type]
            yield from _parts(item, child, left, depth + 1)  # type: ignore[arg-type]
    elif part.get_content_disposition() == "attachment" or kind not in ("text/plain", "text/html"):
        left.append(_file_name(part) or kind)
    else:
        text = _content(item, part)
        yield text_of_html(text) if kind == "text/html" else _plain(item, part, text)


def _best(item: Item, part: EmailMessage, left: list[str], depth: int) -> Iterator[str]:
    """The form of a message that is plain, if it says anything; otherwise the last one."""
    forms = list(part.iter_parts())
    plain = (one for one in forms if one.get_content_type() == "text/plain")
    for form in (*plain, *reversed(forms)):
        texts = list(_parts(item, form, left, depth + 1))
        if any(text.strip() for text in texts):
            yield from texts
            return


def _file_name(part: EmailMessage) -> str:
    try:
        return part.get_filename() or ""
    except Exception:  # As in `_subject`.
        return ""


def _content(item: Item, part: EmailMessage) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    named = (part.get_content_charset() or "utf-8").lower()
    for encoding in (_WIDE.get(named, named), "utf-8"):
        try:
            return data.decode(encoding)
        except (LookupError, UnicodeDecodeError, ValueError):
            continue
    item.findings.add(f"a part that claims to be {named} is not, and was read as cp1252")
    return data.decode("cp1252", "replace")


def _plain(item: Item, part: EmailMessage, text: str) -> str:
    text = text.replace("\r\n", "\n")
    for pattern in (_ARMOR, _UUENCODED):
        text, count = pattern.subn("", text)
        if count:
            item.findings.add(f"{count:,} passages of text-encoded binary data left out")
    text = _SIGNED.sub("", text)
    if str(part.get_param("format", "")).lower() == "flowed":
        return _unfolded(text, str(part.get_param("delsp", "")).lower() == "yes")
    return text


def _unfolded(text: str, delete: bool) -> str:
    """Lines that end in a space go on in the next one (RFC 3676)."""
    out: list[str] = []
    goes_on, former = False, 0
    for line in text.split("\n"):
        unquoted = line.lstrip(">")
        depth = len(line) - len(unquoted)
        content = unquoted.removeprefix(" ")
        if goes_on and depth == former:
            out[-1] += content
        else:
            out.append(
                "> " * min(depth, 1) + ">" * max(depth - 1, 0) + content if depth else content
            )
        goes_on, former = content.endswith(" ") and content != "-- ", depth
        if goes_on and delete:
            out[-1] = out[-1][:-1]
    return "\n".join(out)
