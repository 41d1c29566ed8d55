"""How a page and a server recognize each other without sending what they know.

When the server is gone, any user of the machine can listen on its port. So a page that has lost
its connection sends nothing of value before the server has proven itself, and then proves itself
in turn:

    page → server   nonce, and which session (none: the token is what both know)
    server → page   challenge, HMAC(key, "server" … ); "over" instead when the session has ended
    page → server   nonce, challenge, HMAC(key, "client" … )
    server → page   the session's secret of this boot

Every hash is over the origin, too. A program that got our port cannot pass the words on between
the page and a server that meanwhile runs on another port: they are at different origins.

A challenge carries its own proof that it is ours, so that asking for many takes no memory; only
those that were answered rightly are remembered, so that none is good twice.
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading
import time

from cptstudio.web.security.boot import Boot
from cptstudio.web.security.sessions import Session, Sessions

NONCE = re.compile("[0-9a-f]{32,64}")
_CHALLENGE = re.compile("([0-9]{1,12})\\.([0-9a-f]{32})\\.([0-9a-f]{64})")
_GOOD_SECONDS = 60


class Proofs:
    """Both sides' words, as the server speaks and checks them.

    Args:
        token: what is known to whoever can read the workspace's private folder.
        sessions: whose proof keys count.
        boot: of the server.
    """

    def __init__(self, token: str, sessions: Sessions, boot: Boot) -> None:
        self._token = token.encode()
        self._sessions = sessions
        self._boot = boot
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()

    def challenge(self, session: Session | None, nonce: str, origin: str) -> dict[str, str]:
        """Return the server's words to a client that sent this nonce to this origin."""
        begun = f"{int(time.time())}.{secrets.token_hex(16)}"
        challenge = f"{begun}.{self._seal(begun, session, nonce)}"
        # Anyone could say that a session has ended; only we can prove it.
        over = session is not None and not self._sessions.holds(session)
        proof = self._words("over" if over else "server", session, nonce, challenge, origin)
        return {"boot": self._boot.id, "challenge": challenge, "proof": proof}

    def is_right(
        self, session: Session | None, nonce: str, challenge: str, origin: str, proof: str
    ) -> bool:
        """Whether a client's answer to a challenge is right. One that is, is good only once."""
        found = _CHALLENGE.fullmatch(challenge)
        if found is None or (session is not None and not self._sessions.holds(session)):
            return False
        begun = f"{found[1]}.{found[2]}"
        if not hmac.compare_digest(found[3], self._seal(begun, session, nonce)):
            return False
        now = time.time()
        if not 0 <= now - int(found[1]) + 1 <= _GOOD_SECONDS:
            return False
        right = self._words("client", session, nonce, challenge, origin).encode()
        if not hmac.compare_digest(proof.encode("utf-8", "replace"), right):
            return False
        with self._lock:
            self._used = {c: at for c, at in self._used.items() if now - at <= 2 * _GOOD_SECONDS}
            if challenge in self._used:
                return False
            self._used[challenge] = now
            return True

    def _seal(self, begun: str, session: Session | None, nonce: str) -> str:
        message = f"challenge {begun} {session.id if session else ''} {nonce}"
        return hmac.digest(self._boot.key, message.encode(), "sha256").hex()

    def _words(
        self, side: str, session: Session | None, nonce: str, challenge: str, origin: str
    ) -> str:
        key = self._sessions.proof_key_of(session) if session else self._token
        id = session.id if session else ""
        message = "\n".join(("cpt-studio", side, origin, id, self._boot.id, nonce, challenge))
        return hmac.digest(key, message.encode(), "sha256").hex()
