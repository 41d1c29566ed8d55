"""How a model's chat is formed: which tokens end an answer, and which tags mark its parts.

Two things decide where an answer ends, and they often disagree after continued pre-training: what
the model's files name as an end (generation_config.json or config.json, and the tokenizer's EOS),
and what its chat template writes after an answer, which is what an instruct model was taught to
write. A text stops at any of them here; each says who named it, so that a page can show where
other programs would go on. Imports no MLX.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from cptstudio.corpus.conversations.chat_templates import Rendered, Rendering
from cptstudio.durable import integer, read_foreign_json
from cptstudio.errors import UserError

RenderAll = Callable[[str, Sequence[Rendering], dict[str, Any]], list[Rendered]]
"""Renders a template several times, as `TemplateRenderer.render_all` does."""

CHAT_TEMPLATE: Final = "chat template"
TOKENIZER: Final = "tokenizer"
GENERATION: Final = "generation_config.json"
CONFIG: Final = "config.json"

_QUESTION, _ANSWER = "Question", "qx7Answer7xq"
_LONGEST_SENTENCE: Final = 300


@dataclass(frozen=True)
class EndToken:
    """A token that ends a text.

    Attributes:
        id: the token.
        text: as the tokenizer spells it.
        named_by: who says so: "chat template", "generation_config.json", "config.json",
            "tokenizer".
    """

    id: int
    text: str
    named_by: tuple[str, ...]


@dataclass(frozen=True)
class ChatFormat:
    """How a model's chat is formed.

    Attributes:
        has_template: there is a chat template.
        ends: tokens that end an answer, the template's own first.
        turn_end: text of the token that the template writes after an answer; None where it writes
            none, or could not be applied.
        opens_thinking: the tag with which the prompt of an answer ends, such as "<think>", so that
            the answer begins with thinking; empty where it does not.
        problem: why the template could not be asked.
    """

    has_template: bool
    ends: tuple[EndToken, ...]
    turn_end: str | None = None
    opens_thinking: str = ""
    problem: str | None = None

    @property
    def end_ids(self) -> frozenset[int]:
        """Return the ids that end an answer."""
        return frozenset(end.id for end in self.ends)

    @property
    def warning(self) -> str | None:
        """Return what other programs would do otherwise; None where they agree."""
        if self.problem is not None:
            return self.problem
        if not self.has_template:
            return None
        if self.turn_end is None:
            return (
                "The chat template marks the end of an answer with no token, so a text may go on "
                "past its answer."
            )
        own = next((end for end in self.ends if end.text == self.turn_end), None)
        if own is not None and own.named_by == (CHAT_TEMPLATE,):
            return (
                f"The chat template ends an answer with {self.turn_end}, but neither "
                f"{GENERATION} nor the tokenizer names it: other programs may not stop there."
            )
        return None

    def as_json(self) -> dict[str, Any]:
        """Return it as a program answers it."""
        return asdict(self)


def format_from(told: Mapping[str, Any]) -> ChatFormat:
    """Return what `as_json` made."""
    ends = tuple(EndToken(one["id"], one["text"], tuple(one["named_by"])) for one in told["ends"])
    return ChatFormat(**{**told, "ends": ends})


def sentence_of(given: ChatFormat) -> str:
    """Return where an answer ends, such as "<|im_end|> (chat template, generation_config.json)"."""
    ends = [f"{end.text} ({', '.join(end.named_by)})" for end in given.ends]
    return "; ".join(ends) if ends else "no token ends a text"


def chat_format(folder: Path, tokenizer: Any, render: RenderAll) -> ChatFormat:
    """Find out how the chat of the model in a folder is formed.

    Args:
        tokenizer: of that folder: transformers' own, or mlx-lm's wrapper around it.
        render: renders the template of this tokenizer.
    """
    found: dict[int, list[str]] = {}
    template = template_of(tokenizer)
    turn_end, opens, problem = None, "", None
    if has_template(tokenizer):
        try:
            turn_end, opens = _ask_template(tokenizer, template, render)
        except UserError as error:
            problem = error.message[:_LONGEST_SENTENCE]
    if turn_end is not None:
        found[int(tokenizer.convert_tokens_to_ids(turn_end))] = [CHAT_TEMPLATE]
    for ids, source in _named(folder, tokenizer):
        for token in ids:
            found.setdefault(token, []).append(source)
    ends = tuple(
        EndToken(token, spelled(tokenizer, token), tuple(sources))
        for token, sources in found.items()
    )
    return ChatFormat(has_template(tokenizer), ends, turn_end, opens, problem)


def has_template(tokenizer: Any) -> bool:
    """Whether a tokenizer, mlx-lm's or transformers' own, can form a chat."""
    own = getattr(tokenizer, "has_chat_template", None)
    return bool(tokenizer.chat_template) if own is None else bool(own)


def template_of(tokenizer: Any) -> str | None:
    """Return the template in Jinja; None where there is none, or a library's code in its place."""
    try:
        return str(tokenizer.get_chat_template()) if tokenizer.chat_template else None
    except ValueError:
        return None


