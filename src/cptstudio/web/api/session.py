"""`/api/session`: whether this browser is signed in, and signing out."""

from __future__ import annotations

import flask
from pydantic import BaseModel

from cptstudio.web.api.openapi import Nothing, route
from cptstudio.web.security.gate import END_SESSION_KEY
from cptstudio.web.studio import Studio


class SessionState(BaseModel):
    """That the browser is signed in; one that is not gets status 401 instead."""

    ok: bool = True


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("session", __name__, url_prefix="/api/session")

    @route(bp, "GET", "", summary="Whether this browser is signed in", answer=SessionState)
    def state() -> SessionState:
        return SessionState()

    @route(bp, "POST", "/end", summary="Sign out", body=Nothing, status=204)
    def end(body: Nothing) -> None:
        """Ends this browser's session, on every server of this workspace that is to come."""
        flask.request.environ[END_SESSION_KEY]()

    return bp
