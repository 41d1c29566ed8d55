"""`route`: one declaration from which come the URL, the validation and the OpenAPI document.

    @route(bp, "POST", "/<run_id>/stop", summary="Save and end")
    def stop(run_id: str, body: Nothing) -> RunSummary: ...

A handler gets the parts of its path by name, and the JSON body and the query as the models of its
parameters `body` and `query`. It returns a model, plain values, or a `flask.Response` of its own.
What it raises becomes problem details (`cptstudio.web.problems`).
"""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import flask
from pydantic import BaseModel, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from cptstudio import __version__
from cptstudio.errors import Finding
from cptstudio.validation import LateModel
from cptstudio.web.api.docstrings import describe_fields, split_docstring
from cptstudio.web.api.http import BODY_LIMIT, json_answer, read_body, read_json, read_query
from cptstudio.web.api.idempotency import KEY_HEADER, KEY_PATTERN, remembered_answer
from cptstudio.web.problems import CONTENT_TYPE as PROBLEM_TYPE
from cptstudio.web.problems import Problem
from cptstudio.web.security.visit import SECRET_HEADER

ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
UNSAFE = frozenset({"POST", "PUT", "DELETE"})
OCTET_STREAM = "application/octet-stream"
_REFERENCE = "#/components/schemas/{model}"
_PART = re.compile(r"<(?:(?P<converter>[a-z]+):)?(?P<name>[a-z_]+)>")

Handler = Callable[..., Any]


class Nothing(LateModel, extra="forbid"):
    """A body without content: `{}`."""


class Confirmed(LateModel, extra="forbid"):
    """A body that says that the user was asked and agreed."""

    confirmed: bool = False


class Needs(LateModel):
    """What a run needs and what there is: `anyway` starts it although that is too little."""

    memory_bytes: int
    memory_available_bytes: int
    disk_needed_bytes: int
    disk_free_bytes: int


class ProblemDetails(LateModel):
    """An error's answer (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    problems: list[str] = Field(description="Sentences that name their fields.")
    fields: dict[str, list[str]] = Field(description="Sentences by field.")
    findings: list[Finding]
    needs: Needs | None = None


@dataclass(frozen=True)
class RouteDescription:
    """What `route` was told about one handler."""

    method: str
    summary: str
    description: str
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    answer: type[BaseModel] | None
    status: int
    octet_stream: bool
    media_type: str


def route(
    blueprint: flask.Blueprint,
    method: str,
    path: str,
    *,
    summary: str,
    answer: type[BaseModel] | None = None,
    status: int = HTTPStatus.OK,
    octet_stream: bool = False,
    body_limit: int = BODY_LIMIT,
    media_type: str = "application/json",
) -> Callable[[Handler], Handler]:
    """Declare a handler's route.

    Args:
        method: GET, POST, PUT or DELETE. A GET changes nothing.
        path: below the blueprint's prefix; its parts `<name>` match `ID_PATTERN`.
        summary: a line for the documentation; the handler's docstring says more.
        answer: model of the answer, where the handler returns it as plain values.
        status: of the answer; with 204 the handler's result is dropped.
        octet_stream: the body is raw bytes, which the handler reads from `request.stream`.
        body_limit: greatest size of a JSON body, in bytes.
        media_type: of the answer, where it is not JSON.
    """
    if method not in UNSAFE | {"GET"}:
        raise ValueError(f"no route can have the method {method}")

    def decorate(handler: Handler) -> Handler:
        hints = typing.get_type_hints(handler)
        described = RouteDescription(
            method=method,
            summary=summary,
            description=split_docstring(inspect.getdoc(handler) or "")[0],
            body=hints.get("body"),
            query=hints.get("query"),
            answer=answer or _model_in(hints.get("return")),
            status=int(status),
            octet_stream=octet_stream,
            media_type=media_type,
        )

        @functools.wraps(handler)
        def view(**parts: Any) -> flask.Response:
            def work() -> flask.Response:
                return _respond(handler, parts, described, body_limit)

            if method not in UNSAFE:
                return work()
            _check_type(OCTET_STREAM if octet_stream else "application/json")
            return remembered_answer(work, None if octet_stream else body_limit)

        view.description = described  # type: ignore[attr-defined]
        endpoint = f"{handler.__name__}_{method.lower()}"
        blueprint.add_url_rule(path, endpoint, view, methods=[method], strict_slashes=True)
        return handler

    return decorate


def _model_in(annotation: Any) -> type[BaseModel] | None:
    known = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if known else None


def _check_type(wanted: str) -> None:
    if flask.request.mimetype != wanted:
        raise Problem(
            f"The Content-Type has to be {wanted}.", status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        )


def _respond(
    handler: Handler, parts: dict[str, Any], described: RouteDescription, body_limit: int
) -> flask.Response:
    """Read what a request gives, and answer it."""
    if described.query is not None:
        parts["query"] = read_query(described.query)
    if described.body is not None:
        parts["body"] = read_body(described.body, body_limit)
    elif described.method in UNSAFE and not described.octet_stream:
        read_json(body_limit)
    result = handler(**parts)
    if isinstance(result, flask.Response):
        return result
    if described.status == HTTPStatus.NO_CONTENT:
        return flask.Response(status=described.status)
    return json_answer(result, described.status)


def described_routes(app: flask.Flask) -> list[tuple[str, RouteDescription]]:
    """All routes of the API, with their paths, in the order of their paths."""
    found = []
    for rule in app.url_map.iter_rules():
        description = getattr(app.view_functions[rule.endpoint], "description", None)
        if isinstance(description, RouteDescription):
            found.append((rule.rule, description))
    return sorted(found, key=lambda item: (item[0], item[1].method))


def openapi_document(app: flask.Flask) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the application's routes."""
    routes = described_routes(app)
    inputs: set[type[BaseModel]] = set()
    outputs: set[type[BaseModel]] = {ProblemDetails}
    for _, described in routes:
        inputs |= {model for model in (described.body, described.query) if model}
        outputs |= {described.answer} if described.answer else set()
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((model, "validation") for model in sorted(inputs, key=_model_order)),
        *((model, "serialization") for model in sorted(outputs, key=_model_order)),
    ]
    references, schemas = models_json_schema(wanted, ref_template=_REFERENCE)
    definitions = schemas.get("$defs", {})
    for schema in definitions.values():
        describe_fields(schema)
    paths: dict[str, Any] = {}
    for path, described in routes:
        operation = _operation(path, described, references, definitions)
        paths.setdefault(_PART.sub(r"{\g<name>}", path), {})[described.method.lower()] = operation
    bodies = {described.body for _, described in routes}
    for model in {described.query for _, described in routes if described.query} - bodies:
        definitions.pop(_name_in(references, model), None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "CPT Studio",
            "version": __version__,
            "description": "Continued pre-training and testing of MLX language models.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"session": [], "secret": []}],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "cpt-studio-PORT",
                    "description": "Says whose session it is; got for the token from POST /enter.",
                },
                "secret": {
                    "type": "apiKey",
                    "in": "header",
                    "name": SECRET_HEADER,
                    "description": "Opens the session until the server ends; got with the cookie.",
                },
            },
        },
    }


