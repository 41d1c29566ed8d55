"""The inner side of `child_process`: a program that ends when the process that started it is gone.

    python -P -m cptstudio.child_guard LIFELINE -m MODULE [ARGUMENT...]
    python -P -m cptstudio.child_guard LIFELINE PATH [ARGUMENT...]

LIFELINE is the reading end of a pipe whose writing end only the parent holds, so it ends with the
parent, however that ends. Before anything else is imported, a guard is forked that waits for this
end, and then kills the program's group. A thread in the program could not do it: while the
program computes inside C code that holds the interpreter's lock, no thread of it runs. Linux's
PR_SET_PDEATHSIG could not either: it fires when the *thread* ends that started the program, and
macOS has nothing like it.

Standard library only. On macOS a process must not fork once it has used the system's frameworks,
so the fork comes first.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys

GRACE_SECONDS = 1.5
"""Between the parent's end and the kill. Who watches standard input ends by itself before."""

_DESCRIPTORS = 1024  # More than a process has open that has only just begun.
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def guard(lifeline: int) -> None:
    """Fork the guard of this process.

    The guard ends with this process, too. Where this process leads its group, the guard takes
    what is left of the group with it.

    Args:
        lifeline: the pipe; it is closed here.
    """
    ended, alive = os.pipe()
    guarded, group = os.getpid(), os.getpgrp()
    if os.fork() == 0:
        try:
            for number in _IGNORED:
                signal.signal(number, signal.SIG_IGN)
            # A pipe that the guard held open would never end for its readers.
            for descriptor in set(range(_DESCRIPTORS)) - {lifeline, ended}:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
            os.chdir("/")
            _wait(lifeline, ended)
        finally:
            if group == guarded:
                os.killpg(group, signal.SIGKILL)
            elif os.getppid() == guarded:
                os.kill(guarded, signal.SIGKILL)
            os._exit(0)
    os.close(lifeline)
    os.close(ended)
    held = [alive]

    def let_go() -> None:
        # Once: in a fork of a fork, the number may be that of something else.
        if held:
            os.close(held.pop())

    # Programs that this one starts do not inherit it; a fork of it would.
    os.register_at_fork(after_in_child=let_go)


def _wait(lifeline: int, ended: int) -> None:
    """Wait for the program's end, or for some time longer than the parent's."""
    either, own = select.poll(), select.poll()
    for descriptor in (lifeline, ended):
        either.register(descriptor, select.POLLIN)
    own.register(ended, select.POLLIN)
    if any(descriptor == ended for descriptor, _ in either.poll()):
        return
    own.poll(GRACE_SECONDS * 1000)


def main() -> None:
    """Fork the guard, and become the program."""
    lifeline, *program = sys.argv[1:]
    guard(int(lifeline))
    # Asked to end before the program knows how to, it ends without a trace.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    import runpy

    if program[0] == "-m":
        sys.argv[:] = program[1:]
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = program
        runpy.run_path(program[0], run_name="__main__")


if __name__ == "__main__":
    main()
