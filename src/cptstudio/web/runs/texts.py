"""What a run wrote besides numbers: completions, the log, its settings."""

from __future__ import annotations

import os
from typing import Any, Final

from cptstudio import run_files
from cptstudio.durable import open_regular_file
from cptstudio.evaluation import samples
from cptstudio.runs.external.imported_list import ID_PREFIX
from cptstudio.settings import TrainingSettings
from cptstudio.web.runs.run_library import RunLibrary

MOST_LINES: Final = 5000


def current_samples(library: RunLibrary, run: str) -> list[dict[str, Any]]:
    """The completions that hold: a resumed session replaces what came after its checkpoint."""
    if run.startswith(ID_PREFIX):
        library.imported(run)
        return []
    return samples.current_samples(library.directory(run))


def log_part(library: RunLibrary, run: str, count: int, before: int | None) -> dict[str, Any]:
    """Text of the run's log that ends at an offset.

    Args:
        count: bytes at most.
        before: where the part ends; None for the end of the file.
    """
    empty = {"text": "", "start": 0, "end": 0, "size": 0}
    if run.startswith(ID_PREFIX):
        library.imported(run)
        return empty
    try:
        with open_regular_file(library.directory(run) / run_files.LOG) as file:
            size = os.fstat(file.fileno()).st_size
            end = size if before is None else min(before, size)
            start = max(0, end - count)
            data = os.pread(file.fileno(), end - start, start)
    except FileNotFoundError:
        return empty
    line = data.find(b"\n") + 1
    if start and 0 < line < len(data):
        start, data = start + line, data[line:]
    text = data.decode("utf-8", errors="replace")
    return {"text": text, "start": start, "end": start + len(data), "size": size}


def settings_yaml(settings: TrainingSettings) -> str:
    """The whole tree, which `--config` reads."""
    import yaml

    tree = settings.model_dump(mode="json")
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
