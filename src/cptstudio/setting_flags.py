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
    "data.context_length": "--context-length",
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
    "batch.rows": "--rows",
    "batch.accumulation": "--accumulation",
    "evaluation.every": "--evaluate-every",
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

_ELSEWHERE = {"model.path", "data.corpora"}


def flag_of(dotted: str) -> str:
    """The flag of a setting: a short one where most runs touch it."""
    return SHORT_NAMES.get(dotted, f"--{dotted.replace('_', '-')}")


def dotted_of(name: str) -> str:
    """The setting that a name means: its dotted name, or its flag with or without hyphens."""
    plain = name.strip().removeprefix("--")
    flags = {flag_of(dotted).removeprefix("--"): dotted for dotted, _ in leaves()}
    return flags.get(option_name(plain), plain)


def option_name(given: str) -> str:
    """The name that an option has, for the one that was given, both without hyphens before.

    A setting is known by its dotted name, as configuration files have it, beside its short flag.
    """
    plain = given.replace("_", "-") if "." in given else given
    return _other_names().get(plain, plain)


@functools.cache
def _other_names() -> dict[str, str]:
    found = {"model.path": "model"}
    for dotted, short in SHORT_NAMES.items():
        name, flag = dotted.replace("_", "-"), short.removeprefix("--")
        found |= {name: flag, f"no-{name}": f"no-{flag}"}
    return found


def value_of(settings: Settings, dotted: str) -> Any:
    """Return the value of a single setting."""
    value: Any = settings
    for part in dotted.split("."):
        value = getattr(value, part)
    return value


def leaves(
    group: type[Settings] = TrainingSettings, prefix: str = ""
) -> Iterator[tuple[str, FieldInfo]]:
    """Dotted names and fields of all single settings, in the tree's order.

    The model and the mixture are left out: `--model` and `MIXTURE_FLAGS` name them.
    """
    for name, field in group.model_fields.items():
        dotted = f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from leaves(field.annotation, f"{dotted}.")
        elif dotted not in _ELSEWHERE:
            yield dotted, field
