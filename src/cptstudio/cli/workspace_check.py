"""Damage in a workspace, found by the checks that its readers make anyway.

Only reads. Nothing that another process is at is called damaged: a run that is alive is looked
at without its leftovers, and what vanishes meanwhile has gone because somebody deleted it.
"""

from __future__ import annotations

import fcntl
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from cptstudio import durable, run_files
from cptstudio.corpus.corpus import VERSIONS, Corpus, open_corpus
from cptstudio.durable import FolderSignature, folder_signature
from cptstudio.errors import UserError
from cptstudio.evaluation.reports import Reports
from cptstudio.json_lines import damaged_json_lines
from cptstudio.ledgers.ledger import open_ledger
from cptstudio.lm.description import describe_model
from cptstudio.lm.identity import kept_hashes, model_files, tokenizer_files
from cptstudio.models.download import PARTS_PREFIX
from cptstudio.prompt_suites import read_suite, suite_names
from cptstudio.runs.launching import private_folder
from cptstudio.runs.locks import is_held
from cptstudio.runs.run import Run, describe
from cptstudio.serving import records as endpoint_records
from cptstudio.study.folder import TEXTS, read_study
from cptstudio.training.run_integrity import check_config, check_model
from cptstudio.web.series.disk_cache import kept_runs, path_of
from cptstudio.workspace import BUILD_LOCK, NAME_PATTERN, Workspace, is_never_built

_ROWS: Final = (
    run_files.METRICS,
    run_files.EVENTS,
    run_files.SAMPLES,
    run_files.DOCUMENT_SUMS,
)
_OF_RUNS: Final = (*_ROWS, run_files.CHECKPOINTS)
_MOST_LINES: Final = 3
_ADVICE: Final = "You can delete it"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Damage:
    """A damaged file or folder.

    Attributes:
        where: its path within the workspace.
        what: a sentence, with what to do where that is not plain.
    """

    where: str
    what: str


def check_workspace(
    workspace: Workspace, progress: Progress = lambda what, done, total: None
) -> list[Damage]:
    """Read everything that a workspace holds, and return what is not whole.

    Args:
        progress: told what is looked at now, how many things were, and how many there are.
    """
    parts = list(_parts(workspace))
    found = []
    for number, (path, check, *arguments) in enumerate(parts):
        where = os.path.relpath(path, workspace.root)
        progress(where, number, len(parts))
        found += [Damage(where, sentence) for sentence in _told(check, *arguments)]
    return found


def _parts(workspace: Workspace) -> Iterator[tuple[Any, ...]]:
    """A path, and the function with its arguments that looks at what lies there."""
    for name in workspace.run_names():
        yield workspace.run(name), _run, workspace, name
    for path in _folders(workspace.corpora):
        yield path, _corpus, path
    for path in _folders(workspace.base_models):
        yield path, _model, path
    for path in _folders(workspace.facts):
        yield path, _ledger, path
    for path in _folders(workspace.studies):
        yield path, _study, path
    yield workspace.root / "suites", _suites, workspace
    yield workspace.root / "reports", _reports, workspace
    for path in _folders(workspace.private / endpoint_records.FOLDER):
        yield path, _endpoint, path
    yield workspace.private, _records, workspace


def _told(check: Callable[..., object], *arguments: object) -> Iterator[str]:
    """What a check yields; one that tells by raising is told by its error."""
    try:
        found = check(*arguments)
        if isinstance(found, Iterator):
            yield from found
    except UserError as error:
        yield str(error)
    except FileNotFoundError:
        pass  # Deleted while it was looked at.
    except OSError as error:
        yield f"Could not read {error.filename}: {error.strerror}."


# --- runs ------------------------------------------------------------------------------------


def _run(workspace: Workspace, name: str) -> Iterator[str]:
    directory = workspace.run(name)
    kept = private_folder(workspace.private, name)
    run = describe(name, kept, directory, None, float("inf"), run_files.read_config)
    if run is None:
        if any(os.path.lexists(directory / one) for one in _OF_RUNS):
            yield f"{run_files.CONFIG} is missing, so this is no longer a run."
        return
    yield from run.problems
    for file in _ROWS:
        yield from _lines(directory / file)
    yield from _told(run_files.read_result, directory)
    yield from _checkpoints(run, workspace.private)
    if not run.state.alive:
        yield from _leftovers(directory)


def _lines(path: Path) -> Iterator[str]:
    damaged = damaged_json_lines(path)
    shown = "; ".join(f"line {number:,}: {why}" for number, why in damaged[:_MOST_LINES])
    if damaged:
        more = len(damaged) - _MOST_LINES
        yield f"{path.name} has damaged lines: {shown}{f'; and {more:,} more' * (more > 0)}."


@functools.cache
def _hashes(private: Path, folder: Path, signature: FolderSignature) -> dict[str, str]:
    """A base model's files: read once for all runs, and not at all where that was done before."""
    return kept_hashes(private).of(folder) or model_files(folder)


