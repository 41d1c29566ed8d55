"""The versions in a corpus's folder: the current one, those that builds left, and the next.

A build is skipped when nothing changed: same settings, and the same files by label, size and
time of change. Where only a time differs, or a file was so young when it was read that it could
have been changed again within the clock's tick, the content's SHA-256 decides.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cptstudio import durable
from cptstudio.corpus.build_progress import ProgressMeter
from cptstudio.corpus.corpus import MANIFEST, VERSIONS, Corpus, open_corpus
from cptstudio.corpus.manifest import READERS, BuildSettings, CorpusManifest, SourceRecord
from cptstudio.corpus.reader_versions import reader_versions
from cptstudio.corpus.sources import SourceFile
from cptstudio.errors import UserError
from cptstudio.workspace import BUILD_LOCK

_TRUSTED_AGE_NS = 2_000_000_000


@contextmanager
def only_builder(path: Path) -> Iterator[None]:
    """Hold the lock of a corpus's folder, so that no build changes it meanwhile.

    Raises:
        UserError: a build is running.
    """
    descriptor = os.open(
        path / BUILD_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644
    )
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"Another build of the corpus {path.name!r} is running.") from None
        yield
    finally:
        os.close(descriptor)


def former_of(path: Path) -> Corpus | None:
    """Return the corpus that is there, if it is whole; a damaged one is built anew."""
    try:
        corpus = open_corpus(path)
    except UserError:
        return None
    return corpus if (corpus.folder / "documents" / "documents.npy").exists() else None


def sweep(path: Path, current: Corpus | None) -> None:
    """Delete what builds left that did not end, and all versions but the current one."""
    durable.sweep_staging(path)
    versions = path / VERSIONS
    if versions.exists():
        durable.sweep_staging(versions)
        for entry in list(versions.iterdir()):
            if current is None or entry.name != current.manifest.version:
                shutil.rmtree(entry, ignore_errors=True)
    if current is not None and (current.folder / "tokens").exists():
        durable.sweep_staging(current.folder / "tokens")


def is_current(
    former: Corpus, files: Sequence[SourceFile], settings: BuildSettings, meter: ProgressMeter
) -> bool:
    """Return whether a build from these files would make the same corpus."""
    manifest = former.manifest
    if manifest.settings != settings or manifest.readers != READERS:
        return False
    if manifest.reader_versions not in (None, reader_versions(settings)):
        return False
    known = {}
    for record in former.sources():
        if record.modified_ns and record.file not in known:
            known[record.file] = record
    if len(known) != len(files):
        return False
    scanned = manifest.scanned_ns
    meter.begin("checking", sum(file.size for file in files))
    done = 0
    for file in files:
        if file.label not in known:
            return False
        if not is_unchanged(file, known[file.label], scanned, meter.more):
            return False
        done += file.size
        meter.bytes_done = done
    return True


def is_unchanged(
    file: SourceFile,
    record: SourceRecord,
    scanned_ns: int,
    more: Callable[[int], None] = lambda size: None,
) -> bool:
    """Return whether a file is as it was when it was read.

    Args:
        file: as it is.
        record: the first one of the file, of the former build.
        scanned_ns: when that build listed its sources.
        more: told of the bytes that are read for it.
    """
    if record.size != file.size:
        return False
    recent = file.modified_ns > scanned_ns - _TRUSTED_AGE_NS
    if record.modified_ns == file.modified_ns and not recent:
        return True
    if record.sha256 is None:
        return False
    try:
        return durable.sha256_of_file(file.path, more) == record.sha256
    except (OSError, UserError):
        return False


def commit(path: Path, staged: Path, manifest: CorpusManifest, meter: ProgressMeter) -> None:
    """Make a staged version the corpus."""
    # Dirty pages of gigabytes take the disk minutes, which is told file by file.
    sizes = (os.path.getsize(file) for file in staged.rglob("*") if file.is_file())
    meter.begin("saving", sum(sizes))
    meter.tell()
    durable.flush_tree(staged, meter.more)
    version = path / VERSIONS / manifest.version
    durable.commit_directory(staged, version)
    durable.write_json(path / MANIFEST, manifest.model_dump(mode="json"))
    for entry in list((path / VERSIONS).iterdir()):
        if entry.name != manifest.version:
            shutil.rmtree(entry, ignore_errors=True)
