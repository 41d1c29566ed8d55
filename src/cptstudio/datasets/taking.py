"""Takes a split's files from the hub: whole, or so many rows from their beginning.

Whole files are fetched in parts that are kept, and their digests are compared. Of a split that is
taken in part, only the beginning is sent: of Parquet the text's column alone, of JSON lines what
comes until there are rows enough. What is taken is kept in a folder until the corpus is built:

    <digest>              a whole file; linked under a name that says how it is read
    rows-<key>.<suffix>   the beginning of one, named by what it is the beginning of
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cptstudio import durable
from cptstudio.corpus.conversations.forms import (
    CONVERSATION_FIELDS,
    KNOWN_FIELDS,
    wanted_fields,
)
from cptstudio.corpus.hub_source import HubSource
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.corpus.readers.words import words_of
from cptstudio.corpus.sources import Source
from cptstudio.datasets.beginnings import columns_of, plain
from cptstudio.datasets.dataset import Dataset
from cptstudio.datasets.layout import COMPRESSED, JSON_LINES, PARQUET, Configuration, Split, kind_of
from cptstudio.datasets.remote import RangeReader
from cptstudio.errors import UserError
from cptstudio.job_programs import TellsProgress
from cptstudio.models.fetching import Fetcher, RemoteFile
from cptstudio.models.hub import explained
from cptstudio.models.staging import check_room

_BATCH = 512
_BUFFER = durable.MEBIBYTE


@dataclass(frozen=True)
class Choice:
    """What is taken of a dataset.

    Attributes:
        fields: the columns or fields that are read: that of the text, those that the user named for
            prompt and answer, or all that conversations may have.
        rows: at most so many, from the beginning of the split; None for all.
    """

    configuration: Configuration
    split: Split
    fields: tuple[str, ...]
    rows: int | None = None

    @classmethod
    def of(
        cls, configuration: Configuration, split: Split, settings: BuildSettings, rows: int | None
    ) -> Choice:
        """Return the choice for a build with these settings."""
        fields: tuple[str, ...] = (settings.text_field,)
        if settings.kind == "conversations":
            fields = wanted_fields(settings.columns)
        return cls(configuration, split, fields, rows)


def take(dataset: Dataset, choice: Choice, folder: Path, answer: TellsProgress) -> list[Source]:
    """Bring what is chosen into a folder; returns it as sources of a corpus, in order.

    Raises:
        UserError: it cannot be read, does not fit, or the hub cannot be reached.
    """
    files = [dataset.files[name] for name in choice.split.files]
    with explained(dataset.id, kind="dataset"):
        _check_fields(dataset, files[0], choice.fields)
        if choice.rows is None:
            return _whole(dataset, choice, files, folder, answer)
        return _Beginnings(dataset, choice, folder, answer).take(files, choice.rows)


def _check_fields(dataset: Dataset, file: RemoteFile, fields: tuple[str, ...]) -> None:
    """Refuse fields that are not there before anything is fetched."""
    if kind_of(file.name) != PARQUET:
        return
    columns = columns_of(dataset, file)
    there = ", ".join(columns[:100])
    if fields == KNOWN_FIELDS:
        if not any(name in columns for name in CONVERSATION_FIELDS):
            raise UserError(
                f"{dataset.id} has no column with conversations. Name the columns of prompt and "
                f"answer, of {there}."
            )
        return
    for field in fields:
        if field not in columns and field.split(".")[0] not in columns:
            what = "the one that holds the text" if len(fields) == 1 else "prompt and answer"
            raise UserError(f"{dataset.id} has no column {field!r}: choose {what}, of {there}.")


def _whole(
    dataset: Dataset,
    choice: Choice,
    files: Sequence[RemoteFile],
    folder: Path,
    answer: TellsProgress,
) -> list[Source]:
    size = sum({file.digest: file.size for file in files}.values())
    # Documents and tokens take about as much again.
    check_room(folder, 2 * size, "The dataset with the corpus of it")
    Fetcher(dataset.id, dataset.commit, folder, files, answer, "dataset").fetch_all()
    sources = []
    for number, file in enumerate(files):
        # The end of its name says how it is read; a corpus keeps each under a name of its own.
        path = folder / f"{number:06}-{file.digest[:16]}{_ending(file.name)}"
        _link(folder / file.digest, path)
        origin = _origin(dataset, choice, file)
        sources.append(Source(path, _label(file.name), uploaded=True, hub=origin))
    return sources


def _ending(name: str) -> str:
    """The suffixes by which a file is read."""
    packed = next((one for one in COMPRESSED if name.lower().endswith(one)), "")
    return kind_of(name) + packed


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _label(path: str) -> str:
    """A file's name in reports: without folders, whose names would say that it is left aside."""
    return path.split("/")[-1]


