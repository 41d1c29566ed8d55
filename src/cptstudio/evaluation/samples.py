"""A run's samples: its prompts, completed at each evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cptstudio import run_files
from cptstudio.errors import UserError
from cptstudio.json_lines import read_json_lines
from cptstudio.run_rows import CurrentNotes


def current_samples(run_directory: Path) -> list[dict[str, Any]]:
    """The completions that hold: a resumed session replaces what came after its checkpoint."""
    current = CurrentNotes()
    for event in read_json_lines(run_directory / run_files.EVENTS).records:
        current.see(event)
    for sample in read_json_lines(run_directory / run_files.SAMPLES).records:
        current.add(sample)
    held: dict[tuple[int, str], dict[str, Any]] = {}
    for sample in current.notes():
        key = (sample["step"], str(sample.get("index")))
        held.pop(key, None)
        held[key] = sample
    return sorted(held.values(), key=lambda sample: sample["step"])


def samples_matrix(run_directory: Path, prompts: Sequence[str] | None = None) -> dict[str, Any]:
    """Return a run's samples as the matrix of a suite, one column an evaluation.

    Args:
        prompts: which ones, in this order; None for those of the run.

    Returns:
        {"models": ["RUN at step N", ...], "rows": [{"prompt", "texts": [{"text", "tokens": null,
        "finish": null} or null where the run did not say it then], "changed": [...]}]}. `changed`
        tells whether a text differs from the one before it.

    Raises:
        UserError: the run completed none of the prompts.
    """
    said: dict[tuple[str, int], str] = {}
    for sample in current_samples(run_directory):
        prompt, text = sample.get("prompt"), sample.get("completion")
        if isinstance(prompt, str) and isinstance(text, str):
            said[prompt, sample["step"]] = text
    wanted = list(prompts) if prompts is not None else list(dict.fromkeys(one for one, _ in said))
    steps = sorted({step for prompt, step in said if prompt in wanted})
    if not steps:
        raise UserError(
            f"The run {run_directory.name!r} has no samples of these prompts. Train with "
            "--suite NAME, or run the suite on its checkpoints with `cpt-studio suite "
            "run`."
        )
    rows = [_row(prompt, [said.get((prompt, step)) for step in steps]) for prompt in wanted]
    return {"models": [f"{run_directory.name} at step {step:,}" for step in steps], "rows": rows}


def _row(prompt: str, said: Sequence[str | None]) -> dict[str, Any]:
    texts = [
        None if text is None else {"text": text, "tokens": None, "finish": None} for text in said
    ]
    changed = []
    former: str | None = None
    for text in said:
        changed.append(former is not None and text is not None and text != former)
        former = former if text is None else text
    return {"prompt": prompt, "texts": texts, "changed": changed}
