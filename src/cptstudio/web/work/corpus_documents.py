"""The held-out documents of a corpus, to read and to score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cptstudio.corpus.listed import ListedDocument, WholeDocument
from cptstudio.evaluation.model_requests import Side
from cptstudio.validation import LateModel
from cptstudio.web.problems import NotFound
from cptstudio.web.studio import Studio

if TYPE_CHECKING:
    from cptstudio.corpus.corpus import Corpus

MOST_TEXT = 200_000
"""Characters of a document that are shown; a page of a browser holds no more with colors."""


class DocumentPage(LateModel):
    """A page of a split's documents."""

    documents: list[ListedDocument]
    total: int
    offset: int


def page(studio: Studio, name: str, side: Side, offset: int, limit: int) -> DocumentPage:
    """Return a page of one side's documents, in the order they were read.

    Raises:
        NotFound: there is no such corpus.
    """
    from cptstudio.corpus.browsing import documents

    found, total = documents(opened(studio, name), side, offset, limit)
    return DocumentPage(documents=found, total=total, offset=offset)


def one(studio: Studio, name: str, which: str) -> WholeDocument:
    """Return a document by its number or by the hash of its text, hexadecimal.

    Raises:
        NotFound: there is no such corpus or document.
    """
    from cptstudio.corpus.browsing import document

    found = document(opened(studio, name), which, MOST_TEXT)
    if found is None:
        raise NotFound(f"The corpus {name!r} has no document {which!r}.")
    return found


def opened(studio: Studio, name: str) -> Corpus:
    """Return a corpus of the workspace.

    Raises:
        NotFound: there is none of this name.
    """
    from cptstudio.corpus.corpus import open_corpus

    if name not in studio.workspace.corpus_names():
        raise NotFound(f"There is no corpus {name!r} in this workspace.")
    return open_corpus(studio.workspace.corpus(name))
