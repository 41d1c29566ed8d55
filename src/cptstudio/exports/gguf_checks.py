"""Whether tokenizer and chat template arrived in a GGUF file as the model has them.

The file's own words are compared with the tokenizer's files as transformers reads them, and then
llama.cpp itself splits texts, with special tokens and conversations among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cptstudio.errors import UserError
from cptstudio.exports.ollama_template import Render

_CONTROL: Final = (2, 3, 5)
"""Types of tokens in a file that no plain text becomes: unknown, control and unused."""

TEXTS: Final = (
    "The valve opens at seven bar, and the pump stops when the tank is full.",
    "def area(width: float) -> float:\n    return width * 3.14159\n\n\nprint(area(2))\n",
    "Wer zuletzt lacht, lacht am besten. Où est la gare ? ¿Qué tal?",
    "你好,世界。こんにちは 🦙🦙 1234567 3.14",
    "It's I'll WE'VE don't CamelCase snake_case kebab-case a/b\\c",
    "Привет, мир! नमस्ते שלום مرحبا",
    "",
)
"""Ordinary text: where llama.cpp splits it otherwise, it reads something else than was trained."""

EDGES: Final = (
    "  leading spaces, tabs\t\tand   many    spaces  \n\n\n  ",
    "\n\n a newline first, \u00a0 a space that does not break, \u200d and a joiner",
)
"""Where programs are known to differ."""


@dataclass(frozen=True)
class SourceTokenizer:
    """What a model's tokenizer is, by its own files.

    Attributes:
        encode: ids of a text, with the start token where the tokenizer puts one when `special`.
        special: text of each special token, by its id.
        start, end: ids; None where there is none.
        adds_start: each text begins with the start token.
        template: the chat template in Jinja, or None.
        variables: what it sees besides the messages.
    """

    encode: Callable[[str, bool], list[int]]
    special: Mapping[int, str]
    start: int | None
    end: int | None
    adds_start: bool
    template: str | None
    variables: dict[str, Any]

    def text_of(self, token: int | None) -> str | None:
        """Return the text of a special token."""
        return None if token is None else self.special.get(token)


def read_tokenizer(folder: Path) -> SourceTokenizer:
    """Read the tokenizer of a model folder, running no code of the model's.

    Raises:
        UserError: transformers cannot read it.
    """
    from transformers import AutoTokenizer

    try:
        read: Any = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        # Whatever a foreign file makes the library raise, the reason belongs to the user.
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"The tokenizer in {folder} cannot be read: {reason[0]}") from None
    special = {
        int(number): str(token.content)
        for number, token in read.added_tokens_decoder.items()
        if token.special
    }

    def encode(text: str, with_special: bool) -> list[int]:
        return [int(one) for one in read(text, add_special_tokens=with_special)["input_ids"]]

    template = read.chat_template
    return SourceTokenizer(
        encode=encode,
        special=special,
        start=read.bos_token_id,
        end=read.eos_token_id,
        adds_start=read.bos_token_id is not None and encode("x", True)[:1] == [read.bos_token_id],
        template=template if isinstance(template, str) else None,
        variables=dict(read.special_tokens_map),
    )


def check_fields(source: SourceTokenizer, fields: Mapping[str, Any]) -> list[str]:
    """Return what is otherwise in the file than in the model, a sentence each."""
    tokens, types = fields["tokenizer.ggml.tokens"], fields.get("tokenizer.ggml.token_type", [])
    found = []
    for name, wanted in (("bos", source.start), ("eos", source.end)):
        there = fields.get(f"tokenizer.ggml.{name}_token_id")
        if wanted is not None and there != wanted:
            found.append(f"Its {name.upper()} token is {there}, and the model's is {wanted}.")
    if bool(fields.get("tokenizer.ggml.add_bos_token", source.adds_start)) != source.adds_start:
        does = "begins" if source.adds_start else "does not begin"
        found.append(f"The model's tokenizer {does} a text with BOS, and the file says otherwise.")
    if fields.get("tokenizer.chat_template") != source.template:
        found.append("Its chat template is not the model's.")
    wrong = [
        f"{text!r} ({number})"
        for number, text in source.special.items()
        if number >= len(tokens) or tokens[number] != text or types[number] not in _CONTROL
    ]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        found.append(f"A special token did not arrive as one: {wrong[0]}{more}.")
    return found


def check_splitting(
    source: SourceTokenizer, split: Callable[[str, bool], list[int]], render: Render | None
) -> list[str]:
    """Return which unusual texts llama.cpp splits into other tokens, a sentence or none.

    Args:
        split: llama.cpp's ids of a text, with the start token where the file says so.
        render: applies the chat template; None where there is none.

    Raises:
        UserError: it does so with ordinary text, special tokens or a conversation.
    """
    texts = [(text, True) for text in TEXTS]
    # Some tokenizers put a space between the two, as many as llama.cpp does.
    texts += [(f"{token}one", False) for token in list(source.special.values())[:8]]
    if render is not None:
        conversation = [
            {"role": "user", "content": "What is 2 + 2?"},
            {"role": "assistant", "content": "4."},
            {"role": "user", "content": "And 3 + 3?"},
        ]
        texts.append((render(conversation), False))
    wrong = _differing(source, split, texts)
    if wrong:
        raise UserError(
            f"llama.cpp splits {len(wrong)} of {len(texts)} sample texts into other tokens than "
            f"the model's tokenizer does, the first of them: {wrong[0][:60]!r}. It would read "
            "something else than the model was trained on, so the file was not kept."
        )
    odd = _differing(source, split, [(text, True) for text in EDGES])
    if not odd:
        return []
    return [
        "llama.cpp splits unusual white space into other tokens than the model's tokenizer does, "
        f"such as {odd[0][:30]!r}."
    ]


def _differing(
    source: SourceTokenizer,
    split: Callable[[str, bool], list[int]],
    texts: list[tuple[str, bool]],
) -> list[str]:
    return [text for text, whole in texts if split(text, whole) != source.encode(text, whole)]
