"""Run as a program by test_kills: builds a corpus in processes that kill themselves.

Each line of the input is the number of the traced call at which a build is killed; -1 lets it
end. The answers are lines too: "calls N" where a build ended, and always "status N".
Processes are forked from one that has imported everything and built nothing, for their speed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.languages import LanguageIdentifier
from cptstudio.light_imports import leave_out_torch

_STEPS = ("os.rename", "open", "os.mkdir", "os.remove", "shutil.rmtree", "os.rmdir")


def build(folder: str, sources: str, model: str, step: int) -> int:
    """Build, and die at the traced call `step`; returns how many there were."""
    seen = 0

    def watch(event: str, arguments: Any) -> None:
        nonlocal seen
        if event in _STEPS and arguments and str(arguments[0]).startswith(folder):
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    build_corpus(Path(folder), [Path(sources)], model_path=model)
    return seen


def main(folder: str, sources: str, model: str) -> None:
    leave_out_torch()
    from transformers import AutoTokenizer  # noqa: F401

    # Loaded here for all processes to come; a tokenizer is not, it starts threads.
    LanguageIdentifier()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            print("calls", build(folder, sources, model, int(line)), flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print("status", os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
