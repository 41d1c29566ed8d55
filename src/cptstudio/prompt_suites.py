"""Prompt suites: sets of prompts that are put to checkpoint after checkpoint.

    <workspace>/suites/<name>.json      {"prompts": [...], "sampling": {...}}

A run that names a suite completes its prompts at each evaluation.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.sampling import SUITE_SAMPLING, Asked, Sampling
from cptstudio.settings import SAMPLED, TrainingSettings, parse_settings
from cptstudio.validation import sentences
from cptstudio.workspace import NAME_PATTERN, Workspace, check_name, check_new_name

_FOLDER = "suites"
_LARGEST = 4 * durable.MEBIBYTE


class Suite(Asked):
    """A set of prompts and how they are completed."""

    prompts: tuple[str, ...] = Field(min_length=1, max_length=500)
    sampling: Sampling = SUITE_SAMPLING


def suite_names(workspace: Workspace) -> list[str]:
    """Return the names of the suites that are there, sorted."""
    try:
        entries = sorted((workspace.root / _FOLDER).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [
        path.stem
        for path in entries
        if path.suffix == ".json" and path.is_file() and NAME_PATTERN.fullmatch(path.stem)
    ]


def read_suite(workspace: Workspace, name: str) -> Suite:
    """Return a suite by its name.

    Raises:
        UserError: there is none, or its file cannot be used.
    """
    path = _path(workspace, name)
    try:
        return Suite.model_validate(durable.read_json(path, _LARGEST))
    except FileNotFoundError:
        there = ", ".join(suite_names(workspace)) or "none yet"
        raise UserError(f"No suite named {name!r}. Available: {there}.") from None
    except ValidationError as error:
        raise UserError(f"{path} is not a valid suite:", sentences(error, Suite)) from None


def write_suite(workspace: Workspace, name: str, suite: Suite) -> Path:
    """Save a suite under a name, in the place of a former one; returns its file."""
    path = _path(workspace, name)
    check_new_name(path, "suite")
    workspace.make(path.parent)
    durable.write_json(path, suite.model_dump(mode="json"))
    return path


def suite_file(workspace: Workspace, name: str) -> Path:
    """Return the file of a suite by its name."""
    return _path(workspace, name)


def delete_suite(workspace: Workspace, name: str) -> None:
    """Remove a suite; answers that were kept stay."""
    read_suite(workspace, name)
    _path(workspace, name).unlink(missing_ok=True)


def with_suite(workspace: Workspace, settings: TrainingSettings) -> TrainingSettings:
    """Settings in which the suite they name stands as prompts and sampling; others as they are.

    Raises:
        UserError: there is no such suite, or it samples as training does not.
    """
    name = settings.evaluation.suite
    if name is None:
        return settings
    suite = read_suite(workspace, name)
    sampling = suite.sampling
    unknown = [
        (field.title or field_name).lower()
        for field_name, field in Sampling.model_fields.items()
        # A repetition window means nothing without a penalty.
        if field_name not in {*SAMPLED.values(), "repetition_window"}
        and getattr(sampling, field_name) != field.default
    ]
    if unknown:
        raise UserError(
            f"The suite {name!r} uses {' and '.join(unknown)}, which samples during training don't "
            "support. Run it on checkpoints with `cpt-studio suite run`, or save one without."
        )
    tree = settings.model_dump(mode="json")
    tree["evaluation"]["prompts"] = list(suite.prompts)
    tree["evaluation"] |= {own: getattr(sampling, of) for own, of in SAMPLED.items()}
    return parse_settings(tree)


def _path(workspace: Workspace, name: str) -> Path:
    return workspace.root / _FOLDER / f"{check_name(name, 'suite')}.json"