def template_variables(tokenizer: Any) -> dict[str, Any]:
    """Return what a template sees besides the messages, as mlx-lm and transformers have it."""
    thinks = getattr(tokenizer, "has_thinking", None)
    if thinks is None:
        vocabulary = tokenizer.get_vocab()
        thinks = any(start in vocabulary and end in vocabulary for start, end, _ in _thinking())
    return {**tokenizer.special_tokens_map, "enable_thinking": bool(thinks)}


def _ask_template(
    tokenizer: Any, template: str | None, render: RenderAll
) -> tuple[str | None, str]:
    """The text of the token after an answer, and the tag of thinking that a prompt ends with."""
    if template is None:
        return None, ""
    question = {"role": "user", "content": _QUESTION}
    answered = [question, {"role": "assistant", "content": _ANSWER}]
    variables = template_variables(tokenizer)
    wanted = [Rendering(answered, False), Rendering([question], True)]
    whole, asked = render(template, wanted, variables)
    for one in (whole, asked):
        if one.refused is not None:
            raise UserError(f"The chat template cannot be applied: {one.refused}")
    _, answer, after = whole.text.rpartition(_ANSWER)
    if not answer:
        raise UserError("The chat template leaves out the model's own answers.")
    prompt = asked.text.rstrip()
    opens = next((start for start, _, _ in _thinking() if prompt.endswith(start)), "")
    after = after.lstrip()
    added = sorted(tokenizer.get_added_vocab(), key=len, reverse=True)
    return next((one for one in added if one and after.startswith(one)), None), opens


def _thinking() -> list[tuple[str, str, Kind]]:
    return [one for one in TAGS if one[2] == "thinking"]


def _named(folder: Path, tokenizer: Any) -> list[tuple[list[int], str]]:
    """The ends that a model's files name, as mlx-lm reads them."""
    # generation_config.json wins over config.json, in mlx-lm and in transformers.
    source, ids = GENERATION, _ids(_read(folder / GENERATION).get("eos_token_id"))
    if not ids:
        source, ids = CONFIG, _ids(_read(folder / CONFIG).get("eos_token_id"))
    own = tokenizer.eos_token_id
    return [(ids, source), ([int(own)] if own is not None else [], TOKENIZER)]


def _ids(value: Any) -> list[int]:
    listed = value if isinstance(value, list) else [value]
    return [one for one in map(integer, listed) if one is not None and one >= 0]


def _read(file: Path) -> dict[str, Any]:
    try:
        content = read_foreign_json(file)
    except (OSError, ValueError, UserError):
        return {}
    return content if isinstance(content, dict) else {}


def spelled(tokenizer: Any, token: int) -> str:
    """Return a token as the tokenizer spells it, such as "<|im_end|>"."""
    try:
        found = tokenizer.convert_ids_to_tokens(token)
    except (IndexError, OverflowError, ValueError):
        found = None
    return f"token {token}" if found is None else str(found)


# --- the parts of an answer ------------------------------------------------------------------

