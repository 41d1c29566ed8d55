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
from urllib.parse import quote

from cptstudio.errors import machine_error
from cptstudio.web.pages import PAGE_PATH, is_inner
from cptstudio.web.problems import CONTENT_TYPE as PROBLEM_TYPE
from cptstudio.web.problems import problem_bytes, status_of
from cptstudio.web.security import csp_reports, entrance_pages
from cptstudio.web.security.access import Access
from cptstudio.web.security.connections import Body
from cptstudio.web.security.entrance import Entrance
from cptstudio.web.security.headers import CSP_REPORT_PATH, with_security_headers
from cptstudio.web.security.links import LINK_PREFIX
from cptstudio.web.security.refusals import (
    SOCKET_PATH,
    Refusal,
    address_refusal,
    content_refusal,
    cookies_of,
    is_safe,
    origin_refusal,
    upgrade_refusal,
)
from cptstudio.web.security.sessions import Session
from cptstudio.web.security.under_way import UnderWay
from cptstudio.web.security.visit import SECRET_HEADER, SESSION_KEY, Visit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SOCKET_PROTOCOL = "cpt-studio"
_SECRET = "HTTP_" + SECRET_HEADER.upper().replace("-", "_")
_SIGNED_OUT = Refusal(
    HTTPStatus.UNAUTHORIZED,
    "You are not signed in. Open the link printed in the terminal, or paste the token. Programs "
    f"need a session cookie and its secret in the header {SECRET_HEADER}; the secret expires "
    "when the server stops.",
)
_LINK_USED = Refusal(
    HTTPStatus.NOT_FOUND,
    "This download link expired: it works once, for one minute. Go back and download again.",
)
_FAULT = Refusal(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "Something went wrong in CPT Studio. Details are in .cpt-studio/server.log in your workspace.",
)
_NO_ROOM = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Too many pages are open for another live connection. Close some.",
)
_logger = logging.getLogger(__name__)


