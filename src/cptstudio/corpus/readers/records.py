"""Files of records, each with a field that holds a document's text."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import IO, Any

from cptstudio.corpus.readers.decoding import decoded
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.durable import MEBIBYTE

LINE_LIMIT = 64 * MEBIBYTE
_WHOLE_LIMIT = 128 * MEBIBYTE
_COLUMNS_LIMIT = 512 * MEBIBYTE
_NOTES = 5
_BOM = b"\xef\xbb\xbf"


class _Findings:
    """Notes about single records: the first few with their reason, and how many in all."""

    def __init__(self, item: Item) -> None:
        self._item = item
        self._count = 0

    def add(self, text: str) -> None:
        self._count += 1
        if self._count <= _NOTES:
            self._item.notes.append(text)

    def finish(self) -> None:
        if self._count > _NOTES:
            self._item.notes.append(f"{self._count - _NOTES:,} more records were skipped")


def _text_of(record: Any, field: str) -> str:
    """The text of one record.

    Args:
        record: a parsed JSON value; one that is a string is the text itself.
        field: name of the field; dots lead into objects inside objects.
    """
    if isinstance(record, str):
        return record
    if not isinstance(record, dict):
        raise Unreadable("is not an object")
    value: Any = record.get(field)
    if value is None and "." in field:
        value = record
        for name in field.split("."):
            value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        there = ", ".join(str(name)[:40] for name in list(record)[:8]) or "none"
        raise Unreadable(f"has no field {field!r} (its fields: {there})")
    if not isinstance(value, str):
        raise Unreadable(f"has no text in its field {field!r} but {type(value).__name__}")
    return value


def json_lines(item: Item, field: str) -> Iterator[Iterable[str]]:
    """One JSON object a line. A line that is not one is noted, and the next is read."""
    findings = _Findings(item)
    with item.open() as file:
        for number, line in enumerate(_lines(file), start=1):
            if line is None:
                findings.add(f"line {number:,} is longer than {LINE_LIMIT // MEBIBYTE} MiB")
                continue
            line = line.removeprefix(_BOM) if number == 1 else line
            if not line.strip():
                continue
            try:
                text = _text_of(json.loads(line), field)
            except Unreadable as reason:
                findings.add(f"line {number:,} {reason}")
            except RecursionError:
                findings.add(f"line {number:,} is nested too deeply")
            except ValueError as error:
                findings.add(f"line {number:,} is not valid JSON: {str(error)[:100]}")
            else:
                yield (text,)
    findings.finish()


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
    """A JSON file: a record, a list of records, or an object with one list of records.

    A file of JSON lines that is only named .json is read as such.
    """
    data = item.read(_WHOLE_LIMIT)
    if not data.strip():
        raise Unreadable("is empty")
    try:
        content = json.loads(data.removeprefix(_BOM))
    except RecursionError:
        raise Unreadable("is nested too deeply") from None
    except ValueError as error:
        if "Extra data" in str(error):
            yield from json_lines(item, field)
            return
        raise Unreadable(f"is not valid JSON: {str(error)[:100]}") from None
    if isinstance(content, dict) and field not in content:
        lists = [value for value in content.values() if isinstance(value, list)]
        if len(lists) == 1:
            content = lists[0]
    if not isinstance(content, list):
        yield (_text_of(content, field),)
        return
    findings = _Findings(item)
    for number, record in enumerate(content, start=1):
        try:
            yield (_text_of(record, field),)
        except Unreadable as reason:
            findings.add(f"record {number:,} {reason}")
    findings.finish()


def notebook(item: Item, field: str) -> Iterator[Iterable[str]]:
    """A Jupyter notebook: the sources of its cells, without their outputs."""
    try:
        content = json.loads(item.read(_WHOLE_LIMIT))
        cells = content["cells"]
        sources = ["".join(cell["source"]) for cell in cells]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Unreadable("is not a Jupyter notebook of format 4") from None
    yield ("\n\n".join(source for source in sources if source.strip()),)


def table(item: Item, field: str) -> Iterator[Iterable[str]]:
    """A .csv or .tsv file with a header row."""
    csv.field_size_limit(LINE_LIMIT)
    lines = _text_lines(decoded(item))
    header = next(lines, "").removeprefix("\ufeff")
    for delimiter in ("\t",) if item.suffix == ".tsv" else (",", ";", "\t", "|"):
        names = next(csv.reader([header], delimiter=delimiter), [])
        if field in names:
            break
    else:
        there = ", ".join(next(csv.reader([header]), []))[:200] or "none"
        raise Unreadable(f"has no column {field!r} (its columns: {there})")
    column = names.index(field)
    findings = _Findings(item)
    rows = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            raise Unreadable(
                f"is not a table from line {rows.line_num + 1:,} on: {error}"
            ) from None
        if len(row) > column:
            yield (row[column],)
        elif row:
            findings.add(f"line {rows.line_num + 1:,} has only {len(row)} columns")
    findings.finish()


def _text_lines(parts: Iterable[str]) -> Iterator[str]:
    rest = ""
    for part in parts:
        *lines, rest = (rest + part).split("\n")
        for line in lines:
            yield line + "\n"
        if len(rest) > LINE_LIMIT:
            raise Unreadable(f"has a line longer than {LINE_LIMIT // MEBIBYTE} MiB")
    if rest:
        yield rest


def parquet(item: Item, field: str) -> Iterator[Iterable[str]]:
    """A column of a Parquet file, as most Hugging Face datasets are stored."""
    import pyarrow as arrow
    import pyarrow.parquet

    with item.open() as opened:
        try:
            source: Any = opened
            if not opened.seekable():
                source = arrow.BufferReader(item.read(_COLUMNS_LIMIT))
            file = pyarrow.parquet.ParquetFile(source)
            names = file.schema_arrow.names
            if field.split(".")[0] not in names:
                raise Unreadable(f"has no column {field!r} (its columns: {', '.join(names)})")
            for batch in file.iter_batches(batch_size=64, columns=[field], use_threads=False):
                yield from _column(batch.column(0), field)
        except arrow.ArrowException as error:
            raise Unreadable(f"is not a Parquet file that can be read: {error}") from None


def arrow_table(item: Item, field: str) -> Iterator[Iterable[str]]:
    """A file of a Hugging Face dataset that was saved to disk (Arrow's stream format)."""
    import pyarrow as arrow

    with item.open() as opened:
        try:
            batches = arrow.ipc.open_stream(opened)
            names = batches.schema.names
            if field not in names:
                raise Unreadable(f"has no column {field!r} (its columns: {', '.join(names)})")
            for batch in batches:
                yield from _column(batch.column(names.index(field)), field)
        except arrow.ArrowException as error:
            raise Unreadable(f"is not an Arrow file that can be read: {error}") from None


def _column(values: Any, field: str) -> Iterator[Iterable[str]]:
    import pyarrow as arrow

    if arrow.types.is_struct(values.type):
        for name in field.split(".")[1:]:
            values = values.field(name) if arrow.types.is_struct(values.type) else values
    if not (arrow.types.is_string(values.type) or arrow.types.is_large_string(values.type)):
        raise Unreadable(f"has no text in its column {field!r} but {values.type}")
    for value in values:
        text = value.as_py()
        if text is not None:
            yield (text,)
