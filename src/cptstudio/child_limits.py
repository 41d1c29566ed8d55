"""How much time and memory the programs may take that this one starts.

Memory is bounded in parts of the machine's, so that a small one is protected, too. What holds
models gets nearly all of it: what fits is for the plan and the user to say, and the bound is there
for what runs away. What only looks at files gets little.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

import psutil

GIB: Final = 1 << 30

QUICK_SECONDS: Final = 30.0
"""What answers in a second or two on a machine that is not busy."""
TEMPLATE_SECONDS: Final = 10.0
"""What takes milliseconds, and may be a program that never ends."""
ROWS_SECONDS: Final = 120.0
"""What answers as soon, once it has read the tables of a large corpus."""
CHECK_SECONDS: Final = 20 * 60.0
"""What computes a few hundred tokens once: reading 60 GB from a slow disk is within it."""
SILENT_SECONDS: Final = 2 * 3600.0
"""What tells its progress: the time that may pass without a word. Loading the largest models from
a slow disk, and one step of the largest on a slow processor, are within it."""

FILE_SECONDS: Final = 10.0
"""Computing time for reading one document, and for each of its mebibytes as much again."""
_BEYOND_FILE: Final = 5.0
"""A reader that can still end by itself gets so much longer, since it then keeps what it has."""

PAGE_SECONDS: Final = 60.0
"""For recognizing the text of a page, which takes a second or a few."""

QUICK_BYTES: Final = 3 * GIB
_READER_BYTES: Final = 2 * GIB
_LITTLE: Final = GIB
_MODELS_PART: Final = 0.92
_FILES_PART: Final = 0.6


@dataclass(frozen=True)
class Limits:
    """Bounds of one program.

    Attributes:
        seconds: that may pass without a word from it while something is asked of it. On a
            machine that is too busy for it, its computing time counts instead.
        memory: bytes of resident memory that it and what it started may take together.
        when_slow: what to do when it took too long; a sentence.
        when_large: what to do when it took too much; a sentence.
    """

    seconds: float | None
    memory: int | None
    when_slow: str = "Check the disk and the network, then try again."
    when_large: str = "Process less at a time, or use a machine with more memory."


def for_a_look(when_slow: str, when_large: str) -> Limits:
    """Return the bounds of what looks at a few files and answers at once."""
    machine = psutil.virtual_memory()
    # On a full machine not more than half of what is free, but what the libraries take.
    memory = min(QUICK_BYTES, machine.total // 4, max(_LITTLE, machine.available // 2))
    return Limits(QUICK_SECONDS, memory, when_slow, when_large)


def for_a_template() -> Limits:
    """Return the bounds of what renders a model's chat template."""
    return Limits(
        TEMPLATE_SECONDS,
        GIB,
        "The chat template never finishes. Use raw text instead.",
        "The chat template uses more and more memory. Use raw text instead.",
    )


def file_seconds(size: int) -> float:
    """Return the computing time that reading a file of so many bytes may take."""
    return FILE_SECONDS * (1 + size / (1 << 20))


def for_a_reader(readers: int) -> Limits:
    """Bounds of what reads documents, where so many do so at once; see `file_seconds`, too."""
    part = int(psutil.virtual_memory().total * _FILES_PART / readers)
    return Limits(FILE_SECONDS + _BEYOND_FILE, min(_READER_BYTES, max(_LITTLE, part)), "", "")


def for_recognition() -> Limits:
    """Return the bounds of what recognizes the text of one page after the other."""
    part = int(psutil.virtual_memory().total * _FILES_PART)
    return Limits(PAGE_SECONDS, min(_READER_BYTES, max(_LITTLE, part)), "", "")


def reader_seconds(size: int) -> float:
    """Return after how many seconds the reader of a file of so many bytes is ended."""
    return round(file_seconds(size) + _BEYOND_FILE)


def usable_cores() -> int:
    """Return how many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


def for_files() -> Limits:
    """Return the bounds of long work on documents and downloads."""
    return Limits(SILENT_SECONDS, int(psutil.virtual_memory().total * _FILES_PART))


def for_models() -> Limits:
    """Return the bounds of long work with models in memory."""
    memory = int(psutil.virtual_memory().total * _MODELS_PART)
    return Limits(
        SILENT_SECONDS,
        memory,
        when_large="Use fewer or smaller models, or a machine with more memory.",
    )


def for_a_check() -> Limits:
    """Return the bounds of comparing a model with transformers, which holds it in float32."""
    return Limits(
        CHECK_SECONDS,
        int(psutil.virtual_memory().total * _MODELS_PART),
        when_large="The comparison loads the model in float32 (4 bytes per parameter). Run it on a "
        "machine with more memory.",
    )
