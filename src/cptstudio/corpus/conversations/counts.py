"""What the conversations of a corpus are like: turns, roles, lengths, prompts that they share."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

from pydantic import ConfigDict

from cptstudio.corpus.split import new_content_hash
from cptstudio.validation import LateModel

_TURNS: Final = (1, 3, 5, 9, 17, 33)
_CHARACTERS: Final = (0, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
_SYSTEMS: Final = 5
_SHOWN: Final = 300
_MOST_SYSTEMS: Final = 100_000
_EXAMPLES: Final = 3


class SharedSystemPrompt(LateModel):
    """A system prompt, its beginning, and how many conversations have it."""

    model_config = ConfigDict(extra="forbid")

    text: str
    conversations: int


class RoleCounts(LateModel):
    """Turns of a role, and the characters of what it says, thinks and calls."""

    model_config = ConfigDict(extra="forbid")

    turns: int = 0
    characters: int = 0


class ConversationCounts(LateModel):
    """What the conversations of a corpus are like; all but the first two of those that are kept.

    Attributes:
        forms: conversations that were read, by the form they had.
        left_out: records that are no conversations, by the reason, the most frequent first.
        roles: by role, in the order of `ROLES`.
        turns: number of turns -> conversations.
        characters: number of characters -> conversations.
        longest_turns, longest_characters: of one conversation.
        answer_characters: of the median and of the longest answer.
        with_system, with_tools, with_calls, with_reasoning: conversations that have some.
        unanswered: conversations whose last turn is not an assistant's.
        systems: different system prompts; None where they are too many to be counted.
        shared_systems: those that most conversations have.
        examples: numbers of the first conversations for training.
    """

    model_config = ConfigDict(extra="forbid")

    forms: dict[str, int] = {}
    left_out: dict[str, int] = {}
    roles: dict[str, RoleCounts] = {}
    turns: dict[str, int] = {}
    characters: dict[str, int] = {}
    longest_turns: int = 0
    longest_characters: int = 0
    answer_characters: tuple[int, int] = (0, 0)
    with_system: int = 0
    with_tools: int = 0
    with_calls: int = 0
    with_reasoning: int = 0
    unanswered: int = 0
    systems: int | None = 0
    shared_systems: list[SharedSystemPrompt] = []
    examples: list[int] = []


class _Tally:
    """Counts over conversations that come one after the other."""

    def __init__(self) -> None:
        self.roles: dict[str, list[int]] = {}
        self.turns = [0] * len(_TURNS)
        self.characters = [0] * len(_CHARACTERS)
        self.longest = [0, 0]
        self.answers: Counter[int] = Counter()
        self.having: Counter[str] = Counter()
        self.systems: dict[bytes, list[Any]] = {}

    def add(self, value: dict[str, Any]) -> None:
        """Count one, in canonical form."""
        messages = value["messages"]
        total = 0
        has = {"tools"} if "tools" in value else set()
        for turn in messages:
            role, size = turn["role"], len(turn["content"])
            if "reasoning_content" in turn:
                has.add("reasoning")
                size += len(turn["reasoning_content"])
            if "tool_calls" in turn:
                has.add("calls")
                size += len(json.dumps(turn["tool_calls"], ensure_ascii=False))
            counts = self.roles.setdefault(role, [0, 0])
            counts[0] += 1
            counts[1] += size
            total += size
            if role == "assistant":
                self.answers[size] += 1
        if messages[-1]["role"] != "assistant":
            has.add("no answer")
        if messages[0]["role"] in ("system", "developer"):
            has.add("system")
            self._system(messages[0]["content"])
        self.having.update(has)
        self.turns[max(0, bisect_right(_TURNS, len(messages)) - 1)] += 1
        self.characters[bisect_right(_CHARACTERS, total) - 1] += 1
        self.longest = [max(self.longest[0], len(messages)), max(self.longest[1], total)]

    def _system(self, text: str) -> None:
        digest = new_content_hash()
        digest.update(text.encode())
        known = self.systems.get(digest.digest())
        if known is not None:
            known[0] += 1
        elif len(self.systems) <= _MOST_SYSTEMS:
            self.systems[digest.digest()] = [1, text[:_SHOWN]]

    def middle_answer(self) -> int:
        """Return the characters of the median answer."""
        half, passed = (self.answers.total() + 1) // 2, 0
        for size in sorted(self.answers):
            passed += self.answers[size]
            if passed >= half:
                return size
        return 0


def count_conversations(
    texts: Iterable[tuple[int, bytes]],
    roles: Sequence[str],
    forms: Counter[str],
    left_out: Counter[str],
) -> ConversationCounts:
    """Count conversations.

    Args:
        texts: of those that are kept, in canonical form, with their numbers; those for training
            first.
        roles: in the order in which they are told.
        forms: as in `ConversationCounts`.
        left_out: likewise.
    """
    tally = _Tally()
    examples: list[int] = []
    for number, text in texts:
        tally.add(json.loads(text))
        if len(examples) < _EXAMPLES:
            examples.append(number)
    having, known = tally.having, len(tally.systems)
    shared = sorted(tally.systems.values(), key=lambda one: -one[0])[:_SYSTEMS]
    return ConversationCounts(
        forms=dict(forms.most_common()),
        left_out=dict(left_out.most_common()),
        roles={
            role: RoleCounts(turns=tally.roles[role][0], characters=tally.roles[role][1])
            for role in roles
            if role in tally.roles
        },
        turns=_named(_TURNS, tally.turns),
        characters=_named(_CHARACTERS, tally.characters),
        longest_turns=tally.longest[0],
        longest_characters=tally.longest[1],
        answer_characters=(tally.middle_answer(), max(tally.answers, default=0)),
        with_system=having["system"],
        with_tools=having["tools"],
        with_calls=having["calls"],
        with_reasoning=having["reasoning"],
        unanswered=having["no answer"],
        systems=known if known <= _MOST_SYSTEMS else None,
        shared_systems=[
            SharedSystemPrompt(text=text, conversations=count) for count, text in shared
        ],
        examples=examples,
    )


def _named(edges: Sequence[int], counts: Sequence[int]) -> dict[str, int]:
    names = [f"{low:,} to {high - 1:,}" for low, high in pairwise(edges)] + [
        f"{edges[-1]:,} or more"
    ]
    return {name: count for name, count in zip(names, counts, strict=True) if count}
