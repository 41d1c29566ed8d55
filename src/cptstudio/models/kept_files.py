"""Records that lie in files of their own, parsed again only when their file changed."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from cptstudio.errors import UserError

_MOST_KEPT: Final = 8192
_Value = TypeVar("_Value")


class KeptFiles(Generic[_Value]):
    """Files of one kind.

    Args:
        parse: reads one; a `UserError` of it is kept, too.
    """

    def __init__(self, parse: Callable[[Path], _Value]) -> None:
        self._parse = parse
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, tuple[tuple[int, int, int], _Value | UserError]]
        self._kept = OrderedDict()

    def read(self, file: Path) -> _Value:
        """Return what a file says.

        Raises:
            UserError: what `parse` said of it, also of a file that is not there.
            OSError: it cannot be looked at.
        """
        try:
            status = os.lstat(file)
        except FileNotFoundError:
            return self._parse(file)
        signature = (status.st_size, status.st_mtime_ns, status.st_ino)
        with self._lock:
            known = self._kept.get(file)
            if known is not None and known[0] == signature:
                self._kept.move_to_end(file)
                return _told(known[1])
        found: _Value | UserError
        try:
            found = self._parse(file)
        except UserError as error:
            found = error
        with self._lock:
            self._kept[file] = (signature, found)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return _told(found)


def _told(found: _Value | UserError) -> _Value:
    if isinstance(found, UserError):
        raise UserError(found.message, found.findings)
    return found
