"""`/api/preferences`: what the user prefers in this workspace, whatever is trained."""

from __future__ import annotations

import threading
from typing import Any

import flask
from pydantic import Field

from cptstudio.runs.preferences import Preferences, read_preferences, write_preferences
from cptstudio.web.api.openapi import route
from cptstudio.web.studio import Studio


class PreferencesBody(Preferences, extra="forbid"):
    """All preferences; those that are left out get their defaults."""


class PreferencesAnswer(Preferences):
    """The preferences, and the JSON Schema with their titles, help and bounds."""

    form_schema: dict[str, Any] = Field(alias="schema")


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("preferences", __name__, url_prefix="/api/preferences")
    lock = threading.Lock()

    def answer(preferences: Preferences) -> PreferencesAnswer:
        schema = Preferences.model_json_schema()
        return PreferencesAnswer.model_validate({**preferences.model_dump(), "schema": schema})

    @route(bp, "GET", "", summary="The preferences")
    def show() -> PreferencesAnswer:
        return answer(read_preferences(studio.workspace.private))

    @route(bp, "PUT", "", summary="Change the preferences")
    def change(body: PreferencesBody) -> PreferencesAnswer:
        preferences = Preferences.model_validate(body.model_dump())
        with lock:
            write_preferences(studio.workspace.private, preferences)
        return answer(preferences)

    return bp
