"""Documents and findings of a corpus as `browsing` lists them, and as the web API shows them."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from cptstudio.corpus.manifest import Dropped


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


class WholeDocument(BaseModel):
    """A document with its cleaned text; `shortened`: the text goes on."""

    document: int
    label: str
    bytes: int
    side: str
    text: str
    shortened: bool


@dataclass(frozen=True)
class SourceFinding:
    """Something found while a source was read.

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
