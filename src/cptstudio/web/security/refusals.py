"""Requirements for a request before anything of ours sees it: pure functions.

Most return a `Refusal`, or None when nothing speaks against the request.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SOCKET_PATH = "/socket.io/"
JSON = "application/json"
OCTET_STREAM = "application/octet-stream"
TEXT = "text/plain"
FORM = "application/x-www-form-urlencoded"
JSON_LIMIT = 4 * 1024 * 1024
SOCKET_LIMIT = 64 * 1024
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})
_SAFE = frozenset({"GET", "HEAD"})
_PROXY_HEADERS = ("HTTP_X_FORWARDED", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_X_ORIGINAL_")


@dataclass(frozen=True)
class Refusal:
    """A reason to refuse a request.

    Attributes:
        status: of the answer.
        reason: a sentence. It quotes nothing from the request.
    """

    status: HTTPStatus
    reason: str


def is_safe(environ: WSGIEnvironment) -> bool:
    """Return whether the method is one that changes nothing."""
    return environ["REQUEST_METHOD"] in _SAFE


def cookies_of(environ: WSGIEnvironment, name: str) -> list[str]:
    """Return all values of a cookie: a page on another port can have set one of the same name."""
    found = []
    for part in environ.get("HTTP_COOKIE", "").split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            found.append(value)
    return found


def address_refusal(
    environ: WSGIEnvironment, authorities: Set[str], proxied: Set[str] = frozenset()
) -> Refusal | None:
    """Return whether the request came to a name that is ours, and directly where it should.

    A page of another name that resolves to this machine (DNS rebinding) counts as same-origin
    for the browser; only the Host header tells. What a proxy claims is never believed: it has to
    leave the Host header as the browser sent it. At most it says that it did not come over TLS.

    Args:
        authorities: values of the Host header that are ours.
        proxied: those of them for which a proxy with TLS is in front.
    """
    host = environ.get("HTTP_HOST", "").lower()
    if host not in proxied and any(name.startswith(_PROXY_HEADERS) for name in environ):
        return Refusal(
            HTTPStatus.BAD_REQUEST,
            "Requests that came through a proxy are not served. Start the server with --public-url "
            "and the address that browsers use; the proxy must pass the Host header on unchanged.",
        )
    if host in proxied and environ.get("HTTP_X_FORWARDED_PROTO", "https").lower() != "https":
        return Refusal(HTTPStatus.FORBIDDEN, "This address is served over TLS only.")
    target = environ.get("RAW_URI", "/")
    if not target.startswith("/") or not environ.get("PATH_INFO", "").startswith("/"):
        return Refusal(HTTPStatus.BAD_REQUEST, "Only a path can be requested.")
    if host not in authorities:
        return Refusal(
            HTTPStatus.FORBIDDEN,
            "The server does not answer to this name and port. If you came through a tunnel, start "
            "the server with --allow-host NAME:PORT, as your browser shows them, or give the "
            "tunnel the server's own port; if through a proxy, start it with --public-url.",
        )
    if environ["REQUEST_METHOD"] not in _METHODS:
        return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "Method not supported.")
    return None


def upgrade_refusal(environ: WSGIEnvironment, origins: Set[str]) -> Refusal | None:
    """Return whether a request to change the protocol is the one that is meant: Socket.IO's."""
    asked = environ.get("HTTP_UPGRADE")
    if asked is None:
        return None
    right = (
        asked.lower() == "websocket"
        and environ["REQUEST_METHOD"] == "GET"
        and environ.get("PATH_INFO") == SOCKET_PATH
    )
    if not right:
        return Refusal(HTTPStatus.BAD_REQUEST, "The protocol cannot be changed to this here.")
    if environ.get("HTTP_ORIGIN") not in origins:
        return Refusal(HTTPStatus.FORBIDDEN, "A WebSocket needs this server's own Origin.")
    return None


def origin_refusal(environ: WSGIEnvironment, origins: Set[str]) -> Refusal | None:
    """Return whether the request comes from a page of ours, as far as the browser tells.

    `Sec-Fetch-Site` cannot be set by a page's script (W3C Fetch Metadata). A browser that
    sends none, because it is old or the address is not HTTPS, sends Origin with every request
    that changes something. Another port of the same machine is another origin but the same
    site, so "same-site" is refused like any other.
    """
    origin, site = environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE")
    refusal = Refusal(HTTPStatus.FORBIDDEN, "The request comes from another page than ours.")
    if origin is not None and origin not in origins:
        return refusal
    if site not in (None, "same-origin", "none"):
        return refusal
    if not is_safe(environ) and site != "same-origin" and (site is not None or origin is None):
        return Refusal(
            HTTPStatus.FORBIDDEN,
            "What changes something needs the header Sec-Fetch-Site: same-origin, as browsers "
            "send it, or this server's own address as Origin.",
        )
    return None


def content_refusal(environ: WSGIEnvironment) -> Refusal | None:
    """Return whether a body is of a type and size that are taken.

    A form can send none of the types but text/plain, and that is taken by Socket.IO alone.
    """
    if environ.get("PATH_INFO") == SOCKET_PATH and "j" in _query(environ):
        return Refusal(HTTPStatus.BAD_REQUEST, "JSONP is not supported.")
    if is_safe(environ):
        return None
    given = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    path = environ.get("PATH_INFO", "")
    taken: tuple[str, ...] = (TEXT,) if path == SOCKET_PATH else (JSON, OCTET_STREAM)
    if given not in taken:
        return Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The Content-Type must be {taken[0]}.")
    limit = {JSON: JSON_LIMIT, TEXT: SOCKET_LIMIT}.get(given)
    return None if limit is None else length_refusal(environ, limit)


def length_refusal(environ: WSGIEnvironment, limit: int) -> Refusal | None:
    """Return whether the body says that it is at most `limit` bytes long."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isascii() or not length.isdigit():
        return Refusal(HTTPStatus.BAD_REQUEST, "The Content-Length is not a number.")
    if int(length[:20]) > limit:
        return Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {limit:,} bytes."
        )
    return None


def _query(environ: WSGIEnvironment) -> dict[str, list[str]]:
    return parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True, max_num_fields=None)
