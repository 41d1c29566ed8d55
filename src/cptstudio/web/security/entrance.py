"""Where the token, or the code from the entry file, is exchanged once for a cookie."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from cptstudio.web.security import sign_in
from cptstudio.web.security.access import Access
from cptstudio.web.security.refusals import Refusal, length_refusal
from cptstudio.web.security.sessions import SESSION_SECONDS

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_FORM = "application/x-www-form-urlencoded"
_LIMIT = 4096
_WRONG = "This token is not the right one, or the file was used already. Paste the token again."
_logger = logging.getLogger(__name__)


class Entrance:
    """Answers /enter and its style sheet."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def __call__(self, environ: WSGIEnvironment, start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request; only a POST with the right secret changes anything."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if method in ("GET", "HEAD"):
            if path == sign_in.STYLE_PATH:
                return _send(environ, start, HTTPStatus.OK, sign_in.STYLE, content="text/css")
            return _send(environ, start, HTTPStatus.OK, sign_in.sign_in_page())
        refusal = self._refusal(environ)
        if refusal is not None:
            _logger.info("refused to sign in: %s", refusal.reason)
            return _send(environ, start, refusal.status, sign_in.sign_in_page(refusal.reason))
        _logger.info("a browser signed in")
        cookie = f"{self._access.cookie}={self._access.sessions.issue()}; Path=/; HttpOnly; "
        cookie += f"SameSite=Strict; Max-Age={SESSION_SECONDS}"
        if self._access.scheme == "https":
            cookie += "; Secure"
        headers = [("Set-Cookie", cookie)]
        return _send(environ, start, HTTPStatus.OK, sign_in.going_on_page("/"), headers)

    def _refusal(self, environ: WSGIEnvironment) -> Refusal | None:
        if environ["REQUEST_METHOD"] != "POST" or environ["PATH_INFO"] == sign_in.STYLE_PATH:
            return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "There is no such method here.")
        # The entry file has no origin, and our own form shows none, because it shows no
        # referrer. Neither matters: whoever knows the secret may come in.
        origin = environ.get("HTTP_ORIGIN", "null")
        if origin != "null" and origin not in self._access.origins:
            return Refusal(HTTPStatus.FORBIDDEN, "The request comes from another page than ours.")
        if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != _FORM:
            return Refusal(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The Content-Type has to be {_FORM}."
            )
        too_long = length_refusal(environ, _LIMIT)
        if too_long is not None:
            return too_long
        length = int(environ.get("CONTENT_LENGTH") or 0)
        text = environ["wsgi.input"].read(length).decode("ascii", "replace")
        try:
            form = parse_qs(text, max_num_fields=10)
        except ValueError:
            form = {}
        token, code = form.get("token", [""])[0], form.get("code", [""])[0]
        if self._access.sessions.is_token(token.strip()) or self._access.entry.use(code):
            return None
        return Refusal(HTTPStatus.FORBIDDEN, _WRONG)


def _send(
    environ: WSGIEnvironment,
    start: Callable[..., Any],
    status: HTTPStatus,
    body: bytes,
    headers: list[tuple[str, str]] | None = None,
    content: str = "text/html",
) -> Iterable[bytes]:
    start(
        f"{status.value} {status.phrase}",
        [
            *(headers or []),
            ("Content-Type", f"{content}; charset=utf-8"),
            ("Content-Length", str(len(body))),
        ],
    )
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
