"""A chat template in Jinja becomes one in Go's text/template, as Ollama's Modelfile takes it.

The template is not translated, which no program could do for all of Jinja, but learned: it is
applied to conversations of marked messages, and what stands between the marks is kept by the roles
on both sides. Then it has to render other conversations, of more turns and with odd contents, as
these pieces put together do. A template that does anything else is told, and no TEMPLATE is
written.

Ollama gives a template `.Messages`, with consecutive messages of one role merged, and adds nothing
(github.com/ollama/ollama, docs/template.md; template/template.go).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cptstudio.errors import UserError

Messages = Sequence[dict[str, str]]
Render = Callable[[Messages], str]
"""Applies the model's template; raises `UserError` where that refuses the messages."""

_START: Final = ""
_ROLES: Final = ("system", "user", "assistant")
_ODD: Final = (
    'a {{ brace }} and {% tag %}, a "quote" and a \\ backslash',
    "two lines\n\nwith a gap\n\tand a tab",
    'three """ quotes, `ticks`, and <|im_end|> or </s> as text',
    "Grüße, 你好, 🦙",
)


@dataclass(frozen=True)
class ChatFormat:
    """How conversations are written.

    Attributes:
        between: the text before a message, by the role before it ("" at the start) and its own.
        prompt: the text after the last message, where the answer begins.
        takes_system: a conversation may begin with a system message.
        notes: what is lost, a sentence each.
    """

    between: dict[tuple[str, str], str]
    prompt: str
    takes_system: bool
    notes: list[str] = field(default_factory=list)

    def text(self, messages: Messages) -> str:
        """Return a conversation as Ollama writes it."""
        parts, before = [], _START
        for message in messages:
            parts += [self.between.get((before, message["role"]), ""), message["content"]]
            before = message["role"]
        return "".join([*parts, "" if before == "assistant" else self.prompt])

    def go_template(self) -> str:
        """Return it in Go's text/template."""
        branches = []
        for role in _ROLES:
            texts = {before: text for (before, own), text in self.between.items() if own == role}
            if texts:
                branches.append(
                    (f'eq .Role "{role}"', f"{_by_role_before(texts)}{{{{ .Content }}}}")
                )
        body = _choice(branches)
        return (
            '{{ $before := "" }}{{ range .Messages }}'
            f"{body}{{{{ $before = .Role }}}}{{{{ end }}}}"
            f'{{{{ if ne $before "assistant" }}}}{_literal(self.prompt)}{{{{ end }}}}'
        )

    def stops(self, special: Sequence[str], end: str | None) -> list[str]:
        """Return the texts at which an answer ends.

        Args:
            special: texts of the special tokens.
            end: text of the end token.
        """
        after = self.between[("assistant", "user")]
        found = sorted((token for token in special if token in after), key=after.index)
        if not found and after.strip():
            found = [next(line for line in after.splitlines() if line.strip()).strip()]
        return list(dict.fromkeys([*found, *([end] if end else [])]))


def learn(render: Render, start: str | None) -> ChatFormat:
    """Return the format of a chat template.

    Args:
        start: text of the start token, where the file says that it is put before every prompt: the
            template must not write it once more.

    Raises:
        UserError: the template does what Ollama's cannot, in words.
    """

    def rendered(messages: Messages) -> str:
        text = render(messages)
        return text.removeprefix(start) if start else text

    between: dict[tuple[str, str], str] = {}
    prompts: set[str] = set()
    takes_system = _takes_system(rendered)
    systems: list[tuple[str, ...]] = [(), ("system",)] if takes_system else [()]
    for system in systems:
        for turns in (("user",), ("user", "assistant", "user")):
            _learn_from(rendered, (*system, *turns), between, prompts)
    if len(prompts) != 1:
        raise _refusal("begins answers in several ways")
    notes = [] if takes_system else ["The chat template takes no system message: one is left out."]
    format_ = ChatFormat(between, prompts.pop(), takes_system, notes)
    _verify(format_, rendered)
    return format_


def _takes_system(rendered: Render) -> bool:
    marks = _conversation(("system", "user"))
    try:
        return marks[0]["content"] in rendered(marks)
    except UserError:
        return False


def _learn_from(
    rendered: Render,
    roles: tuple[str, ...],
    between: dict[tuple[str, str], str],
    prompts: set[str],
) -> None:
    messages = _conversation(roles)
    rest, before = rendered(messages), _START
    for message in messages:
        text, found, rest = rest.partition(message["content"])
        if not found or message["content"] in rest:
            raise _refusal("leaves messages out, repeats them or changes their order")
        if between.setdefault((before, message["role"]), text) != text:
            raise _refusal("writes a message in several ways, by what came before it")
        before = message["role"]
    prompts.add(rest)


def _verify(format_: ChatFormat, rendered: Render) -> None:
    """Hold the pieces against the template with other conversations; adds to the notes."""
    system = [{"role": "system", "content": "You are brief."}] if format_.takes_system else []
    turns = [{"role": role, "content": text} for role, text in _turns(_ODD)]
    for begin in ([], system):
        for length in (1, 3, 5, 7):
            messages = [*begin, *turns[:length]]
            if rendered(messages) != format_.text(messages):
                raise _refusal("writes longer conversations otherwise than short ones")
    edges = [{"role": "user", "content": "  spaces around \n"}]
    if rendered(edges) != format_.text(edges):
        format_.notes.append(
            "The chat template strips white space around messages, and Ollama does not."
        )


def _turns(texts: Sequence[str]) -> list[tuple[str, str]]:
    return [
        (("user", "assistant")[number % 2], texts[number % len(texts)])
        for number in range(2 * len(texts) - 1)
    ]


def _conversation(roles: Sequence[str]) -> list[dict[str, str]]:
    return [
        {"role": role, "content": f"zq{number}{role}{number}qz"}
        for number, role in enumerate(roles)
    ]


def _refusal(what: str) -> UserError:
    return UserError(
        f"The model's chat template {what}, which Ollama's templates cannot: the Modelfile has no "
        "TEMPLATE. Ollama takes a known one or none; llama.cpp and LM Studio use the model's own."
    )


def _by_role_before(texts: dict[str, str]) -> str:
    if len(set(texts.values())) == 1:
        return _literal(next(iter(texts.values())))
    return _choice(
        [(f'eq $before "{before}"', _literal(text)) for before, text in sorted(texts.items())]
    )


def _choice(branches: Sequence[tuple[str, str]]) -> str:
    """Return the first branch whose condition holds, as Go writes it."""
    parts = [
        f"{{{{ {'if' if number == 0 else 'else if'} {condition} }}}}{text}"
        for number, (condition, text) in enumerate(branches)
    ]
    return "".join([*parts, "{{ end }}"])


def _literal(text: str) -> str:
    """Return text as it stands in a template, between the marks of a Modelfile's string."""
    if not text:
        return ""
    plain = "{{" not in text and '""' not in text and not re.search(r'^"|"$', text)
    # A brace at an edge could make a pair with one of the template's own.
    if plain and text[0] not in "{}" and text[-1] not in "{}" and "\r" not in text:
        return text
    # Go reads JSON's escapes in its strings, but for "\/", which is not written.
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}"
