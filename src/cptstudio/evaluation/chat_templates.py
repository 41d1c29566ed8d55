"""Prompts made by chat templates, rendered by a process of its own with little time and memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cptstudio.child_limits import for_a_template
from cptstudio.child_service import ChildService
from cptstudio.durable import MEBIBYTE

PROGRAM: Final = "cptstudio.evaluation.template_program"
# Eight million characters, each as six of JSON.
_ANSWER_LIMIT: Final = 64 * MEBIBYTE


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

    def close(self) -> None:
        """End the process, also in the middle of a template. From any thread."""
        self._service.interrupt()
