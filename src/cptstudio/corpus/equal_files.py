"""Files of one build that hold the same: only the first of them is read.

Compared are files of one size that are read alike, first by their ends and then as a whole. Small
files of plain text are not worth it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Sequence

from cptstudio import durable
from cptstudio.corpus.readers.dispatch import is_light, read_as
from cptstudio.corpus.sources import SourceFile
from cptstudio.durable import MEBIBYTE, UnusableFileError

_LEAST_LIGHT = MEBIBYTE
"""Bytes of a file of plain text that is worth comparing."""
_END = 1 << 16


class EqualFiles:
    """Finds files that hold the same as others of the same build.

    Args:
        files: all of them, in order.
    """

    def __init__(self, files: Sequence[SourceFile]) -> None:
        self._files = files
        worth = (
            number
            for number, file in enumerate(files)
            if file.size and (file.size >= _LEAST_LIGHT or not is_light(file.path.suffixes))
        )
        # None of them was opened yet: that is done when the first of a group is asked for.
        alike = _groups(worth, self._kind)
        self._alike = {number: group for group in alike.values() for number in group}
        self._equal: dict[int, tuple[str, list[int]]] = {}

    def of(self, number: int) -> tuple[str, list[int]] | None:
        """Return the SHA-256 of a file, and the numbers of all that hold the same, in order.

        Returns:
            None where there is no other one, or where it cannot be read.
        """
        alike = self._alike.get(number, [])
        for other in alike:
            del self._alike[other]
        for group in _groups(alike, self._ends).values():
            for content, same in _groups(group, self._content).items():
                self._equal |= dict.fromkeys(same, (str(content), same))
        return self._equal.pop(number, None)

    def _kind(self, number: int) -> Hashable:
        file = self._files[number]
        return file.size, read_as(file.path.suffixes, file.label)

    def _ends(self, number: int) -> Hashable:
        try:
            with durable.open_regular_file(self._files[number].path) as file:
                begin = file.read(_END)
                file.seek(max(0, self._files[number].size - _END))
                return hashlib.sha256(begin + file.read(_END)).digest()
        except (OSError, UnusableFileError):
            return None

    def _content(self, number: int) -> Hashable:
        try:
            return durable.sha256_of_file(self._files[number].path)
        except (OSError, UnusableFileError):
            return None


def _groups(numbers: Iterable[int], key: Callable[[int], Hashable]) -> dict[Hashable, list[int]]:
    """Those that have a key, and one that others have, too, by it."""
    found: dict[Hashable, list[int]] = {}
    for number in numbers:
        found.setdefault(key(number), []).append(number)
    found.pop(None, None)
    return {one: group for one, group in found.items() if len(group) > 1}
