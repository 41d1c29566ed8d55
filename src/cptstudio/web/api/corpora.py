"""`/api/corpora`: corpora are listed, looked into, built, tokenised and deleted."""

from __future__ import annotations

import datetime
from typing import Any

import flask

from cptstudio.corpus.listed import Preview, TemplateLook, WholeDocument
from cptstudio.errors import UserError
from cptstudio.web.api.corpora_models import (
    BrowsedPage,
    BrowseQuery,
    CorpusDescription,
    CorpusList,
    CorpusSummary,
    DocumentsQuery,
    DroppedPage,
    DroppedQuery,
    FilePage,
    FilesQuery,
    FindingPage,
    FindingsQuery,
    RowPage,
    RowsQuery,
    TemplateQuery,
    TokenCounts,
)
from cptstudio.web.api.openapi import Confirmed, route
from cptstudio.web.problems import NotFound
from cptstudio.web.studio import Studio
from cptstudio.web.work import corpus_documents, corpus_previews, corpus_work
from cptstudio.web.work.corpus_documents import DocumentPage, opened
from cptstudio.web.work.deletions import Deleted
from cptstudio.web.work.row_samples import RowSampler
from cptstudio.workspace import NAME_PATTERN

_SIDES = ("train", "validation", "test")


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("corpora", __name__, url_prefix="/api/corpora")
    sampler = RowSampler()

    @route(bp, "GET", "", summary="List the corpora")
    def list_corpora() -> CorpusList:
        names = studio.workspace.corpus_names()
        return CorpusList(corpora=[_summary(studio, name) for name in names])

    @route(bp, "GET", "/<name>", summary="A corpus's report")
    def show(name: str) -> CorpusDescription:
        from cptstudio.corpus.report import describe

        corpus = opened(studio, name)
        job = studio.jobs.active(corpus_work.key(name))
        given = corpus_work.given_sources(studio, corpus)
        facts = {key: value for key, value in describe(corpus).items() if key != "sources"}
        return CorpusDescription(**facts, given=given, active_job=job)

    _add_findings(bp, studio)

    @route(bp, "GET", "/<name>/rows", summary="Decoded training sequences", answer=RowPage)
    def rows(name: str, query: RowsQuery) -> dict[str, Any]:
        """The sequences that a run with this seed would see first. Long texts are shortened."""
        opened(studio, name)
        model = studio.models.find(query.model)
        request = query.model_dump() | {
            "corpus": str(studio.workspace.corpus(name)),
            "model": str(model.path),
        }
        return sampler.sample(request)

    @route(
        bp,
        "GET",
        "/<name>/documents/<document>/template",
        summary="A conversation in a model's chat template",
        answer=TemplateLook,
    )
    def template(name: str, document: str, query: TemplateQuery) -> dict[str, Any]:
        """As the model reads it, with the answers that are trained on."""
        opened(studio, name)
        if not (document.isascii() and document.isdecimal() and len(document) < 16):
            raise NotFound(f"The corpus {name!r} has no document {document!r}.")
        model = studio.models.find(query.model)
        corpus = str(studio.workspace.corpus(name))
        return sampler.sample(
            {"corpus": corpus, "model": str(model.path), "conversation": int(document)}
        )

    _add_documents(bp, studio)
    _add_files(bp, studio)

    @route(bp, "DELETE", "/<name>", summary="Delete a corpus")
    def delete(name: str, body: Confirmed) -> Deleted:
        """Deletes its documents and tokens; the files it was built from stay."""
        # One that is only begun is not listed, but there.
        if name not in studio.workspace.corpus_names() and not _is_begun(studio, name):
            raise NotFound(f"There is no corpus {name!r} in this workspace.")
        return corpus_work.delete(studio, name, confirmed=body.confirmed)

    return bp


def _is_begun(studio: Studio, name: str) -> bool:
    return NAME_PATTERN.fullmatch(name) is not None and studio.workspace.corpus(name).is_dir()


