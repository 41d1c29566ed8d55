"""`/api/endpoints`: models served to other programs by OpenAI's API, started and stopped here."""

from __future__ import annotations

import flask
from pydantic import Field

from cptstudio.errors import UserError
from cptstudio.serving.endpoints import AT_ONCE, MOST_AT_ONCE
from cptstudio.serving.examples import Example
from cptstudio.serving.facts import EndpointFacts
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import Confirmed, Nothing, route
from cptstudio.web.problems import Conflict, NotFound, Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import model_choices


class EndpointList(LateModel):
    """Those that run first, then the last started."""

    endpoints: list[EndpointFacts]


class EndpointDetail(LateModel):
    """An endpoint, the end of its log, and calls to copy; the environment has their key."""

    endpoint: EndpointFacts
    log: str
    examples: list[Example]


class KeyAnswer(LateModel):
    """The key that clients send as `Authorization: Bearer KEY`."""

    key: str


class EndpointBody(LateModel, extra="forbid"):
    """What is served, and how."""

    reference: str = Field(min_length=1, max_length=500)
    port: int | None = Field(None, ge=1024, le=65535, title="Port")
    at_once: int = Field(AT_ONCE, ge=1, le=MOST_AT_ONCE, title="Requests at once")
    context: int | None = Field(None, ge=8, le=10_000_000, title="Context length")
    anyway: bool = False


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("serving", __name__, url_prefix="/api/endpoints")
    _add_all(bp, studio)
    _add_one(bp, studio)
    return bp


def _add_all(bp: flask.Blueprint, studio: Studio) -> None:
    @route(bp, "GET", "", summary="List the endpoints")
    def show() -> EndpointList:
        return EndpointList(endpoints=studio.endpoints.all())

    @route(bp, "POST", "", summary="Serve a model", status=201)
    def start(body: EndpointBody) -> EndpointFacts:
        """It listens on 127.0.0.1 alone, and goes on when the studio ends."""
        try:
            reference = model_choices.find(studio, body.reference)
        except UserError as error:
            raise Problem.at("reference", error) from None
        started = studio.endpoints.start(
            reference,
            port=body.port,
            at_once=body.at_once,
            context=body.context,
            anyway=body.anyway,
        )
        studio.news.changed()
        return started

    @route(bp, "GET", "/key", summary="The key of the endpoints")
    def key() -> KeyAnswer:
        found = studio.endpoints.known_key()
        if found is None:
            raise NotFound("There is no key yet: one is made when a model is first served.")
        return KeyAnswer(key=found)

    @route(bp, "POST", "/key", summary="Replace the key")
    def renew_key(body: Confirmed) -> KeyAnswer:
        """Endpoints that run take the new one at once, and no more the former one."""
        if not body.confirmed:
            raise Problem("Confirm that the key is replaced. Programs with the former one fail.")
        return KeyAnswer(key=studio.endpoints.renew_key())


def _add_one(bp: flask.Blueprint, studio: Studio) -> None:
    @route(bp, "GET", "/one/<endpoint_id>", summary="One endpoint, with its log and calls to copy")
    def one(endpoint_id: str) -> EndpointDetail:
        found = _one(studio, endpoint_id)
        return EndpointDetail(
            endpoint=found, log=studio.endpoints.log(found.id), examples=found.examples
        )

    @route(bp, "POST", "/one/<endpoint_id>/stop", summary="Stop an endpoint")
    def stop(endpoint_id: str, body: Nothing) -> EndpointFacts:
        """Its memory is free afterwards."""
        return _done(studio, studio.endpoints.stop(_one(studio, endpoint_id).id))

    @route(bp, "POST", "/one/<endpoint_id>/load", summary="Load an endpoint's model again")
    def load(endpoint_id: str, body: Nothing) -> EndpointFacts:
        """Where training needed its memory."""
        found = _one(studio, endpoint_id)
        if not found.alive:
            raise Conflict(f"The endpoint {found.id} has ended. Start it again.")
        return _done(studio, studio.endpoints.load(found.id))

    @route(bp, "DELETE", "/one/<endpoint_id>", summary="Remove an endpoint that has ended")
    def remove(endpoint_id: str, body: Nothing) -> EndpointList:
        """With its log."""
        found = _one(studio, endpoint_id)
        if found.alive:
            raise Conflict(f"The endpoint {found.id} runs. Stop it first.")
        studio.endpoints.remove(found.id)
        return EndpointList(endpoints=studio.endpoints.all())


def _one(studio: Studio, id: str) -> EndpointFacts:
    for found in studio.endpoints.all():
        if found.id == id:
            return found
    raise NotFound(f"There is no endpoint {id!r}.")


def _done(studio: Studio, found: EndpointFacts) -> EndpointFacts:
    studio.news.changed()
    return found
