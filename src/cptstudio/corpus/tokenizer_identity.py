"""Which tokenizer a model folder holds, told without loading the tokenizer libraries here.

A plan needs to know it at every keystroke, in a server that should stay small: loading
transformers takes more than a second and a hundred megabytes, and a tokenizer of 150,000 words
half a second more. So a process of its own finds it out
(`python -m cptstudio.corpus.tokenizer_identity`), and the answer holds for as long as the
folder's files stay as they are.

    {"model": FOLDER} -> {"result": {"hash": HASH, "template": HASH or null}},
                         {"result": {"wrong": SENTENCE, "problems": []}}
                         or {"error": {...}}, see `job_programs`
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any, Final

from cptstudio import child_process, job_programs
from cptstudio.child_answers import user_error
from cptstudio.child_limits import for_a_look
from cptstudio.corpus.tokenizer import check_folder, load_tokenizer
from cptstudio.durable import folder_signature
from cptstudio.errors import UserError
from cptstudio.folder_questions import REPEAT_SECONDS, FolderQuestions
from cptstudio.light_imports import leave_out_torch

MODULE: Final = "cptstudio.corpus.tokenizer_identity"
WEIGHTS: Final = frozenset({".safetensors", ".npz", ".gguf", ".bin", ".pt", ".pth"})


@dataclass(frozen=True)
class TokenizerIdentity:
    """What tokens of a model are known by.

    Attributes:
        hash: of its tokenizer, see `TokenizerFacts`.
        template: of its chat template, see `ModelTemplate`; None where it has none.
    """

    hash: str
    template: str | None


_questions: Final = FolderQuestions[TokenizerIdentity]()


def identify_tokenizer(model_path: Path | str, *, again: bool = False) -> str:
    """Identifies the tokenizer in a local model folder; see `identify`."""
    return identify(model_path, again=again).hash


def identify(model_path: Path | str, *, again: bool = False) -> TokenizerIdentity:
    """Identifies the tokenizer in a local model folder and its chat template.

    Args:
        model_path: the folder.
        again: ask again where the last time ended at a limit, because the user asked for it.

    Raises:
        UserError: the folder holds none that can be used, or it could not be found out.
    """
    folder = check_folder(model_path).resolve()
    signature = tuple(
        one for one in folder_signature(folder) if PurePath(one[0]).suffix not in WEIGHTS
    )
    return _questions.answer(
        folder,
        signature,
        lambda: _find_out(folder),
        what=f"the tokenizer in {folder}",
        again=again,
    )


def _find_out(folder: Path) -> TokenizerIdentity | UserError:
    """The identity, or what is wrong with the folder.

    Raises:
        UserError: it could not be found out this time.
    """
    if "transformers" in sys.modules:
        return _read(folder)
    limits = for_a_look(
        "The cause is its files or the disk. It is tried again when the files have "
        f"changed, or after {REPEAT_SECONDS / 60:.0f} minutes.",
        "Its files are damaged or unusual. Download the model again.",
    )
    found = child_process.ask(
        ("-m", MODULE),
        {"model": str(folder)},
        limits,
        what=f"Reading the tokenizer in {folder}",
    )
    if "wrong" in found:
        return user_error(found["wrong"])
    return TokenizerIdentity(str(found["hash"]), found["template"])


def _read(folder: Path) -> TokenizerIdentity | UserError:
    try:
        tokenizer = load_tokenizer(folder)
        template = tokenizer.template
        return TokenizerIdentity(tokenizer.facts.hash, template.hash if template else None)
    except UserError as error:
        return error


def work(request: dict[str, Any], _: job_programs.Answer) -> dict[str, Any]:
    """Load the tokenizer; tell its identity, or what is wrong with the folder."""
    leave_out_torch()
    found = _read(Path(request["model"]))
    if isinstance(found, UserError):
        return {"wrong": job_programs.told(found)}
    return asdict(found)


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
