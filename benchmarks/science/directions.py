"""What is known of continued pre-training, stated so that scores can confirm or refute it.

Gain is the base's domain bits per byte minus the trained model's; forgetting is the trained
model's general bits per byte minus the base's. Both are formed within a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.science import plan
from benchmarks.science.running import Score

BASE = "base"
MERGED = 0.75
LITTLE_COST = 0.05
"""Share of the gain below which giving it up counts as almost nothing."""
Scores = Mapping[str, Score]
"""Scores of one seed's models by name; see `plan.VARIANTS`, `merge_name` and `BASE`."""


def merge_name(part: float) -> str:
    """What the model so far from the base to the plain run is called."""
    return f"merge-{part:.2f}"


def gain(scores: Scores, name: str) -> float:
    """Domain bits per byte that a model is better than the base."""
    return scores[BASE].domain - scores[name].domain


def forgetting(scores: Scores, name: str) -> float:
    """General bits per byte that a model is worse than the base."""
    return scores[name].general - scores[BASE].general


@dataclass(frozen=True)
class Number:
    """A figure that belongs to a direction.

    Attributes:
        label: what it is.
        of: computes it from one seed's scores.
        percent: whether it is a share, or bits per byte.
        expected: what is known of it, in words.
    """

    label: str
    of: Callable[[Scores], float]
    percent: bool = False
    expected: str = ""


@dataclass(frozen=True)
class Direction:
    """A statement about training that either holds in a seed or does not.

    Attributes:
        name: for the command line.
        statement: a sentence.
        test: what must be true of one seed's scores, in words.
        holds: the same, computed.
        numbers: how much.
        variants: runs that it needs.
        merges: points of the merge that it needs.
    """

    name: str
    statement: str
    test: str
    holds: Callable[[Scores], bool]
    numbers: tuple[Number, ...]
    variants: tuple[plan.Variant, ...]
    merges: tuple[float, ...] = ()


def _ordered(values: Sequence[float]) -> bool:
    return all(left < right for left, right in pairwise(values))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _forgetting_removed(name: str) -> Callable[[Scores], float]:
    def share(scores: Scores) -> float:
        return 1 - _share(forgetting(scores, name), forgetting(scores, plan.PLAIN.name))

    return share


def _gain_given_up(name: str) -> Callable[[Scores], float]:
    def share(scores: Scores) -> float:
        return 1 - _share(gain(scores, name), gain(scores, plan.PLAIN.name))

    return share


def _gain(name: str) -> Callable[[Scores], float]:
    return lambda scores: gain(scores, name)


def _forgetting(name: str) -> Callable[[Scores], float]:
    return lambda scores: forgetting(scores, name)


def _replay() -> Direction:
    plain, some, more = plan.PLAIN.name, plan.REPLAY_5.name, plan.REPLAY_25.name
    return Direction(
        name="replay",
        statement="Replay of general text removes forgetting at little cost in the domain.",
        test="forgetting: 25 % replay < 5 % replay < none; "
        f"gain: 5 % replay keeps {100 * (1 - LITTLE_COST):.0f} % of it",
        holds=lambda scores: (
            _ordered([forgetting(scores, name) for name in (more, some, plain)])
            and _gain_given_up(some)(scores) < LITTLE_COST
        ),
        numbers=(
            Number("forgetting without replay", _forgetting(plain)),
            Number("forgetting removed by 5 %", _forgetting_removed(some), True, "about 33 %"),
            Number("gain given up for 5 %", _gain_given_up(some), True, "almost 0 %"),
            Number("forgetting removed by 25 %", _forgetting_removed(more), True, "about 75 %"),
            Number("gain given up for 25 %", _gain_given_up(more), True),
        ),
        variants=(plan.PLAIN, plan.REPLAY_5, plan.REPLAY_25),
    )


def _rewarming() -> Direction:
    plain, low = plan.PLAIN.name, plan.LOW_CONSTANT.name
    return Direction(
        name="rewarming",
        statement="Re-warming to a full rate learns more than a constant low rate.",
        test="gain: warm-up and cosine > constant",
        holds=lambda scores: gain(scores, plain) > gain(scores, low),
        numbers=(
            Number("gain with warm-up and cosine", _gain(plain)),
            Number("gain at the constant low rate", _gain(low)),
        ),
        variants=(plan.PLAIN, plan.LOW_CONSTANT),
    )


def _rank() -> Direction:
    ranks = (plan.LORA_2, plan.LORA_8, plan.LORA_32)
    names = [variant.name for variant in ranks]
    return Direction(
        name="rank",
        statement="A lower LoRA rank learns less and forgets less.",
        test="gain and forgetting: rank 2 < rank 8 < rank 32",
        holds=lambda scores: (
            _ordered([gain(scores, name) for name in names])
            and _ordered([forgetting(scores, name) for name in names])
        ),
        numbers=(
            *(Number(f"gain, rank {variant.rank}", _gain(variant.name)) for variant in ranks),
            *(Number(f"forgetting, rank {one.rank}", _forgetting(one.name)) for one in ranks),
        ),
        variants=ranks,
    )


def _merge() -> Direction:
    merged, lower = merge_name(MERGED), plan.LOWER.name
    return Direction(
        name="merge",
        statement=f"A merge, base + {MERGED} (trained - base), beats training at a lower rate.",
        test="gain: merge > lower rate; forgetting: merge < lower rate",
        holds=lambda scores: (
            gain(scores, merged) > gain(scores, lower)
            and forgetting(scores, merged) < forgetting(scores, lower)
        ),
        numbers=(
            Number("gain of the merge", _gain(merged)),
            Number("gain at the lower rate", _gain(lower)),
            Number("forgetting of the merge", _forgetting(merged)),
            Number("forgetting at the lower rate", _forgetting(lower)),
        ),
        variants=(plan.PLAIN, plan.LOWER),
        merges=plan.MERGES,
    )


def _epochs() -> Direction:
    plain, little = plan.PLAIN.name, plan.LITTLE.name
    times = plan.EPOCHS_OVER_LITTLE
    return Direction(
        name="epochs",
        statement=f"{times} epochs over little text destroy the gain that as many tokens of "
        "text read once bring.",
        test="less than half of the gain is left",
        holds=lambda scores: gain(scores, little) < gain(scores, plain) / 2,
        numbers=(
            Number("gain, text read once", _gain(plain)),
            Number(f"gain, {times} epochs over little text", _gain(little)),
            Number(
                "gain left",
                lambda scores: _share(gain(scores, little), gain(scores, plain)),
                True,
                "none",
            ),
            Number("forgetting, text read once", _forgetting(plain)),
            Number(f"forgetting, {times} epochs over little text", _forgetting(little)),
        ),
        variants=(plan.PLAIN, plan.LITTLE),
    )


DIRECTIONS = (_replay(), _rewarming(), _rank(), _merge(), _epochs())
