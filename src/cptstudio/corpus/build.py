"""Builds a corpus from files.

The sources are read once, in order, into a new version of the corpus: cleaned documents on disk
and a few dozen bytes for each in memory. Then duplicates are found, sides are given, and the
documents are tokenised from their own store. Only then the manifest is replaced, which makes
the new version the corpus and the former one disposable. So a build that ends at any point,
even by SIGKILL, leaves the former corpus whole; the next build sweeps what it left.
"""

from __future__ import annotations

import datetime
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cptstudio import durable
from cptstudio.corpus.boilerplate import Boilerplate, find_boilerplate
from cptstudio.corpus.build_progress import ProgressCallback, ProgressMeter
from cptstudio.corpus.conversations.conversation import ROLES
from cptstudio.corpus.conversations.counts import ConversationCounts, count_conversations
from cptstudio.corpus.conversations.texts import ReadableConversations
from cptstudio.corpus.corpus import (
    MANIFEST,
    UPLOADS,
    VERSIONS,
    Corpus,
    fingerprint_of,
    open_corpus,
)
from cptstudio.corpus.document_store import CUT, DocumentStore, DocumentWriter
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
    LanguageShares,
)
from cptstudio.corpus.near_duplicates import NearDuplicateIndex
from cptstudio.corpus.ocr import USUAL, engine_for
from cptstudio.corpus.reader_versions import reader_versions
from cptstudio.corpus.reading import SourceReader
from cptstudio.corpus.sections import Sectioned, cut_long_documents
from cptstudio.corpus.sources import Skipped, Source, SourceFile, find_sources
from cptstudio.corpus.split import SplitRule
from cptstudio.corpus.statuses import EXAMPLES, assign_statuses
from cptstudio.corpus.token_store import SIDES
from cptstudio.corpus.tokenising import ensure_tokens_of, store_name, tokenise
from cptstudio.corpus.tokenizer import CorpusTokenizer, load_tokenizer
from cptstudio.corpus.versions import commit, former_of, is_current, only_builder, sweep
from cptstudio.errors import UserError
from cptstudio.workspace import check_new_name, is_never_built


@dataclass(frozen=True)
class BuildResult:
    """A build's result.

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
    workers: int | None = None,
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
        workers: processes that read documents, at most; None for one a core. The corpus is the
            same however many there are.

    Raises:
        UserError: sources are missing, nothing could be read, the tokenizer cannot be used, or
            another build of this corpus is running.
    """
    check_new_name(path, "corpus")
    is_new_place = not path.parent.exists()
    settings = settings or BuildSettings()
    if settings.ocr:
        engine_for(settings.ocr_language or USUAL)
    meter = ProgressMeter(progress)
    meter.tell()
    tokenizer = load_tokenizer(model_path) if model_path is not None else None
    if tokenizer is not None:
        store_name(tokenizer, settings.kind)  # A template that is missing is told at once.
    scanned_ns = time.time_ns()
    notes = _noted(sources, settings.source_notes)
    files, skipped = find_sources(sources, LeftAside(settings.include), meter.found_file)
    # What is gone now was renamed while the sources were looked for: it is not made anew.
    path.mkdir(parents=is_new_place, exist_ok=True)
    with only_builder(path):
        former = former_of(path)
        sweep(path, former)
        if former is not None and is_current(former, files, settings, meter):
            if tokenizer is not None:
                ensure_tokens_of(former, tokenizer, meter, allow_lossy=allow_lossy)
            return BuildResult(former, changed=False)
        staged = durable.staging_path(path / VERSIONS / "new")
        staged.parent.mkdir(exist_ok=True)
        staged.mkdir()
        try:
            manifest = _build(
                path,
                staged,
                files,
                skipped,
                settings,
                former,
                tokenizer,
                meter,
                allow_lossy,
                workers,
            )
            manifest.scanned_ns = scanned_ns
            manifest.sources = _keep_sources(sources, notes, staged)
            manifest.model = str(model_path) if model_path is not None else None
            commit(path, staged, manifest, meter)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
            if not (path / MANIFEST).exists() and is_never_built(path):
                # A first build that failed leaves no empty corpus behind.
                shutil.rmtree(path, ignore_errors=True)
        return BuildResult(open_corpus(path), changed=True)


def _noted(sources: Sequence[Path | Source], notes: Sequence[str]) -> list[str | None]:
    """The license or source of each given file or folder.

    Raises:
        UserError: a note is about something that was not given.
    """
    names = []
    for source in map(Source.of, sources):
        # Not resolved: links that lead in a circle are told when the sources are read.
        label = source.label or Path(os.path.abspath(source.path.expanduser())).name
        names.append({label, label.split("/")[0], str(source.path)})
    noted: list[str | None] = [None] * len(names)
    for note in notes:
        name, equals, text = (part.strip() for part in note.partition("="))
        if not equals:
            noted = [one or name for one in noted]
            continue
        places = [place for place, known in enumerate(names) if name in known]
        if not places:
            raise UserError(
                f"The note {note!r} refers to {name!r}, which is not a source of the "
                "corpus. Sources: "
                f"{', '.join(sorted(min(known) for known in names)[:20])}."
            )
        for place in places:
            noted[place] = text
    return noted


