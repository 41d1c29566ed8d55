"""Which characters of a rendered conversation the model writes: its answers, and nothing else.

A chat template is a program, and nothing says where in its text an answer lies. It is found by
comparison. For each assistant's turn the conversation before it is rendered as the model would get
it, up to where its answer begins, and then through the turn. What the second has beyond the first
is the answer; it ends with the token that ends a turn, and not with what the template writes
behind it, which the model never writes.

Where all these texts are beginnings of the whole conversation's, the template is prefix-stable for
it, and one entry holds all its answers. Where they are not, as with templates that leave out what
was thought in earlier turns, each answer is an entry of its own: the conversation as the model sees
it at that turn. Where even an answer's own two texts disagree, it is refused. A template that marks
answers itself ({% generation %}) must agree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cptstudio.corpus.conversations.chat_templates import Rendered, Rendering, TemplateRenderer
from cptstudio.corpus.conversations.conversation import Conversation, Turn, shown
from cptstudio.corpus.conversations.model_template import ModelTemplate

Span = tuple[int, int]

_PROBE: Final = "Zq7wkv"
_CALL: Final = "call12345"
"""Of nine letters and digits, which is what Mistral's templates want."""
_GENERATION: Final = re.compile(r"\{%-?\s*generation\s*-?%\}")

SPECIAL_TEXT: Final = "the text contains a special token of the model"
NOT_A_PREFIX: Final = "the template writes the text before the answer differently with the answer"
NO_END: Final = "the template writes no token that ends the answer"
MARKED_OTHERWISE: Final = "the template marks another part as the answer"
REFUSED: Final = "the template refuses it"
LEFT_OUT: Final = "the template leaves out or changes the answer's text"
CALL_LEFT_OUT: Final = "the template leaves out the answer's tool call"


@dataclass(frozen=True)
class AnswerText:
    """A text with answers in it.

    Attributes:
        text: as the template writes it.
        answers: start and stop of each, in characters, with the token that ends it.
        ends: where the token begins that ends each.
    """

    text: str
    answers: tuple[Span, ...]
    ends: tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """What became of a conversation.

    Attributes:
        texts: one with all answers, or one for each answer, or none.
        refused: why answers are left out, one reason for each of them.
        after: turns behind the last answer, which are left out.
        detail: what the first refusal was about.
        thoughtless: answers whose reasoning the template leaves out.
    """

    texts: tuple[AnswerText, ...]
    refused: tuple[str, ...] = ()
    after: int = 0
    detail: str = ""
    thoughtless: int = 0


