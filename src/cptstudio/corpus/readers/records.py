"""Files of records, each with a field that holds a document's text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import IO, Any

from cptstudio.corpus.conversations import forms
from cptstudio.corpus.conversations.forms import Columns
from cptstudio.corpus.readers import conversations
from cptstudio.corpus.readers.decoding import decoded, is_wide
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.corpus.readers.tables import LINE_LIMIT, text_lines
from cptstudio.corpus.readers.words import words_of
from cptstudio.durable import MEBIBYTE

_WHOLE_LIMIT = 128 * MEBIBYTE
_BOM = b"\xef\xbb\xbf"
_DECODER = json.JSONDecoder()
# A picture pasted into a cell as text.
_PICTURE = re.compile(r"data:[a-z]+/[-+.a-z0-9]+;base64,[A-Za-z0-9+/=\s]{100,}")
_SPACE = re.compile(r"[ \t\r\n]*")


def _texts_of(item: Item, records: Iterable[Any], field: str, place: str) -> Iterator[str]:
    """The texts of records; what has none is noted.

    Args:
        item: gets the notes.
        records: parsed JSON values.
        field: as for `_text_of`.
        place: where they stand in the file, for the notes.
    """
    for record in records:
        name = forms.field_of(record)
        if name is not None and not isinstance(_value_at(record, field), str):
            yield from conversations.read(item, name, record[name])
            continue
        try:
            text = _text_of(record, field)
        except Unreadable as reason:
            item.findings.add(f"{place}: {reason}")
        else:
            yield text


def _value_at(record: Any, field: str) -> Any:
    if not isinstance(record, dict):
        return None
    value: Any = record.get(field)
    if value is None and "." in field:
        value = record
        for name in field.split("."):
            value = value.get(name) if isinstance(value, dict) else None
    return value


def _text_of(record: Any, field: str) -> str:
    """The text of one record.

    Args:
        record: a parsed JSON value; one that is a string is the text itself.
        field: name of the field; dots lead into objects inside objects.
    """
    if isinstance(record, str):
        return record
    if not isinstance(record, dict):
        raise Unreadable("not an object")
    value = _value_at(record, field)
    if value is None and field in record:
        raise Unreadable(f"field {field!r} is null")
    if value is None:
        there = ", ".join(str(name)[:40] for name in list(record)[:8]) or "none"
        raise Unreadable(f"no field {field!r} (fields: {there})")
    if not isinstance(value, str):
        raise Unreadable(f"field {field!r} contains {type(value).__name__}, not text")
    return value


def json_lines(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield one JSON object a line; what has no text is noted."""
    for place, record in line_records(item):
        for text in _texts_of(item, [record], field, place):
            yield (text,)


def line_records(item: Item, columns: Columns | None = None) -> Iterator[tuple[str, Any]]:
    """Yield one JSON value a line, with its place. A line that is not one is noted.

    Several objects on a line are read one by one, and a file without a line that is an object,
    such as one of indented objects, is read as a sequence of them.
    """
    findings = item.findings
    found = broken = 0
    for number, line in enumerate(_lines_of(item), start=1):
        if line is None:
            findings.add(f"line {number:,}: longer than {LINE_LIMIT // MEBIBYTE} MiB")
            continue
        if not line.strip():
            continue
        try:
            records = _values(line)
        except RecursionError:
            findings.add(f"line {number:,}: nested too deeply")
            continue
        except ValueError as error:
            broken += 1
            findings.add(f"line {number:,}: invalid JSON: {_reason(error)}")
            continue
        found += len(records)
        for record in records:
            yield f"line {number:,}", record
    if broken and not found:
        yield from _indented(item)


def _indented(item: Item) -> Iterator[tuple[str, Any]]:
    """The records of a file of JSON values over several lines each."""
    try:
        lines = [
            line if isinstance(line, str) else (line or b"").decode() for line in _lines_of(item)
        ]
        records = _values("".join(lines))
    except (ValueError, RecursionError):
        return  # What was noted of its lines says what is wrong.
    item.findings.forget()
    for number, record in enumerate(records, start=1):
        yield f"record {number:,}", record


