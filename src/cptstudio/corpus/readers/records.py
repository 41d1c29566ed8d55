"""Files of records, each with a field that holds a document's text."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from cptstudio.corpus.readers import conversations
from cptstudio.corpus.readers.decoding import decoded, is_wide
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.corpus.readers.words import words_of
from cptstudio.durable import MEBIBYTE

LINE_LIMIT = 64 * MEBIBYTE
_WHOLE_LIMIT = 128 * MEBIBYTE
_BOM = b"\xef\xbb\xbf"
_DECODER = json.JSONDecoder()
# A picture pasted into a cell as text.
_PICTURE = re.compile(r"data:[a-z]+/[-+.a-z0-9]+;base64,[A-Za-z0-9+/=\s]{100,}")
_SPACE = re.compile(r"[ \t\r\n]*")
_DELIMITER_LINE = re.compile("sep=(.)")
"""The first line of tables that spreadsheet programs write for themselves."""
_HEADER_LINES = 20


def _texts_of(item: Item, records: Iterable[Any], field: str, place: str) -> Iterator[str]:
    """The texts of records; what has none is noted.

    Args:
        item: gets the notes.
        records: parsed JSON values.
        field: as for `_text_of`.
        place: where they stand in the file, for the notes.
    """
    for record in records:
        name = conversations.field_of(record)
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
    """Yield one JSON object a line. A line that is not one is noted, and the next is read.

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
        for text in _texts_of(item, records, field, f"line {number:,}"):
            yield (text,)
    if broken and not found:
        yield from _indented(item, field)


def _indented(item: Item, field: str) -> Iterator[Iterable[str]]:
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
        for text in _texts_of(item, [record], field, f"record {number:,}"):
            yield (text,)


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
        yield from _text_lines(decoded(item))
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
    if _after_space(text, end) < len(text):
        yield from json_lines(item, field)
        return
    if (
        isinstance(content, dict)
        and field not in content
        and conversations.field_of(content) is None
    ):
        lists = [value for value in content.values() if isinstance(value, list)]
        if len(lists) == 1:
            content = lists[0]
    if not isinstance(content, list):
        if conversations.field_of(content) is None:
            yield (_text_of(content, field),)
            return
        content = [content]
    for number, record in enumerate(content, start=1):
        for text in _texts_of(item, [record], field, f"record {number:,}"):
            yield (text,)


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


