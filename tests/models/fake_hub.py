"""A hub on this machine: the part of the Hugging Face HTTP API that CPT Studio uses.

It answers as the hub does (huggingface.co/docs/hub/api): models and datasets by id and revision,
the tree of a commit, files with Range and ETag, the error codes in X-Error-Code; whose token it is;
repositories made, files of large content taken by the LFS protocol, commits of the rest. Faults can
be switched on.
"""

from __future__ import annotations

import base64
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
CONVERTED = "refs/convert/parquet"


@dataclass
class HubRepo:
    """A model or dataset on the fake hub.

    Attributes:
        files: content by path; those of more than 10,000 bytes are LFS files.
        gated: files are refused without the token.
        token: which lets a gated model be read.
        converted: what the hub's own branch of Parquet files holds.
        is_private: as it was made.
    """

    id: str
    files: dict[str, bytes]
    gated: bool = False
    token: str = "hf_secret"
    converted: dict[str, bytes] = field(default_factory=dict)
    is_private: bool = False

    @property
    def commit(self) -> str:
        return self.commit_of(self.files)

    def commit_of(self, files: dict[str, bytes]) -> str:
        digest = hashlib.sha1(usedforsecurity=False)
        for name, content in sorted(files.items()):
            digest.update(name.encode() + b"\0" + content)
        return digest.hexdigest()

    def at(self, revision: str) -> dict[str, bytes] | None:
        """The files of a revision."""
        if revision in ("main", self.commit):
            return self.files
        if self.converted and revision in (CONVERTED, self.commit_of(self.converted)):
            return self.converted
        return None

    def tree(self, files: dict[str, bytes]) -> list[dict[str, Any]]:
        listed = []
        for path, content in files.items():
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
        cut_uploads: so many next uploads of files end when half of them came.
        hold_uploads: while set, an upload waits for it when half of it came.
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
    cut_uploads: int = 0
    hold_uploads: threading.Event | None = None


