"""Memory for training: the inference worker lets go of its models when a run needs what they take.

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
from cptstudio.training.machine import describe_machine
from cptstudio.training.resources import estimate_memory
from cptstudio.web.work.inference_tasks import InferenceTasks

REASON = "A training run needed its memory."
_log = logging.getLogger(__name__)


def warning(tasks: InferenceTasks, needed: int) -> str | None:
    """What the plan says when starting it will end the inference worker.

    Args:
        needed: bytes of memory that training takes.
    """
    state = tasks.worker.state()
    if not _stands_in_the_way(state, needed):
        return None
    size = f" with {held / 1e9:.1f} GB" if (held := memory_of(state)) else ""
    return (
        f"The models that are loaded for testing{size} are unloaded when this run starts, because "
        "it needs their memory."
    )


def make_room(tasks: InferenceTasks, config: RunConfig) -> None:
    """End the inference worker when a run that is about to start needs its memory.

    Never refuses a run.
    """
    if tasks.worker.state().pid is None:
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
    if describe_machine().accelerator == "cuda":
        return True  # What is free on the device is not known without loading MLX.
    return needed > psutil.virtual_memory().available