def _checkpoints(run: Run, private: Path) -> Iterator[str]:
    complete = run_files.checkpoints_of(run.directory)
    for path in run_files.incomplete_checkpoints(run.directory):
        if not run.problems or path.name not in run.problems[-1]:
            yield f"The checkpoint {path.name} is damaged: its {run_files.MANIFEST} is missing."
    adapters = False
    for path in complete:
        try:
            adapters |= run_files.verify_checkpoint(path).layout == "adapter"
        except UserError as error:
            if path.exists():  # A run that is alive deletes its former ones.
                yield str(error)
    if run.config is None:
        return
    if complete:
        yield from _told(check_config, run.directory, complete[-1])
    # Without its base an adapter is of no use, and no run can be resumed.
    if adapters or run.state.outcome != "completed":
        yield from _told(
            check_model,
            run.config,
            run.directory,
            lambda folder: _hashes(private, folder, folder_signature(folder)),
        )


# --- corpora and models ----------------------------------------------------------------------


def _corpus(path: Path) -> Iterator[str]:
    at_work = is_held(path / BUILD_LOCK)
    if is_never_built(path) and at_work:
        return
    if is_never_built(path):
        yield (
            f"The first build was interrupted. Build it again, or delete it to free {_size(path)}."
        )
        return
    corpus = open_corpus(path)
    found = [*_told(_versions, corpus, at_work), *_told(_content, corpus)]
    if open_corpus(path).manifest.version != corpus.manifest.version:
        yield from _corpus(path)  # Built meanwhile.
    else:
        yield from found


def _ledger(path: Path) -> Iterator[str]:
    yield from _leftovers(path)
    yield from open_ledger(path).problems


def _study(path: Path) -> Iterator[str]:
    yield from _leftovers(path)
    read_study(path)
    # A line that a kill tore is no loss: that text is written again.
    yield from _lines(path / TEXTS)


def _versions(corpus: Corpus, at_work: bool) -> Iterator[str]:
    if at_work:
        return
    yield from _leftovers(corpus.path)
    for entry in sorted((corpus.path / VERSIONS).iterdir()):
        if entry.name != corpus.manifest.version and not durable.is_staging_name(entry.name):
            yield f"{VERSIONS}/{entry.name} is no longer used. {_ADVICE} to free {_size(entry)}."


def _content(corpus: Corpus) -> Iterator[str]:
    yield from _told(corpus.verify_documents)
    for tokenizer in corpus.tokenizer_hashes():
        yield from _told(_verify_tokens, corpus, tokenizer)


def _verify_tokens(corpus: Corpus, tokenizer: str) -> None:
    corpus.token_store(tokenizer).verify()


def _model(path: Path) -> Iterator[str]:
    if path.name.startswith(PARTS_PREFIX):
        if _is_downloading(path):
            return
        yield (
            "Incomplete download. Repeat the download to continue it, or delete it to free "
            f"{_size(path)}."
        )
        return
    describe_model(path)
    if not tokenizer_files(path):
        yield "The tokenizer is missing. Download the model again."


def _is_downloading(parts: Path) -> bool:
    descriptor = os.open(parts, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


# --- the rest --------------------------------------------------------------------------------


def _suites(workspace: Workspace) -> Iterator[str]:
    for name in suite_names(workspace):
        yield from _told(read_suite, workspace, name)


def _reports(workspace: Workspace) -> Iterator[str]:
    reports = Reports(workspace)
    for one in reports.list():
        yield from _told(reports.read, one["id"])


def _endpoint(path: Path) -> Iterator[str]:
    for name, kind in endpoint_records.KINDS.items():
        yield from _told(endpoint_records.read, path / name, kind)


def _records(workspace: Workspace) -> Iterator[str]:
    """The studio's own small files, and the copies that it keeps of others."""
    private = workspace.private
    for path in sorted(private.glob("*.json")):
        yield from _told(durable.read_json, path)
    yield from _leftovers(private)
    cache, runs = private / "cache" / "series", set(workspace.run_names())
    for name in sorted(kept_runs(cache) - runs):
        gone = path_of(cache, name)
        yield (
            f"{gone.relative_to(private)} belongs to a run that was deleted. {_ADVICE} to "
            f"free {_size(gone)}."
        )


def _leftovers(folder: Path) -> Iterator[str]:
    """What writes left that were interrupted, below a folder."""
    for parent, folders, files in os.walk(folder):
        for name in sorted([*folders, *files]):
            path = Path(parent, name)
            if durable.is_staging_name(name) and not _is_at_work(path):
                where = path.relative_to(folder)
                yield (
                    f"{where} is incomplete: writing it was interrupted. {_ADVICE} to free "
                    f"{_size(path)}."
                )
        folders[:] = [name for name in folders if not durable.is_staging_name(name)]


def _is_at_work(staged: Path) -> bool:
    """Whether the process lives that may be writing it."""
    pid = durable.staging_pid(staged.name)
    try:
        return pid is not None and psutil.Process(pid).create_time() < staged.stat().st_mtime
    except (psutil.Error, OSError):
        return False


def _folders(parent: Path) -> list[Path]:
    """Folders with the names of ours, and half-made downloads."""
    try:
        entries = sorted(entry.name for entry in os.scandir(parent) if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    ours = (name for name in entries if NAME_PATTERN.fullmatch(name) or name[:10] == PARTS_PREFIX)
    return [parent / name for name in ours]


def _size(path: Path) -> str:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return f"{sum(file.stat().st_size for file in files):,} bytes"
