"""`/api/models/all`: every model of this machine, and where each came from."""

from __future__ import annotations

import flask
from pydantic import Field

from cptstudio.durable import free_space, real_path
from cptstudio.models import lineage
from cptstudio.models.folder_facts import files_of
from cptstudio.models.lineage import Node, Step
from cptstudio.models.registry import KINDS, Kind, Link, ModelRecord, Place, Relation
from cptstudio.models.texts import read_text, texts_of
from cptstudio.validation import LateModel
from cptstudio.web.api.models import QuantizationFacts
from cptstudio.web.api.openapi import route
from cptstudio.web.studio import Studio
from cptstudio.web.work import model_work
from cptstudio.web.work.model_work import ModelQuery


class ModelLink(LateModel):
    """A model that another one was made from, or that was made from it.

    `reference` is null where it is none of this machine any more.
    """

    relation: Relation
    reference: str | None
    label: str
    weight: float | None = Field(None, description="In a merge.")


class HubOrigin(LateModel):
    """Where a model was downloaded from; `downloaded` is Unix seconds."""

    id: str
    commit: str
    revision: str
    downloaded: float


class ModelView(LateModel):
    """A model; without `error` it can be used.

    Attributes:
        reference: what names it wherever a model is named.
        bytes: of all its files; `training_bytes` of them are needed to resume only.
        adapter: it is put on its base, of which parameters, architecture, context and chat template
            are told; a GGUF file's are those of its source.
        license: as its card names it, or that of the model `license_of`.
    """

    reference: str
    name: str
    kind: Kind
    place: Place
    path: str
    bytes: int | None
    training_bytes: int | None
    created: float | None
    adapter: bool
    parameters: int | None
    architecture: str | None
    dtype: str | None
    quantization: QuantizationFacts | None
    context_length: int | None
    vocabulary_size: int | None
    has_chat_template: bool | None
    license: str | None
    license_of: str | None
    error: str | None
    run: str | None
    step: int | None
    best: bool
    last: bool
    domain_bits_per_byte: float | None
    method: str | None
    origin: HubOrigin | None
    merge: str | None
    format: str | None = Field(description='Of an export, such as "gguf".')
    weights: str | None = Field(description='Of an export, such as "Q4_K_M".')
    made_from: list[ModelLink]


class DiskUse(LateModel):
    """How much of the disk a kind of models takes."""

    kind: Kind
    count: int
    bytes: int


class AllModels(LateModel):
    """All models, and how much of the disk they take, each folder once."""

    models: list[ModelView]
    use: list[DiskUse]
    bytes: int
    free: int = Field(description="Bytes that are free on the disk of the workspace.")


class LineageNode(LateModel):
    """One step of a lineage; a node belongs below the last one that is less deep.

    Attributes:
        relation: how it goes on; "download", from the hub; "run", checkpoints of one run together.
        reference: null where it is no model of this machine.
        label: its name; of a "run", the run.
        count: checkpoints that a "run" stands for.
    """

    depth: int
    relation: Step
    reference: str | None
    label: str
    kind: Kind | None
    weight: float | None
    count: int | None
    error: str | None


class DeletionView(LateModel):
    """What deleting a model would mean.

    `refusal` says why it is not deleted; `consequences` what depends on it.
    """

    refusal: str | None
    consequences: list[str]


class FileView(LateModel):
    """A file by its name in a model's folder."""

    name: str
    bytes: int


class OneModel(LateModel):
    """A model, where it came from and what became of it, and what lies in its folder.

    Attributes:
        ancestors: what it was made from, and what that was made from.
        descendants: what was made from it, and from that.
        texts: of the files, its card and its license, which `GET /api/models/text` gives.
    """

    model: ModelView
    ancestors: list[LineageNode]
    descendants: list[LineageNode]
    deletion: DeletionView
    files: list[FileView]
    texts: list[FileView]


class TextQuery(ModelQuery):
    """Which text of which model."""

    name: str = Field(min_length=1, max_length=200)


class TextView(LateModel):
    """A text that came with a model; it is from outside, and to be shown as text alone."""

    name: str
    text: str


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("model_records", __name__, url_prefix="/api/models")

    @route(bp, "GET", "/all", summary="List every model of this machine")
    def everything() -> AllModels:
        """Base models, downloads, merges, exports, and the checkpoints of all runs."""
        records = studio.registry.records()
        use = [_use(kind, records) for kind in KINDS]
        return AllModels(
            models=[view(record) for record in records],
            use=use,
            bytes=sum(one.bytes for one in use),
            free=free_space(studio.workspace.root),
        )

    @route(bp, "GET", "/one", summary="Show one model")
    def one(query: ModelQuery) -> OneModel:
        """Any model of the list, with what it was made from and what was made from it."""
        found, records = model_work.named(studio, query.id)
        outlook = model_work.deletion_of(studio, found, records)
        return OneModel(
            model=view(found),
            ancestors=_nodes(lineage.ancestors(found, records)),
            descendants=_nodes(lineage.descendants(found, records)),
            deletion=DeletionView(refusal=outlook.refusal, consequences=list(outlook.consequences)),
            files=[FileView(name=name, bytes=size) for name, size in files_of(found.folder)],
            texts=[FileView(**vars(text)) for text in texts_of(found.folder, found.home)],
        )

    @route(bp, "GET", "/text", summary="Read a model's card or license")
    def text(query: TextQuery) -> TextView:
        found, _ = model_work.named(studio, query.id)
        return TextView(name=query.name, text=read_text(found.folder, found.home, query.name))

    return bp


def _nodes(nodes: list[Node]) -> list[LineageNode]:
    return [LineageNode(**vars(node)) for node in nodes]


def _use(kind: Kind, records: list[ModelRecord]) -> DiskUse:
    own = [record for record in records if record.kind == kind]
    folders = {real_path(record.folder): record.bytes or 0 for record in own}
    return DiskUse(kind=kind, count=len(own), bytes=sum(folders.values()))


def _link(link: Link) -> ModelLink:
    return ModelLink(**vars(link))


def view(record: ModelRecord) -> ModelView:
    """Return a model as pages see it."""
    about = record.description
    packed = about.quantization if about else None
    own = record.own_weights
    return ModelView(
        reference=record.reference,
        name=record.name,
        kind=record.kind,
        place=record.place,
        path=str(record.folder),
        bytes=record.bytes,
        training_bytes=record.training_bytes,
        created=record.created,
        adapter=record.adapter,
        parameters=about.parameters if about else None,
        architecture=about.model_type if about else None,
        dtype=own.dtype if own else None,
        quantization=QuantizationFacts(**vars(packed)) if packed and own else None,
        context_length=about.context_limit if about else None,
        vocabulary_size=about.vocabulary_size if about else None,
        has_chat_template=about.has_chat_template if about else None,
        license=record.license,
        license_of=record.license_of,
        error=record.error,
        run=record.run,
        step=record.step,
        best=record.best,
        last=record.last,
        domain_bits_per_byte=record.domain_bits_per_byte,
        method=record.method,
        origin=HubOrigin(**record.origin.model_dump()) if record.origin else None,
        merge=record.merge,
        format=record.export.format if record.export else None,
        weights=record.export.weights if record.export else None,
        made_from=[_link(link) for link in record.made_from],
    )