Kind = Literal["text", "thinking", "call"]

TAGS: Final[tuple[tuple[str, str, Kind], ...]] = (
    # DeepSeek, Qwen and SmolLM3; a habit of many; LongCat; Seed; Magistral; Command A; Gemma 4.
    ("<think>", "</think>", "thinking"),
    ("<thinking>", "</thinking>", "thinking"),
    ("<longcat_think>", "</longcat_think>", "thinking"),
    ("<seed:think>", "</seed:think>", "thinking"),
    ("<|think:start|>", "<|think:end|>", "thinking"),
    ("[THINK]", "[/THINK]", "thinking"),
    ("<|START_THINKING|>", "<|END_THINKING|>", "thinking"),
    ("<|channel>thought", "<channel|>", "thinking"),
    # gpt-oss (github.com/openai/harmony): channels, of which the last is what is said.
    ("<|channel|>analysis<|message|>", "<|end|>", "thinking"),
    ("<|start|>assistant<|channel|>final<|message|>", "<|return|>", "text"),
    ("<|channel|>final<|message|>", "<|return|>", "text"),
    # As mlx-lm's parsers of tool calls know them.
    ("<tool_call>", "</tool_call>", "call"),
    ("<|tool_call_start|>", "<|tool_call_end|>", "call"),
    ("<|tool_call>", "<tool_call|>", "call"),
    ("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "call"),
    ("<|START_ACTION|>", "<|END_ACTION|>", "call"),
    ("<longcat_tool_call>", "</longcat_tool_call>", "call"),
    ("<minimax:tool_call>", "</minimax:tool_call>", "call"),
    ("<start_function_call>", "<end_function_call>", "call"),
    ("[TOOL_CALLS]", "", "call"),
    ("<|python_tag|>", "", "call"),
)
"""What stands around the parts of an answer; without an end tag a part takes the rest."""


@dataclass(frozen=True)
class Part:
    """A part of an answer.

    Attributes:
        kind: what it is.
        text: without its tags.
        open: its end has not come.
        tags: what stood around it; empty texts for what had none.
    """

    kind: Kind
    text: str
    open: bool = False
    tags: tuple[str, str] = ("", "")


def parts_of(answer: str, opens: str = "") -> list[Part]:
    """Split an answer into what is said, thinking, and tool calls.

    Args:
        opens: tag with which the prompt ended, as in `ChatFormat.opens_thinking`.

    The pages do the same in `lib/answer_parts.js`; one test holds both to the same table.
    """
    parts: list[Part] = []
    rest = opens + answer if opens and not answer.lstrip().startswith(opens) else answer
    while rest:
        found = [(rest.find(start), -len(start), start, end, kind) for start, end, kind in TAGS]
        found = [one for one in found if one[0] >= 0]
        if not found:
            parts.append(Part("text", rest))
            break
        place, _, start, end, kind = min(found)
        parts.append(Part("text", rest[:place]))
        inner = rest[place + len(start) :]
        until = inner.find(end) if end else -1
        text = inner if until < 0 else inner[:until]
        parts.append(Part(kind, text, until < 0, (start, end)))
        rest = "" if until < 0 else inner[until + len(end) :]
    return [part for part in parts if part.text.strip() or part.kind == "thinking"]


def said_again(answer: str, opens: str = "") -> dict[str, str]:
    """Return an answer as a message of the next prompt: thinking apart from what was said.

    Makers' templates take `reasoning_content` and leave former thinking out, as they were trained.
    """
    parts = parts_of(answer, opens)
    thinking = [part.text.strip() for part in parts if part.kind == "thinking"]
    if not thinking:
        return {"role": "assistant", "content": answer}
    said = [
        part.text if part.kind == "text" else f"{part.tags[0]}{part.text}{part.tags[1]}"
        for part in parts
        if part.kind != "thinking"
    ]
    content = {"role": "assistant", "content": "".join(said).strip()}
    kept = "\n".join(one for one in thinking if one)
    return {**content, "reasoning_content": kept} if kept else content
