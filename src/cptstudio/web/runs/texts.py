"""A run's texts: completions and settings. Its log is in `logs`."""

from __future__ import annotations

from typing import Any, Final

from cptstudio.evaluation import samples
from cptstudio.runs.external.imported_list import ID_PREFIX
from cptstudio.settings import TrainingSettings
from cptstudio.web.runs.run_library import RunLibrary

MOST_LINES: Final = 5000


def current_samples(library: RunLibrary, run: str) -> list[dict[str, Any]]:
    """The completions that hold: a resumed session replaces what came after its checkpoint."""
    if run.startswith(ID_PREFIX):
        library.imported(run)
        return []
    return samples.current_samples(library.directory(run))


def settings_yaml(settings: TrainingSettings) -> str:
    """Return the whole tree, which `--config` reads."""
    import yaml

    tree = settings.model_dump(mode="json")
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
