"""Names of the command-line flags of settings.

The command line takes these flags, and the web interface shows the command that is equal to
what was chosen there.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo

from cptstudio.settings import Settings, TrainingSettings

SHORT_NAMES = {
    "length": "--length",
    "seed": "--seed",
    "data.sequence_length": "--sequence-length",
    "data.packing": "--packing",
    "data.replay_share": "--replay-share",
    "method.kind": "--method",
    "method.rank": "--rank",
    "method.dropout": "--dropout",
    "method.train_embeddings": "--train-embeddings",
    "optimizer.name": "--optimizer",
    "optimizer.learning_rate": "--learning-rate",
    "schedule.kind": "--schedule",
    "schedule.warmup": "--warmup",
    "batch.size": "--batch-size",
    "batch.gradient_accumulation_steps": "--gradient-accumulation-steps",
    "evaluation.every": "--evaluate-every",
    "evaluation.facts": "--facts",
    "evaluation.suite": "--suite",
    "evaluation.samples": "--samples",
    "evaluation.prompts": "--prompt",
    "checkpoints.every": "--save-every",
    "compute.dtype": "--dtype",
    "compute.gradient_checkpointing": "--gradient-checkpointing",
    "compute.fast_blas": "--fast-blas",
}
MIXTURE_FLAGS = {"domain": "--corpus", "replay": "--replay", "evaluation": "--eval-corpus"}
"""Corpora are named by flags of their own, one for each role."""

FORMER_FLAGS = {
    "rows": "batch-size",
    "batch.rows": "batch-size",
    "accumulation": "gradient-accumulation-steps",
    "batch.accumulation": "gradient-accumulation-steps",
    "context-length": "sequence-length",
    "data.context-length": "sequence-length",
    "repetition-context": "repetition-window",
    "held-out": "validation",
    "side": "split",
}
"""What flags were called before, without hyphens before; the command line takes both."""

_ELSEWHERE = {"model.path", "data.corpora"}


def flag_of(dotted: str) -> str:
    """Return the flag of a setting: a short one where most runs touch it."""
    return SHORT_NAMES.get(dotted, f"--{dotted.replace('_', '-')}")


def dotted_of(name: str) -> str:
    """Return the setting that a name means: dotted, or its flag with or without hyphens."""
    plain = name.strip().removeprefix("--")
    flags = {flag_of(dotted).removeprefix("--"): dotted for dotted, _ in leaves()}
    return flags.get(option_name(plain), plain)


def option_name(given: str) -> str:
    """Return the name that an option has, for the one that was given, both without hyphens before.

    A setting is known by its dotted name, as configuration files have it, beside its short flag.
    """
    plain = given.replace("_", "-") if "." in given else given
    return _other_names().get(plain, plain)


@functools.cache
def _other_names() -> dict[str, str]:
    found = {"model.path": "model", **FORMER_FLAGS}
    for dotted, short in SHORT_NAMES.items():
        name, flag = dotted.replace("_", "-"), short.removeprefix("--")
        found |= {name: flag, f"no-{name}": f"no-{flag}"}
    return found


def former_flags_of(dotted: str) -> tuple[str, ...]:
    """Return the flags that a setting had before."""
    now = flag_of(dotted).removeprefix("--")
    return tuple(f"--{before}" for before, after in FORMER_FLAGS.items() if after == now)


def value_of(settings: Settings, dotted: str) -> Any:
    """Return the value of a single setting."""
    value: Any = settings
    for part in dotted.split("."):
        value = getattr(value, part)
    return value


def leaves(
    group: type[Settings] = TrainingSettings, prefix: str = ""
) -> Iterator[tuple[str, FieldInfo]]:
    """Yield the dotted names and fields of all single settings, in the tree's order.

    The model and the mixture are left out: `--model` and `MIXTURE_FLAGS` name them.
    """
    for name, field in group.model_fields.items():
        dotted = f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from leaves(field.annotation, f"{dotted}.")
        elif dotted not in _ELSEWHERE:
            yield dotted, field
