"""A commit of the hub, its files, and the folder in which their parts are kept.

A file is `<digest>.part` there, and `<digest>` when it is whole and its digest is right.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.models.fetching import RemoteFile, RepoKind
from cptstudio.models.hub_address import endpoint


@dataclass(frozen=True)
class Snapshot:
    """A commit to download, with its files."""

    commit: str
    files: Sequence[RemoteFile]

    @property
    def bytes(self) -> int:
        """Of all files, each content once."""
        return sum({file.digest: file.size for file in self.files}.values())


def list_commit(kind: RepoKind, repo_id: str, revision: str) -> tuple[str, list[Any]]:
    """Return which commit a revision is, and the files that the hub lists of it.

    Raises:
        UserError: the hub does not say which commit it is.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    api = HfApi(endpoint=endpoint())
    info = api.repo_info(repo_id, repo_type=kind, revision=revision, timeout=30.0)
    commit = info.sha
    if commit is None or re.fullmatch(r"[0-9a-f]{40}", commit) is None:
        raise UserError(f"{endpoint()} does not tell the commit of {revision} of {repo_id}.")
    listed = api.list_repo_tree(repo_id, repo_type=kind, recursive=True, revision=commit)
    return commit, [entry for entry in listed if isinstance(entry, RepoFile)]


def remote_file(entry: Any) -> RemoteFile:
    """Return a file as the hub lists it.

    Raises:
        UserError: what the hub says of it cannot be.
    """
    large = entry.lfs is not None
    digest = str(entry.lfs.sha256 if large else entry.blob_id)
    # It becomes the name of a file.
    if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", digest) is None or int(entry.size) < 0:
        raise UserError(f"{endpoint()} lists {entry.path} with an invalid digest.")
    return RemoteFile(entry.path, int(entry.size), digest, large)


def check_room(staged: Path, size: int, what: str) -> None:
    """Refuse what the disk has no room for, beside what came of it before.

    Raises:
        UserError: says how much is needed and how much is free.
    """
    there = sum(entry.stat().st_size for entry in staged.iterdir())
    durable.check_room(staged, max(0, size - there), what)


@contextmanager
def parts_kept_in(folder: Path, what: str) -> Iterator[Path]:
    """Keep a folder for parts, which stays when the download ends early.

    Raises:
        UserError: another process downloads into it.
    """
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"Another process is already downloading {what}.") from None
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
