"""Run as a program by test_kills: builds a corpus and kills itself at a given traced call."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from cptstudio.corpus.build import build_corpus
from cptstudio.light_imports import leave_out_torch

_STEPS = ("os.rename", "open", "os.mkdir", "os.remove", "shutil.rmtree", "os.rmdir")


def main(folder: str, sources: str, model: str, step: int) -> None:
    seen = 0
    leave_out_torch()

    def watch(event: str, arguments: Any) -> None:
        nonlocal seen
        if event in _STEPS and arguments and str(arguments[0]).startswith(folder):
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    build_corpus(Path(folder), [Path(sources)], model_path=model)
    print(seen)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
