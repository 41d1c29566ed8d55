"""Builds a corpus from files.

The sources are read once, in order, into a new version of the corpus: cleaned documents on disk
and a few dozen bytes for each in memory. Then duplicates are found, sides are given, and the
documents are tokenised from their own store. Only then the manifest is replaced, which makes
the new version the corpus and the former one disposable. So a build that ends at any point,
even by SIGKILL, leaves the former corpus whole; the next build sweeps what it left.

A build is skipped when nothing changed: same settings, and the same files by label, size and
time of change. Where only a time differs, or a file was so young when it was read that it could
have been changed again within the clock's tick, the content's SHA-256 decides.
"""

from __future__ import annotations

import datetime
import fcntl
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cptstudio import durable
from cptstudio.corpus.corpus import (
    MANIFEST,
    UPLOADS,
    VERSIONS,
    Corpus,
    fingerprint_of,
    open_corpus,
)
from cptstudio.corpus.document_store import DocumentStore, DocumentWriter
from cptstudio.corpus.inspection import Inspection
from cptstudio.corpus.languages import language_shares
from cptstudio.corpus.left_aside import LeftAside
from cptstudio.corpus.manifest import (
    CORPUS_FORMAT,
    READERS,
    STATUSES,
    BuildSettings,
    CorpusManifest,
    CorpusReport,
    DuplicateExample,
    GivenSource,
)
from cptstudio.corpus.near_duplicates import NearDuplicateIndex
from cptstudio.corpus.progress import ProgressCallback, ProgressMeter
from cptstudio.corpus.reading import SourceReader
from cptstudio.corpus.sources import Skipped, Source, SourceFile, find_sources
from cptstudio.corpus.split import SplitRule, sides_of
from cptstudio.corpus.token_store import SIDES
from cptstudio.corpus.tokenising import ensure_tokens_of, tokenise
from cptstudio.corpus.tokenizer import CorpusTokenizer, load_tokenizer
from cptstudio.errors import UserError
from cptstudio.workspace import BUILD_LOCK, check_new_name, is_never_built

_EXAMPLES = 10
_TRUSTED_AGE_NS = 2_000_000_000


@dataclass(frozen=True)
class BuildResult:
    """What a build did.

    Attributes:
        corpus: the corpus as it is now.
        changed: False when the documents were up to date and were not read again.
    """

    corpus: Corpus
    changed: bool


def build_corpus(
    path: Path,
    sources: Sequence[Path | Source],
    settings: BuildSettings | None = None,
    model_path: Path | str | None = None,
    progress: ProgressCallback | None = None,
    *,
    allow_lossy: bool = False,
) -> BuildResult:
    """Build a corpus, or bring it up to date.

    Args:
        path: the corpus's folder, `Workspace.corpus(name)`; its name is the corpus's name.
        sources: files and folders.
        settings: the defaults when left out.
        model_path: folder of the model whose tokenizer makes the tokens; without it the corpus
            has documents only, and `ensure_tokens` makes tokens later.
        progress: called a few times a second.
        allow_lossy: tokenise also where the tokenizer loses much of the text.

    Raises:
        UserError: sources are missing, nothing could be read, the tokenizer cannot be used, or
            another build of this corpus is running.
    """
    check_new_name(path, "corpus")
    is_new_place = not path.parent.exists()
    settings = settings or BuildSettings()
    meter = ProgressMeter(progress)
    meter.tell()
    tokenizer = load_tokenizer(model_path) if model_path is not None else None
    scanned_ns = time.time_ns()
    files, skipped = find_sources(sources, LeftAside(settings.include))
    # What is gone now was renamed while the sources were looked for: it is not made anew.
    path.mkdir(parents=is_new_place, exist_ok=True)
    with only_builder(path):
        former = _former(path)
        _sweep(path, former)
        if former is not None and _is_current(former, files, settings):
            if tokenizer is not None:
                ensure_tokens_of(former, tokenizer, meter, allow_lossy=allow_lossy)
            return BuildResult(former, changed=False)
        staged = durable.staging_path(path / VERSIONS / "new")
        staged.parent.mkdir(exist_ok=True)
        staged.mkdir()
        try:
            manifest = _build(
                path, staged, files, skipped, settings, former, tokenizer, meter, allow_lossy
            )
            manifest.scanned_ns = scanned_ns
            manifest.sources = _keep_sources(sources, staged)
            manifest.model = str(model_path) if model_path is not None else None
            meter.begin("saving", 0)
            meter.tell()
            _commit(path, staged, manifest)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
            if not (path / MANIFEST).exists() and is_never_built(path):
                # A first build that failed leaves no empty corpus behind.
                shutil.rmtree(path, ignore_errors=True)
        return BuildResult(open_corpus(path), changed=True)


