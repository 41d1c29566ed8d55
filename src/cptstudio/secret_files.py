"""A secret in a file that only the user can read."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from cptstudio.durable import UnusableFileError, open_regular_file, write_bytes
from cptstudio.errors import UserError, machine_error

_MODE: Final = 0o600


def read_secret(path: Path, pattern: re.Pattern[str]) -> str:
    """Return the secret that a file holds.

    Args:
        pattern: what a whole secret looks like.

    Raises:
        FileNotFoundError: there is none.
        OSError: the file cannot be read.
        UnusableFileError: others could have read it, or it holds no such secret.
    """
    with open_regular_file(path) as file:
        found = os.fstat(file.fileno())
        text = file.read(200).decode("ascii", "replace").strip()
    if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid != os.geteuid():
        raise UnusableFileError(path, "others could read it")
    if pattern.fullmatch(text) is None:
        raise UnusableFileError(path, "is not what was written there")
    return text


def write_secret(path: Path, secret: str) -> None:
    """Put a secret in the place of a former one.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        write_bytes(path, secret.encode() + b"\n", _MODE)
    except OSError as error:
        said = f"{path} cannot be written: {error.strerror}."
        raise machine_error(error) or UserError(said) from None
