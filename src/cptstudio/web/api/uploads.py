"""`/api/uploads`: files that the page sends, to build a corpus from."""

from __future__ import annotations

import flask
from pydantic import Field
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from cptstudio.corpus.left_aside import Kind, rules_for_pages
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import route
from cptstudio.web.files.uploads import Purpose, Upload
from cptstudio.web.problems import Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import deletions
from cptstudio.web.work.deletions import Deleted


class UploadQuery(LateModel, extra="forbid"):
    """How the file is called."""

    name: str = Field(
        min_length=1, max_length=4096, description="A file's name, or a path in a dropped folder."
    )
    purpose: Purpose = Field("corpus", description="What it is sent for.")
    include: str = Field(
        "",
        max_length=64,
        description="Kinds that are taken although they are otherwise left aside, with commas.",
    )


class LeftAsideRule(LateModel):
    """Names of folders and files that are left aside; `*` stands for anything but a slash."""

    kind: Kind
    reason: str
    folders: list[str]
    files: list[str]


class LeftAsideMark(LateModel):
    """A file whose folder is left aside."""

    name: str
    kind: Kind
    reason: str


class LeftAsideRules(LateModel):
    """What is left aside of a folder, the same for every way in; case does not matter."""

    rules: list[LeftAsideRule]
    marks: list[LeftAsideMark]


class FormatFacts(LateModel):
    """A format of documents; `records`: the text field says what in it holds the text."""

    title: str
    suffixes: list[str]
    records: bool


class Formats(LateModel):
    """What a corpus can be built from; `packed`: suffixes of what is unpacked by itself."""

    formats: list[FormatFacts]
    packed: list[str]


class UploadsQuery(LateModel, extra="forbid"):
    """Which uploads."""

    purpose: Purpose | None = Field(None, description="Only those that were sent for it.")


class UploadList(LateModel):
    """Uploads that no corpus was built from yet, the newest first."""

    uploads: list[Upload]
    limit_bytes: int


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("uploads", __name__, url_prefix="/api/uploads")
    uploads = studio.uploads

    @route(bp, "GET", "", summary="List the uploads")
    def list_uploads(query: UploadsQuery) -> UploadList:
        return UploadList(uploads=uploads.all(query.purpose), limit_bytes=uploads.limit_bytes)

    @route(bp, "POST", "", summary="Upload a file", status=201, octet_stream=True)
    def upload(query: UploadQuery) -> Upload:
        """The body is the file. It moves into the corpus built from it, or is gone after a day.

        Secrets, hidden files and what tools produce are refused unless their kind is included.
        """
        request = flask.request
        request.max_content_length = uploads.limit_bytes

        def read(size: int) -> bytes:
            try:
                return request.stream.read(size)
            except (ClientDisconnected, OSError):
                raise Problem(f"{query.name} broke off.", status=400) from None

        try:
            include = query.include.split(",")
            length = request.content_length
            return uploads.add(query.name, length, read, include, query.purpose)
        except RequestEntityTooLarge:
            raise uploads.too_large() from None

    @route(bp, "GET", "/left-aside", summary="What uploads leave aside")
    def left_aside() -> LeftAsideRules:
        return LeftAsideRules.model_validate(rules_for_pages())

    @route(bp, "GET", "/formats", summary="What can be read")
    def formats() -> Formats:
        from cptstudio.corpus.readers.dispatch import FORMATS, PACKED

        known = [
            FormatFacts(
                title=one.title, suffixes=list(one.suffixes), records=one.records is not None
            )
            for one in FORMATS
        ]
        return Formats(formats=known, packed=list(PACKED))

    @route(bp, "DELETE", "/<upload_id>", summary="Remove an upload")
    def remove(upload_id: str) -> Deleted:
        upload, _ = uploads.get(upload_id)
        return deletions.discard(studio, "file", upload.name, uploads.files_of(upload))

    return bp
