"""Which models may chat again after continued pre-training, and which of them is suggested."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from cptstudio import run_files
from cptstudio.errors import UserError
from cptstudio.evaluation.merging import first_base, instruct_delta, lineage, roles_in
from cptstudio.evaluation.model_requests import HeldOutText
from cptstudio.evaluation.references import ModelReference

STRENGTHS: Final = (0.5, 0.75, 1.0, 1.25)
"""Of the instruct model's difference, where nobody says which."""
LEAST_GAIN_KEPT: Final = 0.8
"""Of what was learned in the domain; what keeps less is not suggested."""


class ChatMeasured(HeldOutText):
    """How chat habits are measured, and bits per byte beside them."""

    max_tokens: int = Field(
        200,
        ge=8,
        le=4096,
        title="Tokens per answer",
        description="An answer that has not ended after this many tokens counts as one that does "
        "not stop.",
        json_schema_extra={"unit": "tokens"},
    )


def check_request(
    models: Sequence[ModelReference], measured: ChatMeasured, corpora: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return what the program is asked to measure models as they are."""
    labels = ", ".join(model.label for model in models)
    return {
        "kind": "chat-check",
        "title": f"Chat check: {labels}",
        "points": [_of_model(model, "model") for model in models],
        **_measured(measured, corpora),
        "roles": {},
        "save": None,
    }


def again_request(
    trained: ModelReference,
    instruct: ModelReference,
    others: Sequence[ModelReference],
    strengths: Sequence[float],
    *,
    measured: ChatMeasured,
    corpora: Sequence[dict[str, Any]],
    save: Path | None,
    base: ModelReference | None = None,
) -> dict[str, Any]:
    """Return what the program is asked: base, instruct model, trained, and ways to chat again.

    Args:
        trained: a checkpoint of a run.
        instruct: an instruct model of the run's base; its template asks all of them.
        others: further models, such as a checkpoint that was fine-tuned on conversations.
        strengths: of the instruct model's difference from the base.
        save: a folder for the sum of the only strength.
        base: that the instruct model was made from; None for what the run's lineage began with.

    Raises:
        UserError: the checkpoint is of no run, or there is not one strength to save.
    """
    if trained.run is None:
        raise UserError.at(
            "run", f"{trained.label!r} is a base model. Choose a run, such as RUN or RUN@best."
        )
    given, base = base, base or _base_of(trained.run)
    try:
        sums = instruct_delta(trained, base.model, instruct.model, strengths)
    except UserError as error:
        raise UserError.at("instruct", error.message) from None
    if save is not None and len(sums) != 1:
        raise UserError.at("save", f"Only one model can be saved at a time, not {len(sums)}.")
    template = str(instruct.model)
    points = [
        {**_of_model(base, "base"), "answers": False},
        _of_model(instruct, "instruct"),
        {**_of_model(trained, "trained"), "tokenizer": template},
        *(
            {**point.request(), "way": "difference", "tokenizer": None, "answers": True}
            for point in sums
        ),
        *({**_of_model(other, "model"), "tokenizer": template} for other in others),
    ]
    return {
        "kind": "chat-again",
        "title": f"Chat again: {trained.label} with {instruct.label}",
        "trained": trained.label,
        "instruct": instruct.label,
        "base": given.label if given is not None else None,
        "points": points,
        **_measured(measured, corpora),
        "roles": roles_in(trained.run, [corpus["name"] for corpus in corpora]),
        "save": {"point": sums[0].label, "folder": save} if save else None,
    }


def _base_of(run: Path) -> ModelReference:
    first = run_files.read_config(lineage(run)[0])
    name = first.settings.model.path
    return ModelReference(Path(name).name if Path(name).is_absolute() else name, first_base(run))


def _of_model(model: ModelReference, way: str) -> dict[str, Any]:
    part = {"model": model.model, "adapter": model.adapter, "weight": 1.0}
    return {
        "label": model.label,
        "way": way,
        "share": None,
        "parts": [part],
        "tokenizer": None,
        "answers": True,
    }


def _measured(measured: ChatMeasured, corpora: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"corpora": list(corpora), "context_length": None, **measured.model_dump()}


def gains_kept(points: list[dict[str, Any]], domain: str | None) -> None:
    """Give each point "gain_kept": its part of the domain's gain from base to trained, or None."""
    by_way = {point["way"]: point for point in points}
    for point in points:
        point["gain_kept"] = None
    if domain is None or "base" not in by_way or "trained" not in by_way:
        return
    before = _bits(by_way["base"], domain)
    gain = before - _bits(by_way["trained"], domain)
    if gain <= 0:
        return
    for point in points:
        point["gain_kept"] = (before - _bits(point, domain)) / gain


def _bits(point: dict[str, Any], corpus: str) -> float:
    return float(point["corpora"][corpus]["bits_per_byte"])


def suggested(points: Sequence[dict[str, Any]]) -> str | None:
    """Return the label of the way to chat again that is suggested, or None.

    Of those that keep four fifths of the gain (all, where the gain is not known), the one whose
    share of answers that keep the template and share of instructions followed are highest in sum;
    none where that is no more than the trained model's.
    """
    trained = next((point for point in points if point["way"] == "trained"), None)
    if trained is None:
        return None
    ways = [
        point
        for point in points
        if point["way"] in ("difference", "model")
        and (point["gain_kept"] is None or point["gain_kept"] >= LEAST_GAIN_KEPT)
        and _rank(point)[0] > _rank(trained)[0]
    ]
    return str(max(ways, key=_rank)["label"]) if ways else None


def _rank(point: dict[str, Any]) -> tuple[float, ...]:
    habits = point["habits"]
    kept = point["gain_kept"]
    return (
        habits["template"]["value"] + habits["instructions"]["value"],
        -habits["repetition"]["value"],
        kept if kept is not None else 0.0,
    )
