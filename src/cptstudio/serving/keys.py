"""The key of a workspace's endpoints: clients send it as `Authorization: Bearer KEY`.

One for all endpoints of a workspace, so that a program's settings hold after an endpoint was
stopped and started. It lies in a file that only the user can read.
"""

from __future__ import annotations

import hmac
import re
import secrets
from pathlib import Path
from typing import Final

from cptstudio.durable import UnusableFileError
from cptstudio.secret_files import read_secret, write_secret

KEY_FILE: Final = "endpoint_key"
_KEY: Final = re.compile(r"cpt-[A-Za-z0-9_-]{43}")


def read_key(private: Path) -> str | None:
    """Return the workspace's key, or None where there is none that nobody else could read."""
    try:
        return read_secret(private / KEY_FILE, _KEY)
    except (UnusableFileError, OSError):
        return None


def make_key(private: Path) -> str:
    """Return a new key in the place of a former one; endpoints that run take it at once.

    Raises:
        UserError: the file cannot be written.
    """
    key = f"cpt-{secrets.token_urlsafe(32)}"
    write_secret(private / KEY_FILE, key)
    return key


def is_key(private: Path, given: str) -> bool:
    """Return whether this is the workspace's key, in a time that does not tell how near it is."""
    key = read_key(private)
    return key is not None and hmac.compare_digest(key.encode(), given.encode("utf-8", "replace"))
