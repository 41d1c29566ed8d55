"""What becomes of each document: a side of the corpus, or the reason why it is left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.manifest import STATUSES, BuildSettings
from cptstudio.corpus.split import SplitRule, sides_of
from cptstudio.corpus.token_store import SIDES

EXAMPLES = 10
"""Dropped documents of a kind that the report shows."""


def assign_statuses(
    records: npt.NDArray[Any],
    settings: BuildSettings,
    rule: SplitRule,
    pairs: Iterable[tuple[int, int, float]],
    settled: npt.NDArray[np.void] | None = None,
) -> tuple[SplitRule, dict[int, tuple[int, float]]]:
    """Set every record's status.

    Of equal documents the first is kept. Of a group of near duplicates that touches a held-out
    side, the held-out ones stay and those of the training side are dropped as overlap, whether
    near duplicates are dropped otherwise or not: or the evaluation would measure memory.

    Returns:
        The rule with its pins; for each dropped document the one kept in its place and the
        estimated similarity.
    """
    hashes = np.ascontiguousarray(records["hash"]).view("<u8").reshape(-1, 2)
    _, first, which = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    lengths = records["length"][first].astype(np.int64)
    sides, rule = sides_of(records["hash"][first], lengths, rule, settled)
    status = sides[which.ravel()].astype(np.uint8)
    kept_for = first[which.ravel()]
    likeness: dict[int, tuple[int, float]] = {}
    if settings.exact_dedup:
        repeated = np.flatnonzero(kept_for != np.arange(len(records)))
        status[repeated] = STATUSES.index("exact duplicate")
        likeness.update((int(n), (int(kept_for[n]), 1.0)) for n in repeated[:EXAMPLES])
    for group, similarity in _groups(pairs):
        alive = [number for number in group if status[number] < len(SIDES)]
        held_out = [number for number in alive if status[number]]
        kept = min(held_out or alive, default=-1)
        for number in alive:
            if held_out and not status[number]:
                status[number] = STATUSES.index("overlap with held-out")
            elif settings.near_dedup and number != kept:
                status[number] = STATUSES.index("near duplicate")
            else:
                continue
            likeness[number] = (kept, similarity[number])
    records["status"] = status
    return rule, likeness


def _groups(
    pairs: Iterable[tuple[int, int, float]],
) -> Iterator[tuple[list[int], dict[int, float]]]:
    """Connected groups of near duplicates, and the best similarity seen of each document."""
    parent: dict[int, int] = {}
    best: dict[int, float] = {}

    def root(number: int) -> int:
        while parent.setdefault(number, number) != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for one, other, similarity in pairs:
        left, right = sorted((root(one), root(other)))
        parent[right] = left
        for number in (one, other):
            best[number] = max(best.get(number, 0.0), similarity)
    groups: dict[int, list[int]] = {}
    for number in sorted(parent):
        groups.setdefault(root(number), []).append(number)
    for group in groups.values():
        yield group, best