def _keep_sources(sources: Sequence[Path | Source], staged: Path) -> list[GivenSource]:
    """What was given, to be built from again; uploads, which nothing else keeps, are kept here."""
    given = []
    for one in sources:
        source = one if isinstance(one, Source) else Source(one)
        path = source.path.expanduser().resolve()
        if not source.uploaded:
            given.append(GivenSource(path=str(path), label=source.label))
            continue
        kept = staged / UPLOADS / path.name
        kept.parent.mkdir(exist_ok=True)
        try:
            os.link(path, kept)
        except OSError:  # Another file system, or one without links.
            shutil.copyfile(path, kept)
            kept.chmod(0o600)
        relative = f"{UPLOADS}/{path.name}"
        given.append(GivenSource(path=relative, label=source.label, uploaded=True))
    return given


def _build(
    path: Path,
    staged: Path,
    files: Sequence[SourceFile],
    skipped: Sequence[Skipped],
    settings: BuildSettings,
    former: Corpus | None,
    tokenizer: CorpusTokenizer | None,
    meter: ProgressMeter,
    allow_lossy: bool,
) -> CorpusManifest:
    documents = staged / "documents"
    documents.mkdir()
    writer = DocumentWriter(documents)
    index = NearDuplicateIndex(staged / "signatures")
    inspection = Inspection()
    reader = SourceReader(writer, [index, inspection], settings, meter)
    reader.read(files, skipped, documents)
    if not writer.count:
        raise UserError(
            "No document could be read from these sources.",
            [*reader.problems[:20], *reader.asides[:10]],
        )
    records = writer.records()
    meter.begin("comparing", 0)
    meter.tell()
    rule = _split_rule(settings, former)
    settled = former.documents.records["hash"] if former is not None else None
    rule, likeness = assign_statuses(records, settings, rule, index.pairs(), settled)
    (staged / "signatures").unlink()
    writer.finish(records)
    fingerprint = fingerprint_of(records)
    with closing(DocumentStore(documents)) as store:
        languages = language_shares(store, records, reader.labels)
        if tokenizer is not None:
            folder = staged / "tokens" / tokenizer.facts.hash
            folder.parent.mkdir()
            tokenise(store, folder, tokenizer, fingerprint, meter, allow_lossy=allow_lossy)
    report = CorpusReport(
        source_files=len(files),
        skipped_files=reader.skipped,
        problems=reader.problems,
        problem_count=reader.problem_count,
        problem_files=reader.problem_files,
        left_aside=reader.left_aside,
        duplicates=_examples(records, likeness, reader.labels),
        suspicious=inspection.examples,
        suspicious_count=inspection.counts,
        scripts=inspection.scripts(),
        languages=languages,
        length_histogram=_histogram(records),
        **_totals(records),
    )
    return CorpusManifest(
        format=CORPUS_FORMAT,
        name=path.name,
        version=f"{fingerprint[:16]}-{os.urandom(4).hex()}",
        fingerprint=fingerprint,
        sources_fingerprint=reader.fingerprint,
        scanned_ns=0,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        settings=settings,
        split=rule,
        report=report,
        readers=READERS,
    )


def assign_statuses(
    records: npt.NDArray[Any],
    settings: BuildSettings,
    rule: SplitRule,
    pairs: Iterable[tuple[int, int, float]],
    settled: npt.NDArray[np.void] | None = None,
) -> tuple[SplitRule, dict[int, tuple[int, float]]]:
    """Set every record's status.

    Of equal documents the first is kept. Of a group of near duplicates that touches a held-out
    side, the held-out ones stay and those of the training side are dropped as overlap, whether
    near duplicates are dropped otherwise or not: or the evaluation would measure memory.

    Returns:
        The rule with its pins; for each dropped document the one kept in its place and the
        estimated similarity.
    """
    hashes = np.ascontiguousarray(records["hash"]).view("<u8").reshape(-1, 2)
    _, first, which = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    lengths = records["length"][first].astype(np.int64)
    sides, rule = sides_of(records["hash"][first], lengths, rule, settled)
    status = sides[which.ravel()].astype(np.uint8)
    kept_for = first[which.ravel()]
    likeness: dict[int, tuple[int, float]] = {}
    if settings.exact_dedup:
        repeated = np.flatnonzero(kept_for != np.arange(len(records)))
        status[repeated] = STATUSES.index("exact duplicate")
        likeness.update((int(n), (int(kept_for[n]), 1.0)) for n in repeated[:_EXAMPLES])
    for group, similarity in _groups(pairs):
        alive = [number for number in group if status[number] < len(SIDES)]
        held_out = [number for number in alive if status[number]]
        kept = min(held_out or alive, default=-1)
        for number in alive:
            if held_out and not status[number]:
                status[number] = STATUSES.index("overlap with held-out")
            elif settings.near_dedup and number != kept:
                status[number] = STATUSES.index("near duplicate")
            else:
                continue
            likeness[number] = (kept, similarity[number])
    records["status"] = status
    return rule, likeness


