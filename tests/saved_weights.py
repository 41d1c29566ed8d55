"""A save of a model or its adapter as a checkpoint does it, by itself."""

from __future__ import annotations

from pathlib import Path

from cptstudio.lm.loading import LoadedModel
from cptstudio.lm.methods import AppliedMethod
from cptstudio.lm.saving import CollectedWeights, collect_weights


def save_weights(folder: Path, loaded: LoadedModel, method: AppliedMethod) -> CollectedWeights:
    """Write it into an existing folder; returns what was written."""
    collected = collect_weights(loaded, method)
    collected.write(folder)
    return collected
