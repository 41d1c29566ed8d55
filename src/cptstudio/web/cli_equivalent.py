"""The same run as a command line and as YAML: settings that differ from their defaults."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from cptstudio.setting_flags import MIXTURE_FLAGS, flag_of, leaves, value_of
from cptstudio.settings import CorpusUse, TrainingSettings


def command_line(settings: TrainingSettings, name: str | None = None) -> str:
    """Return the command that trains the same: only flags that are not at their default."""
    words = ["cpt-studio", "train"]
    if name:
        words += ["--name", name]
    words += ["--model", settings.model.path]
    for use in settings.data.corpora:
        words += [MIXTURE_FLAGS[use.role], _mixture(use)]
    for dotted, field in leaves():
        value = value_of(settings, dotted)
        if value == field.get_default(call_default_factory=True):
            continue
        flag = flag_of(dotted)
        if value is None:
            continue  # Chosen for the user: leaving it out says so.
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag.removeprefix('--')}")
        elif value == () and dotted == "evaluation.prompts":
            words.append("--no-samples")  # As runs of before say it.
        elif isinstance(value, tuple):
            for item in value:
                words += [flag, str(item)]
        else:
            words += [flag, str(value)]
    return shlex.join(words)


def fork_command(parent: str, name: str, checkpoint: str, changes: Mapping[str, Any]) -> str:
    """Return the command that forks the same."""
    words = ["cpt-studio", "runs", "fork", parent, name, "--checkpoint", checkpoint]
    for setting, value in changes.items():
        words += ["--set", f"{setting}={'null' if value is None else value}"]
    return shlex.join(words)


def yaml_text(settings: TrainingSettings) -> str:
    """Return the tree as YAML, without what is at its default; `--config` reads it."""
    import yaml

    tree = settings.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def _mixture(use: CorpusUse) -> str:
    return use.name if use.weight == 1.0 else f"{use.name}:{use.weight}"
