"""The configuration of a run that starts from another one's checkpoint."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from cptstudio.errors import Finding, UserError
from cptstudio.ledgers.ledger import read_ledger, record_of
from cptstudio.run_files import CHECKPOINTS, LedgerRecord, Parent, RunConfig, read_base_model
from cptstudio.settings import (
    FIXED_IN_FORK,
    FREE_IN_FORK,
    UNUSABLE,
    TrainingSettings,
    parse_settings,
)
from cptstudio.validation import title_of
from cptstudio.workspace import Workspace, check_name


def forked(
    parent: RunConfig, directory: Path, checkpoint: str, name: str, changes: Mapping[str, Any]
) -> RunConfig:
    """Return the parent's configuration with changes, a new name and its origin.

    Every value that the parent resolved stays as it is, so that the fork differs in what was
    changed and in nothing else.

    Args:
        checkpoint: name of the checkpoint whose weights the fork starts from.
        changes: dotted names of settings and new values.

    Raises:
        UserError: a setting is unknown or cannot be changed in a fork.
    """
    check_name(name, "run")
    fixed = sorted(
        key for key in changes if key.split(".")[0] in FIXED_IN_FORK and key not in FREE_IN_FORK
    )
    if fixed:
        raise UserError(
            "A fork keeps the model, corpora and method of its parent run. Create a new "
            "run instead.",
            [
                Finding("A fork cannot change this.", key, title_of(TrainingSettings, key))
                for key in fixed
            ],
        )
    tree = parent.settings.model_dump(mode="json")
    for key, value in changes.items():
        _set(tree, key, value)
    settings = parse_settings(tree)
    return parent.model_copy(
        update={
            "name": name,
            "created": time.time(),
            "settings": settings,
            "facts": _ledger(settings, directory),
            "chosen": None
            if parent.chosen is None
            else tuple(key for key in parent.chosen if changes.get(key) is None),
            **_base(parent, directory),
            # It has no steps of before that another network did.
            "configuration_reading": "normalized",
            "versions": {name: _installed(name, old) for name, old in parent.versions.items()},
            "parent": Parent(
                run=parent.name,
                path=str(directory),
                checkpoint=str(directory / CHECKPOINTS / checkpoint),
            ),
        }
    )


def _ledger(settings: TrainingSettings, directory: Path) -> LedgerRecord | None:
    """The ledger that the fork's evaluations ask, as it is now."""
    name = settings.evaluation.facts
    if name is None:
        return None
    try:
        # <workspace>/models/cpt/<run>
        return record_of(read_ledger(Workspace(directory.parent.parent.parent), name))
    except UserError as error:
        found = [Finding.of(error, "evaluation.facts")]
        raise UserError("This run cannot be prepared:", found) from None


def _base(parent: RunConfig, directory: Path) -> dict[str, Any]:
    """What the parent's first session found out about its base, where its config.json does not."""
    record = read_base_model(directory) if parent.model_hash is None else None
    if record is None:
        return {}
    return {
        "model_hash": record.hash,
        "model_files": record.files,
        "model_sizes": None,
    }


def _installed(package: str, recorded: str) -> str:
    """The version there is now of what the parent's record names."""
    if package == "python":
        return platform.python_version()
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return recorded


def _set(tree: dict[str, Any], key: str, value: Any) -> None:
    *groups, last = key.split(".")
    for group in groups:
        inner = tree.get(group)
        if not isinstance(inner, dict):
            raise UserError(UNUSABLE, [Finding("Unknown field.", key, key)])
        tree = inner
    tree[last] = value
