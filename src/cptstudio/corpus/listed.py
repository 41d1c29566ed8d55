"""Documents and findings of a corpus as `browsing` lists them, and as the web API shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cptstudio.corpus.manifest import Dropped
from cptstudio.corpus.private_data import Private
from cptstudio.validation import LateModel


@dataclass(frozen=True)
class ListedDocument:
    """A document of a side.

    Attributes:
        document: its number.
        label: the source it was read from.
        bytes: of its cleaned text in UTF-8.
        excerpt: how it begins, at most 200 characters.
    """

    document: int
    label: str
    bytes: int
    excerpt: str


class FoundText(LateModel):
    """How a document begins, or where the words that were sought stand in it."""

    before: str
    found: str
    after: str


class FoundDocument(LateModel):
    """A document that was sought.

    Attributes:
        document: its number.
        label: the source it was read from.
        status: its side, or why it was dropped.
        kept: it is in a side.
        bytes: of its cleaned text in UTF-8.
        text: some of it.
        in_name: its name has the words that were sought.
    """

    document: int
    label: str
    status: str
    kept: bool
    bytes: int
    text: FoundText
    in_name: bool


class KeptInstead(LateModel):
    """The document that was kept in place of a dropped one; its number may be unknown.

    `similarity`: the estimated Jaccard index of both.
    """

    document: int | None
    label: str
    similarity: float


class ShownCall(LateModel):
    """A tool that a turn calls; `arguments` as JSON text."""

    name: str
    arguments: str


class ShownTurn(LateModel):
    """A turn of a conversation, as `Turn`; `reasoning` is what its assistant thought before it."""

    role: str
    content: str
    name: str | None = None
    reasoning: str | None = None
    calls: list[ShownCall] = []
    answers: str | None = None


class TemplatePiece(LateModel):
    """A part of a conversation in a template; `counts`: it is an answer, which is trained on."""

    text: str
    counts: bool


class TemplateLook(LateModel):
    """How a conversation looks in a model's chat template.

    Attributes:
        texts: one with all answers, or one for each answer, or none.
        shortened: that is not all of it.
        refused: why answers are not trained on, a reason for each of them.
        detail: what the first of these reasons was about.
        after: turns behind the last answer, which are left out.
        thoughtless: answers whose reasoning the template leaves out.
        end: the token that ends an answer; null where the template writes none.
    """

    texts: list[list[TemplatePiece]]
    shortened: bool
    refused: list[str]
    detail: str
    after: int
    thoughtless: int
    end: str | None


class WholeDocument(LateModel):
    """A document with its cleaned text.

    Attributes:
        side: the side it is in, or why it was dropped.
        turns: of a conversation; null for other documents. Its text then has roles before turns.
        tools: of a conversation, those that its assistant may call, each as JSON text.
        shortened: the text goes on.
        kept: what was kept in its place, where it was dropped and that was recorded.
    """

    document: int
    label: str
    bytes: int
    side: str
    text: str
    shortened: bool
    kept: KeptInstead | None = None
    turns: list[ShownTurn] | None = None
    tools: list[str] = []


@dataclass(frozen=True)
class SourceFinding:
    """A finding while a source was read.

    Attributes:
        label: the source.
        reason: what was found.
        skipped: the source, or the rest of it, gave no document.
    """

    label: str
    reason: str
    skipped: bool


@dataclass(frozen=True)
class KeptDocument:
    """The document that was kept in place of a dropped one; its number may be unknown."""

    document: int | None
    label: str


@dataclass(frozen=True)
class DroppedDocument:
    """A document that is in the store and in no side.

    Attributes:
        document: its number.
        label: the source it was read from.
        reason: why it is in no side.
        bytes: UTF-8 bytes of its cleaned text.
        kept: the document kept in its place, where that was recorded.
        similarity: the estimated Jaccard index with it.
        excerpt: how it begins, at most 300 characters.
    """

    document: int
    label: str
    reason: Dropped
    bytes: int
    kept: KeptDocument | None
    similarity: float | None
    excerpt: str


@dataclass(frozen=True)
class SamplePart:
    """The part of a row that comes from one document.

    Attributes:
        document: its number in the corpus.
        label: the source it was read from.
        start: first of its tokens in the row.
        stop: one after the last.
        tokens: how many tokens the document has.
        text: the decoded tokens.
        shortened: the text goes on.
        counted: spans of its characters that the loss counts, start and stop; None for all.
    """

    document: int
    label: str
    start: int
    stop: int
    tokens: int
    text: str
    shortened: bool = False
    counted: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True)
class SampleRow:
    """One decoded row: which batch and row of it, its length in targets, and its parts."""

    batch: int
    row: int
    length: int
    parts: tuple[SamplePart, ...]


class Piece(LateModel):
    """A part of a document's text.

    Attributes:
        kind: it is kept, dropped, masked, or kept although it could be masked.
        text: as it was read.
        becomes: what stands in its place, where that is something else.
        reason: why it is dropped.
        found: what it is.
    """

    kind: Literal["kept", "dropped", "masked", "found"] = "kept"
    text: str
    becomes: str | None = None
    reason: str | None = None
    found: Private | None = None


class Preview(LateModel):
    """A document before and after cleaning.

    Attributes:
        label: the source it was read from.
        document: its number in that source, from 1.
        pieces: its text, in order.
        before: characters of `pieces` as they were read.
        after: characters that are left of them.
        shortened: the text goes on.
        read: it was read from its file just now; else it is the text that the corpus has, in which
            masks stand in place of what they hide.
        notes: what was found while reading the file.
    """

    label: str
    document: int
    pieces: list[Piece]
    before: int
    after: int
    shortened: bool
    read: bool
    notes: list[str]
