"""Which sums of models are worth a look: points between base and trained, averages, differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cptstudio import run_files
from cptstudio.errors import UserError
from cptstudio.evaluation.references import ModelReference


@dataclass(frozen=True)
class WeightedModel:
    """A model and its factor in a sum."""

    model: Path
    adapter: Path | None
    weight: float


@dataclass(frozen=True)
class Point:
    """A sum of models.

    Attributes:
        label: what the user sees.
        parts: the first one gives configuration and tokenizer.
        share: how much of what was learned, or of the difference that is added; None for a mean.
    """

    label: str
    parts: tuple[WeightedModel, ...]
    share: float | None = None

    def request(self) -> dict[str, Any]:
        """As the merging program takes it."""
        return {
            "label": self.label,
            "share": self.share,
            "parts": [
                {"model": part.model, "adapter": part.adapter, "weight": part.weight}
                for part in self.parts
            ],
        }


SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of what was learned, where nobody says which points are made between base and trained."""


def merge_request(
    trained: ModelReference,
    run: Path,
    shares: Sequence[float],
    *,
    last: int | None,
    instruct: ModelReference | None,
    corpora: Sequence[dict[str, Any]],
    side: str,
    max_bytes: int,
    save: Path | None,
) -> dict[str, Any]:
    """Return what the merging program is asked.

    Args:
        trained: a checkpoint of a run.
        run: its run's directory.
        shares: of what was learned, or of the instruct model's difference.
        last: number of checkpoints whose mean is made instead.
        instruct: model of the same base whose difference from it is added instead.
        corpora: names and paths of those that the points are measured on.
        side: "validation" or "test".
        max_bytes: of a corpus's text.
        save: a folder for the only point.

    Raises:
        UserError: the points cannot be made, or there is not one to save.
    """
    base = Path(run_files.read_config(run).model_path)
    if instruct is not None:
        base = first_base(run)
    if last is not None:
        title = f"Mean of the last {last} checkpoints of {trained.label}"
        points = [average(run, last)]
    elif instruct is not None:
        title = f"{trained.label} plus the difference of {instruct.label} from its base"
        points = instruct_delta(trained, base, instruct.model, shares)
    else:
        title = f"{trained.label} merged with its base"
        points = back_to_base(trained, base, shares)
    if save is not None and len(points) != 1:
        count = len(points)
        raise UserError.at("save", f"Only one merged model can be saved at a time, not {count}.")
    return {
        "title": title,
        "instruct": instruct.label if instruct is not None else None,
        "points": [point.request() for point in points],
        "corpora": list(corpora),
        "roles": roles_in(run, [corpus["name"] for corpus in corpora]),
        "side": side,
        "max_bytes": max_bytes,
        "context_length": None,
        "save": {"point": points[0].label, "folder": save} if save else None,
    }


def lineage(run: Path) -> list[Path]:
    """Return the runs whose checkpoints followed one another up to a run, the first one first."""
    found = [run]
    while True:
        checkpoint = Path(run_files.read_config(found[0]).model_path)
        before = checkpoint.parent.parent
        is_run = (before / run_files.CONFIG).is_file()
        if not is_run or before in found or checkpoint not in run_files.checkpoints_of(before):
            return found
        found.insert(0, before)


def first_base(run: Path) -> Path:
    """Return what the first run of a lineage began with."""
    return Path(run_files.read_config(lineage(run)[0]).model_path)


def roles_in(run_directory: Path, corpora: Sequence[str]) -> dict[str, str | None]:
    """What corpora were to a run: "domain", "general" (replayed or only measured), or None."""
    known: dict[str, str] = {}
    for run in lineage(run_directory):
        for use in run_files.read_config(run).settings.data.corpora:
            known.setdefault(use.name, "domain" if use.role == "domain" else "general")
    return {name: known.get(name) for name in corpora}


def back_to_base(trained: ModelReference, base: Path, shares: Sequence[float]) -> list[Point]:
    """Base + a (trained - base) for each a; 0 is the base and 1 the trained model."""
    return [
        Point(
            f"{share:g} of {trained.label}",
            (
                WeightedModel(base, None, 1 - share),
                WeightedModel(trained.model, trained.adapter, share),
            ),
            share,
        )
        for share in _checked(shares)
    ]


def instruct_delta(
    trained: ModelReference, base: Path, instruct: Path, shares: Sequence[float]
) -> list[Point]:
    """Return the trained + s (instruct - base) for each s.

    Raises:
        UserError: base and instruct model are the same, so there is no difference.
    """
    if base.resolve() == instruct.resolve():
        raise UserError(
            f"The base model is the instruct model itself ({instruct.name}), so there is no "
            "difference to add. Choose the base model that the instruct model was made from."
        )
    return [
        Point(
            f"{trained.label} + {share:g} ({instruct.name} - base)",
            (
                # Its tokenizer knows the chat template.
                WeightedModel(instruct, None, share),
                WeightedModel(trained.model, trained.adapter, 1.0),
                WeightedModel(base, None, -share),
            ),
            share,
        )
        for share in _checked(shares)
    ]


def average(run_directory: Path, count: int) -> Point:
    """Return the mean of a run's last checkpoints.

    Raises:
        UserError: the run has fewer.
    """
    complete = run_files.checkpoints_of(run_directory)
    if len(complete) < count:
        raise UserError(
            f"The run {run_directory.name!r} has {len(complete)} complete checkpoints, "
            f"fewer than {count}."
        )
    base = Path(run_files.read_config(run_directory).model_path)
    parts = []
    for checkpoint in complete[-count:]:
        whole = run_files.read_manifest(checkpoint).layout == "model"
        model, adapter = (checkpoint, None) if whole else (base, checkpoint)
        parts.append(WeightedModel(model, adapter, 1 / count))
    steps = ", ".join(str(run_files.checkpoint_step(path.name)) for path in complete[-count:])
    return Point(f"mean of {run_directory.name} at {steps}", tuple(parts))


def _checked(shares: Sequence[float]) -> list[float]:
    for share in shares:
        if not math.isfinite(share) or abs(share) > 10:
            raise UserError(f"{share} is not a mix ratio. Use numbers such as 0.75.")
    return list(dict.fromkeys(shares))
