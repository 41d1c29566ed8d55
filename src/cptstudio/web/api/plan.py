"""`/api/plan`: what a run would be, before anything starts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import flask
from pydantic import Field

from cptstudio import yaml_text
from cptstudio.corpus.corpus import open_corpus
from cptstudio.corpus.tokenizer_identity import identify
from cptstudio.errors import Finding, UserError, by_field
from cptstudio.lm.stages import resolve_base
from cptstudio.settings import TrainingSettings, parse_settings
from cptstudio.training.known_machines import machine_named, names
from cptstudio.training.make_it_fit import WayToFit
from cptstudio.training.planning import Plan, make_plan
from cptstudio.validation import LateModel
from cptstudio.web import cli_equivalent as equal_command
from cptstudio.web.api.openapi import route
from cptstudio.web.problems import Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import free_memory as making_room

_YAML_LIMIT = 256 * 1024


class PlanBody(LateModel, extra="forbid"):
    """Settings as they are so far."""

    settings: dict[str, Any]
    name: str | None = Field(None, max_length=200)
    machine: str | None = Field(
        None,
        max_length=100,
        description='Another machine to plan for, such as "M3 Pro 36 GB"; null for this one.',
    )


class YamlBody(LateModel, extra="forbid"):
    """Settings as text."""

    yaml: str = Field(max_length=_YAML_LIMIT)


class YamlAnswer(LateModel):
    """The tree that was read, without what it leaves to be chosen."""

    settings: dict[str, Any]


class Machines(LateModel):
    """Machines that are known by name; memory alone, such as "36 GB", means a Mac."""

    machines: list[str]


class MemoryParts(LateModel):
    """What a step's memory at its peak is made of, in bytes; the parts add up to `memory_bytes`."""

    weights: int = Field(description="Parameters, and their copies in the computation's type.")
    optimizer: int
    gradients: int = Field(description="Of the parameters: accumulated, or ready for the update.")
    activations: int = Field(
        description="With their gradients and the logits; 0 where the update takes more."
    )


class PlanFacts(LateModel):
    """What the run would be; sizes in bytes."""

    machine: str | None = Field(description="The other machine; null for this one.")
    parameters: int = Field(description="That mlx-lm loads, packed ones unpacked.")
    trained_parameters: int
    not_loaded_bytes: int = Field(
        description="Of tensors in the model's files that are not loaded, such as a vision tower."
    )
    steps: int
    tokens: int
    tokens_per_step: float
    tokens_per_epoch: int
    epochs: float
    memory_bytes: int
    memory_parts: MemoryParts
    memory_available_bytes: int
    memory_room_bytes: int = Field(
        description="Of what is available: what a run is chosen to fit in, with some to spare."
    )
    disk_needed_bytes: int
    disk_free_bytes: int | None = Field(description="Null for another machine.")
    checkpoint_bytes: int
    evaluate_every_steps: int
    save_every_steps: int
    attention: str | None = Field(
        description="How attention is computed: by a fused kernel, in blocks, or with the full "
        "matrix of scores. Null where memory is planned by the network's own graph."
    )
    saves_in_background: bool = Field(
        description="Memory has room to write checkpoints while training goes on."
    )
    evaluation_part: float = Field(
        description="Time of the evaluations relative to that of training."
    )


class PlanChoice(LateModel):
    """One value that was chosen, and why."""

    field: str = Field(description="Dotted name of the setting.")
    value: str = Field(description="In words.")
    reason: str


class FitStep(LateModel):
    """One change that needs less memory."""

    title: str
    note: str = Field(description="What it costs, or what has to be made first.")
    changes: dict[str, Any] = Field(description="New values by the settings' dotted names.")
    memory_bytes: int = Field(description="Of a step of the run, after it and those before it.")


class MakeItFit(LateModel):
    """How a run that does not fit can be changed so that it does."""

    steps: list[FitStep]
    changes: dict[str, Any] = Field(description="Of all steps.")
    settings: dict[str, Any] | None = Field(
        description="Those that were sent with the changes; null where `ready` is false."
    )
    fits: bool = Field(description="After all steps.")
    ready: bool = Field(description="The changes are enough: nothing has to be made first.")
    sentence: str | None = Field(description="Where nothing makes it fit: what would do.")