def _keep_sources(
    sources: Sequence[Path | Source], notes: Sequence[str | None], staged: Path
) -> list[GivenSource]:
    """What was given, to be built from again; uploads, which nothing else keeps, are kept here."""
    given = []
    for source, note in zip(map(Source.of, sources), notes, strict=True):
        path = durable.real_path(source.path.expanduser())
        if not source.uploaded:
            given.append(GivenSource(path=str(path), label=source.label, note=note, hub=source.hub))
            continue
        kept = staged / UPLOADS / path.name
        kept.parent.mkdir(exist_ok=True)
        try:
            os.link(path, kept)
        except OSError:  # Another file system, or one without links.
            shutil.copyfile(path, kept)
            kept.chmod(0o600)
        relative = f"{UPLOADS}/{path.name}"
        given.append(
            GivenSource(path=relative, label=source.label, uploaded=True, note=note, hub=source.hub)
        )
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
    workers: int | None,
) -> CorpusManifest:
    documents = staged / "documents"
    documents.mkdir()
    writer = DocumentWriter(documents)
    index = NearDuplicateIndex(staged / "signatures")
    reader = SourceReader(writer, index, settings, meter, workers)
    reader.read(files, skipped, documents, former)
    if not writer.count:
        what = "conversations" if settings.kind == "conversations" else "documents"
        raise UserError(
            f"No {what} could be read from these sources.",
            [*reader.problems[:20], *reader.asides[:10]],
        )
    records = writer.records()
    writer.finish(records)
    rule = _split_rule(settings, former)
    settled = former.documents.records["hash"] if former is not None else None
    talks = settings.kind == "conversations"
    sectioned = None
    if not talks:
        with closing(DocumentStore(documents)) as store:
            sectioned = cut_long_documents(store, records, rule, settled, meter)
    if sectioned is not None:
        index.renumber(sectioned.numbers, sectioned.cut)
        index.add(sectioned.signatures, 0)
        reader.inspection.renumber(sectioned.numbers)
        records, rule = sectioned.records, sectioned.rule
    rule, likeness = assign_statuses(records, settings, rule, index, settled, meter)
    boilerplate, cuts, counts = None, np.empty(0, dtype=CUT), None
    # What is looked through are the documents with their statuses.
    writer.settle(records, cuts)
    if talks:
        counts = _count_turns(documents, records, reader, meter)
    else:
        with closing(DocumentStore(documents)) as store:
            boilerplate, found = find_boilerplate(store, records, staged / "paragraphs", meter)
        boilerplate.dropped = settings.drop_boilerplate
        cuts = found if settings.drop_boilerplate else cuts
        writer.settle(records, cuts)
    fingerprint = fingerprint_of(records, cuts)
    with closing((ReadableConversations if talks else DocumentStore)(documents)) as store:
        languages = language_shares(store, records, reader.labels)
    if tokenizer is not None:
        with closing(DocumentStore(documents)) as store:
            folder = staged / "tokens" / store_name(tokenizer, settings.kind)
            folder.parent.mkdir()
            tokenise(
                store,
                folder,
                tokenizer,
                fingerprint,
                meter,
                kind=settings.kind,
                allow_lossy=allow_lossy,
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
        report=_report(records, reader, likeness, languages, sectioned, boilerplate, counts),
        readers=READERS,
        reader_versions=reader_versions(settings),
    )


def _report(
    records: npt.NDArray[Any],
    reader: SourceReader,
    likeness: dict[int, tuple[int, float]],
    languages: LanguageShares,
    sectioned: Sectioned | None,
    boilerplate: Boilerplate | None,
    talks: ConversationCounts | None,
) -> CorpusReport:
    return CorpusReport(
        talks=talks,
        boilerplate=boilerplate,
        sectioned=0 if sectioned is None else int(sectioned.cut.sum()),
        source_files=reader.files,
        skipped_files=reader.skipped,
        problems=reader.problems,
        problem_count=reader.problem_count,
        problem_files=reader.problem_files,
        left_aside=reader.left_aside,
        left_out=dict(reader.left_out.most_common()),
        conversations=reader.conversations,
        recognized=reader.recognized,
        recognized_by=reader.recognized_by,
        pictures=reader.pictures,
        private=reader.private,
        duplicates=_examples(records, likeness, reader.labels),
        suspicious=reader.inspection.examples,
        suspicious_count=reader.inspection.counts,
        scripts=reader.inspection.scripts(),
        languages=languages,
        length_histogram=_histogram(records),
        **_totals(records),
    )


def _count_turns(
    documents: Path, records: npt.NDArray[Any], reader: SourceReader, meter: ProgressMeter
) -> ConversationCounts:
    status = np.asarray(records["status"])
    chosen = np.flatnonzero(status < len(SIDES))
    # Those for training first, of which the first ones are examples.
    chosen = chosen[np.argsort(status[chosen] != 0, kind="stable")]
    meter.begin("counting turns", int(records["length"][chosen].sum()))

    def texts(store: DocumentStore) -> Iterator[tuple[int, bytes]]:
        for number in chosen.tolist():
            text = b"".join(store.parts(number))
            yield number, text
            meter.more(len(text))

    with closing(DocumentStore(documents)) as store:
        counts = count_conversations(texts(store), ROLES, reader.forms, reader.no_conversations)
    meter.tell(final=True)
    return counts


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
        for number in chosen[:EXAMPLES]:
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
    names.append(f"{edges[-2]:,} or more")
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
