"""Is what a run goes on with what it was prepared with? Asked at each start and resume.

Every input is named in config.json by its hash, and config.json itself is kept in each checkpoint.
What has changed is told by its file, with what was expected and what there is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from cptstudio import durable
from cptstudio.corpus.tokenizer import behaviour_hash_of, load_tokenizer
from cptstudio.errors import UserError
from cptstudio.lm.identity import hash_of_files, model_files, sizes_and_times, tokenizer_files
from cptstudio.run_files import (
    BASE_MODEL,
    CONFIG,
    TRAINING_STATE,
    BaseModelRecord,
    RunConfig,
    read_base_model,
    read_config,
    write_record,
)

SHOWN: Final = 12
"""Digits of a hash that are shown."""

# Where things lie may change: what they hold is told by their hashes.
_PLACES: Final = (
    "model_path", "settings.model.path", "parent.path", "parent.checkpoint", "facts.path",
)  # fmt: skip
_MOST_SHOWN: Final = 5


def check_model(
    config: RunConfig, run_directory: Path, hashes: Callable[[Path], dict[str, str]] = model_files
) -> dict[str, str]:
    """Compare the base model's weights and configuration with what the run was prepared with.

    Args:
        hashes: gives the SHA-256 of the base's files, read anew or remembered.

    Returns:
        These hashes.

    Raises:
        UserError: names the first file that differs, where the run's record tells.
    """
    folder = Path(config.model_path)
    expected = config.model_files
    if config.model_hash is None:
        record = read_base_model(run_directory)
        expected = record.files if record is not None else None
        if record is None and (changed := _changed_since(config)):
            raise UserError(
                f"The base model in {folder} has changed since this run was created: "
                f"{changed}. Restore the original files, or create a new run with the "
                "current model."
            )
    found = hashes(folder)
    wanted = config.model_hash or (hash_of_files(expected) if expected is not None else None)
    if wanted is None or hash_of_files(found) == wanted:
        return found
    raise UserError(
        f"The base model in {folder} is not the one this run was created with: "
        f"{_difference(expected, found)}. Restore the original files and resume, or "
        "create a new run with the current model."
    )


def _changed_since(config: RunConfig) -> str:
    """What differs from when a run was prepared whose base had not been read then."""
    was = config.model_sizes or {}
    now = sizes_and_times(Path(config.model_path))
    names = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more} {'have' if more else 'has'} a different size or date" if names else ""


def note_model(config: RunConfig, run_directory: Path, files: dict[str, str]) -> None:
    """Keep with the run which base it is trained on, where config.json does not say it."""
    if config.model_hash is None and read_base_model(run_directory) is None:
        record = BaseModelRecord(read=time.time(), hash=hash_of_files(files), files=files)
        write_record(run_directory / BASE_MODEL, record)


def _difference(expected: dict[str, str] | None, found: dict[str, str]) -> str:
    if expected is None:
        return "its weights (*.safetensors) or its config.json differ"
    parts = []
    for name in sorted(expected.keys() | found.keys()):
        was, now = expected.get(name), found.get(name)
        if was is None:
            parts.append(f"{name} is new")
        elif now is None:
            parts.append(f"{name} is missing")
        elif was != now:
            parts.append(f"{name} has SHA-256 {now[:SHOWN]}… instead of {was[:SHOWN]}…")
    return "; ".join(parts[:_MOST_SHOWN])


def check_tokenizer(config: RunConfig, loaded: Any) -> None:
    """Compare the base's tokenizer with the one that made the corpora's tokens.

    Args:
        loaded: the tokenizer as transformers loaded it.

    Raises:
        UserError: it yields other tokens.
    """
    folder = Path(config.model_path)
    _check_template(config, folder)
    files = tokenizer_files(folder)
    if files == config.tokenizer_files:
        return  # Which spares seconds, with a vocabulary of 262,000.
    expected = config.corpora[0].tokenizer_hash
    if behaviour_hash_of(loaded) == expected:
        return
    # How it was loaded may be a part of the difference: asked again as the corpora ask.
    found = load_tokenizer(config.model_path).facts.hash
    if found != expected:
        which = ""
        if config.tokenizer_files is not None:
            which = f" ({_difference(config.tokenizer_files, files)})"
        raise UserError(
            f"The tokenizer in {folder} is not the one this run's corpora were tokenized "
            f"with{which}: it is {found[:SHOWN]}… instead of {expected[:SHOWN]}…. Restore "
            "the original files and resume, or tokenize the corpora for the current "
            "model and create a new run."
        )


def _check_template(config: RunConfig, folder: Path) -> None:
    """Compare the base's chat template with the one that the run's conversations are in.

    Raises:
        UserError: it is another one, which the checkpoints would be asked with.
    """
    wanted = {record.template_hash for record in config.corpora} - {None}
    if not wanted:
        return
    template = load_tokenizer(folder).template
    if template is None or template.hash not in wanted:
        found = "none" if template is None else f"{template.hash[:SHOWN]}…"
        raise UserError(
            f"The chat template in {folder} is not the one that this run's conversations are in: "
            f"it is {found} instead of {min(filter(None, wanted))[:SHOWN]}…. Restore the original "
            "files and resume, or tokenize the corpora again and create a new run."
        )


def check_config(run_directory: Path, checkpoint: Path) -> None:
    """Compare config.json with what it was when a checkpoint was written.

    Checkpoints of before it was kept in them are not compared.

    Raises:
        UserError: names the settings that were changed, with both values.
    """
    try:
        former = durable.read_json(checkpoint / TRAINING_STATE / CONFIG)
    except FileNotFoundError:
        return
    before, now = _leaves(former), _leaves(durable.read_json(run_directory / CONFIG))
    changed = [
        f"{name} was {_shown(before, name)} and is now {_shown(now, name)}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name, ...) != now.get(name, ...)
    ]
    if changed:
        more = len(changed) - _MOST_SHOWN
        raise UserError(
            f"{run_directory / CONFIG} was edited after {checkpoint.name} was written: "
            f"{'; '.join(changed[:_MOST_SHOWN])}{f'; and {more} more' if more > 0 else ''}. "
            "A run keeps its configuration. Restore the earlier values and resume, or "
            "fork the run from that checkpoint and change them there."
        )


def check_reading(config: RunConfig, checkpoint: Path) -> None:
    """Refuse to go on with another network than the one that a checkpoint was trained as.

    Raises:
        UserError: the run is of before configurations were normalized, and its base's is one where
            that makes a difference; names what the run was trained with and what is right.
    """
    if config.configuration_reading == "normalized":
        return
    found = _differences(config, config.settings.data.sequence_length or 0)
    if found:
        # Another base than it was trained on says nothing about it.
        check_model(config, checkpoint.parent.parent)
        raise UserError(
            f"The run {config.name!r} was trained up to {checkpoint.name} by an earlier "
            "version that misread the configuration of its base model in "
            f"{config.model_path}: {'; '.join(found)}. This version uses the right "
            "values, which would change the network in the middle of the run. Create a "
            "new run with the base model, or, to keep what was learned, fork the run "
            f"from {checkpoint.name}: the fork trains with the right values from its "
            "first step, so its loss is higher there at first."
        )


def notes_on_parent(config: RunConfig) -> list[str]:
    """Say that the checkpoint which a fork starts from was trained as another network, if so."""
    if config.parent is None:
        return []
    try:
        former = read_config(Path(config.parent.path))
    except UserError:
        return []  # Deleted since, or moved.
    if former.configuration_reading == "normalized":
        return []
    found = _differences(config, former.settings.data.sequence_length or 0)
    return [
        f"The checkpoint of the run {config.parent.run!r} that this run starts from was "
        f"trained with {one}. This run uses the right value, so its loss is higher at "
        "first."
        for one in found
    ]


def _differences(config: RunConfig, context: int) -> list[str]:
    # Imports MLX, which those that only compare files do without.
    from cptstudio.lm.former_reading import differences

    return differences(Path(config.model_path), context)


def _leaves(value: Any) -> dict[str, Any]:
    return {
        name: leaf
        for name, leaf in _walk(value, "")
        if name not in _PLACES and not (name.startswith("corpora.") and name.endswith(".path"))
    }


def _walk(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    inner: Sequence[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    if not inner:
        yield name, value
    for key, one in inner:
        yield from _walk(one, f"{name}.{key}" if name else str(key))


def _shown(leaves: dict[str, Any], name: str) -> str:
    return json.dumps(leaves[name], ensure_ascii=False)[:60] if name in leaves else "missing"
