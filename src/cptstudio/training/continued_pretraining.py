"""The training program: `python -m cptstudio.training.continued_pretraining RUN_DIRECTORY`.

It reads config.json, trains, and is the only writer of its run directory. From top to bottom:
lock the run, set up, resume or start, run the loop (step, evaluate, save), say how it ended.
"""

from __future__ import annotations

from cptstudio.light_imports import leave_out_torch
from cptstudio.training.stop_requests import StopRequest, hold_signals

if __name__ == "__main__":
    hold_signals()
    leave_out_torch()

import argparse
import logging
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import mlx.core as mx

from cptstudio import durable, terminal
from cptstudio.device_failures import sign_of
from cptstudio.errors import UserError
from cptstudio.lm.identity import kept_hashes, model_files
from cptstudio.run_endings import BY_YOU, ending_of, stopped_at
from cptstudio.run_files import (
    EXIT_CODES,
    LOG,
    RESULT,
    RunConfig,
    RunResult,
    checkpoints_of,
    read_config,
    read_manifest,
    read_result,
    write_record,
)
from cptstudio.run_rows import best_checkpoint, last_seq, last_session
from cptstudio.session_settings import (
    OVERRIDES,
    SessionSettings,
    add_arguments,
    for_session,
    given_by,
    in_session,
    smaller,
    told_last,
)
from cptstudio.training.checkpoints import (
    CheckpointStore,
    TrainerState,
    choose_complete,
    load_optimizer_state,
    load_trained_weights,
    load_trainer_state,
)
from cptstudio.training.console_progress import ProgressReporter, open_log, write_line
from cptstudio.training.loop import Ending, TrainingLoop
from cptstudio.training.phases import Phases, StoppedBeforeTrainingError
from cptstudio.training.run_integrity import (
    check_config,
    check_model,
    check_reading,
    note_model,
)
from cptstudio.training.run_lock import RunDirectoryGoneError, RunLock
from cptstudio.training.setup import Setup, schedule_of, set_up, start_from_parent
from cptstudio.training.system_sampling import SystemSampler
from cptstudio.training.training_data import run_length
from cptstudio.training.training_metrics_logger import TrainingMetricsLogger
from cptstudio.workspace import Workspace, check_format

NEWEST = ""
"""Value of `resume` that means the newest checkpoint."""


