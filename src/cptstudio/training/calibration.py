"""Measures a few real steps of a planned run: `python -m cptstudio.training.calibration`.

A job, see `job_programs`: the request is {"workspace": PATH, "settings": TREE}. It does what the
trainer would do, a checkpoint included, and leaves nothing on disk; the result is a `Calibration`.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from cptstudio import child_process, job_programs
from cptstudio.child_limits import for_models
from cptstudio.device_failures import sign_of
from cptstudio.job_programs import Answer
from cptstudio.light_imports import leave_out_torch
from cptstudio.run_files import CHECKPOINTS, CONFIG, RunConfig, write_record
from cptstudio.session_settings import SessionSettings, for_session
from cptstudio.settings import TrainingSettings, parse_settings
from cptstudio.training.machine import describe_machine
from cptstudio.training.watchdog import rows_for_watchdog
from cptstudio.workspace import Workspace

if TYPE_CHECKING:
    from cptstudio.training.setup import Setup

MODULE = "cptstudio.training.calibration"
STEPS = 4
SECONDS = 60.0


@dataclass(frozen=True)
class Calibration:
    """The measured times of a few steps on this machine.

    Attributes:
        seconds_per_step: median of the measured steps; the first, which compiles and fills
            caches, is left out.
        tokens_per_second: counted targets.
        evaluation_tokens_per_second: of held-out text.
        peak_memory: bytes that MLX's arrays took at most.
        matrix_speed: a sentence about the matrix products.
        save_seconds: of a checkpoint; None where the disk has no room for one.
        peak_memory_of_save: as `peak_memory`, while it was written.
        split: batch size and accumulation of the same updates with which no micro-batch holds a
            Mac's GPU for too long; None where none does.
    """

    seconds_per_step: float
    tokens_per_second: float
    evaluation_tokens_per_second: float | None
    peak_memory: int
    steps: int
    matrix_speed: str
    save_seconds: float | None = None
    peak_memory_of_save: int | None = None
    split: dict[str, int] | None = None

    @property
    def advice(self) -> str | None:
        """What to do about micro-batches that take too long, in a sentence."""
        if self.split is None:
            return None
        return (
            "One micro-batch keeps the GPU busy for so long that macOS may end the run. Set Batch "
            f"size to {self.split['batch_size']:,} and Gradient accumulation steps to "
            f"{self.split['gradient_accumulation_steps']:,}; updates stay the same."
        )


def calibrate(workspace: Workspace, settings: TrainingSettings) -> Calibration:
    """Run a calibration in a process of its own, which loads MLX and the model.

    Raises:
        UserError: the run cannot be planned, or the process died.
    """
    request = {"workspace": str(workspace.root), "settings": settings.model_dump(mode="json")}
    found = child_process.ask(
        ("-m", MODULE), request, for_models(), what="Measuring speed", shows="errors"
    )
    return Calibration(**{name: found[name] for name in found if name != "advice"})


def measure(
    workspace: Workspace,
    settings: TrainingSettings,
    *,
    steps: int = STEPS,
    seconds: float = SECONDS,
    tell: Callable[[str, int | None], None] = lambda phase, done: None,
) -> Calibration:
    """Do real steps in this process.

    Args:
        settings: as for `prepare_run`; what is not set is chosen.
        steps: measured at most, after one that is not.
        seconds: end after about so long, with one measured step at least.
        tell: called with each phase as it begins; while steps are measured with how many are done.
    """
    tell("Loading the model", None)
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
    tell("First step, which is not counted", None)
    for number in range(steps + 1):
        started = time.perf_counter()
        done = step.submit(number, next_batch, Limits())
        next_batch = done.next_batch % setup.length.batches
        done.read()
        mx.synchronize()
        if number:
            durations.append(time.perf_counter() - started)
            tokens += done.tokens
        tell("Measuring speed", number)
        if durations and time.perf_counter() - began > seconds:
            break
    peak = mx.get_peak_memory()
    mx.reset_peak_memory()
    tell("Writing a trial checkpoint", None)
    save_seconds = _trial_save(workspace, config, setup, len(durations) + 1, next_batch)
    peak_of_save = mx.get_peak_memory()
    seconds_per_step = statistics.median(durations)
    tell("Measuring evaluation", None)
    return Calibration(
        seconds_per_step=seconds_per_step,
        tokens_per_second=tokens / sum(durations),
        evaluation_tokens_per_second=_evaluation_speed(setup, settings),
        peak_memory=peak,
        steps=len(durations),
        matrix_speed=setup.notes[0],
        save_seconds=save_seconds,
        peak_memory_of_save=None if save_seconds is None else peak_of_save,
        split=_split(config, setup, seconds_per_step),
    )


def _trial_save(
    workspace: Workspace, config: RunConfig, setup: Setup, step: int, next_batch: int
) -> float | None:
    """Write a checkpoint without a copy of the state, and delete it; returns the seconds taken."""
    from cptstudio.training.checkpoints import CheckpointFailedError, CheckpointStore, TrainerState
    from cptstudio.training.run_lock import RunLock

    folder = workspace.make(workspace.private, 0o700) / "calibration"
    folder.mkdir(exist_ok=True)
    # One that was killed leaves the folder to the next, and two at once do not share it.
    lock = RunLock(folder)
    try:
        write_record(folder / CONFIG, config)
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        try:
            store = CheckpointStore(lock, config.settings.checkpoints)
            store.prepare()
            state = TrainerState(
                step=step,
                next_batch=next_batch,
                tokens_seen=0,
                elapsed=0.0,
                evaluated_step=None,
                guard={},
                early_stopping={},
            )
            started = time.perf_counter()
            store.begin(
                state,
                setup.loaded,
                setup.method,
                setup.optimizer.state(),
                session=0,
                metrics_seq=0,
                domain_bits_per_byte=None,
                flush=lambda: None,
                room=0,
            )
            store.finished(wait=True)
            return time.perf_counter() - started
        except CheckpointFailedError as error:
            if sign_of(error) is not None:
                raise
            return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def _split(config: RunConfig, setup: Setup, seconds: float) -> dict[str, int] | None:
    """The rows and accumulation that a Mac's watchdog bears, where the run's are more."""
    from cptstudio.lm.checkpointing import decoder_layers

    rows_now, accumulation = config.settings.batch.cut
    rows = rows_for_watchdog(
        rows_now,
        seconds / accumulation,
        len(decoder_layers(setup.loaded.model)),
        describe_machine().accelerator,
    )
    if rows == rows_now:
        return None
    told = for_session(config, SessionSettings(), SessionSettings(batch_size=rows)).told()
    cut = {"batch_size": rows, "gradient_accumulation_steps": accumulation}
    return {name: told.get(name, value) for name, value in cut.items()}


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
        context_length=settings.data.sequence_length or setup.data.order.context_length,
        compute_dtype=setup.compute_dtype,
        head=setup.gradient_step.head,
        streams=settings.compute.threads,
    )
    return sum(len(one.tokens) for one in few.documents) / (time.perf_counter() - started)


def work(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Measure what the request plans, as a job."""
    leave_out_torch()

    def tell(phase: str, done: int | None) -> None:
        known = {} if done is None else {"done": done, "total": STEPS, "unit": "steps"}
        answer.progress(phase=phase, final=True, **known)

    workspace = Workspace.held(request["workspace"])
    measured = measure(workspace, parse_settings(request["settings"]), tell=tell)
    return asdict(measured) | {"advice": measured.advice}


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
