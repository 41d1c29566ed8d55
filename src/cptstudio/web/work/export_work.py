"""Exports on behalf of the page: fused and packed models for MLX, as jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from cptstudio.child_limits import for_models
from cptstudio.errors import UserError
from cptstudio.exports.asked import Compared, export_folder, request_for
from cptstudio.exports.programs import MAKE_MLX
from cptstudio.lm.packings import Packing
from cptstudio.validation import ReadsNumbers
from cptstudio.web.problems import Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import model_choices
from cptstudio.web.work.jobs import Job, Order

Reference = Annotated[str, Field(min_length=1, max_length=4096)]
Name = Annotated[str, Field(min_length=1, max_length=64)]


class ExportBody(ReadsNumbers, Compared, extra="forbid", allow_inf_nan=False):
    """Which model is exported, under which name, and how it is compared."""

    model: Reference = Field(description="A run's checkpoint, or a base model.")
    name: Name = Field(description="Of the folder under exports/.")
    corpora: list[Name] = Field(
        default_factory=list,
        max_length=32,
        description="Whose held-out text is compared on; empty for the run's domain corpora.",
    )


class FuseBody(ExportBody):
    """A complete model of a base and its adapter."""

    dtype: Literal["float32", "bfloat16", "float16"] | None = Field(
        None, title="Type", description="Type of the weights; null for the base's."
    )
    onto: Reference | None = Field(
        None, description="Put the adapter on this model instead of its base."
    )


class QuantizeBody(Packing, ExportBody):
    """A model packed for MLX, its adapter fused in first."""

    onto: Reference | None = Field(
        None, description="Put the adapter on this model instead of its base."
    )


def fuse(studio: Studio, body: FuseBody) -> Job:
    """A job; its result is the export's record with the comparison.

    Raises:
        UserError: there is no such model, or the name is taken.
    """
    request = {**common_request(studio, body), "dtype": body.dtype, "packing": None}
    return start(
        studio, body, f"Fusing {body.model}", MAKE_MLX, onto_of(studio, body.onto, request)
    )


def quantize(studio: Studio, body: QuantizeBody) -> Job:
    """A job; its result is the export's record with the comparison.

    Raises:
        UserError: there is no such model, or the name is taken.
    """
    packing = body.model_dump(include=set(Packing.model_fields))
    request = {**common_request(studio, body), "dtype": None, "packing": packing}
    title = f"Quantizing {body.model}"
    return start(studio, body, title, MAKE_MLX, onto_of(studio, body.onto, request))


def common_request(studio: Studio, body: ExportBody) -> dict[str, Any]:
    """Return what every program that makes an export is asked.

    Raises:
        UserError: there is no such model or corpus, or the name is taken.
    """
    source = model_choices.find(studio, body.model)
    try:
        folder = export_folder(studio.workspace, body.name)
    except UserError as error:
        raise Problem.at("name", error) from None
    compared = Compared(**body.model_dump(include=set(Compared.model_fields)))
    return request_for(source, folder, compared, body.corpora, studio.workspace)


def start(
    studio: Studio, body: ExportBody, title: str, module: str, request: dict[str, Any]
) -> Job:
    """Start the program that makes an export; one at a time under a name."""
    return studio.jobs.start(
        "export",
        title,
        ("-m", module),
        request,
        for_models(),
        key=f"export {Path(request['folder']).name.casefold()}",
        about=body.model,
        on="model",
    )


def onto_of(studio: Studio, onto: str | None, request: dict[str, Any]) -> dict[str, Any]:
    """Return a request with the model that the adapter is put on, or none."""
    return {**request, "onto": model_choices.find(studio, onto).model if onto else None}


ORDERS = (
    Order("/exports/fuse", "Fuse an adapter into a complete model", fuse),
    Order("/exports/quantize", "Quantize a model for MLX", quantize),
)
