"""What a chat template puts around turns: the token that ends an answer, and marks of roles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cptstudio.corpus.conversations.chat_templates import Rendering, TemplateRenderer
from cptstudio.errors import UserError
from cptstudio.lm.chat_format import chat_format, template_variables
from cptstudio.lm.loading import LoadedModel

_QUESTION: Final = "qzxvquestion"
_ANSWER: Final = "qzxvanswer"
_ROLE_LINE: Final = re.compile(
    r"(?mi)^[ \t]*(?:[#*<\[|]+[ \t]*)?(?:user|assistant|system|human|instruction)"
    r"(?:[ \t]*[\]>|*]+)?[ \t]*:?[ \t]*$|^[ \t]*(?:User|Assistant|Human|System)[ \t]*:"
)
"""A line that only names a role, or begins with one as a transcript does."""


@dataclass(frozen=True)
class TemplateMarks:
    """What tells whether an answer kept its template.

    Attributes:
        ends: ids of tokens that end a text, the end of a turn among them.
        end_of_turn: id of the token that the template puts after an answer, where it puts one.
        special: ids of tokens that stand for no text, such as those that begin a turn.
        literals: marks of the template that are plain text, such as "[INST]".
    """

    ends: tuple[int, ...]
    end_of_turn: int | None
    special: frozenset[int]
    literals: tuple[str, ...]

    def stray(self, tokens: Sequence[int], text: str) -> str | None:
        """Return a mark that is in an answer and does not belong there, or None.

        Args:
            tokens: of the answer, without the one that ended it.
            text: of the same.
        """
        if any(token in self.special for token in tokens):
            return "a special token"
        for literal in self.literals:
            if literal in text:
                return literal
        found = _ROLE_LINE.search(text)
        return found[0].strip() if found else None


def variables_of(tokenizer: Any) -> dict[str, Any]:
    """Return what templates see; no thinking, which would take an answer's tokens."""
    return {**template_variables(tokenizer), "enable_thinking": False}


def marks_of(loaded: LoadedModel, renderer: TemplateRenderer) -> TemplateMarks:
    """Return the marks of a model's chat template.

    Raises:
        UserError: the template cannot be applied to a question and its answer.
    """
    tokenizer: Any = loaded.tokenizer
    known = chat_format(loaded.path, tokenizer, renderer.render_all)
    if known.problem is not None:
        raise UserError(f"{loaded.path}: {known.problem}")
    end = next((one.id for one in known.ends if one.text == known.turn_end), None)
    special = frozenset(
        int(token) for token, added in tokenizer.added_tokens_decoder.items() if added.special
    )
    question = {"role": "user", "content": _QUESTION}
    answered = {"role": "assistant", "content": _ANSWER}
    (rendered,) = renderer.render_all(
        tokenizer.get_chat_template(),
        [Rendering([question, answered, question], answer_follows=False)],
        variables_of(tokenizer),
    )
    around = rendered.text.replace(_QUESTION, "\n").replace(_ANSWER, "\n")
    literals = tuple(sorted(set(_literals(around))))
    return TemplateMarks(tuple(sorted(known.end_ids)), end, special, literals)


def _literals(piece: str) -> list[str]:
    """Marks of a template that a tokenizer may read as plain text: <|...|>, [INST], ### Role:."""
    return re.findall(r"<[|\uff5c/]?[^<>\n]{1,40}>|\[/?[A-Z_]{2,}\]|#{2,} *\w+ *:", piece)
