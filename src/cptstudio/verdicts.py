"""A run's verdict in a sentence or two: did it learn, did it forget, how certain is it.

A verdict is made of what evaluations measured and of nothing else. Each change has the 95 %
interval that its row tells, and what may be claimed of it is one rule for all that compares
(`cptstudio.intervals`). Runs of before kept no intervals: their changes are told without a claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import Field

from cptstudio.intervals import claim_of
from cptstudio.run_rows import Row, finite, whole
from cptstudio.validation import LateModel

_RISES_AGAIN: Final = 0.01
_FEW_DOCUMENTS: Final = 8

Kind = Literal[
    "learning", "forgetting", "unchanged", "diverging", "diverged", "past its best", "unsure",
    "untold", "early", "too little",
]  # fmt: skip
Tone = Literal["good", "warn", "bad", "neutral"]


class VerdictPart(LateModel, frozen=True):
    """A part of a verdict.

    Attributes:
        text: a sentence.
        short: for lists.
    """

    kind: Kind
    tone: Tone
    text: str
    short: str


class Verdict(LateModel, frozen=True):
    """A run's verdict, from its evaluations.

    Attributes:
        text: all of it.
        short: the same in a few words; "" where there is nothing worth a place in a list.
        tone: of the worst part.
        parts: its sentences.
        advice: what may be done about it, or "".
        merge: whether the advice is to merge it with its base.
        step: of the evaluation that it is about.
        basis: how it was measured, or "".
    """

    text: str
    short: str
    tone: Tone
    parts: list[VerdictPart]
    advice: str = ""
    merge: bool = False
    step: int | None = None
    basis: str = Field("", description="What the percentages are.")


BASIS: Final = (
    "Change in bits per byte on held-out text since the start of the run, with its 95% confidence "
    "interval."
)
_MINUS: Final = "\N{MINUS SIGN}"
_MERGE: Final = "A merge may keep most of the gain: measure it."
_TOO_LITTLE: Final = "Too little held-out text to be sure:"
_MORE_TEXT: Final = "Increase the evaluation size or the validation split."


def verdict_of(evaluations: Sequence[Row], *, alive: bool, trained: bool = True) -> Verdict | None:
    """Return what a run's evaluations say; None where it is too early to say anything.

    Args:
        evaluations: rows that hold, in order: the first one and the newest one at least.
        alive: whether more may come.
        trained: whether a step was done.
    """
    if not evaluations:
        if alive or not trained:
            return None
        return _only("early", "No held-out text was measured.", "", None)
    last = evaluations[-1]
    step = whole(last.get("step"))
    if step is None:
        return None
    broken = _broken(last)
    if broken is not None:
        text = (
            f"Diverged: the {broken} loss on held-out text is not a number at step {step:,}. Use a "
            "lower learning rate."
        )
        return _verdict(
            [VerdictPart(kind="diverged", tone="bad", text=text, short="Diverged")], step
        )
    if len(evaluations) == 1:
        what = "the next one will show a change" if alive else "there is nothing to compare it with"
        return _only("early", f"Only one evaluation, at step {step:,}: {what}.", "", step)
    changes = _mapping(last.get("changes"))
    start = _mapping(changes.get("start"))
    if not start:
        return _untold(evaluations[0], last, step)
    domain, general = _mapping(start.get("domain")), _mapping(start.get("general"))
    parts = _of_domain(domain)
    if not any(part.kind == "diverging" for part in parts):
        parts += _past_its_best(_mapping(changes.get("best")))
    parts += _of_general(general)
    parts = _together(parts)
    kinds = {part.kind for part in parts}
    if not parts:
        return _untold(evaluations[0], last, step)
    merge = {"learning", "forgetting"} <= kinds and not alive
    advice = _MERGE if merge else _MORE_TEXT if "too little" in kinds else ""
    return _verdict(parts, step, advice, merge, _basis(domain or general))


class Against(LateModel, frozen=True):
    """How a run's last evaluation differs from the baseline's, on the same held-out text.

    Attributes:
        text: a sentence; why there is none where the two cannot be compared.
        tone: of the domain's change; "neutral" where nothing is sure.
    """

    text: str
    tone: Tone = "neutral"


NOT_COMPARABLE: Final = Against(text="Not comparable: evaluated on different held-out text.")


def against_baseline(changes: Mapping[str, Mapping[str, Any]]) -> Against:
    """Return how a run differs from the baseline, given a `Change` by role as plain values."""
    told: list[str] = []
    tone: Tone = "neutral"
    for role, change in changes.items():
        value, low, high = _numbers(change)
        if value is None:
            continue
        if low is None or high is None:
            told.append(f"{role} {_percent(value)} (too little held-out text to be sure)")
            continue
        claim = claim_of(value, low, high)
        words = claim if claim in ("better", "worse") else "no sure difference"
        told.append(f"{role} {words}, {_percent(value)} {_range(value, low, high)}")
        if role == "domain":
            tone = "good" if claim == "better" else "warn" if claim == "worse" else "neutral"
    if not told:
        return NOT_COMPARABLE
    text = "; ".join(told)
    return Against(text=f"{text[0].upper()}{text[1:]}.", tone=tone)


def _verdict(
    parts: list[VerdictPart],
    step: int | None,
    advice: str = "",
    merge: bool = False,
    basis: str = "",
) -> Verdict:
    tones: tuple[Tone, ...] = ("bad", "warn", "good", "neutral")
    return Verdict(
        text=" ".join([part.text for part in parts] + [advice] * bool(advice)),
        short=" · ".join(part.short for part in parts if part.short),
        tone=next(tone for tone in tones if tone in {part.tone for part in parts}),
        parts=parts,
        advice=advice,
        merge=merge,
        step=step,
        basis=basis,
    )


def _only(kind: Kind, text: str, short: str, step: int | None) -> Verdict:
    return _verdict([VerdictPart(kind=kind, tone="neutral", text=text, short=short)], step)


def _of_domain(change: Mapping[str, Any]) -> list[VerdictPart]:
    value, low, high = _numbers(change)
    if value is None:
        return []
    if low is None or high is None:
        return [_too_little("domain", value, change)]
    told = f"domain {_percent(value)} {_range(value, low, high)}"
    short, claim = _percent(value), claim_of(value, low, high)
    if claim == "unsure":
        text = f"No sure change: {told}."
        return [VerdictPart(kind="unsure", tone="neutral", text=text, short="No sure change")]
    if claim == "hardly":
        text = f"Hardly any change: {told}."
        return [VerdictPart(kind="unchanged", tone="neutral", text=text, short="Hardly any change")]
    if claim == "better":
        text = f"Learning: {told}."
        return [VerdictPart(kind="learning", tone="good", text=text, short=f"Learning {short}")]
    text = f"Diverging: {told} since the start. Use a lower learning rate."
    return [VerdictPart(kind="diverging", tone="bad", text=text, short=f"Diverging {short}")]


def _past_its_best(best: Mapping[str, Any]) -> list[VerdictPart]:
    change, step = _mapping(best.get("domain")), whole(best.get("step"))
    value, low, high = _numbers(change)
    if step is None or value is None or low is None or high is None:
        return []
    if low <= 0 or value < _RISES_AGAIN:
        return []
    text = (
        f"Past its best: domain {_percent(value)} {_range(value, low, high)} since step {step:,}."
    )
    short = f"Past its best {_percent(value)}"
    return [VerdictPart(kind="past its best", tone="warn", text=text, short=short)]


def _of_general(change: Mapping[str, Any]) -> list[VerdictPart]:
    value, low, high = _numbers(change)
    if value is None:
        return []
    if low is None or high is None:
        return [_too_little("general", value, change)]
    told, claim = f"{_percent(value)} {_range(value, low, high)}", claim_of(value, low, high)
    if claim == "unsure":
        text = f"General: no sure change, {told}."
        return [VerdictPart(kind="unsure", tone="neutral", text=text, short="")]
    if claim == "hardly":
        text = f"General: hardly any change, {told}."
        return [VerdictPart(kind="unchanged", tone="neutral", text=text, short="")]
    if claim == "better":
        text = f"General improved, too: {told}."
        return [
            VerdictPart(kind="learning", tone="good", text=text, short=f"General {_percent(value)}")
        ]
    text = f"Forgetting: general {told}."
    short = f"Forgetting {_percent(value)}"
    return [VerdictPart(kind="forgetting", tone="warn", text=text, short=short)]


def _too_little(role: str, value: float, change: Mapping[str, Any]) -> VerdictPart:
    many = whole(change.get("documents")) or 0
    documents = f"{many:,} held-out document{'s' * (many != 1)}"
    text = f"{_TOO_LITTLE} {role} {_percent(value)} on {documents}."
    short = "Too little held out" if role == "domain" else ""
    return VerdictPart(kind="too little", tone="neutral", text=text, short=short)


def _together(parts: list[VerdictPart]) -> list[VerdictPart]:
    """What is said of both roles for the same reason, said once."""
    unsure = [part for part in parts if part.kind == "too little"]
    if len(unsure) < 2:
        return parts
    first, second = unsure
    text = f"{first.text.removesuffix('.')}, {second.text.removeprefix(_TOO_LITTLE).lstrip()}"
    return [
        first.model_copy(update={"text": text}) if part is first else part
        for part in parts
        if part is not second
    ]


def _untold(first: Row, last: Row, step: int | None) -> Verdict | None:
    """Of a run that kept no intervals: what was measured, without a claim."""
    told = []
    for role in ("domain", "general"):
        before, now = (finite(row.get(f"{role}_bits_per_byte")) for row in (first, last))
        if before and now is not None:
            told.append(f"{role} {_percent(now / before - 1)}")
    if not told:
        return None
    changes = ", ".join(told)
    text = f"{changes[0].upper()}{changes[1:]} since the start. Uncertainty was not measured."
    return _only("untold", text, changes[0].upper() + changes[1:], step)


def _basis(change: Mapping[str, Any]) -> str:
    many = whole(change.get("documents")) or 0
    if not 0 < many < _FEW_DOCUMENTS:
        return BASIS
    documents = f"{many} document{'s' * (many != 1)}"
    return f"{BASIS} Measured on parts of {documents}, so it holds for text like theirs."


def _broken(row: Row) -> str | None:
    for role in ("domain", "general"):
        value = row.get(f"{role}_bits_per_byte")
        if value is not None and finite(value) is None:
            return role
    return None


def _percent(value: float) -> str:
    """A change such as −13% or +2.4%."""
    return f"{_signed(100 * value, _digits(value))}%"


def _range(value: float, low: float, high: float) -> str:
    digits = _digits(value)
    return f"({_signed(100 * low, digits)} to {_signed(100 * high, digits)})"


def _digits(value: float) -> int:
    return 0 if abs(value) >= 0.1 else 1


def _signed(percent: float, digits: int) -> str:
    text = f"{abs(percent):,.{digits}f}"
    sign = "" if not float(text.replace(",", "")) else _MINUS if percent < 0 else "+"
    return sign + text


def _numbers(change: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    return tuple(finite(change.get(name)) for name in ("value", "low", "high"))  # type: ignore[return-value]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
