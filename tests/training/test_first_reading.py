"""A large base model is read once: by a run's first session, told as it goes, off the request."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import pytest

from cptstudio.lm import identity
from cptstudio.lm.identity import hash_of_files, kept_hashes, model_files
from cptstudio.run_files import (
    BASE_MODEL,
    PREPARATION,
    checkpoints_of,
    read_base_model,
    read_config,
    read_preparation,
)
from cptstudio.runs import forking
from cptstudio.training.continued_pretraining import NEWEST, ContinuedPretraining
from cptstudio.training.loop import Ending
from cptstudio.training.preparing import Preparing, StoppedBeforeTrainingError
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


def test_a_run_is_prepared_unread_and_its_first_session_reads_its_base_once(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    base, kept = workspace.base_model("toy"), kept_hashes(workspace.private)
    directory = short(workspace, "unread")
    config = read_config(directory)
    assert config.model_hash is None and config.model_files is None and kept.of(base) is None
    assert train(directory).outcome == "completed"
    said = (directory / "train.log").read_text()
    assert "Reading the base model…" in said and "Loading the corpora and the model…" in said
    assert not (directory / PREPARATION).exists()
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


def test_a_base_that_is_not_what_was_read_is_refused(workspace: Workspace) -> None:
    directory = short(workspace, "other-base")
    weights = workspace.base_model("toy") / "model.safetensors"
    whole, status = weights.read_bytes(), weights.stat()
    try:
        os.utime(weights)
        ending = train(directory)
        assert ending.outcome == "failed"
        assert "was changed after this run was prepared: model.safetensors has" in ending.reason
        os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert train(directory).outcome == "completed"
        (directory / "result.json").unlink()
        last = checkpoints_of(directory)[-1]
        shutil.rmtree(last)
        weights.write_bytes(whole[:-1] + b"\x7f")
        ending = train(directory, resume=NEWEST)
        assert "prepared with: model.safetensors has the SHA-256" in ending.reason
        # Its time of change does not tell; who asks for it has all read again.
        os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
        ending = train(directory, resume=NEWEST, verify=True)
        assert "prepared with: model.safetensors has the SHA-256" in ending.reason
    finally:
        weights.write_bytes(whole)
        os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert train(directory, resume=NEWEST).outcome == "completed"


def test_what_is_done_before_the_first_step_is_told_and_can_be_stopped(tmp_path: Path) -> None:
    stop, output, log = StopRequest(), io.StringIO(), io.StringIO()
    lock = RunLock(tmp_path)
    preparing = Preparing(lock, stop, log, output)
    progress = preparing.phase("Reading the base model")
    told = read_preparation(tmp_path)
    assert told is not None and (told.phase, told.done) == ("Reading the base model", None)
    progress(4_000_000_000, 16_000_000_000)
    preparing.phase("Loading the corpora and the model")
    told = read_preparation(tmp_path)
    assert told is not None and told.phase == "Loading the corpora and the model"
    (tmp_path / PREPARATION).write_text(json.dumps({"phase": 3}))
    assert read_preparation(tmp_path) is None, "what cannot be read is as good as nothing"
    preparing.close()
    assert read_preparation(tmp_path) is None
    stop.request("Stopped on request.")
    with pytest.raises(StoppedBeforeTrainingError):
        progress(8_000_000_000, 16_000_000_000)
    (tmp_path / "trainer.lock").unlink()
    with pytest.raises(RunDirectoryGoneError):
        preparing.phase("Reading the base model")
    assert log.getvalue().startswith("Reading the base model…\n")


def test_a_run_that_is_stopped_while_its_base_is_read_ends_as_stopped(workspace: Workspace) -> None:
    directory = short(workspace, "stopped-early")
    stop = StopRequest()
    stop.request("Stopped on request.")
    ending = ContinuedPretraining(directory, stop).run()
    assert ending == Ending("stopped", "Stopped on request.")
    assert not (directory / PREPARATION).exists()
    assert train(directory).outcome == "completed"