def _groups(
    pairs: Iterable[tuple[int, int, float]],
) -> Iterator[tuple[list[int], dict[int, float]]]:
    """Connected groups of near duplicates, and the best similarity seen of each document."""
    parent: dict[int, int] = {}
    best: dict[int, float] = {}

    def root(number: int) -> int:
        while parent.setdefault(number, number) != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for one, other, similarity in pairs:
        left, right = sorted((root(one), root(other)))
        parent[right] = left
        for number in (one, other):
            best[number] = max(best.get(number, 0.0), similarity)
    groups: dict[int, list[int]] = {}
    for number in sorted(parent):
        groups.setdefault(root(number), []).append(number)
    for group in groups.values():
        yield group, best


def _examples(
    records: npt.NDArray[Any], likeness: dict[int, tuple[int, float]], labels: list[str]
) -> list[DuplicateExample]:
    def name(number: int) -> str:
        member = int(records["member"][number])
        return labels[int(records["source"][number])] + (f" #{member + 1}" if member else "")

    examples = []
    for reason in STATUSES[len(SIDES) :]:
        code = STATUSES.index(reason)
        chosen = [number for number in sorted(likeness) if records["status"][number] == code]
        for number in chosen[:_EXAMPLES]:
            kept, similarity = likeness[number]
            examples.append(
                DuplicateExample(
                    dropped=name(number), kept=name(kept), similarity=similarity, reason=reason
                )
            )
    return examples


def _histogram(records: npt.NDArray[Any]) -> dict[str, int]:
    lengths = records["length"][records["status"] == 0]
    edges = [0, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 1_000_000, 10_000_000, 1 << 62]
    counts, _ = np.histogram(lengths.astype(np.float64), bins=np.array(edges, dtype=np.float64))
    names = [f"{low:,} to {high:,}" for low, high in pairwise(edges[:-1])]
    names.append(f"{edges[-2]:,} and more")
    return {name: int(count) for name, count in zip(names, counts, strict=True) if count}


def _totals(records: npt.NDArray[Any]) -> dict[str, dict[str, int]]:
    documents, sizes = {}, {}
    for number, status in enumerate(STATUSES):
        here = records["status"] == number
        documents[status] = int(here.sum())
        sizes[status] = int(records["length"][here].sum())
    return {"documents": documents, "text_bytes": sizes}


def _split_rule(settings: BuildSettings, former: Corpus | None) -> SplitRule:
    pinned = former.manifest.split.pinned if former is not None else {}
    return SplitRule(validation=settings.validation, test=settings.test, pinned=pinned)


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


def _former(path: Path) -> Corpus | None:
    """The corpus that is there, if it is whole; a damaged one is built anew."""
    try:
        corpus = open_corpus(path)
    except UserError:
        return None
    return corpus if (corpus.folder / "documents" / "documents.npy").exists() else None


def _sweep(path: Path, current: Corpus | None) -> None:
    durable.sweep_staging(path)
    versions = path / VERSIONS
    if versions.exists():
        durable.sweep_staging(versions)
        for entry in list(versions.iterdir()):
            if current is None or entry.name != current.manifest.version:
                shutil.rmtree(entry, ignore_errors=True)
    if current is not None and (current.folder / "tokens").exists():
        durable.sweep_staging(current.folder / "tokens")


def _is_current(former: Corpus, files: Sequence[SourceFile], settings: BuildSettings) -> bool:
    if former.manifest.settings != settings or former.manifest.readers != READERS:
        return False
    known = {}
    for record in former.sources():
        if record.modified_ns and record.file not in known:
            known[record.file] = record
    if len(known) != len(files):
        return False
    scanned = former.manifest.scanned_ns
    for file in files:
        if file.label not in known:
            return False
        record = known[file.label]
        if record.size != file.size:
            return False
        recent = file.modified_ns > scanned - _TRUSTED_AGE_NS
        if record.modified_ns == file.modified_ns and not recent:
            continue
        if record.sha256 is None:
            return False
        try:
            if durable.sha256_of_file(file.path) != record.sha256:
                return False
        except (OSError, UserError):
            return False
    return True


def _commit(path: Path, staged: Path, manifest: CorpusManifest) -> None:
    version = path / VERSIONS / manifest.version
    durable.commit_directory(staged, version)
    durable.write_json(path / MANIFEST, manifest.model_dump(mode="json"))
    for entry in list((path / VERSIONS).iterdir()):
        if entry.name != manifest.version:
            shutil.rmtree(entry, ignore_errors=True)
