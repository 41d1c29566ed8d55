"""Starts the ranks of a run with `mlx.launch`, watches them, and says how the run ended.

    python -P -m cptstudio.machines.launch_program RUN_DIRECTORY --ranks N [ARGUMENT...]

It stands where the trainer of one machine stands: under a run's keeper, or in the terminal. It is
stopped by the same signals, and ends with the same exit status. ARGUMENTs are the trainer's.

Whatever is lost (a rank, its machine, the network, `mlx.launch`), the ranks end within 30 seconds
and the run says which one it was. Ranks whose neighbor is gone end by themselves, and rank 0 says
so; only here it is known why, so that the last word is written here. If this process is gone, the
guard of `mlx.launch` and the keepers of the ranks end them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cptstudio import child_guard, terminal
from cptstudio.errors import UserError
from cptstudio.json_lines import read_json_lines_backwards
from cptstudio.machines.rank_messages import BEAT_SECONDS, message_in
from cptstudio.machines.watch import RanksWatch
from cptstudio.run_files import (
    EVENTS,
    EXIT_CODES,
    LOG,
    RESULT,
    RunResult,
    checkpoints_of,
    read_config,
    read_result,
    write_record,
)
from cptstudio.run_rows import best_checkpoint, last_session, read_newest_first, whole
from cptstudio.runs.launching import TRAINER_MODULE
from cptstudio.training.console_progress import PASSED_ON_VARIABLE, is_output
from cptstudio.training.run_lock import RunDirectoryGoneError, RunLock
from cptstudio.training.stop_requests import BY_YOU, StopRequest, hold_signals
from cptstudio.training.training_metrics_logger import TrainingMetricsLogger

_LOOK_SECONDS: Final = 0.2
_GRACE_SECONDS: Final = 6.0
"""In which the others notice by themselves that one is lost, and rank 0 finishes what it writes."""
_END_SECONDS: Final = 3.0
"""In which keepers do what they are told."""
_LAUNCH_MODULE: Final = "cptstudio.training.mlx_launch"
_KEEPER_MODULE: Final = "cptstudio.machines.rank_keeper"


class Launcher:
    """The ranks of one session of a run, from their start to their end."""

    def __init__(
        self, run_directory: Path, ranks: int, backend: str, arguments: Sequence[str]
    ) -> None:
        self._run_directory = run_directory
        self._watch = RanksWatch(ranks, time.monotonic())
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._folder = tempfile.TemporaryDirectory(prefix="cpt-studio-ranks-")
        keeper = ["-P", "-m", _KEEPER_MODULE, TRAINER_MODULE, str(run_directory)]
        keeper += [*arguments, "--ranks", str(ranks), "--backend", backend]
        launch = ["-n", str(ranks), "--backend", backend, "--starting-port", str(_ports(ranks))]
        lifeline, self._holds = os.pipe()
        command = [
            sys.executable,
            "-P",
            "-m",
            child_guard.__name__,
            str(lifeline),
            "-m",
            _LAUNCH_MODULE,
        ]
        self._process = subprocess.Popen(
            [*command, *launch, "--", sys.executable, *keeper],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(lifeline,),
            # What it makes there it never deletes.
            env={**os.environ, **_told_of_log(run_directory), "TMPDIR": self._folder.name},
            # Ctrl-C is answered here; its guard ends the group.
            start_new_session=True,
        )
        os.close(lifeline)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def run(self, stop: StopRequest) -> str | None:
        """Stay until all ranks have ended; returns what was lost, or None."""
        next_ping = 0.0
        told = False
        while self._take_lines():
            now = time.monotonic()
            if stop and not told:
                told = True
                self._say("stop by you" if stop.reason == BY_YOU else "stop on request")
            if now >= next_ping:
                next_ping = now + BEAT_SECONDS
                self._say("ping")
            self._watch.look(now)
            if self._watch.lost is not None:
                self._end_all()
                break
        self._finish()
        return self._watch.at_end()

    def _take_lines(self) -> bool:
        """Take in what was printed, waiting for some; whether more may come."""
        with contextlib.suppress(queue.Empty):
            line = self._lines.get(timeout=_LOOK_SECONDS)
            while True:
                if line is None:
                    return False
                self._take(line)
                line = self._lines.get_nowait()
        return True

    def _take(self, line: bytes) -> None:
        message = message_in(line)
        if message is None:
            terminal.write(sys.stderr, terminal.visible(line.decode("utf-8", "replace")) + "\n")
            return
        self._watch.take(message, time.monotonic())
        text = message.get("text")
        if isinstance(text, str):
            terminal.write(sys.stdout, text)

    def _end_all(self) -> None:
        """Let the ranks end by themselves for a moment, and then end them."""
        for seconds, word in ((_GRACE_SECONDS, "ping"), (_END_SECONDS, "end")):
            deadline = time.monotonic() + seconds
            self._say(word)
            while time.monotonic() < deadline:
                if not self._take_lines() or self._watch.over:
                    return

    def _finish(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._holds)
        self._folder.cleanup()

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(word.encode() + b"\n")
            self._process.stdin.flush()


def _told_of_log(run_directory: Path) -> dict[str, str]:
    """What tells rank 0 not to write into the log what is printed into it from here."""
    log = run_directory / LOG
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return {}
    try:
        return {PASSED_ON_VARIABLE: str(log)} if is_output(descriptor) else {}
    finally:
        os.close(descriptor)


def _ports(count: int) -> int:
    """Return the first of so many free ports of this machine that follow each other."""
    for first in range(42000 + os.getpid() % 1000 * 16, 60000, count):
        with contextlib.ExitStack() as opened:
            try:
                for port in range(first, first + count):
                    taken = opened.enter_context(socket.socket())
                    taken.bind(("127.0.0.1", port))
            except OSError:
                continue
        return first
    raise UserError(f"This machine has no {count} free ports that follow each other.")


def record_loss(run_directory: Path, lost: str, before: str | None) -> str:
    """Write how a run ended that lost a rank; returns the sentence.

    Args:
        before: of result.json, as `_mark` gives it, before the ranks were started.
    """
    checkpoints = checkpoints_of(run_directory)
    newest = checkpoints[-1].name if checkpoints else None
    result = read_result(run_directory) if _mark(run_directory) != before else None
    if result is not None and result.outcome == "completed":
        return result.reason
    step = next((int(row["step"]) for row in read_newest_first(run_directory)), 0)
    kept = f"The last checkpoint is {newest}." if newest else "There is no checkpoint yet."
    reason = f"{lost} {kept} To go on with the others, resume it with as many ranks."
    best = best_checkpoint(checkpoints)
    session = last_session(run_directory) or 0
    lock = RunLock(run_directory)
    try:
        write_record(
            run_directory / RESULT,
            RunResult(
                outcome="failed",
                reason=reason,
                step=result.step if result is not None else step,
                planned_steps=_planned_steps(run_directory),
                checkpoint=newest,
                best_checkpoint=best.name if best else None,
                skipped_steps=result.skipped_steps if result is not None else 0,
                session=session,
                ended=time.time(),
            ),
        )
        logger = TrainingMetricsLogger(run_directory, session)
        logger.event("ended", step, reason, outcome="failed")
        logger.flush_to_disk()
        logger.close()
    finally:
        lock.close()
    return reason


def _planned_steps(run_directory: Path) -> int:
    """What the session that ended said when it began."""
    events = read_json_lines_backwards(run_directory / EVENTS)
    told = (whole(event.get("planned_steps")) for event in events)
    return next((steps for steps in told if steps is not None), 0)


def _mark(run_directory: Path) -> str | None:
    try:
        found = (run_directory / RESULT).stat(follow_symlinks=False)
    except OSError:
        return None
    return f"{found.st_ino} {found.st_mtime_ns}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m cptstudio.machines.launch_program", allow_abbrev=False
    )
    parser.add_argument("run_directory", type=Path)
    parser.add_argument("--ranks", type=int, required=True)
    options, rest = parser.parse_known_args(arguments)
    terminal.prepare()
    stop = StopRequest()
    stop.install()
    directory = options.run_directory.absolute()
    try:
        read_config(directory)
        before = _mark(directory)
        lost = Launcher(directory, options.ranks, "ring", rest).run(stop)
        if not directory.is_dir():
            raise RunDirectoryGoneError
        if lost is not None:
            reason = record_loss(directory, lost, before)
            terminal.write(sys.stderr, f"Failed: {terminal.visible(reason)}\n")
        result = read_result(directory) if _mark(directory) != before else None
    except UserError as error:
        print(terminal.visible(str(error)), file=sys.stderr)
        return EXIT_CODES["failed"]
    except RunDirectoryGoneError:
        print(f"The run directory {directory} was deleted.", file=sys.stderr)
        return EXIT_CODES["failed"]
    return EXIT_CODES["failed" if result is None else result.outcome]


if __name__ == "__main__":
    hold_signals()
    sys.exit(main())
