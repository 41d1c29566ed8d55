"""Building and deleting corpora on behalf of the page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import AliasChoices, Field, model_validator

from cptstudio.child_limits import for_files
from cptstudio.corpus.hub_source import HubSource
from cptstudio.corpus.manifest import BuildChoices, BuildSettings
from cptstudio.errors import Finding, UserError
from cptstudio.validation import LateModel, ReadsNumbers, field_of
from cptstudio.web.files import confined
from cptstudio.web.problems import Conflict, NotFound, Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import deletions
from cptstudio.web.work.deletions import Deleted
from cptstudio.web.work.jobs import Job, Order
from cptstudio.workspace import check_name, check_new_name

if TYPE_CHECKING:
    from cptstudio.corpus.corpus import Corpus

PROGRAM = "cptstudio.corpus.build_program"
SOURCES_LIMIT = 50_000


class SourceChoice(ReadsNumbers, extra="forbid"):
    """A file or folder below an allowed root, or an upload."""

    root: str | None = Field(None, max_length=64)
    path: str = Field("", max_length=4096)
    upload: str | None = Field(None, max_length=64)

    @model_validator(mode="after")
    def _one_of_them(self) -> SourceChoice:
        if (self.root is None) == (self.upload is None):
            raise ValueError("give either root and path, or upload")
        return self


class BuildBody(ReadsNumbers, BuildChoices, extra="forbid"):
    """A corpus's sources and build settings."""

    name: str = Field(min_length=1, max_length=64)
    sources: list[SourceChoice] = Field([], max_length=SOURCES_LIMIT)
    model: str | None = Field(
        None, max_length=4096, description="Id of the model whose tokenizer makes the tokens."
    )
    validation: float = field_of(
        # As it was called before.
        BuildSettings,
        "validation",
        validation_alias=AliasChoices("validation", "held_out"),
    )
    again: bool = Field(
        False, description="Build from what the corpus was built from, and the given sources."
    )
    allow_lossy_tokenizer: bool = Field(
        False, description="Tokenize even if the tokenizer loses more than 1% of the text."
    )


class GivenFolder(LateModel):
    """A file or folder of this machine that a corpus was built from.

    `there`: it can be read; `allowed`: it lies in a folder that the page may read.
    """

    path: str
    there: bool
    allowed: bool


class GivenDataset(LateModel):
    """A split of a dataset of the hub that a corpus was built from.

    `license`: as the dataset's card names it; `rows`: how many were taken from its beginning, null
    for all.
    """

    id: str
    commit: str
    configuration: str
    split: str
    license: str | None
    files: int
    rows: int | None


class GivenSources(LateModel):
    """A corpus's sources; `known` is false where they were not recorded.

    `model`: the folder of the model whose tokenizer made its first tokens; `notes`: license or
    source by the name of a file or folder.
    """

    known: bool
    folders: list[GivenFolder]
    uploads: int
    hub: list[GivenDataset] = []
    model: str | None
    notes: dict[str, str] = {}


def key(name: str) -> str:
    """Of the jobs on one corpus only one may be under way."""
    return f"corpus {name}"


def build(studio: Studio, body: BuildBody) -> Job:
    """Build a corpus from files and folders, or bring it up to date, as a job.

    With `again` it is built from what it was built from before. Without sources the corpus
    that is there is tokenised for the model. A corpus that is there stays as it is until the
    build has succeeded.

    Raises:
        UserError: a source or the model is not there, or the name cannot be used.
        Conflict: work on this corpus is under way.
    """
    name = _field("name", check_name, body.name, "corpus")
    _field("name", check_new_name, studio.workspace.corpus(name), "corpus")
    model = studio.models.find(body.model).path if body.model is not None else None
    if not body.sources and not body.again:
        return _start_tokenising(studio, name, model, body.allow_lossy_tokenizer)
    if body.again:
        _check_given(studio, name)
    sources = _sources(studio, body.sources)
    uploads = [one.upload for one in body.sources if one.upload is not None]
    request = _request(studio, name, model, body.allow_lossy_tokenizer) | {
        "sources": sources,
        "again": body.again,
        "workers": body.workers,
        "settings": body.model_dump(mode="json", include=set(BuildSettings.model_fields)),
    }

    def ended(job: Job) -> None:
        if job.state == "done":
            studio.uploads.remove(uploads)

    studio.workspace.make(studio.workspace.corpora)
    job = studio.jobs.start(
        "corpus",
        f"Building the corpus {name}",
        ("-m", PROGRAM),
        request,
        for_files(),
        on_end=ended,
        key=key(name),
        about=name,
        on="corpus",
    )
    studio.uploads.sweep(in_use=uploads)
    return job


def _start_tokenising(studio: Studio, name: str, model: Path | None, allow_lossy: bool) -> Job:
    if name not in studio.workspace.corpus_names():
        raise Problem.at("sources", "Select files or folders to build the corpus from.")
    if model is None:
        raise Problem.at("model", "Choose a model to tokenize for.")
    return studio.jobs.start(
        "tokenise",
        f"Tokenizing {name} for {model.name}",
        ("-m", PROGRAM),
        _request(studio, name, model, allow_lossy) | {"sources": [], "settings": {}},
        for_files(),
        key=key(name),
        about=name,
        on="corpus",
    )


def _request(studio: Studio, name: str, model: Path | None, allow_lossy: bool) -> dict[str, Any]:
    return {
        "corpus": str(studio.workspace.corpus(name)),
        "model": str(model) if model is not None else None,
        "allow_lossy": allow_lossy,
    }


