"""A request's content as checked values, and a handler's result as an answer."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, TypeVar

import flask
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from cptstudio.durable import dump_json, parse_json
from cptstudio.errors import UserError
from cptstudio.validation import findings_of
from cptstudio.web.problems import CONTENT_TYPE, Problem, problem_document

BODY_LIMIT = 1024 * 1024
DEPTH_LIMIT = 64
_SURROGATE = re.compile("[\ud800-\udfff]")

Model = TypeVar("Model", bound=BaseModel)


def read_body(model: type[Model], limit: int = BODY_LIMIT) -> Model:
    """The request's JSON body, validated. A body that is missing counts as `{}`.

    Raises:
        Problem: 400 when it is no JSON, 413 when it is too large, 422 when it does not fit.
    """
    return validate(model, read_json(limit))


def read_json(limit: int = BODY_LIMIT) -> Any:
    """The request's JSON body as plain values; `{}` when there is none.

    Raises:
        Problem: 400 when it is no JSON, is nested too deeply or holds half a character
            (a lone surrogate, which no file can hold as text); 413 when it is too large.
    """
    data = read_bytes(limit)
    if not data.strip():
        return {}
    try:
        value = parse_json(data)
        _check_values(value)
    except ValueError as error:
        raise Problem(
            f"The request's body cannot be used as JSON: {error}.", status=HTTPStatus.BAD_REQUEST
        ) from None
    return value


def read_bytes(limit: int = BODY_LIMIT) -> bytes:
    """The request's body.

    Raises:
        Problem: 413 when it is too large, 400 when it broke off.
    """
    try:
        flask.request.max_content_length = limit
        return flask.request.get_data()
    except RequestEntityTooLarge:
        raise Problem(
            f"The request is larger than {limit:,} bytes.",
            status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        ) from None
    except (ClientDisconnected, OSError):
        raise Problem("The request broke off.", status=HTTPStatus.BAD_REQUEST) from None


def read_query(model: type[Model]) -> Model:
    """The request's query, validated.

    Raises:
        Problem: 422 when it does not fit, or a parameter is repeated.
    """
    given: dict[str, Any] = {}
    for name, values in flask.request.args.lists():
        if len(values) > 1:
            raise Problem(f"The parameter {name!r} is given {len(values)} times; give it once.")
        given[name] = values[0]
    return validate(model, given)


def validate(model: type[Model], value: Any) -> Model:
    """Plain values as a model.

    Raises:
        Problem: 422 with every finding, by field.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Problem("The request cannot be used:", findings_of(error, model)) from None


def _check_values(value: Any) -> None:
    level = [value]
    for _ in range(DEPTH_LIMIT):
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                if _SURROGATE.search(item):
                    raise ValueError("it holds half a character (a lone surrogate)")
            elif isinstance(item, dict):
                below.extend(item.keys())
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        if not below:
            return
        level = below
    raise ValueError("nested too deeply")


def json_answer(value: Any, status: int = HTTPStatus.OK) -> flask.Response:
    """Plain values or a model as an answer. Non-finite numbers become strings."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", by_alias=True)
    return flask.Response(dump_json(value), status=status, mimetype="application/json")


def problem_answer(status: int, error: UserError) -> flask.Response:
    """An error's answer (RFC 9457)."""
    # Text in it may come from the request or from files.
    body = dump_json(problem_document(status, error))
    return flask.Response(body, status=status, content_type=CONTENT_TYPE)
