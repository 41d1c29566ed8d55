"""Each document's status: its split, or the reason why it is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.build_progress import ProgressMeter
from cptstudio.corpus.manifest import STATUSES, BuildSettings
from cptstudio.corpus.near_duplicates import NearDuplicateIndex
from cptstudio.corpus.split import SplitRule, sides_of
from cptstudio.corpus.token_store import SIDES

EXAMPLES = 10
"""Dropped documents of a kind that the report shows."""


def assign_statuses(
    records: npt.NDArray[Any],
    settings: BuildSettings,
    rule: SplitRule,
    index: NearDuplicateIndex,
    settled: npt.NDArray[np.void] | None = None,
    meter: ProgressMeter | None = None,
) -> tuple[SplitRule, dict[int, tuple[int, float]]]:
    """Set every record's status.

    Of equal documents the first is kept. Of a group of near duplicates that touches a held-out
    side, the held-out ones stay and those of the training side are dropped as overlap, whether
    near duplicates are dropped otherwise or not: or the evaluation would measure memory.

    Returns:
        The rule with its pins; for the first dropped documents of each kind the one kept in its
        place and the estimated similarity.
    """
    meter = meter or ProgressMeter(None)
    text_bytes = int(records["length"].sum())
    meter.begin("comparing", text_bytes)
    meter.tell()
    first = _first_of_equals(records["hash"])
    here = np.arange(len(records))
    distinct = np.flatnonzero(first == here)
    lengths = records["length"][distinct].astype(np.int64)
    sides, rule = sides_of(records["hash"][distinct], lengths, rule, settled)
    status = np.zeros(len(records), dtype=np.uint8)
    status[distinct] = sides
    status = status[first]
    repeated = first != here
    if settings.exact_dedup:
        status[repeated] = STATUSES.index("exact duplicate")
    else:
        repeated[:] = False
    likeness = {int(n): (int(first[n]), 1.0) for n in np.flatnonzero(repeated)[:EXAMPLES]}
    del first, here, distinct, lengths
    like = index.likeness(len(records), repeated, lambda share: meter.reach(share * text_bytes))
    grouped = like.group != np.arange(len(records))
    grouped[like.group[grouped]] = True
    members = np.flatnonzero(grouped)
    members = members[status[members] < len(SIDES)]
    group, before = like.group[members], status[members]
    held_out = before > 0
    kept = np.full(len(records), len(records))
    np.minimum.at(kept, group, members)
    touched = np.zeros(len(records), dtype=np.bool_)
    touched[group[held_out]] = True
    first_held = np.full(len(records), len(records))
    np.minimum.at(first_held, group[held_out], members[held_out])
    kept = np.where(touched, first_held, kept)[group]
    overlap = touched[group] & ~held_out
    near = ~overlap & (members != kept) if settings.near_dedup else np.zeros_like(overlap)
    for dropped, reason in ((overlap, "overlap with held-out"), (near, "near duplicate")):
        status[members[dropped]] = STATUSES.index(reason)
        for place in np.flatnonzero(dropped)[:EXAMPLES]:
            number = int(members[place])
            likeness[number] = (int(kept[place]), float(like.similarity[number]))
    records["status"] = status
    return rule, likeness


def _first_of_equals(hashes: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The first document with the same hash, int64 [documents]."""
    words = np.ascontiguousarray(hashes).view("<u8").reshape(-1, 2)
    order = np.argsort(words[:, 0], kind="stable")
    low, high = words[order, 0], words[order, 1]
    same = low[1:] == low[:-1]
    if (high[1:][same] != high[:-1][same]).any():
        order = np.lexsort((words[:, 1], words[:, 0]))
        low, high = words[order, 0], words[order, 1]
        same = (low[1:] == low[:-1]) & (high[1:] == high[:-1])
    first = np.arange(len(words))
    equal = np.flatnonzero(same) + 1
    begins = np.concatenate(([True], np.diff(equal) != 1))[: len(equal)]
    first[order[equal]] = order[(equal[begins] - 1)[np.cumsum(begins) - 1]]
    return first
