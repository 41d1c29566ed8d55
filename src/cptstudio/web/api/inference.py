"""`/api/inference`: models in memory, completions and scores, as tasks that are followed."""

from __future__ import annotations

from typing import Any

import flask

from cptstudio.errors import UserError
from cptstudio.evaluation.inference import Ask, load_request
from cptstudio.evaluation.model_requests import Complete, Score, Unload
from cptstudio.runs.preferences import read_preferences
from cptstudio.web.api.inference_models import (
    MOST_TEXT,
    CompleteBody,
    InferenceFacts,
    LoadBody,
    ScoreBody,
    TaskQuery,
    TextToScore,
)
from cptstudio.web.api.openapi import Nothing, route
from cptstudio.web.problems import Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import corpus_documents, model_choices
from cptstudio.web.work import free_memory as making_room
from cptstudio.web.work.inference_tasks import Task

_BODY_LIMIT = 4 * 1024 * 1024


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("inference", __name__, url_prefix="/api/inference")
    _add_process(bp, studio)
    _add_work(bp, studio)
    _add_tasks(bp, studio)
    return bp


def _add_process(bp: flask.Blueprint, studio: Studio) -> None:
    tasks = studio.inference

    @route(bp, "GET", "", summary="What is loaded")
    def show() -> InferenceFacts:
        return _facts(studio)

    @route(bp, "POST", "/load", summary="Load models", status=202)
    def load(body: LoadBody) -> Task:
        """Starts the process that holds them, where there is none."""
        references = model_choices.find_all(studio, body.references)
        wanted = load_request(references)
        gone = set(tasks.worker.state().labels) - {model.label for model in wanted.models}
        asks: list[Ask] = [wanted]
        if gone and not body.keep:
            asks.insert(0, Unload(labels=tuple(sorted(gone))))
        tasks.worker.idle = _idle_seconds(studio)
        labels = [model.label for model in wanted.models]
        return tasks.start("load", asks, {"labels": labels, "keep": body.keep})

    @route(bp, "POST", "/end", summary="Unload everything")
    def end(body: Nothing) -> InferenceFacts:
        """Ends the process; its memory is free afterwards."""
        tasks.end("Models unloaded.")
        return _facts(studio)


def _add_work(bp: flask.Blueprint, studio: Studio) -> None:
    @route(bp, "POST", "/complete", summary="Generate text from a prompt", status=202)
    def complete(body: CompleteBody) -> Task:
        """Texts are numbered model by model, and seed by seed within a model."""
        ask = Complete(
            labels=tuple(body.labels),
            prompts=tuple(body.prompts),
            sampling=body.sampling,
            seeds=tuple(body.seeds),
            alternatives=body.alternatives,
        )
        shown = body.model_dump(mode="json")
        shown["prompts"] = [one.model_dump(mode="json", exclude_none=True) for one in body.prompts]

        def ended(task: Task) -> None:
            if body.remember:
                studio.playground_history.add(task)

        return studio.inference.start("complete", [ask], shown, on_end=ended)

    @route(
        bp,
        "POST",
        "/score",
        summary="Score texts token by token",
        status=202,
        body_limit=_BODY_LIMIT,
    )
    def score(body: ScoreBody) -> Task:
        """The nats of every token, with its place in the text in characters."""
        texts = [_text(studio, one, place) for place, one in enumerate(body.texts)]
        size = sum(len(one["text"]) for one in texts)
        if size > MOST_TEXT:
            raise Problem(
                f"The texts have {size:,} characters; at most {MOST_TEXT:,} are scored token by "
                "token. Evaluate longer ones as a file or a corpus."
            )
        ask = Score(
            labels=tuple(body.labels),
            texts=tuple(one["text"] for one in texts),
            context_length=body.context_length,
            stride=body.stride,
        )
        shown = body.model_dump(mode="json", exclude={"texts"})
        shown["texts"] = [one["label"] for one in texts]
        return studio.inference.start(
            "score", [ask], shown, prepared=lambda result: {**result, "texts": texts}
        )


def _add_tasks(bp: flask.Blueprint, studio: Studio) -> None:
    @route(bp, "GET", "/tasks/<task_id>", summary="Follow a task")
    def follow(task_id: str, query: TaskQuery) -> Task:
        """Answers as soon as there is something new, or when the time to wait is over."""
        return studio.inference.follow(task_id, query.after, query.version, query.wait)

    @route(bp, "POST", "/tasks/<task_id>/cancel", summary="Cancel a task")
    def cancel(task_id: str, body: Nothing) -> Task:
        """What was made stays."""
        return studio.inference.cancel(task_id)


def _facts(studio: Studio) -> InferenceFacts:
    state = studio.inference.worker.state()
    return InferenceFacts(
        **vars(state),
        running=state.pid is not None,
        memory_process=making_room.memory_of(state),
        idle_seconds=_idle_seconds(studio),
        tasks=studio.inference.running(),
    )


def _idle_seconds(studio: Studio) -> float:
    return 60.0 * read_preferences(studio.workspace.private).unload_after_minutes


def _text(studio: Studio, given: TextToScore, place: int) -> dict[str, Any]:
    """A text and what it is called, or null."""
    if given.text is not None:
        return {"text": given.text, "label": None}
    assert given.corpus is not None
    assert given.document is not None
    try:
        found = corpus_documents.one(studio, given.corpus, str(given.document))
    except UserError as error:
        raise Problem.at(f"texts.{place}", error) from None
    return {"text": found.text, "label": found.label}
