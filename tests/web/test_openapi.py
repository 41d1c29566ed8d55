"""The OpenAPI document, and requests made from it with and without a session."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

from cptstudio.web.api.openapi import described_routes
from tests.web.in_process import SAME_ORIGIN, Web, make_web

# They would ask the model hub, look at this machine's processes, or end the test's own session.
LEFT_OUT = ("/api/models/hub", "/api/models/download", "/api/external", "/api/session/end")
EXAMPLES = 8


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    web = make_web(tmp_path_factory.mktemp("workspace"))
    yield web
    web.studio.jobs.close()
    web.studio.news.close()
    web.studio.manager.close()


@pytest.fixture(scope="module")
def document(served: Web) -> dict[str, Any]:
    return dict(served.get("/api/openapi.json"))


def test_document_describes_every_route(served: Web, document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    described = {
        (method, path) for path, methods in document["paths"].items() for method in methods
    }
    there = {
        (method.lower(), rule.rule.replace("<", "{").replace(">", "}"))
        for rule in served.app.url_map.iter_rules()
        for method in rule.methods - {"OPTIONS", "HEAD"}
        if rule.rule != "/api/openapi.json"
    }
    assert described == there
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names))
    for name, operation in operations(document):
        assert operation["summary"], name
        assert "default" in operation["responses"], name


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    schemas = document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas, reference


def send(web: Web, case: Any, headers: dict[str, str]) -> Any:
    """A generated request, through the gate."""
    arguments: dict[str, Any] = {}
    absent = case.body is schemathesis.core.NOT_SET
    if case.method.upper() != "GET":
        octets = case.media_type == "application/octet-stream"
        headers = {**headers, "Content-Type": case.media_type or "application/json"}
        if absent:
            arguments["data"] = b"" if octets else b"{}"
        elif isinstance(case.body, bytes):
            arguments["data"] = case.body
        else:
            from cptstudio.durable import dump_json

            arguments["data"] = dump_json(case.body).encode()
    for name, value in (case.headers or {}).items():
        headers[name] = str(value).encode("utf-8", "replace").decode("latin-1")
    query = {key: value for key, value in (case.query or {}).items() if not isinstance(value, dict)}
    return web.raw(
        case.method.upper(), case.formatted_path, query_string=query, headers=headers, **arguments
    )


def try_operation(web: Web, operation: Any, mode: GenerationMode, answered: Any) -> None:
    """Generated requests of one operation, with and without a session."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def requests(case: Any) -> None:
        response = send(web, case, web.headers)
        shown = (case.method, case.formatted_path, response.text[:500])
        assert response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR, shown
        if response.status_code < HTTPStatus.BAD_REQUEST:
            assert str(response.status_code) in answered, shown
        elif case.formatted_path.startswith("/api/"):
            assert response.content_type == "application/problem+json", shown
        without = send(web, case, SAME_ORIGIN)
        assert without.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN), shown

    requests()


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_generated_requests_are_no_fault_of_the_server(
    served: Web, document: dict[str, Any], mode: GenerationMode
) -> None:
    tried = 0
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        if operation.path.startswith(LEFT_OUT):
            continue
        answered = document["paths"][operation.path][operation.method]["responses"]
        try:
            try_operation(served, operation, mode, answered)
        except Unsatisfiable:
            # An operation without parameters has nothing that could be wrong.
            assert mode is GenerationMode.NEGATIVE, operation.label
        else:
            tried += 1
    assert tried > 20


def test_schema_of_answers_holds(served: Web, document: dict[str, Any]) -> None:
    """What an empty workspace answers fits the document."""
    import jsonschema_rs

    checked = 0
    for path, described in described_routes(served.app):
        if described.method != "GET" or "<" in path or path.startswith(LEFT_OUT):
            continue
        response = served.request("GET", path)
        if response.status_code != HTTPStatus.OK or described.answer is None:
            continue
        content = document["paths"][path]["get"]["responses"]["200"]["content"]
        schema = {**content["application/json"]["schema"], "components": document["components"]}
        jsonschema_rs.validator_for(schema).validate(response.json)
        checked += 1
    assert checked >= 5


def test_same_key_gives_the_first_answer_again(served: Web, tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    body = {"path": str(folder), "confirmed": True}
    first = served.request("POST", "/api/roots", json=body, headers={"Idempotency-Key": "a" * 20})
    again = served.request("POST", "/api/roots", json=body, headers={"Idempotency-Key": "a" * 20})
    assert first.status_code < HTTPStatus.BAD_REQUEST
    assert (again.status_code, again.data) == (first.status_code, first.data)
    other = served.request("POST", "/api/roots", json={}, headers={"Idempotency-Key": "a" * 20})
    assert other.status_code == HTTPStatus.CONFLICT
