"""The playground's history: prompts and outputs with their settings.

<workspace>/playground/history.jsonl      one entry a line, the oldest first
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cptstudio import durable
from cptstudio.json_lines import JsonLinesWriter, read_json_lines
from cptstudio.validation import LateModel
from cptstudio.web.problems import NotFound
from cptstudio.web.work.inference_tasks import Task
from cptstudio.workspace import Workspace

_FOLDER, _FILE = "playground", "history.jsonl"
_MOST = 1000
_SPARE = 200


class MadeText(LateModel):
    """A text that a model made.

    Attributes:
        finish: why it ended; null when it was stopped.
        ended_by: the token or the stop text that ended it.
        opens: the tag of thinking with which the prompt of a chat ended.
    """

    label: str
    seed: int
    text: str
    tokens: int
    finish: str | None = None
    ended_by: str | None = None
    opens: str = ""
    first_token_seconds: float | None = None
    tokens_per_second: float | None = None


class HistoryEntry(LateModel):
    """A question to models, and what they said; `created` is Unix seconds."""

    id: str
    created: float
    prompts: list[dict[str, Any]]
    sampling: dict[str, Any]
    seeds: list[int]
    texts: list[MadeText]


class PlaygroundHistory:
    """The history of one workspace; at most the last 1,000 entries or so are kept."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._path = workspace.root / _FOLDER / _FILE
        self._lock = threading.Lock()

    def entries(self) -> list[HistoryEntry]:
        """Return all of it, the newest first; lines that are no entry are passed over."""
        return _entries_in(self._path)

    def add(self, task: Task) -> None:
        """Remember a completion that has made some text."""
        entry = _entry_of(task)
        if not any(text.text for text in entry.texts):
            return
        with self._lock:
            self._workspace.make(self._path.parent)
            writer = JsonLinesWriter(self._path)
            try:
                writer.append(entry.model_dump(mode="json"))
            finally:
                writer.close()
            kept = self.entries()
            if len(kept) > _MOST + _SPARE:
                self._write(kept[:_MOST])

    def remove(self, entry_id: str) -> HistoryEntry:
        """Forget one entry, and return it.

        Raises:
            NotFound: there is none with this id.
        """
        with self._lock:
            entries = self.entries()
            kept = [entry for entry in entries if entry.id != entry_id]
            if len(kept) == len(entries):
                raise NotFound(f"There is no entry {entry_id!r} in the history.")
            self._write(kept)
            return next(entry for entry in entries if entry.id == entry_id)

    def put_back(self, removed: Mapping[str, Any]) -> None:
        """Undo `remove`: the entry stands again where it did."""
        entry = HistoryEntry.model_validate(removed)
        with self._lock:
            self._add([entry])

    def merge(self, former: Path, path: Path) -> None:
        """Join a history that was deleted with what was asked since."""
        with self._lock:
            self._add(_entries_in(former))

    @contextmanager
    def untouched(self) -> Iterator[Path | None]:
        """The history's file, which nobody changes meanwhile; None where there is none."""
        with self._lock:
            yield self._path if self._path.exists() else None

    def _add(self, more: Sequence[HistoryEntry]) -> None:
        self._workspace.make(self._path.parent)
        by_id = {entry.id: entry for entry in [*self.entries(), *more]}
        self._write(sorted(by_id.values(), key=lambda entry: -entry.created))

    def _write(self, newest_first: list[HistoryEntry]) -> None:
        lines = [durable.dump_json(one.model_dump(mode="json")) for one in newest_first[::-1]]
        durable.write_bytes(self._path, "".join(f"{line}\n" for line in lines).encode())


def _entries_in(path: Path) -> list[HistoryEntry]:
    found = []
    for record in read_json_lines(path).records:
        try:
            found.append(HistoryEntry.model_validate(record))
        except ValidationError:
            continue
    return found[::-1]


def _entry_of(task: Task) -> HistoryEntry:
    texts = [
        MadeText(label=text.label, seed=text.seed, text="", tokens=0, opens=text.opens)
        for text in task.texts or ()
    ]
    said: list[list[str]] = [[] for _ in texts]
    for piece in task.pieces:
        text = texts[piece["text_number"]]
        said[piece["text_number"]].append(piece["text"])
        text.tokens += 1
        text.finish = piece["finish"]
        text.ended_by = piece.get("ended_by")
    for text, parts in zip(texts, said, strict=True):
        text.text = "".join(parts)
    facts = (task.result or {}).get("texts") or ()
    for text, fact in zip(texts, facts, strict=False):
        text.first_token_seconds = fact["first_token_seconds"]
        text.tokens_per_second = fact["tokens_per_second"]
    ask = task.ask
    return HistoryEntry(
        id=task.id,
        created=task.created,
        prompts=ask["prompts"],
        sampling=ask["sampling"],
        seeds=ask["seeds"],
        texts=texts,
    )
