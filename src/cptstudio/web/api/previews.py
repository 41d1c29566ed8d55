"""`/api/document-previews`: a document before and after cleaning, before anything is built."""

from __future__ import annotations

import flask

from cptstudio.corpus.listed import Preview
from cptstudio.web.api.openapi import route
from cptstudio.web.studio import Studio
from cptstudio.web.work import corpus_previews
from cptstudio.web.work.corpus_previews import PreviewBody


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("previews", __name__, url_prefix="/api/document-previews")

    @route(bp, "POST", "", summary="A document before and after cleaning")
    def preview(body: PreviewBody) -> Preview:
        """Reads a document as a build with these settings would; nothing is kept."""
        return corpus_previews.of_source(studio, body)

    return bp
