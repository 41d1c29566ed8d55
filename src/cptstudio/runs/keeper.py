"""The keeper: one small process per run that starts the trainer and outlives the server.

It is the trainer's parent for life, so the trainer's pid cannot be given to another process
before the keeper has seen its end: the keeper's signals cannot hit a stranger. It delivers what
control.json says ("stop" once as SIGTERM, "kill" as SIGKILL to the trainer's group), and records
how the trainer ended in exit.json. It asks for nothing and decides nothing: where a trainer ends
for want of memory, it starts the next of the commands that spec.json has for that, if the user
agreed to any before the start.

    python -P -m cptstudio.runs.keeper FOLDER LOCK_DESCRIPTOR

FOLDER holds spec.json; LOCK_DESCRIPTOR is the run's held lock, which the trainer inherits.

Standard library only (on Linux), so that it starts quickly and stays small.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import select
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from cptstudio import device_failures, durable, macos, memory_evidence
from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError
from cptstudio.runs import locks, records, sleep_prevention
from cptstudio.runs.identity import identify
from cptstudio.runs.records import Control, ExitRecord, KeeperRecord, Spec
from cptstudio.workspace import check_format

_POLL_SECONDS = 0.1
_RESERVED_BYTES = 16 * 1024
_TRAIN_LOG = "train.log"  # run_files.LOG and RESULT, which are not imported: pydantic is slow.
_RESULT = "result.json"
_ATTEMPT_VARIABLE = "CPT_STUDIO_ATTEMPT"  # run_phases.ATTEMPT_VARIABLE.


class ReservedExitRecord:
    """Space for exit.json that is taken at the start, when the disk is not yet full.

    The blocks are written and flushed now; at the end they are written over and the file gets
    its name, which needs no further space on most file systems.
    """

    def __init__(self, folder: Path) -> None:
        self._target = folder / records.EXIT
        self._staged = durable.staging_path(self._target)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        self._descriptor = os.open(self._staged, flags, 0o600)
        os.write(self._descriptor, b" " * _RESERVED_BYTES)
        durable.flush_to_disk(self._descriptor)

    def commit(self, record: ExitRecord) -> None:
        """Make the record durable under its final name."""
        data = records.to_json(record)
        os.pwrite(self._descriptor, data, 0)
        os.ftruncate(self._descriptor, len(data))
        durable.flush_to_disk(self._descriptor)
        os.replace(self._staged, self._target)
        durable.flush_directory(self._target.parent)


class Trainer:
    """The child process, from the fork to its recorded end."""

    def __init__(self, spec: Spec, inherited: tuple[int, ...]) -> None:
        self.pid, self._gate, self._failure = _fork_behind_gate(spec, inherited)
        self._run_directory = spec.run_directory
        self._log_from = _size(Path(spec.run_directory) / _TRAIN_LOG)
        self.started = time.time()
        self._started_monotonic = time.monotonic()
        self._memory_before = memory_evidence.kill_counts()
        self._watch = self._end_watch()

    def release(self) -> None:
        """Let it execute its program."""
        os.write(self._gate, b"g")
        os.close(self._gate)

    def wait(self, seconds: float) -> bool:
        """Wait for its end, for some time; returns whether it has ended. It is not reaped."""
        if self._watch is not None:
            return bool(self._watch.poll(seconds * 1000))
        time.sleep(seconds)
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, flags) is not None

    def signal(self, number: signal.Signals, group: bool = False) -> None:
        """Send it, or its group, a signal. Safe because it is not reaped yet."""
        try:
            if group:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # macOS answers EPERM for a group of nothing but zombies.

    def reap(self, attempt: str, requested: str | None) -> ExitRecord:
        """End what is left of its group, collect its exit status, and describe its end."""
        self.signal(signal.SIGKILL, group=True)
        _, status, usage = os.wait4(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        reason = os.read(self._failure, 4096).decode("utf-8", "replace")
        kills = memory_evidence.rises(self._memory_before, memory_evidence.kill_counts())
        cause = None
        if code < 0 and requested is None:
            log = Path(self._run_directory) / _TRAIN_LOG
            sign = device_failures.sign_of_signal(-code, kills, log, self._log_from)
            if sign is not None:
                reason, cause = sign.says, sign.cause
        if not os.path.isdir(self._run_directory):
            reason, cause = f"the run directory {self._run_directory} was deleted", None
        return ExitRecord(
            attempt=attempt,
            code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            reason=reason,
            requested=requested,
            started=self.started,
            ended=time.time(),
            duration=time.monotonic() - self._started_monotonic,
            usage={
                "user_seconds": usage.ru_utime,
                "system_seconds": usage.ru_stime,
                "peak_resident_bytes": macos.resident_bytes(usage.ru_maxrss),
                "major_faults": usage.ru_majflt,
            },
            memory={"oom_kills": kills},
            cause=cause,
        )

    def _end_watch(self) -> Any:
        if macos.HERE:
            return macos.EndWatch(self.pid)
        try:
            descriptor = os.pidfd_open(self.pid)
        except (OSError, AttributeError):
            return None
        watch = select.poll()
        watch.register(descriptor, select.POLLIN)
        return watch


def _size(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_size
    except OSError:
        return 0


def _fork_behind_gate(spec: Spec, inherited: tuple[int, ...]) -> tuple[int, int, int]:
    """Fork the trainer; it waits at a pipe until its identity is on disk.

    A keeper killed before `release` closes the pipe, and the child ends without having run
    the program: there is never a trainer that nobody wrote down.

    Returns:
        (pid, writing end of the gate, reading end of the pipe that says why exec failed)
    """
    gate_out, gate_in = os.pipe()
    failure_out, failure_in = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(gate_in)
        os.close(failure_out)
        _become_trainer(spec, inherited, gate_out, failure_in)
    os.close(gate_out)
    os.close(failure_in)
    os.setpgid(pid, pid)
    return pid, gate_in, failure_out


def _become_trainer(spec: Spec, inherited: tuple[int, ...], gate: int, failure: int) -> NoReturn:
    try:
        if os.read(gate, 1) != b"g":
            os._exit(127)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_DFL)
        # The trainer unblocks it when its handler is installed: a stop that comes before is
        # kept by the kernel and not lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        log = durable.open_descriptor(
            Path(spec.run_directory) / _TRAIN_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND
        )
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        for descriptor in inherited:
            os.set_inheritable(descriptor, True)
        os.environ[_ATTEMPT_VARIABLE] = spec.attempt
        os.execv(spec.command[0], spec.command)
    except BaseException as error:
        os.write(failure, f"Could not start the trainer: {error}".encode()[:4000])
    finally:
        os._exit(127)


_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class ControlReader:
    """Reads control.json when it has changed."""

    def __init__(self, folder: Path, attempt: str) -> None:
        self._path = folder / records.CONTROL
        self._attempt = attempt
        self._seen: str | None = None

    def new_request(self) -> str | None:
        """Either "stop" or "kill" when a request for this attempt has come, else None."""
        mark = records.file_mark(self._path)
        if mark is None or mark == self._seen:
            return None
        self._seen = mark
        try:
            control = records.read(self._path, Control)
        except UnusableFileError as error:
            print(error, file=sys.stderr, flush=True)
            return None
        if control is None or control.attempt != self._attempt:
            return None
        return control.request


def keep(folder: Path, lock_descriptor: int) -> None:
    """Start the trainer that spec.json describes, stay until it ends, and record its end.

    The same for each further attempt that the spec has a command for, while such is called for.
    """
    spec = records.read(folder / records.SPEC, Spec)
    if spec is None:
        raise FileNotFoundError(folder / records.SPEC)
    following: Spec | None = spec
    while following is not None:
        following = _keep_attempt(folder, lock_descriptor, following)


def _keep_attempt(folder: Path, lock_descriptor: int, spec: Spec) -> Spec | None:
    """Keep one attempt; returns the one that follows it, if one does."""
    reserved = ReservedExitRecord(folder)
    # Open while keeper or trainer live: what keeps the machine awake reads the other end.
    awake_out, awake_in = os.pipe()
    trainer = Trainer(spec, (lock_descriptor, awake_in))
    me, child = identify(os.getpid()), identify(trainer.pid)
    assert me is not None and child is not None
    mark = records.file_mark(Path(spec.run_directory) / _RESULT)
    records.write(
        folder / records.KEEPER, KeeperRecord(spec.attempt, me, child, trainer.started, mark)
    )
    trainer.release()
    if spec.prevent_sleep:
        command = sleep_prevention.sleep_preventer(trainer.pid, spec.run)
        awake = sleep_prevention.start(command, awake_out) if command else None
        print("sleep is prevented" if awake else "sleep cannot be prevented here", file=sys.stderr)
    os.close(awake_out)

    control = ControlReader(folder, spec.attempt)
    requested: str | None = None
    while not trainer.wait(_POLL_SECONDS):
        request = control.new_request()
        if request == "kill":
            requested = "kill"
            trainer.signal(signal.SIGKILL, group=True)
        elif request == "stop" and requested is None:
            requested = "stop"
            trainer.signal(signal.SIGTERM)
    record = trainer.reap(spec.attempt, requested)
    # A request that came as it ended was not delivered; what it wants has happened.
    following = None if control.new_request() else _following(spec, record, mark)
    try:
        if following is not None:
            # Before the end is recorded: with the lock held and this, the run is being started.
            records.write(folder / records.SPEC, following)
        reserved.commit(record)
    except OSError as error:
        # Without a record the end is unknown ("lost"); the record's folder is not made again.
        print(f"could not record {record}: {error}", file=sys.stderr)
        following = None
    os.close(awake_in)
    if following is not None and control.new_request() is not None:
        # Somebody wants it to end, and it has.
        return None
    return following


def _following(spec: Spec, record: ExitRecord, former_result: str | None) -> Spec | None:
    """What was agreed for this end, if it is such an end and anything is left of it."""
    if not spec.retries or record.requested is not None:
        return None
    cause = record.cause
    if record.code is not None and os.path.isdir(spec.run_directory):
        path = Path(spec.run_directory) / _RESULT
        try:
            said = durable.read_json(path) if records.file_mark(path) != former_result else None
        except (OSError, UnusableFileError):
            said = None
        cause = said.get("cause") if isinstance(said, dict) else None
    if cause is None:
        return None
    print(f"{spec.run}: ended by {cause}; restarting as agreed", file=sys.stderr, flush=True)
    return replace(
        spec,
        attempt=secrets.token_hex(8),
        command=spec.retries[0],
        retries=spec.retries[1:],
        resume="",
        requested=time.time(),
    )


def main(arguments: list[str]) -> int:
    """Run the keeper; returns its exit status."""
    folder, lock_descriptor = Path(arguments[0]), int(arguments[1])
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    try:
        # <workspace>/.cpt-studio/runs/<run>
        check_format(folder.parent.parent.parent)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    # Inherited by this process on purpose, and by nothing but the trainer from here on.
    fcntl.fcntl(lock_descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    own_lock = locks.take(folder / records.KEEPER_LOCK)
    if own_lock is None:
        print("Another keeper is already running.", file=sys.stderr)
        return 1
    keep(folder, lock_descriptor)
    # In this order: a run whose lock is held and whose keeper is gone counts as orphaned.
    os.close(lock_descriptor)
    own_lock.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
