"""Prompts made by chat templates, rendered by a process of its own with little time and memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cptstudio.child_limits import for_a_template
from cptstudio.child_service import ChildService
from cptstudio.durable import MEBIBYTE

PROGRAM: Final = "cptstudio.corpus.conversations.template_program"
FIXED_DATE: Final = "2026-01-01"
"""What a template that writes today's date finds where conversations are trained on or measured."""
# Eight million characters, each as six of JSON.
_ANSWER_LIMIT: Final = 64 * MEBIBYTE
# A request's time is that of one template: so many renderings take milliseconds each.
_AT_ONCE, _CHARACTERS_AT_ONCE = 256, 500_000


@dataclass(frozen=True)
class Rendering:
    """What is to be rendered.

    Attributes:
        messages: as templates read them.
        answer_follows: whether the text ends where an answer of the model begins.
        tools: that the model may call.
    """

    messages: Sequence[dict[str, Any]]
    answer_follows: bool
    tools: Sequence[Any] | None = None


@dataclass(frozen=True)
class Rendered:
    """A rendering's text.

    Attributes:
        text: of the whole; empty where it was refused.
        answers: start and stop of each {% generation %} block, in characters.
        refused: why the template refused these messages, in its own words.
    """

    text: str
    answers: tuple[tuple[int, int], ...] = ()
    refused: str | None = None


class TemplateRenderer:
    """Asks the process, which is started by the first question."""

    def __init__(self) -> None:
        self._service = ChildService(
            ("-m", PROGRAM),
            for_a_template,
            "The chat template was not applied.",
            line_limit=_ANSWER_LIMIT,
        )

    def render(
        self, template: str, messages: Sequence[dict[str, str]], variables: dict[str, Any]
    ) -> str:
        """Return the text of a prompt that ends where the model's answer begins.

        Args:
            template: in Jinja.
            variables: what the template sees besides, such as the special tokens.

        Raises:
            UserError: the template raised, or did not come to an end within its limits.
        """
        request = {"template": template, "messages": messages, "variables": variables}
        return str(self._service.ask(request)["text"])

    def render_all(
        self, template: str, renderings: Sequence[Rendering], variables: dict[str, Any]
    ) -> list[Rendered]:
        """Return the text of each rendering; one that the template refuses says why.

        Dates are `FIXED_DATE`, and what is left to chance falls out the same way each time.

        Raises:
            UserError: the template did not come to an end within its limits.
        """
        found: list[Rendered] = []
        for part in _parts(renderings):
            request = {
                "template": template,
                "variables": variables,
                "date": FIXED_DATE,
                "renderings": [vars(one) for one in part],
            }
            for one in self._service.ask(request)["renderings"]:
                answers = tuple((int(a), int(b)) for a, b in one.get("answers", ()))
                found.append(Rendered(one.get("text", ""), answers, one.get("refused")))
        return found

    def close(self) -> None:
        """End the process, also in the middle of a template. From any thread."""
        self._service.interrupt()


def _parts(renderings: Sequence[Rendering]) -> Iterator[list[Rendering]]:
    part: list[Rendering] = []
    size = 0
    for one in renderings:
        length = len(str(one.messages)) + len(str(one.tools))
        if part and (len(part) == _AT_ONCE or size + length > _CHARACTERS_AT_ONCE):
            yield part
            part, size = [], 0
        part.append(one)
        size += length
    if part:
        yield part
