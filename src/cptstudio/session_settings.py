"""The settings that a session of a run may change against its config.json: a closed list.

A run is trained in sessions, one for each start and resume. config.json stays what it is. What a
session was told otherwise stands in its `started` or `resumed` event, and holds for the sessions
after it, too, until one is told something else.

An update's tokens are the run's. A session may cut an update into smaller or larger micro-batches,
which see the same rows (`corpus.rows`), but never has larger or smaller updates.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from cptstudio.errors import Finding, UserError
from cptstudio.json_lines import read_json_lines_backwards
from cptstudio.lengths import TypedLength
from cptstudio.run_files import EVENTS, RunConfig
from cptstudio.setting_flags import flag_of, former_flags_of, value_of
from cptstudio.settings import (
    BatchSettings,
    ComputeSettings,
    Settings,
    TrainingSettings,
)
from cptstudio.validation import described, field_of, findings_of

OVERRIDES: Final = "overrides"
"""Name of these settings in a session's event."""
BEGINNINGS: Final = ("started", "resumed")
_SETTINGS: Final = {
    "batch_size": ("batch", "size"),
    "gradient_accumulation_steps": ("batch", "gradient_accumulation_steps"),
    "gradient_checkpointing": ("compute", "gradient_checkpointing"),
}
"""Group and name of the setting that each of them overrides; the others lie at the top."""
_OF_BATCH: Final = ("batch_size", "gradient_accumulation_steps")
_SEARCH_BYTES: Final = 64 * 1024 * 1024


class SessionSettings(Settings):
    """A session's settings; None means as in config.json, or as in the session before."""

    length: TypedLength | None = described(
        None, "Training length", "Total length, including the steps done so far."
    )
    former_names = {"rows": "batch_size", "accumulation": "gradient_accumulation_steps"}

    batch_size: int | None = field_of(BatchSettings, "size", default=None)
    gradient_accumulation_steps: int | None = field_of(
        BatchSettings, "gradient_accumulation_steps", default=None
    )
    gradient_checkpointing: bool | None = field_of(
        ComputeSettings, "gradient_checkpointing", default=None
    )

    def told(self) -> dict[str, Any]:
        """Return the settings as an event stores them."""
        return self.model_dump(mode="json", exclude_none=True)

    def flags(self) -> list[str]:
        """As arguments of the training program."""
        arguments: list[str] = []
        for name, value in self.told().items():
            flag = flag_of(setting_of(name))
            if isinstance(value, bool):
                arguments.append(flag if value else flag.replace("--", "--no-", 1))
            else:
                arguments += [flag, str(value)]
        return arguments


def setting_of(name: str) -> str:
    """Return the dotted name of the setting that one of these overrides."""
    return ".".join(_SETTINGS.get(name, (name,)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Let the training program take what `SessionSettings.flags` makes."""
    for name, field in SessionSettings.model_fields.items():
        options: dict[str, Any] = {"type": str, "metavar": "VALUE"}
        if field.annotation == bool | None:
            options = {"action": argparse.BooleanOptionalAction, "default": None}
        setting = setting_of(name)
        flags = (flag_of(setting), *former_flags_of(setting))
        parser.add_argument(*flags, dest=name, help=f"{field.title} of this session", **options)


def given_by(options: argparse.Namespace) -> SessionSettings:
    """Return the settings given to such a parser.

    Raises:
        UserError: it cannot be used.
    """
    return parse_session({name: getattr(options, name) for name in SessionSettings.model_fields})


def parse_session(values: Mapping[str, Any]) -> SessionSettings:
    """Validate plain values.

    Raises:
        UserError: with all problems at once.
    """
    try:
        return SessionSettings.model_validate(values)
    except ValidationError as error:
        problems = findings_of(error, SessionSettings)
        raise UserError("Fix these settings:", problems) from None


def told_last(run_directory: Path, session: int | None = None) -> SessionSettings:
    """Return the settings of a run's last session; empty if there was none.

    Args:
        session: look for this one, or the last one before it.
    """
    for event in read_json_lines_backwards(run_directory / EVENTS, _SEARCH_BYTES):
        number = event.get("session")
        if event.get("event") not in BEGINNINGS or not isinstance(number, int):
            continue
        if session is None or number <= session:
            found = event.get(OVERRIDES)
            return parse_session(found) if isinstance(found, dict) else SessionSettings()
    return SessionSettings()


def for_session(
    config: RunConfig, before: SessionSettings, given: SessionSettings
) -> SessionSettings:
    """Return a session's settings from the given ones and those of the session before.

    What is as in config.json is left out. Micro-batches are those of the one that was given.

    Raises:
        UserError: an update of the run cannot be cut like this.
    """
    told = before.told()
    if given.batch_size is not None or given.gradient_accumulation_steps is not None:
        told = {name: value for name, value in told.items() if name not in _OF_BATCH}
    told |= given.told()
    cut = _micro_batches(config, *(told.get(name) for name in _OF_BATCH))
    told |= dict(zip(_OF_BATCH, cut, strict=True))
    own = {name: _own(config.settings, name) for name in told}
    return parse_session({name: value for name, value in told.items() if value != own[name]})


def in_session(config: RunConfig, session: SessionSettings) -> RunConfig:
    """Return the configuration as a session computes it; `for_session` made what it is told."""
    changed: dict[str, Any] = {}
    for name in SessionSettings.model_fields:
        value = getattr(session, name)
        if value is None:
            continue
        if name not in _SETTINGS:
            changed[name] = value
        else:
            group, own = _SETTINGS[name]
            former = changed.get(group, getattr(config.settings, group))
            changed[group] = former.model_copy(update={own: value})
    return config.model_copy(update={"settings": config.settings.model_copy(update=changed)})


def smaller(config: RunConfig, session: SessionSettings) -> SessionSettings | None:
    """A session with half the rows in a micro-batch and the same updates; None at one row."""
    rows = session.batch_size or config.settings.batch.cut[0]
    if rows == 1:
        return None
    return for_session(config, session, SessionSettings(batch_size=(rows + 1) // 2))


def _micro_batches(
    config: RunConfig, rows: int | None, accumulation: int | None
) -> tuple[int, int]:
    """Rows and number of the micro-batches of an update."""
    own_rows, own_times = config.settings.batch.cut
    if rows is None and accumulation is None:
        return own_rows, own_times
    # In the order of micro-batches each one can be cut, and none joined to another.
    joined = config.order_of == "rows"
    most = own_rows * own_times if joined else own_rows
    times = 1 if joined else own_times
    if rows is None:
        rows = max(1, -(-most * times // (accumulation or 1)))
    needed = times * -(-most // rows)
    if rows > most:
        raise _refused(
            "batch_size",
            f"Use at most {most:,}: each update of this run has {most:,} sequences."
            if joined
            else f"Use at most {most:,}: this run was created by an earlier version, whose "
            "micro-batches cannot be merged.",
        )
    if accumulation is not None and accumulation != needed:
        raise _refused(
            "gradient_accumulation_steps",
            f"Use {needed:,} with a batch size of {rows:,}: each update of this run has "
            f"{own_rows * own_times:,} sequences, which a resume cannot change. To change that, "
            "fork the run.",
        )
    return rows, needed


def _refused(name: str, problem: str) -> UserError:
    title = SessionSettings.model_fields[name].title or name
    return UserError("The run can't resume with these settings:", [Finding(problem, name, title)])


def _own(settings: TrainingSettings, name: str) -> Any:
    value = value_of(settings, setting_of(name))
    return str(value) if name == "length" else value
