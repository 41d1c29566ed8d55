"""A hub on this machine: the part of the Hugging Face HTTP API that CPT Studio uses.

It answers as the hub does (huggingface.co/docs/hub/api): models by id and revision, the tree of
a commit, files with Range and ETag, the error codes in X-Error-Code. Faults can be switched on.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_LARGE = 10_000


@dataclass
class HubRepo:
    """A model on the fake hub.

    Attributes:
        files: content by path; those of more than 10,000 bytes are LFS files.
        gated: files are refused without the token.
        token: which lets a gated model be read.
    """

    id: str
    files: dict[str, bytes]
    gated: bool = False
    token: str = "hf_secret"

    @property
    def commit(self) -> str:
        digest = hashlib.sha1(usedforsecurity=False)
        for name, content in sorted(self.files.items()):
            digest.update(name.encode() + b"\0" + content)
        return digest.hexdigest()

    def tree(self) -> list[dict[str, Any]]:
        listed = []
        for path, content in self.files.items():
            blob = hashlib.sha1(
                b"blob %d\0" % len(content) + content, usedforsecurity=False
            ).hexdigest()
            entry = {"type": "file", "path": path, "size": len(content), "oid": blob}
            if len(content) > _LARGE:
                sha = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"oid": sha, "size": len(content), "pointerSize": 134}
            listed.append(entry)
        return listed


@dataclass
class Faults:
    """What goes wrong.

    Attributes:
        cut_after: a file's connection ends after so many bytes; counts down `cuts`.
        cuts: how often that happens.
        ignore_range: a Range is answered with the whole file.
        errors: so many next answers for files have the status `error_status`.
        damaged: files come with another last byte.
        hold: while set, files stop after their first part and wait until it is released.
        broken_api: the API answers with this text.
        digest: said of every file in place of its own.
    """

    cut_after: int = 0
    cuts: int = 0
    ignore_range: bool = False
    errors: int = 0
    error_status: int = 503
    damaged: bool = False
    hold: threading.Event | None = None
    broken_api: str | None = None
    digest: str | None = None


@dataclass
class FakeHub:
    """The server's state.

    Attributes:
        requests: method, path and Range of all requests so far.
        tokens: Authorization headers that came.
    """

    repos: dict[str, HubRepo] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    address: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    holding: threading.Event = field(default_factory=threading.Event)

    def add(self, model_id: str, files: dict[str, bytes], **facts: Any) -> HubRepo:
        self.repos[model_id] = HubRepo(model_id, files, **facts)
        return self.repos[model_id]

    def asked_for(self, part: str) -> list[tuple[str, str, str | None]]:
        return [one for one in self.requests if part in one[1]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def do_GET(self) -> None:
        hub = self.hub
        url = urlsplit(self.path)
        path = unquote(url.path)
        with hub.lock:
            hub.requests.append(("GET", path, self.headers.get("Range")))
            if token := self.headers.get("Authorization"):
                hub.tokens.add(token)
        if path.startswith("/api/") and hub.faults.broken_api is not None:
            self._send(200, hub.faults.broken_api.encode())
        elif path == "/api/models":
            self._search(parse_qs(url.query)["search"][0])
        elif path.startswith("/api/models/"):
            self._api(path.removeprefix("/api/models/"))
        else:
            self._resolve(path.removeprefix("/"))

    def _search(self, words: str) -> None:
        found = [
            {
                "id": repo.id,
                "downloads": 7,
                "likes": 1,
                "gated": "manual" if repo.gated else False,
                "lastModified": "2026-01-02T03:04:05.000Z",
            }
            for repo in self.hub.repos.values()
            if words.lower() in repo.id.lower()
        ]
        self._json(found)

    def _api(self, rest: str) -> None:
        model_id, what, argument = self._split(rest, ("revision", "tree"))
        repo = self.hub.repos.get(model_id)
        if repo is None:
            # The hub does not tell a missing model from a private one.
            self._refuse(401, "RepoNotFound", "Repository not found")
            return
        if argument not in ("main", repo.commit):
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {argument}")
        elif what == "tree":
            listed = repo.tree()
            if self.hub.faults.digest is not None:
                listed = [entry | {"oid": self.hub.faults.digest} for entry in listed]
            self._json(listed)
        else:
            siblings = [{"rfilename": name} for name in repo.files]
            self._json(
                {"id": repo.id, "sha": repo.commit, "gated": repo.gated, "siblings": siblings}
            )

    def _resolve(self, rest: str) -> None:
        model_id, _, argument = self._split(rest, ("resolve",))
        commit, _, name = argument.partition("/")
        repo = self.hub.repos.get(model_id)
        if repo is None or commit != repo.commit or name not in repo.files:
            self._refuse(404, "EntryNotFound", "Entry not found")
        elif repo.gated and self.headers.get("Authorization") != f"Bearer {repo.token}":
            self._refuse(401, "GatedRepo", "Access to this model is restricted")
        else:
            self._file(repo.files[name])

    def _file(self, content: bytes) -> None:
        faults = self.hub.faults
        with self.hub.lock:
            if faults.errors:
                faults.errors -= 1
                self._refuse(faults.error_status, "", "")
                return
            cut = bool(faults.cuts) and len(content) > faults.cut_after
            faults.cuts -= cut
        if faults.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = 0
        wanted = self.headers.get("Range")
        if wanted and not faults.ignore_range:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self._refuse(416, "", "")
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", hashlib.sha256(content).hexdigest())
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        body = content[start:]
        if faults.hold is not None and len(body) > _LARGE:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.hub.holding.set()
            faults.hold.wait(60)
            body = body[len(body) // 2 :]
        if cut:
            body = body[: faults.cut_after]
            self.close_connection = True
        try:
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _split(self, rest: str, words: tuple[str, ...]) -> tuple[str, str, str]:
        for word in words:
            model_id, found, argument = rest.partition(f"/{word}/")
            if found:
                return model_id, word, argument
        return rest, "revision", "main"

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), "application/json")

    def _refuse(self, status: int, code: str, message: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, status: int, body: bytes, kind: str = "text/html") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    """A fake hub that answers at `address`."""
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda request, client: None  # type: ignore[method-assign]
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        if hub.faults.hold is not None:
            hub.faults.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()
