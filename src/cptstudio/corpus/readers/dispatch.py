"""Chooses the reader of an item by its suffix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cptstudio.corpus.readers.decoding import decoded
from cptstudio.corpus.readers.items import Item, Unreadable

_ARCHIVES = frozenset({".zip", ".gz", ".zst", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar"})


def read_documents(item: Item, text_field: str) -> Iterator[Iterable[str]]:
    """Yield the documents of an item, each as parts of its text.

    A name that no reader knows is read as plain text if its content is text, which covers
    source code of every language.

    Raises:
        Unreadable: nothing, or nothing more, can be read from it.
    """
    if item.suffix in _ARCHIVES:
        raise Unreadable("is an archive inside another file: unpack it first")
    yield decoded(item)
