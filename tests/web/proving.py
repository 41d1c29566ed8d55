"""A page's side of the proofs, with every part of them open to be wrong."""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import Any

from werkzeug.test import TestResponse

from tests.web.in_process import ORIGIN, SAME_ORIGIN, Web


class Prover:
    """Asks for a challenge and answers it.

    Args:
        web: the server.
        session: its id, or None to come in with the token.
        key: of the session in base64, or the token.
        believed_origin: where the page believes to be.
        cookie: what the browser sends.
    """

    def __init__(
        self,
        web: Web,
        session: str | None,
        key: str,
        believed_origin: str = ORIGIN,
        cookie: str = "",
    ) -> None:
        self._web, self._session, self._origin = web, session, believed_origin
        self._key = key.encode() if session is None else base64.b64decode(key)
        self._nonce = secrets.token_hex(16)
        self._headers = {**SAME_ORIGIN, "Origin": ORIGIN, "Cookie": cookie}
        self._theirs = self._ask("/enter/challenge", {}).json
        self._sent: dict[str, Any] = {}

    def server_proves_itself(self) -> bool:
        return bool(self._theirs["proof"] == self._words("server"))

    def session_is_over(self) -> bool:
        return bool(self._theirs["proof"] == self._words("over"))

    def answers(self, wrong: str | None = None) -> TestResponse:
        """Answer the challenge, with one part of it exchanged."""
        given = {"origin": self._origin, "boot": self._theirs["boot"], "nonce": self._nonce}
        given |= {"session": self._session or "", "challenge": self._theirs["challenge"]}
        if wrong in given:
            given[wrong] = given[wrong][:-1] + ("0" if given[wrong][-1] != "0" else "1")
        proof = self._words("server" if wrong == "proof" else "client", given)
        sent = {"nonce": given["nonce"], "challenge": given["challenge"], "proof": proof}
        self._sent = {**sent, "session": given["session"] or None}
        return self._ask("/enter/answer", self._sent)

    def sends_again(self) -> TestResponse:
        return self._ask("/enter/answer", self._sent)

    def come_in(self) -> Any:
        assert self.server_proves_itself()
        answer = self.answers()
        assert answer.status_code == 200, answer.text
        return answer.json

    def _ask(self, path: str, body: dict[str, Any]) -> TestResponse:
        body = {"session": self._session, "nonce": self._nonce, **body}
        return self._web.raw("POST", path, json=body, headers=self._headers)

    def _words(self, side: str, given: dict[str, str] | None = None) -> str:
        given = given or {
            "origin": self._origin,
            "session": self._session or "",
            "boot": self._theirs["boot"],
            "nonce": self._nonce,
            "challenge": self._theirs["challenge"],
        }
        names = ("origin", "session", "boot", "nonce", "challenge")
        words = ["cpt-studio", side, *(given[name] for name in names)]
        return hmac.digest(self._key, "\n".join(words).encode(), "sha256").hex()
