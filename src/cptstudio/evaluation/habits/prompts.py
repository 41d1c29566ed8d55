"""The built-in prompts that a model's chat habits are measured on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class HabitPrompt:
    """One prompt.

    Attributes:
        id: its name, the same in every version that has it.
        kind: of instruction, such as "format"; "open" without any.
        messages: of the conversation that the model answers.
        checks: what the answer must fulfill, as `checks.fulfills` takes it; empty for "open".
    """

    id: str
    kind: str
    messages: tuple[dict[str, str], ...]
    checks: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class PromptSet:
    """The prompts, and a hash that changes with them."""

    prompts: tuple[HabitPrompt, ...]
    hash: str


@cache
def built_in() -> PromptSet:
    """Return the set that came with this version."""
    source = resources.files("cptstudio").joinpath("data/chat_prompts.json").read_bytes()
    entries = json.loads(source)["prompts"]
    return PromptSet(tuple(map(_prompt, entries)), hashlib.sha256(source).hexdigest())


def _prompt(entry: dict[str, Any]) -> HabitPrompt:
    system = entry.get("system")
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": entry["prompt"]})
    return HabitPrompt(entry["id"], entry["kind"], tuple(messages), tuple(entry["checks"]))
