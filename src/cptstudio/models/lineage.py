"""Where a model came from and what became of it, as trees that can be followed both ways."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from cptstudio.models.registry import Kind, Link, ModelRecord, Relation

_MOST: Final = 200
"""Nodes of one tree; what it was made from seldom has ten."""
Step = Relation | Literal["download", "run"]


@dataclass(frozen=True)
class Node:
    """One step of a lineage.

    Attributes:
        depth: 0 for the nearest; a node belongs below the last one that is less deep.
        relation: how it goes on: see `Link`; "download", from the hub; "run", several checkpoints
            of one run together.
        reference: of the model; None where it is no model of this machine.
        label: what it is called: of a "run", the run.
        count: checkpoints that a "run" stands for.
    """

    depth: int
    relation: Step
    reference: str | None
    label: str
    kind: Kind | None = None
    weight: float | None = None
    count: int | None = None
    error: str | None = None


def ancestors(record: ModelRecord, records: Iterable[ModelRecord]) -> list[Node]:
    """What a model was made from, and what that was made from, each once."""
    known = {one.reference: one for one in records}
    found: list[Node] = []
    seen = {record.reference}

    def follow(one: ModelRecord, depth: int) -> None:
        if one.origin is not None:
            label = f"{one.origin.id} at {one.origin.commit[:8]}"
            found.append(Node(depth, "download", None, label))
        for link in one.made_from:
            if len(found) >= _MOST:
                return
            found.append(_node(depth, link, known.get(link.reference or "")))
            if link.reference is not None and link.reference not in seen:
                seen.add(link.reference)
                follow(known[link.reference], depth + 1)

    follow(record, 0)
    return found[:_MOST]


def descendants(record: ModelRecord, records: Sequence[ModelRecord]) -> list[Node]:
    """What was made from a model, and from that; the checkpoints of a run are one node."""
    children: dict[str, list[tuple[ModelRecord, Link]]] = {}
    for one in records:
        forked = any(link.relation == "parent" and link.reference for link in one.made_from)
        for link in one.made_from:
            # A fork comes from its base, too, and is told of below the run that it goes on with.
            if link.reference is not None and not (forked and link.relation == "base"):
                children.setdefault(link.reference, []).append((one, link))
    found: list[Node] = []
    seen = {record.reference}

    def follow(references: Iterable[str], depth: int) -> None:
        made = [pair for reference in references for pair in children.get(reference, [])]
        for run, group in _by_run([pair for pair in made if pair[0].reference not in seen]):
            if len(found) >= _MOST:
                return
            if run is not None:
                found.append(Node(depth, "run", None, run, "checkpoint", count=len(group)))
            else:
                found.append(_node(depth, group[0][1], group[0][0]))
            new = [one.reference for one, _ in group]
            seen.update(new)
            follow(new, depth + 1)

    follow([record.reference], 0)
    return found[:_MOST]


def _by_run(
    made: Sequence[tuple[ModelRecord, Link]],
) -> list[tuple[str | None, list[tuple[ModelRecord, Link]]]]:
    """The checkpoints of each run together, every other model alone."""
    groups: dict[tuple[bool, str], list[tuple[ModelRecord, Link]]] = {}
    for pair in made:
        one = pair[0]
        groups.setdefault((one.run is not None, one.run or one.reference), []).append(pair)
    return [(group[0][0].run, group) for group in groups.values()]


def _node(depth: int, link: Link, target: ModelRecord | None) -> Node:
    return Node(
        depth,
        link.relation,
        target.reference if target else None,
        target.name if target else link.label,
        target.kind if target else None,
        link.weight,
        error=target.error if target else None,
    )
