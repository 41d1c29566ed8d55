"""A job's program that does what its request says; run as a script by test_jobs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from cptstudio import job_programs
from cptstudio.errors import Finding, UserError
from cptstudio.job_programs import Answer


def work(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    if "note_pid" in request:
        Path(request["note_pid"]).write_text(str(os.getpid()))
    for number in range(request.get("steps", 0)):
        answer.progress(
            phase="counting", done=number + 1, total=request["steps"], unit="rows", final=True
        )
        time.sleep(request.get("pause", 0.0))
    ending = request.get("ending", "result")
    if ending == "sleep":
        answer.progress(phase="sleeping", final=True)
        threading.Event().wait()
    if ending == "stubborn":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        answer.progress(phase="stubborn", final=True)
        while True:
            time.sleep(1)
    if ending == "deaf":
        # As in a library's callback, where Python raises nothing.
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        except KeyboardInterrupt:
            pass
        answer.progress(phase="goes on", final=True)
    if ending == "c code":
        answer.progress(phase="computing", final=True)
        re.fullmatch("(a+)+", "a" * 60 + "b")
    if ending == "family":
        # One by each way to have a child: executed, and forked.
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        if os.fork() == 0:
            re.fullmatch("(a+)+", "a" * 60 + "b")
        answer.progress(phase="family", final=True)
        if request.get("then") == "exit":
            os._exit(3)
        re.fullmatch("(a+)+", "a" * 60 + "b")
    if ending == "eats":
        eaten = []
        while True:
            eaten.append(b"x" * (8 << 20))
            time.sleep(0.01)
    if ending == "user error":
        raise UserError(
            "The documents are missing.", ["one", Finding("two", "data.field", missing=True)]
        )
    if ending == "fault":
        raise ZeroDivisionError("our own mistake")
    if ending == "exit":
        print("the last words", file=sys.stderr, flush=True)
        os._exit(3)
    if ending == "silent":
        os._exit(0)
    if ending == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if ending == "crash":
        os.kill(os.getpid(), signal.SIGABRT)
    if ending == "memory":
        raise MemoryError
    if ending == "noise":
        os.write(1, b"a library prints this\n")
        answer.line(unknown=1)
        answer.line(progress={"phase": "noise", "done": "many", "total": -1, "unit": "parsecs"})
        answer.line(progress={"phase": "x" * (3 << 20)})
    return {"got": request.get("value")}


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
