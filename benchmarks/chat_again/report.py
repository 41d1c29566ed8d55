"""The tables of docs/science.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.chat_again.material import DOMAIN, GENERAL

_HABITS = ("stops", "template", "repetition", "loops", "instructions")


def page_part(found: dict[str, Any]) -> str:
    """Return the part of the page, from what `__main__.run` found."""
    scale, seeds = found["scale"], found["seeds"]
    prompts = next(point["habits"]["stops"]["count"] for point in seeds[0] if point["habits"])
    count = "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    machine = found["machine"]
    head = (
        f"Measured on {found['date']} with Python {machine['python']} ({machine['system']}, "
        f"{machine['cores']} cores): {count} of the CPT, "
        f"{scale['base_tokens']:,} tokens of plain text to make the base, {scale['tokens']:,} "
        f"tokens of R's manuals for each CPT, {prompts} prompts, at most {scale['max_tokens']} "
        f"tokens per answer, {scale['scored_bytes'] // 1000} kB of held-out text per corpus."
    )
    rows = [
        "| Model | Stops | Template kept | Repetition | Loops | Instructions | R's manuals | "
        "General | Gain kept |",
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for number, point in enumerate(seeds[0]):
        same = [seed[number] for seed in seeds]
        habits = [_habit(same, key) for key in _HABITS]
        bits = [_bits(same, corpus) for corpus in (DOMAIN, GENERAL)]
        rows.append(f"| {_name(point)} | {' | '.join([*habits, *bits, _gain(same)])} |")
    notes = (
        "Shares with the 95 % interval over prompts of the first seed; with more than one seed, in "
        "brackets the smallest and the largest of them. R's manuals and general: bits per byte of "
        "held-out text, lower is better."
    )
    return "\n\n".join([head, "\n".join(rows), notes])


def _name(point: dict[str, Any]) -> str:
    named = {
        "base": "base (made by training on plain text)",
        "instruct": "instruct model, before",
        "trained": "after CPT",
        "difference": f"after CPT + {point['share']} (instruct - base)",
        "model": "after CPT, fine-tuned on conversations",
        "both": f"fine-tuned + {point['share']} (instruct - base)",
    }
    return named.get(point["way"], str(point["label"]))


def _habit(points: Sequence[dict[str, Any]], key: str) -> str:
    if points[0]["habits"] is None:
        return ""
    found = [point["habits"][key] for point in points]
    first = found[0]
    text = f"{first['value']:.0%} ({first['low']:.0%} to {first['high']:.0%})"
    values = [one["value"] for one in found]
    if len(values) > 1:
        text += f" [{min(values):.0%} to {max(values):.0%}]"
    return text


def _bits(points: Sequence[dict[str, Any]], corpus: str) -> str:
    values = [float(point["corpora"][corpus]["bits_per_byte"]) for point in points]
    return _spread(values, ".3f")


def _gain(points: Sequence[dict[str, Any]]) -> str:
    values = [point["gain_kept"] for point in points]
    if None in values:
        return ""
    return _spread([value + 0.0 for value in values], ".0%")


def _spread(values: Sequence[float], form: str) -> str:
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:{form}}"
    return f"{mean:{form}} ({min(values):{form}} to {max(values):{form}})"
