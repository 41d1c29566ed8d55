"""Starts a keeper for one attempt of a run, so that no moment is left without a lock."""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.run_files import RunConfig
from cptstudio.runs import locks, records
from cptstudio.runs.locks import Lock
from cptstudio.runs.records import ExitRecord, KeeperRecord, Spec
from cptstudio.session_settings import SessionSettings, for_session, smaller, told_last

TRAINER_MODULE = "cptstudio.training.continued_pretraining"
RANKS_MODULE = "cptstudio.machines.launch_program"
MOST_RANKS = 64
KEEPER_MODULE = "cptstudio.runs.keeper"
NEWEST = ""
_START_SECONDS = 30.0
_TRIES = 100
_logger = logging.getLogger(__name__)


def private_folder(private: Path, run: str) -> Path:
    """Return the folder of what is remembered of a run besides its own directory."""
    return private / "runs" / run


def take_run(folder: Path, run: str) -> Lock:
    """Take a run's lock, or say that it is alive.

    Raises:
        UserError: a trainer or keeper of this run holds it, or something else has the name of
            its private folder.
    """
    lock = None
    for _ in range(_TRIES):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = locks.take(folder / records.LOCK)
            break
        except FileNotFoundError:
            # Another process has just cleared what was remembered of a run that is not there.
            continue
        except FileExistsError:
            # So it has, between two looks of mkdir.
            if os.path.lexists(folder) and not folder.is_dir():
                raise UserError(f"{folder} is not a folder. Remove it.") from None
    if lock is None:
        raise UserError(f"The run {run} is still training. Wait until it ends, or stop it first.")
    return lock


@dataclass(frozen=True)
class Beginning:
    """How an attempt begins.

    Attributes:
        resume: None to begin; a checkpoint's name; NEWEST also where there is none yet.
        given: what the session is told to do otherwise than the run.
        ranks: processes that train it together.
    """

    resume: str | None = None
    given: SessionSettings = field(default_factory=SessionSettings)
    ranks: int = 1


def trainer_command(run_directory: Path, beginning: Beginning) -> list[str]:
    """Argument list of the training program. -P keeps the current folder out of its modules."""
    command = [sys.executable, "-P", "-m", TRAINER_MODULE, str(run_directory)]
    if beginning.ranks > 1:
        command[3:] = [RANKS_MODULE, str(run_directory), "--ranks", str(beginning.ranks)]
    resume = beginning.resume
    if resume is not None:
        command += ["--resume"] if resume == NEWEST else ["--resume", resume]
    return command + beginning.given.flags()


def _retries(run_directory: Path, config: RunConfig, beginning: Beginning) -> list[list[str]]:
    """The commands that were agreed for an end for want of memory."""
    if not config.settings.compute.retry_with_less:
        return []
    session: SessionSettings | None = for_session(config, told_last(run_directory), beginning.given)
    commands = []
    while session is not None and (session := smaller(config, session)) is not None:
        again = Beginning(NEWEST, session, beginning.ranks)
        commands.append([*trainer_command(run_directory, again), "--agreed"])
    return commands


def launch(
    lock: Lock,
    folder: Path,
    run_directory: Path,
    config: RunConfig,
    beginning: Beginning,
    prevent_sleep: bool,
) -> subprocess.Popen[bytes]:
    """Write down the attempt, hand the held lock to a new keeper, and wait for its record.

    The lock's copy of this process is closed in any case.

    Args:
        lock: the run's own; see `take_run`.

    Raises:
        UserError: the keeper could not start the trainer.
    """
    with lock:
        durable.sweep_staging(folder)
        spec = Spec(
            attempt=secrets.token_hex(8),
            run=config.name,
            run_directory=str(run_directory),
            run_created=config.created,
            command=trainer_command(run_directory, beginning),
            resume=beginning.resume,
            prevent_sleep=prevent_sleep,
            requested=time.time(),
            retries=_retries(run_directory, config, beginning),
        )
        records.write(folder / records.SPEC, spec)
        keeper = start_holder(KEEPER_MODULE, folder, lock, folder / records.KEEPER_LOG)
    _await_start(keeper, folder, spec)
    _logger.info("run %s: attempt %s is kept by process %d", spec.run, spec.attempt, keeper.pid)
    return keeper


def start_holder(module: str, folder: Path, lock: Lock, log_file: Path) -> subprocess.Popen[bytes]:
    """Start a program that holds a lock with this process, outlives it, and writes to a log.

    Args:
        module: is given the folder and the lock's descriptor.

    Raises:
        UnusableFileError: something other than a regular file has the log's name.
        OSError: the log cannot be opened.
    """
    log = durable.open_descriptor(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(folder), str(lock.descriptor)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock.descriptor,),
            start_new_session=True,
            cwd="/",
        )
    finally:
        os.close(log)


def _await_start(keeper: subprocess.Popen[bytes], folder: Path, spec: Spec) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        kept = records.read(folder / records.KEEPER, KeeperRecord)
        if kept is not None and kept.attempt == spec.attempt:
            return
        if keeper.poll() is not None:
            ended = records.read(folder / records.EXIT, ExitRecord)
            if ended is not None and ended.attempt == spec.attempt:
                return
            raise UserError(
                f"Could not start the run {spec.run}: its keeper ended with "
                f"{keeper.returncode}. See {folder / records.KEEPER_LOG}."
            )
        time.sleep(0.005)
    raise UserError(
        f"The run {spec.run} did not start within {_START_SECONDS:.0f} seconds. Its "
        f"keeper is process {keeper.pid}; see {folder / records.KEEPER_LOG}."
    )
