"""Follow a run from a program of your own: every row once and in order, whatever happens.

    python examples/follow_run.py WORKSPACE RUN [--url http://127.0.0.1:8763]

It prints one JSON object a line: {"row": ...}, {"event": ...}, {"state": ...}. It ends when the
run has ended. The server may be restarted and the connection may break meanwhile.

It needs `pip install "python-socketio[client]"`. This is all there is to the protocol:

1. Sign in: the server and this program prove to each other that they know the token of the
   workspace (`sign_in`). What is gained is a session's cookie and its secret, which ends when the
   server does. The token itself is not sent: while the server is being restarted, another user of
   the machine could listen on its port.
2. Connect Socket.IO with cookie and secret, and emit "watch" {run, after}. The answer tells
   boot_id, generation and last_seq.
3. Fetch what is missing: GET /api/runs/RUN/rows?after=SEQ, as long as it says `more`.
4. Apply each "update": its rows follow row number `after`. If that is not where you are, or it
   says `behind`, fetch (step 3). Return from the handler: that acknowledges the update, and the
   next one comes only then.
5. When `generation` changes, a resume has superseded rows that you have: begin again from 0.
   When the connection breaks, begin again with step 1. Other boot_id: the server was restarted;
   your rows still hold if the last one is still there, but beginning again from 0 is simplest.
"""

from __future__ import annotations

import argparse
import hmac
import json
import secrets
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
import socketio  # type: ignore[import-untyped]

PAGE = 2000
ENDED = ("ended", "lost", "missing")

Tell = Callable[[str, Any], None]


def sign_in(http: requests.Session, url: str, token: str) -> str:
    """Begin or go on with a session: the cookie is kept in `http`, the secret is returned.

    Raises:
        ConnectionError: the server does not answer, or another program does in its place.
    """

    def ask(client: requests.Session, path: str, body: dict[str, Any]) -> Any:
        try:
            answer = client.post(url + path, json=body, headers={"Origin": url}, timeout=30)
            answer.raise_for_status()
            return answer.json()
        except (requests.RequestException, ValueError) as error:
            raise ConnectionError(f"{url} does not answer as it should: {error}") from None

    def proof(side: str) -> str:
        words = ("cpt-studio", side, url, "", theirs["boot"], nonce, theirs["challenge"])
        return hmac.digest(token.encode(), "\n".join(words).encode(), "sha256").hex()

    nonce = secrets.token_hex(16)
    # Whoever has not proven itself is sent no cookie, either.
    theirs = ask(requests.Session(), "/enter/challenge", {"session": None, "nonce": nonce})
    if not hmac.compare_digest(theirs["proof"], proof("server")):
        raise ConnectionError(f"What answers at {url} does not know the token.")
    mine = {"nonce": nonce, "challenge": theirs["challenge"], "proof": proof("client")}
    secret: str = ask(http, "/enter/answer", {"session": None, **mine})["secret"]
    return secret


class RunFollower:
    """Follows one run and tells each current row exactly once.

    Args:
        url: of the server, such as http://127.0.0.1:8763.
        token: the one line of .cpt-studio/token in the workspace.
        run: the run's id.
        tell: called with "row", "event", "state", or "restart" when earlier rows hold no more.
    """

    def __init__(self, url: str, token: str, run: str, tell: Tell) -> None:
        self.url, self.run, self.tell = url.rstrip("/"), run, tell
        self.after = 0
        self.known: tuple[str, int] | None = None
        self.finished = threading.Event()
        self._lock = threading.RLock()
        self._token = token
        self._http = requests.Session()
        self.client = socketio.Client(
            http_session=self._http, reconnection_delay=0.2, reconnection_delay_max=2
        )
        self.client.on("connect", self._join)
        self.client.on("update", self._update)

    def start(self) -> None:
        """Connect; everything else happens in the client's threads."""
        # A function is called anew for each attempt to connect, also after a restart.
        self.client.connect(self.url, headers=self._signed_in, transports=["websocket"])

    def close(self) -> None:
        """End the connection for good."""
        self.client.disconnect()

    def _signed_in(self) -> dict[str, str]:
        try:
            secret = sign_in(self._http, self.url, self._token)
        except ConnectionError as error:
            raise socketio.exceptions.ConnectionError(str(error)) from None
        self._http.headers["X-CPT-Studio-Session"] = secret
        return {"X-CPT-Studio-Session": secret}

    def _join(self) -> None:
        self.client.emit("watch", {"run": self.run, "after": self.after}, callback=self._joined)

    def _joined(self, answer: dict[str, Any]) -> None:
        if "error" in answer:
            self.tell("state", {"name": "missing", "reason": answer["error"]})
            self.finished.set()
            return
        with self._lock:
            self._know(answer)
            self._catch_up()

    def _update(self, update: dict[str, Any]) -> None:
        if update["run"] != self.run:
            return
        with self._lock:
            if self._know(update) and not update["behind"] and update["after"] <= self.after:
                self._apply(update["rows"])
            else:
                self._catch_up()
            for event in update["events"]:
                self.tell("event", event)
            state = update["state"]
            if state is not None:
                self.tell("state", state)
                if state["name"] in ENDED:
                    self.finished.set()

    def _know(self, answer: dict[str, Any]) -> bool:
        """Whether the rows so far hold; otherwise they are begun again."""
        told = (answer["boot_id"], answer["generation"])
        if self.known is not None and self.known != told:
            self.after = 0
            self.tell("restart", None)
            self.known = told
            return False
        self.known = told
        return True

    def _catch_up(self) -> None:
        while True:
            page = self._http.get(
                f"{self.url}/api/runs/{self.run}/rows",
                params={"after": self.after, "limit": PAGE},
                timeout=60,
            )
            if page.status_code == 404:
                return
            page.raise_for_status()
            answer = page.json()
            if not self._know(answer):
                continue
            self._apply(answer["rows"])
            if not answer["more"]:
                return

    def _apply(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["seq"] > self.after:
                self.after = row["seq"]
                self.tell("row", row)


def main() -> None:
    """Print what happens to a run until it has ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("run")
    parser.add_argument("--url", default="http://127.0.0.1:8763")
    options = parser.parse_args()
    token = (options.workspace / ".cpt-studio" / "token").read_text().strip()

    def tell(kind: str, value: Any) -> None:
        print(json.dumps({kind: value}), flush=True)

    follower = RunFollower(options.url, token, options.run, tell)
    try:
        follower.start()
        follower.finished.wait()
    except socketio.exceptions.ConnectionError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        follower.close()


if __name__ == "__main__":
    main()
