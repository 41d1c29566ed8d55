"""Reads documents for a build: `python -m cptstudio.corpus.read_program`.

A document may make its reader crash, never end, or take all memory. So it runs here, where nothing
is lost with it. One request a line on standard input until the input ends; it begins with
{"ready": true}:

    {"files": [{"location": PATH, "label": NAME, "size": BYTES, "modified_ns": TIME}, ...],
     "settings": BuildSettings, "into": FILE}
    -> {"progress": {"done": FILES}} before each file, then
       {"result": {"memory": BYTES}} or {"error": {...}}

What was read is then in a new file, see `read_batches`. A path is what its bytes are in Latin-1.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import psutil

from cptstudio import job_programs
from cptstudio.corpus.file_reading import FileReader
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.corpus.read_batches import BatchFile
from cptstudio.corpus.sources import SourceFile
from cptstudio.job_programs import Answer

MODULE = "cptstudio.corpus.read_program"


def request_for(files: list[SourceFile], settings: BuildSettings, into: Path) -> dict[str, Any]:
    """Return the request to read these files."""
    return {
        "files": [
            {
                "location": os.fsencode(file.location).decode("latin-1"),
                "label": file.label,
                "size": file.size,
                "modified_ns": file.modified_ns,
            }
            for file in files
        ],
        "settings": settings.model_dump(mode="json"),
        "into": os.fsencode(into).decode("latin-1"),
    }


def read(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Answer one request."""
    settings = BuildSettings.model_validate(request["settings"])
    with _path(request["into"]).open("xb") as file:
        batches = BatchFile(file)
        with FileReader(settings, batches.write) as reader:
            for number, given in enumerate(request["files"]):
                answer.progress(done=number, final=True)
                reader.read(SourceFile(**{**given, "location": str(_path(given["location"]))}))
            reader.finish()
    return {"memory": psutil.Process().memory_info().rss}


def _path(text: str) -> Path:
    return Path(os.fsdecode(text.encode("latin-1")))


if __name__ == "__main__":
    sys.exit(job_programs.answer_requests(read, lambda: None))
