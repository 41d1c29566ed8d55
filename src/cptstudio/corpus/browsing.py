"""Looks into a corpus a page at a time: its documents, what was found and what was dropped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.conversations.conversation import Conversation
from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.document_store import DocumentStore
from cptstudio.corpus.listed import (
    DroppedDocument,
    KeptDocument,
    KeptInstead,
    ListedDocument,
    ShownCall,
    ShownTurn,
    SourceFinding,
    WholeDocument,
)
from cptstudio.corpus.manifest import STATUSES, Dropped
from cptstudio.corpus.row_samples import document_labels
from cptstudio.corpus.token_store import SIDES, Side

DROPPED: tuple[Dropped, ...] = get_args(Dropped)
_EXACT = STATUSES.index("exact duplicate")
_EXCERPT = 300
_SHORT_EXCERPT = 200
_BYTES_PER_CHARACTER = 4  # In UTF-8, at most.
_LOOKED_AT_ONCE = 1 << 20


def documents(
    corpus: Corpus, side: Side, offset: int, limit: int
) -> tuple[list[ListedDocument], int]:
    """Return a page of a side's documents, in the order they were read, and how many there are."""
    with closing(corpus.readable) as store:
        numbers = np.flatnonzero(np.asarray(store.records["status"]) == STATUSES.index(side))
        page = numbers[offset : offset + limit].tolist()
        labels = document_labels(corpus, store, page)
        sizes = store.records["length"]
        found = [
            ListedDocument(n, labels[n], int(sizes[n]), _excerpt(store, n, _SHORT_EXCERPT))
            for n in page
        ]
        return found, len(numbers)


def document(corpus: Corpus, which: str, most: int) -> WholeDocument | None:
    """Return a document, dropped ones included; None where there is none.

    Args:
        corpus: the corpus.
        which: its number, or the hash of its text, hexadecimal; then one that is in a side.
        most: characters of its text.
    """
    with closing(corpus.readable) as store:
        number = _number_of(store, which)
        if number is None:
            return None
        status = int(store.records["status"][number])
        size = int(store.records["length"][number])
        text = _beginning(store, number, most)
        shortened = len(text.encode()) < size
        turns: list[ShownTurn] | None = None
        tools: list[str] = []
        if corpus.manifest.settings.kind == "conversations":
            turns, tools, shortened = conversation(corpus, number, most)
        kept = None
        if status >= len(SIDES):
            (dropped_one,) = _describe(corpus, store, [number])
            if dropped_one.kept is not None and dropped_one.similarity is not None:
                instead = dropped_one.kept
                kept = KeptInstead(
                    document=instead.document,
                    label=instead.label,
                    similarity=dropped_one.similarity,
                )
        return WholeDocument(
            document=number,
            label=document_labels(corpus, store, [number])[number],
            bytes=size,
            side=STATUSES[status],
            text=text,
            shortened=shortened,
            kept=kept,
            turns=turns,
            tools=tools,
        )


def conversation(corpus: Corpus, number: int, most: int) -> tuple[list[ShownTurn], list[str], bool]:
    """Return a conversation's turns, its tools, and whether that is not all of it.

    Args:
        corpus: one of conversations.
        number: of the document, which is there.
        most: characters of its texts.
    """
    with closing(corpus.documents) as store:
        talk = Conversation.from_json(store.text(number))
    room = most

    def some(text: str) -> str:
        nonlocal room
        taken, room = text[: max(0, room)], room - len(text)
        return taken

    turns = []
    for turn in talk.messages:
        if room <= 0:
            break
        turns.append(
            ShownTurn(
                role=turn.role,
                name=turn.name,
                answers=turn.tool_call_id,
                reasoning=None if turn.reasoning_content is None else some(turn.reasoning_content),
                content=some(turn.content),
                calls=[
                    ShownCall(name=call.name, arguments=some(_pretty(call.arguments)))
                    for call in turn.tool_calls
                ],
            )
        )
    tools = [some(_pretty(tool)) for tool in talk.tools if room > 0]
    return turns, tools, room < 0 or len(turns) < len(talk.messages)


def _pretty(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=False, indent=2)


