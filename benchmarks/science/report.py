"""The tables of docs/science.md."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.peers.markdown import table
from benchmarks.science import plan
from benchmarks.science.directions import (
    BASE,
    Direction,
    Number,
    Scores,
    forgetting,
    gain,
    merge_name,
)


def explanations() -> dict[str, str]:
    """What each model is, by its name, in the order of the table."""
    merged = {
        merge_name(part): f"merge: base + {part:g} ({plan.PLAIN.name} - base)"
        for part in plan.MERGES
    }
    trained = {variant.name: variant.what for variant in plan.VARIANTS}
    return {BASE: "pre-trained on general text", **trained, **merged}


def mean_and_spread(values: Sequence[float], percent: bool = False) -> str:
    """The mean, and the smallest and largest where there are several."""

    def digits(value: float) -> str:
        return f"{100 * value:.0f} %" if percent else f"{value:.3f}"

    mean = digits(statistics.fmean(values))
    if len(values) < 2:
        return mean
    return f"{mean} ({digits(min(values))} to {digits(max(values))})"


def models_table(by_seed: Sequence[Scores]) -> str:
    """All models: bits per byte, gain and forgetting."""
    rows = []
    for name, what in explanations().items():
        if name not in by_seed[0]:
            continue
        row = [
            name,
            what,
            mean_and_spread([scores[name].domain for scores in by_seed]),
            mean_and_spread([scores[name].general for scores in by_seed]),
        ]
        for measure in (gain, forgetting):
            values = [measure(scores, name) for scores in by_seed]
            row.append("" if name == BASE else f"{statistics.fmean(values):.3f}")
        rows.append(row)
    head = ["Model", "", "Domain", "General", "Gain", "Forgetting"]
    return table(head, rows, texts=2)


def numbers_text(numbers: Sequence[Number], by_seed: Sequence[Scores]) -> str:
    """The numbers of a direction, for a cell of a table."""
    parts = []
    for number in numbers:
        text = mean_and_spread([number.of(scores) for scores in by_seed], number.percent)
        known = f"; expected: {number.expected}" if number.expected else ""
        parts.append(f"{number.label}: {text}{known}")
    return "<br>".join(parts)


def directions_table(directions: Sequence[Direction], by_seed: Sequence[Scores]) -> str:
    """Every direction, in how many seeds it holds, and by how much."""
    rows = []
    for direction in directions:
        held = sum(direction.holds(scores) for scores in by_seed)
        rows.append(
            [
                f"{direction.statement} ({direction.test})",
                f"{held} of {len(by_seed)}",
                numbers_text(direction.numbers, by_seed),
            ]
        )
    return table(["Direction (what is tested)", "Holds in", "How much"], rows, texts=3)


def page_part(
    facts: Mapping[str, Any], directions: Sequence[Direction], by_seed: Sequence[Scores]
) -> str:
    """What stands between the page's markers."""
    machine = facts["machine"]
    scale = facts["scale"]
    head = (
        f"Measured on {facts['date']} with Python {machine['python']} ({machine['system']}, "
        f"{machine['cores']} cores): {len(by_seed)} seeds, a model of "
        f"{facts['parameters'] / 1e6:.2f}M parameters, {scale['base_tokens']:,} bytes of "
        f"pre-training and {scale['tokens']:,} bytes of each continued pre-training, scored on "
        f"{facts['scored']['domain']:,} bytes of domain and {facts['scored']['general']:,} bytes "
        f"of general text. The trainers ran for {facts['minutes']:.0f} minutes in all."
    )
    key = (
        "Bits per byte, lower is better: mean over the seeds (smallest to largest). Gain and "
        "forgetting are differences from the base."
    )
    parts = [head, directions_table(directions, by_seed), key, models_table(by_seed)]
    return "\n\n".join(parts)