class AnswerFinder:
    """Finds the answers of conversations in a template's texts.

    Args:
        template: the model's.
        renderer: applies it.
        added: added tokens of the tokenizer: text -> whether it is special.
    """

    def __init__(
        self, template: ModelTemplate, renderer: TemplateRenderer, added: Mapping[str, bool]
    ) -> None:
        self._template = template
        self._renderer = renderer
        self._marks = _GENERATION.search(template.text) is not None
        self._any = _one_of(added)
        structure = self._probe()
        special = {text for text, is_special in added.items() if is_special}
        self._special = _one_of(special | structure | ({self.end} if self.end else set()))

    def find(self, conversations: Sequence[Conversation]) -> list[Found]:
        """Return what became of each."""
        asked: list[Rendering] = []
        for one in conversations:
            asked += self._renderings(one)
        rendered = iter(self._render(asked))
        return [self._found(one, rendered) for one in conversations]

    def _render(self, asked: Sequence[Rendering]) -> list[Rendered]:
        template = self._template
        return self._renderer.render_all(template.text, asked, dict(template.variables))

    def _probe(self) -> set[str]:
        """Find how the template ends an answer; returns the added tokens that it writes."""
        turns: list[dict[str, Any]] = [
            {"role": role, "content": f"{_PROBE}{number}"}
            for number, role in enumerate(("user", "assistant", "user"))
        ]
        call = {"type": "function", "function": {"name": _PROBE, "arguments": {}}, "id": _CALL}
        calling = {"role": "assistant", "content": "", "tool_calls": [call]}
        around, alone, empty, without = self._render(
            [
                Rendering(turns, False),
                Rendering(turns[:2], False),
                Rendering([turns[0], calling], False),
                Rendering([turns[0], calling | {"content": None}], False),
            ]
        )
        # As OpenAI's form has it, some templates write a call only where there is no content.
        written = [text.count(_PROBE) > 1 for text in (empty.text, without.text)]
        self._call_content = None if written == [False, True] else ""
        _, found, tail = alone.text.rpartition(f"{_PROBE}1")
        spaces = len(tail) - len(tail.lstrip())
        token = self._any.match(tail, spaces) if found and self._any else None
        self.end: str | None = token.group() if token else None
        # What follows the end where nothing follows the turn, such as another token or a prompt.
        self._behind = tail[token.end() :] if token else ""
        # Of Gemma's added tokens some are line breaks.
        tokens = self._any.findall(around.text) if self._any else []
        return {token for token in tokens if token.strip()}

    def _renderings(self, conversation: Conversation) -> Iterator[Rendering]:
        """Of each answer: up to its beginning, through it, and what is before its turn opens."""
        messages = conversation.template_messages()
        for message in messages:
            if message.get("tool_calls") and not message["content"]:
                message["content"] = self._call_content
        tools = [json.loads(json.dumps(tool)) for tool in conversation.tools] or None
        for at in _assistant_turns(conversation):
            yield Rendering(messages[:at], True, tools)
            yield Rendering(messages[: at + 1], False, tools)
            if self._marks:
                yield Rendering(messages[:at], False, tools)

    def _found(self, conversation: Conversation, rendered: Iterator[Rendered]) -> Found:
        turns = _assistant_turns(conversation)
        after = len(conversation.messages) - 1 - turns[-1]
        texts = [[next(rendered) for _ in range(3 if self._marks else 2)] for _ in turns]
        spelled = self._spelled(conversation)
        if spelled is not None:
            return Found((), (SPECIAL_TEXT,) * len(turns), after, spelled)
        one_each: list[AnswerText] = []
        refused: list[str] = []
        detail = ""
        thoughtless = 0
        for at, (before, through, *start) in zip(turns, texts, strict=True):
            turn = conversation.messages[at]
            found, why = self._answer(turn, before, through, start[0] if start else None)
            if found is None:
                detail = detail or why[1]
                refused.append(why[0])
            else:
                one_each.append(found)
                [(begin, _)], [end] = found.answers, found.ends
                thought = (turn.reasoning_content or "").strip()
                thoughtless += thought not in found.text[begin:end]
        whole = texts[-1][1].text
        if not refused and all(_begins(whole, one) for one in one_each):
            spans = tuple(one.answers[0] for one in one_each)
            whole_found = AnswerText(whole, spans, tuple(one.ends[0] for one in one_each))
            return Found((whole_found,), (), after, "", thoughtless)
        return Found(tuple(one_each), tuple(refused), after, detail, thoughtless)

    def _answer(
        self, turn: Turn, before: Rendered, through: Rendered, without: Rendered | None
    ) -> tuple[AnswerText | None, tuple[str, str]]:
        """The text through an answer, or why it is refused."""
        for one in (before, through):
            if one.refused is not None:
                return None, (REFUSED, one.refused)
        text, start = through.text, len(before.text)
        if not text.startswith(before.text):
            return None, (NOT_A_PREFIX, "")
        end = self._end(text, start)
        if end is None:
            return None, (NO_END, "")
        written = text[start : end[0]]
        for call in turn.tool_calls:
            if call.name not in written:
                return None, (CALL_LEFT_OUT, call.name)
        # What was thought may stand before the answer, where a template may leave it out.
        content = turn.content.rpartition("</think>")[2].strip()
        if content not in written or not written.strip():
            return None, (LEFT_OUT, shown(content))
        found = AnswerText(text, ((start, end[1]),), (end[0],))
        if without is not None and not self._agrees(found, through.answers, without.text):
            return None, (MARKED_OTHERWISE, "")
        return found, ("", "")

    def _end(self, text: str, start: int) -> Span | None:
        """The token that ends the answer at `start`.

        The text is checked to hold no special token that the template did not write.
        """
        if self.end is not None and text.endswith(self.end + self._behind):
            stop = len(text) - len(self._behind)
            begin = stop - len(self.end)
            # Were there another, a chat would stop there.
            return (begin, stop) if text.find(self.end, start) == begin else None
        if self._special is None or self._behind.strip():
            return None
        # Another one than usual, as behind a tool call: the only one at the text's end.
        ends = [token.span() for token in self._special.finditer(text, start)]
        if not ends or text[ends[-1][1] :].strip():
            return None
        alone = len(ends) == 1 or bool(text[ends[-2][1] : ends[-1][0]].strip())
        return ends[-1] if alone else None

    def _agrees(self, found: AnswerText, marked: Sequence[Span], before: str) -> bool:
        """Whether the template's own last mark is this answer, but for its frame.

        A mark may begin with what the template writes to open the turn, and end before or behind
        the token that ends it.
        """
        [(start, stop)], [end] = found.answers, found.ends
        inside = [span for span in marked if span[1] > start]
        if len(inside) != 1:
            return False
        first, last = inside[0]
        opened = len(before) if found.text.startswith(before) else start
        rest = found.text[min(last, stop) : max(last, stop)]
        bare = self._any.sub("", rest) if self._any else rest
        begins = opened <= first <= start or not found.text[start:first].strip()
        return begins and last >= end and not bare.strip()

    def _spelled(self, conversation: Conversation) -> str | None:
        """A special token that stands in the conversation as text.

        Behind the template it could not be told from one that the template wrote.
        """
        if self._special is None:
            return None
        for text in _texts([conversation.template_messages(), list(conversation.tools)]):
            token = self._special.search(text)
            if token:
                return token.group()
        return None


def _assistant_turns(conversation: Conversation) -> list[int]:
    return [at for at, turn in enumerate(conversation.messages) if turn.role == "assistant"]


def _begins(whole: str, one: AnswerText) -> bool:
    """Whether the whole conversation begins with the text up to the end of an answer."""
    stop = one.answers[0][1]
    return whole.startswith(one.text[:stop])


def _one_of(tokens: Iterable[str]) -> re.Pattern[str] | None:
    """What finds any of these tokens, the longest first."""
    ordered = sorted((one for one in tokens if one), key=lambda one: (-len(one), one))
    return re.compile("|".join(re.escape(one) for one in ordered)) if ordered else None


def _texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield name
            yield from _texts(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)
