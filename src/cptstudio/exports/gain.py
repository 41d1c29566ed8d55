"""What training gained, by the evaluations of the run; read from its files. Imports no MLX."""

from __future__ import annotations

from cptstudio import run_files
from cptstudio.evaluation.references import ModelReference
from cptstudio.exports.comparison import Gain
from cptstudio.run_rows import EVALUATION, finite, read_newest_first, whole


def gain_of(source: ModelReference) -> Gain:
    """Return what a checkpoint's run gained on its domain until there."""
    if source.run is None:
        return Gain(bits_per_byte=None, why=f"{source.label} is no checkpoint of a run.")
    checkpoint = source.adapter or source.model
    step = run_files.checkpoint_step(checkpoint.name)
    measured: list[tuple[int, float]] = []
    try:
        for row in read_newest_first(source.run):
            at, value = whole(row.get("step")), finite(row.get("domain_bits_per_byte"))
            if row["kind"] == EVALUATION and at is not None and value is not None:
                measured.append((at, value))
    except OSError:
        measured = []
    before = min(measured, default=None)
    until = max((one for one in measured if step is not None and one[0] <= step), default=None)
    if before is None or until is None or before[0] >= until[0]:
        why = (
            f"the run {source.run.name!r} has no evaluation of its domain both at the start and "
            "until this checkpoint."
        )
        return Gain(bits_per_byte=None, why=why)
    return Gain(bits_per_byte=before[1] - until[1])
