"""Sessions: what the cookie says, and what it takes beside the cookie.

A cookie only says whose session it is. It proves itself: it holds when it was made, a random
part, and a keyed hash of both (HMAC-SHA-256, RFC 2104) under the token, so the server keeps no
list. Every program on any port of this machine is sent the cookie when the user visits it. So two
things go with a session that no other port is sent:

- its *secret*, a keyed hash under this boot's key, opens what the session may do. It ends with the
  boot: whoever listens on our port once we are gone has no use for it.
- its *proof key*, a keyed hash under the token, is never sent by a page that has got it. With it
  a page and a server of the same workspace recognize each other again (`security.proofs`).

Sessions that were ended before their time are remembered in a file of the private folder, and the
moment before which all were ended.
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.web.security.boot import Boot

SESSION_SECONDS = 30 * 24 * 3600
ID_PATTERN = r"[0-9]{1,15}\.[0-9a-f]{32}"
_ENDED_FILE = "ended_sessions.json"
_ALL_BEFORE = "all_before"
_COOKIE = re.compile(rf"({ID_PATTERN})\.([0-9a-f]{{64}})")
_KEPT_ENDED = 10_000


class Session(NamedTuple):
    """One sign-in of one browser or program.

    Attributes:
        id: when it began (Unix milliseconds), and a random part. It is no secret.
    """

    id: str

    @property
    def begun(self) -> int:
        """When it began, in Unix milliseconds."""
        return int(self.id.partition(".")[0])

    @property
    def part(self) -> str:
        """What no other session has."""
        return self.id.partition(".")[2]


class Sessions:
    """The sessions of one workspace's server.

    Args:
        token: the workspace's token.
        private: the workspace's private folder.
        boot: of the server.

    Attributes:
        on_end: called with the session that has just ended; None stands for all.
    """

    def __init__(self, token: str, private: Path, boot: Boot) -> None:
        self._token = token.encode()
        self._boot = boot
        self._file = private / _ENDED_FILE
        self._lock = threading.Lock()
        self._ended, self._all_before = self._read_ended()
        self.on_end: Callable[[Session | None], None] = lambda session: None

    def begin(self) -> Session:
        """Return a new session."""
        now = max(time.time_ns() // 1_000_000, self._all_before)
        return Session(f"{now}.{secrets.token_hex(16)}")

    def cookie_of(self, session: Session) -> str:
        """Return the value of its cookie."""
        return f"{session.id}.{_hash(self._token, 'session', session)}"

    def identify(self, cookie: str) -> Session | None:
        """Return the session that a cookie proves, or None when it proves none that goes on."""
        found = _COOKIE.fullmatch(cookie)
        if found is None:
            return None
        session = Session(found[1])
        right = hmac.compare_digest(found[2], _hash(self._token, "session", session))
        return session if right and self.holds(session) else None

    def secret_of(self, session: Session) -> str:
        """Return the secret that opens the session as long as this boot lasts."""
        return _hash(self._boot.key, "secret", session)

    def opens(self, session: Session, secret: str) -> bool:
        """Return whether this is the session's secret, compared in constant time."""
        right = self.secret_of(session).encode()
        return hmac.compare_digest(secret.encode("utf-8", "replace"), right)

    def proof_key_of(self, session: Session) -> bytes:
        """Return the secret by which its page and this workspace's server know each other."""
        return bytes.fromhex(_hash(self._token, "proof key", session))

    def holds(self, session: Session) -> bool:
        """Return whether a session goes on: it was not ended, and is not too old."""
        age = time.time() - session.begun / 1000 + 60
        ended = session.part in self._ended or session.begun < self._all_before
        return not ended and 0 <= age <= SESSION_SECONDS

    def end(self, session: Session) -> None:
        """End a session before its time, also for servers to come."""
        with self._telling(session), self._lock:
            now = time.time()
            kept = {s: at for s, at in self._ended.items() if now - at < SESSION_SECONDS}
            kept[session.part] = now
            kept = dict(sorted(kept.items(), key=lambda item: item[1])[-_KEPT_ENDED:])
            self._write(kept, self._all_before)

    def end_all(self) -> None:
        """Sign out everywhere, also for servers to come."""
        with self._telling(None), self._lock:
            # One that begins in this very millisecond is a new one.
            self._write({}, max(time.time_ns() // 1_000_000, self._all_before) + 1)

    @contextmanager
    def _telling(self, session: Session | None) -> Iterator[None]:
        try:
            yield
        finally:
            self.on_end(session)

    def is_token(self, candidate: str) -> bool:
        """Return whether this is the token, compared in constant time."""
        return hmac.compare_digest(candidate.encode("utf-8", "replace"), self._token)

    def _write(self, ended: dict[str, float], all_before: int) -> None:
        # A disk that is full does not keep them alive here.
        self._ended, self._all_before = ended, all_before
        durable.write_json(self._file, {**ended, _ALL_BEFORE: all_before}, mode=0o600)

    def _read_ended(self) -> tuple[dict[str, float], int]:
        try:
            value = durable.read_json(self._file, durable.MEBIBYTE)
        except FileNotFoundError:
            return {}, 0
        except UserError:
            # What was ended can no longer be told, so nothing before now may count.
            raise UserError(
                f"{self._file} cannot be read. Start with --new-token, or delete the file."
            ) from None
        if not isinstance(value, dict):
            return {}, 0
        before = value.pop(_ALL_BEFORE, 0)
        ended = {str(key): at for key, at in value.items() if isinstance(at, float)}
        return ended, before if isinstance(before, int) else 0


def _hash(key: bytes, purpose: str, session: Session) -> str:
    return hmac.digest(key, f"{purpose} {session.id}".encode(), "sha256").hex()


def is_id(text: str) -> bool:
    """Return whether this could be the id of a session."""
    return re.fullmatch(ID_PATTERN, text) is not None
