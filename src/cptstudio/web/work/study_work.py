"""Study texts on behalf of the page: what they would take, then writing them, as jobs."""

from __future__ import annotations

from pydantic import Field

from cptstudio.child_limits import for_models
from cptstudio.errors import UserError
from cptstudio.study.order import StudyOrder
from cptstudio.study.programs import MAKE
from cptstudio.study.settings import StudySettings
from cptstudio.validation import ReadsNumbers
from cptstudio.web.problems import Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import corpus_work, model_choices
from cptstudio.web.work.jobs import Job, Order
from cptstudio.writers.choice import WriterChoice


class StudyPlanBody(ReadsNumbers, extra="forbid"):
    """What would be written of which corpus, and by whom."""

    name: str = Field(min_length=1, max_length=64, description="Of the new corpus.")
    corpus: str = Field(min_length=1, max_length=64, description="That texts are made of.")
    settings: StudySettings = Field(default_factory=StudySettings)
    writer: WriterChoice = Field(default_factory=WriterChoice)


class StudyBody(StudyPlanBody, extra="forbid"):
    """What is written of which corpus, and by whom."""

    most: int | None = Field(
        None, ge=1, le=1000, description="Texts to write now, to look at; no corpus is built then."
    )
    model: str | None = Field(
        None, max_length=4096, description="Id of the model whose tokenizer makes the tokens."
    )
    sent_to: str | None = Field(
        None,
        max_length=500,
        description="The endpoint's host, which the user saw gets the passages.",
    )


def plan(studio: Studio, body: StudyPlanBody) -> Job:
    """What study texts would take, as a job: texts, tokens, cost, time. Nothing is sent.

    Raises:
        UserError: it cannot be made.
    """
    order = _order(studio, body)
    return studio.jobs.start(
        "study-plan",
        f"Planning {body.name}",
        ("-m", MAKE),
        order.request("plan"),
        for_models(),
    )


def make(studio: Studio, body: StudyBody) -> Job:
    """Write study texts and build a corpus of them, as a job; what was written is kept.

    Where an endpoint writes, `sent_to` is its host, which the user saw with the plan.

    Raises:
        UserError: it cannot be made, or the host was not confirmed.
        Conflict: work on this corpus is under way.
    """
    order = _order(studio, body)
    if order.writer.kind == "endpoint":
        host = order.writer.endpoint_in(order.workspace).host
        if body.sent_to != host:
            raise Problem.at("sent_to", f"Confirm that passages are sent to {host}.")
    model = studio.models.find(body.model).path if body.model is not None else None
    title = f"Writing study texts {body.name}"
    return studio.jobs.start(
        "study",
        title if body.most is None else f"Trying {body.most:,} study texts",
        ("-m", MAKE),
        order.request("make") | {"most": body.most, "model": model},
        for_models(),
        key=corpus_work.key(body.name),
        about=body.name,
        on="corpus",
    )


def _order(studio: Studio, body: StudyPlanBody) -> StudyOrder:
    writer = body.writer
    if writer.kind == "model" and writer.model is not None:
        try:
            model_choices.find(studio, writer.model)
        except UserError as error:
            raise Problem.at("writer", error) from None
    order = StudyOrder(studio.workspace, body.name, body.corpus, body.settings, writer)
    order.check()
    return order


ORDERS = (
    Order("/study/plan", "What study texts would take", plan),
    Order("/study", "Write study texts", make),
)
