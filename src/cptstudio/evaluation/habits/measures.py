"""A model's chat habits: its answers to the built-in prompts, and what they amount to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from cptstudio.corpus.conversations.chat_templates import Rendered, Rendering, TemplateRenderer
from cptstudio.errors import UserError
from cptstudio.evaluation.habits.answering import Answered, answer_all
from cptstudio.evaluation.habits.checks import fulfills
from cptstudio.evaluation.habits.prompts import HabitPrompt, built_in
from cptstudio.evaluation.habits.repetition import longest_loop, repeated_share, units_of
from cptstudio.evaluation.habits.template_marks import TemplateMarks, marks_of, variables_of
from cptstudio.intervals import Estimate, mean_of, share_of
from cptstudio.lm.chat_format import parts_of
from cptstudio.lm.loading import LoadedModel

FORMAT: Final = 1
"""Raised when the way of measuring changes its numbers."""
_SHOWN_CHARACTERS: Final = 4_000


@dataclass(frozen=True)
class HabitAnswer:
    """One answer, and what was found of it.

    Attributes:
        id, kind: of the prompt.
        text: of the answer, shortened; special tokens are seen in it.
        tokens: made, the one that ended it among them.
        stopped: it ended by itself.
        template: it ended with the template's end of turn, without a stray mark before it.
        stray: the mark that does not belong there, or None.
        repetition: share of its 4-grams that were there before.
        loop: words of its longest loop.
        fulfilled: whether it follows the instruction; None for an open question.
    """

    id: str
    kind: str
    text: str
    tokens: int
    stopped: bool
    template: bool
    stray: str | None
    repetition: float
    loop: int
    fulfilled: bool | None


def measure_habits(
    loaded: LoadedModel,
    max_tokens: int,
    renderer: TemplateRenderer,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> list[HabitAnswer]:
    """Return a model's answers to the built-in prompts, always the likeliest token.

    Args:
        max_tokens: of each answer.
        renderer: of chat templates.
        tell: called with the tokens made so far, and at most in all.

    Raises:
        UserError: the model has no chat template, or it cannot be applied.
    """
    if getattr(loaded.tokenizer, "chat_template", None) is None:
        raise UserError(
            f"The model in {loaded.path} has no chat template, so it cannot be asked questions. "
            "Measure a model that has one, or add an instruct model's difference to this one."
        )
    marks = marks_of(loaded, renderer)
    prompts = built_in().prompts
    asked = _asked(loaded, prompts, renderer)
    answers = answer_all(loaded, asked, marks.ends, max_tokens, tell)
    return [
        _judged(loaded, marks, prompt, answer)
        for prompt, answer in zip(prompts, answers, strict=True)
    ]


def _asked(
    loaded: LoadedModel, prompts: Sequence[HabitPrompt], renderer: TemplateRenderer
) -> list[list[int]]:
    """The tokens of each prompt. A date in a template is always the same one."""
    tokenizer: Any = loaded.tokenizer
    template, variables = tokenizer.get_chat_template(), variables_of(tokenizer)

    def rendered(messages: list[Sequence[dict[str, str]]]) -> list[Rendered]:
        renderings = [Rendering(one, answer_follows=True) for one in messages]
        return renderer.render_all(template, renderings, variables)

    found = rendered([prompt.messages for prompt in prompts])
    refused = [number for number, one in enumerate(found) if one.refused is not None]
    # Templates without a system role, such as Gemma's, raise.
    again = rendered([_without_system(prompts[number]) for number in refused]) if refused else []
    for number, one in zip(refused, again, strict=True):
        if one.refused is not None:
            raise UserError(f"The chat template in {loaded.path} cannot be applied: {one.refused}")
        found[number] = one
    return [list(tokenizer.encode(one.text, add_special_tokens=False)) for one in found]


def _without_system(prompt: HabitPrompt) -> Sequence[dict[str, str]]:
    text = "\n\n".join(message["content"] for message in prompt.messages)
    return ({"role": "user", "content": text},)


def _judged(
    loaded: LoadedModel, marks: TemplateMarks, prompt: HabitPrompt, answer: Answered
) -> HabitAnswer:
    tokenizer: Any = loaded.tokenizer
    inside = list(answer.tokens[:-1] if answer.stopped else answer.tokens)
    text = str(tokenizer.decode(inside, skip_special_tokens=True))
    stray = marks.stray(inside, text)
    # What was thought before is no part of the answer.
    said = "".join(part.text for part in parts_of(text) if part.kind == "text").strip()
    ended_right = answer.stopped and (
        marks.end_of_turn is None or answer.tokens[-1] == marks.end_of_turn
    )
    units = units_of(said)
    return HabitAnswer(
        prompt.id,
        prompt.kind,
        str(tokenizer.decode(inside))[:_SHOWN_CHARACTERS],
        len(answer.tokens),
        answer.stopped,
        ended_right and stray is None,
        stray,
        repeated_share(units),
        longest_loop(units),
        all(fulfills(said, check) for check in prompt.checks) if prompt.checks else None,
    )


def figures(answers: Sequence[HabitAnswer]) -> dict[str, Any]:
    """Return what answers amount to: an `Estimate` each, as a dictionary.

    Returns:
        "stops", "template", "repetition", "loops", "instructions", and "kinds" with the share of
        instructions followed by their kind.
    """
    judged = [answer for answer in answers if answer.fulfilled is not None]
    kinds = dict.fromkeys(answer.kind for answer in judged)
    return {
        "stops": _told(share_of([answer.stopped for answer in answers])),
        "template": _told(share_of([answer.template for answer in answers])),
        "repetition": _told(mean_of([answer.repetition for answer in answers])),
        "loops": _told(share_of([answer.loop > 0 for answer in answers])),
        "instructions": _told(share_of([bool(answer.fulfilled) for answer in judged])),
        "kinds": {
            kind: _told(share_of([bool(one.fulfilled) for one in judged if one.kind == kind]))
            for kind in kinds
        },
    }


def _told(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else asdict(estimate)
