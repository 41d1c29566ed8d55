"""How the chat of a model folder is formed, told without loading the tokenizer libraries here.

A process of its own (`python -m cptstudio.lm.chat_reader`) loads the tokenizer and applies its chat
template, which is a program that came with the model; the answer holds for as long as the folder's
files stay as they are.

    {"model": FOLDER} -> {"result": {"format": {...}}}, {"result": {"wrong": {...}}}
                         or {"error": {...}}, see `job_programs`
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, Final

from cptstudio import child_process, job_programs
from cptstudio.child_answers import user_error
from cptstudio.child_limits import for_a_look
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
        "Its chat template never finishes. Use raw text instead.",
        "Its chat template uses more and more memory. Use raw text instead.",
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

    def render_all(
        template: str, renderings: Sequence[Rendering], variables: dict[str, Any]
    ) -> list[Rendered]:
        # In this process, which has limits of its own.
        asked = {
            "template": template,
            "variables": variables,
            "date": FIXED_DATE,
            "renderings": [vars(one) for one in renderings],
        }
        told = template_program.render(asked, answer)["renderings"]
        return [Rendered(one.get("text", ""), refused=one.get("refused")) for one in told]

    folder = Path(request["model"])
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        # Whatever a foreign folder makes the library raise, the reason belongs to the user.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        sentence = f"{folder} has no tokenizer that transformers can load: {reason}"
        return {"wrong": job_programs.told(UserError(sentence))}
    return {"format": chat_format(folder, tokenizer, render_all).as_json()}


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
