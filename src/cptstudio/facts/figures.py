"""What models know of a ledger, in numbers: by state, by document, with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Literal

from cptstudio.facts.asking import Answers
from cptstudio.intervals import paired_share_interval, share_of
from cptstudio.ledgers.fact import Fact
from cptstudio.ledgers.knowing import GUESSES, STATES, Answer, State, guesses_of, state_of

Group = Literal["trained", "held_out", "all"]
GROUPS: Final[tuple[Group, ...]] = ("trained", "held_out", "all")
_SHOWN = 500


def found_of(
    facts: Sequence[Fact],
    groups: Sequence[Group],
    labels: Sequence[str],
    answers: Sequence[Answers],
) -> dict[str, Any]:
    """Return what models know; the first one is the baseline that others are compared with.

    Args:
        facts: of a ledger.
        groups: of each fact.
        labels: of the models.
        answers: of each model.

    Returns:
        {"guesses": expected part of guesses among facts called known, "models": [{"label",
        "groups", "reversed", "open", "said", "states", "documents"}], "facts": [...]}; shares are
        {"value", "low", "high", "right", "facts"}. "states" and "documents" are those of the
        models after the first.
    """
    guesses = [_guesses(groups, one.closed) for one in answers]
    models = []
    for number, label in enumerate(labels):
        entry: dict[str, Any] = {
            "label": label,
            **_of_model(groups, answers[number], guesses[number]),
        }
        if number:
            states = _states(answers[0], guesses[0], answers[number], guesses[number])
            entry["states"] = {
                group: _counts(
                    [state for state, of in zip(states, groups, strict=True) if of == group]
                )
                for group in GROUPS
                if group in groups
            }
            entry["gain"] = {
                group: _gain(groups, group, answers[0].closed, answers[number].closed)
                for group in GROUPS
                if group in groups
            }
            entry["documents"] = _by_document(facts, groups, states)
            entry["fact_states"] = states
        models.append(entry)
    return {
        "guesses": GUESSES,
        "models": [{k: v for k, v in one.items() if k != "fact_states"} for one in models],
        "facts": [
            {
                "id": fact.id,
                "document": fact.source.label or fact.source.document,
                "group": groups[index],
                "shown": fact.shown[:_SHOWN],
                "answer": fact.answer,
                "models": [
                    _of_fact(index, answers[number], guesses[number])
                    | ({"state": models[number]["fact_states"][index]} if number else {})
                    for number in range(len(labels))
                ],
            }
            for index, fact in enumerate(facts)
        ],
    }


def _guesses(groups: Sequence[Group], closed: Sequence[Answer | None]) -> list[float | None]:
    """Each fact's q-value, among those of its group: held-out facts are mostly guesses."""
    found: list[float | None] = [None] * len(closed)
    for group in GROUPS:
        here = [
            (index, answer)
            for index, answer in enumerate(closed)
            if answer is not None and groups[index] == group
        ]
        shares = guesses_of([answer for _, answer in here])
        for (index, _), share in zip(here, shares, strict=True):
            found[index] = share
    return found


def _states(
    base: Answers, base_guesses: list[float | None], now: Answers, now_guesses: list[float | None]
) -> list[State | None]:
    found: list[State | None] = []
    for before, guess_before, after, guess_after in zip(
        base.closed, base_guesses, now.closed, now_guesses, strict=True
    ):
        if before is None or after is None or guess_before is None or guess_after is None:
            found.append(None)
        else:
            found.append(state_of(before, guess_before, after, guess_after))
    return found


def _of_model(
    groups: Sequence[Group], answers: Answers, guesses: Sequence[float | None]
) -> dict[str, Any]:
    return {
        "groups": {
            group: _of_group(groups, group, answers, guesses) for group in GROUPS if group in groups
        },
        "said_by_chance": answers.said_by_chance,
    }


