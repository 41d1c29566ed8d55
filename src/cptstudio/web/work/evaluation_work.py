"""Evaluations, merges, suites and questions on behalf of the page: jobs that leave a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from cptstudio.child_limits import for_models
from cptstudio.errors import UserError
from cptstudio.evaluation import merging
from cptstudio.evaluation.model_requests import HeldOutText, Measured
from cptstudio.evaluation.programs import EVALUATE, MERGE, QUESTIONS, SUITE
from cptstudio.evaluation.references import ModelReference, request_of
from cptstudio.prompt_suites import read_suite, suite_names
from cptstudio.validation import ReadsNumbers
from cptstudio.web.problems import NotFound, Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import model_choices
from cptstudio.web.work.jobs import Job, Order, Subject
from cptstudio.workspace import check_name, check_new_name

Reference = Annotated[str, Field(min_length=1, max_length=4096)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
_Models = Field(
    min_length=1, max_length=16, description="References of GET /api/evaluation/models."
)
_Share = Annotated[float, Field(ge=-10, le=10)]


class EvaluationBody(ReadsNumbers, Measured, extra="forbid", allow_inf_nan=False):
    """An evaluation to run; the first model is the baseline."""

    models: list[Reference] = _Models
    corpora: list[Name] = Field(default_factory=list, max_length=32)
    texts: list[Name] = Field(
        default_factory=list, max_length=32, description="Ids of uploaded .txt or .jsonl files."
    )


class MergeBody(ReadsNumbers, HeldOutText, extra="forbid", allow_inf_nan=False):
    """Which sums of models are made and measured, and which one is saved."""

    run: Reference = Field(description="A run's checkpoint.")
    kind: Literal["back_to_base", "average", "instruct"] = "back_to_base"
    shares: list[_Share] = Field(list(merging.SHARES), min_length=1, max_length=32)
    last: int | None = Field(None, ge=2, le=100, description="Checkpoints that are averaged.")
    instruct: Reference | None = Field(None, description="Whose difference from the base is added.")
    corpora: list[Name] = Field(default_factory=list, max_length=32)
    save: str | None = Field(
        None, min_length=1, max_length=64, description="Name of a new model in models/base/."
    )


class QuestionsBody(ReadsNumbers, extra="forbid", allow_inf_nan=False):
    """Which models answer which uploaded file."""

    models: list[Reference] = _Models
    upload: Name


class SuiteModels(ReadsNumbers, extra="forbid", allow_inf_nan=False):
    """Which models complete a suite's prompts."""

    models: list[Reference] = _Models


def evaluate(studio: Studio, body: EvaluationBody) -> Job:
    """Return a job; its result names the report. What was measured before is not measured again.

    Raises:
        UserError: a model, corpus or text is not there.
    """
    if not body.corpora and not body.texts:
        raise Problem.at("corpora", "Choose what to measure on: a corpus or a text file.")
    models = model_choices.find_all(studio, body.models, "models")
    names = list(dict.fromkeys(body.corpora))
    request = {
        "models": [request_of(model) for model in models],
        "corpora": corpora_of(studio, names),
        "texts": _texts(studio, body.texts, taken=names),
        **body.model_dump(include=set(Measured.model_fields)),
    }
    title = f"Evaluating {listed(models)}"
    return _start(studio, "evaluation", title, EVALUATE, request)


def merge(studio: Studio, body: MergeBody) -> Job:
    """Return a job; its result names the report.

    Raises:
        UserError: the run has no such checkpoint, or the points cannot be made.
    """
    trained = model_choices.find(studio, body.run)
    if trained.run is None:
        raise Problem.at("run", f"{body.run} is a base model. Choose a run's checkpoint.")
    if body.kind == "average" and body.last is None:
        raise Problem.at("last", "Enter how many checkpoints to average: 2 or more.")
    if body.kind == "instruct" and body.instruct is None:
        raise Problem.at("instruct", "Choose an instruct model.")
    request = merging.merge_request(
        trained,
        trained.run,
        body.shares,
        last=body.last if body.kind == "average" else None,
        instruct=model_choices.find(studio, body.instruct)
        if body.kind == "instruct" and body.instruct is not None
        else None,
        corpora=corpora_of(studio, body.corpora),
        side=body.side,
        max_bytes=body.max_bytes,
        save=_save(studio, body),
    )
    return _start(studio, "merge", f"Merging {trained.label}", MERGE, request)