def _sources(studio: Studio, chosen: list[SourceChoice]) -> list[dict[str, Any]]:
    """The sources for the program; every one that is not there is reported."""
    found = []
    wrong: list[Finding] = []
    seen: set[tuple[str | None, str, str | None]] = set()
    for place, one in enumerate(chosen):
        identity = (one.root, one.path, one.upload)
        if identity in seen:
            continue
        seen.add(identity)
        try:
            found.append(source(studio, one))
        except UserError as error:
            wrong.append(Finding(error.message, f"sources.{place}"))
            if len(wrong) == 20:
                break
    if wrong:
        raise Problem("Some sources can't be used:", wrong)
    return found


def source(studio: Studio, one: SourceChoice) -> dict[str, Any]:
    """Return a source for a program.

    Raises:
        UserError: it is not there, or not for the page to read.
    """
    if one.upload is not None:
        upload, path = studio.uploads.get(one.upload)
        return {"path": str(path), "label": upload.name, "uploaded": True}
    assert one.root is not None
    root = studio.allowed_folders.root(one.root)
    path = confined.locate(root.path, one.path)
    return {"path": str(path), "inside": str(root.path)}


def given_sources(studio: Studio, corpus: Corpus) -> GivenSources:
    """Return a corpus's sources, as the page shows them."""
    given = corpus.manifest.sources
    folders = [
        GivenFolder(
            path=one.path,
            there=os.access(one.path, os.R_OK),
            allowed=is_allowed(studio, Path(one.path)),
        )
        for one in given
        if not one.uploaded
    ]
    uploads = sum(one.uploaded and one.hub is None for one in given)
    hub = _given_datasets([one.hub for one in given if one.hub is not None])
    model = corpus.manifest.model
    notes = {one.label or Path(one.path).name: one.note for one in given if one.note}
    return GivenSources(
        known=bool(given), folders=folders, uploads=uploads, hub=hub, model=model, notes=notes
    )


def _given_datasets(files: Sequence[HubSource]) -> list[GivenDataset]:
    found: dict[tuple[str, ...], GivenDataset] = {}
    for one in files:
        key = (one.id, one.commit, one.configuration, one.split)
        known = found.setdefault(
            key,
            GivenDataset(files=0, rows=None, **one.model_dump(exclude={"file", "sha256", "rows"})),
        )
        known.files += 1
        if one.rows is not None:
            known.rows = (known.rows or 0) + one.rows
    return list(found.values())


def is_allowed(studio: Studio, path: Path) -> bool:
    """Return whether the page may read what lies at a path, which is reached through no link."""
    for root in studio.allowed_folders.roots():
        if path.is_relative_to(root.path):
            inside = path.relative_to(root.path).as_posix()
            try:
                confined.locate(root.path, "" if inside == "." else inside)
            except UserError:
                continue
            return True
    return False


def _check_given(studio: Studio, name: str) -> None:
    """Refuse to build again from what is not recorded, gone, or not for the page to read."""
    if name not in studio.workspace.corpus_names():
        raise Problem(f"There is no corpus {name!r} to rebuild.")
    from cptstudio.corpus.corpus import open_corpus

    corpus = open_corpus(studio.workspace.corpus(name))
    corpus.given_sources()
    problems = []
    for folder in given_sources(studio, corpus).folders:
        if not folder.there:
            problems.append(f"{folder.path} doesn't exist or isn't readable.")
        elif not folder.allowed:
            problems.append(
                f"This page may not read {folder.path}: allow its folder first, or run "
                f"`cpt-studio corpus build {name}` in a terminal."
            )
    if problems:
        raise Problem(
            "Some of the corpus's sources can't be read:",
            [Finding(problem, "again") for problem in problems[:20]],
        )


def _field(name: str, check: Any, *arguments: Any) -> Any:
    try:
        return check(*arguments)
    except UserError as error:
        raise Problem.at(name, error) from None


def delete(studio: Studio, name: str, *, confirmed: bool) -> Deleted:
    """Move a corpus's folder to the trash.

    Raises:
        Problem: it was not confirmed.
        Conflict: a job or a run works with it.
    """
    if not confirmed:
        raise Problem(f"Confirm that the corpus {name} with its documents and tokens is deleted.")
    from cptstudio.corpus.versions import only_builder

    job = studio.jobs.active(key(name))
    if job is not None:
        raise Conflict(f"{job.title} is still running. Cancel it first.")
    users = [run.id for run in studio.manager.runs() if run.lock_held and _uses(run.config, name)]
    if users:
        raise Conflict(f"The run {users[0]} trains on it: stop the run first.")
    folder = studio.workspace.corpus(name)
    try:
        # A build from a terminal is no job of this server.
        with only_builder(folder):
            return deletions.discard(studio, "corpus", name, [folder, *_study_of(studio, name)])
    except FileNotFoundError:
        raise NotFound(f"There is no corpus {name!r} in this workspace.") from None
    except OSError as error:
        raise UserError(f"{folder} cannot be deleted: {error.strerror}.") from None


def _study_of(studio: Studio, name: str) -> list[Path]:
    """The texts that a corpus was built from, where they were written for it."""
    folder = studio.workspace.study(name)
    return [folder] if folder.is_dir() else []


def _uses(config: Any, name: str) -> bool:
    return config is not None and any(corpus.name == name for corpus in config.corpora)


ORDERS = (Order("/corpora", "Build a corpus", build),)
