"""What an export is made of: is the base still the one that was trained, where is its original."""

from __future__ import annotations

from pathlib import Path

from cptstudio import run_files
from cptstudio.evaluation.references import ModelReference
from cptstudio.lm.description import is_quantized
from cptstudio.lm.identity import kept_hashes, model_files
from cptstudio.models.card import front_matter, read_card
from cptstudio.models.library import Model, ModelLibrary
from cptstudio.training.run_integrity import check_model
from cptstudio.workspace import Workspace


def check_base(source: ModelReference, workspace: Workspace) -> None:
    """Refuse an adapter whose base is no longer what it was trained on.

    Raises:
        UserError: the base was moved, deleted or changed.
    """
    if source.run is None or source.adapter is None:
        return
    kept = kept_hashes(workspace.private)
    config = run_files.read_config(source.run)
    check_model(config, source.run, lambda folder: model_files(folder, kept))


def original_of(base: Path, library: ModelLibrary) -> tuple[str | None, Model | None]:
    """Return the model that a packed base was made of: its id by the card, and itself.

    Returns:
        No id where the base is not packed or its card names none; no model where it is not on
        this machine, or is packed itself.
    """
    if is_quantized(base) is None:
        return None, None
    named = _named_base(base)
    if named is None:
        return None, None
    for model in library.models():
        origin = model.origin.id if model.origin else model.name
        if origin == named and model.error is None and is_quantized(model.path) is None:
            return named, model
    return named, None


def _named_base(folder: Path) -> str | None:
    """Return what a model's card names as its base_model, or None."""
    named = front_matter(read_card(folder) or "").get("base_model")
    if isinstance(named, list):
        named = named[0] if len(named) == 1 else None
    return named if isinstance(named, str) else None
