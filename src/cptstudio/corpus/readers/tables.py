"""Tables as text, a row a record: .csv and .tsv."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cptstudio.corpus.conversations import forms
from cptstudio.corpus.conversations.forms import Columns
from cptstudio.corpus.readers import conversations
from cptstudio.corpus.readers.decoding import decoded
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.durable import MEBIBYTE

LINE_LIMIT = 64 * MEBIBYTE
_DELIMITER_LINE = re.compile("sep=(.)")
"""The first line of tables that spreadsheet programs write for themselves."""
_HEADER_LINES = 20


def table(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield a .csv or .tsv file with a header row.

    In a .tsv file quotes are text (IANA, text/tab-separated-values). In a .csv file a quote that
    is never closed would swallow all rows after it: its row is read without quoting, and named.
    """
    csv.field_size_limit(LINE_LIMIT)
    lines = _Lines(text_lines(decoded(item)))
    shape = _header(item, lines, field)
    if shape.column is None:
        name = next((one for one in shape.names if one in forms.FIELDS), None)
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
        elif forms.is_conversation(turns := _parsed(row[column])):
            for text in conversations.read(item, wanted, turns):
                yield (text,)
        elif row[column].strip():
            findings.add(f"line {first:,}: no conversation in {wanted!r}")


def table_records(
    item: Item, columns: Columns | None
) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Yield the rows of a .csv or .tsv file by the names of its columns, with their places.

    What is empty is None. A row with another number of fields than the header, or with a quote that
    is never closed, is noted and left out: its texts may be cut off.

    Args:
        item: the file.
        columns: named by the user; by them its delimiter is found.
    """
    csv.field_size_limit(LINE_LIMIT)
    lines = _Lines(text_lines(decoded(item)))
    shape = _header(item, lines, columns.prompt if columns else "", noted=False)
    names = shape.names
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise Unreadable(f"{names.count(twice)} columns are named {twice!r}")
    findings = item.findings
    before = findings.count
    for first, row in _rows(item, lines, shape):
        broken, before = findings.count > before, findings.count
        if broken or not row:
            continue
        if len(row) != len(names):
            fields = f"{len(row)} field{'s' if len(row) > 1 else ''}"
            findings.add(f"line {first:,} has {fields}, but the header has {len(names)}")
            before = findings.count
            continue
        yield (
            f"line {first:,}",
            {name: text or None for name, text in zip(names, row, strict=True) if name},
        )


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


def _header(item: Item, lines: _Lines, field: str, *, noted: bool = True) -> _Shape:
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
        if noted and names.count(field) > 1:
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


def text_lines(parts: Iterable[str]) -> Iterator[str]:
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
