"""Everything that ends in a keeper: a first start, a resume, a run whose turn has come.

Each start is asked for by somebody, is checked before anything is created, and is the only one
of the workspace at that moment.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from cptstudio import run_files
from cptstudio.errors import Finding, UserError
from cptstudio.run_files import RunConfig
from cptstudio.runs import forgetting, launching, locks, preflight, states
from cptstudio.runs.launching import Beginning
from cptstudio.runs.locks import Lock
from cptstudio.runs.preferences import read_preferences
from cptstudio.runs.queue import Queue
from cptstudio.runs.run import Run
from cptstudio.session_settings import for_session, in_session, told_last
from cptstudio.workspace import Workspace, check_new_run

_LAUNCH_SECONDS: Final = 60.0


class Starter:
    """Starts runs of one workspace.

    Args:
        queue: where runs wait that are not to start now.
        runs: tells all runs, to know which of them use the device.
        written: called with a configuration once its run's directory is made.
        prevent_sleep: keep the machine awake while a run trains; None asks the preferences.

    Attributes:
        before_launch: called with a run's configuration when nothing speaks against its start
            any more, such as to free memory.
    """

    def __init__(
        self,
        workspace: Workspace,
        queue: Queue,
        runs: Callable[[], Sequence[Run]],
        written: Callable[[RunConfig], None],
        prevent_sleep: bool | None,
    ) -> None:
        self._workspace = workspace
        self._queue = queue
        self._runs = runs
        self._written = written
        self._prevent_sleep = prevent_sleep
        self._keepers: list[subprocess.Popen[bytes]] = []
        self._keepers_lock = threading.Lock()
        self.before_launch: Callable[[RunConfig], None] = lambda config: None

    def preflight(self, config: RunConfig, queue: bool) -> list[Finding]:
        """Return all that speaks against starting this configuration as a new run, in sentences."""
        directory = self._workspace.run(config.name)
        folder = launching.private_folder(self._workspace.private, config.name)
        problems = []
        try:
            check_new_run(directory)
            if states.gather(folder, directory).lock_held:
                raise UserError(
                    f"A deleted run {config.name} is still stopping. Try again in a moment."
                )
        except UserError as error:
            problems.append(Finding(error.message, "name"))
        problems += preflight.problems_of(config, directory)
        return problems + ([] if queue else self._device_problems(config.name))

    def start(self, config: RunConfig, queue: bool, ranks: int = 1) -> None:
        """Reserve the run's directory, write its config.json, and start to train or wait.

        Raises:
            UserError: with all problems at once; nothing was created.
        """
        self._refuse(config, queue)
        directory = self._workspace.run(config.name)
        folder = launching.private_folder(self._workspace.private, config.name)
        with self._one_launch_at_a_time():
            # Asked again, now that no other launch can come between.
            self._refuse(config, queue)
            self._workspace.make(directory.parent)
            with launching.take_run(folder, config.name) as lock:
                forgetting.clear(folder)
                run_files.reserve(directory, config)
                self._written(config)
                if not queue:
                    self._launch(lock, config.name, config, Beginning(ranks=ranks))
        if queue:
            self._queue.add(config.name, Beginning(ranks=ranks), None)

    def begin(self, run: Run, beginning: Beginning, queue: bool) -> None:
        """Start or resume a run that has its directory, or let it wait for its turn.

        Args:
            queue: wait for the active runs instead of refusing.

        Raises:
            UserError: with all problems at once; nothing was started.
        """
        config = run_files.read_config(run.directory)
        for_session(config, told_last(run.directory), beginning.given)  # It refuses what cannot be.
        folder = launching.private_folder(self._workspace.private, run.id)
        with self._one_launch_at_a_time():
            problems = preflight.problems_of(config, run.directory)
            problems += [] if queue else self._device_problems(run.id)
            if problems:
                raise UserError(f"The run {run.id} cannot start:", problems)
            if queue:
                self._queue.add(run.id, beginning, run.attempt)
            else:
                with launching.take_run(folder, run.id) as lock:
                    forgetting.clear_if_of_another_run(folder, config.created)
                    self._launch(lock, run.id, config, beginning)
                self._queue.remove(run.id)

    def collect_keepers(self) -> None:
        """Let the system forget the keepers started from here that have ended."""
        with self._keepers_lock:
            self._keepers = [keeper for keeper in self._keepers if keeper.poll() is None]

    # --- inside ------------------------------------------------------------------------------

    def _refuse(self, config: RunConfig, queue: bool) -> None:
        problems = self.preflight(config, queue)
        if problems:
            raise UserError(f"The run {config.name} cannot start:", problems)

    def _device_problems(self, but: str) -> list[Finding]:
        active = [run.id for run in self._runs() if run.state.alive and run.id != but]
        if not active:
            return []
        return [
            Finding(
                f"The device is in use by {', '.join(active)}. Wait until it has ended, "
                "or add this run to the queue."
            )
        ]

    @contextmanager
    def _one_launch_at_a_time(self) -> Iterator[None]:
        """Keeps two processes from both finding the device free."""
        self._workspace.make(self._workspace.private, mode=0o700)
        lock = locks.take(self._workspace.private / "launch.lock", patience=_LAUNCH_SECONDS)
        if lock is None:
            raise UserError("Another process is starting a run. Try again.")
        with lock:
            yield

    def _launch(self, lock: Lock, id: str, config: RunConfig, beginning: Beginning) -> None:
        prevent_sleep = self._prevent_sleep
        if prevent_sleep is None:
            prevent_sleep = read_preferences(self._workspace.private).prevent_sleep
        folder = launching.private_folder(self._workspace.private, id)
        directory = self._workspace.run(id)
        session = for_session(config, told_last(directory), beginning.given)
        self.before_launch(in_session(config, session))
        keeper = launching.launch(lock, folder, directory, config, beginning, prevent_sleep)
        with self._keepers_lock:
            self._keepers.append(keeper)


def checkpoint_of(run: Run, name: str | None) -> str:
    """Name of a complete checkpoint of a run: this one, or with None its last.

    Raises:
        UserError: there is no such checkpoint.
    """
    names = run.checkpoints()
    if not names:
        raise UserError(f"The run {run.id} has no complete checkpoint to resume from.")
    if name is None:
        return names[-1]
    if name not in names:
        raise UserError(
            f"The run {run.id} has no complete checkpoint {name!r}. Existing checkpoints: "
            f"{', '.join(names)}."
        )
    return name
