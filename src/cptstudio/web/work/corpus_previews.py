"""Documents before and after cleaning, as a page asks for them: read by a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field

from cptstudio.corpus.listed import Preview
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.corpus.preview_program import ask
from cptstudio.corpus.sources import path_of
from cptstudio.errors import UserError
from cptstudio.validation import ReadsNumbers
from cptstudio.web.problems import NotFound, Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import corpus_work
from cptstudio.web.work.corpus_work import SourceChoice

if TYPE_CHECKING:
    from cptstudio.corpus.corpus import Corpus


class PreviewBody(ReadsNumbers, BuildSettings):
    """A file, and how it would be read."""

    model_config = ConfigDict(extra="forbid")

    source: SourceChoice
    document: int = Field(1, ge=1, le=10**9, description="Its number in the file, from 1.")


def of_source(studio: Studio, body: PreviewBody) -> Preview:
    """Return a document as a build with these settings would read it.

    Raises:
        Problem: the source is not there, or cannot be read.
    """
    try:
        source = corpus_work.source(studio, body.source)
        settings = body.model_dump(mode="json", include=set(BuildSettings.model_fields))
        request = {**source, "document": body.document, "settings": settings}
        return ask(request, str(source.get("label") or source["path"]))
    except UserError as error:
        raise Problem.at("source", error) from None


def of_corpus(studio: Studio, corpus: Corpus, document: str) -> Preview:
    """A document of a corpus; its file is read again where it is there and the page may read it.

    Raises:
        NotFound: there is no such document.
    """
    if not document.isascii() or not document.isdecimal() or len(document) > 12:
        raise NotFound(f"The corpus {corpus.name!r} has no document {document!r}.")
    request: dict[str, Any] = {"corpus": str(corpus.path), "number": int(document), "path": None}
    if corpus.manifest.settings.mask:
        request["path"] = _path(studio, corpus, int(document))
    return ask(request, f"document {document} of {corpus.name}")


def _path(studio: Studio, corpus: Corpus, number: int) -> str | None:
    """The file of a document, if the page may read it."""
    try:
        given = corpus.given_sources()
        store = corpus.documents
    except UserError:
        return None
    try:
        if number >= len(store):
            return None
        (record,) = corpus.sources_between(int(store.records["source"][number]), 1)
    finally:
        store.close()
    path = path_of(given, record.file)
    if path is None or not path.is_file():
        return None
    uploaded = path.is_relative_to(corpus.folder)
    return str(path) if uploaded or corpus_work.is_allowed(studio, path) else None
