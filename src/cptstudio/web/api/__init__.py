"""The HTTP API: one module a subject, each with `blueprint(studio)`.

Modules are found by looking, so that a new one is mounted, documented and covered by the
tests of all routes by being there.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter

from cptstudio.errors import MachineError, UserError, refusal_of
from cptstudio.web.api import crowding, idempotency
from cptstudio.web.api.http import json_answer, problem_answer
from cptstudio.web.api.openapi import ID_PATTERN, openapi_document
from cptstudio.web.problems import Problem, status_of
from cptstudio.web.studio import Studio

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FORMER_PREFIXES: Final = {"/api/bench": "/api/inference", "/api/testing": "/api/evaluation"}
"""Routes by the names they had before, which are understood for one version more."""

_logger = logging.getLogger(__name__)


class IssuedId(BaseConverter):
    """A part of a path: an id in the form in which the server issues them."""

    regex = ID_PATTERN
    part_isolating = True


def prepare(app: flask.Flask) -> None:
    """What has to hold before any route is added."""
    app.url_map.converters["default"] = IssuedId
    app.extensions[idempotency.EXTENSION] = idempotency.Answers()
    app.register_error_handler(UserError, _user_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _fault)


def register(app: flask.Flask, studio: Studio) -> None:
    """Mount every module of this package that defines `blueprint`."""
    prepare(app)
    # First, since all that follows may wait for a disk.
    crowding.watch(app)
    app.before_request(studio.workspace.check_present)
    for found in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{found.name}")
        make = getattr(module, "blueprint", None)
        if make is not None:
            app.register_blueprint(make(studio))
    app.wsgi_app = _by_former_names(app.wsgi_app)  # type: ignore[assignment, method-assign]
    document: dict[str, Any] = {}

    def openapi() -> flask.Response:
        if not document:
            document.update(openapi_document(app))
        return json_answer(document)

    app.add_url_rule("/api/openapi.json", "openapi", openapi, methods=["GET"])


def _by_former_names(inner: WSGIApplication) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        for former, name in FORMER_PREFIXES.items():
            if path == former or path.startswith(f"{former}/"):
                environ["PATH_INFO"] = name + path.removeprefix(former)
        return inner(environ, start_response)

    return answer


def _user_error(error: UserError) -> flask.Response:
    if isinstance(error, Problem):
        return problem_answer(error.status, error)
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    if isinstance(error, MachineError):
        status = status_of(error)
        _logger.warning("%s %s: %s", flask.request.method, flask.request.path, error)
    return problem_answer(status, error)


def _http_error(error: HTTPException) -> flask.Response:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if status == HTTPStatus.NOT_FOUND:
        detail = f"Not found: {flask.request.path}"
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{flask.request.path} does not accept {flask.request.method}."
    else:
        detail = error.description or HTTPStatus(status).phrase
    answer = problem_answer(status, UserError(detail))
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after"):
            answer.headers[name] = value
    return answer


def _fault(error: Exception) -> flask.Response:
    refused = refusal_of(error)
    if refused is not None:
        return _user_error(refused)
    _logger.error("%s %s failed", flask.request.method, flask.request.path, exc_info=error)
    return problem_answer(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        UserError(
            "Something went wrong in CPT Studio. What happened is in .cpt-studio/server.log of the "
            "workspace."
        ),
    )
