"""Models in the local Hugging Face cache, read from its folders.

    <cache>/models--<org>--<name>/refs/main               the commit that "main" was
    <cache>/models--<org>--<name>/snapshots/<commit>/     links to the files of that commit

(huggingface.co/docs/huggingface_hub/guides/manage-cache). The cache is only read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cptstudio import durable
from cptstudio.errors import UserError

_PREFIX = "models--"
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class CachedModel:
    """A model's snapshot in the cache.

    Attributes:
        name: its id, such as "Qwen/Qwen3-0.6B-Base".
        is_main: the id alone means this snapshot.
    """

    name: str
    path: Path
    is_main: bool


def cache_folder() -> Path:
    """Where the cache is, whether it exists or not; the environment may say (HF_HUB_CACHE)."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).expanduser()


def cached_models(cache: Path) -> Iterator[CachedModel]:
    """Yield one snapshot of each model: that of main, otherwise the newest."""
    try:
        folders = sorted(path for path in cache.iterdir() if path.name.startswith(_PREFIX))
    except OSError:
        return
    for folder in folders:
        name = folder.name.removeprefix(_PREFIX).replace("--", "/", 1)
        found = _snapshot(folder)
        if found is not None:
            yield CachedModel(name, *found)


def _snapshot(folder: Path) -> tuple[Path, bool] | None:
    try:
        commit = durable.read_bytes(folder / "refs" / "main", 1024).decode("ascii").strip()
    except (OSError, UserError, UnicodeDecodeError):
        commit = ""
    snapshots = folder / "snapshots"
    if _COMMIT.fullmatch(commit) and (snapshots / commit).is_dir():
        return snapshots / commit, True
    try:
        there = [path for path in snapshots.iterdir() if path.is_dir()]
        newest = max(there, key=lambda path: path.stat().st_mtime, default=None)
    except OSError:
        return None
    return (newest, False) if newest is not None else None
