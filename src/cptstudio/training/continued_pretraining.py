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
import os
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import mlx.core as mx

from cptstudio import durable, terminal
from cptstudio.device_failures import sign_of
from cptstudio.errors import UserError
from cptstudio.lm.identity import hash_of_files, kept_hashes, model_files
from cptstudio.run_endings import BY_YOU, ending_of, stopped_at
from cptstudio.run_files import (
    CONFIG,
    EXIT_CODES,
    EXIT_LOST,
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
from cptstudio.run_rows import best_checkpoint, last_seq, last_seq_until, last_session
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
from cptstudio.training.machine import installed_versions
from cptstudio.training.phases import Phases, StoppedBeforeTrainingError
from cptstudio.training.ranks import (
    ALONE,
    BACKENDS,
    FailedElsewhereError,
    LostRankError,
    Ranks,
    check_alike,
    join,
    own_directory,
)
from cptstudio.training.run_integrity import (
    check_config,
    check_model,
    check_reading,
    note_model,
)
from cptstudio.training.run_lock import RunDirectoryGoneError, RunLock
from cptstudio.training.setup import Setup, schedule_of, set_up, start_from_parent, take_of_first
from cptstudio.training.system_sampling import SystemSampler
from cptstudio.training.training_data import run_length
from cptstudio.training.training_metrics_logger import TrainingMetricsLogger
from cptstudio.workspace import Workspace, check_format

NEWEST = ""
"""Value of `resume` that means the newest checkpoint."""


class ContinuedPretraining:
    """One trainer process of one run.

    Attributes:
        session: its number in the run.
        lost: whether it failed only because another rank was gone.

    Args:
        resume: None to start from the beginning; NEWEST or a checkpoint's folder name.
        given: what this session is told to do otherwise than the run and the session before.
        agreed: nobody asked for this session now; it was agreed to before the run was started.
        accept_older: resume from an older checkpoint when the newest is damaged.
        verify: read all tokens and the base model again, also where nothing speaks for a change.
        ranks: that train together. Rank 0 is the only writer of the run directory; each other one
            keeps its log and its rows in a folder of its own in there.
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
        ranks: Ranks = ALONE,
    ) -> None:
        self._run_directory = run_directory
        self._ranks = ranks
        self._told = SessionSettings()
        self.lost = False
        self._stop = stop
        self._resume = resume
        self._agreed = agreed
        self._accept_older = accept_older
        self._verify = verify
        # <workspace>/models/cpt/<run>
        check_format(run_directory.parent.parent.parent)
        self._config: RunConfig = read_config(run_directory)
        self._own_directory = own_directory(run_directory, ranks.rank)
        self._lock = RunLock(self._own_directory)
        try:
            if ranks.rank == 0:
                self._told = for_session(
                    self._config, told_last(run_directory), given or SessionSettings()
                )
                self._check_may_start(given or SessionSettings())
            self._log = open_log(self._own_directory / LOG)
        except UserError:
            self._lock.close()
            raise
        former = last_session(self._own_directory)
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
            (self._own_directory / RESULT).unlink(missing_ok=True)
        logger = None
        reporter = ProgressReporter(log=self._log, output=self._output())
        phases = Phases(self._lock, self.session, self._stop, reporter)
        system = SystemSampler(self._lock, self.session, lambda: self._step)
        system.start()
        try:
            logger = TrainingMetricsLogger(self._own_directory, self.session)
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

    def _output(self) -> TextIO | None:
        """Where progress is told: by rank 0 alone."""
        return open(os.devnull, "w", encoding="utf-8") if self._ranks.rank else None

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
            self.lost = isinstance(error, FailedElsewhereError) and self._ranks.rank > 0
            ending = Ending("failed", str(error))
        elif isinstance(error, LostRankError):
            self.lost = True
            ending = Ending("failed", f"{error} in step {self._step + 1:,}.")
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
        ranks = self._ranks
        self._meet()
        checkpoints = CheckpointStore(self._lock, self._config.settings.checkpoints)
        checkpoint, state = None, None
        with ranks.agreeing():
            if ranks.rank == 0:
                checkpoint, state = self._chosen(checkpoints, phases)
        begins = _Beginning.of(checkpoint, state).of_rank_0(ranks)
        state = begins.state
        with ranks.agreeing():
            found = self._check_model(phases)
            setup = set_up(
                self._config,
                self._told,
                done=(0, 0) if state is None else (state.step, state.next_batch),
                verify=self._verify,
                checking=lambda: phases.begin("checking", detail="the corpora"),
                loading=lambda: phases.begin("loading", unit="bytes"),
                ranks=ranks,
            )
            if checkpoint is not None and state is not None:
                self._check_length(checkpoint, state, setup)
        check_alike("base model's hash", ranks.gathered({"": hash_of_files(found)}), ranks.machines)
        self._planned_steps = setup.length.steps
        reporter.expect(setup.length.steps)
        for note in setup.notes:
            reporter.say(note)
        loop = TrainingLoop(
            setup, logger, checkpoints, self._lock, self._stop, reporter, phases, self.session
        )
        self._loop = loop
        with ranks.agreeing():
            if state is not None:
                phases.begin("restoring", step=state.step)
            if checkpoint is not None and state is not None:
                self._restore(checkpoint, setup, loop, state)
            elif state is not None:
                loop.load_state(state)
            elif ranks.rank == 0:
                start_from_parent(setup)
        take_of_first(setup)
        if self._stays_complete:
            (self._own_directory / RESULT).unlink(missing_ok=True)
            durable.flush_directory(self._own_directory)
            self._stays_complete = False
        self._announce(begins, setup, loop, logger, reporter)
        ending = loop.run()
        # Nobody goes while rank 0 writes the last checkpoint.
        ranks.agree(self._stop)
        return ending

    def _meet(self) -> None:
        """Compare what the ranks have before them, and take what rank 0 was told."""
        ranks = self._ranks
        if ranks.size == 1:
            return
        self._stop.share()
        check_alike("versions", ranks.gathered(installed_versions()), ranks.machines)
        configs = ranks.gathered(self._config.model_dump(mode="json"))
        check_alike(f"{CONFIG} of the run", configs, ranks.machines)
        told, session = ranks.gathered((self._told.told(), self.session))[0]
        self._told, self.session = SessionSettings.model_validate(told), session

    def _chosen(
        self, checkpoints: CheckpointStore, phases: Phases
    ) -> tuple[Path | None, TrainerState | None]:
        """The checkpoint to go on from, verified, with its counters."""
        checkpoints.prepare()
        if self._resume is None:
            return None, None
        checkpoint = checkpoints.choose(
            self._resume or None,
            accept_older=self._accept_older,
            progress=phases.begin("checking", detail="the checkpoint", unit="bytes"),
        )
        if checkpoint is None:
            return None, None
        check_config(self._run_directory, checkpoint)
        check_reading(self._config, checkpoint)
        return checkpoint, load_trainer_state(checkpoint)

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

    def _check_model(self, phases: Phases) -> dict[str, str]:
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
        if self._ranks.rank == 0:
            note_model(self._config, self._run_directory, found)
        return found

    def _restore(
        self, checkpoint: Path, setup: Setup, loop: TrainingLoop, state: TrainerState
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
        begins: _Beginning,
        setup: Setup,
        loop: TrainingLoop,
        logger: TrainingMetricsLogger,
        reporter: ProgressReporter,
    ) -> None:
        told = {OVERRIDES: self._told.told()} if self._told.told() else {}
        if self._resume is not None:
            after = begins.metrics_seq
            if self._ranks.rank:
                after = last_seq_until(self._own_directory, loop.step)
            logger.resume(loop.step, after)
            source = begins.checkpoint or "the beginning"
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
                write_record(self._own_directory / RESULT, result)
            if logger is not None:
                logger.event("ended", result.step, ending.reason, outcome=ending.outcome)
                logger.flush_to_disk()
                logger.close()
        except OSError as error:
            self._lock.check_present()
            print(f"Could not record how the run ended: {error.strerror}.", file=sys.stderr)


@dataclass(frozen=True)
class _Beginning:
    """Where a session goes on, as all ranks know it.

    Attributes:
        checkpoint: its name, or None; rank 0 has it.
        metrics_seq: the last row that it knows of.
    """

    checkpoint: str | None = None
    metrics_seq: int = 0
    state: TrainerState | None = None

    @classmethod
    def of(cls, checkpoint: Path | None, state: TrainerState | None) -> _Beginning:
        if checkpoint is None:
            return cls()
        return cls(checkpoint.name, read_manifest(checkpoint).metrics_seq, state)

    def of_rank_0(self, ranks: Ranks) -> _Beginning:
        """Return what rank 0 has."""
        if ranks.size == 1:
            return self
        state = None if self.state is None else self.state.model_dump(mode="json")
        name, seq, state = ranks.gathered((self.checkpoint, self.metrics_seq, state))[0]
        return _Beginning(name, seq, None if state is None else TrainerState.model_validate(state))


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
    parser.add_argument(
        "--ranks",
        type=int,
        default=1,
        metavar="N",
        help="this process is one of N that train together, as MLX's launcher started it",
    )
    parser.add_argument("--backend", choices=BACKENDS, default="ring", help="what connects them")
    options = parser.parse_args(arguments)
    terminal.prepare()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    stop = StopRequest()
    stop.install()
    ranks: Ranks = ALONE
    try:
        ranks = join(options.ranks, options.backend)
        with ranks.agreeing():
            trainer = ContinuedPretraining(
                options.run_directory.absolute(),
                stop,
                resume=options.resume,
                given=given_by(options),
                agreed=options.agreed,
                accept_older=options.accept_older,
                verify=options.verify,
                ranks=ranks,
            )
    except UserError as error:
        print(terminal.visible(str(error)), file=sys.stderr)
        elsewhere = isinstance(error, FailedElsewhereError) and ranks.rank > 0
        return EXIT_LOST if elsewhere else EXIT_CODES["failed"]
    ending = trainer.run()
    status = EXIT_LOST if trainer.lost else EXIT_CODES[ending.outcome]
    if ranks.rank and (trainer.lost or ending.outcome != "failed"):
        return status  # Rank 0 says it.
    reason = terminal.visible(ending.reason)
    if ending.outcome == "failed":
        terminal.write(sys.stderr, f"Failed: {reason}\n")
    else:
        terminal.write(sys.stdout, f"{reason}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