def _origin(
    dataset: Dataset, choice: Choice, file: RemoteFile, rows: int | None = None
) -> HubSource:
    return HubSource(
        id=dataset.id,
        commit=dataset.commit,
        configuration=choice.configuration.name,
        split=choice.split.name,
        file=file.name,
        license=dataset.license,
        rows=rows,
        sha256=file.digest if file.is_large and rows is None else None,
    )


class _Beginnings:
    """Takes rows from the beginning of files, one file after the other."""

    def __init__(
        self, dataset: Dataset, choice: Choice, folder: Path, answer: TellsProgress
    ) -> None:
        self._dataset = dataset
        self._choice = choice
        self._folder = folder
        self._answer = answer
        self._wanted = choice.rows or 0
        self._before = 0

    def take(self, files: Sequence[RemoteFile], rows: int) -> list[Source]:
        """Take so many rows; returns the sources."""
        sources = []
        check_room(self._folder, 0, "The beginning of the dataset")
        for file in files:
            if self._before >= rows:
                break
            path, taken = self._beginning(file, rows - self._before)
            origin = _origin(self._dataset, self._choice, file, taken)
            name = _label(file.name)
            for suffix in COMPRESSED:
                name = name.removesuffix(suffix)
            sources.append(Source(path, name, uploaded=True, hub=origin))
            self._before += taken
        self._tell(0, final=True)
        return sources

    def _beginning(self, file: RemoteFile, rows: int) -> tuple[Path, int]:
        """A file's first rows, which may have been taken before, and how many they are."""
        kind = kind_of(file.name)
        if kind != PARQUET and kind not in JSON_LINES:
            raise UserError(
                f"{file.name} cannot be taken in part, as Parquet and JSON lines can: take all "
                "rows of the split."
            )
        told = f"{file.digest}\n{','.join(self._choice.fields) if kind == PARQUET else ''}\n{rows}"
        key = hashlib.sha256(told.encode()).hexdigest()[:40]
        target = self._folder / f"rows-{key}{kind}"
        count = self._folder / f"rows-{key}.count"
        with suppress(OSError, ValueError):
            if target.exists():
                return target, int(count.read_text())
        part = self._folder / f"rows-{key}.part"
        raw = RangeReader("dataset", self._dataset.id, self._dataset.commit, file)
        with part.open("wb") as out:
            if kind == PARQUET:
                taken = self._columns(raw, file, rows, out)
            else:
                taken = self._lines(raw, file, rows, out)
        count.write_text(str(taken))
        part.rename(target)
        return target, taken

    def _columns(self, raw: RangeReader, file: RemoteFile, rows: int, out: IO[bytes]) -> int:
        """Write the columns that are read of the first rows as Parquet."""
        import pyarrow
        import pyarrow.parquet

        fields, taken = self._choice.fields, 0
        try:
            opened = pyarrow.parquet.ParquetFile(raw, pre_buffer=False, buffer_size=_BUFFER)
            schema = opened.schema_arrow
            wanted = {one if one in schema.names else one.split(".")[0] for one in fields}
            names = [name for name in schema.names if name in wanted]
            kept = pyarrow.schema([schema.field(name) for name in names])
            with pyarrow.parquet.ParquetWriter(out, kept, compression="zstd") as writer:
                for batch in opened.iter_batches(_BATCH, columns=names, use_threads=False):
                    for column in batch.columns:
                        # What comes from a file may point outside of its own memory.
                        column.validate(full=True)
                    part = batch.slice(0, rows - taken)
                    writer.write_batch(part)
                    taken += len(part)
                    self._tell(taken)
                    if taken >= rows:
                        break
        except (pyarrow.ArrowException, KeyError, OSError) as error:
            raise UserError(f"{file.name} cannot be read as Parquet: {words_of(error)}") from None
        return taken

    def _lines(self, raw: RangeReader, file: RemoteFile, rows: int, out: IO[bytes]) -> int:
        """Write the first lines as they are."""
        import zstandard

        taken = 0
        opened = plain(io.BufferedReader(raw, _BUFFER), file.name)
        try:
            while taken < rows and (data := opened.read(_BUFFER)):
                lines = data.count(b"\n")
                if taken + lines >= rows:
                    end = 0
                    for _ in range(rows - taken):
                        end = data.index(b"\n", end) + 1
                    data, lines = data[:end], rows - taken
                out.write(data)
                taken += lines
                self._tell(taken)
                last = data
            if taken < rows and taken + 1 <= rows and out.tell() and not last.endswith(b"\n"):
                taken += 1  # The last line has no end.
        except (EOFError, zstandard.ZstdError, OSError) as error:
            raise UserError(f"{file.name} cannot be read: {words_of(error)}") from None
        return taken

    def _tell(self, taken: int, final: bool = False) -> None:
        done: Any = min(self._wanted, self._before + taken)
        self._answer.progress(
            phase="downloading", done=done, total=self._wanted, unit="rows", final=final
        )
