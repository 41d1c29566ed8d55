"""Runs as the interface shows them: one line in a list, or all of one run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Literal

import psutil
from pydantic import Field

from cptstudio import run_files
from cptstudio.errors import UserError, machine_error
from cptstudio.run_phases import BEFORE_TRAINING, Phase, PhaseName, Unit, title_of
from cptstudio.run_rows import finite, whole
from cptstudio.runs.external.imported_list import ImportedEntry
from cptstudio.runs.run import Run
from cptstudio.runs.states import RunState
from cptstudio.validation import LateModel
from cptstudio.verdicts import Verdict, verdict_of
from cptstudio.web.runs.labels import Labels
from cptstudio.web.series import facts as run_facts
from cptstudio.web.series.facts import FactsReader, RunFacts

IMPORTED: Final = "imported"


class ModelName(LateModel):
    """The base model: as the user named it, and its folder."""

    name: str
    path: str


class CorpusName(LateModel):
    """A corpus of the mixture."""

    name: str
    role: str


class ParentName(LateModel):
    """The checkpoint a run was forked from."""

    run: str
    checkpoint: str


class PhaseView(LateModel):
    """A running trainer's current phase and its progress."""

    name: PhaseName
    title: str
    step: int
    preparing: bool = Field(description="It comes before the first step.")
    number: int | None = Field(None, description="Which one it is of how many of its kind.")
    of: int | None = None
    done: int | None = None
    total: int | None = None
    unit: Unit | None = None
    rate: float | None = Field(None, description="Units a second.")
    remaining_seconds: float | None = None
    began: float
    saving: str | None = Field(None, description="A checkpoint that is written meanwhile.")
    stopping: bool = False


def phase_view(phase: Phase | None) -> PhaseView | None:
    """Return a phase as the pages get it."""
    if phase is None:
        return None
    told = phase.model_dump(include=set(PhaseView.model_fields))
    return PhaseView(
        **told,
        title=title_of(phase),
        preparing=phase.name in BEFORE_TRAINING,
        remaining_seconds=phase.remaining,
    )


class RunSummary(RunFacts):
    """One run in a line. Times are Unix seconds, sizes bytes; what is not known is null."""

    id: str
    kind: Literal["run", "imported"]
    state: RunState
    phase: PhaseView | None = None
    stalled: bool = False
    queue_position: int | None = None
    created: float | None = None
    started: float | None = None
    ended: float | None = None
    model: ModelName | None = None
    corpora: list[CorpusName] = Field(default_factory=list)
    method: str | None = None
    remaining_seconds: float | None = None
    memory_limit: int | None = None
    tags: list[str] = Field(default_factory=list)
    note: str = ""
    pinned: bool = False
    parent: ParentName | None = None
    problems: list[str] = Field(default_factory=list)
    name: str | None = None
    source: str | None = None
    verdict: Verdict | None = None


class Runs(LateModel):
    """The workspace's runs."""

    runs: list[RunSummary]
    imported: list[RunSummary]
    pinned: str | None


