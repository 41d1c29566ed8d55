"""The pages and their files, as they lie in the package: no build step, no template.

The pages name their files below a version, which is another one as soon as any file changes. So a
browser may keep what it has without asking again: a page is there after one request, also through
a slow tunnel, and an update needs no reload by hand. The version is also another one with every
boot: a program that had our port while we were away may have had the browser keep files of its own
under any name that it could know.

The pages are for everybody who asks: they are the same for all and hold nothing of the user.

Only the standard library is used here, so that the first page is there at once.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from cptstudio.durable import UnusableFileError, read_bytes

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FILES_PREFIX = "/ui/"
_INNER_PREFIXES = ("/api/", "/socket.io/")
UI_FOLDER = Path(__file__).parent / "ui"
_ID = "[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_LISTED = re.compile(r'^  \{ path: "(/[^"]*)", title: "([^"]*)", ', re.MULTILINE)
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile("v-[0-9a-f]{16}")
_LASTING = "private, max-age=31536000, immutable"
_ASKED_EACH_TIME = "no-cache"
_DEEPEST = 7
_LARGEST = 4 * 1024 * 1024
_COMPRESSED_FROM = 1024
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
_COMPRESSIBLE = {".html", ".js", ".css", ".json", ".svg", ".txt"}
_NO_PAGE = b"""<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Not found - CPT Studio</title>
    <link rel="icon" href="/ui/icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/ui/style/tokens.css">
    <link rel="stylesheet" href="/ui/style/base.css">
    <link rel="stylesheet" href="/ui/style/components.css">
    <link rel="stylesheet" href="/ui/style/shell.css">
  </head>
  <body>
    <main class="page not-found">
      <p class="not-found-number" aria-hidden="true">404</p>
      <h1>Page not found</h1>
      <p class="muted">The address may be mistyped, or the page may have been deleted.</p>
      <p class="row">
        <a class="button button-primary" href="/">Home</a>
        <a class="button" href="/runs">Go to Runs</a>
      </p>
    </main>
  </body>
</html>
"""


def _pages() -> dict[str, str]:
    """Return the pages' paths by their titles, as app.js lists them; ":id" stands for a name."""
    listed = _LISTED.findall((UI_FOLDER / "app.js").read_text(encoding="utf-8"))
    return {title: path for path, title in listed}


def _page_path() -> re.Pattern[str]:
    """Return the pattern of the pages' paths, as app.js lists them."""
    escaped = (re.escape(path).replace("/:id\\?", f"(?:/{_ID})?") for path in PAGES.values())
    return re.compile("|".join(path.replace(":id", _ID) for path in escaped))


PAGES = _pages()
PAGE_PATH = _page_path()
_Stamp = tuple[int, int]


@dataclass(frozen=True)
class _Version:
    """Which files there are now.

    Attributes:
        name: the part of the path that stands for them.
        stamps: time and size of each, by path.
    """

    name: str
    stamps: dict[str, _Stamp]


@dataclass(frozen=True)
class _File:
    stamp: _Stamp
    plain: bytes
    compressed: bytes | None
    tag: str
    content_type: str


def is_inner(path: str) -> bool:
    """Return whether a path leads to data and changes, and not to the pages and their files."""
    return path.startswith(_INNER_PREFIXES)


