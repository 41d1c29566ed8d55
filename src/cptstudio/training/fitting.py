"""A run's needs against this machine's resources, checked before it starts. Imports no MLX.

Numbers beyond the machine's are asked about, never refused: they are estimates, and a user may
know better.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from cptstudio.errors import UserError
from cptstudio.lm.description import describe_model
from cptstudio.lm.network_reader import read_network
from cptstudio.retention import most_at_once
from cptstudio.run_files import RunConfig, checkpoints_of, read_config
from cptstudio.session_settings import SessionSettings, for_session, in_session, told_last
from cptstudio.settings import Settings, TrainingSettings
from cptstudio.training.machine import this_machine
from cptstudio.training.planning import Plan, make_plan
from cptstudio.training.resources import checkpoint_bytes, estimate_memory
from cptstudio.workspace import Workspace


@dataclass(frozen=True)
class Fit:
    """A run's needs and the machine's resources, in bytes.

    Attributes:
        memory_bytes: of a training step.
        memory_available_bytes: of this machine's, what a run may take.
        disk_needed_bytes: of the checkpoints that are still to be written and stay.
        disk_free_bytes: where the run lies.
    """

    memory_bytes: int
    memory_available_bytes: int
    disk_needed_bytes: int
    disk_free_bytes: int

    @property
    def fits(self) -> bool:
        """Return whether there is enough of both."""
        return (
            self.memory_bytes <= self.memory_available_bytes
            and self.disk_needed_bytes <= self.disk_free_bytes
        )

    def of_ranks(self, ranks: int) -> Fit:
        """Return what so many ranks on this machine need: each has the whole model."""
        return replace(self, memory_bytes=self.memory_bytes * ranks)

    def sentences(self) -> list[str]:
        """Return sentences about what is short, with the numbers."""
        found = []
        if self.memory_bytes > self.memory_available_bytes:
            found.append(
                f"A step needs about {_gigabytes(self.memory_bytes)} of memory, but "
                f"{_gigabytes(self.memory_available_bytes)} are available on this machine."
            )
        if self.disk_needed_bytes > self.disk_free_bytes:
            found.append(
                f"The checkpoints need about {_gigabytes(self.disk_needed_bytes)} of disk "
                f"space, but {_gigabytes(self.disk_free_bytes)} are free."
            )
        return found


def fit_of_plan(plan: Plan) -> Fit:
    """Return the needs of a run that was planned for this machine."""
    assert plan.disk_free is not None
    return Fit(plan.memory.total, plan.memory_available, plan.disk_needed, plan.disk_free)


def fit_of_run(
    config: RunConfig | None, directory: Path, given: SessionSettings | None = None
) -> Fit | None:
    """Return the needs of a run that continues in its directory; None if unknown.

    Args:
        given: what its next session is told.

    Raises:
        UserError: an update of the run cannot be cut as it was given.
    """
    if config is None:
        return None
    session = for_session(config, told_last(directory), given or SessionSettings())
    settings = in_session(config, session).settings
    try:
        machine = this_machine()
        model = describe_model(Path(config.model_path))
        network = read_network(model.path, trust_remote_code=settings.model.trust_remote_code)
        memory = estimate_memory(model, network, settings, machine).total
        one = checkpoint_bytes(network, settings)
        free = shutil.disk_usage(directory).free
    except (UserError, OSError):
        return None
    most = most_at_once(settings.checkpoints, settings.length, settings.checkpoints.every)
    return Fit(memory, machine.available, one * max(1, most - len(checkpoints_of(directory))), free)


def completed(workspace: Workspace, config: RunConfig) -> tuple[RunConfig, Fit | None]:
    """A fork's configuration with a value for all that was left to be chosen, and what it needs.

    What the parent resolved stays as it is, so that the fork differs in what was changed alone.

    Raises:
        UserError: something was left to be chosen, and the run cannot be planned.
    """
    settings = config.settings
    model = settings.model.model_copy(update={"path": config.model_path})
    evaluation = settings.evaluation.model_copy(update={"suite": None})
    try:
        plan = make_plan(
            workspace,
            settings.model_copy(update={"model": model, "evaluation": evaluation}),
            given_method=config.parent is not None,
        )
    except UserError:
        # A parent's corpora may lie elsewhere than in this workspace; its trainer finds them.
        if config.parent is None:
            raise
        if _open(settings) - _open(read_config(Path(config.parent.path)).settings):
            raise
        return config, fit_of_run(config, workspace.root)
    groups = {name: group for name, group in settings if isinstance(group, Settings)}
    chosen = {
        name: group.model_copy(
            update={
                key: getattr(getattr(plan.settings, name), key)
                for key, value in group
                if value is None
            }
        )
        for name, group in groups.items()
    }
    complete = settings.model_copy(update=chosen)
    return config.model_copy(update={"settings": complete}), fit_of_plan(plan)


def _open(settings: TrainingSettings) -> set[str]:
    """The settings without a value."""
    return {
        f"{name}.{key}"
        for name, group in settings
        if isinstance(group, Settings)
        for key, value in group
        if value is None
    }


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
