"""Sessions: what the cookie holds, and whether it still counts.

A cookie proves itself: it holds when it was made, a random part, and a keyed hash of both
(HMAC-SHA-256, RFC 2104) under the token. The server so keeps no list, a page stays signed in
over a restart of the server, and a new token ends all sessions at once. Only sessions that
were ended before their time are remembered, in a file of the private folder.
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading
import time
from pathlib import Path

from cptstudio import durable
from cptstudio.errors import UserError

SESSION_SECONDS = 30 * 24 * 3600
_ENDED_FILE = "ended_sessions.json"
_COOKIE = re.compile(r"([0-9]{1,12})\.([0-9a-f]{32})\.([0-9a-f]{64})")
_KEPT_ENDED = 10_000


class Sessions:
    """The sessions of one workspace's server.

    Args:
        token: the workspace's token.
        private: the workspace's private folder.
    """

    def __init__(self, token: str, private: Path) -> None:
        self._token = token.encode()
        self._file = private / _ENDED_FILE
        self._lock = threading.Lock()
        self._ended = self._read_ended()

    def issue(self) -> str:
        """A new session, as the value of the cookie."""
        begun, part = str(int(time.time())), secrets.token_hex(16)
        return f"{begun}.{part}.{self._proof(begun, part)}"

    def identify(self, cookie: str | None) -> str | None:
        """The session that a cookie proves, or None when it proves none."""
        found = _COOKIE.fullmatch(cookie or "")
        if found is None:
            return None
        begun, part, proof = found.groups()
        if not hmac.compare_digest(proof, self._proof(begun, part)):
            return None
        return part if self.holds(part) and self._in_time(int(begun)) else None

    def holds(self, session: str) -> bool:
        """Whether a session was not ended."""
        return session not in self._ended

    def end(self, session: str) -> None:
        """End a session before its time, also for servers to come."""
        with self._lock:
            now = time.time()
            kept = {s: at for s, at in self._ended.items() if now - at < SESSION_SECONDS}
            kept[session] = now
            self._ended = dict(sorted(kept.items(), key=lambda item: item[1])[-_KEPT_ENDED:])
            durable.write_json(self._file, self._ended, mode=0o600)

    def is_token(self, candidate: str) -> bool:
        """Whether this is the token, compared in constant time."""
        return hmac.compare_digest(candidate.encode("utf-8", "replace"), self._token)

    def _proof(self, begun: str, part: str) -> str:
        return hmac.digest(self._token, f"session {begun} {part}".encode(), "sha256").hex()

    def _in_time(self, begun: int) -> bool:
        return 0 <= time.time() - begun + 60 <= SESSION_SECONDS

    def _read_ended(self) -> dict[str, float]:
        try:
            value = durable.read_json(self._file, durable.MEBIBYTE)
        except FileNotFoundError:
            return {}
        except UserError:
            # What was ended can no longer be told, so nothing before now may count.
            raise UserError(
                f"{self._file} cannot be read. Start with --new-token, or delete the file."
            ) from None
        if not isinstance(value, dict):
            return {}
        return {str(key): at for key, at in value.items() if isinstance(at, float)}