def _of_group(
    groups: Sequence[Group], group: Group, answers: Answers, guesses: Sequence[float | None]
) -> dict[str, Any]:
    def of(values: Sequence[Answer | None]) -> list[Answer]:
        return [
            value
            for value, its in zip(values, groups, strict=True)
            if its == group and value is not None
        ]

    closed = of(answers.closed)
    said = [value for value, its in zip(answers.said, groups, strict=True) if its == group]
    known = sum(
        guess is not None and guess <= GUESSES
        for guess, its in zip(guesses, groups, strict=True)
        if its == group
    )
    return {
        "right": _leading(closed),
        "chance": _chance(closed),
        "above_chance": _above_chance(closed),
        "known": share(known, len(closed)),
        "reversed": _leading(of(answers.reversed)),
        "open_book": _leading(of(answers.open)),
        "said": share(
            sum(value is True for value in said), sum(value is not None for value in said)
        ),
    }


def share(right: int, count: int) -> dict[str, Any] | None:
    """Return a share with its interval; None of nothing."""
    found = share_of([True] * right + [False] * (count - right))
    if found is None:
        return None
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "right": right,
        "facts": count,
    }


def _leading(answers: Sequence[Answer]) -> dict[str, Any] | None:
    return share(sum(answer.leads for answer in answers), len(answers))


def _chance(answers: Sequence[Answer]) -> float | None:
    """How many a model gets right that prefers any option as often as another."""
    if not answers:
        return None
    return sum(1 / (answer.distractors + 1) for answer in answers) / len(answers)


def _above_chance(answers: Sequence[Answer]) -> dict[str, Any] | None:
    """The share that is known, where the rest is guessed: what chance gives is taken off."""
    right, chance = _leading(answers), _chance(answers)
    if right is None or chance is None:
        return None

    def corrected(value: float) -> float:
        return max(0.0, (value - chance) / (1 - chance))

    return {name: corrected(right[name]) for name in ("value", "low", "high")}


def _gain(
    groups: Sequence[Group],
    group: Group,
    before: Sequence[Answer | None],
    after: Sequence[Answer | None],
) -> dict[str, Any] | None:
    """How many more are answered right, asked of the same facts twice."""
    pairs = [
        (one.leads, other.leads)
        for one, other, its in zip(before, after, groups, strict=True)
        if its == group and one is not None and other is not None
    ]
    gained = sum(now and not was for was, now in pairs)
    lost = sum(was and not now for was, now in pairs)
    interval = paired_share_interval(gained, lost, len(pairs))
    if interval is None:
        return None
    low, high = interval
    value = (gained - lost) / len(pairs)
    return {"value": value, "low": low, "high": high, "gained": gained, "lost": lost}


def _counts(states: Sequence[State | None]) -> dict[str, Any]:
    asked = [state for state in states if state is not None]
    counted = Counter(asked)
    return {state: share(counted[state], len(asked)) for state in STATES}


def _by_document(
    facts: Sequence[Fact], groups: Sequence[Group], states: Sequence[State | None]
) -> list[dict[str, Any]]:
    """The states of each document's facts; one that is held out by sections has a row for both."""
    of: dict[tuple[str, Group], list[State | None]] = {}
    for fact, group, state in zip(facts, groups, states, strict=True):
        name = fact.source.label or fact.source.document
        of.setdefault((name, group), []).append(state)
    return [
        {"document": name, "group": group, "facts": len(found), "states": _counts(found)}
        for (name, group), found in sorted(of.items())
    ]


def _of_fact(index: int, answers: Answers, guesses: Sequence[float | None]) -> dict[str, Any]:
    closed, back = answers.closed[index], answers.reversed[index]
    opened = answers.open[index]
    if closed is None:
        return {"said": answers.said[index]}
    interval = share(closed.right, closed.wordings)
    return {
        "leads": closed.leads,
        "margin": closed.margin,
        "guess": guesses[index],
        "options": closed.distractors + 1,
        "wordings": closed.wordings,
        "right": closed.right,
        "low": interval["low"] if interval else None,
        "high": interval["high"] if interval else None,
        "reversed": None if back is None else back.leads,
        "open_book": None if opened is None else opened.leads,
        "said": answers.said[index],
    }
