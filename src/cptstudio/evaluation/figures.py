"""From the nats of each section of text to what is shown: sums, differences, what changed most."""

from __future__ import annotations

import itertools
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from cptstudio.evaluation.documents import DocumentSet
from cptstudio.intervals import paired_difference
from cptstudio.lm.likelihood import Scores, bits_per_byte

SHOWN_DOCUMENTS = 10


def summary(
    measured: dict[str, Any],
    base: dict[str, Any],
    left_out: set[str] | frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Return a set's figures, and how they differ from the base's on the same documents.

    Args:
        measured: what `Measuring.measure` returned for the set.
        base: the same for the model to compare with; `measured` itself for that one.
        left_out: hashes of documents that do not count.
    """
    kept = _kept(measured, left_out)
    columns: dict[str, Any] = {
        column.name: _numbers(measured, column.name, kept) for column in fields(Scores)
    }
    documents = _documents(measured, kept)
    figures = Scores(**columns).figures() | {"documents": len(set(documents.tolist()))}
    if measured is not base:
        base_nats = _numbers(base, "nats", kept)
        size = columns["bytes"].astype(np.int64)
        difference = paired_difference(columns["nats"], base_nats, size, documents)
        figures["difference"] = {**asdict(difference), "sure": difference.sure}
    return figures


def changed_most(
    one: DocumentSet,
    measured: dict[str, Any],
    base: dict[str, Any],
    left_out: set[str] | frozenset[str] = frozenset(),
) -> dict[str, list[dict[str, Any]]]:
    """Return the documents whose bits per byte fell most against the base's, and rose most.

    Returns:
        {"improved": [...], "worsened": [...]}, the largest change first, at most
        `SHOWN_DOCUMENTS` each: {"document": hash, "label", "bytes", "bits_per_byte",
        "base_bits_per_byte"}.
    """
    kept = _kept(measured, left_out)
    names = list(dict.fromkeys(itertools.compress(measured["documents"], kept)))
    owners = _documents(measured, kept)
    size, here, there = (
        np.bincount(owners, weights=_numbers(model, key, kept))
        for model, key in ((measured, "bytes"), (measured, "nats"), (base, "nats"))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        change = (here - there) / size
    # What is not finite has no place in an order.
    order = [int(index) for index in np.argsort(change) if np.isfinite(change[index])]
    improved = [index for index in order[:SHOWN_DOCUMENTS] if change[index] < 0]
    worsened = [index for index in reversed(order[-SHOWN_DOCUMENTS:]) if change[index] > 0]
    labels = one.labels({names[index] for index in (*improved, *worsened)})

    def entry(index: int) -> dict[str, Any]:
        return {
            "document": names[index],
            "label": labels.get(names[index], names[index]),
            "bytes": int(size[index]),
            "bits_per_byte": bits_per_byte(float(here[index]), int(size[index])),
            "base_bits_per_byte": bits_per_byte(float(there[index]), int(size[index])),
        }

    return {
        "improved": [entry(index) for index in improved],
        "worsened": [entry(index) for index in worsened],
    }


def _kept(measured: dict[str, Any], left_out: set[str] | frozenset[str]) -> npt.NDArray[np.bool_]:
    return np.array([name not in left_out for name in measured["documents"]])


def _documents(measured: dict[str, Any], kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Which document each section is of, numbered from 0 in their order."""
    names = list(itertools.compress(measured["documents"], kept))
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return np.array([places[name] for name in names], dtype=np.int64)


def _numbers(
    measured: dict[str, Any], key: str, kept: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    # Numbers that are not finite are stored as words ("NaN"), which float() understands.
    return np.array([float(value) for value in measured[key]])[kept]
