"""Readers that go wrong as no exception tells, for programs that read documents.

`sitecustomize` of such a program, see `test_reader_pool`.
"""

from __future__ import annotations

import collections
import ctypes
import itertools
import os
import time
from collections.abc import Iterable, Iterator

from cptstudio.corpus.readers import dispatch
from cptstudio.corpus.readers.items import Item


def crash(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Read memory that is not there."""
    yield ("a document before",)
    ctypes.string_at(1)


def hang(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Compute for ever inside C code, so that no signal is handled and no other thread runs."""
    yield ("a document before",)
    collections.deque(itertools.repeat(None), maxlen=0)


def swell(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Take ever more memory."""
    taken = [b"x" * (1 << 20)]
    while True:
        taken.append(bytes(os.urandom(1)) * (1 << 24))
        yield ("a document",)


def leave(item: Item, field: str) -> Iterator[Iterable[str]]:
    """End the process."""
    yield ("a document before",)
    os._exit(0)


def wait(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Wait for ever, and tell that one does."""
    with item.open() as file, open(file.read().decode(), "w", encoding="utf-8") as told:
        told.write(f"{os.getpid()}")
    time.sleep(3600)
    yield ()


def count(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Read a text whose first line names a file, and tell there that one did."""
    with item.open() as file:
        told, _, text = file.read().decode().partition("\n")
    with open(told, "a", encoding="utf-8") as log:
        log.write(f"{item.label}\n")
    yield (text,)


READERS = {f".{one.__name__}": one for one in (crash, hang, swell, leave, wait, count)}
dispatch._READERS.update(READERS)
dispatch._HEAVY = dispatch._HEAVY | READERS.keys()