@dataclass
class FakeHub:
    """The server's state.

    Attributes:
        requests: method, path and Range of all requests so far.
        tokens: Authorization headers that came.
        users: by their tokens; who has one may make repositories under that name.
        contents: of large files that were taken, by their SHA-256.
        sent: bytes of files that were sent.
        uploads: bytes that came by PUT, in the order of their requests.
    """

    repos: dict[str, HubRepo] = field(default_factory=dict)
    datasets: dict[str, HubRepo] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    sent: int = 0
    uploads: list[int] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    address: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    holding: threading.Event = field(default_factory=threading.Event)

    def add(self, model_id: str, files: dict[str, bytes], **facts: Any) -> HubRepo:
        self.repos[model_id] = HubRepo(model_id, files, **facts)
        return self.repos[model_id]

    def add_dataset(self, dataset_id: str, files: dict[str, bytes], **facts: Any) -> HubRepo:
        self.datasets[dataset_id] = HubRepo(dataset_id, files, **facts)
        return self.datasets[dataset_id]

    def asked_for(self, part: str) -> list[tuple[str, str, str | None]]:
        return [one for one in self.requests if part in one[1]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def do_GET(self) -> None:
        hub = self.hub
        path, query = self._noted("GET")
        if path.startswith("/api/") and hub.faults.broken_api is not None:
            self._send(200, hub.faults.broken_api.encode())
        elif path in ("/api/models", "/api/datasets"):
            self._search(self._repos(path), query["search"][0])
        elif path == "/api/whoami-v2":
            self._who()
        elif path.startswith("/api/"):
            self._api(self._repos(path), path.split("/", 3)[3])
        elif path.startswith("/datasets/"):
            self._resolve(hub.datasets, path.removeprefix("/datasets/"))
        else:
            self._resolve(hub.repos, path.removeprefix("/"))

    def _noted(self, method: str) -> tuple[str, dict[str, list[str]]]:
        url = urlsplit(self.path)
        path = unquote(url.path)
        with self.hub.lock:
            self.hub.requests.append((method, path, self.headers.get("Range")))
            if token := self.headers.get("Authorization"):
                self.hub.tokens.add(token)
        return path, parse_qs(url.query)

    def _repos(self, path: str) -> dict[str, HubRepo]:
        return self.hub.datasets if path.split("/")[2] == "datasets" else self.hub.repos

    def _search(self, repos: dict[str, HubRepo], words: str) -> None:
        found = [
            {
                "id": repo.id,
                "downloads": 7,
                "likes": 1,
                "gated": "manual" if repo.gated else False,
                "lastModified": "2026-01-02T03:04:05.000Z",
            }
            for repo in repos.values()
            if words.lower() in repo.id.lower()
        ]
        self._json(found)

    def _user(self) -> str | None:
        return self.hub.users.get((self.headers.get("Authorization") or "").removeprefix("Bearer "))

    def _who(self) -> None:
        name = self._user()
        if name is None:
            self._refuse(401, "", "Invalid credentials in Authorization header")
        else:
            self._json({"type": "user", "name": name, "orgs": []})

    def _api(self, repos: dict[str, HubRepo], rest: str) -> None:
        model_id, what, argument = self._split(rest, ("revision", "tree"))
        repo = repos.get(model_id)
        if repo is None or (repo.is_private and self._user() is None):
            # The hub does not tell a missing model from a private one.
            self._refuse(401, "RepoNotFound", "Repository not found")
            return
        files = repo.at(argument)
        if files is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {argument}")
        elif what == "tree":
            listed = repo.tree(files)
            if self.hub.faults.digest is not None:
                listed = [entry | {"oid": self.hub.faults.digest} for entry in listed]
            self._json(listed)
        else:
            siblings = [{"rfilename": name} for name in files]
            facts = {"id": repo.id, "sha": repo.commit_of(files), "siblings": siblings}
            self._json(facts | {"gated": repo.gated, "private": repo.is_private})

    def _resolve(self, repos: dict[str, HubRepo], rest: str) -> None:
        model_id, _, argument = self._split(rest, ("resolve",))
        commit, _, name = argument.partition("/")
        repo = repos.get(model_id)
        files = None if repo is None else repo.at(commit)
        if repo is None or files is None or name not in files:
            self._refuse(404, "EntryNotFound", "Entry not found")
        elif repo.gated and self.headers.get("Authorization") != f"Bearer {repo.token}":
            status = 403 if self.headers.get("Authorization") else 401
            self._refuse(status, "GatedRepo", "Access to this model is restricted")
        else:
            self._file(files[name])

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
        start, end = 0, len(content)
        wanted = self.headers.get("Range")
        if wanted and not faults.ignore_range:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or end) + bool(last), end)
            if start >= len(content):
                self._refuse(416, "", "")
                return
        partly = (start, end) != (0, len(content))
        self.send_response(206 if partly else 200)
        self.send_header("Content-Length", str(end - start))
        self.send_header("ETag", hashlib.sha256(content).hexdigest())
        if partly:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.end_headers()
        body = content[start:end]
        with self.hub.lock:
            self.hub.sent += len(body)
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

    # --- what is taken ------------------------------------------------------------------------

    def do_POST(self) -> None:
        path, _ = self._noted("POST")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        user = self._user()
        if path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif user is None:
            self._refuse(401, "", "Invalid username or password.")
        elif path == "/api/repos/create":
            self._create(user, json.loads(body))
        elif path.endswith("/preupload/main"):
            self._preupload(json.loads(body))
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        elif path.endswith("/commit/main"):
            self._commit(path.removeprefix("/api/models/").removesuffix("/commit/main"), body)
        else:
            self._refuse(404, "", "Not found")

    def _create(self, user: str, asked: dict[str, Any]) -> None:
        owner = asked.get("organization") or user
        if owner != user:
            self._refuse(403, "", "You cannot create a model under this name")
            return
        repo_id = f"{owner}/{asked['name']}"
        if repo_id in self.hub.repos:
            self._refuse(409, "", "You already created this model repo")
            return
        private = asked.get("visibility") == "private" or asked.get("private") is True
        self.hub.add(repo_id, {".gitattributes": b""}, is_private=private)
        self._json({"url": f"{self.hub.address}/{repo_id}", "name": repo_id})

    def _preupload(self, asked: dict[str, Any]) -> None:
        files = [
            {
                "path": one["path"],
                "uploadMode": "lfs" if one["size"] > _LARGE else "regular",
                "shouldIgnore": False,
            }
            for one in asked["files"]
        ]
        self._json({"files": files})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = []
        for one in asked["objects"]:
            entry = {"oid": one["oid"], "size": one["size"]}
            if one["oid"] not in self.hub.contents:
                address = f"{self.hub.address}/lfs/{one['oid']}"
                entry["actions"] = {"upload": {"href": address, "header": {}}}
            objects.append(entry)
        self._json({"transfer": "basic", "objects": objects})

    def do_PUT(self) -> None:
        path, _ = self._noted("PUT")
        faults = self.hub.faults
        size = int(self.headers["Content-Length"])
        body = self.rfile.read(size // 2)
        with self.hub.lock:
            cut = faults.cut_uploads > 0
            faults.cut_uploads -= cut
            self.hub.uploads.append(len(body))
        if faults.hold_uploads is not None:
            self.hub.holding.set()
            faults.hold_uploads.wait(60)
        if cut:
            self.close_connection = True
            self.connection.close()
            return
        body += self.rfile.read(size - len(body))
        if len(body) < size or hashlib.sha256(body).hexdigest() != path.removeprefix("/lfs/"):
            self._refuse(400, "", "The content is not what its digest says")
            return
        self.hub.contents[path.removeprefix("/lfs/")] = body
        self._json({})

    def _commit(self, repo_id: str, body: bytes) -> None:
        repo = self.hub.repos[repo_id]
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                repo.files[value["path"]] = self.hub.contents[value["oid"]]
        url = f"{self.hub.address}/{repo_id}/commit/{repo.commit}"
        self._json({"commitUrl": url, "commitOid": repo.commit, "success": True})

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
