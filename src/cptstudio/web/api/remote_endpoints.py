"""`/api/remote-endpoints`: endpoints of others, whose hosts the user confirms. Nothing is asked."""

from __future__ import annotations

import flask
from pydantic import Field

from cptstudio.remote_endpoints import confirmed
from cptstudio.remote_endpoints.confirmed import EndpointChoices, RemoteEndpoint
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import route
from cptstudio.web.studio import Studio


class RemoteEndpoints(LateModel):
    """Those that were confirmed; keys are never told."""

    endpoints: list[RemoteEndpoint]


class RemoteEndpointBody(EndpointChoices, extra="forbid"):
    """An endpoint, and its host as the user confirmed it."""

    confirmed: str = Field(
        "", max_length=300, description="The host, which the user confirmed: it gets the texts."
    )


class HostBody(LateModel, extra="forbid"):
    """An address that a user typed."""

    address: str = Field(min_length=1, max_length=500)


class HostAnswer(LateModel):
    """Its host, for the user to confirm; `encrypted`: it is asked over TLS, or on this machine."""

    host: str
    encrypted: bool


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("remote_endpoints", __name__, url_prefix="/api/remote-endpoints")

    @route(bp, "GET", "", summary="List the endpoints of others that were confirmed")
    def show() -> RemoteEndpoints:
        return RemoteEndpoints(endpoints=confirmed.confirmed_endpoints(studio.workspace))

    @route(bp, "POST", "", summary="Confirm an endpoint's host", status=201)
    def confirm(body: RemoteEndpointBody) -> RemoteEndpoint:
        """Nothing is sent. Its key comes from the environment or the keyring, never from here."""
        values = body.model_dump(include=set(EndpointChoices.model_fields))
        return confirmed.confirm(studio.workspace, EndpointChoices(**values), body.confirmed)

    @route(bp, "POST", "/host", summary="The host of an address")
    def host(body: HostBody) -> HostAnswer:
        """For the question to the user; nothing is asked or kept."""
        place = confirmed.check_choices(EndpointChoices(address=body.address))
        return HostAnswer(host=place.host, encrypted=place.is_encrypted or place.is_local)

    @route(bp, "DELETE", "/<endpoint_id>", summary="Forget an endpoint", status=204)
    def remove(endpoint_id: str) -> None:
        """Its key in the keyring stays; `cpt-studio remote remove` deletes that, too."""
        confirmed.remove(studio.workspace, endpoint_id)

    return bp
