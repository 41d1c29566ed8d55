"""Builds a corpus from a dataset of the hub: `python -m cptstudio.datasets.corpus_program`.

The request, see `job_programs`:

    {"corpus": FOLDER, "downloads": FOLDER, "dataset": {"id": ID, "revision": NAME|null,
     "configuration": NAME|null, "split": NAME|null, "rows": NUMBER|null},
     "settings": BuildSettings, "model": FOLDER|null, "allow_lossy": true|false,
     "workers": PROCESSES|null}

What came is kept when it ends early, so that the same request goes on with it.
"""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path
from typing import Any

from cptstudio import job_programs
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.build_program import progress_to, summary
from cptstudio.corpus.build_progress import ProgressCallback
from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.datasets.dataset import look_up
from cptstudio.datasets.taking import Choice, take
from cptstudio.errors import UserError
from cptstudio.job_programs import Answer, TellsProgress
from cptstudio.light_imports import leave_out_torch
from cptstudio.models.staging import parts_kept_in

_KEPT_SECONDS = 14 * 24 * 3600.0


def build_from_hub(
    corpus: Path,
    downloads: Path,
    dataset: dict[str, Any],
    settings: BuildSettings,
    model: str | Path | None,
    answer: TellsProgress,
    tell: ProgressCallback,
    *,
    allow_lossy: bool = False,
    workers: int | None = None,
) -> tuple[Corpus, bool]:
    """Fetch what is chosen of a dataset and build a corpus of it; see the module.

    Returns:
        The corpus, and whether it changed.

    Raises:
        UserError: the dataset or what is chosen of it is not there, or cannot be read.
    """
    answer.progress(phase="asking", final=True)
    found = look_up(dataset["id"], dataset.get("revision"))
    configuration, split = found.find(dataset.get("configuration"), dataset.get("split"))
    choice = Choice.of(configuration, split, settings, dataset.get("rows"))
    downloads.mkdir(parents=True, exist_ok=True)
    # One folder for each dataset, whatever characters its id has.
    name = hashlib.sha256(found.id.encode()).hexdigest()[:16]
    _sweep(downloads)
    with parts_kept_in(downloads / f"dataset-{name}", found.id) as folder:
        sources = take(found, choice, folder, answer)
        built = build_corpus(
            corpus, sources, settings, model, tell, allow_lossy=allow_lossy, workers=workers
        )
    return built.corpus, built.changed


def _sweep(downloads: Path) -> None:
    """Delete what was begun and not gone on with for `_KEPT_SECONDS`."""
    for folder in downloads.glob("dataset-*"):
        try:
            newest = max(one.stat().st_mtime for one in (folder, *folder.iterdir()))
            if time.time() - newest > _KEPT_SECONDS:
                with parts_kept_in(folder, folder.name):
                    pass  # Only where no other process works in it; it is deleted at the end.
        except (OSError, UserError):
            continue


def work(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Do what the request says; the result names the corpus and whether it changed."""
    leave_out_torch()
    corpus, changed = build_from_hub(
        Path(request["corpus"]),
        Path(request["downloads"]),
        request["dataset"],
        BuildSettings.model_validate(request["settings"]),
        request.get("model"),
        answer,
        progress_to(answer),
        allow_lossy=bool(request.get("allow_lossy")),
        workers=request.get("workers"),
    )
    return summary(corpus, changed)


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
