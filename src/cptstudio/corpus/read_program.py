"""Reads documents for a build: `python -m cptstudio.corpus.read_program`.

A document may make its reader crash, never end, or take all memory. So it runs here, where nothing
is lost with it. One request a line on standard input until the input ends; it begins with
{"ready": true}:

    {"files": [{"location": PATH, "label": NAME, "size": BYTES, "modified_ns": TIME}, ...],
     "settings": BuildSettings, "into": FILE}
    -> {"progress": {"done": FILES}} before each file, and with a fraction within large ones;
       {"progress": {"done": FILES, "phase": "recognizing", "detail": PLACE|null}} before each page
       whose text is recognized, and without a place after it; then
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
from cptstudio.corpus.manifest import BuildSettings, SourceRecord
from cptstudio.corpus.read_batches import Batch, BatchFile
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
    number = 0

    def tell(place: str | None) -> None:
        answer.progress(done=number, phase="recognizing", detail=place, final=True)

    with _path(request["into"]).open("xb") as file:
        batches = BatchFile(file)
        size = text = 0

        def write(one: Batch | SourceRecord) -> None:
            nonlocal text
            batches.write(one)
            if isinstance(one, Batch):
                text += len(one.text)
                answer.progress(done=number + min(text / max(size, 1), 0.999))

        with FileReader(settings, write, tell) as reader:
            for number, given in enumerate(request["files"]):
                size, text = given["size"], 0
                answer.progress(done=number, final=True)
                reader.read(SourceFile(**{**given, "location": str(_path(given["location"]))}))
            reader.finish()
    return {"memory": psutil.Process().memory_info().rss}


def _path(text: str) -> Path:
    return Path(os.fsdecode(text.encode("latin-1")))


if __name__ == "__main__":
    sys.exit(job_programs.answer_requests(read, lambda: None))
