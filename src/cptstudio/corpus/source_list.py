"""The list of a corpus's source files on disk, which is read from any place in it.

`sources.jsonl.zst` has one JSON object a source file, in zstandard frames of about `FRAME` bytes.
`sources-index.npy` is int64 [frames, 2]: the number of the first source in each frame, and the
frame's offset in the file. Corpora of before have one frame and no index.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import zstandard

from cptstudio import durable
from cptstudio.corpus.token_store import damaged
from cptstudio.durable import UnusableFileError

SOURCES = "sources.jsonl.zst"
INDEX = "sources-index.npy"
FRAME = 1 << 18
_PASSED_BY = 2000
"""Sources that are rather read over than looked for anew: about what a frame holds."""


class SourceListWriter:
    """Writes the list into a folder; to be used in a `with` statement."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = (folder / SOURCES).open("xb")
        self._compressor = zstandard.ZstdCompressor(level=3)
        self._lines = bytearray()
        self._frames = array("q")
        self._first = self._count = 0

    def __enter__(self) -> SourceListWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._end_frame()
                frames = np.frombuffer(self._frames, dtype=np.int64).reshape(-1, 2)
                np.save(self._folder / INDEX, frames, allow_pickle=False)
        finally:
            self._file.close()

    def add(self, line: bytes) -> None:
        """Append a source: a JSON object without a line end."""
        self._lines += line + b"\n"
        self._count += 1
        if len(self._lines) >= FRAME:
            self._end_frame()

    def _end_frame(self) -> None:
        self._frames.extend((self._first, self._file.tell()))
        self._file.write(self._compressor.compress(bytes(self._lines)))
        self._lines.clear()
        self._first = self._count


def source_lines(documents: Path, first: int = 0) -> Iterator[bytes]:
    """Yield the lines from a number on, as they are stored: a JSON object each.

    What lies before is not read, but for the rest of a frame.

    Args:
        documents: the folder of the corpus's documents.
        first: number of the first source that is wanted.

    Raises:
        UserError: the list is missing.
    """
    try:
        file = durable.open_regular_file(documents / SOURCES)
    except FileNotFoundError:
        raise damaged(documents.parent, f"{SOURCES} is missing") from None
    passed = first
    frames = _index(documents) if first else None
    if frames is not None:
        number, offset = frames[int(np.searchsorted(frames[:, 0], first, side="right")) - 1]
        passed = first - int(number)
        file.seek(int(offset))
    decompressor = zstandard.ZstdDecompressor()
    with file, decompressor.stream_reader(file, read_across_frames=True) as reader:
        rest = b""
        while data := reader.read(1 << 18):
            *lines, rest = (rest + data).split(b"\n")
            if passed >= len(lines):
                passed -= len(lines)
                continue
            yield from lines[passed:]
            passed = 0


def _index(documents: Path) -> npt.NDArray[np.int64] | None:
    """Where each frame begins; None where that is not told, or not to be trusted."""
    try:
        durable.open_regular_file(documents / INDEX).close()
        frames: npt.NDArray[np.int64] = np.load(
            documents / INDEX, mmap_mode="r", allow_pickle=False
        )
    except (OSError, ValueError, EOFError, UnusableFileError):
        return None
    if frames.dtype != np.int64 or frames.ndim != 2 or frames.shape[1] != 2 or not len(frames):
        return None
    return None if int(frames[0, 0]) or int(frames[0, 1]) else frames


def labels_at(documents: Path, numbers: Iterable[int]) -> dict[int, str]:
    """Return the labels of some sources by their numbers; the list is read where these lie."""
    found: dict[int, str] = {}
    lines: Iterator[bytes] = iter(())
    place = -1
    for number in sorted(set(numbers)):
        if place < 0 or number - place > _PASSED_BY:
            lines, place = source_lines(documents, number), number
        for line in islice(lines, number - place, None):
            found[number] = str(json.loads(line)["label"])
            break
        place = number + 1
    return found