class Pages:
    """Serves the pages' paths and `/ui/`; everything else goes to the application inside.

    Args:
        folder: where index.html and its files lie.
    """

    def __init__(self, inner: WSGIApplication, boot: str = "", folder: Path = UI_FOLDER) -> None:
        self._inner = inner
        self._boot = boot
        self._folder = folder
        self._files: dict[Path, _File] = {}
        self._version: _Version | None = None
        self._index: tuple[str, _File] | None = None
        self._lock = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        path = environ.get("PATH_INFO", "")
        if is_inner(path):
            return self._inner(environ, start_response)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _plain(start_response, HTTPStatus.METHOD_NOT_ALLOWED, [("Allow", "GET, HEAD")])
        if PAGE_PATH.fullmatch(path):
            return self._send_page(environ, start_response)
        if path == "/favicon.ico":
            path = FILES_PREFIX + "favicon.ico"
        if path.startswith(FILES_PREFIX):
            parts = path.removeprefix(FILES_PREFIX).split("/")
            if len(parts) <= _DEEPEST and all(_PART.fullmatch(part) for part in parts):
                return self._send_file(parts, environ, start_response)
        headers = [("Content-Type", _TYPES[".html"]), ("Content-Length", str(len(_NO_PAGE)))]
        start_response(_status(HTTPStatus.NOT_FOUND), headers)
        return [_NO_PAGE] if environ["REQUEST_METHOD"] == "GET" else []

    def _send_page(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        try:
            page = self._page()
        except (OSError, UnusableFileError):
            return _plain(start_response, HTTPStatus.NOT_FOUND, [])
        return _send(page, _ASKED_EACH_TIME, environ, start_response)

    def _send_file(
        self, parts: list[str], environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        version = parts[0] if _VERSION.fullmatch(parts[0]) else None
        path = self._folder.joinpath(*parts[version is not None :])
        try:
            file = self._read(path)
        except (OSError, UnusableFileError):
            return _plain(start_response, HTTPStatus.NOT_FOUND, [])
        now = self._version or self._look()
        lasting = version == now.name and file.stamp == now.stamps.get(str(path))
        return _send(file, _LASTING if lasting else _ASKED_EACH_TIME, environ, start_response)

    def _look(self) -> _Version:
        """See which files there are now."""
        stamps = {}
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = os.path.join(folder, name)
                # One that an update takes away meanwhile is not there.
                with contextlib.suppress(OSError):
                    stamps[path] = _stamp(path)
        text = f"{self._boot} {sorted(stamps.items())!r}"
        found = hashlib.sha256(text.encode("utf-8", "surrogateescape"))
        self._version = _Version(f"v-{found.hexdigest()[:16]}", stamps)
        return self._version

    def _page(self) -> _File:
        """The page, which names its files below the version that holds now."""
        version = self._look()
        if self._index is None or self._index[0] != version.name:
            file = self._read(self._folder / "index.html")
            versioned = f'="{FILES_PREFIX}{version.name}/'.encode()
            plain = file.plain.replace(f'="{FILES_PREFIX}'.encode(), versioned)
            self._index = (version.name, _file(file.stamp, plain, ".html"))
        return self._index[1]

    def _read(self, path: Path) -> _File:
        if path.suffix not in _TYPES:
            raise FileNotFoundError(path)
        stamp = _stamp(path)
        file = self._files.get(path)
        if file is None or file.stamp != stamp:
            file = _file(stamp, read_bytes(path, _LARGEST), path.suffix)
            with self._lock:
                self._files[path] = file
        return file


def _stamp(path: Path | str) -> _Stamp:
    found = os.stat(path, follow_symlinks=False)
    return found.st_mtime_ns, found.st_size


def _file(stamp: _Stamp, plain: bytes, suffix: str) -> _File:
    worth = suffix in _COMPRESSIBLE and len(plain) >= _COMPRESSED_FROM
    compressed = gzip.compress(plain, 6, mtime=0) if worth else None
    tag = f'"{hashlib.sha256(plain).hexdigest()[:32]}"'
    return _File(stamp, plain, compressed, tag, _TYPES[suffix])


def _send(
    file: _File, caching: str, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    headers = [("ETag", file.tag), ("Cache-Control", caching), ("Vary", "Accept-Encoding")]
    if environ.get("HTTP_IF_NONE_MATCH") == file.tag:
        start_response(_status(HTTPStatus.NOT_MODIFIED), headers)
        return []
    body = file.plain
    if file.compressed is not None and "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
        body = file.compressed
        headers.append(("Content-Encoding", "gzip"))
    headers += [("Content-Type", file.content_type), ("Content-Length", str(len(body)))]
    start_response(_status(HTTPStatus.OK), headers)
    return [body] if environ["REQUEST_METHOD"] == "GET" else []


def _status(status: HTTPStatus) -> str:
    return f"{status.value} {status.phrase}"


def _plain(
    start_response: StartResponse, status: HTTPStatus, headers: list[tuple[str, str]]
) -> Iterable[bytes]:
    body = f"{status.phrase}\n".encode()
    start_response(
        _status(status),
        [
            *headers,
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
        ],
    )
    return [body]
