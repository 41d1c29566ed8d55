"""The way in for the browser: a file that only the user can read, with a code for one use.

The printed address is that of the file. It sends the code on in the body of a form, so that no
secret is in a process list, an address, a history, a log or a Referer. The code is not the
token, holds for one entry and dies with the server: an old file that is opened again gives
nothing away to another program that listens on the port by then.

Before that, the file loads a picture that clears what the browser keeps for the server's address.
A program that had the port before may have left a service worker there, or pages in the cache,
which would run as ours; a service worker is not asked about what a page of another origin loads.
"""

from __future__ import annotations

import contextlib
import hmac
import html
import logging
import secrets
import threading
from pathlib import Path

from cptstudio.durable import write_bytes
from cptstudio.errors import machine_error

_logger = logging.getLogger(__name__)
ENTRY_FILE = "open.html"
ENTER_PATH = "/enter"
CLEAR_PREFIX = "/enter/clear/"
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<title>CPT Studio</title>
</head>
<body>
<form method="post" action="{address}" data-clear="{clear}">
<input type="hidden" name="code" value="{code}">
<button>Open CPT Studio</button>
</form>
<script>
const picture = new Image();
picture.onload = picture.onerror = () => document.forms[0].submit();
picture.src = document.forms[0].dataset.clear;
</script>
</body>
</html>
"""


class EntryCode:
    """The code that is good for the next entry, and the file that holds it.

    Args:
        private: the workspace's private folder.
        origin: the server's address, such as "http://127.0.0.1:8763".
    """

    def __init__(self, private: Path, origin: str) -> None:
        self.path = private / ENTRY_FILE
        self._origin = origin
        self._lock = threading.Lock()
        self._code = ""
        # Otherwise any page could clear what ours keep.
        self._clear = secrets.token_urlsafe(16)

    def renew(self) -> None:
        """Make a new code and write the file."""
        self._code = secrets.token_urlsafe(32)
        page = _PAGE.format(
            address=html.escape(self._origin + ENTER_PATH),
            code=html.escape(self._code),
            clear=html.escape(self._origin + CLEAR_PREFIX + self._clear),
        )
        try:
            write_bytes(self.path, page.encode(), 0o600)
        except OSError as error:
            # A disk that is full is no reason to lock the user out who could make room.
            reason = machine_error(error) or error
            _logger.warning("%s cannot be written, sign in with the token: %s", self.path, reason)
            with contextlib.suppress(OSError):
                self.remove()

    def clears(self, path: str) -> bool:
        """Return whether this is the path of the file's picture."""
        right = (CLEAR_PREFIX + self._clear).encode()
        return hmac.compare_digest(path.encode("utf-8", "replace"), right)

    def use(self, candidate: str) -> bool:
        """Return whether this is the code. If it is, it has been used up, and a new one is made."""
        with self._lock:
            if not self._code or not hmac.compare_digest(
                candidate.encode("utf-8", "replace"), self._code.encode()
            ):
                return False
            self.renew()
            return True

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
