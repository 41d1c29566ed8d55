"""The key of a workspace's endpoints: clients send it as `Authorization: Bearer KEY`.

One for all endpoints of a workspace, so that a program's settings hold after an endpoint was
stopped and started. It lies in a file that only the user can read.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Final

from cptstudio.durable import UnusableFileError, open_regular_file, write_bytes
from cptstudio.errors import UserError, machine_error

KEY_FILE: Final = "endpoint_key"
_KEY: Final = re.compile(r"cpt-[A-Za-z0-9_-]{43}")
_MODE: Final = 0o600


def read_key(private: Path) -> str | None:
    """Return the workspace's key, or None where there is none that nobody else could read."""
    try:
        with open_regular_file(private / KEY_FILE) as file:
            found = os.fstat(file.fileno())
            text = file.read(200).decode("ascii", "replace").strip()
    except (UnusableFileError, OSError):
        return None
    if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid != os.geteuid():
        return None
    return text if _KEY.fullmatch(text) else None


def make_key(private: Path) -> str:
    """Return a new key in the place of a former one; endpoints that run take it at once.

    Raises:
        UserError: the file cannot be written.
    """
    key = f"cpt-{secrets.token_urlsafe(32)}"
    path = private / KEY_FILE
    try:
        write_bytes(path, key.encode() + b"\n", _MODE)
    except OSError as error:
        said = f"{path} cannot be written: {error.strerror}."
        raise machine_error(error) or UserError(said) from None
    return key


def is_key(private: Path, given: str) -> bool:
    """Return whether this is the workspace's key, in a time that does not tell how near it is."""
    key = read_key(private)
    return key is not None and hmac.compare_digest(key.encode(), given.encode("utf-8", "replace"))
