"""`/api/exports`: what was exported, and what its comparison found."""

from __future__ import annotations

from typing import Any

import flask
from pydantic import Field

from cptstudio.errors import UserError
from cptstudio.export_files import REFERENCE_PREFIX
from cptstudio.exports.asked import domain_corpora
from cptstudio.exports.comparison import Proof
from cptstudio.exports.records import exports_of, more_proofs_of, proof_of
from cptstudio.exports.sources import original_of
from cptstudio.lm.description import describe_model, is_quantized
from cptstudio.lm.packings import OFFERED, Packing
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import route
from cptstudio.web.studio import Studio
from cptstudio.web.work import model_choices
from cptstudio.web.work.model_work import ModelQuery


class ExportView(LateModel):
    """An export; without `error` its record can be read.

    Attributes:
        reference: what names it among the models.
        source: the checkpoint or model that it was made from.
        weights: how they are stored, such as "4-bit (groups of 64)".
        proof: how it compares with its source, by the program that it is for.
        more_proofs: the same by other programs that were asked as well.
    """

    name: str
    reference: str
    error: str | None = None
    created: float | None = None
    source: str | None = None
    format: str | None = None
    weights: str | None = None
    bytes: int | None = None
    bits_per_weight: float | None = None
    notes: list[str] = []
    settings: dict[str, Any] = {}
    versions: dict[str, str] = {}
    proof: Proof | None = None
    more_proofs: list[Proof] = []


class ExportList(LateModel):
    """The exports of the workspace by name."""

    exports: list[ExportView]


class OfferedPacking(LateModel):
    """A way to quantize: what POST /api/exports/quantize takes, and what people call it."""

    words: str
    packing: Packing
    bits_per_weight: float


class ExportOptions(LateModel):
    """What can be chosen for a model.

    Attributes:
        adapter: it is one, and is fused into its base.
        base_bits: bits of its base, where that is quantized.
        original: id of the model that the quantized base was made from, by its card.
        original_here: reference of that model, where it is on this machine.
        corpora: whose held-out text an export is compared on.
        base_dtype: type that a fused model gets where none is chosen.
    """

    adapter: bool
    base_bits: int | None
    original: str | None
    original_here: str | None
    corpora: list[str]
    base_dtype: str
    packings: list[OfferedPacking] = Field(description="The most exact first.")


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("exports", __name__, url_prefix="/api/exports")

    @route(bp, "GET", "", summary="List the exports")
    def list_exports() -> ExportList:
        """Those that were made in the terminal are among them."""
        found = exports_of(studio.workspace)
        return ExportList(exports=[_view(name, one) for name, one in found.items()])

    @route(bp, "GET", "/options", summary="What can be chosen for an export")
    def options(query: ModelQuery) -> ExportOptions:
        source = model_choices.find(studio, query.id)
        packed = is_quantized(source.model)
        named, here = original_of(source.model, studio.models)
        there = studio.workspace.corpus_names()
        return ExportOptions(
            adapter=source.adapter is not None,
            base_bits=packed.bits if packed else None,
            original=named if source.adapter else None,
            original_here=here.id if here and source.adapter else None,
            corpora=[name for name in domain_corpora(source) if name in there],
            base_dtype=describe_model(source.model).dtype,
            packings=[
                OfferedPacking(words=one.words, packing=one, bits_per_weight=one.bits_per_weight)
                for one in OFFERED
            ],
        )

    return bp


def _view(name: str, record: Any) -> ExportView:
    reference = f"{REFERENCE_PREFIX}{name}"
    if isinstance(record, UserError):
        return ExportView(name=name, reference=reference, error=record.message)
    return ExportView(
        name=name,
        reference=reference,
        created=record.created,
        source=record.source.reference,
        format=record.format,
        weights=record.weights,
        bytes=record.bytes,
        bits_per_weight=record.bits_per_weight,
        notes=record.notes,
        settings=record.settings,
        versions=record.versions,
        proof=proof_of(record),
        more_proofs=more_proofs_of(record),
    )