class ContinuedPretraining:
    """One trainer process of one run.

    Args:
        resume: None to start from the beginning; NEWEST or a checkpoint's folder name.
        given: what this session is told to do otherwise than the run and the session before.
        agreed: nobody asked for this session now; it was agreed to before the run was started.
        accept_older: resume from an older checkpoint when the newest is damaged.
        verify: read all tokens and the base model again, also where nothing speaks for a change.
    """

    def __init__(
        self,
        run_directory: Path,
        stop: StopRequest,
        *,
        resume: str | None = None,
        given: SessionSettings | None = None,
        agreed: bool = False,
        accept_older: bool = False,
        verify: bool = False,
    ) -> None:
        self._run_directory = run_directory
        self._stop = stop
        self._resume = resume
        self._agreed = agreed
        self._accept_older = accept_older
        self._verify = verify
        # <workspace>/models/cpt/<run>
        check_format(run_directory.parent.parent.parent)
        self._config: RunConfig = read_config(run_directory)
        self._lock = RunLock(run_directory)
        try:
            self._told = for_session(
                self._config, told_last(run_directory), given or SessionSettings()
            )
            self._check_may_start(given or SessionSettings())
            self._log = open_log(run_directory / LOG)
        except UserError:
            self._lock.close()
            raise
        former = last_session(run_directory)
        self.session = 0 if former is None else former + 1
        self._loop: TrainingLoop | None = None
        self._planned_steps = 0
        self._stays_complete = self._is_complete()

    def _check_may_start(self, given: SessionSettings) -> None:
        used = bool(checkpoints_of(self._run_directory)) or last_seq(self._run_directory) > 0
        if self._resume is None and used:
            raise UserError(
                f"The run {self._config.name!r} was already started. Resume it with "
                "--resume, or create a new run."
            )
        if self._resume:
            choose_complete(self._run_directory, self._resume)
        if self._resume == NEWEST and given.length is None:
            result = read_result(self._run_directory)
            if result is not None and result.outcome == "completed":
                raise UserError(
                    f"The run {self._config.name!r} is complete: "
                    f"{ending_of(result, BY_YOU)} There is nothing to resume. To train "
                    "longer, increase its training length, or fork it from its last "
                    "checkpoint."
                )

    @property
    def _step(self) -> int:
        return self._loop.step if self._loop else 0

    def _is_complete(self) -> bool:
        try:
            result = read_result(self._run_directory)
        except UserError:
            return False
        return result is not None and result.outcome == "completed"

    def run(self) -> Ending:
        """Train; leaves result.json behind unless the run directory is gone.

        A complete run keeps its result until a resume from one of its checkpoints is set up: one
        that fails before (the base moved, the checkpoint is damaged) has changed nothing.
        """
        if not self._stays_complete:
            (self._run_directory / RESULT).unlink(missing_ok=True)
        logger = None
        reporter = ProgressReporter(log=self._log)
        phases = Phases(self._lock, self.session, self._stop, reporter)
        system = SystemSampler(self._lock, self.session, lambda: self._step)
        system.start()
        try:
            logger = TrainingMetricsLogger(self._run_directory, self.session)
            ending = self._train(logger, reporter, phases)
        except RunDirectoryGoneError:
            ending = self._gone()
        except StoppedBeforeTrainingError:
            complete = checkpoints_of(self._run_directory)
            newest = complete[-1].name if complete else None
            ending = Ending("stopped", stopped_at(str(self._stop.reason), 0, newest))
        except Exception as error:
            ending = self._failed(error)
        reporter.close()
        system.close()
        try:
            phases.close()
            self._record_end(ending, logger)
        except RunDirectoryGoneError:
            ending = self._gone()
        finally:
            self._lock.close()
        return ending

    def _failed(self, error: Exception) -> Ending:
        """How the run ended by an exception."""
        sign = sign_of(error)
        if sign is not None:
            step = self._step
            where = f"in step {step + 1:,}" if self._loop else "during setup"
            peak = mx.get_peak_memory() / 1e9
            write_line(self._log, traceback.format_exc())
            ending = Ending(
                "failed",
                f"{sign.says}, {where} (peak {peak:.1f} GB). {self._what_helps()} {_words(error)}",
                sign.cause,
            )
        elif isinstance(error, UserError):
            ending = Ending("failed", str(error))
        else:
            # A fault of ours keeps its trace in the log; the result still says that it ended so.
            reason = explain(error)
            if reason is None:
                traceback.print_exc()
                write_line(self._log, traceback.format_exc())
                reason = f"The trainer failed: {type(error).__name__}: {error}"
            ending = Ending("failed", reason)
        return ending

    def _what_helps(self) -> str:
        """What to type where memory or time ran out; the run's page has buttons for it."""
        resume = f"cpt-studio resume {self._config.name}"
        half = smaller(self._config, self._told)
        if half is not None:
            return f"To resume with half the batch size: `{resume} --batch-size {half.batch_size}`."
        if not in_session(self._config, self._told).settings.compute.gradient_checkpointing:
            return f"To resume with less memory: `{resume} --gradient-checkpointing`."
        return "Fork it with a shorter sequence length, or use lora instead of full."

    def _gone(self) -> Ending:
        return Ending("failed", f"The run directory {self._run_directory} was deleted.")

    def _train(
        self, logger: TrainingMetricsLogger, reporter: ProgressReporter, phases: Phases
    ) -> Ending:
        checkpoints = CheckpointStore(self._lock, self._config.settings.checkpoints)
        checkpoints.prepare()
        checkpoint = None
        if self._resume is not None:
            checkpoint = checkpoints.choose(
                self._resume or None,
                accept_older=self._accept_older,
                progress=phases.begin("checking", detail="the checkpoint", unit="bytes"),
            )
            if checkpoint is not None:
                check_config(self._run_directory, checkpoint)
                check_reading(self._config, checkpoint)
        state = None if checkpoint is None else load_trainer_state(checkpoint)
        self._check_model(phases)
        setup = set_up(
            self._config,
            self._told,
            done=(0, 0) if state is None else (state.step, state.next_batch),
            verify=self._verify,
            checking=lambda: phases.begin("checking", detail="the corpora"),
            loading=lambda: phases.begin("loading", unit="bytes"),
        )
        if checkpoint is not None and state is not None:
            self._check_length(checkpoint, state, setup)
        self._planned_steps = setup.length.steps
        reporter.expect(setup.length.steps)
        for note in setup.notes:
            reporter.say(note)
        loop = TrainingLoop(
            setup, logger, checkpoints, self._lock, self._stop, reporter, phases, self.session
        )
        self._loop = loop
        if checkpoint is None or state is None:
            start_from_parent(setup)
        else:
            phases.begin("restoring", step=state.step)
            self._restore(checkpoint, state, setup, loop)
        if self._stays_complete:
            (self._run_directory / RESULT).unlink(missing_ok=True)
            durable.flush_directory(self._run_directory)
            self._stays_complete = False
        self._announce(checkpoint, setup, loop, logger, reporter)
        return loop.run()

    def _check_length(self, checkpoint: Path, state: TrainerState, setup: Setup) -> None:
        """Refuse a length with which the steps done so far would have had other rates.

        Raises:
            UserError: says what to do.
        """
        told = told_last(self._run_directory, read_manifest(checkpoint).session)
        former = in_session(self._config, told).settings
        if former.length == setup.settings.length:
            return
        done = (state.step, state.next_batch)
        was = schedule_of(former, run_length(former, setup.data.order, done=done))
        if setup.length.steps < state.step:
            raise UserError(
                f"A length of {setup.settings.length} is {setup.length.steps:,} steps, "
                f"but {checkpoint.name} has already done {state.step:,}. Use a longer one."
            )
        if not setup.schedule.same_until(was, state.step):
            raise UserError(
                f"Up to {checkpoint.name}, the learning rate followed a {was.kind} "
                f"schedule of {was.total_steps:,} steps; with a length of "
                f"{setup.settings.length} it would have been different. Fork the run from "
                "this checkpoint: a fork warms up again. Runs with a constant or wsd "
                "schedule can be extended, wsd from a checkpoint before its decay."
            )

    def _check_model(self, phases: Phases) -> None:
        """Compare the base with what the run was prepared with; reads it unless that is known."""
        progress = phases.begin("checking", detail="the base model", unit="bytes")
        kept = kept_hashes(Workspace(self._run_directory.parent.parent.parent).private)

        def checked(again: bool) -> dict[str, str]:
            return check_model(
                self._config,
                self._run_directory,
                lambda folder: model_files(folder, kept, again=again, progress=progress),
            )

        known = not self._verify and kept.of(Path(self._config.model_path)) is not None
        try:
            found = checked(again=self._verify)
        except UserError:
            if not known:
                raise
            # What is known of it may be of other files, whose dates were set back.
            found = checked(again=True)
        note_model(self._config, self._run_directory, found)

    def _restore(
        self, checkpoint: Path, state: TrainerState, setup: Setup, loop: TrainingLoop
    ) -> None:
        """Put weights, optimizer state and counters back, bit for bit."""
        try:
            load_trained_weights(checkpoint, setup.loaded, setup.method)
            setup.optimizer.load_state(load_optimizer_state(checkpoint))
            loop.load_state(state)
        except ValueError as error:
            raise UserError(
                f"The checkpoint {checkpoint.name} does not fit this run: {error}."
            ) from None
        except (KeyError, TypeError) as error:
            raise UserError(
                f"The checkpoint {checkpoint.name} was written by another version of CPT "
                f"Studio with a different state format ({error}). Resume with that "
                "version, or fork a new run from the checkpoint's weights."
            ) from None

    def _announce(
        self,
        checkpoint: Path | None,
        setup: Setup,
        loop: TrainingLoop,
        logger: TrainingMetricsLogger,
        reporter: ProgressReporter,
    ) -> None:
        told = {OVERRIDES: self._told.told()} if self._told.told() else {}
        if self._resume is not None:
            after = 0 if checkpoint is None else read_manifest(checkpoint).metrics_seq
            logger.resume(loop.step, after)
            source = "the beginning" if checkpoint is None else checkpoint.name
            message = f"Resumed from {source}, step {loop.step:,} of {setup.length.steps:,}."
            if self._agreed:
                message = (
                    f"Memory or time ran out; restarting as agreed before the start. {message}"
                )
            message += _otherwise(self._told)
            logger.event("resumed", loop.step, message, planned_steps=setup.length.steps, **told)
        else:
            message = (
                f"Training {setup.method.trainable:,} of {setup.method.total:,} parameters "
                f"({setup.method.kind}) for {setup.length.steps:,} steps of about "
                f"{setup.length.tokens_per_step:,.0f} tokens."
            )
            message += _otherwise(self._told)
            logger.event("started", 0, message, planned_steps=setup.length.steps, **told)
        # The next session asks what this one was told.
        logger.flush_to_disk()
        reporter.say(message)

    def _record_end(self, ending: Ending, logger: TrainingMetricsLogger | None) -> None:
        """Tell the end in events.jsonl and result.json, as far as the disk lets us."""
        complete = checkpoints_of(self._run_directory)
        best, loop = best_checkpoint(complete), self._loop
        result = RunResult(
            outcome=ending.outcome,
            reason=ending.reason,
            step=self._step,
            planned_steps=self._planned_steps,
            checkpoint=complete[-1].name if complete else None,
            best_checkpoint=best.name if best else None,
            skipped_steps=loop.guard.skipped if loop else 0,
            session=self.session,
            ended=time.time(),
            cause=ending.cause,
        )
        try:
            if not self._stays_complete:
                write_record(self._run_directory / RESULT, result)
            if logger is not None:
                logger.event("ended", result.step, ending.reason, outcome=ending.outcome)
                logger.flush_to_disk()
                logger.close()
        except OSError as error:
            self._lock.check_present()
            print(f"Could not record how the run ended: {error.strerror}.", file=sys.stderr)


