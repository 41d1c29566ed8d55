"""A dataset of the hub: what it holds, and what its files look like. Asks the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cptstudio.datasets.layout import Configuration, Split, configurations, converted
from cptstudio.errors import UserError
from cptstudio.models.card import CARD, CARD_LIMIT, front_matter
from cptstudio.models.fetching import RemoteFile
from cptstudio.models.hub import card_at, explained, understood
from cptstudio.models.hub_address import check_id, check_online, check_revision
from cptstudio.models.license import license_of
from cptstudio.models.staging import list_commit, remote_file

CONVERTED = "refs/convert/parquet"
"""The branch in which the hub keeps its own conversion of a dataset."""
_FILES_LIMIT = 100_000


@dataclass(frozen=True)
class Dataset:
    """A dataset at a commit.

    Attributes:
        revision: what was asked for, such as "main".
        files: by path.
        card: its README.md, as text.
        is_converted: the files are the hub's own conversion to Parquet.
    """

    id: str
    revision: str
    commit: str
    license: str | None
    card: str
    configurations: Sequence[Configuration]
    files: dict[str, RemoteFile]
    is_converted: bool

    def find(self, configuration: str | None, split: str | None) -> tuple[Configuration, Split]:
        """Return the configuration and split of these names, or those that are usual.

        Raises:
            UserError: it has none of this name, or several and none was named.
        """
        wanted = [
            one
            for one in self.configurations
            if one.name == configuration or (configuration is None and one.is_default)
        ]
        if not wanted:
            names = ", ".join(one.name for one in self.configurations[:40])
            said = f"no configuration {configuration!r}" if configuration else "several"
            raise UserError(f"{self.id} has {said}: choose one of {names}.")
        chosen = wanted[0]
        named = [one for one in chosen.splits if one.name == (split or "train")]
        if not named and split is None and len(chosen.splits) == 1:
            named = list(chosen.splits)
        if not named:
            names = ", ".join(one.name for one in chosen.splits)
            raise UserError(
                f"{chosen.name} of {self.id} has no split {split or 'train'!r}: choose one of "
                f"{names}."
            )
        return chosen, named[0]


def look_up(dataset_id: str, revision: str | None = None) -> Dataset:
    """Ask the hub what a dataset holds.

    Raises:
        UserError: it is not there, may not be read, or holds nothing that is read here.
    """
    check_id(dataset_id, "dataset")
    check_revision(revision or "main")
    check_online()
    with explained(dataset_id, kind="dataset", download=False), understood():
        commit, listed = list_commit("dataset", dataset_id, revision or "main")
        _check_count(dataset_id, listed)
        files = {entry.path: entry for entry in listed}
        text = card_at("dataset", dataset_id, commit) if CARD in files else ""
        matter = front_matter(text)
        found = configurations(matter, list(files))
        is_converted = not found and revision in (None, "main")
        if is_converted:
            commit, files, found = _conversion(dataset_id, matter)
        wanted = {path for one in found for split in one.splits for path in split.files}
        known = {path: remote_file(files[path]) for path in sorted(wanted)}
    return Dataset(
        dataset_id,
        CONVERTED if is_converted else revision or "main",
        commit,
        license_of(matter),
        text[:CARD_LIMIT],
        found,
        known,
        is_converted,
    )


def _check_count(dataset_id: str, listed: Sequence[Any]) -> None:
    if len(listed) > _FILES_LIMIT:
        raise UserError(
            f"{dataset_id} has {len(listed):,} files; up to {_FILES_LIMIT:,} are looked at."
        )


def _conversion(
    dataset_id: str, matter: dict[str, Any]
) -> tuple[str, dict[str, Any], list[Configuration]]:
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        commit, listed = list_commit("dataset", dataset_id, CONVERTED)
    except RevisionNotFoundError:
        listed = []
    found = converted(matter, [entry.path for entry in listed])
    if not found:
        raise UserError(
            f"{dataset_id} has no Parquet, JSON lines, JSON or CSV files, and the hub has not "
            "converted it. Download its files and build the corpus from them."
        )
    return commit, {entry.path: entry for entry in listed}, found


def facts(dataset: Dataset) -> dict[str, Any]:
    """Return what is shown of a dataset: everything but its files."""
    sizes = {path: file.size for path, file in dataset.files.items()}
    return {
        "id": dataset.id,
        "revision": dataset.revision,
        "commit": dataset.commit,
        "license": dataset.license,
        "converted": dataset.is_converted,
        "configurations": [
            {
                "name": one.name,
                "is_default": one.is_default,
                "splits": [
                    {
                        "name": split.name,
                        "files": len(split.files),
                        "bytes": sum(sizes[path] for path in split.files),
                        "rows": split.rows,
                    }
                    for split in one.splits
                ],
            }
            for one in dataset.configurations[:500]
        ],
    }
