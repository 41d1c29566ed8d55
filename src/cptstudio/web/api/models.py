"""`/api/models`: the models of this machine, and downloads from the hub."""

from __future__ import annotations

from typing import Any, Literal

import flask
from pydantic import Field

from cptstudio.errors import UserError
from cptstudio.lm.description import ModelDescription
from cptstudio.lm.network_reader import read_network
from cptstudio.models import hub_address
from cptstudio.models.library import Model
from cptstudio.models.license import read_license
from cptstudio.training.machine import Machine, describe_machine, this_machine
from cptstudio.training.recommended_models import (
    SEQUENCE,
    Way,
    WayFit,
    recommended_models,
    ways_that_fit,
)
from cptstudio.training.ways_to_train import ways_to_train
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import Confirmed, route
from cptstudio.web.problems import NotFound, Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import deletions, hub_work, model_work
from cptstudio.web.work.deletions import Deleted
from cptstudio.web.work.model_work import ModelQuery


class FolderBody(LateModel, extra="forbid"):
    """A folder of a model."""

    path: str = Field(min_length=1, max_length=4096)
    confirmed: bool = False


class HubQuery(LateModel, extra="forbid"):
    """Words to search for."""

    query: str = Field(min_length=1, max_length=200)


class QuantizationFacts(LateModel):
    """How weights are packed; null where the configuration does not say."""

    bits: int | None
    group_size: int | None
    method: str


class FullTraining(LateModel):
    """Whether all parameters can be trained, and why not."""

    possible: bool
    reason: str | None


class ModelFacts(LateModel):
    """A model; without `error` it can be chosen."""

    id: str
    name: str
    place: Literal["workspace", "cache", "folder"]
    path: str
    bytes: int | None = None
    parameters: int | None = None
    architecture: str | None = None
    quantization: QuantizationFacts | None = None
    dtype: str | None = None
    context_length: int | None = None
    vocabulary_size: int | None = None
    has_chat_template: bool | None = None
    full_training: FullTraining
    origin: dict[str, Any] | None = None
    merge: str | None = Field(None, description="Which sum of models a saved merge is.")
    license: str | None = Field(None, description='As its card names it, such as "apache-2.0".')
    error: str | None


class FitsAnswer(LateModel):
    """Which ways of training fit this machine; null where that cannot be told."""

    fits: dict[Way, WayFit] | None


class ModelList(LateModel):
    """The models of this machine, and where others come from."""

    models: list[ModelFacts]
    cache: str
    hub: str
    offline: bool


class HubModel(LateModel):
    """A model on the hub; `there`: it is on this machine already."""

    id: str
    downloads: int | None
    likes: int | None
    updated: float | None
    gated: bool
    there: bool


class Recommended(LateModel):
    """A base model to begin with, and whether training it fits this machine.

    `there`: the id of it among the models of this machine; `fits`: by way of training, null where
    the machine does not tell its memory.
    """

    id: str
    title: str
    use: str
    license: str
    gated: bool
    source: str = Field(description="Where its configuration was found.")
    parameters: int
    bytes: int = Field(description="Of its files.")
    packed_bytes: int = Field(description="Of its weights with 4 bits.")
    there: str | None
    fits: dict[Way, WayFit] | None


class RecommendedAnswer(LateModel):
    """Base models to begin with, from small to large."""

    models: list[Recommended]
    sequence: int = Field(description="Tokens of the sequence that the memory is told for.")
    room: int | None = Field(description="Bytes of this machine that a run is chosen to fit in.")
    available: int | None = Field(description="Bytes of this machine that a run may take.")
    accelerator: str
    offline: bool


