"""What a corpus's conversations are like, as lines for the terminal."""

from __future__ import annotations

from cptstudio.corpus.conversations.counts import ConversationCounts

_BAR = 30
_SHOWN = 60


def lines_about(counts: ConversationCounts, kept: int) -> list[str]:
    """Return the lines after those about splits.

    Args:
        counts: of a corpus.
        kept: its conversations.
    """
    turns = sum(one.turns for one in counts.roles.values())
    roles = ", ".join(f"{role} {one.turns:,}" for role, one in counts.roles.items())
    forms = ", ".join(f"{count:,} {form}" for form, count in counts.forms.items())
    middle, longest = counts.answer_characters
    lines = [
        f"  Read: {forms}",
        *_left_out(counts),
        f"  Turns: {turns:,} ({roles})",
        f"  Longest conversation: {counts.longest_turns:,} turns, "
        f"{counts.longest_characters:,} characters",
        f"  Answers: median {middle:,} characters, longest {longest:,}",
        *_having(counts),
    ]
    if counts.with_system:
        distinct = "too many to count" if counts.systems is None else f"{counts.systems:,} distinct"
        lines.append(
            f"  System prompts: in {counts.with_system:,} of {kept:,} conversations, {distinct}"
        )
        for one in counts.shared_systems:
            text = " ".join(one.text.split())[:_SHOWN]
            lines.append(f"    in {one.conversations:,}: {text or '(empty)'}")
    return lines


def histogram(counts: ConversationCounts) -> list[str]:
    """Return how many conversations have how many turns, as bars."""
    largest = max(counts.turns.values(), default=1)
    lines = ["", "Conversations by number of turns:"]
    for name, count in counts.turns.items():
        lines.append(f"  {name:>24} {count:>10,} {'█' * round(_BAR * count / largest)}")
    return lines


def _left_out(counts: ConversationCounts) -> list[str]:
    total = sum(counts.left_out.values())
    if not total:
        return []
    return [
        f"  Left out: {total:,} {'record' if total == 1 else 'records'}",
        *(f"    {count:,} x {reason}" for reason, count in counts.left_out.items()),
    ]


def _having(counts: ConversationCounts) -> list[str]:
    told = [
        f"{count:,} with {what}"
        for count, what in (
            (counts.with_reasoning, "reasoning"),
            (counts.with_tools, "tools"),
            (counts.with_calls, "tool calls"),
            (counts.unanswered, "a last turn that nobody answers"),
        )
        if count
    ]
    return [f"  Conversations: {', '.join(told)}"] if told else []
