"""Weighted sums of models as they are measured: made in memory when first needed, and saved."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.evaluation.results import Results
from cptstudio.job_programs import TellsProgress, counted
from cptstudio.lm.loading import (
    LoadedModel,
    cast_floating,
    default_compute_dtype,
)
from cptstudio.lm.merge_record import MergedPart, MergeRecord, write_merge_record
from cptstudio.lm.merging import Part, merge
from cptstudio.lm.parameters import named_parameters
from cptstudio.lm.saving import save_model_folder
from cptstudio.workspace import check_new_name


def parts_of(point: dict[str, Any]) -> list[Part]:
    """Return the parts of a point of a request."""
    return [
        Part(
            Path(part["model"]),
            Path(part["adapter"]) if part["adapter"] else None,
            float(part["weight"]),
        )
        for part in point["parts"]
    ]


def identities_of(parts: Sequence[Part], results: Results) -> list[list[Any]]:
    """Return what tells a sum from others: the identity and the weight of each part."""
    return [
        [results.identity(part.model, part.adapter), part.weight] for part in parts if part.weight
    ]


class MadePoint:
    """A point's model, made when it is first needed."""

    def __init__(self, label: str, detail: str, parts: list[Part], answer: TellsProgress) -> None:
        self.label, self.detail, self.parts = label, detail, parts
        self._answer = answer
        self._loaded: LoadedModel | None = None

    def as_stored(self) -> LoadedModel:
        """In the type of the models' files."""
        if self._loaded is None:
            tell = counted(self._answer, f"merging {self.label}", "tensors", self.detail)
            self._loaded = merge(self.parts, tell)
        return self._loaded

    def to_compute(self) -> LoadedModel:
        """In the type that is computed with; after this it is not to be saved any more."""
        loaded = self.as_stored()
        if default_compute_dtype() == mx.float32:
            cast_floating(loaded.model, mx.float32, loaded.lasting)
        return loaded


def save_merged(loaded: LoadedModel, target: Path, label: str, parts: Sequence[Part]) -> None:
    """Write a sum as a model folder, whole or not at all.

    Raises:
        UserError: the name is no name, or the folder cannot be written.
    """
    check_new_name(target, "model")
    staged = durable.staging_path(target)
    try:
        staged.mkdir()
        save_model_folder(staged, loaded, named_parameters(loaded.model))
        made_of = [
            MergedPart(str(part.adapter or part.model), part.weight)
            for part in parts
            if part.weight
        ]
        write_merge_record(staged, MergeRecord(label, tuple(made_of)))
        durable.flush_tree(staged)
        durable.commit_directory(staged, target)
    except OSError as error:
        raise UserError(f"Could not write {target}: {error.strerror}. Nothing was saved.") from (
            error
        )
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def free_target(save: dict[str, Any] | None) -> Path | None:
    """Return the folder that a point is to be saved in, its parent made; None without a save.

    Raises:
        UserError: something is there.
    """
    target = Path(save["folder"]) if save else None
    if target is None:
        return None
    if target.exists() or target.is_symlink():
        raise UserError(f"{target} already exists. Choose another name.")
    # Now, since a workspace that is renamed while weights are summed is not to be made anew.
    target.parent.mkdir(parents=True, exist_ok=True)
    return target
