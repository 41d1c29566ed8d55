"""Prompt suites: sets of prompts that are put to checkpoint after checkpoint.

    <workspace>/suites/<name>.json      {"prompts": [...], "sampling": {...}}

The same prompts with the same seed and sampler show what changed. Answers are kept with their
exact inputs, so a suite over many checkpoints only asks those that were not asked before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError
from cptstudio.settings import sentences
from cptstudio.testing.bench import Bench
from cptstudio.testing.references import ModelReference
from cptstudio.testing.requests import Asked, Complete, Prompt, Sampling, Unload
from cptstudio.testing.results import Results
from cptstudio.testing.texts import read_text
from cptstudio.workspace import NAME_PATTERN, Workspace, check_name

_FOLDER = "suites"
_LARGEST = 4 * durable.MEBIBYTE
Tell = Callable[[str, int, int], None]


class Suite(Asked):
    """A set of prompts and how they are completed."""

    prompts: tuple[str, ...] = Field(min_length=1, max_length=500)
    sampling: Sampling = Sampling(max_tokens=64)


def suite_names(workspace: Workspace) -> list[str]:
    """Names of the suites that are there, sorted."""
    try:
        entries = sorted((workspace.root / _FOLDER).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [
        path.stem
        for path in entries
        if path.suffix == ".json" and path.is_file() and NAME_PATTERN.fullmatch(path.stem)
    ]


def read_suite(workspace: Workspace, name: str) -> Suite:
    """A suite by its name.

    Raises:
        UserError: there is none, or its file cannot be used.
    """
    path = _path(workspace, name)
    try:
        return Suite.model_validate(durable.read_json(path, _LARGEST))
    except FileNotFoundError:
        there = ", ".join(suite_names(workspace)) or "none yet"
        raise UserError(f"There is no suite {name!r}. There are: {there}.") from None
    except ValidationError as error:
        raise UserError(f"{path} is no suite:", sentences(error)) from None


def write_suite(workspace: Workspace, name: str, suite: Suite) -> Path:
    """Save a suite under a name, in the place of a former one; returns its file."""
    path = _path(workspace, name)
    workspace.make(path.parent)
    durable.write_json(path, suite.model_dump(mode="json"))
    return path


def delete_suite(workspace: Workspace, name: str) -> None:
    """Remove a suite; answers that were kept stay."""
    read_suite(workspace, name)
    _path(workspace, name).unlink(missing_ok=True)


def parse_prompts(path: Path) -> list[str]:
    """Prompts from a file: one a line, or a "prompt" a line in a .jsonl file.

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
        raise UserError(f"{path} holds no prompt.")
    return prompts


def _prompt(path: Path, number: int, line: str) -> str:
    try:
        value = durable.parse_json(line)
    except (ValueError, UnusableFileError):
        value = None
    prompt = value.get("prompt") if isinstance(value, dict) else None
    if not isinstance(prompt, str) or not prompt:
        raise UserError(f'{path}, line {number}: needs a "prompt" with text.')
    return prompt


def run_suite(
    bench: Bench,
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
        columns.append(_column(bench, suite, reference, results, tell, done, total))
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
    bench: Bench,
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
                bench.load([reference])
                loaded = True
            kept = _complete(bench, reference.label, prompt, suite.sampling)
            results.keep(inputs, kept)
        texts.append(kept)
        tell(reference.label, done + number + 1, total)
    if loaded:
        bench.result(Unload(labels=(reference.label,)))
    return texts


def _complete(bench: Bench, label: str, prompt: str, sampling: Sampling) -> dict[str, Any]:
    ask = Complete(
        labels=(label,), prompts=(Prompt(text=prompt),), sampling=sampling, alternatives=0
    )
    pieces: list[str] = []
    for answer in bench.ask(ask):
        if "piece" in answer:
            pieces.append(answer["piece"]["text"])
        if "result" in answer:
            (text,) = answer["result"]["texts"]
            return {"text": "".join(pieces), "tokens": text["tokens"], "finish": text["finish"]}
    raise AssertionError("an answer ends with a result or an error")


def _path(workspace: Workspace, name: str) -> Path:
    return workspace.root / _FOLDER / f"{check_name(name, 'suite')}.json"
