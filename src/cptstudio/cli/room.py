"""Memory for training that a command starts: endpoints let go of their models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.markup import escape

from cptstudio.cli.common import errors
from cptstudio.run_files import RunConfig
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.serving.endpoints import Endpoints
from cptstudio.training.fitting import Fit, fit_of_run
from cptstudio.training.machine import describe_machine
from cptstudio.workspace import Workspace


def manager_of(workspace: Path) -> TrainingManager:
    """A manager whose starts make room."""
    place = Workspace(workspace)
    manager = TrainingManager(place)

    def prepare(config: RunConfig) -> None:
        make_room(place, lambda: fit_of_run(config, place.run(config.name)))

    manager.call_before_launch(prepare)
    return manager


def make_room(place: Workspace, fit: Callable[[], Fit | None]) -> None:
    """Unload what is served where training needs its memory, and say so.

    Args:
        fit: tells what training needs, None where that cannot be told; asked only where anything
            is served.
    """
    endpoints = Endpoints(place)
    if not endpoints.in_the_way(0, every=True) or (needs := fit()) is None:
        return
    every = describe_machine().accelerator == "cuda"
    for one in endpoints.make_room(needs.memory_bytes, every):
        errors.print(
            f"[yellow]Note:[/] {escape(one.model)} is unloaded from its endpoint, because this "
            "run needs its memory. `cpt-studio endpoints load` brings it back.",
            soft_wrap=True,
        )
