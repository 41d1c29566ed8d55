"""Chat checks, and ways to chat again after CPT, for the page: jobs that leave a report."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from cptstudio.child_limits import for_models
from cptstudio.evaluation.chat_again import (
    STRENGTHS,
    ChatMeasured,
    again_request,
    check_request,
)
from cptstudio.evaluation.programs import CHAT
from cptstudio.validation import LateModel, ReadsNumbers
from cptstudio.web.problems import Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import model_choices
from cptstudio.web.work.evaluation_work import (
    Name,
    Reference,
    corpora_of,
    listed,
    new_model_folder,
)
from cptstudio.web.work.jobs import Job, Order

_Strength = Annotated[float, Field(ge=-10, le=10)]


class _Questions(LateModel):
    upload: Name | None = Field(
        None, description="Id of an uploaded file of questions that are answered, too."
    )


class ChatCheckBody(ReadsNumbers, ChatMeasured, _Questions, extra="forbid", allow_inf_nan=False):
    """Whose chat habits are measured."""

    models: list[Reference] = Field(
        min_length=1, max_length=16, description="References of GET /api/evaluation/models."
    )
    corpora: list[Name] = Field(default_factory=list, max_length=32)


class ChatAgainBody(ReadsNumbers, ChatMeasured, _Questions, extra="forbid", allow_inf_nan=False):
    """Which ways to chat again are measured, and which sum is saved."""

    run: Reference = Field(description="A run's checkpoint.")
    instruct: Reference = Field(description="Whose difference from the base is added.")
    base: Reference | None = Field(
        None,
        description="Base model of the instruct model; by default what the run, or the first of "
        "the runs before it, was trained from.",
    )
    strengths: list[_Strength] = Field(list(STRENGTHS), min_length=1, max_length=16)
    others: list[Reference] = Field(
        default_factory=list,
        max_length=8,
        description="Further models, such as a checkpoint that was fine-tuned on conversations.",
    )
    corpora: list[Name] = Field(default_factory=list, max_length=32)
    save: str | None = Field(
        None, min_length=1, max_length=64, description="Name of a new model in models/base/."
    )


def check_chat(studio: Studio, body: ChatCheckBody) -> Job:
    """Return a job; its result names the report with shares, intervals and every answer.

    Raises:
        UserError: a model or corpus is not there.
    """
    models = model_choices.find_all(studio, body.models, "models")
    request = check_request(models, _measured(body), corpora_of(studio, body.corpora))
    request |= _asked(studio, body)
    return _start(studio, "chat-check", f"Checking the chat of {listed(models)}", request)


def chat_again(studio: Studio, body: ChatAgainBody) -> Job:
    """Return a job; its result names the report with all points.

    Raises:
        UserError: a model or corpus is not there, or the points cannot be made.
    """
    trained = model_choices.find(studio, body.run)
    if trained.run is None:
        raise Problem.at("run", f"{body.run} is a base model. Choose a run's checkpoint.")
    request = again_request(
        trained,
        model_choices.find(studio, body.instruct),
        model_choices.find_all(studio, body.others, "others"),
        body.strengths,
        measured=_measured(body),
        corpora=corpora_of(studio, body.corpora),
        save=new_model_folder(studio, body.save) if body.save is not None else None,
        base=model_choices.find(studio, body.base) if body.base is not None else None,
    )
    request |= _asked(studio, body)
    return _start(studio, "chat-again", f"Chat again: {trained.label}", request)


def _measured(body: ChatMeasured) -> ChatMeasured:
    return ChatMeasured(**body.model_dump(include=set(ChatMeasured.model_fields)))


def _asked(studio: Studio, body: _Questions) -> dict[str, Any]:
    if body.upload is None:
        return {}
    upload, path = studio.uploads.get(body.upload)
    return {"questions": {"file": path, "name": upload.name}}


def _start(studio: Studio, kind: str, title: str, request: dict[str, Any]) -> Job:
    return studio.jobs.start(
        kind,
        title,
        ("-m", CHAT),
        {"workspace": studio.workspace.root, "fast_blas": True, **request},
        for_models(),
    )


ORDERS = (
    Order("/evaluation/chat-checks", "Measure chat habits of models", check_chat),
    Order("/evaluation/chat-again", "Measure ways to chat again, save one", chat_again),
)
