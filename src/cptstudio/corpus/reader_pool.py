"""Reads source files in processes of their own, as many as there are cores, and in order.

Which file is read by which process, and when, is left to chance; what is handed on is not: it comes
in the order of the files. A process that crashes, hangs or takes too much memory costs one file,
which is then named with how it died. To be sure that it was this file, and nothing that one before
it left in the process, it is read once more by a new one, unless it took too long.

Files of plain text are read here, where nothing of theirs can crash and a process takes longer to
start than they to be read, unless there is so much of them that it pays.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cptstudio import durable
from cptstudio.child_answers import End, Line, parsed
from cptstudio.child_limits import (
    QUICK_SECONDS,
    SILENT_SECONDS,
    for_a_reader,
    reader_seconds,
    usable_cores,
)
from cptstudio.child_process import ChildProcess
from cptstudio.corpus.build_progress import ProgressMeter
from cptstudio.corpus.equal_files import EqualFiles
from cptstudio.corpus.file_reading import FileReader, Sink, record_of
from cptstudio.corpus.former_documents import FormerDocuments, FormerFile
from cptstudio.corpus.manifest import BuildSettings, SourceRecord
from cptstudio.corpus.read_batches import Batch, DamagedBatchError, read_batches
from cptstudio.corpus.read_program import MODULE, request_for
from cptstudio.corpus.readers.dispatch import is_light
from cptstudio.corpus.sources import SourceFile
from cptstudio.durable import MEBIBYTE
from cptstudio.errors import UserError

_MUCH = 32 * MEBIBYTE
"""So much plain text is read by processes, too, but for files that are larger than"""
_LARGE = 1024 * MEBIBYTE
_LOOK_AHEAD = 1000
_WAITING = 64 * MEBIBYTE
"""So much is read ahead of its turn in any case, so that one long file holds up no process."""
_POLL_SECONDS = 0.1


@dataclass
class _Job:
    """Files to read one after the other, and what came of it.

    Attributes:
        apart: by another process.
        kept: of each file what is there already, where it did not change.
        within: bytes of the files that were read, about.
        content: SHA-256 of the one file, where others hold the same; once it was read, of what was.
        again: others come that hold the same.
        like: what read a file that holds the same, so that this one need not be.
        parts: files of batches, and records of sources that could not be read, in order.
    """

    files: list[SourceFile]
    apart: bool
    size: int = 0
    kept: list[FormerFile | None] = field(default_factory=list)
    within: float = 0
    content: str | None = None
    again: bool = False
    like: _Job | None = None
    parts: list[Path | SourceRecord] = field(default_factory=list)
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def ahead(self) -> int:
        """Bytes that are read, or compared with what is there, before it is its turn."""
        return self.size if self.apart or any(self.kept) else 0


@dataclass(frozen=True)
class _Death:
    """How a process died: at which file, why, and whether another one may fare better."""

    place: int
    why: str
    final: bool


class ReaderPool:
    """Reads files; a context around it.

    Args:
        settings: of the build.
        scratch: an empty folder for what was read and is not yet taken.
        meter: is told how far it is.
        workers: processes at most; None for one a core.
    """

    def __init__(
        self,
        settings: BuildSettings,
        scratch: Path,
        meter: ProgressMeter,
        workers: int | None = None,
    ) -> None:
        self._settings = settings
        self._scratch = scratch
        self._meter = meter
        self._workers = max(1, workers or usable_cores())
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._readers: list[_Reader] = []
        self._coming: deque[_Job] = deque()
        self._held: list[Path] = []

    def __enter__(self) -> ReaderPool:
        return self

    def __exit__(self, *_: object) -> None:
        for reader in self._readers:
            self._queue.put(None)
            reader.end()
        for reader in self._readers:
            reader.join()

    def read(
        self,
        files: Sequence[SourceFile],
        former: FormerDocuments,
        begin: Callable[[], None],
        take: Sink,
    ) -> None:
        """Read files.

        Args:
            files: in the order in which they are to be taken.
            former: has those that need not be read.
            begin: called before the first of what belongs together: within it batches and their
                sources count from 0.
            take: gets what was read.

        Raises:
            UserError: of the machine's, such as a full disk.
        """

        def take_here(one: Batch | SourceRecord) -> None:
            take(one)
            if isinstance(one, Batch):
                self._meter.read_more(len(one.text))

        with FileReader(self._settings, take_here) as here:
            for job in self._ahead(_jobs(files, former, self._workers > 1)):
                begin()
                if job.apart or job.like is not None:
                    self._take(job, begin, take)
                    continue
                for file, kept in zip(job.files, job.kept, strict=True):
                    self._meter.begin_file(file.label, file.size)
                    if kept is None:
                        here.read(file)
                    else:
                        here.repeat(file, kept)
                    self._count([file])
                here.finish()
        for part in self._held:
            part.unlink(missing_ok=True)

    def _ahead(self, jobs: Iterator[_Job]) -> Iterator[_Job]:
        """Yield the jobs, and let the processes begin with those that come soon."""
        coming = self._coming
        apart = size = 0
        while True:
            while (
                len(coming) < _LOOK_AHEAD
                and (apart < 2 * self._workers + 2 or size < _WAITING)
                and size < _LARGE
                and (job := next(jobs, None)) is not None
            ):
                coming.append(job)
                if job.apart:
                    apart += 1
                    self._submit(job)
                size += job.ahead
            if not coming:
                return
            job = coming[0]
            yield job
            coming.popleft()
            apart -= job.apart
            size -= job.ahead

    def _submit(self, job: _Job) -> None:
        self._queue.put(job)
        if len(self._readers) < self._workers:
            self._readers.append(_Reader(self._queue, self._settings, self._scratch, self._workers))

    def _take(self, job: _Job, begin: Callable[[], None], take: Sink) -> None:
        if job.like is not None and job.like.content != job.content:
            # The other one was changed before it was read.
            job.like = None
            self._submit(job)
        source = job.like or job
        while not source.done.wait(_POLL_SECONDS):
            busy = [reader.reading for reader in self._readers]
            within = sum(one.within for one in self._coming)
            files = sum(len(one.files) for one in self._coming if one.done.is_set())
            self._meter.tell_reading([one for one in busy if one is not None], within, files)
        if source.error is not None:
            raise source.error
        for part in source.parts:
            begin()
            for one in _of_part(part, job.files[0]):
                if isinstance(one, SourceRecord) and one.sha256 is not None:
                    source.content = one.sha256
                take(one if job.like is None else _renamed(one, source.files[0], job.files[0]))
            if isinstance(part, Path) and not job.again:
                part.unlink()
        if job.again:
            self._held += [part for part in source.parts if isinstance(part, Path)]
        self._count(job.files)

    def _count(self, files: Sequence[SourceFile]) -> None:
        self._meter.end_files(len(files), sum(file.size for file in files))


def _of_part(part: Path | SourceRecord, first: SourceFile) -> Iterator[Batch | SourceRecord]:
    """What a reader made of files, of which this is the first.

    Raises:
        UserError: it is damaged.
    """
    if isinstance(part, SourceRecord):
        yield part
        return
    try:
        with part.open("rb") as file:
            yield from read_batches(file)
    except DamagedBatchError:
        # Its check sums say so: the disk, or the memory, of this machine.
        raise UserError(
            f"{part}, the temporary file with the text of {first.label}, is damaged. "
            "Check the disk and build again."
        ) from None


def _renamed(one: Batch | SourceRecord, read: SourceFile, file: SourceFile) -> Batch | SourceRecord:
    """What was read of a file as that of another one that holds the same."""

    def name(label: str) -> str:
        return file.label + label.removeprefix(read.label)

    if isinstance(one, SourceRecord):
        changed = {"label": name(one.label), "file": file.label, "modified_ns": file.modified_ns}
        return one.model_copy(update=changed, deep=True)
    findings = [replace(found, label=name(found.label)) for found in one.inspected.findings]
    return replace(one, inspected=replace(one.inspected, findings=findings))


def _jobs(files: Sequence[SourceFile], former: FormerDocuments, several: bool) -> Iterator[_Job]:
    """Put files that lie together into jobs that are worth a question.

    Args:
        files: in order.
        former: has those that need not be read.
        several: processes read, so that it pays to let them read much plain text, too.
    """
    total = sum(file.size for file in files)
    lights = [is_light(file.path.suffixes) for file in files]
    plain = sum(file.size for file, light in zip(files, lights, strict=True) if light)
    equal = EqualFiles(files)
    by_content: dict[str, _Job] = {}
    job = _Job([], apart=False)
    for number, (file, light) in enumerate(zip(files, lights, strict=True)):
        kept = former.find(file)
        same = equal.of(number)
        if same is not None and kept is None:
            # Read apart from others, so that what comes of it can be taken more than once.
            if job.files:
                yield job
            content, again = same[0], number != same[1][-1]
            like = by_content.get(content)
            job = _Job([file], like is None, file.size, [None], 0, content, again, like)
            if like is None:
                by_content[content] = job
            yield job
            job = _Job([], apart=False)
            continue
        # A file that is most of them all would only make the others wait.
        apart = not light or (several and plain > _MUCH and file.size < min(_LARGE, total // 2))
        apart = apart and kept is None
        most = (512, 8 * MEBIBYTE) if light else (16, MEBIBYTE)
        full = len(job.files) >= most[0] or job.size + file.size > most[1]
        if job.files and (apart != job.apart or full):
            yield job
            job = _Job([], apart)
        job.apart = apart
        job.files.append(file)
        job.kept.append(kept)
        job.size += file.size
    if job.files:
        yield job


class _Reader:
    """A thread that asks one process after the other, each until it dies.

    Attributes:
        reading: the name of the file that is being read, and since when.
    """

    def __init__(
        self,
        jobs: queue.SimpleQueue[_Job | None],
        settings: BuildSettings,
        scratch: Path,
        workers: int,
    ) -> None:
        self._jobs, self._settings, self._scratch = jobs, settings, scratch
        self._limits = for_a_reader(workers)
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None
        self._answers: Iterator[bytes] = iter(())
        self._answered = 0
        self._files = 0
        self._job = _Job([], apart=True)
        self._ended = False
        self.reading: tuple[str, float] | None = None
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End its process, also in the middle of a file."""
        with self._lock:
            self._ended = True
            if self._child is not None:
                self._child.kill()

    def join(self) -> None:
        """Wait until it and its process have ended."""
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None and not self._ended:
            self._job = job
            try:
                job.parts = self._read(job.files)
            except BaseException as error:
                job.error = error
            self.reading = None
            job.within = job.size
            job.done.set()
        self._let_go()

    def _read(self, files: list[SourceFile]) -> list[Path | SourceRecord]:
        if not files:
            return []
        self._files += 1
        into = self._scratch / f"{self._thread.ident}-{self._files}"
        death = self._ask(files, into)
        if death is None:
            return [into]
        into.unlink(missing_ok=True)
        before, bad, after = files[: death.place], files[death.place], files[death.place + 1 :]
        found = [_named(bad, death.why)] if death.final else self._read([bad])
        return [*self._read(before), *found, *self._read(after)]

    def _ask(self, files: list[SourceFile], into: Path) -> _Death | None:
        """Let the process read files into a new one; None where it did."""
        child = self._started()
        fresh = self._answered == 0
        place, begun = 0, False
        child.send(request_for(files, self._settings, into))
        for data in self._answers:
            said = parsed(data)
            if isinstance(said, Line) and said.done is not None:
                done = min(max(said.done, 0), len(files))
                if not begun or int(done) > place:
                    begun, place = True, min(int(done), len(files) - 1)
                    self.reading = (files[place].label, time.monotonic())
                    child.expect(True, within=reader_seconds(files[place].size))
                elif said.phase is not None:
                    self._waits_for_a_page(child, said.detail, files[place])
                read = sum(file.size for file in files[:place])
                self._job.within = read + (done - place) * files[place].size
            elif isinstance(said, End):
                child.expect(False)
                if said.result is None:
                    raise UserError(str(said.error), said.findings)
                self._answered += 1
                if said.result.get("memory", 0) > (self._limits.memory or 0) // 2:
                    # What a library keeps would be counted against files to come.
                    self._let_go()
                return None
        child.wait()
        with self._lock:
            self._child = None
        if self._ended:
            raise KeyboardInterrupt
        return _Death(place, child.why(), final=child.too_slow or (fresh and place == 0))

    def _waits_for_a_page(self, child: ChildProcess, page: str | None, file: SourceFile) -> None:
        """A page is recognized from now on, or, without one, was."""
        since = time.monotonic() if self.reading is None else self.reading[1]
        self.reading = (file.label if page is None else f"{file.label} ({page})", since)
        # It has a limit of its own, and the reader only waits.
        within = reader_seconds(file.size) if page is None else SILENT_SECONDS
        child.expect(True, within=within)

    def _started(self) -> ChildProcess:
        with self._lock:
            if self._ended:
                raise KeyboardInterrupt
            if self._child is not None:
                return self._child
            child = self._child = ChildProcess(("-m", MODULE), self._limits)
            self._answers, self._answered = child.lines(), 0
        child.expect(True, within=QUICK_SECONDS)
        if next(self._answers, None) is None:
            child.wait()
            raise UserError(f"Could not start the program that reads documents. {child.why()}")
        child.expect(False)
        return child

    def _let_go(self) -> None:
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()


def _named(file: SourceFile, why: str) -> SourceRecord:
    """The record of a file whose reader died."""
    try:
        content = durable.sha256_of_file(file.path)
    except (OSError, durable.UnusableFileError):
        content = None
    record = record_of(file, content)
    record.skipped = f"unreadable: its reader {why.removeprefix('It ').rstrip('. ')}"
    return record
