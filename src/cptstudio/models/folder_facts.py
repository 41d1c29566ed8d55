"""Known facts about model folders, read again only when one of their files changed."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.lm.description import ModelDescription, describe_model
from cptstudio.models import architectures
from cptstudio.models.card import front_matter, read_card
from cptstudio.models.license import license_of

_MOST_KEPT: Final = 4096
_LONGEST_ID: Final = 200
_MOST_BASES: Final = 8


@dataclass(frozen=True)
class FolderFacts:
    """A model folder, by its configuration and the headers of its weights.

    Attributes:
        description: None when that cannot be told.
        error: why it cannot be described.
        license: as its own card names it.
        bases: ids on the hub of the models that it was made from, as its card names them.
        bytes: of all its files.
        changed: Unix seconds of its newest file.
    """

    description: ModelDescription | None
    error: str | None
    license: str | None
    bases: tuple[str, ...]
    bytes: int
    changed: float | None

    @property
    def obstacle(self) -> str | None:
        """Why it cannot be loaded; None when nothing is known against it."""
        if self.description is None:
            return self.error
        return why_not_loaded(self.description) or self.description.obstacle


def why_not_loaded(description: ModelDescription) -> str | None:
    """Return why a model whose folder is sound cannot be loaded here, whatever its weights."""
    error = architectures.obstacle(description.model_type)
    if error is None and description.needs_remote_code:
        return (
            "it brings Python code of its own, which would have to be run to load it. This "
            "server runs no code of models."
        )
    return error


class KnownFolders:
    """The facts of all folders that were asked about."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Path, tuple[durable.FolderSignature, FolderFacts]] = OrderedDict()

    def facts(self, path: Path) -> FolderFacts:
        """Return what a folder holds; nothing is raised for a broken one."""
        signature = durable.folder_signature(path)
        with self._lock:
            known = self._known.get(path)
            if known is not None and known[0] == signature:
                self._known.move_to_end(path)
                return known[1]
        facts = _read(path, signature)
        with self._lock:
            self._known[path] = (signature, facts)
            while len(self._known) > _MOST_KEPT:
                self._known.popitem(last=False)
        return facts


def _read(path: Path, signature: durable.FolderSignature) -> FolderFacts:
    description, error = None, None
    try:
        description = describe_model(path)
    except UserError as refused:
        error = str(refused)
    except OSError as refused:
        error = f"{path} cannot be read: {refused.strerror}."
    is_model = any(name == "config.json" for name, _, _, _ in signature)
    matter = front_matter(read_card(path) or "")
    changed = max((time_ns for _, _, time_ns, _ in signature), default=None)
    return FolderFacts(
        description,
        error,
        license_of(matter),
        _bases(matter.get("base_model")),
        # What is no model may be any folder of the machine, whose whole tree is not walked.
        bytes_below(path) if is_model else _bytes_in(path),
        None if changed is None else changed / 1e9,
    )


def _bases(said: Any) -> tuple[str, ...]:
    """A card's `base_model`: one id or several (huggingface.co/docs/hub/model-cards)."""
    listed = said if isinstance(said, list) else [said]
    ids = [one for one in listed if isinstance(one, str) and 0 < len(one) <= _LONGEST_ID]
    return tuple(ids[:_MOST_BASES])


def _bytes_in(path: Path) -> int:
    """Bytes of the files that lie in a folder itself."""
    try:
        with os.scandir(path) as entries:
            return sum(one.stat().st_size for one in entries if one.is_file())
    except OSError:
        return 0


def bytes_below(path: Path) -> int:
    """Bytes of the files below a folder, through links to files."""
    return sum(size for _, size in files_of(path))


def files_of(path: Path) -> list[tuple[str, int]]:
    """Name and bytes of each file below a folder, through links to files, sorted by name.

    What vanishes meanwhile, and a link to nothing, is left out.
    """
    found = []
    for folder, _, names in os.walk(path):
        for name in names:
            file = os.path.join(folder, name)
            try:
                found.append((os.path.relpath(file, path), os.stat(file).st_size))
            except OSError:
                continue
    return sorted(found)
