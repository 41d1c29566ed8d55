"""Builds or tokenises a corpus as a job: `python -m cptstudio.corpus.build_program`.

The request, see `job_programs`:

    {"corpus": FOLDER, "sources": [{"path": PATH, "label": NAME|null, "inside": ROOT|null}, ...],
     "settings": BuildSettings, "model": FOLDER|null, "allow_lossy": true|false,
     "workers": PROCESSES|null}

With `"again": true` the sources that the corpus was built from come before those given. Without
any the corpus that is there is only tokenised for the model. A source that names the folder it
must lie `inside` is refused when a link on the way leads out of it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from cptstudio import job_programs
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.build_progress import Progress, ProgressCallback
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.corpus.sources import Source
from cptstudio.corpus.tokenising import ensure_tokens
from cptstudio.errors import UserError
from cptstudio.job_programs import Answer
from cptstudio.light_imports import leave_out_torch


def work(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Do what the request says; the result names the corpus and whether it changed."""
    leave_out_torch()
    folder = Path(request["corpus"])
    model = request.get("model")
    sources = [_source(one) for one in request["sources"]]
    if request.get("again"):
        sources = [_unlinked(one) for one in open_corpus(folder).given_sources()] + sources
    tell = progress_to(answer)
    allow_lossy = bool(request.get("allow_lossy"))
    if sources:
        settings = BuildSettings.model_validate(request["settings"])
        built = build_corpus(
            folder,
            sources,
            settings,
            model,
            tell,
            allow_lossy=allow_lossy,
            workers=request.get("workers"),
        )
        return summary(built.corpus, built.changed)
    if model is None:
        raise UserError("Choose files or folders to build from, or a model to tokenize for.")
    corpus = open_corpus(folder)
    before = corpus.tokenizer_hashes()
    ensure_tokens(corpus, model, tell, allow_lossy=allow_lossy)
    return summary(corpus, corpus.tokenizer_hashes() != before)


def _source(given: dict[str, Any]) -> Source:
    path = Path(given["path"])
    inside = given.get("inside")
    if inside is not None:
        real = Path(os.path.realpath(path))
        wanted = Path(os.path.realpath(inside)) / path.relative_to(inside)
        if real != wanted:
            raise UserError(f"{path} is behind a symbolic link, and links are not followed.")
    return Source(path, label=given.get("label"), uploaded=bool(given.get("uploaded")))


def _unlinked(source: Source) -> Source:
    # What was recorded is a path without links.
    if not source.uploaded and os.path.realpath(source.path) != str(source.path):
        raise UserError(f"{source.path} is behind a symbolic link, and links are not followed.")
    return source


def progress_to(answer: Answer) -> ProgressCallback:
    """Return what tells a job's page how far a build is."""

    def tell(moment: Progress) -> None:
        answer.progress(
            phase=moment.phase,
            done=moment.bytes_done if moment.bytes_total else None,
            total=moment.bytes_total or None,
            unit="bytes",
            detail=moment.detail or None,
            rate=moment.bytes_per_second or None,
            remaining_seconds=moment.remaining_seconds,
        )

    return tell


def summary(corpus: Corpus, changed: bool) -> dict[str, Any]:
    """Return what a job that built a corpus answers."""
    report = corpus.manifest.report
    return {
        "corpus": corpus.name,
        "changed": changed,
        "fingerprint": corpus.manifest.fingerprint,
        "documents": report.documents,
        "problems": report.problem_count,
    }


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
