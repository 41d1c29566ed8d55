"""The outermost layer: nothing behind it sees a request that it refuses.

It stands outside Flask and Socket.IO alike, because what Flask checks (`TRUSTED_HOSTS`) does
not cover the paths of Socket.IO, nor its WebSockets.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cptstudio.errors import machine_error
from cptstudio.web.connections import Body
from cptstudio.web.pages import PAGE_PATH
from cptstudio.web.problems import CONTENT_TYPE as PROBLEM_TYPE
from cptstudio.web.problems import problem_bytes, status_of
from cptstudio.web.security import csp_reports, sign_in
from cptstudio.web.security.access import Access
from cptstudio.web.security.entrance import Entrance
from cptstudio.web.security.entry import ENTER_PATH
from cptstudio.web.security.headers import CSP_REPORT_PATH, with_security_headers
from cptstudio.web.security.refusals import (
    SOCKET_PATH,
    Refusal,
    address_refusal,
    content_refusal,
    is_safe,
    origin_refusal,
    upgrade_refusal,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SESSION_KEY = "cptstudio.session"
END_SESSION_KEY = "cptstudio.end_session"
_HTML = "text/html; charset=utf-8"
_SIGNED_OUT = Refusal(
    HTTPStatus.UNAUTHORIZED,
    "You are not signed in. Open the address that the server printed when it started.",
)
_FAULT = Refusal(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "CPT Studio itself failed here. What happened is in .cpt-studio/server.log of the workspace.",
)
_NO_ROOM = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "So many pages are open that no further live connection is taken; close some.",
)
_logger = logging.getLogger(__name__)


class Gate:
    """The application inside the gate.

    Args:
        inner: what is protected.
        access: who may come in, and under which addresses.

    Attributes:
        under_way: how many requests are being answered, sockets not counted.
        warm_up: imports what the first page does not need; safe to be called at any time.
    """

    def __init__(self, inner: WSGIApplication, access: Access) -> None:
        self._inner = inner
        self._access = access
        self._entrance = Entrance(access)
        self._reports = csp_reports.Reports()
        self._sockets = _Places(access.sockets)
        self._polls = _Places(access.waiting_polls)
        self.under_way = 0
        self._lock = threading.Lock()
        self.warm_up: Callable[[], object] = lambda: None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, or refuse it."""

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, with_security_headers(headers), *error)

        environ["wsgi.input"] = Body(environ["wsgi.input"])
        access = self._access
        refusal = address_refusal(environ, access.authorities)
        refusal = refusal or upgrade_refusal(environ, access.origins)
        if refusal:
            return _refuse(refusal, environ, start)
        path = environ["PATH_INFO"]
        if path in (ENTER_PATH, sign_in.STYLE_PATH):
            return self._entrance(environ, start)
        if path == CSP_REPORT_PATH and environ.get("HTTP_SEC_FETCH_SITE") == "same-origin":
            # A page that shows no referrer shows no origin either when it reports (Fetch,
            # "append a request Origin header"); Sec-Fetch-Site still tells where from.
            environ.pop("HTTP_ORIGIN", None)
        if _is_visit_from_elsewhere(environ):
            target = path + ("?" + environ["QUERY_STRING"] if environ.get("QUERY_STRING") else "")
            return _page(sign_in.going_on_page(target), HTTPStatus.OK, environ, start)
        refusal = origin_refusal(environ, access.origins)
        if refusal:
            return _refuse(refusal, environ, start)
        session = access.sessions.identify(cookie_of(environ, access.cookie))
        if session is None:
            if is_safe(environ) and PAGE_PATH.fullmatch(path):
                return _page(sign_in.sign_in_page(), HTTPStatus.UNAUTHORIZED, environ, start)
            return _refuse(_SIGNED_OUT, environ, start)
        environ[SESSION_KEY] = session
        environ[END_SESSION_KEY] = lambda: access.sessions.end(session)
        if path == CSP_REPORT_PATH:
            return self._reports(environ, start)
        refusal = content_refusal(environ)
        if refusal:
            return _refuse(refusal, environ, start)
        if path == SOCKET_PATH:
            return self._socket(environ, start)
        self._count(1)
        try:
            return self._inner(environ, start)
        except StopIteration:
            raise
        except OSError as error:
            refused = machine_error(error)
            if refused is None:
                # The client has gone.
                raise
            return _refuse(Refusal(status_of(refused), refused.message), environ, start)
        except Exception:
            _logger.exception("%s failed", environ["REQUEST_METHOD"])
            return _refuse(_FAULT, environ, start)
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self.under_way += change

    def telling(self, tell: Callable[[], None]) -> WSGIApplication:
        """The same application, which calls `tell` when it has answered a request."""

        def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            try:
                return self(environ, start_response)
            finally:
                tell()

        return application

    def _socket(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        places = None
        if "HTTP_UPGRADE" in environ:
            places = self._sockets
        elif environ["REQUEST_METHOD"] == "GET" and "sid=" in environ.get("QUERY_STRING", ""):
            places = self._polls
        if places is None:
            return self._inner(environ, start)
        with places.one() as free:
            if not free:
                return _refuse(_NO_ROOM, environ, start)
            # A socket's call lasts as long as the socket.
            return self._inner(environ, start)


class _Places:
    """So many may be inside at once."""

    def __init__(self, number: int) -> None:
        self._free = threading.Semaphore(number)

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Hold one place for the block, if there is one."""
        taken = self._free.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                self._free.release()


def cookie_of(environ: WSGIEnvironment, name: str) -> str | None:
    """The value of a cookie; None when it is not sent, or sent twice."""
    found = []
    for part in environ.get("HTTP_COOKIE", "").split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            found.append(value)
    return found[0] if len(found) == 1 else None


def _is_visit_from_elsewhere(environ: WSGIEnvironment) -> bool:
    """Whether the user followed a link to one of our pages on a page that is not ours."""
    return (
        environ["REQUEST_METHOD"] == "GET"
        and environ.get("HTTP_SEC_FETCH_SITE") in ("cross-site", "same-site")
        and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
        and environ.get("HTTP_SEC_FETCH_DEST") == "document"
        and "HTTP_ORIGIN" not in environ
        and PAGE_PATH.fullmatch(environ["PATH_INFO"]) is not None
    )


def _refuse(
    refusal: Refusal, environ: WSGIEnvironment, start: Callable[..., Any]
) -> Iterable[bytes]:
    _logger.info(
        "refused %s %.200r: %s %s",
        environ["REQUEST_METHOD"][:20],
        environ.get("PATH_INFO", ""),
        refusal.status.value,
        refusal.reason,
    )
    headers = [("Content-Type", PROBLEM_TYPE)]
    if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append(("Retry-After", "5"))
    return _send(
        problem_bytes(refusal.status, refusal.reason), refusal.status, headers, environ, start
    )


def _page(
    body: bytes, status: HTTPStatus, environ: WSGIEnvironment, start: Callable[..., Any]
) -> Iterable[bytes]:
    return _send(body, status, [("Content-Type", _HTML)], environ, start)


def _send(
    body: bytes,
    status: HTTPStatus,
    headers: list[tuple[str, str]],
    environ: WSGIEnvironment,
    start: Callable[..., Any],
) -> Iterable[bytes]:
    start(f"{status.value} {status.phrase}", [*headers, ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