def _values(text: str | bytes) -> list[Any]:
    """JSON values one after the other, with nothing or white space between them.

    Raises:
        ValueError: it is anything else.
    """
    try:
        return [json.loads(text)]
    except json.JSONDecodeError:
        if not text.strip():
            raise
    words = text if isinstance(text, str) else text.decode()
    values = []
    place = 0
    while (place := _after_space(words, place)) < len(words):
        value, place = _DECODER.raw_decode(words, place)
        values.append(value)
    return values


def _after_space(text: str, place: int) -> int:
    return _SPACE.match(text, place).end()  # type: ignore[union-attr]


def _reason(error: ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return words_of(error)
    if isinstance(error, json.JSONDecodeError):
        return str(error)[:100]
    return "a number has too many digits"  # Python's own words name its settings.


def _lines_of(item: Item) -> Iterator[str | bytes | None]:
    """Lines of a file in any Unicode encoding; None in place of one longer than `LINE_LIMIT`."""
    with item.open() as file:
        head = file.read(64)
    if is_wide(head):
        yield from text_lines(decoded(item))
        return
    with item.open() as file:
        for number, line in enumerate(_lines(file)):
            yield line.removeprefix(_BOM) if line is not None and not number else line


def _lines(file: IO[bytes]) -> Iterator[bytes | None]:
    """Lines of a file; None in place of one that is longer than `LINE_LIMIT`."""
    while line := file.readline(LINE_LIMIT + 1):
        if len(line) <= LINE_LIMIT:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(MEBIBYTE)
        yield None


def json_document(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield a JSON file: a record, a list of records, or an object with one list of records.

    A file of JSON lines that is only named .json is read as such.
    """
    found = _json_content(item)
    if found is None:
        yield from json_lines(item, field)
        return
    (content,) = found
    if forms.field_of(content) is None and not (isinstance(content, dict) and field in content):
        content = _only_list(content)
    if not isinstance(content, list):
        if forms.field_of(content) is None:
            yield (_text_of(content, field),)
            return
        content = [content]
    for number, record in enumerate(content, start=1):
        for text in _texts_of(item, [record], field, f"record {number:,}"):
            yield (text,)


def document_records(item: Item, columns: Columns | None) -> Iterator[tuple[str, Any]]:
    """Yield the records of a JSON file, as `json_document` finds them, with their places."""
    found = _json_content(item)
    if found is None:
        yield from line_records(item)
        return
    (content,) = found
    is_one = forms.is_record(content, columns)
    if not is_one:
        content = _only_list(content)
    records = content if isinstance(content, list) and not is_one else [content]
    for number, record in enumerate(records, start=1):
        yield f"record {number:,}", record


def _json_content(item: Item) -> tuple[Any] | None:
    """The value of a JSON file; None where there are several, one after the other."""
    data = item.read(_WHOLE_LIMIT)
    if not data.strip():
        raise Unreadable("empty file")
    try:
        text = data.decode(json.detect_encoding(data), "surrogatepass")
        content, end = _DECODER.raw_decode(text, _after_space(text, 0))
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"invalid JSON: {_reason(error)}") from None
    return None if _after_space(text, end) < len(text) else (content,)


def _only_list(content: Any) -> Any:
    """The list of an object with one list; all else as it is."""
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        if len(lists) == 1:
            return lists[0]
    return content


def notebook(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield a Jupyter notebook: the sources of its cells, without their outputs."""
    try:
        content = json.loads(item.read(_WHOLE_LIMIT))
        cells = content["cells"]
        texts = ["".join(cell["source"]) for cell in cells]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Unreadable("not a Jupyter notebook of format 4") from None
    found = [_PICTURE.subn("", text) for text in texts]
    item.left_out["images in cells"] += sum(count for _, count in found)
    yield ("\n\n".join(source for source, _ in found if source.strip()),)
