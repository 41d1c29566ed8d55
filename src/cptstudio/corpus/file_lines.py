"""A build's result for each file: one line per file, with counts that add up to the report's."""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
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
        no_conversations: records left out of a corpus of conversations, by the reason.
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
    no_conversations: dict[str, int]
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


@dataclass(frozen=True)
class FileLines:
    """A page of a corpus's files, in their order.

    Attributes:
        next: number of the source that the next page begins with; None at the end.
        full: there are as many as were asked for, or there are no more; otherwise the time of a
            page was over.
    """

    files: list[FileLine]
    next: int | None
    full: bool


def file_lines(
    corpus: Corpus,
    start: int,
    limit: int,
    *,
    problems: bool = False,
    seconds: float = 1.0,
) -> FileLines:
    """Return a page of the files, none left aside unread.

    Args:
        corpus: the corpus.
        start: number of the source that the page begins with, a former page's `next` or 0.
        limit: of the page.
        problems: only those with problems.
        seconds: after which the page ends, however many were found.
    """
    until = time.monotonic() + seconds
    page: list[FileLine] = []
    with closing(corpus.documents) as store:
        records: Any = store.records
        for first, members in _groups(corpus, start):
            if len(page) == limit or time.monotonic() > until:
                return FileLines(page, first, len(page) == limit)
            found = [SourceRecord.model_validate(one) for one in members]
            if found[0].left_aside and found[0].sha256 is None:
                continue
            if not problems or any(record.problems() for record in found):
                page.append(_line((first, found), records))
    return FileLines(page, None, True)


def _groups(corpus: Corpus, start: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yield each file's sources with the number of the first; an archive has several."""
    numbered = enumerate(map(json.loads, corpus.source_lines(start)), start)
    for _, group in groupby(numbered, key=lambda one: str(one[1]["file"])):
        members = list(group)
        yield members[0][0], [record for _, record in members]


def _line(group: tuple[int, list[SourceRecord]], records: Any) -> FileLine:
    first, members = group
    begin, end = (
        # Not by numpy, which would copy the numbers of all documents' sources.
        bisect_left(range(len(records)), number, key=lambda one: int(records["source"][one]))
        for number in (first, first + len(members))
    )
    here = records[begin:end]
    counts = np.bincount(here["status"], minlength=len(STATUSES)).tolist()
    kept = here["status"] < len(SIDES)
    private: Counter[Private] = Counter()
    left_out: Counter[str] = Counter()
    no_conversations: Counter[str] = Counter()
    problems: list[str] = []
    asides: list[str] = []
    for record in members:
        private.update(record.private)
        left_out.update(record.left_out)
        no_conversations.update(record.no_conversations)
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
        no_conversations=dict(no_conversations),
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
