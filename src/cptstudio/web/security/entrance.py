"""Where the token, a proof, or the code from the entry file begins a session.

    POST /enter            a form with the code: the browser comes from the entry file
                           JSON {token}: programs that run beside the server
    POST /enter/challenge  JSON {session, nonce}: the server proves itself
    POST /enter/answer     JSON {session, nonce, challenge, proof, former}: the client does

A session in the body is one that goes on; null stands for the token. `former` is the boot that a
page knew: where it is another one, a program that had the port meanwhile may have given the browser
pages to keep, which are cleared.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from cptstudio.web.problems import CONTENT_TYPE as PROBLEM_TYPE
from cptstudio.web.problems import problem_bytes
from cptstudio.web.security import entrance_pages as pages
from cptstudio.web.security.access import Access, Address
from cptstudio.web.security.entry import CLEAR_PREFIX, ENTER_PATH
from cptstudio.web.security.proofs import NONCE
from cptstudio.web.security.refusals import FORM, JSON, Refusal, cookies_of, length_refusal
from cptstudio.web.security.sessions import SESSION_SECONDS, Session, is_id

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Start = Callable[..., Any]
_CHALLENGE_PATH = f"{ENTER_PATH}/challenge"
_ANSWER_PATH = f"{ENTER_PATH}/answer"
_LIMIT = 4096
_CACHE_CLEARED = (("Clear-Site-Data", '"cache"'),)
_WRONG_CODE = "This sign-in link was already used, or the server has restarted. Open it again."
_WRONG_TOKEN = "Wrong token. Copy it from .cpt-studio/token in your workspace."
_WRONG_PROOF = "Sign-in failed or timed out. Sign in again."
_NO_SESSION = "The session must be the id of a session, or null."
_logger = logging.getLogger(__name__)


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.refusal = Refusal(status, reason)


class Entrance:
    """Answers /enter and what is below it."""

    def __init__(self, access: Access) -> None:
        self._access = access
        # Nobody can have put something into the browser's cache under a name of this boot.
        self._script = f"{ENTER_PATH}/{access.boot.id}.js"

    def answers(self, path: str) -> bool:
        """Return whether a path is the entrance's."""
        return path in (ENTER_PATH, pages.STYLE_PATH) or path.startswith(f"{ENTER_PATH}/")

    def __call__(self, environ: WSGIEnvironment, start: Start) -> Iterable[bytes]:
        """Answer a request; only a POST with the right secret or proof begins a session."""
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._read(path, environ, start)
        form = _type_of(environ) == FORM
        try:
            if environ["REQUEST_METHOD"] != "POST":
                raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "There is no such method here.")
            self._check_origin(environ, form)
            if form and path == ENTER_PATH:
                return self._enter_by_file(environ, start)
            return self._post(path, environ, start)
        except _RefusedError as refused:
            refusal = refused.refusal
            _logger.info("refused to sign in: %s", refusal.reason)
            if form:
                page = pages.refused_page(refusal.reason)
                return _send(environ, start, page, status=refusal.status)
            body = problem_bytes(refusal.status, refusal.reason)
            return _send(environ, start, body, PROBLEM_TYPE, status=refusal.status)

    def _read(self, path: str, environ: WSGIEnvironment, start: Start) -> Iterable[bytes]:
        if path == pages.STYLE_PATH:
            return _send(environ, start, pages.STYLE, "text/css; charset=utf-8")
        if path == self._script:
            return _send(environ, start, pages.SCRIPT, "text/javascript; charset=utf-8")
        if path.startswith(CLEAR_PREFIX) and self._access.entry.clears(path):
            headers = [
                ("Clear-Site-Data", '"cache", "storage"'),
                ("Cross-Origin-Resource-Policy", "cross-origin"),
            ]
            return _send(environ, start, pages.PICTURE, "image/svg+xml", headers)
        if path == ENTER_PATH:
            return _send(
                environ, start, b"", headers=[("Location", "/")], status=HTTPStatus.SEE_OTHER
            )
        body = problem_bytes(HTTPStatus.NOT_FOUND, "There is nothing here.")
        return _send(environ, start, body, PROBLEM_TYPE, status=HTTPStatus.NOT_FOUND)

    def _check_origin(self, environ: WSGIEnvironment, form: bool) -> None:
        # The entry file has no origin, and shows none. That does not matter: whoever knows the
        # code may come in.
        origin = environ.get("HTTP_ORIGIN", "null" if form else None)
        if origin not in self._access.origins and not (form and origin == "null"):
            raise _RefusedError(
                HTTPStatus.FORBIDDEN,
                "The request comes from another page than ours: the header Origin has to be this "
                "server's own address.",
            )

    def _enter_by_file(self, environ: WSGIEnvironment, start: Start) -> Iterable[bytes]:
        try:
            form = parse_qs(_body(environ).decode("ascii", "replace"), max_num_fields=10)
        except ValueError:
            form = {}
        if not self._access.entry.use(form.get("code", [""])[0]):
            raise _RefusedError(HTTPStatus.FORBIDDEN, _WRONG_CODE)
        session = self._access.sessions.begin()
        page = pages.arrival_page(self._access.sessions.secret_of(session), self._script)
        return _send(environ, start, page, headers=[self._cookie(session, environ)])

    def _post(self, path: str, environ: WSGIEnvironment, start: Start) -> Iterable[bytes]:
        if _type_of(environ) != JSON:
            raise _RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The Content-Type has to be {JSON}."
            )
        given = _texts(_body(environ))
        if path == ENTER_PATH:
            if not self._access.sessions.is_token(given.get("token", "").strip()):
                raise _RefusedError(HTTPStatus.FORBIDDEN, _WRONG_TOKEN)
            return self._begun(self._access.sessions.begin(), environ, start)
        if path not in (_CHALLENGE_PATH, _ANSWER_PATH):
            raise _RefusedError(HTTPStatus.NOT_FOUND, "There is nothing here.")
        id = given.get("session")
        if id is not None and not is_id(id):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, _NO_SESSION)
        session = None if id is None else Session(id)
        nonce, origin = given.get("nonce", ""), environ["HTTP_ORIGIN"]
        if NONCE.fullmatch(nonce) is None:
            raise _RefusedError(
                HTTPStatus.BAD_REQUEST, "The nonce has to be 32 to 64 hexadecimal digits."
            )
        if path == _CHALLENGE_PATH:
            words = self._access.proofs.challenge(session, nonce, origin)
            return _send(environ, start, json.dumps(words).encode(), JSON)
        challenge, proof = given.get("challenge", ""), given.get("proof", "")
        if not self._access.proofs.is_right(session, nonce, challenge, origin, proof):
            raise _RefusedError(HTTPStatus.FORBIDDEN, _WRONG_PROOF)
        cleared = given.get("former", self._access.boot.id) != self._access.boot.id
        session = session or self._access.sessions.begin()
        return self._begun(session, environ, start, _CACHE_CLEARED if cleared else ())

    def _begun(
        self,
        session: Session,
        environ: WSGIEnvironment,
        start: Start,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Iterable[bytes]:
        # A browser has one cookie of ours. Its pages would take it from each other if each went on
        # with a session of its own, so they share the one that the cookie names.
        held = self._access.sessions_of(cookies_of(environ, self._access.cookie))
        if held and session not in held:
            session = held[0]
        _logger.info("a session was opened")
        answer = {"session": session.id, "secret": self._access.sessions.secret_of(session)}
        answer["boot"] = self._access.boot.id
        body = json.dumps(answer).encode()
        return _send(environ, start, body, JSON, [self._cookie(session, environ), *headers])

    def _cookie(self, session: Session, environ: WSGIEnvironment) -> tuple[str, str]:
        value = f"{self._access.cookie}={self._access.sessions.cookie_of(session)}; Path=/; "
        value += f"HttpOnly; SameSite=Strict; Max-Age={SESSION_SECONDS}"
        address: Address | None = self._access.address_of(environ["HTTP_HOST"])
        if address is not None and address.is_secure:
            value += "; Secure"
        return "Set-Cookie", value


def _type_of(environ: WSGIEnvironment) -> str:
    return str(environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()


def _body(environ: WSGIEnvironment) -> bytes:
    too_long = length_refusal(environ, _LIMIT)
    if too_long is not None:
        raise _RefusedError(too_long.status, too_long.reason)
    return bytes(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))


def _texts(body: bytes) -> dict[str, str]:
    """The members of a JSON object; null counts as not given."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        given = {key: item for key, item in value.items() if item is not None}
        if all(isinstance(item, str) for item in given.values()):
            return given
    raise _RefusedError(HTTPStatus.BAD_REQUEST, "The body has to be a JSON object of texts.")


def _send(
    environ: WSGIEnvironment,
    start: Start,
    body: bytes,
    content: str = "text/html; charset=utf-8",
    headers: Iterable[tuple[str, str]] = (),
    status: HTTPStatus = HTTPStatus.OK,
) -> Iterable[bytes]:
    start(
        f"{status.value} {status.phrase}",
        [*headers, ("Content-Type", content), ("Content-Length", str(len(body)))],
    )
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