class Gate:
    """The application inside the gate.

    The pages and their files are for everybody: they are the same for all, and hold nothing of
    the user. All else needs a session's cookie and its secret.

    Args:
        access: who may come in, and under which addresses.

    Attributes:
        under_way: what is being answered.
        warm_up: imports what the first page does not need; safe to be called at any time.
    """

    def __init__(self, inner: WSGIApplication, access: Access) -> None:
        self._inner = inner
        self._access = access
        self._entrance = Entrance(access)
        self._reports = csp_reports.Reports()
        self._sockets = _Places(access.sockets)
        self._polls = _Places(access.waiting_polls)
        self._authorities = {one.authority for one in access.addresses} | access.aliases
        self._proxied = {one.authority for one in access.addresses if one.proxied}
        self.under_way = UnderWay()
        access.sessions.on_end = self.under_way.cut
        self.warm_up: Callable[[], object] = lambda: None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, or refuse it."""

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, with_security_headers(headers), *error)

        environ["wsgi.input"] = Body(environ["wsgi.input"])
        access = self._access
        refusal = address_refusal(environ, self._authorities, self._proxied)
        refusal = refusal or upgrade_refusal(environ, access.origins)
        if refusal:
            return _refuse(refusal, environ, start)
        path = environ["PATH_INFO"]
        if environ["HTTP_HOST"].lower() in access.aliases:
            return self._lead_on(environ, start)
        if environ.get("HTTP_SERVICE_WORKER") == "script":
            headers = [("Content-Type", "text/javascript; charset=utf-8")]
            return _send(entrance_pages.FAREWELL, HTTPStatus.OK, headers, environ, start)
        if self._entrance.answers(path):
            return self._entrance(environ, start)
        if path == CSP_REPORT_PATH and environ.get("HTTP_SEC_FETCH_SITE") == "same-origin":
            # A page that shows no referrer shows no origin either when it reports (Fetch,
            # "append a request Origin header"); Sec-Fetch-Site still tells where from.
            environ.pop("HTTP_ORIGIN", None)
        refusal = None if _is_visit(environ) else origin_refusal(environ, access.origins)
        if refusal:
            return _refuse(refusal, environ, start)
        sessions = access.sessions_of(cookies_of(environ, access.cookie))
        if path == CSP_REPORT_PATH:
            return (
                self._reports(environ, start) if sessions else _refuse(_SIGNED_OUT, environ, start)
            )
        if path.startswith(LINK_PREFIX):
            return self._download(sessions, environ, start)
        if not is_inner(path):
            return self._pass(None, environ, start)
        secret = _secret_of(environ)
        session = next((one for one in sessions if access.sessions.opens(one, secret)), None)
        refusal = content_refusal(environ) if session else _SIGNED_OUT
        if session is None or refusal:
            return _refuse(refusal or _SIGNED_OUT, environ, start)
        if path == SOCKET_PATH:
            return self._socket(session, environ, start)
        return self._pass(session, environ, start)

    def _lead_on(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """From another loopback name to the address that nobody else can listen on."""
        origin = self._access.addresses[0].origin
        if not is_safe(environ) or PAGE_PATH.fullmatch(environ["PATH_INFO"]) is None:
            reason = f"Use the address {origin}: other programs could answer under this name."
            return _refuse(Refusal(HTTPStatus.FORBIDDEN, reason), environ, start)
        query = environ.get("QUERY_STRING", "")
        to = origin + quote(environ["PATH_INFO"]) + (f"?{query}" if query else "")
        return _send(b"", HTTPStatus.TEMPORARY_REDIRECT, [("Location", to)], environ, start)

    def _download(
        self, sessions: list[Session], environ: WSGIEnvironment, start: StartResponse
    ) -> Iterable[bytes]:
        used = None
        if environ["REQUEST_METHOD"] == "GET":
            used = self._access.links.use(environ["PATH_INFO"], sessions)
        if used is None:
            return _refuse(_LINK_USED, environ, start)
        session, target = used
        environ["PATH_INFO"], environ["QUERY_STRING"] = target

        def start_download(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            names = {name.lower() for name, _ in headers}
            if "content-disposition" not in names:
                headers = [*headers, ("Content-Disposition", "attachment")]
            return start(status, headers, *error)

        return self._pass(session, environ, start_download)

    def _pass(
        self, session: Session | None, environ: WSGIEnvironment, start: StartResponse
    ) -> Iterable[bytes]:
        """Let a request in; with a session it is cut off when the session ends."""
        if session is not None:
            environ[SESSION_KEY] = Visit(session, self._access, self.under_way, environ)
        with self.under_way.counting():
            try:
                return self.under_way.following(session, environ, self._inner, start)
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

    def telling(self, tell: Callable[[], None]) -> WSGIApplication:
        """Return the same application, which calls `tell` when it has answered a request."""

        def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            try:
                return self(environ, start_response)
            finally:
                tell()

        return application

    def _socket(
        self, session: Session, environ: WSGIEnvironment, start: StartResponse
    ) -> Iterable[bytes]:
        environ[SESSION_KEY] = Visit(session, self._access, self.under_way, environ)
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
            return self.under_way.following(session, environ, self._inner, start)


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


def _secret_of(environ: WSGIEnvironment) -> str:
    """The session's secret. A browser can give a WebSocket nothing but protocols to choose from."""
    if "HTTP_UPGRADE" in environ and _SECRET not in environ:
        offered = environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "").split(",")
        return next((one.strip() for one in offered if one.strip() != SOCKET_PROTOCOL), "")
    return str(environ.get(_SECRET, ""))


def _is_visit(environ: WSGIEnvironment) -> bool:
    """Whether the user goes to one of our pages, from wherever: they are for everybody."""
    return (
        environ["REQUEST_METHOD"] == "GET"
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


def _send(
    body: bytes,
    status: HTTPStatus,
    headers: list[tuple[str, str]],
    environ: WSGIEnvironment,
    start: Callable[..., Any],
) -> Iterable[bytes]:
    start(f"{status.value} {status.phrase}", [*headers, ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
