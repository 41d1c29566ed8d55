"""What transformers says with an exported folder loaded, in an environment that the user named.

It is not this program's own environment: what is asked is whether the export works where it is
taken to. The Python is started as its user would start it, with the user's own packages, and never
asks the hub.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from cptstudio.child_limits import QUICK_SECONDS, Limits, for_a_check
from cptstudio.child_usage import Clock, Taken
from cptstudio.durable import MEBIBYTE
from cptstudio.durations import duration
from cptstudio.errors import UserError
from cptstudio.exports.comparison import Answers, Reference
from cptstudio.exports.converter_program import quiet
from cptstudio.job_programs import TellsProgress, counted

_ASK: Final = Path(__file__).parent / "in_transformers" / "ask.py"
_LOOK_SECONDS: Final = 0.5
_ANSWER_LIMIT: Final = 256 * MEBIBYTE
FIELD: Final = "transformers"


@dataclass(frozen=True)
class OtherPython:
    """A Python that has transformers.

    Attributes:
        program: its path, as it was named: of a virtual environment, not what a link leads to.
        versions: of transformers and torch.
    """

    program: Path
    versions: dict[str, str]


def look_at(program: Path) -> OtherPython:
    """Return what a Python has.

    Args:
        program: its path; a folder is taken as a virtual environment.

    Raises:
        UserError: it is no Python that can be started, or lacks transformers or PyTorch.
    """
    given = program.expanduser()
    if given.is_dir():
        given = given / "bin" / "python"
    if not given.is_file():
        raise UserError.at(FIELD, f"There is no Python at {given}.")
    told = f"{given} is no Python that can be started"
    try:
        done = subprocess.run(
            _command(given, "--versions"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=4 * QUICK_SECONDS,
            env=quiet(),
        )
        found = json.loads(done.stdout)
        versions = {str(name): version for name, version in found.items()}
    except (OSError, ValueError, AttributeError):
        raise UserError.at(FIELD, f"{told}.") from None
    except subprocess.TimeoutExpired:
        raise UserError.at(FIELD, f"{told}: it did not answer.") from None
    missing = [name for name in (FIELD, "torch") if not versions.get(name)]
    if missing:
        raise UserError.at(
            FIELD,
            f"{given} does not have {' and '.join(missing)}. Install them there with "
            f"`{given} -m pip install {' '.join(missing)}`, or name another Python.",
        )
    return OtherPython(given.absolute(), versions)


def ask_transformers(
    python: OtherPython,
    folder: Path,
    reference: Reference,
    answer: TellsProgress,
    limits: Limits | None = None,
) -> Answers:
    """Return what transformers says to a reference's questions.

    Args:
        limits: of its time without a word, and of its memory; by default those of a check.

    Raises:
        UserError: it cannot load the folder, or reached a limit.
    """
    by = f"transformers {python.versions[FIELD]}"
    answer.progress(phase=f"loading the export with {by}")
    counts = [len(one.greedy) for one in reference.prompts]
    questions = {
        "prompts": [one.tokens for one in reference.prompts],
        "counts": counts,
        "windows": [one.tokens for one in reference.windows],
    }
    written = sum(counts)
    total = written + sum(len(one.log_probs) for one in reference.windows)
    tell = counted(answer, f"comparing by {by}", "tokens")
    said: dict[str, Any] = {}
    for said in _answers(python, folder, questions, limits or for_a_check(), by):
        if "done" in said:
            tell(int(said["done"]), total)
    if "error" in said:
        raise UserError(f"{by} cannot use what was exported: {said['error']}")
    seconds = float(said["seconds"])
    return Answers(
        by=by,
        computed="float32 on the CPU",
        greedy=said["greedy"],
        log_probs=said["log_probs"],
        best=said["best"],
        tokens_per_second=written / seconds if seconds else None,
    )


def _command(program: Path, argument: str) -> Sequence[str]:
    # Without our own PYTHON variables; the user's packages stay in sight.
    return [str(program), "-E", "-B", str(_ASK), argument]


def _answers(
    python: OtherPython, folder: Path, questions: dict[str, Any], limits: Limits, by: str
) -> Iterator[dict[str, Any]]:
    """Yield what it says; the last has its answer or its error."""
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as errors:
        asked.write(json.dumps(questions).encode())
        asked.seek(0)
        process = subprocess.Popen(
            _command(python.program, str(folder)),
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**quiet(), "CUDA_VISIBLE_DEVICES": ""},
        )
        assert process.stdout is not None
        last: dict[str, Any] = {}
        try:
            for line in _lines(process, process.stdout, limits, by):
                last = json.loads(line)
                yield last
        except ValueError:
            raise UserError(f"{by} gave an answer that cannot be read.") from None
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        if "error" not in last and "greedy" not in last:
            raise UserError(f"{by} ended without an answer. {_last_words(errors)}".strip())


def _lines(
    process: subprocess.Popen[bytes], output: IO[bytes], limits: Limits, by: str
) -> Iterator[bytes]:
    """Yield whole lines until it closes its output; hold it to its limits meanwhile."""
    clock, rest, spoken = Clock(), b"", time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while len(rest) <= _ANSWER_LIMIT:
            if selector.select(_LOOK_SECONDS):
                part = os.read(output.fileno(), MEBIBYTE)
                if not part:
                    return
                *whole, rest = (rest + part).split(b"\n")
                spoken = time.monotonic()
                yield from whole
            taken = Taken.of(process.pid)
            if limits.seconds is not None and clock.counted(spoken, taken) > limits.seconds:
                raise UserError(
                    f"{by} said nothing for {duration(limits.seconds)}, so it was ended. "
                    f"{limits.when_slow}"
                )
            if limits.memory is not None and taken.memory > limits.memory:
                raise UserError(
                    f"{by} used {taken.memory / 1e9:.1f} GB of memory. The limit on this machine "
                    f"is {limits.memory / 1e9:.1f} GB, so it was ended. {limits.when_large}"
                )
    raise ValueError("no end of a line")


def _last_words(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read(MEBIBYTE).decode("utf-8", "replace").strip().splitlines()
    return f"Its last words: {lines[-1][:300]}" if lines else ""
