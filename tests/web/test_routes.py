"""What a route declared with `route` does with requests, answers, faults and repeats."""

from __future__ import annotations

import logging
import threading
from typing import Any

import flask
import pytest
from flask.testing import FlaskClient
from pydantic import BaseModel, ConfigDict, Field

from cptstudio.errors import UserError
from cptstudio.web.api import prepare
from cptstudio.web.api.docstrings import describe_fields, split_docstring
from cptstudio.web.api.openapi import Nothing, openapi_document, route
from cptstudio.web.problems import Conflict, NotFound

KEY = {"Idempotency-Key": "one-of-these-keys"}


class Order(BaseModel):
    """What is ordered.

    Attributes:
        count: how many, which may
            take two lines.
    """

    model_config = ConfigDict(extra="forbid")

    count: int = Field(1, ge=1, le=9)


class Bill(BaseModel):
    """What it costs."""

    price: float


@pytest.fixture
def calls() -> list[str]:
    return []


@pytest.fixture
def client(calls: list[str]) -> FlaskClient:
    app = flask.Flask(__name__)
    prepare(app)
    bp = flask.Blueprint("shop", __name__, url_prefix="/api/shop")
    gate = threading.Event()
    app.extensions["gate"] = gate

    @route(bp, "POST", "/<name>", summary="Order", status=201)
    def order(name: str, body: Order) -> Bill:
        """Orders something.

        Raises:
            Conflict: never mind.
        """
        calls.append(name)
        if name == "slow":
            assert gate.wait(60)
        if name == "fault":
            raise RuntimeError("a secret of ours")
        if name == "conflict":
            raise Conflict("It was sold already.")
        if name == "nowhere":
            raise NotFound("It is not for sale.")
        if name == "wrong":
            raise UserError("It cannot be sold:", ["It is old.", "It is broken."])
        return Bill(price=float("nan") if name == "priceless" else 2.5 * body.count)

    @route(bp, "GET", "/prices", summary="Prices")
    def prices(query: Order) -> dict[str, Any]:
        return {"count": query.count, "worst": float("-inf")}

    @route(bp, "DELETE", "/<name>", summary="Cancel", status=204)
    def cancel(name: str, body: Nothing) -> None:
        calls.append(name)

    app.register_blueprint(bp)
    return app.test_client()


def test_answers(client: FlaskClient) -> None:
    answer = client.post("/api/shop/bread", json={"count": 2})
    assert (answer.status_code, answer.json) == (201, {"price": 5.0})
    assert client.post("/api/shop/bread", json={}).json == {"price": 2.5}
    headers = {"Content-Type": "application/json"}
    assert client.post("/api/shop/bread", headers=headers).json == {"price": 2.5}
    assert client.post("/api/shop/priceless", json={}).json == {"price": "NaN"}
    assert client.get("/api/shop/prices?count=3").json == {"count": 3, "worst": "-Infinity"}
    gone = client.delete("/api/shop/bread", json={})
    assert (gone.status_code, gone.data) == (204, b"")


def test_problems(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    wrong = client.post("/api/shop/bread", json={"count": 10, "colour": "red"})
    assert wrong.status_code == 422
    assert wrong.json["fields"]["colour"] == ["Unknown field."]
    assert "9" in wrong.json["fields"]["count"][0] and len(wrong.json["problems"]) == 2
    assert client.get("/api/shop/prices?count=1&count=2").status_code == 422
    assert client.post("/api/shop/conflict", json={}).status_code == 409
    missing = client.post("/api/shop/nowhere", json={})
    assert (missing.status_code, missing.json["detail"]) == (404, "It is not for sale.")
    told = client.post("/api/shop/wrong", json={})
    assert (told.status_code, told.json["problems"]) == (422, ["It is old.", "It is broken."])
    assert client.put("/api/shop/bread", json={}).status_code == 405
    assert "Not found: /api/nowhere" in client.get("/api/nowhere").json["detail"]
    with caplog.at_level(logging.ERROR):
        fault = client.post("/api/shop/fault", json={})
    assert fault.status_code == 500 and fault.content_type == "application/problem+json"
    assert "secret of ours" not in fault.text and "secret of ours" in caplog.text


def test_a_command_under_one_key_is_done_once(client: FlaskClient, calls: list[str]) -> None:
    first = client.post("/api/shop/bread", json={"count": 3}, headers=KEY)
    again = client.post("/api/shop/bread", json={"count": 3}, headers=KEY)
    assert calls == ["bread"]
    assert (again.status_code, again.data) == (first.status_code, first.data)
    assert client.post("/api/shop/bread", json={"count": 4}, headers=KEY).status_code == 409
    # The key of another command is another key.
    assert client.delete("/api/shop/bread", json={}, headers=KEY).status_code == 204
    assert calls == ["bread", "bread"]


def test_a_refusal_is_remembered_and_a_fault_of_ours_is_not(
    client: FlaskClient, calls: list[str]
) -> None:
    for name, times in (("conflict", 1), ("fault", 2)):
        statuses = {
            client.post(f"/api/shop/{name}", json={}, headers=KEY).status_code for _ in range(2)
        }
        assert len(statuses) == 1 and calls.count(name) == times


def test_a_repeat_waits_for_the_first(client: FlaskClient, calls: list[str]) -> None:
    app = client.application
    answers: list[Any] = []

    def ask() -> None:
        answers.append(app.test_client().post("/api/shop/slow", json={}, headers=KEY).json)

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    app.extensions["gate"].set()
    for thread in threads:
        thread.join()
    assert answers == [{"price": 2.5}] * 5 and calls == ["slow"]


def test_document(client: FlaskClient) -> None:
    document = openapi_document(client.application)
    post = document["paths"]["/api/shop/{name}"]["post"]
    assert post["description"] == "Orders something."
    assert set(post["responses"]) == {"201", "default"}
    order = document["components"]["schemas"]["Order"]
    assert order["description"] == "What is ordered."
    assert order["properties"]["count"]["description"] == "how many, which may take two lines."
    (query,) = document["paths"]["/api/shop/prices"]["get"]["parameters"]
    assert query["name"] == "count" and query["schema"]["maximum"] == 9


def test_docstrings() -> None:
    assert split_docstring("") == ("", {})
    assert split_docstring("Text.\n\nReturns:\n    it.") == ("Text.", {})
    schema: dict[str, Any] = {"description": "Attributes:\n  a: b", "properties": {"a": {}}}
    describe_fields(schema)
    assert schema == {"properties": {"a": {"description": "b"}}}


def test_a_get_cannot_be_declared_as_a_change() -> None:
    with pytest.raises(ValueError, match="PATCH"):
        route(flask.Blueprint("x", __name__), "PATCH", "", summary="x")
