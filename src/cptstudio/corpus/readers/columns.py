"""Tables that are stored by columns, of which one holds the documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from cptstudio.corpus.conversations import forms
from cptstudio.corpus.conversations.forms import Columns
from cptstudio.corpus.readers import conversations
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.corpus.readers.words import words_of
from cptstudio.durable import MEBIBYTE

_COLUMNS_LIMIT = 512 * MEBIBYTE


def parquet(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield a column of a Parquet file, as most Hugging Face datasets are stored."""
    with _parquet_file(item) as file:
        if (name := _conversations_in(file.schema_arrow, field)) is not None:
            if item.conversations_as_text:
                yield from _turns(item, file.iter_batches(batch_size=64, columns=[name]), name)
            else:
                item.conversations[name] = file.metadata.num_rows
            return
        path = _path_in(file.schema_arrow, field)
        for batch in file.iter_batches(batch_size=64, columns=[field], use_threads=False):
            yield from _column(item, batch, path, field)


def arrow_table(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield a file of a Hugging Face dataset that was saved to disk (Arrow's stream format)."""
    with _arrow_stream(item) as batches:
        if (name := _conversations_in(batches.schema, field)) is not None:
            yield from _turns(item, batches, name)
            return
        path = _path_in(batches.schema, field)
        for batch in batches:
            yield from _column(item, batch, path, field)


def parquet_records(item: Item, columns: Columns | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a Parquet file by the names of its columns, with their places.

    Args:
        item: the file.
        columns: named by the user; None for those that a conversation may have.
    """
    with _parquet_file(item) as file:
        names = _wanted(file.schema_arrow, columns)
        yield from _rows(file.iter_batches(batch_size=64, columns=names, use_threads=False), names)


def arrow_records(item: Item, columns: Columns | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of an Arrow stream; as `parquet_records`."""
    with _arrow_stream(item) as batches:
        yield from _rows(batches, _wanted(batches.schema, columns))


@contextmanager
def _parquet_file(item: Item) -> Iterator[Any]:
    """Open a Parquet file; what is wrong with it, also while it is read, is told in words."""
    import pyarrow as arrow
    import pyarrow.parquet

    with item.open() as opened:
        try:
            source: Any = opened
            if not opened.seekable():
                source = arrow.BufferReader(item.read(_COLUMNS_LIMIT))
            yield pyarrow.parquet.ParquetFile(source)
        except (arrow.ArrowException, OSError) as error:
            raise Unreadable(f"unreadable Parquet file: {words_of(error)}") from None


@contextmanager
def _arrow_stream(item: Item) -> Iterator[Any]:
    """Open an Arrow stream; as `_parquet_file`."""
    import pyarrow as arrow

    with item.open() as opened:
        try:
            yield arrow.ipc.open_stream(opened)
        except (arrow.ArrowException, OSError) as error:
            raise Unreadable(f"unreadable Arrow file: {words_of(error)}") from None


def _wanted(schema: Any, columns: Columns | None) -> list[str]:
    wanted = forms.wanted_fields(columns)
    names = [name for name in schema.names if name in wanted]
    if not names:
        there = ", ".join(schema.names)[:200] or "none"
        raise Unreadable(f"no column with conversations (columns: {there})")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Unreadable(f"{names.count(twice)} columns are named {twice!r}")
    return names


def _rows(batches: Iterable[Any], names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    row = 0
    for batch in batches:
        there = {name: batch.column(batch.schema.names.index(name)) for name in names}
        for values in there.values():
            # What comes from a file may point outside of its own memory.
            values.validate(full=True)
        for place in range(len(batch)):
            row += 1
            yield f"row {row:,}", {name: values[place].as_py() for name, values in there.items()}


def _turns(item: Item, batches: Iterable[Any], name: str) -> Iterator[Iterable[str]]:
    """The conversations in a column of a table."""
    row = 0
    for batch in batches:
        if not item.conversations_as_text:
            item.conversations[name] = item.conversations.get(name, 0) + len(batch)
            continue
        values = batch.column(batch.schema.names.index(name))
        # What comes from a file may point outside of its own memory.
        values.validate(full=True)
        for value in values:
            row += 1
            turns = value.as_py()
            if forms.is_conversation(turns):
                for text in conversations.read(item, name, turns):
                    yield (text,)
            else:
                item.findings.add(f"row {row:,}: no conversation in {name!r}")


def _conversations_in(schema: Any, field: str) -> str | None:
    """The column of a table that holds conversations, where it has no text in `field`."""
    import pyarrow as arrow

    kinds = arrow.types
    if field in schema.names and not kinds.is_nested(schema.field(field).type):
        return None
    for name in forms.FIELDS:
        kind = schema.field(name).type if name in schema.names else None
        if kind is None or not (kinds.is_list(kind) or kinds.is_large_list(kind)):
            continue
        if kinds.is_struct(kind.value_type):
            parts = {one.name for one in kind.value_type}
            if any(set(pair) <= parts for pair in forms.TURNS):
                return name
    return None


def _path_in(schema: Any, field: str) -> list[str]:
    """The names that lead to a column: its own, which may hold dots, or through structs."""
    import pyarrow as arrow

    path = [field] if field in schema.names else field.split(".")
    there, kind = schema.names, None
    for name in path:
        if name not in there:
            inside = ", ".join(there) or "none"
            at = f"inside {name!r}" if kind is not None else "columns"
            raise Unreadable(f"no column {field!r} ({at}: {inside})")
        kind = schema.field(name).type if kind is None else kind.field(name).type
        there = [one.name for one in kind] if arrow.types.is_struct(kind) else []
    return path


def _column(item: Item, batch: Any, path: list[str], field: str) -> Iterator[Iterable[str]]:
    import pyarrow as arrow
    import pyarrow.compute

    values = batch.column(batch.schema.names.index(path[0]))
    # What comes from a file may point outside of its own memory; reading that ends the process.
    values.validate(full=True)
    for name in path[1:]:
        values = arrow.compute.struct_field(values, name)
    if arrow.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kinds = arrow.types
    if not (
        kinds.is_string(values.type)
        or kinds.is_large_string(values.type)
        or kinds.is_string_view(values.type)
    ):
        raise Unreadable(f"column {field!r} contains {values.type}, not text")
    for value in values:
        text = value.as_py()
        if text is None:
            item.nulls += 1
        else:
            yield (text,)
