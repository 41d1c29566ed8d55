"""The harness program: `python -m cptstudio.evaluation.harness_program`, see `job_programs`.

Runs tasks of lm-evaluation-harness (Gao et al., github.com/EleutherAI/lm-evaluation-harness, MIT)
through mlx-lm's adapter, where the user has installed that package; CPT Studio does not need it.

Request: {"workspace": folder, "models": [{"label", "model", "adapter", "run"}], "tasks": [names],
"include": folder with tasks of one's own or null, "shots": examples before each question or null,
"limit": questions of each task or null, "download": whether data may be fetched, "fast_blas"}. The
result {"report", "title"} names the report: {"tasks", "shots", "limit", "version", "models":
{label: {task: {"questions", "metrics": {name: {"value", "error"}}}}}}.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from cptstudio import job_programs
from cptstudio.errors import UserError
from cptstudio.evaluation.reports import Reports
from cptstudio.evaluation.scoring import check_scores
from cptstudio.job_programs import TellsProgress, counted
from cptstudio.lm.blas import use_fast_blas
from cptstudio.lm.loading import LoadedModel, load_for_inference
from cptstudio.lm.vocabulary import check_ids
from cptstudio.workspace import Workspace

PACKAGE = "lm_eval"
_BATCH = 8
_AT_ONCE = 64
Tell = Callable[[int, int], None]


def work(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Run the tasks, and keep what came of them as a report."""
    workspace = Workspace.held(request["workspace"])
    result = run_tasks(request, answer)
    labels = ", ".join(entry["label"] for entry in request["models"])
    title = f"{', '.join(request['tasks'])}: {labels}"
    return Reports(workspace).keep("harness", title, request, result)


def run_tasks(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Let every model do every task; one model is in memory at a time.

    Raises:
        UserError: the package is not there, a task is unknown, or its data are not there.
    """
    _check_installed()
    _prepare_environment(download=request["download"])
    use_fast_blas(enabled=request["fast_blas"])
    answer.progress(phase="reading tasks")
    tasks = _open_tasks(request)
    models: dict[str, Any] = {}
    count = len(request["models"])
    for number, entry in enumerate(request["models"], 1):
        label, detail = entry["label"], f"model {number} of {count}"
        answer.progress(phase=f"loading {label}", detail=detail)
        adapter = Path(entry["adapter"]) if entry["adapter"] else None
        loaded = load_for_inference(Path(entry["model"]), adapter)
        tell = counted(answer, label, "questions", detail)
        models[label] = _results(_evaluate(loaded, tasks, request, tell))
        del loaded
        mx.clear_cache()
    return {
        "tasks": request["tasks"],
        "shots": request["shots"],
        "limit": request["limit"],
        "version": metadata.version(PACKAGE),
        "models": models,
    }


def _check_installed() -> None:
    if importlib.util.find_spec(PACKAGE) is None:
        raise UserError(
            f"lm-evaluation-harness is not installed. Install it with `{sys.executable} "
            f"-m pip install {PACKAGE}` and try again."
        )


def _prepare_environment(*, download: bool) -> None:
    """Quiet, and off the network unless data may be fetched; before the first import."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["TQDM_DISABLE"] = "1"
    if not download:
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ["HF_DATASETS_OFFLINE"] = "1"


def _open_tasks(request: dict[str, Any]) -> dict[str, Any]:
    """The tasks with their data.

    Raises:
        UserError: one is unknown, or its data cannot be had.
    """
    # Whatever a task's configuration and its data's loader raise is about that task.
    try:
        package = importlib.import_module("lm_eval.tasks")
        manager = package.TaskManager(include_path=request["include"])
    except Exception as error:
        raise UserError(f"Could not load lm-evaluation-harness: {_words(error)}") from error
    known = set(manager.all_tasks)
    unknown = [name for name in request["tasks"] if name not in known]
    if unknown:
        raise UserError(
            f"lm-evaluation-harness has no task {unknown[0]!r} (it has {len(known):,} "
            "tasks). Add a folder with your own tasks by --include."
        )
    found: dict[str, Any] = {}
    for name in request["tasks"]:
        try:
            found |= package.get_task_dict([name], manager)
        except Exception as error:
            advice = (
                " If its data set is not on this machine yet, allow the download with --download."
            )
            said = f"Could not load the task {name!r}: {_words(error)}"
            raise UserError(said if request["download"] else said + advice) from error
    return found


def _words(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300] if lines else 'no reason given'}."


def _evaluate(
    loaded: LoadedModel, tasks: dict[str, Any], request: dict[str, Any], tell: Tell
) -> dict[str, Any]:
    evaluator = importlib.import_module("lm_eval.evaluator")
    found = evaluator.simple_evaluate(
        model=_adapter(loaded, tell),
        tasks=list(tasks.values()),
        num_fewshot=request["shots"],
        limit=request["limit"],
        log_samples=False,
        bootstrap_iters=1000,
    )
    result: dict[str, Any] = found
    return result


def _adapter(loaded: LoadedModel, tell: Tell) -> Any:
    """mlx-lm's adapter around a model that is loaded already, with raw text and no template."""
    stock: Any = importlib.import_module("mlx_lm.evaluate").MLXLM
    named = (loaded.path.name, loaded.path)

    class Adapter(stock):  # type: ignore[misc]
        def __init__(self) -> None:
            super(stock, self).__init__()
            self._model, self.tokenizer = loaded.model, loaded.tokenizer
            self._max_tokens = None
            self._batch_size = _BATCH
            self._sampler = None
            self.use_chat_template = False

        def generate_until(self, requests: Sequence[Any]) -> Any:
            self._tokenize([request.args[0] for request in requests])
            return super().generate_until(requests)

        def _tokenize(self, texts: Sequence[str]) -> Any:
            found = super()._tokenize(texts)
            for ids in found:
                check_ids(ids, loaded.embedding_rows, "A question", loaded.path)
            return found

        def loglikelihood(self, requests: Sequence[Any]) -> list[Any]:
            found: list[Any] = []
            for start in range(0, len(requests), _AT_ONCE):
                found += super().loglikelihood(requests[start : start + _AT_ONCE])
                check_scores(np.array([-one[0] for one in found[start:]]), *named)
                tell(len(found), len(requests))
            return found

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            found: list[float] = []
            for start in range(0, len(requests), _AT_ONCE):
                found += super().loglikelihood_rolling(requests[start : start + _AT_ONCE])
                check_scores(-np.array(found[start:]), *named)
                tell(len(found), len(requests))
            return found

    return Adapter()


def _results(found: dict[str, Any]) -> dict[str, Any]:
    """Values and their standard errors by task; keys are "metric,filter" in the harness."""
    answers = {}
    for task, measured in found["results"].items():
        metrics: dict[str, Any] = {}
        for key, value in measured.items():
            name, _, kind = key.partition(",")
            if not kind or name.endswith("_stderr") or not isinstance(value, int | float):
                continue
            error = measured.get(f"{name}_stderr,{kind}")
            shown = name if kind == "none" else f"{name} ({kind})"
            metrics[shown] = {
                "value": float(value),
                "error": float(error) if isinstance(error, int | float) else None,
            }
        samples = found.get("n-samples", {}).get(task, {})
        answers[task] = {"questions": samples.get("effective"), "metrics": metrics}
    return answers


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
