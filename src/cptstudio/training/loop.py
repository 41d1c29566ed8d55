"""The training loop: step, evaluate, save, until the end or a stop.

At a step where several are due, the order is: evaluate, save, stop. A stop request that comes
before or during an evaluation saves without it, and the resumed run evaluates first, so that
rows and weights are the same as without the stop.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from dataclasses import dataclass

import mlx.core as mx

from cptstudio.device_failures import Cause
from cptstudio.run_endings import completed, stopped_at
from cptstudio.run_files import Outcome, checkpoint_name, checkpoint_step
from cptstudio.run_rows import EVALUATION, TRAIN
from cptstudio.training.checkpoints import (
    CheckpointFailedError,
    CheckpointStore,
    TrainerState,
)
from cptstudio.training.console_progress import ProgressReporter
from cptstudio.training.evaluation import EvaluationAbandonedError, complete_prompts, evaluate
from cptstudio.training.fact_answers import FactsFound, ask_facts
from cptstudio.training.guards import EarlyStopping, StepGuard
from cptstudio.training.held_out_sums import HeldOutSums
from cptstudio.training.memory import MemoryMeter
from cptstudio.training.phases import Phases, Progress
from cptstudio.training.run_lock import RunDirectoryGoneError, RunLock
from cptstudio.training.setup import Setup
from cptstudio.training.step import SubmittedStep, TrainingStep
from cptstudio.training.stop_requests import StopRequest
from cptstudio.training.training_metrics_logger import TrainingMetricsLogger


@dataclass(frozen=True)
class Ending:
    """How a run ended, a sentence about why, and the cause where it is no fault of the run's."""

    outcome: Outcome
    reason: str
    cause: Cause | None = None


