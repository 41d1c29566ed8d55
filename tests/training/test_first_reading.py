"""A large base model is read once: by a run's first session, told as it goes, off the request."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
from pathlib import Path

import pytest

from cptstudio.lm import identity
from cptstudio.lm.identity import hash_of_files, kept_hashes, model_files
from cptstudio.run_files import (
    BASE_MODEL,
    checkpoints_of,
    read_base_model,
    read_config,
)
from cptstudio.run_phases import PHASE, last_session_phases, phase_of, read_phase, title_of
from cptstudio.runs import forking
from cptstudio.training.console_progress import ProgressReporter
from cptstudio.training.continued_pretraining import NEWEST, ContinuedPretraining
from cptstudio.training.loop import Ending
from cptstudio.training.phases import Phases, StoppedBeforeTrainingError
from cptstudio.training.run_lock import RunDirectoryGoneError, RunLock
from cptstudio.training.stop_requests import StopRequest
from cptstudio.workspace import Workspace
from tests.training.small_workspace import prepare


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, workspace: Workspace) -> None:
    """Every model counts as large, and the program's TMPDIR is put back."""
    monkeypatch.setattr(identity, "SMALL_MODEL", 1000)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    shutil.rmtree(kept_hashes(workspace.private).folder, ignore_errors=True)


def train(directory: Path, **options: object) -> Ending:
    return ContinuedPretraining(directory, StopRequest(), **options).run()


def short(workspace: Workspace, name: str) -> Path:
    return prepare(
        workspace, name, length="2 steps", checkpoints={"every": "1 steps"},
        evaluation={"every": "2 steps", "max_tokens": 100},
    )  # fmt: skip


@pytest.mark.slow
def test_a_run_is_prepared_unread_and_its_first_session_reads_its_base_once(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    base, kept = workspace.base_model("toy"), kept_hashes(workspace.private)
    directory = short(workspace, "unread")
    config = read_config(directory)
    assert config.model_hash is None and config.model_files is None and kept.of(base) is None
    assert train(directory).outcome == "completed"
    said = (directory / "train.log").read_text()
    for words in ("the base model…", "the corpora…"):
        assert f"Checking files: {words}" in said
    assert "Loading the model…" in said
    # A checkpoint that is written beside the training may be waited for before the next one.
    done = [name for name, _ in itertools.groupby(p.name for p in last_session_phases(directory))]
    assert done == [
        "checking", "loading", "baseline", "sampling", "training", "saving", "training",
        "evaluating", "sampling", "saving", "ending",
    ]  # fmt: skip
    record = read_base_model(directory)
    files = model_files(base)
    assert record is not None and record.files == files == kept.of(base)
    assert record.hash == hash_of_files(files)
    fork = forking.forked(config, directory, "step-00000002", "fork", {})
    assert (fork.model_hash, fork.model_files) == (record.hash, files)
    # The next run knows it when it is prepared, and nobody reads it again.
    known = read_config(short(workspace, "known"))
    assert known.model_files == files and known.model_sizes is None
    assert not (workspace.run("known") / BASE_MODEL).exists()


@pytest.mark.slow
def test_a_base_that_is_not_what_was_read_is_refused(workspace: Workspace) -> None:
    directory = short(workspace, "other-base")
    weights = workspace.base_model("toy") / "model.safetensors"
    whole, status = weights.read_bytes(), weights.stat()
    try:
        os.utime(weights)
        ending = train(directory)
        assert ending.outcome == "failed"
        assert "has changed since this run was created: model.safetensors has" in ending.reason
        os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert train(directory).outcome == "completed"
        (directory / "result.json").unlink()
        last = checkpoints_of(directory)[-1]
        shutil.rmtree(last)
        weights.write_bytes(whole[:-1] + b"\x7f")
        ending = train(directory, resume=NEWEST)
        assert "created with: model.safetensors has SHA-256" in ending.reason
        # Its time of change does not tell; who asks for it has all read again.
        os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
        ending = train(directory, resume=NEWEST, verify=True)
        assert "created with: model.safetensors has SHA-256" in ending.reason
    finally:
        weights.write_bytes(whole)
        os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert train(directory, resume=NEWEST).outcome == "completed"


def test_what_is_done_before_the_first_step_is_told_and_can_be_stopped(tmp_path: Path) -> None:
    stop, output, log = StopRequest(), io.StringIO(), io.StringIO()
    lock = RunLock(tmp_path)
    phases = Phases(lock, 0, stop, ProgressReporter(output=output, log=log))
    progress = phases.begin("checking", detail="the base model", unit="bytes")
    told = read_phase(tmp_path)
    assert told is not None and (title_of(told), told.done) == (
        "Checking files: the base model",
        None,
    )
    phases.begin("loading", unit="bytes")
    progress(4_000_000_000, 16_000_000_000)
    told = read_phase(tmp_path)
    assert told is not None and told.name == "loading" and told.done is None
    here = {"attempt": None, "pid": os.getpid(), "started": 1.0}
    assert phase_of(told, stopping=False, **here).name == "loading"
    assert phase_of(told, stopping=True, **here).name == "stopping"
    # What another process left is not what this run's trainer does.
    assert phase_of(told, stopping=False, **here | {"pid": 1}).name == "starting"
    assert phase_of(told, stopping=False, **here | {"attempt": "another"}).name == "starting"
    (tmp_path / PHASE).write_text(json.dumps({"phase": 3}))
    assert read_phase(tmp_path) is None, "what cannot be read is as good as nothing"
    stop.request("Stopped on request")
    with pytest.raises(StoppedBeforeTrainingError):
        phases.begin("restoring")
    phases.close()
    names = [one.name for one in last_session_phases(tmp_path)]
    assert names == ["checking", "loading", "restoring", "ending"]
    (tmp_path / "trainer.lock").unlink()
    with pytest.raises(RunDirectoryGoneError):
        phases.begin("loading")
    assert log.getvalue().startswith("Checking files: the base model…\nLoading the model…\n")


def test_a_run_that_is_stopped_while_its_base_is_read_ends_as_stopped(workspace: Workspace) -> None:
    directory = short(workspace, "stopped-early")
    stop = StopRequest()
    stop.request("Stopped on request")
    ending = ContinuedPretraining(directory, stop).run()
    assert ending == Ending("stopped", "Stopped on request before the first step.")
    assert train(directory).outcome == "completed"
