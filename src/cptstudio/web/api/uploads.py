"""`/api/uploads`: files that the page sends, to build a corpus from."""

from __future__ import annotations

import flask
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from cptstudio.web.api.openapi import route
from cptstudio.web.problems import Problem
from cptstudio.web.studio import Studio
from cptstudio.web.uploads import Upload


class UploadQuery(BaseModel):
    """How the file is called."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        min_length=1, max_length=4096, description="A file's name, or a path in a dropped folder."
    )


class UploadList(BaseModel):
    """Uploads that no corpus was built from yet, the newest first."""

    uploads: list[Upload]
    limit_bytes: int


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("uploads", __name__, url_prefix="/api/uploads")
    uploads = studio.uploads

    @route(bp, "GET", "", summary="List the uploads", answer=UploadList)
    def list_uploads() -> UploadList:
        return UploadList(uploads=uploads.all(), limit_bytes=uploads.limit_bytes)

    @route(
        bp,
        "POST",
        "",
        summary="Upload a file",
        query=UploadQuery,
        answer=Upload,
        status=201,
        octet_stream=True,
    )
    def upload(query: UploadQuery) -> Upload:
        """The body is the file. It is removed when a corpus was built from it, or after a day."""
        request = flask.request
        request.max_content_length = uploads.limit_bytes

        def read(size: int) -> bytes:
            try:
                return request.stream.read(size)
            except (ClientDisconnected, OSError):
                raise Problem(f"{query.name} broke off.", status=400) from None

        try:
            return uploads.add(query.name, request.content_length, read)
        except RequestEntityTooLarge:
            raise uploads.too_large() from None

    @route(bp, "DELETE", "/<upload_id>", summary="Remove an upload", status=204)
    def remove(upload_id: str) -> None:
        uploads.get(upload_id)
        uploads.remove([upload_id])

    return bp
