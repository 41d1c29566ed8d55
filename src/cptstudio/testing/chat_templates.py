"""Prompts made by chat templates, rendered by a process of its own with little time and memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final

from cptstudio import child_limits
from cptstudio.child_process import ChildProcess
from cptstudio.durable import MEBIBYTE, parse_json
from cptstudio.errors import UserError

PROGRAM: Final = "cptstudio.testing.template_program"
# Eight million characters, each as six of JSON.
_ANSWER_LIMIT: Final = 64 * MEBIBYTE


class TemplateRenderer:
    """Asks the process, which is started by the first question, and again after an end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None
        self._answers: Iterator[bytes] = iter(())

    def render(
        self, template: str, messages: Sequence[dict[str, str]], variables: dict[str, Any]
    ) -> str:
        """Return the text of a prompt that ends where the model's answer begins.

        Args:
            template: in Jinja.
            messages: of the chat.
            variables: what the template sees besides, such as the special tokens.

        Raises:
            UserError: the template raised, or did not come to an end within its limits.
        """
        with self._lock:
            child = self._started()
            child.send({"template": template, "messages": messages, "variables": variables})
            answer = self._answer(child)
        if "error" in answer:
            raise UserError(answer["error"]["message"], answer["error"]["problems"])
        return str(answer["result"]["text"])

    def close(self) -> None:
        """End the process, also in the middle of a template. From any thread."""
        child = self._child
        if child is not None:
            child.kill()

    def _started(self) -> ChildProcess:
        if self._child is None or self._child.ended:
            self._child = ChildProcess(("-m", PROGRAM), child_limits.for_a_template())
            self._answers = self._child.lines(_ANSWER_LIMIT)
            self._child.expect(True, within=child_limits.QUICK_SECONDS)
            self._answer(self._child)
        return self._child

    def _answer(self, child: ChildProcess) -> dict[str, Any]:
        line = next(self._answers, None)
        child.expect(False)
        if line is None:
            child.wait()
            self._child = None
            raise UserError(f"The chat template was not applied. {child.why()}")
        answer: dict[str, Any] = parse_json(line)
        return answer
