"""`/api/session`: who is signed in, links for downloads, and signing out."""

from __future__ import annotations

from typing import Annotated

import flask
from pydantic import StringConstraints

from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import Nothing, route
from cptstudio.web.problems import Problem
from cptstudio.web.security.visit import SESSION_KEY, Visit
from cptstudio.web.studio import Studio


class SessionState(LateModel):
    """The session of whoever asks; where there is none, the answer is status 401 instead.

    Attributes:
        session: its id, which is no secret.
        key: in base64. By it a page and a server of this workspace recognize each other after a
            restart; it is not to be stored where others could read it.
        boot: of the server.
    """

    session: str
    key: str
    boot: str


class LinkBody(LateModel, extra="forbid"):
    """What is to be downloaded.

    Attributes:
        path: of the API, with its query, such as `/api/runs/RUN/export?format=csv`.
    """

    path: Annotated[str, StringConstraints(max_length=1024)]


class Link(LateModel):
    """A link that is good for one download within a minute, with the session's cookie alone."""

    url: str


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("session", __name__, url_prefix="/api/session")

    def visit() -> Visit:
        found: Visit = flask.request.environ[SESSION_KEY]
        return found

    @route(bp, "GET", "", summary="Tell who is signed in")
    def state() -> SessionState:
        one = visit()
        return SessionState(session=one.session.id, key=one.proof_key, boot=one.boot_id)

    @route(bp, "POST", "/link", summary="Make a link for a download")
    def link(body: LinkBody) -> Link:
        """A browser that downloads a file sends no header of ours, so the link stands for it."""
        url = visit().link(body.path)
        if url is None:
            raise Problem.at("path", "Only paths below /api/ can be downloaded.")
        return Link(url=url)

    @route(bp, "POST", "/end", summary="Sign out", status=204)
    def end(body: Nothing) -> None:
        """Ends this session, on every server of this workspace that is to come.

        Its other requests and live connections are cut at once.
        """
        visit().end()

    @route(bp, "POST", "/end-all", summary="Sign out everywhere", status=204)
    def end_all(body: Nothing) -> None:
        """Ends the sessions of all browsers and programs, this one too.

        Their other requests and live connections are cut at once.
        """
        visit().end_all()

    return bp
