"""Memory for training: what holds models lets go of them when a run needs what they take.

First the inference worker, then the endpoints, which go on refusing requests in words.

The user is told before: the plan of a run says so, and so do the dialogs that start one.
"""

from __future__ import annotations

import logging
from pathlib import Path

import psutil

from cptstudio.errors import UserError
from cptstudio.evaluation.inference import InferenceState
from cptstudio.lm.description import describe_model
from cptstudio.lm.network_reader import read_network
from cptstudio.run_files import RunConfig
from cptstudio.serving.endpoints import REASON, Endpoints
from cptstudio.serving.facts import EndpointFacts
from cptstudio.training.machine import describe_machine
from cptstudio.training.resources import estimate_memory
from cptstudio.web.work.inference_tasks import InferenceTasks

_log = logging.getLogger(__name__)


def warning(tasks: InferenceTasks, endpoints: Endpoints, needed: int) -> str | None:
    """What the plan says when starting it will unload models.

    Args:
        needed: bytes of memory that training takes.
    """
    said = []
    state = tasks.worker.state()
    held = memory_of(state) or 0
    if _stands_in_the_way(state, needed):
        size = f" with {held / 1e9:.1f} GB" if held else ""
        said.append(
            f"The models loaded for testing{size} will be unloaded when this run starts, "
            "because it needs their memory."
        )
    served = endpoints.in_the_way(needed - held, _every())
    if served:
        said.append(
            f"{_names(served)} will be unloaded from its endpoint when this run starts, because "
            "it needs the memory."
            if len(served) == 1
            else f"{_names(served)} will be unloaded from their endpoints when this run starts, "
            "because it needs the memory."
        )
    return " ".join(said) or None


def make_room(tasks: InferenceTasks, endpoints: Endpoints, config: RunConfig) -> None:
    """Unload models when a run that is about to start needs their memory.

    Never refuses a run.
    """
    if tasks.worker.state().pid is None and not endpoints.in_the_way(0, every=True):
        return
    try:
        model = describe_model(Path(config.model_path))
        trusted = config.settings.model.trust_remote_code
        network = read_network(model.path, trust_remote_code=trusted)
        needed = estimate_memory(model, network, config.settings, describe_machine()).total
    except (UserError, OSError) as error:
        _log.info("the memory of %s cannot be told: %s", config.name, error)
        return
    if _stands_in_the_way(tasks.worker.state(), needed):
        _log.info("the inference worker ends: %s needs its memory", config.name)
        tasks.end(REASON)
    for one in endpoints.make_room(needed, _every()):
        _log.info("%s is unloaded: %s needs its memory", one.id, config.name)


def _names(served: list[EndpointFacts]) -> str:
    return ", ".join(one.model for one in served)


def _every() -> bool:
    """Whether all models go, since what is free on the device is not known without loading MLX."""
    return describe_machine().accelerator == "cuda"


def memory_of(state: InferenceState) -> int | None:
    """Bytes of main memory that the inference worker holds; None where there is none."""
    if state.pid is None:
        return None
    try:
        return int(psutil.Process(state.pid).memory_info().rss)
    except psutil.Error:
        return None


def _stands_in_the_way(state: InferenceState, needed: int) -> bool:
    if state.pid is None:
        return False
    if _every():
        return True
    return needed > psutil.virtual_memory().available
