"""Deaths injected into real trainers: the seam lies in the tests alone.

`die_in` patches the training step of this process. For trainers in processes of their own,
`environment` makes a folder whose sitecustomize.py Python imports at its start; it patches a
trainer that is just imported, and what the keeper knows of kills for want of memory: on a Mac,
nothing.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

MESSAGES = {
    "Insufficient Memory": (
        "memory",
        "[METAL] Command buffer execution failed: Insufficient Memory "
        "(00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory).",
    ),
    "maximum allowed buffer size": (
        "memory",
        "[metal::malloc] Attempting to allocate 48736917632 bytes which is greater than the "
        "maximum allowed buffer size of 30150672384 bytes.",
    ),
    "Resource limit": ("memory", "[metal::malloc] Resource limit (499000) exceeded."),
    "Impacting Interactivity": (
        "watchdog",
        "[METAL] Command buffer execution failed: Impacting Interactivity "
        "(0000000e:kIOGPUCommandBufferCallbackErrorImpactingInteractivity).",
    ),
    "GPU Timeout": (
        "watchdog",
        "[METAL] Command buffer execution failed: Caused GPU Timeout Error "
        "(00000002:kIOGPUCommandBufferCallbackErrorTimeout).",
    ),
    "CUDA": ("memory", "cudaMallocAsync(&data, size, stream) failed: out of memory"),
    "CUDA allocator": ("memory", "[malloc] Unable to allocate 17179869184 bytes."),
    "CUDA watchdog": (
        "watchdog",
        "cudaEventSynchronize(event) failed: the launch timed out and was terminated",
    ),
    "bad_alloc": ("memory", "std::bad_alloc"),
}
"""What MLX says, by what a user would call it; see `cptstudio.device_failures`."""
UNCAUGHT = "libc++abi: terminating due to uncaught exception of type std::runtime_error: "


@contextmanager
def die_in(step: int, message: str) -> Iterator[None]:
    """Let the training step of this process raise what MLX raises, at a step."""
    from cptstudio.training.step import TrainingStep

    submit = TrainingStep.submit

    def dying(self: TrainingStep, index: int, *arguments: Any) -> Any:
        if index == step:
            raise RuntimeError(message)
        return submit(self, index, *arguments)

    with mock.patch.object(TrainingStep, "submit", dying):
        yield


def environment(
    folder: Path, deaths: list[dict[str, Any]], kills: str = "unknown"
) -> dict[str, str]:
    """Variables with which trainers die, one after the other.

    Args:
        deaths: of each session: its `step`, and `how`: "raise" or "abort" with a `message`, "kill"
            (SIGKILL from outside).
        kills: what the system counts: "unknown" as on macOS, "none", or "one" more at each look.
    """
    folder.mkdir()
    (folder / "deaths.json").write_text(json.dumps(deaths))
    (folder / "sitecustomize.py").write_text(
        f"import sys; sys.path.append({os.fspath(Path(__file__).parent.parent)!r})\n"
        "from tests import deaths\n"
        f"deaths.install({os.fspath(folder)!r}, {kills!r})\n"
    )
    return {"PYTHONPATH": os.fspath(folder)}


def install(folder: str, kills: str) -> None:
    """Patch the program that has just been started, if it is a trainer or a keeper."""
    import importlib.abc
    import importlib.machinery
    import sys

    patches = {
        "cptstudio.training.step": lambda module: _patch_step(module, Path(folder)),
        "cptstudio.memory_evidence": lambda module: _patch_evidence(module, kills),
    }

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
            if name not in patches:
                return None
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            assert spec is not None and spec.loader is not None
            execute, patch = spec.loader.exec_module, patches[name]

            def exec_module(module: Any) -> None:
                execute(module)
                patch(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
            return spec

    sys.meta_path.insert(0, Finder())


def _patch_evidence(module: Any, kills: str) -> None:
    counts = iter(range(1_000_000))
    module.kill_counts = {
        "unknown": dict,
        "none": lambda: {"machine": 0},
        "one": lambda: {"machine": next(counts)},
    }[kills]


def _patch_step(module: Any, folder: Path) -> None:
    submit = module.TrainingStep.submit

    def dying(self: Any, index: int, *arguments: Any) -> Any:
        deaths = json.loads((folder / "deaths.json").read_text())
        if deaths and deaths[0]["step"] == index:
            (folder / "deaths.json").write_text(json.dumps(deaths[1:]))
            _die(**deaths[0])
        return submit(self, index, *arguments)

    module.TrainingStep.submit = dying


def _die(how: str, step: int, message: str = "") -> None:
    if how == "raise":
        raise RuntimeError(message)
    if how == "abort":
        os.write(2, f"{UNCAUGHT}{message}\n".encode())
        os.abort()
    os.kill(os.getpid(), signal.SIGKILL)
