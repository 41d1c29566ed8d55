"""Prompt suites, put to checkpoint after checkpoint; their files are in `prompt_suites`.

The same prompts with the same seed and sampler show what changed. Answers are kept with their
exact inputs, so a suite over many checkpoints only asks those that were not asked before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError
from cptstudio.evaluation.inference import InferenceWorker
from cptstudio.evaluation.model_requests import Complete, Prompt, Sampling, Unload
from cptstudio.evaluation.references import ModelReference
from cptstudio.evaluation.results import Results
from cptstudio.evaluation.texts import read_text
from cptstudio.prompt_suites import Suite as Suite
from cptstudio.prompt_suites import delete_suite as delete_suite
from cptstudio.prompt_suites import read_suite as read_suite
from cptstudio.prompt_suites import suite_names as suite_names
from cptstudio.prompt_suites import write_suite as write_suite
from cptstudio.workspace import Workspace

_LARGEST = 4 * durable.MEBIBYTE
Tell = Callable[[str, int, int], None]


def parse_prompts(path: Path) -> list[str]:
    """Return the prompts from a file: one a line, or a "prompt" a line in a .jsonl file.

    Raises:
        UserError: the file cannot be read; the line is named.
    """
    text = read_text(path, _LARGEST)
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if path.suffix == ".jsonl":
        prompts = [_prompt(path, number, line) for number, line in lines]
    else:
        prompts = [line for _, line in lines]
    if not prompts:
        raise UserError(f"{path} contains no prompts.")
    return prompts


def _prompt(path: Path, number: int, line: str) -> str:
    try:
        value = durable.parse_json(line)
    except (ValueError, UnusableFileError):
        value = None
    prompt = value.get("prompt") if isinstance(value, dict) else None
    if not isinstance(prompt, str) or not prompt:
        raise UserError(f"{path}, line {number}: “prompt” must be text.")
    return prompt


def run_suite(
    worker: InferenceWorker,
    workspace: Workspace,
    suite: Suite,
    references: Sequence[ModelReference],
    tell: Tell = lambda doing, done, total: None,
) -> dict[str, Any]:
    """Put every prompt to every model; one model is in memory at a time.

    Returns the matrix: a row for each prompt with its text from each model, in the order of
    `references`, and whether the text differs from the one of the model before.
    """
    results = Results(workspace)
    columns = []
    total = len(suite.prompts) * len(references)
    for number, reference in enumerate(references):
        done = number * len(suite.prompts)
        tell(reference.label, done, total)
        columns.append(_column(worker, suite, reference, results, tell, done, total))
    rows = []
    for index, prompt in enumerate(suite.prompts):
        texts = [column[index] for column in columns]
        changed = [
            position > 0 and texts[position]["text"] != texts[position - 1]["text"]
            for position in range(len(texts))
        ]
        rows.append({"prompt": prompt, "texts": texts, "changed": changed})
    return {
        "models": [reference.label for reference in references],
        "sampling": suite.sampling.model_dump(mode="json"),
        "rows": rows,
    }


def _column(
    worker: InferenceWorker,
    suite: Suite,
    reference: ModelReference,
    results: Results,
    tell: Tell,
    done: int,
    total: int,
) -> list[dict[str, Any]]:
    identity = results.identity(reference.model, reference.adapter)
    texts = []
    loaded = False
    for number, prompt in enumerate(suite.prompts):
        inputs = {
            "completion": prompt,
            "model": identity,
            "sampling": suite.sampling.model_dump(mode="json"),
        }
        kept = results.find(inputs)
        if kept is None:
            if not loaded:
                worker.load([reference])
                loaded = True
            kept = _complete(worker, reference.label, prompt, suite.sampling)
            results.keep(inputs, kept)
        texts.append(kept)
        tell(reference.label, done + number + 1, total)
    if loaded:
        worker.result(Unload(labels=(reference.label,)))
    return texts


def _complete(
    worker: InferenceWorker, label: str, prompt: str, sampling: Sampling
) -> dict[str, Any]:
    ask = Complete(
        labels=(label,), prompts=(Prompt(text=prompt),), sampling=sampling, alternatives=0
    )
    pieces: list[str] = []
    for answer in worker.ask(ask):
        if "piece" in answer:
            pieces.append(answer["piece"]["text"])
        if "result" in answer:
            (text,) = answer["result"]["texts"]
            return {"text": "".join(pieces), "tokens": text["tokens"], "finish": text["finish"]}
    raise AssertionError("an answer ends with a result or an error")
