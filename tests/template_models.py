"""Toy models that chat: real chat templates, with their special tokens, over toy tokenizers.

`tests/data/chat_templates/` holds the templates as their makers published them; index.json names
the source of each, its special tokens and the others that it was published with.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.conversations.conversation import Conversation
from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.manifest import BuildSettings
from tests.toy_models import VOCABULARY_SIZE, make_toy_model, save_toy_tokenizer

TEMPLATES = Path(__file__).parent / "data" / "chat_templates"
_ROOM = 64
"""Rows of the embedding for added tokens."""


@dataclass(frozen=True)
class PublishedTemplate:
    """A chat template as it was published.

    Attributes:
        text: in Jinja.
        source: where it is from.
        special: special tokens that it or its model uses.
        added: other added tokens.
        bos: begins texts.
        eos: ends texts.
        takes_spaces_behind: added tokens that the spaces behind them become a part of.
    """

    name: str
    text: str
    source: str
    special: tuple[str, ...]
    added: tuple[str, ...]
    bos: str | None
    eos: str
    takes_spaces_behind: tuple[str, ...]


@cache
def published_templates() -> dict[str, PublishedTemplate]:
    index = json.loads((TEMPLATES / "index.json").read_text(encoding="utf-8"))
    return {
        name: PublishedTemplate(
            name,
            (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8"),
            facts["source"],
            tuple(facts["special"]),
            tuple(facts["added"]),
            facts["bos"],
            facts["eos"],
            tuple(facts.get("takes_spaces_behind", ())),
        )
        for name, facts in index.items()
    }


def make_chat_model(
    folder: Path, template: PublishedTemplate, architecture: str = "llama-tied", **changes: Any
) -> Path:
    """Write a toy model whose tokenizer has a template and its tokens."""
    make_toy_model(architecture, folder, vocab_size=VOCABULARY_SIZE + _ROOM, **changes)
    return give_template(folder, template)


def make_chat_tokenizer(folder: Path, template: PublishedTemplate) -> Path:
    """Write such a model's tokenizer alone."""
    save_toy_tokenizer(folder)
    return give_template(folder, template)


def give_template(folder: Path, template: PublishedTemplate) -> Path:
    """Give a toy's tokenizer a template and its tokens."""
    from tokenizers import AddedToken, Tokenizer
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.add_special_tokens(
        [
            AddedToken(one, special=True, rstrip=one in template.takes_spaces_behind)
            for one in template.special
        ]
    )
    backend.add_tokens([AddedToken(one, special=False) for one in template.added])
    assert backend.get_vocab_size() <= VOCABULARY_SIZE + _ROOM
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=template.eos, bos_token=template.bos
    )
    tokenizer.chat_template = template.text
    tokenizer.save_pretrained(folder)
    return folder


def build_conversations(
    folder: Path, conversations: Iterable[Sequence[tuple[str, str]] | dict[str, Any]], model: Path
) -> Corpus:
    """Build a corpus of conversations, given as (role, content) or in the canonical form."""
    source = folder.parent.parent / "sources" / f"{folder.name}.jsonl"
    source.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        Conversation.of(
            one
            if isinstance(one, dict)
            else {"messages": [{"role": role, "content": text} for role, text in one]}
        ).to_json()
        for one in conversations
    ]
    source.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    folder.parent.mkdir(parents=True, exist_ok=True)
    settings = BuildSettings(kind="conversations", near_dedup=False, validation=0.1, test=0.0)
    return build_corpus(folder, [source], settings, model).corpus


def marked(
    tokens: Sequence[int], counts: Sequence[bool], decode: Callable[[list[int]], str]
) -> str:
    """The text of tokens, with what counts between ⟦ and ⟧."""
    text = ""
    for counted, run in itertools.groupby(zip(tokens, counts, strict=True), key=lambda one: one[1]):
        piece = decode([int(token) for token, _ in run])
        text += f"⟦{piece}⟧" if counted else piece
    return text
