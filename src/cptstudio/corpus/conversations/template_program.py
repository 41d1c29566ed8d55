"""Renders chat templates: `python -m cptstudio.corpus.conversations.template_program`.

A template is a program that came with a model: it may raise, never end, or take all memory. So it
runs here, where nothing is lost with it. It is rendered as transformers does, in its sandbox.

One request a line on standard input, one answer a line on standard output, until the input ends;
it begins with {"ready": true}:

    {"template": JINJA, "messages": [...], "variables": {...}}
    -> {"result": {"text": ...}} or {"error": {...}}

Many at once, for conversations to train on. What a template writes of date and chance is then the
same at every rendering, and a conversation that it refuses is an answer like any other:

    {"template": JINJA, "variables": {...}, "date": "2026-01-01",
     "renderings": [{"messages": [...], "tools": null, "answer_follows": true}, ...]}
    -> {"result": {"renderings": [{"text": ..., "answers": [[START, STOP], ...]},
                                  {"refused": REASON}, ...]}}

"answers" are the spans of {% generation %} blocks, in characters.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
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

    if "renderings" in request:
        return {"renderings": _render_all(request)}
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
        raise UserError(
            f"The chat template cannot be applied to these messages: {_reason(error)}"
        ) from None
    if len(text) > PROMPT_LIMIT:
        raise UserError(_too_long(len(text)))
    return {"text": text}


def _render_all(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Each rendering's text and answers, or why the template refuses it."""
    from transformers.utils.chat_template_utils import render_jinja_template

    found: list[dict[str, Any]] = []
    room = PROMPT_LIMIT
    with _fixed_date(datetime.fromisoformat(request["date"])):
        for one in request["renderings"]:
            random.seed(0)
            try:
                texts, answers = render_jinja_template(
                    [one["messages"]],
                    tools=one["tools"],
                    chat_template=request["template"],
                    return_assistant_tokens_mask=True,
                    add_generation_prompt=one["answer_follows"],
                    **request["variables"],
                )
            except Exception as error:
                found.append({"refused": _reason(error)})
                continue
            room -= len(texts[0])
            if room < 0:
                found.append({"refused": _too_long(PROMPT_LIMIT - room)})
                continue
            found.append({"text": texts[0], "answers": answers[0]})
    return found


def _reason(error: Exception) -> str:
    return str(error).strip() or type(error).__name__


def _too_long(characters: int) -> str:
    return (
        f"The chat template creates a prompt of {characters:,} characters. The limit "
        f"is {PROMPT_LIMIT:,}."
    )


@contextmanager
def _fixed_date(date: datetime) -> Iterator[None]:
    """Let templates find this date: what is trained on must not depend on the day."""
    from transformers.utils import chat_template_utils

    class Fixed(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Fixed:
            return cls(date.year, date.month, date.day, tzinfo=tz)

    former = chat_template_utils.datetime
    chat_template_utils.datetime = Fixed
    try:
        yield
    finally:
        chat_template_utils.datetime = former


def _warm_up() -> None:
    leave_out_torch()
    import transformers  # noqa: F401  Its first use takes longest, and no template's time.


if __name__ == "__main__":
    sys.exit(job_programs.answer_requests(render, _warm_up))
