"""What is published: a model of this machine, with what its card tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cptstudio.errors import UserError
from cptstudio.models.card import front_matter, read_card
from cptstudio.models.hub_address import check_id
from cptstudio.models.registry import ModelRecord, ModelRegistry

Relation = Literal["adapter", "finetune", "merge", "quantized"]
_LICENSE_FIELDS = ("license", "license_name", "license_link")


@dataclass(frozen=True)
class Subject:
    """A model to publish.

    Attributes:
        folder: whose files are published.
        adapter: it is put on its base.
        relation: of the model to its bases, as the hub calls it; None where it has none.
        bases: ids at the hub of the models that it was made of, as far as they are known.
        base_names: what these models are called on this machine, where they have no id.
        license: the fields of a card that name the license, as the base's card has them.
        run: folder of the run that trained it, and how many steps it had done.
        export: the record of an export, as plain values.
    """

    name: str
    folder: str
    adapter: bool
    relation: Relation | None
    bases: tuple[str, ...]
    base_names: tuple[str, ...]
    license: dict[str, str]
    architecture: str | None
    method: str | None = None
    run: str | None = None
    step: int | None = None
    export: dict[str, Any] | None = None


def subject_of(registry: ModelRegistry, reference: str, runs: Path) -> Subject:
    """Return a model as it is published.

    Args:
        runs: the folder of the workspace's runs.

    Raises:
        UserError: there is none, or it is on the hub already.
    """
    records = {record.reference: record for record in registry.records()}
    record = records.get(reference)
    if record is None:
        raise UserError(
            f"There is no model {reference!r} on this machine. It may have been deleted or moved."
        )
    if (own := _hub_id(record)) is not None:
        raise UserError(f"{record.name} came from the hub: it is there already, as {own}.")
    lineage = list(_lineage(record, records))
    trained = next((one for one in lineage if one.run is not None), None)
    sources = [one for one in lineage if one.kind in ("base", "downloaded")]
    ids = [_hub_id(one) for one in sources]
    names = tuple(one.name for one, known in zip(sources, ids, strict=True) if known is None)
    licensed = next((one for one in lineage if _license(one.folder)), None)
    return Subject(
        name=record.name,
        folder=str(record.folder),
        adapter=record.adapter,
        relation=_relation(record, trained),
        bases=tuple(dict.fromkeys(one for one in ids if one is not None)),
        base_names=tuple(name for name in names if name != record.name),
        license=_license(licensed.folder) if licensed else {},
        architecture=record.description.model_type if record.description else None,
        method=trained.method if trained else None,
        run=str(runs / trained.run) if trained and trained.run else None,
        step=trained.step if trained else None,
        export=record.export.model_dump(mode="json") if record.export else None,
    )


def _lineage(record: ModelRecord, records: dict[str, ModelRecord]) -> Iterator[ModelRecord]:
    """The model and what it was made of, the nearest first; each once."""
    waiting, seen = [record], set()
    while waiting:
        one = waiting.pop(0)
        if one.reference in seen:
            continue
        seen.add(one.reference)
        yield one
        links = [link for link in one.made_from if link.relation != "parent"]
        waiting += [records[link.reference] for link in links if link.reference in records]


def _hub_id(record: ModelRecord) -> str | None:
    if record.origin is not None:
        found = record.origin.id
    elif record.place == "cache":
        found = record.name
    else:
        return None
    try:
        return check_id(found)
    except UserError:
        return None


def _relation(record: ModelRecord, trained: ModelRecord | None) -> Relation | None:
    if record.kind == "exported" and record.export is not None:
        bits = any(mark in record.export.weights.lower() for mark in ("bit", "q", "mxfp"))
        if bits:
            return "quantized"
    if record.adapter:
        return "adapter"
    if record.kind == "merged":
        return "merge"
    return "finetune" if trained is not None else None


def _license(folder: Path) -> dict[str, str]:
    """The license as a folder's own card has it."""
    matter = front_matter(read_card(folder) or "")
    found = {name: matter[name] for name in _LICENSE_FIELDS if isinstance(matter.get(name), str)}
    return found if found.get("license") else {}