def _number_of(store: DocumentStore, which: str) -> int | None:
    width = store.records.dtype["hash"].itemsize
    if which.isascii() and which.isdecimal() and len(which) < 2 * width:
        return int(which) if int(which) < len(store) else None
    try:
        digest = bytes.fromhex(which)
    except ValueError:
        return None
    if len(digest) != width:
        return None
    hashes = np.ascontiguousarray(store.records["hash"]).view(np.uint8).reshape(-1, width)
    equal = (hashes == np.frombuffer(digest, dtype=np.uint8)).all(axis=1)
    places = np.flatnonzero(equal & (np.asarray(store.records["status"]) < len(SIDES)))
    return int(places[0]) if len(places) else None


def _beginning(store: DocumentStore, number: int, most: int) -> str:
    data = b""
    for part in store.parts(number):
        data += part
        if len(data) >= most * _BYTES_PER_CHARACTER:
            break
    return data.decode("utf-8", "ignore")[:most]


def findings(
    corpus: Corpus, offset: int, limit: int, *, left_aside: bool = False
) -> list[SourceFinding]:
    """Return a page of what was found while reading, in the order of the sources.

    Args:
        corpus: the corpus.
        offset: findings to leave out.
        limit: of the page.
        left_aside: what was left aside on purpose, in place of problems.
    """
    page: list[SourceFinding] = []
    number = 0
    for source in corpus.sources():
        for text in source.problems(left_aside=left_aside):
            if number >= offset:
                page.append(SourceFinding(source.label, text, text is source.skipped))
            number += 1
            if len(page) == limit:
                return page
    return page


def dropped(
    corpus: Corpus, offset: int, limit: int, reason: str | None = None
) -> tuple[list[DroppedDocument], int]:
    """Return a page of the dropped documents, in the order they were read, and how many there are.

    Args:
        corpus: the corpus.
        offset: dropped documents to leave out.
        limit: of the page.
        reason: only those with this reason of `DROPPED`.
    """
    with closing(corpus.readable) as store:
        status = np.asarray(store.records["status"])
        wanted = status >= len(SIDES) if reason is None else status == STATUSES.index(reason)
        numbers = np.flatnonzero(wanted)
        page = numbers[offset : offset + limit].tolist()
        return _describe(corpus, store, page), len(numbers)


def _describe(corpus: Corpus, store: DocumentStore, page: list[int]) -> list[DroppedDocument]:
    records = store.records
    first = _first_of_equal(records, [n for n in page if records["status"][n] == _EXACT])
    labels = document_labels(corpus, store, [*page, *first.values()])
    examples = {(one.dropped, str(one.reason)): one for one in corpus.manifest.report.duplicates}
    found = []
    for number in page:
        label = labels[number]
        reason = DROPPED[int(records["status"][number]) - len(SIDES)]
        kept, similarity = None, None
        example = examples.get((label, reason))
        if number in first:
            kept, similarity = KeptDocument(first[number], labels[first[number]]), 1.0
        elif example is not None:
            kept, similarity = KeptDocument(None, example.kept), example.similarity
        size = int(records["length"][number])
        excerpt = _excerpt(store, number)
        found.append(DroppedDocument(number, label, reason, size, kept, similarity, excerpt))
    return found


def _first_of_equal(records: npt.NDArray[Any], numbers: Iterable[int]) -> dict[int, int]:
    """For exact duplicates the first, kept document with the same content."""
    wanted = {bytes(records["hash"][number]): number for number in numbers}
    same: dict[bytes, int] = {}
    if wanted:
        halves = np.frombuffer(b"".join(wanted), dtype="<u8")[::2]
        for start in range(0, len(records), _LOOKED_AT_ONCE):
            part = records[start : start + _LOOKED_AT_ONCE]
            words = np.ascontiguousarray(part["hash"]).view("<u8")[::2]
            for place in np.flatnonzero(np.isin(words, halves)).tolist():
                digest = bytes(part["hash"][place])
                if digest in wanted and part["status"][place] != _EXACT:
                    same.setdefault(digest, start + place)
            if len(same) == len(wanted):
                break
    digests = {number: bytes(records["hash"][number]) for number in numbers}
    return {number: same[digest] for number, digest in digests.items() if digest in same}


def _excerpt(store: DocumentStore, number: int, most: int = _EXCERPT) -> str:
    start = next(iter(store.parts(number)), b"")[: _BYTES_PER_CHARACTER * most]
    return start.decode("utf-8", "ignore")[:most]