class PlanAnswer(LateModel):
    """The plan, or what stands in its way."""

    settings: dict[str, Any] | None = Field(description="With every value filled in.")
    facts: PlanFacts | None
    warnings: list[Finding] = Field(description="What to consider, and the field to change.")
    choices: list[PlanChoice] = Field(description="What was chosen for you, and why.")
    make_it_fit: MakeItFit | None = Field(description="Null where the run fits, or has no plan.")
    problems: list[str] = Field(description="Sentences that name their fields.")
    fields: dict[str, list[str]] = Field(description="Sentences by field.")
    findings: list[Finding]
    untokenized: list[str] = Field(
        [], description="Corpora that have no tokens for the model's tokenizer yet."
    )
    command: str | None
    yaml: str | None


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("plan", __name__, url_prefix="/api")

    @route(bp, "POST", "/plan", summary="Plan a run")
    def plan(body: PlanBody) -> PlanAnswer:
        """What is wrong with the settings is part of the answer, by field."""
        answer = PlanAnswer(
            settings=None, facts=None, warnings=[], choices=[], make_it_fit=None, problems=[],
            fields={}, findings=[], command=None, yaml=None,
        )  # fmt: skip
        try:
            settings = parse_settings(body.settings)
            name = body.name if body.name else None
            answer.command = equal_command.command_line(settings, name)
            answer.yaml = equal_command.yaml_text(settings)
            elsewhere = machine_named(body.machine) if body.machine else None
            made = make_plan(studio.workspace, settings, elsewhere)
        except UserError as error:
            answer.findings = list(error.findings or [Finding(error.message)])
            answer.problems = [str(finding) for finding in answer.findings]
            answer.fields = by_field(answer.findings)
            answer.untokenized = _untokenized(studio, answer.findings, body.settings)
            return answer
        answer.choices = [PlanChoice(**asdict(choice)) for choice in made.choices]
        answer.make_it_fit = _make_it_fit(made.make_it_fit, settings)
        answer.settings = made.settings.model_dump(mode="json")
        answer.facts = PlanFacts(
            **made.facts, memory_parts=_memory_parts(made), evaluation_part=made.evaluation_part
        )
        room = None
        if elsewhere is None:
            room = making_room.warning(studio.inference, studio.endpoints, made.memory.total)
        answer.warnings = [*made.warnings, *([Finding(room)] if room else [])]
        return answer

    @route(bp, "GET", "/plan/machines", summary="Machines to plan for")
    def machines() -> Machines:
        return Machines(machines=names())

    @route(bp, "POST", "/plan/parse", summary="Read settings from YAML")
    def parse(body: YamlBody) -> YamlAnswer:
        settings = parse_settings(_parse_yaml(body.yaml))
        return YamlAnswer(settings=settings.model_dump(mode="json", exclude_unset=True))

    return bp


def _untokenized(studio: Studio, findings: list[Finding], tree: dict[str, Any]) -> list[str]:
    """Names of corpora that only lack the model's tokens, where something is wrong with them."""
    if not any(finding.field.startswith("data.corpora.") for finding in findings):
        return []
    try:
        settings = parse_settings(tree)
        model, _ = resolve_base(settings.model.path, studio.workspace)
        tokenizer = identify(model)
    except UserError:
        return []
    found = []
    for use in settings.data.corpora:
        try:
            corpus = open_corpus(studio.workspace.corpus(use.name))
        except UserError:
            continue
        if not corpus.in_template(tokenizer.template).is_tokenized_for(tokenizer.hash):
            found.append(use.name)
    return found


def _memory_parts(made: Plan) -> MemoryParts:
    memory = made.memory
    at_update = memory.update > memory.backward
    return MemoryParts(
        weights=memory.weights,
        optimizer=memory.optimizer,
        gradients=memory.accumulated + (memory.update if at_update else 0),
        activations=0 if at_update else memory.backward,
    )


def _make_it_fit(way: WayToFit | None, given: TrainingSettings) -> MakeItFit | None:
    if way is None:
        return None
    fitted = way.applied(given).model_dump(mode="json", exclude_unset=True) if way.ready else None
    return MakeItFit(**asdict(way), ready=way.ready, settings=fitted)


def _parse_yaml(text: str) -> dict[str, Any]:
    try:
        tree = yaml_text.parse_yaml(text)
    except ValueError as error:
        raise Problem.at("yaml", f"This is not valid YAML: {error}") from None
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise Problem.at(
            "yaml", "The YAML has to hold a tree of settings, such as `model: {path: ...}`."
        )
    return tree