def _add_findings(bp: flask.Blueprint, studio: Studio) -> None:
    @route(bp, "GET", "/<name>/problems", summary="What was found while reading")
    def problems(name: str, query: FindingsQuery) -> FindingPage:
        from cptstudio.corpus.browsing import findings

        corpus = opened(studio, name)
        found = findings(corpus, query.offset, query.limit, left_aside=query.left_aside)
        report = corpus.manifest.report
        total = sum(report.left_aside.values()) if query.left_aside else report.problem_count
        return FindingPage(problems=found, total=total, offset=query.offset)

    @route(bp, "GET", "/<name>/dropped", summary="What was dropped and why")
    def dropped(name: str, query: DroppedQuery) -> DroppedPage:
        from cptstudio.corpus import browsing

        corpus = opened(studio, name)
        found, total = browsing.dropped(corpus, query.offset, query.limit, query.reason)
        counts = corpus.manifest.report.documents
        return DroppedPage(
            dropped=found,
            total=total,
            offset=query.offset,
            counts={reason: counts.get(reason, 0) for reason in browsing.DROPPED},
        )


def _add_documents(bp: flask.Blueprint, studio: Studio) -> None:
    @route(bp, "GET", "/<name>/documents", summary="The held-out documents")
    def documents(name: str, query: DocumentsQuery) -> DocumentPage:
        return corpus_documents.page(studio, name, query.side, query.offset, query.limit)

    @route(bp, "GET", "/<name>/browse", summary="Page through all documents")
    def browse(name: str, query: BrowseQuery) -> BrowsedPage:
        """All documents, or those that are sought. An answer takes about a second at most."""
        from cptstudio.corpus.browsing import DROPPED
        from cptstudio.corpus.document_search import Sought, find_documents

        corpus = opened(studio, name)
        statuses = DROPPED if query.status == "dropped" else (query.status,)
        chosen = None if query.status is None else frozenset(map(str, statuses))
        found = find_documents(
            corpus, Sought(chosen, query.search), query.start, query.limit, back=query.back
        )
        counts = corpus.manifest.report.documents
        return BrowsedPage(
            **vars(found),
            total=sum(n for status, n in counts.items() if chosen is None or status in chosen),
            count=sum(counts.values()),
        )

    @route(bp, "GET", "/<name>/documents/<document>", summary="A document")
    def one_document(name: str, document: str) -> WholeDocument:
        """By its number, or by the hash of its text as reports name it."""
        return corpus_documents.one(studio, name, document)


def _add_files(bp: flask.Blueprint, studio: Studio) -> None:
    @route(bp, "GET", "/<name>/files", summary="What a build made of each file")
    def files(name: str, query: FilesQuery) -> FilePage:
        from cptstudio.corpus.file_lines import file_lines

        corpus = opened(studio, name)
        found = file_lines(corpus, query.start, query.limit, problems=query.problems)
        report = corpus.manifest.report
        total = report.problem_files if query.problems else report.source_files
        return FilePage(**vars(found), total=total)

    @route(
        bp, "GET", "/<name>/documents/<document>/cleaning", summary="A document before and after"
    )
    def cleaning(name: str, document: str) -> Preview:
        """What of it was dropped or masked, and why; its file is read again where it is there."""
        return corpus_previews.of_corpus(studio, opened(studio, name), document)


def _summary(studio: Studio, name: str) -> CorpusSummary:
    from cptstudio.corpus.corpus import MANIFEST, open_corpus
    from cptstudio.corpus.report import describe

    job = studio.jobs.active(corpus_work.key(name))
    path = studio.workspace.corpus(name)
    if not (path / MANIFEST).exists():
        error = "No documents yet: its first build is still running or failed."
        return CorpusSummary(name=name, error=error, active_job=job)
    try:
        facts = describe(open_corpus(path))
    except UserError as error:
        return CorpusSummary(name=name, error=str(error), active_job=job)
    report = facts["report"]
    documents = report["documents"]
    return CorpusSummary(
        name=name,
        kind=facts["settings"]["kind"],
        created=_seconds(facts["created"]),
        documents={side: documents.get(side, 0) for side in _SIDES},
        text_bytes={side: report["text_bytes"].get(side, 0) for side in _SIDES},
        dropped=sum(count for status, count in documents.items() if status not in _SIDES),
        tokens=[
            TokenCounts(
                tokenizer=one["tokenizer"], tokens=one.get("tokens", {}), error=one.get("error")
            )
            for one in facts["tokenisations"]
        ],
        problems=report["problem_count"],
        problem_files=report["problem_files"],
        languages=(report["languages"] or {}).get("text_bytes", {}),
        warnings=facts["warnings"],
        active_job=job,
    )


def _seconds(moment: str) -> float | None:
    try:
        return datetime.datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return None
