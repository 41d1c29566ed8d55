"""Start, stop, resume, fork, watch: the door of the room of runs.

    from cptstudio.runs.training_manager import TrainingManager

    manager = TrainingManager(workspace)          # reads; creates and starts nothing
    for run in manager.runs():
        print(run.id, run.state)
    run = manager.start(config)                   # a keeper process trains from here on
    for update in manager.watch(run.id):
        for row in update.rows:
            print(row["step"], row.get("loss"))
    manager.resume(run.id, "step-00000200", confirmed=True)

A run lives in processes of its own. It outlives this object, this process and the terminal;
another manager, in another process, finds it again by its files and locks. Everything said
about a run is derived anew from these; nothing is remembered here but what was last logged.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from cptstudio import durable, run_files
from cptstudio.durable import UnusableFileError
from cptstudio.errors import MachineError, UserError, machine_error
from cptstudio.prompt_suites import with_suite
from cptstudio.run_files import RunConfig
from cptstudio.runs import forgetting, forking, launching, records
from cptstudio.runs import run_requests as requests
from cptstudio.runs.external.external_training import ExternalTraining
from cptstudio.runs.external.imported_list import ID_PREFIX
from cptstudio.runs.known_runs import KnownRuns, is_locked
from cptstudio.runs.launching import NEWEST, Beginning
from cptstudio.runs.locks import Lock
from cptstudio.runs.on_run_end import RunEnds
from cptstudio.runs.on_run_end.next_in_queue import QueueRunner
from cptstudio.runs.queue import Queue
from cptstudio.runs.records import Request
from cptstudio.runs.run import Run
from cptstudio.runs.server_lock import take_server_lock
from cptstudio.runs.starting import Starter, checkpoint_of
from cptstudio.runs.watcher import RunFollower, Update
from cptstudio.session_settings import SessionSettings
from cptstudio.trash import Trash
from cptstudio.workspace import Workspace

_WATCH_SHORTEST, _WATCH_LONGEST = 0.1, 1.0
_logger = logging.getLogger(__name__)


class TrainingManager:
    """All runs of one workspace.

    Attributes:
        queue: the runs that wait. They are started by whoever serves (`serve`).
        external: what other programs train or have trained: processes, and imported runs.

    Args:
        workspace: its folders. Nothing is created by making a manager.
        detect: look for training that was started elsewhere when `external` is asked; None
            asks the workspace's preferences.
        prevent_sleep: keep the machine awake while a run trains; None asks the preferences.
        stalled_after: seconds without a sign of life after which a living run is shown as
            stalled. It never changes a state.
    """

    def __init__(
        self,
        workspace: Workspace,
        detect: bool | None = None,
        prevent_sleep: bool | None = None,
        stalled_after: float = 300.0,
    ) -> None:
        self.workspace = workspace
        self._stalled_after = stalled_after
        self._known: dict[str, str] = {}
        self._known_runs = KnownRuns(workspace)
        self._run_ends: RunEnds | None = None
        self.external = ExternalTraining(workspace, detect)
        self.queue = Queue(workspace.private)
        self._starter = Starter(
            workspace, self.queue, self.runs, self._known_runs.written, prevent_sleep
        )

    def call_before_launch(self, prepare: Callable[[RunConfig], None]) -> None:
        """Have something done whenever a run is about to start, such as freeing memory."""
        self._starter.before_launch = prepare

    # --- looking -----------------------------------------------------------------------------

    def runs(self) -> list[Run]:
        """Return all runs, the newest first. What is remembered of deleted ones is cleared."""
        self.workspace.check_present()
        self._starter.collect_keepers()
        names = self._known_runs.names()
        for name in sorted(forgetting.remembered(self.workspace.private) - names):
            if forgetting.forget(self.workspace, name):
                self._known.pop(name, None)
            else:
                names.add(name)
        self._known_runs.keep_only(names)
        waiting = self._waiting()
        found = [run for name in names if (run := self._describe(name, waiting)) is not None]
        return sorted(found, key=lambda run: (-run.created, run.id))

    def alive(self) -> list[Run]:
        """Return the runs that are alive, the newest first; the others are not read.

        What lives holds a lock, so that this is quick however many runs there are, also at first.
        """
        self.workspace.check_present()
        self._starter.collect_keepers()
        waiting = self._waiting()
        names = self._known_runs.names() | forgetting.remembered(self.workspace.private)
        locked = (name for name in names if is_locked(self._folder(name), self.workspace.run(name)))
        described = (self._describe(name, waiting) for name in locked)
        found = [run for run in described if run is not None and run.state.alive]
        return sorted(found, key=lambda run: (-run.created, run.id))

    def run(self, id: str) -> Run:
        """Return one run.

        Raises:
            UserError: there is none with this id.
        """
        self.workspace.check_present()
        self._starter.collect_keepers()
        if not self.workspace.run(id).is_dir():
            forgetting.forget(self.workspace, id)
        run = self._describe(id)
        if run is None and id.startswith(ID_PREFIX):
            raise UserError(f"{id} is an imported run of another program and read-only.")
        if run is None:
            raise UserError(f"There is no run {id!r} in {self.workspace.runs}.")
        return run

    def watch(self, id: str, after_seq: int = 0, until_ended: bool = True) -> Iterator[Update]:
        """Yield what is new about a run, as it comes, in the order of its files.

        The caller's own pace holds: nothing is read ahead, so a slow reader costs no memory.

        Args:
            after_seq: rows up to this `seq` are left out.
            until_ended: end when the run is over and everything was told; otherwise the
                caller ends it by closing the iterator.
        """
        run = self.run(id)
        created = run.config.created if run.config else None
        follower = RunFollower(id, self._folder(id), run.directory, after_seq, created)
        interval = _WATCH_SHORTEST
        while True:
            update = follower.look()
            if update:
                yield update
                interval = _WATCH_SHORTEST
                continue
            if until_ended and follower.finished:
                return
            time.sleep(interval)
            interval = min(_WATCH_LONGEST, interval * 1.5)

    # --- starting ----------------------------------------------------------------------------

    def start(self, config: RunConfig, queue: bool = False, ranks: int = 1) -> Run:
        """Reserve the run's directory, write its config.json, and start to train.

        Args:
            config: complete and resolved, as the training room prepares it.
            queue: wait for the active runs instead of refusing.
            ranks: processes on this machine that train it together.

        Raises:
            UserError: with all problems at once; nothing was created.
        """
        self._starter.start(config, queue, ranks)
        return self.run(config.name)

    def start_prepared(self, id: str, queue: bool = False) -> Run:
        """Start a run whose directory and config.json are there and that never trained.

        Raises:
            UserError: it trained already, or something else speaks against it.
        """
        run = self.run(id)
        if run.state.name != "prepared":
            raise UserError(
                f"The run {id} is {run.state}. Only a run that has not started yet can be started."
            )
        return self._begin(run, Beginning(), queue)

    def resume(
        self,
        id: str,
        checkpoint: str | None = None,
        *,
        confirmed: bool,
        queue: bool = False,
        given: SessionSettings | None = None,
        ranks: int = 1,
    ) -> Run:
        """Continue a run in its own directory from one of its checkpoints.

        Args:
            checkpoint: name of the checkpoint; None for the last complete one, or for the
                beginning when the run ended before its first.
            confirmed: the user was asked and agreed to continue from that checkpoint.
            queue: wait for the active runs instead of refusing.
            given: what this session is told to do otherwise than the run and the one before.
            ranks: processes on this machine that train it together.

        Raises:
            UserError: without confirmation, while the run is alive, or where something else
                speaks against it.
        """
        run = self.run(id)
        damage = None if checkpoint else run_files.newer_incomplete(run.directory)
        if damage is not None:
            raise UserError(f"{damage} Choose the checkpoint to resume from.")
        name = checkpoint_of(run, checkpoint) if checkpoint or run.checkpoints() else NEWEST
        if run.state.alive or run.state.name == "missing":
            raise UserError(
                f"The run {id} is {run.state}. Only a run that has ended can be resumed."
            )
        given = given or SessionSettings()
        last = (run.checkpoints() or [NEWEST])[-1]
        if run.state.outcome == "completed" and name == last and given.length is None:
            raise UserError(
                f"The run {id} is complete, so there is nothing to resume. To train "
                "longer, increase its training length, fork it from its last checkpoint, "
                "or resume it from an earlier one to repeat its last steps."
            )
        if not confirmed:
            raise UserError(f"Confirm that you want to resume {id} from {name or 'the beginning'}.")
        return self._begin(run, Beginning(name, given, ranks), queue)

    def fork_config(
        self, id: str, checkpoint: str | None, name: str, changes: Mapping[str, Any] | None = None
    ) -> RunConfig:
        """Return the configuration of a run that starts from a checkpoint of another, its parent.

        Args:
            checkpoint: name of its checkpoint; None for the last complete one.
            changes: dotted names of settings and their new values, such as
                {"optimizer.learning_rate": 1e-5}.

        Raises:
            UserError: it cannot be forked like this.
        """
        parent = self.run(id)
        chosen = checkpoint_of(parent, checkpoint)
        config = forking.forked(
            run_files.read_config(parent.directory), parent.directory, chosen, name, changes or {}
        )
        if "evaluation.suite" in (changes or {}):
            settings = with_suite(self.workspace, config.settings)
            config = config.model_copy(update={"settings": settings})
        return config

    def begin_waiting(self, run: Run, beginning: Beginning) -> None:
        """Start a run whose turn has come, as the queue kept it.

        Raises:
            UserError: with all that speaks against it.
        """
        self._starter.begin(run, beginning, queue=False)

    # --- ending ------------------------------------------------------------------------------

    def stop(self, id: str) -> Run:
        """Ask a run to write a checkpoint and end. It is never killed for being slow.

        Raises:
            UserError: it is not alive, or cannot be reached.
        """
        return self._request(id, "stop")

    def kill(self, id: str) -> Run:
        """End a run at once, without a checkpoint.

        Raises:
            UserError: it is not alive, or cannot be reached.
        """
        return self._request(id, "kill")

    def delete(
        self,
        id: str,
        *,
        confirmed: bool,
        trash: Trash | None = None,
        memory: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Remove a run's directory with its checkpoints, and what is remembered of it.

        Args:
            trash: where it is kept for a while; None deletes it for good.
            memory: what else is put back with it. Its place in the queue is added.

        Returns:
            What `Trash.restore` takes, where it is kept.

        Raises:
            UserError: without confirmation, or while the run is alive.
        """
        run = self.run(id)
        if run.state.alive:
            raise UserError(f"The run {id} is {run.state}. Stop it before deleting it.")
        if not confirmed:
            raise UserError(f"Confirm that you want to delete {run.directory}.")
        waited = self.queue.remove(id)
        self.workspace.make(self.workspace.private, mode=0o700)
        kept = None
        try:
            with self.held_for_deleting(id):
                if trash is None:
                    aside = durable.staging_path(run.directory)
                    os.rename(run.directory, aside)
                    shutil.rmtree(aside)
                else:
                    paths = (run.directory, self._folder(id))
                    kept = trash.put("run", id, paths, {**(memory or {}), **waited})
        except (OSError, UserError):
            if run.directory.exists():
                self.queue.put_back(waited)
            raise
        forgetting.forget(self.workspace, id)
        _logger.info("run %s: deleted because the user asked for it", id)
        return kept

    def held_for_deleting(self, id: str) -> AbstractContextManager[object]:
        """Keep a run from being started while something of it is deleted.

        Raises:
            UserError: it is being started, or is alive.
        """
        try:
            return launching.take_run(self._folder(id), id)
        except (OSError, UserError) as error:
            full = error if isinstance(error, MachineError) else machine_error(error)
            if full is None or (self._folder(id) / records.LOCK).exists():
                raise
            # Deleting is how room is made; a lock that has no file is held by nobody.
            return nullcontext()

    # --- the server --------------------------------------------------------------------------

    @contextmanager
    def serve(self, description: str = "", lock: Lock | None = None) -> Iterator[QueueRunner]:
        """Be the workspace's one server, whose queue runs while the block lasts.

        The queue begins paused when runs wait in it from before.

        Args:
            description: what a second server tells its user.
            lock: the server's lock, where it is held already; it is closed in the end.

        Raises:
            UserError: another process serves this workspace.
        """
        lock = lock or take_server_lock(self.workspace.private, description)
        try:
            self.runs()
            self._run_ends = RunEnds(self)
            self._run_ends.start()
            yield self._run_ends.action(QueueRunner)
        finally:
            self.close()
            lock.close()

    def close(self) -> None:
        """End what is done when runs end. Runs go on."""
        if self._run_ends is not None:
            self._run_ends.close()
            self._run_ends = None

    # --- inside ------------------------------------------------------------------------------

    def _folder(self, id: str) -> Path:
        return launching.private_folder(self.workspace.private, id)

    def _describe(self, id: str, waiting: list[str] | None = None) -> Run | None:
        waiting = self._waiting() if waiting is None else waiting
        place = waiting.index(id) + 1 if id in waiting else None
        directory = self.workspace.run(id)
        run = self._known_runs.describe(id, self._folder(id), directory, place, self._stalled_after)
        if run is not None and self._known.get(id) != str(run.state):
            _logger.info("run %s: %s, because %s", id, run.state, run.state.reason)
            self._known[id] = str(run.state)
        return run

    def _waiting(self) -> list[str]:
        """The runs of the queue, in order; none where its file is damaged."""
        try:
            return [item.run for item in self.queue.waiting()]
        except UnusableFileError:
            return []

    def _begin(self, run: Run, beginning: Beginning, queue: bool) -> Run:
        self._starter.begin(run, beginning, queue)
        return self.run(run.id)

    def _request(self, id: str, request: Request) -> Run:
        requests.deliver(self.run(id), self._folder(id), request)
        _logger.info("run %s: %s asked for", id, request)
        return self.run(id)
