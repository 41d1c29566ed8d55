"""Which files of a dataset's repository belong to which configuration and split.

As the hub has it (huggingface.co/docs/hub/datasets-manual-configuration and
datasets-file-names-and-splits): what the card declares under `configs` holds; otherwise folders and
file names tell the split, and what tells none is for training. What is in no format that is read
here is looked for in the branch in which the hub keeps its own conversion to Parquet, whose paths
are `<configuration>/<split>/<number>.parquet`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cptstudio.durable import integer

PARQUET = ".parquet"
JSON_LINES = (".jsonl", ".ndjson")
_READ = (PARQUET, *JSON_LINES, ".json", ".csv")
COMPRESSED = (".gz", ".zst")
_NUMBERED = re.compile(r"(?:^|/)data/([A-Za-z0-9_.]+)-\d{5}-of-\d{5}[^/]*$")
_CONVERTED = re.compile(r"([^/]+)/(?:partial-)?([^/]+)/\d+\.parquet")
_WORDS = {
    "train": "train|training",
    "validation": "validation|valid|dev|val",
    "test": "test|testing|eval|evaluation",
}
_USUAL = "default"
_NO_DATA = frozenset({"dataset_infos.json", "dataset_info.json", "state.json", "config.json"})


@dataclass(frozen=True)
class Split:
    """A part of a configuration.

    Attributes:
        files: paths in the commit, in their order.
        rows: as the card says; None where it does not.
    """

    name: str
    files: tuple[str, ...]
    rows: int | None = None


@dataclass(frozen=True)
class Configuration:
    """One of the datasets that a repository holds.

    Attributes:
        is_default: it is meant where none is named.
    """

    name: str
    is_default: bool
    splits: tuple[Split, ...]


def kind_of(path: str) -> str:
    """Return the suffix that says how a file is read, without that of its compression."""
    lower = path.lower()
    for suffix in COMPRESSED:
        lower = lower.removesuffix(suffix)
    return next((suffix for suffix in _READ if lower.endswith(suffix)), "")


def configurations(card: dict[str, Any], paths: Sequence[str]) -> list[Configuration]:
    """Return what a repository holds, in the order in which its card names it.

    Args:
        card: the front matter.
        paths: of all files of the commit.
    """
    data = [path for path in paths if kind_of(path) and path.split("/")[-1] not in _NO_DATA]
    declared = _declared(card, data)
    found = declared or [Configuration(_USUAL, True, _by_names(data))]
    rows = _rows(card)
    return [
        Configuration(
            one.name,
            one.is_default or len(found) == 1,
            tuple(Split(s.name, s.files, rows.get((one.name, s.name))) for s in one.splits),
        )
        for one in found
        if one.splits
    ]


def converted(card: dict[str, Any], paths: Iterable[str]) -> list[Configuration]:
    """Return what the hub's own conversion to Parquet holds."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted(paths):
        match = _CONVERTED.fullmatch(path)
        if match is not None:
            found.setdefault(match[1], {}).setdefault(match[2], []).append(path)
    rows = _rows(card)
    return [
        Configuration(
            name,
            name == _USUAL or len(found) == 1,
            tuple(Split(s, tuple(files), rows.get((name, s))) for s, files in splits.items()),
        )
        for name, splits in found.items()
    ]


def _declared(card: dict[str, Any], paths: Sequence[str]) -> list[Configuration]:
    """What the card declares; nothing where it declares nothing, or no file of it is here."""
    found = []
    given = card.get("configs")
    for one in given if isinstance(given, list) else []:
        if not isinstance(one, dict) or not isinstance(one.get("config_name"), str):
            continue
        name, folder = one["config_name"], one.get("data_dir")
        here = list(paths)
        if isinstance(folder, str) and folder.strip("./"):
            inside = f"{folder.strip('/').removeprefix('./')}/"
            here = [path for path in paths if path.startswith(inside)]
        patterns = one.get("data_files")
        splits = _by_names(here) if patterns is None else _by_patterns(patterns, here)
        is_default = one.get("default") is True or name == _USUAL
        if splits:
            found.append(Configuration(name, is_default, splits))
    return found


def _by_patterns(given: Any, paths: Sequence[str]) -> tuple[Split, ...]:
    if isinstance(given, dict):
        named = list(given.items())
    elif isinstance(given, list) and all(isinstance(one, dict) for one in given):
        named = [(one.get("split"), one.get("path")) for one in given]
    else:
        named = [("train", given)]
    splits: dict[str, list[str]] = {}
    for name, patterns in named:
        if not isinstance(name, str):
            continue
        for pattern in patterns if isinstance(patterns, list) else [patterns]:
            if isinstance(pattern, str):
                known = splits.setdefault(name, [])
                known += [one for one in _matching(pattern, paths) if one not in known]
    return tuple(Split(name, tuple(files)) for name, files in splits.items() if files)


def _matching(pattern: str, paths: Sequence[str]) -> list[str]:
    """The paths that a pattern means, sorted; an address of another host means none."""
    from fsspec.utils import glob_translate

    try:
        wanted = re.compile(glob_translate(pattern.removeprefix("./")))
    except (re.error, ValueError):
        return []
    return sorted(path for path in paths if wanted.fullmatch(path))


def _by_names(paths: Sequence[str]) -> tuple[Split, ...]:
    """Splits by the names of folders and files; all is for training where no name tells one."""
    found: dict[str, list[str]] = {}
    for path in sorted(paths):
        match = _NUMBERED.search(path)
        if match is not None:
            found.setdefault(match[1], []).append(path)
    if not found:
        for path in sorted(paths):
            split = _split_named_in(path)
            if split is not None:
                found.setdefault(split, []).append(path)
    if not found and paths:
        found["train"] = sorted(paths)
    order = [*_WORDS, *sorted(found.keys() - _WORDS.keys())]
    return tuple(Split(name, tuple(found[name])) for name in order if name in found)


def _split_named_in(path: str) -> str | None:
    for part in reversed(path.split("/")):
        for split, words in _WORDS.items():
            if re.search(rf"(?:^|[^A-Za-z])(?:{words})(?:$|[^A-Za-z])", part.lower()):
                return split
    return None


def _rows(card: dict[str, Any]) -> dict[tuple[str, str], int]:
    """How many rows each split has, as the card's `dataset_info` says."""
    given = card.get("dataset_info")
    found = {}
    for one in given if isinstance(given, list) else [given]:
        if not isinstance(one, dict):
            continue
        name = one.get("config_name") or _USUAL
        splits = one.get("splits")
        for split in splits if isinstance(splits, list) else []:
            rows = integer(split.get("num_examples")) if isinstance(split, dict) else None
            if rows is not None and rows >= 0:
                found[str(name), str(split.get("name"))] = rows
    return found