def run_suite(studio: Studio, name: str, body: SuiteModels) -> Job:
    """Return a job; its result names the report with the matrix of prompts and models.

    Raises:
        NotFound: there is no such suite.
        UserError: there is no such model, or the suite cannot be used.
    """
    check_suite(studio, name)
    read_suite(studio.workspace, name)
    models = model_choices.find_all(studio, body.models, "models")
    request = {"suite": name, "models": [request_of(model) for model in models]}
    title = f"Running {name} on {listed(models)}"
    return _start(studio, "suite", title, SUITE, request, name, "suite")


def ask_questions(studio: Studio, body: QuestionsBody) -> Job:
    """Return a job; its result names the report. The file holds multiple-choice and cloze lines.

    Raises:
        UserError: the file or a model is not there.
    """
    upload, path = studio.uploads.get(body.upload)
    models = model_choices.find_all(studio, body.models, "models")
    request = {"file": path, "name": upload.name, "models": [request_of(model) for model in models]}
    title = f"Running {upload.name} on {listed(models)}"
    return _start(studio, "questions", title, QUESTIONS, request, upload.name, "questions")


def check_suite(studio: Studio, name: str) -> None:
    """Refuse the name of a suite that is not there.

    Raises:
        NotFound: it is not.
    """
    if name not in suite_names(studio.workspace):
        raise NotFound(f"There is no suite {name!r} in this workspace.")


def _start(
    studio: Studio,
    kind: str,
    title: str,
    module: str,
    request: dict[str, Any],
    about: str | None = None,
    on: Subject | None = None,
) -> Job:
    return studio.jobs.start(
        kind,
        title,
        ("-m", module),
        {"workspace": studio.workspace.root, "fast_blas": True, **request},
        for_models(),
        about=about,
        on=on,
    )


def listed(models: Sequence[ModelReference]) -> str:
    """Return the first models' names."""
    first = ", ".join(model.label for model in models[:3])
    return first if len(models) <= 3 else f"{first} and {len(models) - 3} more"


def corpora_of(studio: Studio, chosen: Sequence[str]) -> list[dict[str, Any]]:
    """Return corpora as the programs take them, each once.

    Raises:
        Problem: one is not there.
    """
    names = list(dict.fromkeys(chosen))
    there = studio.workspace.corpus_names()
    for place, name in enumerate(names):
        if name not in there:
            raise Problem.at(f"corpora.{place}", f"There is no corpus {name!r} in this workspace.")
    return [{"name": name, "path": studio.workspace.corpus(name)} for name in names]


def _texts(studio: Studio, uploads: Sequence[str], taken: Sequence[str]) -> list[dict[str, Any]]:
    """The uploaded files, each under a name of its own."""
    used = set(taken)
    found = []
    for one in dict.fromkeys(uploads):
        upload, path = studio.uploads.get(one)
        name, number = upload.name, 2
        while name in used:
            name, number = f"{upload.name} ({number})", number + 1
        used.add(name)
        found.append({"name": name, "path": path})
    return found


def _save(studio: Studio, body: MergeBody) -> Path | None:
    if body.save is not None:
        return new_model_folder(studio, body.save)
    if not body.corpora:
        raise Problem.at(
            "corpora", "Choose corpora to measure on, or a name to save the model under."
        )
    return None


def new_model_folder(studio: Studio, name: str) -> Path:
    """Return the folder of a new model in models/base/.

    Raises:
        Problem: the name is no name, or taken.
    """
    try:
        check_new_name(studio.workspace.base_model(check_name(name, "model")), "model")
    except UserError as error:
        raise Problem.at("save", error) from None
    folder = studio.workspace.base_model(name)
    if folder.exists() or folder.is_symlink():
        raise Problem.at("save", f"There is a model {name} already: choose another name.")
    return folder


ORDERS = (
    Order("/evaluation/evaluations", "Measure models on held-out text", evaluate),
    Order("/evaluation/merges", "Merge models, measure them, save one", merge),
    Order("/evaluation/questions", "Run questions on models", ask_questions),
    Order("/evaluation/suites/<name>/run", "Run a suite on models", run_suite),
)
