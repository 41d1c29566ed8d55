"""Measures a few real steps of a planned run: `python -m cptstudio.training.calibration`.

A job, see `job_programs`: the request is {"workspace": PATH, "settings": TREE}. It does what the
trainer would do, without writing anything to disk; the result is a `Calibration`.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from cptstudio import child_process, job_programs
from cptstudio.child_limits import for_models
from cptstudio.job_programs import Answer
from cptstudio.light_imports import leave_out_torch
from cptstudio.settings import TrainingSettings, parse_settings
from cptstudio.workspace import Workspace

if TYPE_CHECKING:
    from cptstudio.training.setup import Setup

MODULE = "cptstudio.training.calibration"
STEPS = 4
SECONDS = 60.0


@dataclass(frozen=True)
class Calibration:
    """What a few steps took on this machine.

    Attributes:
        seconds_per_step: median of the measured steps; the first, which compiles and fills
            caches, is left out.
        tokens_per_second: counted targets.
        evaluation_tokens_per_second: of held-out text.
        peak_memory: bytes that MLX's arrays took at most.
        matrix_speed: a sentence about the matrix products.
    """

    seconds_per_step: float
    tokens_per_second: float
    evaluation_tokens_per_second: float | None
    peak_memory: int
    steps: int
    matrix_speed: str


def calibrate(workspace: Workspace, settings: TrainingSettings) -> Calibration:
    """Run a calibration in a process of its own, which loads MLX and the model.

    Raises:
        UserError: the run cannot be planned, or the process died.
    """
    request = {"workspace": str(workspace.root), "settings": settings.model_dump(mode="json")}
    found = child_process.ask(
        ("-m", MODULE), request, for_models(), what="The calibration", shows="errors"
    )
    return Calibration(**found)


def measure(
    workspace: Workspace,
    settings: TrainingSettings,
    *,
    steps: int = STEPS,
    seconds: float = SECONDS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """Do real steps in this process.

    Args:
        settings: as for `prepare_run`; what is not set is chosen.
        steps: measured at most, after one that is not.
        seconds: end after about so long, with one measured step at least.
        progress: called after each step with the number done and the number planned.
    """
    import mlx.core as mx

    from cptstudio.training.guards import Limits
    from cptstudio.training.prepare import plan_config
    from cptstudio.training.setup import set_up
    from cptstudio.training.step import TrainingStep

    config, _ = plan_config(workspace, "calibration", settings)
    setup = set_up(config)
    step = TrainingStep(setup)
    mx.reset_peak_memory()
    began = time.perf_counter()
    durations: list[float] = []
    tokens = next_batch = 0
    for number in range(steps + 1):
        started = time.perf_counter()
        done = step.submit(number, next_batch, Limits())
        next_batch = done.next_batch % setup.length.batches
        done.read()
        mx.synchronize()
        if number:
            durations.append(time.perf_counter() - started)
            tokens += done.tokens
        progress(number + 1, steps + 1)
        if durations and time.perf_counter() - began > seconds:
            break
    peak = mx.get_peak_memory()
    return Calibration(
        seconds_per_step=statistics.median(durations),
        tokens_per_second=tokens / sum(durations),
        evaluation_tokens_per_second=_evaluation_speed(setup, settings),
        peak_memory=peak,
        steps=len(durations),
        matrix_speed=setup.notes[0],
    )


def _evaluation_speed(setup: Setup, settings: TrainingSettings) -> float | None:
    """Tokens a second of the first few held-out documents; None where there are none."""
    from cptstudio.training.evaluation import evaluate

    if not setup.data.evaluation:
        return None
    chosen = setup.data.evaluation[0]
    few = replace(chosen, documents=chosen.documents[:4])
    started = time.perf_counter()
    evaluate(
        setup.loaded,
        [few],
        context_length=settings.data.context_length or setup.data.order.context_length,
        compute_dtype=setup.compute_dtype,
        head=setup.gradient_step.head,
        streams=settings.compute.threads,
    )
    return sum(len(one.tokens) for one in few.documents) / (time.perf_counter() - started)


def work(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Measure what the request plans, as a job."""
    leave_out_torch()

    def tell(done: int, total: int) -> None:
        answer.progress(phase="measuring", done=done, total=total, unit="steps", final=True)

    workspace = Workspace.held(request["workspace"])
    return asdict(measure(workspace, parse_settings(request["settings"]), progress=tell))


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
