"""Which tokenizer a model folder holds, told without loading the tokenizer libraries here.

A plan needs to know it at every keystroke, in a server that should stay small: loading
transformers takes more than a second and a hundred megabytes, and a tokenizer of 150,000 words
half a second more. So a process of its own finds it out
(`python -m cptstudio.corpus.tokenizer_identity`), and the answer holds for as long as the
folder's files stay as they are.

    {"model": FOLDER} -> {"result": {"hash": HASH}}, {"result": {"wrong": SENTENCE, "problems": []}}
                         or {"error": {...}}, see `job_programs`
"""

from __future__ import annotations

import math
import sys
import threading
import time
from pathlib import Path, PurePath
from typing import Any, Final

from cptstudio import child_process, job_programs
from cptstudio.child_answers import user_error
from cptstudio.child_limits import for_a_look
from cptstudio.child_process import ChildEndedError
from cptstudio.corpus.tokenizer import check_folder, load_tokenizer
from cptstudio.durable import FolderSignature, folder_signature
from cptstudio.errors import UserError
from cptstudio.light_imports import leave_out_torch

MODULE: Final = "cptstudio.corpus.tokenizer_identity"
_WEIGHTS: Final = frozenset({".safetensors", ".npz", ".gguf", ".bin", ".pt", ".pth"})

# How long an end at a limit is remembered: a busy machine may have been the reason.
_REPEAT_SECONDS: Final = 600.0
_MOST_WAITING: Final = 8


class _Question:
    """What was asked of one folder, and its answer as soon as there is one.

    Attributes:
        signature: the files that it is of.
        answer: the hash, or why there is none.
        until: monotonic seconds; the answer holds so long if the files stay as they are.
    """

    def __init__(self, signature: FolderSignature) -> None:
        self.signature = signature
        self.answered = threading.Event()
        self.waiting = 0
        self.began = time.monotonic()
        self.answer: str | UserError | None = None
        self.until = math.inf

    def find_out(self, folder: Path) -> None:
        """Answer it."""
        try:
            self.answer = _find_out(folder)
        except ChildEndedError as error:
            # To ask again would take as long again, and this is asked at every keystroke.
            self.until = time.monotonic() + (_REPEAT_SECONDS if error.at_limit else 0.0)
            self.answer = error
        except UserError as error:
            self.until = 0.0
            self.answer = error
        except BaseException:
            self.until = 0.0
            said = f"Reading the tokenizer in {folder} was interrupted. Try again."
            self.answer = UserError(said)
            raise
        finally:
            self.answered.set()


_asked: dict[Path, _Question] = {}
_lock = threading.Lock()


def identify_tokenizer(model_path: Path | str, *, again: bool = False) -> str:
    """Identifies the tokenizer in a local model folder; see `TokenizerFacts`.

    One folder is asked once at a time, and no folder waits for another.

    Args:
        model_path: the folder.
        again: ask again where the last time ended at a limit, because the user asked for it.

    Raises:
        UserError: the folder holds none that can be used, or it could not be found out.
    """
    folder = check_folder(model_path).resolve()
    signature = tuple(
        one for one in folder_signature(folder) if PurePath(one[0]).suffix not in _WEIGHTS
    )
    with _lock:
        question = _asked.get(folder)
        is_new = (
            question is None
            or question.signature != signature
            or question.until <= time.monotonic()
            or (again and question.until < math.inf)
        )
        if question is None or is_new:
            question = _asked[folder] = _Question(signature)
        elif not question.answered.is_set():
            _check_room(question, folder)
            question.waiting += 1
    if is_new:
        question.find_out(folder)
    question.answered.wait()
    if isinstance(question.answer, str):
        return question.answer
    assert question.answer is not None
    raise UserError(question.answer.message, question.answer.findings)


def _check_room(question: _Question, folder: Path) -> None:
    """Refuse to wait where many do: whoever waits holds a thread of the server."""
    if question.waiting >= _MOST_WAITING:
        seconds = time.monotonic() - question.began
        raise UserError(
            f"The tokenizer in {folder} is still being read, for {seconds:.0f} s now: try again "
            "in a moment."
        )


def _find_out(folder: Path) -> str | UserError:
    """The hash, or what is wrong with the folder.

    Raises:
        UserError: it could not be found out this time.
    """
    if "transformers" in sys.modules:
        return _read(folder)
    limits = for_a_look(
        "Its files or their disk are the reason; it is tried again when the files have changed, or "
        f"after {_REPEAT_SECONDS / 60:.0f} minutes.",
        "Its files are damaged or unusual: download the model again.",
    )
    found = child_process.ask(
        ("-m", MODULE),
        {"model": str(folder)},
        limits,
        what=f"Reading the tokenizer in {folder}",
    )
    if "wrong" in found:
        return user_error(found["wrong"])
    return str(found["hash"])


def _read(folder: Path) -> str | UserError:
    try:
        return load_tokenizer(folder).facts.hash
    except UserError as error:
        return error


def work(request: dict[str, Any], _: job_programs.Answer) -> dict[str, Any]:
    """Load the tokenizer; tell its hash, or what is wrong with the folder."""
    leave_out_torch()
    found = _read(Path(request["model"]))
    if isinstance(found, UserError):
        return {"wrong": job_programs.told(found)}
    return {"hash": found}


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