def _otherwise(told: SessionSettings) -> str:
    """What a session was told, as the end of a sentence's paragraph."""
    parts = [
        f"{SessionSettings.model_fields[name].title or name} {'on' if value is True else value}"
        for name, value in told.told().items()
    ]
    return f" In this session: {', '.join(parts)}." if parts else ""


def _words(error: BaseException) -> str:
    """The device's own words, for who looks them up: the first line of the first error."""
    while error.__cause__ is not None:
        error = error.__cause__
    words = str(error).strip().splitlines()
    return f"Details: {words[0][:300]}" if words else ""


def explain(error: Exception) -> str | None:
    """Return what went wrong and what to do, for failures that a user can fix."""
    if isinstance(error, OSError) and error.errno is not None:
        return (
            f"Could not write or read a file of the run: {error.strerror} "
            f"({error.filename or 'metrics'}). If the disk is full, free some space and "
            "resume."
        )
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m cptstudio.training.continued_pretraining",
        description="Train a prepared run directory.",
    )
    parser.add_argument("run_directory", type=Path)
    parser.add_argument(
        "--resume",
        nargs="?",
        const=NEWEST,
        metavar="CHECKPOINT",
        help="resume from a checkpoint (default: the newest)",
    )
    parser.add_argument(
        "--accept-older",
        action="store_true",
        help="if the newest checkpoint is damaged, use the one before it",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="re-read all tokens and the base model, even if nothing seems to have changed",
    )
    add_arguments(parser)
    parser.add_argument(
        "--agreed",
        action="store_true",
        help="this session was agreed to before the run was started",
    )
    options = parser.parse_args(arguments)
    terminal.prepare()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    stop = StopRequest()
    stop.install()
    try:
        trainer = ContinuedPretraining(
            options.run_directory.absolute(),
            stop,
            resume=options.resume,
            given=given_by(options),
            agreed=options.agreed,
            accept_older=options.accept_older,
            verify=options.verify,
        )
    except UserError as error:
        print(terminal.visible(str(error)), file=sys.stderr)
        return EXIT_CODES["failed"]
    ending = trainer.run()
    reason = terminal.visible(ending.reason)
    if ending.outcome == "failed":
        terminal.write(sys.stderr, f"Failed: {reason}\n")
    else:
        terminal.write(sys.stdout, f"{reason}\n")
    return EXIT_CODES[ending.outcome]


if __name__ == "__main__":
    sys.exit(main())
