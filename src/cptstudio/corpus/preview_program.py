"""Shows a document before and after cleaning: `python -m cptstudio.corpus.preview_program`.

A file may make its reader crash or never end, so it is read here. The request, see `job_programs`:

    {"path": FILE, "label": NAME|null, "document": N, "settings": BuildSettings}
    {"corpus": FOLDER, "number": N, "path": FILE|null}
    -> `Preview`
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from cptstudio import child_process, job_programs
from cptstudio.child_limits import SILENT_SECONDS, for_a_look
from cptstudio.corpus.corpus import open_corpus
from cptstudio.corpus.listed import Preview
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.job_programs import Answer

MODULE = "cptstudio.corpus.preview_program"


def ask(request: dict[str, Any], shown: str) -> Preview:
    """Let the program answer a request about what is named.

    Raises:
        UserError: what it says, or that it died.
    """
    limits = for_a_look(
        f"Reading {shown} takes too long.", f"Reading {shown} takes too much memory."
    )
    if request.get("settings", {}).get("ocr"):
        # The program waits for pages, each of which has a limit of its own.
        limits = replace(limits, seconds=SILENT_SECONDS)
    what = f"Reading {shown}"
    return Preview.model_validate(child_process.ask(("-m", MODULE), request, limits, what=what))


def work(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Answer a request."""
    # Readers are many, and whoever asks needs none of them.
    from cptstudio.corpus.preview import preview_file, preview_of_corpus

    path = None if request.get("path") is None else Path(request["path"])
    if "corpus" in request:
        found = preview_of_corpus(open_corpus(Path(request["corpus"])), request["number"], path)
    else:
        assert path is not None
        settings = BuildSettings.model_validate(request["settings"])
        found = preview_file(
            path,
            settings,
            label=request.get("label"),
            document=request["document"],
            # Each page has a time of its own.
            tell=lambda place: answer.progress(phase="recognizing", detail=place, final=True),
        )
    return found.model_dump(mode="json")


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