def table(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield a .csv or .tsv file with a header row.

    In a .tsv file quotes are text (IANA, text/tab-separated-values). In a .csv file a quote that
    is never closed would swallow all rows after it: its row is read without quoting, and named.
    """
    csv.field_size_limit(LINE_LIMIT)
    lines = _Lines(_text_lines(decoded(item)))
    shape = _header(item, lines, field)
    if shape.column is None:
        name = next((one for one in shape.names if one in conversations.FIELDS), None)
        if name is None:
            there = ", ".join(shape.names)[:200] or "none"
            raise Unreadable(f"no column {field!r} (columns: {there})")
        column, wanted = shape.names.index(name), name
    else:
        column, wanted = shape.column, None
    names, findings = shape.names, item.findings
    for first, row in _rows(item, lines, shape):
        if len(row) > len(names) == 1:
            # With a single column a delimiter can only be part of the text.
            row = [shape.delimiter.join(row)]
        elif len(row) > len(names):
            findings.add(
                f"line {first:,} has {len(row)} fields, but the header has {len(names)}: "
                f"text in {field!r} may be cut off (quote texts that contain "
                f"{shape.delimiter!r})"
            )
        elif 0 < len(row) < len(names):
            rest = "the text may continue on the next line" if len(row) > column else "no text"
            fields = f"{len(row)} field{'s' if len(row) > 1 else ''}"
            findings.add(f"line {first:,} has {fields}, but the header has {len(names)}: {rest}")
        if len(row) <= column:
            continue
        if wanted is None:
            yield (row[column],)
        elif conversations.is_conversation(turns := _parsed(row[column])):
            for text in conversations.read(item, wanted, turns):
                yield (text,)
        elif row[column].strip():
            findings.add(f"line {first:,}: no conversation in {wanted!r}")


@dataclass(frozen=True)
class _Shape:
    """How a table is written.

    Attributes:
        names: of its columns.
        column: where the text is; None where no column has its name.
        quoting: of `csv`.
        spaced: white space after a delimiter belongs to no field.
    """

    delimiter: str
    names: list[str]
    column: int | None
    quoting: Any
    spaced: bool = False


def _header(item: Item, lines: _Lines, field: str) -> _Shape:
    """Read a table's header, which may extend over lines, and find out its delimiter."""
    quoted = item.suffix != ".tsv"
    quoting: Any = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    delimiters = [",", ";", "\t", "|"] if quoted else ["\t"]
    header = next(lines, "").removeprefix("\ufeff")
    if quoted and (named := _DELIMITER_LINE.fullmatch(header.rstrip("\n"))):
        delimiters = [named[1]]
        header = next(lines, "")
    while quoted and not _is_balanced([header]) and header.count("\n") < _HEADER_LINES:
        more = next(lines, None)
        if more is None:
            break
        header += more
    shapes = []
    for delimiter in delimiters:
        source = io.StringIO(header, newline="")
        given = next(csv.reader(source, delimiter=delimiter, quoting=quoting), [])
        spaced = any(name.startswith(" ") for name in given[1:])
        if spaced:
            source.seek(0)
            reader = csv.reader(source, delimiter=delimiter, quoting=quoting, skipinitialspace=True)
            given = next(reader, [])
        names = [name.strip() for name in given]
        if names.count(field) > 1:
            item.notes.append(
                f"{names.count(field)} columns are named {field!r}; the text of the first "
                "one is used"
            )
        column = names.index(field) if field in names else None
        shapes.append(_Shape(delimiter, names, column, quoting, spaced))
    found = [one for one in shapes if one.column is not None]
    # Where no delimiter gives the column, the one that gives most columns is the table's.
    return found[0] if found else max(shapes, key=lambda one: len(one.names))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _rows(item: Item, lines: _Lines, shape: _Shape) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table, each with the number of its first line."""
    rules: dict[str, Any] = {"delimiter": shape.delimiter, "skipinitialspace": shape.spaced}
    while True:
        lines.taken.clear()
        first = lines.number + 1
        row: list[str] | None = None
        try:
            row = next(csv.reader(lines, quoting=shape.quoting, strict=True, **rules))
        except StopIteration:
            return
        except csv.Error:
            row = _escaped(lines, rules)
            if row is None and len(lines.taken) == 1 and _is_balanced(lines.taken):
                # Words after a closing quote: "so" they are read.
                row = next(csv.reader(list(lines.taken), **rules))
                item.findings.add(f"line {first:,} has quotes inside a quoted text; some were lost")
        else:
            if (
                shape.quoting != csv.QUOTE_NONE
                and any('\\"' in line for line in lines.taken)
                and (escaped := _escaped(lines, rules)) is not None
            ):
                row = escaped
        taken = list(lines.taken)
        quoted = shape.quoting != csv.QUOTE_NONE
        if row is None or (len(taken) > 1 and quoted and not _is_balanced(_unescaped(taken))):
            item.findings.add(f"line {first:,} has an unclosed quote and was read without quotes")
            lines.give_back(taken[1:])
            row = next(csv.reader(taken[:1], quoting=csv.QUOTE_NONE, delimiter=shape.delimiter))
        yield first, row


def _escaped(lines: _Lines, rules: dict[str, Any]) -> list[str] | None:
    r"""The row in which quotes inside a text are written as \", or None where it is not one.

    Only lines that were taken already, and those that the row needs beyond them, are used.
    """
    taken = list(lines.taken)
    if not any('\\"' in line for line in taken):
        return None
    reader = csv.reader([*taken], doublequote=False, escapechar="\\", strict=True, **rules)
    try:
        row = next(reader)
    except (csv.Error, StopIteration):
        return None
    used = reader.line_num
    lines.give_back(taken[used:])
    del lines.taken[used:]
    return row


def _unescaped(lines: list[str]) -> list[str]:
    return [line.replace('\\"', "") for line in lines]


def _is_balanced(lines: list[str]) -> bool:
    return sum(line.count('"') for line in lines) % 2 == 0


class _Lines:
    """Lines with their numbers; some can be given back.

    Attributes:
        number: of lines so far.
        taken: the lines since it was cleared.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._again: deque[str] = deque()
        self.number = 0
        self.taken: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.number += 1
        self.taken.append(line)
        return line

    def give_back(self, lines: list[str]) -> None:
        """Have these last lines again."""
        self._again.extendleft(reversed(lines))
        self.number -= len(lines)


def _text_lines(parts: Iterable[str]) -> Iterator[str]:
    """Lines of a text, whichever of the three line ends it has."""
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    rest = ""
    for part in parts:
        *lines, rest = (rest + newlines.decode(part)).split("\n")
        for line in lines:
            yield line + "\n"
        if len(rest) > LINE_LIMIT:
            raise Unreadable(f"contains a line longer than {LINE_LIMIT // MEBIBYTE} MiB")
    rest += newlines.decode("", final=True)
    if rest:
        yield rest
