"""A model's chat template, as conversations are made into its tokens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from cptstudio.corpus.conversations.chat_templates import FIXED_DATE

_RULE: Final = 1
"""Raised where the same template gives other tokens or other answers than it did."""


@dataclass(frozen=True)
class ModelTemplate:
    """A chat template with what it sees.

    Attributes:
        text: in Jinja.
        variables: what it sees besides the messages: the special tokens by name.
    """

    text: str
    variables: Mapping[str, Any]

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all but the tokenizer that decides the tokens of a conversation."""
        content = [_RULE, FIXED_DATE, self.text, dict(self.variables)]
        text = json.dumps(content, separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def writes_date(self) -> bool:
        """Whether it asks for today's date."""
        return "strftime_now" in self.text


def template_of(tokenizer: Any) -> ModelTemplate | None:
    """Return the template of a tokenizer that transformers has loaded; None where it has none."""
    try:
        text = tokenizer.get_chat_template()
    except ValueError:
        return None
    variables = {
        name: value
        for name, value in tokenizer.special_tokens_map.items()
        if isinstance(value, str)
    }
    return ModelTemplate(text, variables)