class HubAnswer(LateModel):
    """What a search found, and where."""

    models: list[HubModel]
    endpoint: str


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("models", __name__, url_prefix="/api/models")

    @route(bp, "GET", "", summary="List the models of this machine")
    def list_models() -> ModelList:
        return ModelList(
            models=[_facts(model) for model in studio.models.models()],
            cache=str(studio.models.cache),
            hub=hub_address.endpoint(),
            offline=hub_address.is_offline(),
        )

    @route(bp, "GET", "/hub", summary="Search the hub")
    def hub(query: HubQuery) -> HubAnswer:
        """Asks the hub over the network, which nothing does unless the user searches."""
        found = hub_work.search(query.query, "model")
        known = studio.models.models()
        there = {model.name for model in known if model.error is None}
        there |= {model.origin.id for model in known if model.origin is not None}
        models = [HubModel(**one, there=one["id"] in there) for one in found]
        return HubAnswer(models=models, endpoint=hub_address.endpoint())

    @route(bp, "GET", "/recommended", summary="Base models to begin with")
    def recommended() -> RecommendedAnswer:
        """Well-known base models, and whether training them fits this machine; asks no hub."""
        return _recommended(studio)

    @route(bp, "GET", "/fits", summary="Which ways of training a model fit this machine")
    def fits(query: ModelQuery) -> FitsAnswer:
        """By the memory of a step with one sequence. The first time it may take some seconds."""
        model = studio.models.find(query.id)
        try:
            assert model.description is not None
            network = read_network(model.path)
            return FitsAnswer(fits=ways_to_train(model.description, network, this_machine()))
        except UserError:
            return FitsAnswer(fits=None)

    _add_folders(bp, studio)

    @route(bp, "DELETE", "", summary="Delete a model of the workspace")
    def delete(query: ModelQuery, body: Confirmed) -> Deleted:
        """A base model, a merge, an export, or a checkpoint of a run that is not alive."""
        return model_work.delete(studio, query.id, confirmed=body.confirmed)

    return bp


def _add_folders(bp: flask.Blueprint, studio: Studio) -> None:
    @route(bp, "POST", "/folders", summary="Add a model's folder", status=201)
    def add_folder(body: FolderBody) -> ModelFacts:
        if not body.confirmed:
            raise Problem(f"Confirm that the folder {body.path} may be read as a model.")
        path = studio.allowed_folders.add_model_folder(body.path)
        for model in studio.models.models():
            if model.place == "folder" and model.path == path:
                if model.error is None:
                    return _facts(model)
                studio.allowed_folders.remove_model_folder(str(path))
                raise UserError(f"{path} holds no model that can be used: {model.error}")
        raise NotFound(f"{path} is not there any more.")

    @route(bp, "DELETE", "/folders", summary="Forget a model's folder")
    def forget_folder(query: ModelQuery, body: Confirmed) -> Deleted:
        """Nothing on disk is deleted."""
        studio.allowed_folders.remove_model_folder(query.id)
        return deletions.discard(studio, "model folder", query.id, memory={"path": query.id})


def _recommended(studio: Studio) -> RecommendedAnswer:
    machine: Machine | None
    try:
        machine = this_machine()
    except UserError:
        machine = None
    usable = [one for one in studio.models.models() if one.error is None]
    known = {one.origin.id: one.id for one in usable if one.origin} | {o.id: o.id for o in usable}
    models = [
        Recommended(
            **one.model_dump(include=set(Recommended.model_fields)),
            there=known.get(one.id),
            fits=ways_that_fit(one, machine) if machine else None,
        )
        for one in recommended_models()
    ]
    return RecommendedAnswer(
        models=models,
        sequence=SEQUENCE,
        room=machine.room if machine else None,
        available=machine.available if machine else None,
        accelerator=describe_machine().accelerator,
        offline=hub_address.is_offline(),
    )


def _facts(model: Model) -> ModelFacts:
    facts = ModelFacts(
        id=model.id,
        name=model.name,
        place=model.place,
        path=str(model.path),
        full_training=FullTraining(possible=False, reason=model.error),
        origin=model.origin.model_dump() if model.origin else None,
        merge=model.merge,
        license=read_license(model.path),
        error=model.error,
    )
    return _with_description(facts, model.description) if model.description else facts


def _with_description(facts: ModelFacts, description: ModelDescription) -> ModelFacts:
    packed = description.quantization
    obstacle = facts.error or description.obstacle or description.full_training_obstacle
    return facts.model_copy(
        update={
            "bytes": description.bytes,
            "parameters": description.parameters,
            "architecture": description.model_type,
            "quantization": QuantizationFacts(**vars(packed)) if packed else None,
            "dtype": description.dtype,
            "context_length": description.context_limit,
            "vocabulary_size": description.vocabulary_size,
            "has_chat_template": description.has_chat_template,
            "full_training": FullTraining(possible=obstacle is None, reason=obstacle),
        }
    )
