"""The beginning of a dataset's file: its fields, its number of rows, and its first texts."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import IO, Any

from cptstudio.corpus.conversations import forms
from cptstudio.corpus.readers.words import words_of
from cptstudio.datasets.dataset import Dataset
from cptstudio.datasets.layout import JSON_LINES, PARQUET, Split, kind_of
from cptstudio.datasets.remote import RangeReader
from cptstudio.errors import UserError
from cptstudio.models.fetching import RemoteFile
from cptstudio.models.hub import explained

_SHOWN_ROWS = 3
_SHOWN_CHARACTERS = 400
_BEGINNING = 1 << 18
_COUNTED_FILES = 16
_FIELDS = 200


@dataclass(frozen=True)
class FieldFacts:
    """A field of a dataset's rows.

    Attributes:
        is_text: it can be a document.
        examples: of its first rows, shortened.
    """

    name: str
    is_text: bool
    examples: list[str]


@dataclass(frozen=True)
class Beginning:
    """What the first rows of a split are like.

    Attributes:
        rows: of the whole split; None where only reading all of it would tell.
    """

    fields: list[FieldFacts]
    rows: int | None


def beginning_of(dataset: Dataset, split: Split) -> Beginning:
    """Ask the hub for the beginning of a split's first file, and for the tables of the others.

    Raises:
        UserError: it cannot be read.
    """
    first = dataset.files[split.files[0]]
    kind = kind_of(first.name)
    with explained(dataset.id, kind="dataset", download=False):
        if kind == PARQUET:
            return _of_parquet(dataset, split, first)
        if kind in JSON_LINES or kind == ".json":
            return Beginning(_of_lines(_opened(dataset, first), first.name), split.rows)
    return Beginning([], split.rows)


def columns_of(dataset: Dataset, file: RemoteFile) -> list[str]:
    """Return the names of a Parquet file's columns.

    Raises:
        UserError: it is no Parquet file.
    """
    return list(_parquet(dataset, file).schema_arrow.names)


def _parquet(dataset: Dataset, file: RemoteFile) -> Any:
    import pyarrow
    import pyarrow.parquet

    opened = RangeReader("dataset", dataset.id, dataset.commit, file)
    try:
        # Without a buffer a column of a whole row group is read for its first rows.
        return pyarrow.parquet.ParquetFile(opened, pre_buffer=False, buffer_size=_BEGINNING)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(
            f"{file.name} is not a Parquet file that can be read: {words_of(error)}"
        ) from None


def _of_parquet(dataset: Dataset, split: Split, first: RemoteFile) -> Beginning:
    import pyarrow as arrow

    opened = _parquet(dataset, first)
    rows = split.rows
    if rows is None and len(split.files) <= _COUNTED_FILES:
        others = [_parquet(dataset, dataset.files[name]) for name in split.files[1:]]
        rows = sum(one.metadata.num_rows for one in (opened, *others))
    schema = opened.schema_arrow
    text = [
        name
        for name in schema.names[:_FIELDS]
        if arrow.types.is_string(schema.field(name).type)
        or arrow.types.is_large_string(schema.field(name).type)
    ]
    # The pages of a column are read for its first rows: only those of the texts.
    examples: dict[str, list[str]] = {name: [] for name in text}
    for batch in opened.iter_batches(batch_size=_SHOWN_ROWS, columns=text[:20], use_threads=False):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            # What comes from a file may point outside of its own memory.
            column.validate(full=True)
            examples[name] = [_shown(value.as_py()) for value in column[:_SHOWN_ROWS]]
        break
    fields = [
        FieldFacts(name, name in examples or name in forms.FIELDS, examples.get(name, []))
        for name in schema.names[:_FIELDS]
    ]
    return Beginning(fields, rows)


def _opened(dataset: Dataset, file: RemoteFile) -> IO[bytes]:
    """A file's plain content, read as it comes."""
    raw = RangeReader("dataset", dataset.id, dataset.commit, file)
    return plain(io.BufferedReader(raw, _BEGINNING), file.name)


def plain(opened: IO[bytes], name: str) -> IO[bytes]:
    """Return a file's content without its compression."""
    if name.lower().endswith(".gz"):
        import gzip

        return io.BufferedReader(gzip.GzipFile(fileobj=opened), _BEGINNING)
    if name.lower().endswith(".zst"):
        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(opened, read_across_frames=True)
        return io.BufferedReader(reader, _BEGINNING)
    return opened


def _of_lines(opened: IO[bytes], name: str) -> list[FieldFacts]:
    """The fields of the first records; none where the beginning holds no whole line of JSON."""
    import zstandard

    try:
        lines = opened.read(_BEGINNING).split(b"\n")[:-1]
    except (OSError, EOFError, zstandard.ZstdError) as error:
        raise UserError(f"{name} cannot be read: {words_of(error)}") from None
    found: dict[str, list[Any]] = {}
    for line in lines[:_SHOWN_ROWS]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        for field, value in record.items() if isinstance(record, dict) else ():
            if field in found or len(found) < _FIELDS:
                found.setdefault(str(field)[:200], []).append(value)
    return [
        FieldFacts(
            field,
            any(isinstance(one, str) for one in values) or field in forms.FIELDS,
            [_shown(one) for one in values if isinstance(one, str)],
        )
        for field, values in found.items()
    ]


def _shown(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