class Summaries:
    """Makes the lines of runs, remembering what their files told.

    Args:
        on_found: called with a run's id when a long search brought more about it.
    """

    def __init__(self, labels: Labels, on_found: Callable[[str], None] | None = None) -> None:
        self._labels = labels
        self.on_found = on_found
        self._readers: dict[str, tuple[Path, FactsReader]] = {}
        self._lock = threading.Lock()
        self._searching: set[str] = set()
        self._memory = psutil.virtual_memory().total

    def all(self, runs: Iterable[Run], imported: Iterable[ImportedEntry]) -> Runs:
        """Return all runs; what is remembered of others is dropped."""
        runs = list(runs)
        with self._lock:
            there = {run.id for run in runs}
            self._readers = {id: read for id, read in self._readers.items() if id in there}
        try:
            self._labels.forget_all_but({run.id: run.created for run in runs})
        except OSError as error:
            # What can be cleared later, too, is no reason to show nothing on a disk that is full.
            if machine_error(error) is None:
                raise
        labels, pinned = self._labels.all()
        return Runs(
            runs=[self._summary(run, labels.get(run.id), pinned) for run in runs],
            imported=[imported_summary(entry) for entry in imported],
            pinned=pinned,
        )

    def one(self, run: Run) -> RunSummary:
        """Return one run."""
        labels, pinned = self._labels.all()
        return self._summary(run, labels.get(run.id), pinned)

    def _summary(self, run: Run, label: Any, pinned: str | None) -> RunSummary:
        facts = self._facts(run)
        result, problems = None, list(run.problems)
        if not run.state.alive:
            try:
                result = run_files.read_result(run.directory)
            except (UserError, OSError):
                result = None
        planned = facts.planned_steps or (result.planned_steps if result else None)
        ended = (run.exit.ended if run.exit else None) or (result.ended if result else None)
        given = dict(facts) | {
            "planned_steps": planned or _planned(run),
            "skipped_steps": result.skipped_steps if result else facts.skipped_steps,
        }
        return RunSummary(
            **given,
            **_configured(run),
            id=run.id,
            kind="run",
            state=run.state,
            phase=phase_view(run.phase),
            stalled=run.stalled,
            queue_position=run.queue_position,
            created=run.created or None,
            started=run.started,
            ended=None if run.state.alive else ended,
            remaining_seconds=_remaining(facts, planned) if run.state.alive else None,
            memory_limit=_memory(run) or self._memory,
            tags=list(label.tags) if label else [],
            note=label.note if label else "",
            pinned=pinned == run.id,
            problems=problems,
            name=run.id,
            verdict=verdict_of(
                facts.evaluations, alive=run.state.alive, trained=facts.step is not None
            ),
        )

    def _facts(self, run: Run) -> RunFacts:
        with self._lock:
            path, reader = self._readers.get(run.id, (None, None))
            if reader is None or path != run.directory:
                reader = FactsReader(run.directory)
                self._readers[run.id] = (run.directory, reader)
        facts = reader.facts()
        if not facts.complete:
            self._search_on(run.id, reader)
        return facts

    def _search_on(self, run: str, reader: FactsReader) -> None:
        with self._lock:
            if run in self._searching:
                return
            self._searching.add(run)

        def search() -> None:
            try:
                reader.facts(thorough=True)
            finally:
                with self._lock:
                    self._searching.discard(run)
            if self.on_found is not None:
                self.on_found(run)

        threading.Thread(target=search, name="evaluations", daemon=True).start()


def imported_summary(entry: ImportedEntry) -> RunSummary:
    """Return the line of a run of another program."""
    history = entry.history()
    train = [row for row in history.rows if row["kind"] == "train"]
    newest = train[-1] if train else {}
    planned = [event["planned_steps"] for event in history.events if "planned_steps" in event]
    losses = [loss for row in train if (loss := finite(row.get("loss"))) is not None]
    reason = entry.problem or f"read from {entry.path}"
    run = entry.run
    return RunSummary(
        id=entry.id,
        kind=IMPORTED,
        name=entry.name,
        state=RunState(IMPORTED, reason=reason),
        created=run.created if run else None,
        started=run.created if run else None,
        ended=run.ended if run else None,
        model=ModelName(name=Path(run.base_model).name, path=run.base_model)
        if run and run.base_model
        else None,
        step=whole(newest.get("step")),
        planned_steps=planned[-1] if planned else None,
        tokens_seen=whole(newest.get("tokens_seen")),
        loss=finite(newest.get("loss")),
        tokens_per_second=finite(newest.get("tokens_per_second")),
        sparkline=tuple(losses[:: -(-len(losses) // run_facts.CURVE_POINTS) or 1]),
        problems=entry.problems(),
        source=run.source if run else None,
        newest=newest,
    )


def _configured(run: Run) -> dict[str, Any]:
    if run.config is None:
        return {}
    settings, parent = run.config.settings, run.config.parent
    name = settings.model.path
    return {
        "model": ModelName(
            name=Path(name).name if name.startswith("/") else name, path=run.config.model_path
        ),
        "corpora": [CorpusName(name=use.name, role=use.role) for use in settings.data.corpora],
        "method": settings.method.kind,
        "parent": ParentName(run=parent.run, checkpoint=Path(parent.checkpoint).name)
        if parent
        else None,
    }


def _planned(run: Run) -> int | None:
    if run.config is None or run.config.settings.length.unit != "steps":
        return None
    return int(run.config.settings.length.value)


def _memory(run: Run) -> int | None:
    return whole(run.config.machine.get("memory")) if run.config else None


def _remaining(facts: RunFacts, planned: int | None) -> float | None:
    if planned is None or facts.step is None or facts.step_seconds is None:
        return None
    silent = max(0.0, time.time() - facts.updated) if facts.updated else 0.0
    left = (planned - facts.step) * facts.step_seconds
    return max(0.0, left - min(silent, facts.step_seconds))