def _name_in(references: Any, model: type[BaseModel]) -> str:
    return str(references[model, "validation"]["$ref"].rpartition("/")[2])


def _model_order(model: type[BaseModel]) -> tuple[str, str]:
    return model.__name__, model.__module__


def _operation(
    path: str, described: RouteDescription, references: Any, definitions: dict[str, Any]
) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {
            "name": part["name"],
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": f"^{ID_PATTERN}$"}
            if part["converter"] is None
            else {"type": "string"},
        }
        for part in _PART.finditer(path)
    ]
    if described.query:
        schema = definitions[_name_in(references, described.query)]
        for name, property_schema in schema.get("properties", {}).items():
            parameters.append(
                {
                    "name": name,
                    "in": "query",
                    "required": name in schema.get("required", ()),
                    "schema": property_schema,
                }
            )
    if described.method in UNSAFE:
        parameters.append(
            {
                "name": KEY_HEADER,
                "in": "header",
                "description": "The same key gives the first answer again.",
                "schema": {"type": "string", "pattern": f"^{KEY_PATTERN}$"},
            }
        )
    operation: dict[str, Any] = {
        "summary": described.summary,
        "operationId": _operation_id(path, described.method),
        "tags": [path.split("/")[2] if path.count("/") > 1 else "api"],
        "responses": {
            str(described.status): _answer(described, references),
            "default": {
                "description": "A problem, in a sentence to act on.",
                "content": {PROBLEM_TYPE: {"schema": references[ProblemDetails, "serialization"]}},
            },
        },
    }
    if described.description:
        operation["description"] = described.description
    if parameters:
        operation["parameters"] = parameters
    if described.octet_stream:
        operation["requestBody"] = {"required": True, "content": {OCTET_STREAM: {}}}
    elif described.body:
        schema = references[described.body, "validation"]
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return operation


def _answer(described: RouteDescription, references: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(described.status).phrase}
    if described.answer:
        schema = references[described.answer, "serialization"]
        answer["content"] = {described.media_type: {"schema": schema}}
    elif described.status != HTTPStatus.NO_CONTENT:
        answer["content"] = {described.media_type: {}}
    return answer


def _operation_id(path: str, method: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", path.removeprefix("/api"))
    return "_".join([method.lower(), *words])
