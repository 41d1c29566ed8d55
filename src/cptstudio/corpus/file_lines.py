"""What a build made of each file: one line a file, whose counts add up to those of the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby, islice
from typing import Any

import numpy as np

from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.left_aside import Kind
from cptstudio.corpus.manifest import STATUSES, SourceRecord
from cptstudio.corpus.private_data import Private
from cptstudio.corpus.token_store import SIDES
from cptstudio.validation import LateModel

_MOST_PROBLEMS = 50


class FileLine(LateModel):
    """A file, with all that it holds; of an archive, with its members.

    Attributes:
        label: its name in reports.
        size: bytes.
        members: files in it; 1 where it is no archive.
        documents: of its documents, and sections of long ones, by status.
        text_bytes: of the sides' documents.
        first_document: the number of the first one; None where it has none.
        document_count: how many there are; they follow each other.
        conversations: records that are conversations, and so no documents.
        private: e-mail addresses and the like that were found, by kind.
        left_out: what of it is in no document by design, such as running heads, by its name.
        recognized: pages that text recognition (OCR) read.
        pictures: pages that are pictures, with little text or none, and were not read.
        problems: what was found while reading, at most 50.
        problem_count: how many there are.
        asides: what of it was left aside on purpose, and why, at most 50.
        aside_count: how much that is.
        skipped: it, or a part of it, could not be read.
        left_aside: the kind, where all of it was left aside on purpose.
    """

    label: str
    size: int
    members: int
    documents: dict[str, int]
    text_bytes: int
    first_document: int | None
    document_count: int
    conversations: int
    private: dict[Private, int]
    left_out: dict[str, int]
    recognized: int
    pictures: int
    problems: list[str]
    problem_count: int
    asides: list[str]
    aside_count: int
    skipped: bool
    left_aside: Kind | None


def file_lines(
    corpus: Corpus, offset: int, limit: int, *, problems: bool = False
) -> tuple[list[FileLine], int]:
    """A page of the files, in their order, and how many there are; none left aside unread.

    Args:
        corpus: the corpus.
        offset: files to leave out.
        limit: of the page.
        problems: only those with problems.
    """
    with closing(corpus.documents) as store:
        records: Any = store.records
        sources = np.ascontiguousarray(records["source"])
        chosen = _groups(corpus, problems=problems)
        before = sum(1 for _ in islice(chosen, offset))
        page = [_line(one, records, sources) for one in islice(chosen, limit)]
        after = sum(1 for _ in chosen)
    return page, before + len(page) + after


def _groups(corpus: Corpus, *, problems: bool) -> Iterator[tuple[int, list[SourceRecord]]]:
    numbered = enumerate(corpus.sources())
    for _, group in groupby(numbered, key=lambda one: one[1].file):
        members = list(group)
        records = [record for _, record in members]
        if records[0].left_aside and records[0].sha256 is None:
            continue
        if not problems or any(record.problems() for record in records):
            yield members[0][0], records


def _line(group: tuple[int, list[SourceRecord]], records: Any, sources: Any) -> FileLine:
    first, members = group
    begin, end = np.searchsorted(sources, [first, first + len(members)]).tolist()
    here = records[begin:end]
    counts = np.bincount(here["status"], minlength=len(STATUSES)).tolist()
    kept = here["status"] < len(SIDES)
    private: Counter[Private] = Counter()
    left_out: Counter[str] = Counter()
    problems: list[str] = []
    asides: list[str] = []
    for record in members:
        private.update(record.private)
        left_out.update(record.left_out)
        inside = record.label.removeprefix(record.file).removeprefix("!")
        for told, left_aside in ((problems, False), (asides, True)):
            found = record.problems(left_aside=left_aside)
            told += [f"{inside}: {text}" if inside else text for text in found]
    return FileLine(
        label=members[0].file,
        size=members[0].size,
        members=len(members),
        documents={name: n for name, n in zip(STATUSES, counts, strict=True) if n},
        text_bytes=int(here["length"][kept].sum()),
        first_document=begin if end > begin else None,
        document_count=end - begin,
        conversations=sum(record.conversations for record in members),
        private=dict(private),
        left_out=dict(left_out),
        recognized=sum(record.recognized for record in members),
        pictures=sum(record.pictures for record in members),
        problems=problems[:_MOST_PROBLEMS],
        problem_count=len(problems),
        asides=asides[:_MOST_PROBLEMS],
        aside_count=len(asides),
        skipped=any(record.skipped and not record.left_aside for record in members),
        left_aside=members[0].left_aside if all(one.left_aside for one in members) else None,
    )