class TrainingLoop:
    """Trains a run from a state to its end."""

    def __init__(
        self,
        setup: Setup,
        logger: TrainingMetricsLogger,
        checkpoints: CheckpointStore,
        lock: RunLock,
        stop: StopRequest,
        reporter: ProgressReporter,
        phases: Phases,
        session: int,
    ) -> None:
        self._setup = setup
        self._logger = logger
        self._checkpoints = checkpoints
        self._lock = lock
        self._stop = stop
        self._reporter = reporter
        self._phases = phases
        self._session = session
        self._ranks = setup.ranks
        self._memory = MemoryMeter()
        self._training_step = TrainingStep(setup)
        self._sums = HeldOutSums(lock.run_directory, logger.document_sums)
        self._under_way: deque[tuple[int, int, SubmittedStep]] = deque()
        self.guard = StepGuard(setup.settings.guards)
        self.early_stopping = EarlyStopping(setup.settings.evaluation.early_stopping)
        self.step = 0
        self._next_batch = 0
        self._tokens_seen = 0
        self._elapsed = 0.0
        self._evaluated_step: int | None = None
        self._evaluated_value: float | None = None
        self._saved_step: int | None = None
        self._save_told: dict[str, float] = {}
        self._last_time = time.perf_counter()

    def load_state(self, state: TrainerState) -> None:
        """Continue from a checkpoint's counters."""
        self.step = self._saved_step = state.step
        self._next_batch = state.next_batch
        self._tokens_seen = state.tokens_seen
        self._elapsed = state.elapsed
        self._evaluated_step = state.evaluated_step
        self.guard.load_state(state.guard)
        self.early_stopping.load_state(state.early_stopping)

    def state(self) -> TrainerState:
        """Return the state that a resumed run continues from."""
        return TrainerState(
            step=self.step,
            next_batch=self._next_batch,
            tokens_seen=self._tokens_seen,
            elapsed=self._elapsed,
            evaluated_step=self._evaluated_step,
            guard=self.guard.state(),
            early_stopping=self.early_stopping.state(),
        )

    # --- the loop ----------------------------------------------------------------------------

    def run(self) -> Ending:
        """Train until the run is complete, stopped, or given up.

        Raises:
            CheckpointFailedError: a checkpoint could not be written.
            RunDirectoryGoneError: the run directory was deleted.
            OSError: rows could not be written.
        """
        try:
            ending = self._run()
            self._wait_for_save()
        except RunDirectoryGoneError:
            self._checkpoints.cancel()
            raise
        except Exception:
            # What ends the run is told; a checkpoint that became whole meanwhile is there, too.
            with contextlib.suppress(CheckpointFailedError, RunDirectoryGoneError, OSError):
                self._wait_for_save()
            raise
        return ending

    def _run(self) -> Ending:
        length = self._setup.length
        self._last_time = time.perf_counter()
        self._memory.begin()  # What loading took is no step's.
        while True:
            self._finish_save(wait=False)
            finished = self.step >= length.steps
            self._ranks.agree(self._stop)
            if not self._stop and self._evaluation_due(finished):
                self._evaluate()
                self._ranks.agree(self._stop)
            # Asked once: a request that comes later is answered after the next step.
            stopping = bool(self._stop)
            if stopping:
                self._phases.stopping()
                message = "Stop requested: saving a checkpoint."
                self._logger.event("stop", self.step, message, reason=str(self._stop.reason))
                self._reporter.say(message)
            if self._save_due(finished or stopping or self.early_stopping.stops):
                self._save()
            ending = self._ending(finished, stopping)
            if ending is not None:
                return ending
            if self._phases.name != "training":
                self._phases.begin("training", step=self.step)
            self._submit_step()
            self._finish_steps(leave=0 if self._pauses() else self._training_step.ahead)
            if self.guard.gives_up:
                self._finish_steps(leave=0)
                return self._given_up()
            self._lock.check_present()

    def _pauses(self) -> bool:
        """Whether something other than a step comes next, so that none may be under way."""
        finished = self.step >= self._setup.length.steps
        return bool(self._stop) or self._evaluation_due(finished) or self._save_due(finished)

    def _evaluation_due(self, finished: bool) -> bool:
        if self._evaluated_step == self.step or not self._setup.data.evaluation:
            return False
        return finished or self.step % self._setup.length.evaluate_every == 0

    def _save_due(self, ends: bool) -> bool:
        if self._saved_step == self.step or self.step == 0:
            return False
        return ends or self.step % self._setup.length.save_every == 0

    def _ending(self, finished: bool, stopping: bool) -> Ending | None:
        if stopping and not (finished and not self._evaluation_due(finished)):
            saved = None if self._saved_step is None else checkpoint_name(self._saved_step)
            return Ending("stopped", stopped_at(str(self._stop.reason), self.step, saved))
        if finished:
            return self._finished()
        if self.early_stopping.stops:
            return Ending(
                "completed",
                f"Stopped early at step {self.step:,}: domain bits per byte did not "
                f"improve in {self.early_stopping.without_gain} evaluations; the best was "
                f"at step {self.early_stopping.best_step}.",
            )
        return None

    def _finished(self) -> Ending:
        if self.guard.skipped >= self.step:
            return Ending(
                "failed",
                f"Nothing was learned: all {self.step:,} steps were skipped. Check the "
                "model by evaluating it, or lower the learning rate.",
            )
        return Ending("completed", completed(self.step, self.guard.skipped))

    def _given_up(self) -> Ending:
        return Ending(
            "failed",
            f"{self.guard.in_a_row} steps in a row were skipped, the last one at step "
            f"{self.step:,}. The last checkpoint is from before that. Lower the learning "
            "rate, or look at the documents around there.",
        )

    # --- step --------------------------------------------------------------------------------

    def _submit_step(self) -> None:
        limits = self.guard.limits(under_way=len(self._under_way))
        submitted = self._training_step.submit(self.step, self._next_batch, limits)
        self.step += 1
        self._next_batch = submitted.next_batch
        self._tokens_seen += submitted.tokens
        self._under_way.append((self.step, self._tokens_seen, submitted))

    def _finish_steps(self, leave: int) -> None:
        """Read and record the submitted steps, but for the newest `leave` ones."""
        while len(self._under_way) > leave:
            self._finish_step(*self._under_way.popleft())

    def _finish_step(self, step: int, tokens_seen: int, done: SubmittedStep) -> None:
        loss, norm = done.read()
        skipped = self.guard.observe(loss, norm, done.limits)
        now = time.perf_counter()
        seconds, self._last_time = now - self._last_time, now
        self._elapsed += seconds
        speed = done.tokens / seconds
        self._logger.row(
            TRAIN,
            step,
            loss=loss,
            learning_rate=done.rate,
            gradient_norm=norm,
            tokens=done.tokens,
            tokens_seen=tokens_seen,
            epoch=self._epochs(done.next_batch),
            elapsed=self._elapsed,
            step_seconds=seconds,
            tokens_per_second=speed,
            **self._memory.read(),
            **({} if skipped is None else {"skipped": skipped}),
        )
        if skipped is not None:
            message = f"Step {step} was skipped: {skipped}."
            self._logger.event("skipped", step, message, reason=skipped)
            self._reporter.say(message)
        self._reporter.step(
            step, loss=loss, rate=done.rate, tokens_per_second=speed, seconds=seconds
        )

    def _epochs(self, next_batch: int) -> float:
        order = self._setup.data.order
        epoch, within = order.locate(next_batch)
        return epoch + within / order.batches_in_epoch(epoch)

    # --- evaluate ----------------------------------------------------------------------------

    def _evaluate(self) -> None:
        """Measure all corpora and complete the prompts; nothing is recorded if stopped."""
        setup = self._setup
        settings = setup.settings
        self._finish_steps(leave=0)
        started = time.perf_counter()
        told = self._begin_evaluation()
        try:
            result = evaluate(
                setup.loaded,
                setup.data.evaluation,
                context_length=settings.data.sequence_length or 0,
                compute_dtype=setup.compute_dtype,
                head=setup.gradient_step.head,
                streams=settings.compute.threads,
                should_stop=lambda: self._stop.asked is not None,
                told=told,
                ranks=self._ranks,
            )
            facts = self._ask_facts()
            if settings.evaluation.prompts:
                told = self._phases.begin("sampling", step=self.step, unit="prompts")
            samples = complete_prompts(
                setup.loaded,
                settings.evaluation,
                seed=settings.seed,
                compute_dtype=setup.compute_dtype,
                should_stop=lambda: self._stop.asked is not None,
                told=told,
                ranks=self._ranks,
            )
        except EvaluationAbandonedError:
            return
        finally:
            # Its arrays have sizes that no step uses again.
            mx.clear_cache()
        memory_peak = self._memory.read()["memory_peak"]
        value = result.domain_bits_per_byte
        best = value is not None and self.early_stopping.observe(self.step, value)
        changes = self._sums.observe(self.step, value, result.sums)
        seconds = time.perf_counter() - started
        self._logger.row(
            EVALUATION,
            self.step,
            tokens_seen=self._tokens_seen,
            corpora=result.corpora,
            domain_bits_per_byte=value,
            general_bits_per_byte=result.general_bits_per_byte,
            **({} if facts is None else facts.figures),
            best=best,
            elapsed=self._elapsed,
            evaluation_seconds=seconds,
            memory_peak=memory_peak,
            **({"changes": changes} if changes else {}),
        )
        for index, (prompt, text) in enumerate(
            zip(settings.evaluation.completed, samples, strict=True)
        ):
            self._logger.sample(self.step, index, prompt, text)
        self._evaluated_step, self._evaluated_value = self.step, value
        measured = "  ".join(
            f"{name} {values['bits_per_byte']:.4f}" for name, values in result.corpora.items()
        )
        message = f"step {self.step}: bits per byte: {measured}{'  best' * best}"
        message += "" if facts is None else f"; {facts.words}"
        self._logger.event("evaluation", self.step, message, best=best)
        self._reporter.say(message)
        self._last_time = time.perf_counter()

    def _ask_facts(self) -> FactsFound | None:
        """Ask the facts of the run's ledger, if it has one."""
        setup = self._setup
        if setup.facts is None:
            return None
        questions, tokenizer = setup.facts
        return ask_facts(
            setup.loaded,
            questions,
            tokenizer,
            compute_dtype=setup.compute_dtype,
            head=setup.gradient_step.head,
            streams=setup.settings.compute.threads,
            should_stop=lambda: self._stop.asked is not None,
            told=self._phases.begin("asking", step=self.step, unit="tokens"),
            ranks=self._ranks,
        )

    def _begin_evaluation(self) -> Progress:
        """Tell that one begins: the first of a run, or which one of how many."""
        if self.step == 0:
            return self._phases.begin("baseline", unit="tokens")
        length = self._setup.length
        return self._phases.begin(
            "evaluating",
            step=self.step,
            number=-(-self.step // length.evaluate_every),
            of=-(-length.steps // length.evaluate_every),
            unit="tokens",
        )

    # --- save --------------------------------------------------------------------------------

    def _save(self) -> None:
        """Begin a checkpoint of this step. It is told once it is committed."""
        self._wait_for_save()
        self._finish_steps(leave=0)
        if self._ranks.rank:
            self._saved_step = self.step  # By rank 0, which alone writes them.
            return
        self._phases.begin("saving", step=self.step, detail=checkpoint_name(self.step))
        started = time.perf_counter()
        optimizer_state = self._setup.optimizer.state()
        mx.eval(optimizer_state)
        value = self._evaluated_value if self._evaluated_step == self.step else None
        beside = self._checkpoints.begin(
            self.state(),
            self._setup.loaded,
            self._setup.method,
            optimizer_state,
            session=self._session,
            metrics_seq=self._logger.seq,
            domain_bits_per_byte=value if value is not None and math.isfinite(value) else None,
            flush=self._logger.flush_to_disk,
            room=self._memory.room(),
        )
        self._saved_step = self.step
        if beside:
            self._phases.saving(checkpoint_name(self.step))
        told = {"pause": time.perf_counter() - started}
        if not beside:
            told["memory_peak"] = self._memory.read()["memory_peak"]
        self._save_told = told
        self._finish_save(wait=not beside)
        self._last_time = time.perf_counter()

    def _wait_for_save(self) -> None:
        """Wait for the checkpoint under way, if one is, and tell of it."""
        under_way = self._phases.under_way
        if under_way is not None and self._phases.name != "saving":
            step = checkpoint_step(under_way) or 0
            self._phases.begin("saving", step=step, detail=under_way)
        self._finish_save(wait=True)

    def _finish_save(self, *, wait: bool) -> None:
        """Tell that the checkpoint under way is committed, if it is."""
        saved = self._checkpoints.finished(wait=wait)
        if saved is None:
            return
        self._phases.saving(None)
        name = saved.path.name
        step = checkpoint_step(name) or 0
        message = f"Saved {name}."
        self._logger.event(
            "checkpoint", step, message, checkpoint=name, seconds=saved.seconds, **self._save_told
        )
        for one in saved.deleted:
            self._logger.event("deleted", step, f"Deleted {one}.", checkpoint=one)
        self._reporter.say(message)
