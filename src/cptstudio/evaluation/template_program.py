"""Renders chat templates: `python -m cptstudio.evaluation.template_program`.

A template is a program that came with a model: it may raise, never end, or take all memory. So it
runs here, where nothing is lost with it. It is rendered as transformers does, in its sandbox.

One request a line on standard input, one answer a line on standard output, until the input ends;
it begins with {"ready": true}:

    {"template": JINJA, "messages": [...], "variables": {...}}
    -> {"result": {"text": ...}} or {"error": {...}}
"""

from __future__ import annotations

import sys
from typing import Any

from cptstudio import job_programs
from cptstudio.errors import UserError
from cptstudio.job_programs import Answer
from cptstudio.light_imports import leave_out_torch

PROMPT_LIMIT = 8_000_000
"""Characters of a prompt; more than any model's context holds."""


def render(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Answer one request."""
    from transformers import PreTrainedTokenizerBase

    try:
        text = PreTrainedTokenizerBase().apply_chat_template(
            request["messages"],
            chat_template=request["template"],
            tokenize=False,
            add_generation_prompt=True,
            **request["variables"],
        )
    except Exception as error:
        # Whatever a foreign template makes the library raise, the reason belongs to the user.
        reason = str(error).strip() or type(error).__name__
        raise UserError(
            f"The chat template cannot be applied to these messages: {reason}"
        ) from None
    if len(text) > PROMPT_LIMIT:
        raise UserError(
            f"The chat template creates a prompt of {len(text):,} characters. The limit "
            f"is {PROMPT_LIMIT:,}."
        )
    return {"text": text}


def _warm_up() -> None:
    leave_out_torch()
    import transformers  # noqa: F401  Its first use takes longest, and no template's time.


if __name__ == "__main__":
    sys.exit(job_programs.answer_requests(render, _warm_up))
