"""Messages of MLX, Metal, CUDA and the system when memory or time on the device runs out.

Looked up in MLX's source (ml-explore/mlx, v0.32.1-26-g846d17622). Newer versions keep what a
command buffer fails with and raise it as a RuntimeError where the main thread waits for it
(`CommandEncoder::commit` and `synchronize` in mlx/backend/metal/device.cpp). Former ones throw it
in Metal's own thread, which ends the process with SIGABRT and leaves the message in its log (mlx
pull request 479). Both are recognized.

Standard library only: the keeper uses this module.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cptstudio import durable
from cptstudio.durable import UnusableFileError

Cause = Literal["memory", "watchdog", "outside"]
"""Why a program ended that is not at fault: memory ran out; a command held the GPU for too long;
something outside killed it, which on a Mac usually means that memory ran out."""


@dataclass(frozen=True)
class Sign:
    """A part of a message.

    Attributes:
        part: in small letters.
        says: what happened, as the beginning of a sentence.
    """

    part: str
    cause: Cause
    says: str


_GPU_FULL: Final = "The GPU ran out of memory"
_WATCHDOG: Final = "The system's watchdog stopped a computation that kept the GPU busy for too long"
SIGNS: Final = (
    # mlx/backend/metal/device.cpp: "[METAL] Command buffer execution failed: {}." with Metal's
    # words: "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)"
    Sign("insufficient memory", "memory", _GPU_FULL),
    Sign("callbackerroroutofmemory", "memory", _GPU_FULL),
    # "Impacting Interactivity (0000000e:kIOGPUCommandBufferCallbackErrorImpactingInteractivity)"
    Sign("impacting interactivity", "watchdog", _WATCHDOG),
    # "Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)"
    Sign("gpu timeout", "watchdog", _WATCHDOG),
    # mlx/backend/metal/allocator.cpp: "[metal::malloc] Attempting to allocate N bytes which is
    # greater than the maximum allowed buffer size of N bytes."
    Sign(
        "maximum allowed buffer size",
        "memory",
        "An array was larger than the GPU allows",
    ),
    # The same: "[metal::malloc] Resource limit (499000) exceeded."
    Sign("[metal::malloc] resource limit", "memory", "There were more arrays than the GPU allows"),
    # mlx/backend/metal/allocator.cpp and cuda/allocator.cpp: "[malloc] Unable to allocate N bytes."
    # numpy: "Unable to allocate 3.00 GiB for an array with shape ..."
    Sign("unable to allocate", "memory", "Memory ran out"),
    # mlx/backend/cuda/utils.cpp: "{} failed: {}" with CUDA's words for cudaErrorMemoryAllocation
    # and cudaErrorLaunchTimeout.
    Sign("out of memory", "memory", _GPU_FULL),
    Sign("the launch timed out and was terminated", "watchdog", _WATCHDOG),
    # The C++ library's, and the system's ENOMEM.
    Sign("bad_alloc", "memory", "Memory ran out"),
    Sign("cannot allocate memory", "memory", "Memory ran out"),
)
_UNCAUGHT: Final = ("terminating due to uncaught", "terminate called", "terminating with uncaught")
"""libc++abi and libstdc++ say so before they end a program with SIGABRT."""
_LOG_BYTES: Final = 64 * 1024


def sign_in(message: str) -> Sign | None:
    """Return what a message is a sign of; None where it is about something else."""
    small = message.lower()
    return next((sign for sign in SIGNS if sign.part in small), None)


def sign_of(error: BaseException) -> Sign | None:
    """Return what an exception, or one that it came of, is a sign of."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError):
            return sign_in(str(seen)) or Sign("", "memory", "Memory ran out")
        if isinstance(seen, (RuntimeError, OSError)) and (found := sign_in(str(seen))) is not None:
            return found
        seen = seen.__cause__
    return None


def sign_of_signal(number: int, kills: dict[str, int], log: Path, log_from: int) -> Sign | None:
    """Return what it means that a program was ended by a signal which nobody here sent.

    Args:
        kills: how often the system killed for want of memory meanwhile, by the place that counts
            it; empty where nothing does, as on macOS.
        log: what the program wrote.
        log_from: where in it the program began.
    """
    if number == signal.SIGABRT:
        return _uncaught(_end_of(log, log_from))
    if number != signal.SIGKILL:
        return None
    if any(kills.values()):
        return Sign("", "memory", "The system ended the run because memory ran out")
    if kills:
        return None
    return Sign(
        "",
        "outside",
        "The run was ended from outside, usually because memory ran out",
    )


def _uncaught(said: str) -> Sign | None:
    places = [place for word in _UNCAUGHT if (place := said.rfind(word)) >= 0]
    return sign_in(said[max(places) :]) if places else None


def _end_of(path: Path, start: int) -> str:
    """The end of what was written to a file from a place on."""
    try:
        with durable.open_regular_file(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(start, size - _LOG_BYTES))
            return file.read(_LOG_BYTES).decode("utf-8", "replace")
    except (OSError, UnusableFileError):
        return ""
