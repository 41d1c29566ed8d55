"""Publishing models on behalf of the page: what would leave the machine, then exactly that."""

from __future__ import annotations

from pydantic import Field

from cptstudio.child_limits import for_files
from cptstudio.errors import UserError
from cptstudio.models import hub_address
from cptstudio.models.account import account
from cptstudio.models.hub import HOW_TO_SIGN_IN
from cptstudio.publishing.plan import Choices, request_of
from cptstudio.publishing.subject import subject_of
from cptstudio.validation import LateModel
from cptstudio.web.problems import NotFound, Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work.jobs import Job, Order

_PREVIEW = "cptstudio.publishing.preview_program"
_PUBLISH = "cptstudio.publishing.publish_program"


class PublishChoices(LateModel, extra="forbid"):
    """What is published where."""

    model: str = Field(min_length=1, max_length=4096, description="What names the model.")
    repo_id: str = Field(min_length=1, max_length=200, description='Such as "ada/notes-model".')
    private: bool = Field(True, description="Only those whom the owner lets in see it.")
    update: bool = Field(
        False, description="The repository may be there already; its other files stay."
    )
    data: str = Field(
        "", max_length=20_000, description="What the model was trained on, for its card; Markdown."
    )
    license: str | None = Field(
        None, max_length=60, description="In place of the base's; as the hub writes it."
    )
    card: str | None = Field(
        None, max_length=200_000, description="In place of the card that is written from the run."
    )


class PublishBody(PublishChoices, extra="forbid"):
    """What is published where, as it was confirmed."""

    confirmed: str = Field(
        "", max_length=64, description="The digest of the preview that the user saw."
    )


def preview(studio: Studio, body: PublishChoices) -> Job:
    """What would leave the machine, as a job: every file with its size, the card, a digest.

    The hub is not asked.

    Raises:
        UserError: there is no such model, or it cannot be published.
    """
    request = _request(studio, body)
    return studio.jobs.start(
        "publish-preview",
        f"Preparing to publish {body.model}",
        ("-m", _PREVIEW),
        request,
        for_files(),
        about=body.model,
        on="model",
    )


def publish(studio: Studio, body: PublishBody) -> Job:
    """Publish what was confirmed, as a job.

    Everything is read once more before the hub is asked anything; what is not what was confirmed
    is refused. A cancelled or broken upload goes on with the same request.

    Raises:
        UserError: nothing was confirmed, there is no token, or the hub may not be asked.
        Conflict: something is being published there.
    """
    if not body.confirmed:
        raise Problem.at("confirmed", "Look at the preview, then confirm it by its digest.")
    request = _request(studio, body)
    hub_address.check_online()
    if account().token is None:
        raise Problem(f"Publishing needs a token that may write: {HOW_TO_SIGN_IN}.")
    notes = studio.workspace.private / "publishing"
    return studio.jobs.start(
        "publish",
        f"Publishing {body.model} as {body.repo_id}",
        ("-m", _PUBLISH),
        request | {"confirmed": body.confirmed, "notes": str(notes)},
        for_files(),
        key=f"publish {body.repo_id}",
        about=body.model,
        on="model",
    )


def _request(studio: Studio, body: PublishChoices) -> dict[str, object]:
    names = {record.reference for record in studio.registry.records()}
    if body.model not in names:
        raise NotFound(f"There is no model {body.model!r} on this machine.")
    try:
        hub_address.check_id(body.repo_id)
    except UserError as error:
        raise Problem.at("repo_id", error) from None
    subject = subject_of(studio.registry, body.model, studio.workspace.runs)
    choices = Choices(**body.model_dump(exclude={"model", "confirmed"}))
    return request_of(subject, choices)


ORDERS = (
    Order("/publish/preview", "What would leave the machine", preview),
    Order("/publish", "Publish what was confirmed", publish),
)
