"""`/api/files` and `/api/roots`: folders of this machine that the user allowed to be shown."""

from __future__ import annotations

import flask
from pydantic import Field

from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import route
from cptstudio.web.files import confined
from cptstudio.web.files.allowed_folders import Root
from cptstudio.web.files.confined import FileEntry
from cptstudio.web.problems import Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import deletions
from cptstudio.web.work.deletions import Deleted


class FilesQuery(LateModel, extra="forbid"):
    """Which folder."""

    root: str | None = Field(None, max_length=64, description="A root's id; the first if absent.")
    path: str = Field("", max_length=4096, description="Names below the root, with slashes.")


class NewRoot(LateModel, extra="forbid"):
    """A folder to allow."""

    path: str = Field(min_length=1, max_length=4096)
    confirmed: bool = False


class RootFacts(LateModel):
    """A root: a folder that may be shown."""

    id: str
    path: str
    label: str
    removable: bool


class Files(LateModel):
    """A folder's content."""

    roots: list[RootFacts]
    suggestions: list[str] = Field(description="Folders of this machine that could be allowed.")
    root: str
    path: str
    entries: list[FileEntry]
    truncated: bool
    left_out: int


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("files", __name__, url_prefix="/api")
    places = studio.allowed_folders

    @route(bp, "GET", "/files", summary="List a folder")
    def files(query: FilesQuery) -> Files:
        """Hidden entries and links are left out. Sizes and times are those of now."""
        roots = places.roots()
        root = places.root(query.root) if query.root is not None else roots[0]
        found = confined.listing(root.path, query.path)
        return Files(
            roots=[_facts(one) for one in roots],
            suggestions=places.suggestions(),
            root=root.id,
            path=query.path,
            entries=found.entries,
            truncated=found.truncated,
            left_out=found.left_out,
        )

    @route(bp, "POST", "/roots", summary="Allow a folder", status=201)
    def add_root(body: NewRoot) -> RootFacts:
        if not body.confirmed:
            raise Problem(
                f"Confirm that everything below {body.path} may be shown and used as a source."
            )
        return _facts(places.add_root(body.path))

    @route(bp, "DELETE", "/roots/<root_id>", summary="Show a folder no more")
    def remove_root(root_id: str) -> Deleted:
        """Nothing on disk is deleted."""
        root = places.root(root_id)
        places.remove_root(root_id)
        return deletions.discard(studio, "folder", root.label, memory={"path": str(root.path)})

    return bp


def _facts(root: Root) -> RootFacts:
    return RootFacts(id=root.id, path=str(root.path), label=root.label, removable=root.removable)
