"""The token: 256 random bits in a file that only the user can read."""

from __future__ import annotations

import logging
import os
import re
import secrets
import stat
from pathlib import Path

from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError, machine_error
from cptstudio.secret_files import read_secret, write_secret

TOKEN_FILE = "token"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_logger = logging.getLogger(__name__)


def prepare_private_folder(private: Path) -> None:
    """Create the private folder, or make sure that only the user can look into it.

    Raises:
        UserError: it is something else than a folder of this user's, or cannot be made.
    """
    try:
        private.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = os.stat(private, follow_symlinks=False)
    except FileExistsError:
        raise UserError(f"{private} is not a folder; move it away.") from None
    except OSError as error:
        raise machine_error(error) or UserError(
            f"{private} cannot be created: {error.strerror}. Choose a workspace folder in which "
            "you can write."
        ) from None
    if not stat.S_ISDIR(found.st_mode):
        raise UserError(f"{private} is a link; CPT Studio's private folder has to be a real one.")
    if found.st_uid != os.geteuid():
        raise UserError(f"{private} belongs to another user; choose a workspace of your own.")
    if stat.S_IMODE(found.st_mode) & 0o077:
        os.chmod(private, 0o700)


def read_or_make_token(private: Path, renew: bool = False) -> str:
    """Return the workspace's token; a new one where there is none that nobody else could have read.

    Args:
        private: the workspace's private folder, which is there.
        renew: make a new one in any case, which ends all sessions.

    Raises:
        UserError: the file cannot be written.
    """
    path = private / TOKEN_FILE
    token = None if renew else _read(path)
    if token is None:
        token = secrets.token_urlsafe(32)
        write_secret(path, token)
    return token


def _read(path: Path) -> str | None:
    try:
        return read_secret(path, _TOKEN)
    except FileNotFoundError:
        return None
    except (UnusableFileError, OSError) as error:
        _logger.warning("The token is replaced: %s", error)
        return None
