"""How the chat of a model folder is formed, told without loading the tokenizer libraries here.

A process of its own (`python -m cptstudio.lm.chat_reader`) loads the tokenizer and has its chat
template rendered; the answer holds for as long as the folder's files stay as they are.

    {"model": FOLDER} -> {"result": {"format": {...}}}, {"result": {"wrong": {...}}}
                         or {"error": {...}}, see `job_programs`
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, Final

from cptstudio import child_process, job_programs
from cptstudio.child_answers import user_error
from cptstudio.child_limits import TEMPLATE_SECONDS, for_a_look
from cptstudio.corpus.conversations import template_program
from cptstudio.corpus.conversations.chat_templates import FIXED_DATE, Rendered, Rendering
from cptstudio.corpus.tokenizer import check_folder
from cptstudio.corpus.tokenizer_identity import WEIGHTS
from cptstudio.durable import folder_signature
from cptstudio.errors import UserError
from cptstudio.folder_questions import FolderQuestions
from cptstudio.light_imports import leave_out_torch
from cptstudio.lm.chat_format import ChatFormat, chat_format, format_from

MODULE: Final = "cptstudio.lm.chat_reader"

_questions: Final = FolderQuestions[ChatFormat]()


def read_chat_format(model_path: Path | str) -> ChatFormat:
    """Return how the chat of the model in a folder is formed.

    Raises:
        UserError: the folder holds no tokenizer, or it could not be found out.
    """
    folder = check_folder(model_path).resolve()
    signature = tuple(
        one for one in folder_signature(folder) if PurePath(one[0]).suffix not in WEIGHTS
    )
    return _questions.answer(
        folder, signature, lambda: _find_out(folder), what=f"the chat template in {folder}"
    )


def _find_out(folder: Path) -> ChatFormat | UserError:
    limits = for_a_look(
        "The cause is its files or the disk.",
        "Its files are damaged or unusual. Download the model again.",
    )
    found = child_process.ask(
        ("-m", MODULE),
        {"model": str(folder)},
        limits,
        what=f"Reading the chat template in {folder}",
    )
    return user_error(found["wrong"]) if "wrong" in found else format_from(found["format"])


def work(request: dict[str, Any], answer: job_programs.Answer) -> dict[str, Any]:
    """Load the tokenizer, and ask its template; tell what was found."""
    leave_out_torch()
    from transformers import AutoTokenizer

    folder = Path(request["model"])
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        # Whatever a foreign folder makes the library raise, the reason belongs to the user.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        sentence = f"{folder} has no tokenizer that transformers can load: {reason}"
        return {"wrong": job_programs.told(UserError(sentence))}

    def render_all(
        template: str, renderings: Sequence[Rendering], variables: dict[str, Any]
    ) -> list[Rendered]:
        asked = {
            "template": template,
            "variables": variables,
            "date": FIXED_DATE,
            "renderings": [vars(one) for one in renderings],
        }
        try:
            told = template_program.render(asked, answer)["renderings"]
        except _NeverEndsError:
            never = Rendered("", refused="It never finishes. Use raw text instead.")
            return [never] * len(renderings)
        return [Rendered(one.get("text", ""), refused=one.get("refused")) for one in told]

    # What the files name is told of a template that never ends, too.
    former = signal.signal(signal.SIGALRM, _never_ends)
    signal.setitimer(signal.ITIMER_REAL, TEMPLATE_SECONDS)
    try:
        return {"format": chat_format(folder, tokenizer, render_all).as_json()}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


class _NeverEndsError(BaseException):
    """The time is up; no template and no library takes it for an error of its own."""


def _never_ends(_: int, __: object) -> None:
    raise _NeverEndsError


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
