"""Evaluations, merges, suites and questions on behalf of the page: jobs that leave a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cptstudio.child_limits import for_models
from cptstudio.errors import UserError
from cptstudio.prompt_suites import read_suite
from cptstudio.testing import merging
from cptstudio.testing.programs import EVALUATE, MERGE, QUESTIONS, SUITE
from cptstudio.testing.references import ModelReference, request_of
from cptstudio.web import model_choices
from cptstudio.web.api.testing_models import EvaluationBody, MergeBody, QuestionsBody
from cptstudio.web.jobs import Job
from cptstudio.web.problems import Problem
from cptstudio.web.studio import Studio
from cptstudio.workspace import check_name, check_new_name


def evaluate(studio: Studio, body: EvaluationBody) -> Job:
    """Measure models on held-out text.

    Raises:
        UserError: a model, corpus or text is not there.
    """
    if not body.corpora and not body.texts:
        raise Problem.at("corpora", "Choose what to measure on: a corpus, or a file of texts.")
    models = model_choices.find_all(studio, body.models, "models")
    names = list(dict.fromkeys(body.corpora))
    request = {
        "models": [request_of(model) for model in models],
        "corpora": _corpora(studio, names),
        "texts": _texts(studio, body.texts, taken=names),
        "side": body.side,
        "max_bytes": body.max_bytes,
        "context_length": body.context_length,
        "stride": body.stride,
    }
    title = f"Evaluating {_listed(models)}"
    return _start(studio, "evaluation", title, EVALUATE, request)


def merge(studio: Studio, body: MergeBody) -> Job:
    """Measure points between models, and save one of them if asked.

    Raises:
        UserError: the run has no such checkpoint, or the points cannot be made.
    """
    trained = model_choices.find(studio, body.run)
    if trained.run is None:
        raise Problem.at("run", f"{body.run} is a base model: choose a run's checkpoint.")
    if body.kind == "average" and body.last is None:
        raise Problem.at("last", "Say how many checkpoints are averaged: 2 or more.")
    if body.kind == "instruct" and body.instruct is None:
        raise Problem.at("instruct", "Choose the instruct model.")
    request = merging.merge_request(
        trained,
        trained.run,
        body.shares,
        last=body.last if body.kind == "average" else None,
        instruct=model_choices.find(studio, body.instruct)
        if body.kind == "instruct" and body.instruct is not None
        else None,
        corpora=_corpora(studio, list(dict.fromkeys(body.corpora))),
        side=body.side,
        max_bytes=body.max_bytes,
        save=_save(studio, body),
    )
    return _start(studio, "merge", f"Merging {trained.label}", MERGE, request)


def run_suite(studio: Studio, name: str, references: Sequence[str]) -> Job:
    """Put a suite of prompts to models.

    Raises:
        UserError: there is no such suite or model.
    """
    read_suite(studio.workspace, name)
    models = model_choices.find_all(studio, references, "models")
    request = {"suite": name, "models": [request_of(model) for model in models]}
    title = f"Putting {name} to {_listed(models)}"
    return _start(studio, "suite", title, SUITE, request, about=name)


def ask_questions(studio: Studio, body: QuestionsBody) -> Job:
    """Let models answer an uploaded file of questions.

    Raises:
        UserError: the file or a model is not there.
    """
    upload, path = studio.uploads.get(body.upload)
    models = model_choices.find_all(studio, body.models, "models")
    request = {
        "file": path,
        "name": upload.name,
        "models": [request_of(model) for model in models],
    }
    title = f"Asking {_listed(models)} {upload.name}"
    return _start(studio, "questions", title, QUESTIONS, request, about=upload.name)


def _start(
    studio: Studio,
    kind: str,
    title: str,
    module: str,
    request: dict[str, Any],
    about: str | None = None,
) -> Job:
    return studio.jobs.start(
        kind,
        title,
        ("-m", module),
        {"workspace": studio.workspace.root, "fast_blas": True, **request},
        for_models(),
        about=about,
    )


def _listed(models: Sequence[ModelReference]) -> str:
    first = ", ".join(model.label for model in models[:3])
    return first if len(models) <= 3 else f"{first} and {len(models) - 3} more"


def _corpora(studio: Studio, names: Sequence[str]) -> list[dict[str, Any]]:
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
    if body.save is None:
        if not body.corpora:
            raise Problem.at(
                "corpora",
                "Choose corpora to measure the points on, or a name to save the point under.",
            )
        return None
    try:
        name = check_name(body.save, "model")
        check_new_name(studio.workspace.base_model(name), "model")
    except UserError as error:
        raise Problem.at("save", error) from None
    folder = studio.workspace.base_model(name)
    if folder.exists() or folder.is_symlink():
        raise Problem.at("save", f"There is a model {name} already: choose another name.")
    return folder
