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

import json
import subprocess
import sys
import threading
from pathlib import Path, PurePath
from typing import Any, Final

from cptstudio import job_programs
from cptstudio.corpus.tokenizer import check_folder, load_tokenizer
from cptstudio.durable import FolderSignature, folder_signature
from cptstudio.errors import UserError
from cptstudio.light_imports import leave_out_torch

MODULE: Final = "cptstudio.corpus.tokenizer_identity"
_PATIENCE_SECONDS: Final = 120.0
_WEIGHTS: Final = frozenset({".safetensors", ".npz", ".gguf", ".bin", ".pt", ".pth"})

# The hash of a folder, or the sentence that says why it has none, and the files that it is of.
_known: dict[Path, tuple[FolderSignature, str | UserError]] = {}
_asking = threading.Lock()


def identify_tokenizer(model_path: Path | str) -> str:
    """Identifies the tokenizer in a local model folder; see `TokenizerFacts`.

    Raises:
        UserError: the folder holds none that can be used, or it could not be found out.
    """
    folder = check_folder(model_path).resolve()
    signature = tuple(
        one for one in folder_signature(folder) if PurePath(one[0]).suffix not in _WEIGHTS
    )
    # One at a time: whoever asks for the same meanwhile gets it for nothing.
    with _asking:
        if folder not in _known or _known[folder][0] != signature:
            _known[folder] = (signature, _find_out(folder))
        _, answer = _known[folder]
    if isinstance(answer, UserError):
        raise UserError(answer.message, answer.problems)
    return answer


def _find_out(folder: Path) -> str | UserError:
    """The hash, or what is wrong with the folder.

    Raises:
        UserError: it could not be found out this time.
    """
    if "transformers" in sys.modules:
        return _read(folder)
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", MODULE],
            # Without a newline at its end: the program need not watch for our end.
            input=json.dumps({"model": str(folder)}).encode(),
            capture_output=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"Reading the tokenizer in {folder} took more than {_PATIENCE_SECONDS:.0f} s and was "
            "given up: see whether its disk answers."
        ) from None
    lines = ended.stdout.splitlines()
    answer = json.loads(lines[-1]) if lines else {}
    if "result" in answer:
        found: dict[str, Any] = answer["result"]
        if "wrong" in found:
            return UserError(found["wrong"], found["problems"])
        return str(found["hash"])
    if "error" in answer:
        raise UserError(answer["error"]["message"], answer["error"]["problems"])
    said = ended.stderr.decode(errors="replace").strip().splitlines()[-1:]
    raise UserError(
        f"The program that reads the tokenizer in {folder} ended with status {ended.returncode} "
        f"before it was done{''.join(f' ({line})' for line in said)}. Out of memory is the usual "
        "reason: end other programs and repeat."
    )


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
        return {"wrong": found.message, "problems": list(found.problems)}
    return {"hash": found}


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
