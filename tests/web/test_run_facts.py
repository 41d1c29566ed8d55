"""What lists say about runs, from a few places of their files."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from cptstudio import run_files, run_rows
from cptstudio.web.runs.labels import Labels
from cptstudio.web.series import facts as run_facts
from cptstudio.web.series.facts import FactsReader
from cptstudio.workspace import Workspace
from tests.web.series.metrics_files import (
    append,
    evaluation_row,
    lines,
    resume_row,
    train_row,
    write_many,
)


def write_events(directory: Path, *events: dict[str, Any]) -> None:
    with (directory / run_files.EVENTS).open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def test_a_growing_run_with_resumes(tmp_path: Path) -> None:
    generator = random.Random(1)
    path = tmp_path / run_files.METRICS
    reader = FactsReader(tmp_path)
    assert reader.facts().step is None
    rows: list[dict[str, Any]] = []
    seq = step = 0
    for session in range(6):
        if session:
            back = generator.choice([row for row in rows if row["kind"] != "resume"])
            seq, step = seq + 1, back["step"]
            rows.append(resume_row(seq, back["seq"], step, session))
            append(path, rows[-1])
        for _ in range(60):
            seq += 1
            if generator.random() < 0.2:
                rows.append(evaluation_row(seq, step, round(generator.random(), 6)))
            else:
                step += 1
                rows.append(train_row(seq, step, loss=generator.random()))
            append(path, rows[-1])
        current = run_rows.current_rows(rows)
        train = [row for row in current if row["kind"] == "train"]
        values = [
            (row["domain_bits_per_byte"], row["step"])
            for row in current
            if row["kind"] == "evaluation"
        ]
        facts = reader.facts()
        assert facts.complete
        assert (facts.step, facts.loss) == (train[-1]["step"], train[-1]["loss"])
        assert facts.domain.first == values[0][0]
        assert facts.domain.last == values[-1][0]
        assert (facts.domain.best, facts.domain.best_step) == min(values, key=lambda one: one[0])
        losses = [row["loss"] for row in train]
        assert len(facts.sparkline) <= 60
        assert set(facts.sparkline) <= set(losses), "no row that a resume superseded is drawn"
        assert facts.sparkline[0] in losses[:20]
        assert FactsReader(tmp_path).facts() == facts


def test_a_long_file_tells_its_best_only_when_all_of_it_was_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_facts, "_LOOKS_AT_ONCE", 1)
    path = tmp_path / run_files.METRICS
    append(path, evaluation_row(1, 0, 4.0))
    first = path.read_bytes()
    write_many(path, 20_000)
    data = path.read_bytes().split(b"\n")
    data.insert(15_000, lines([evaluation_row(20_001, 15_000, 1.0)])[:-1])
    path.write_bytes(first + b"\n".join(data))
    append(path, evaluation_row(20_002, 20_000, 2.0))
    reader = FactsReader(tmp_path)
    facts = reader.facts()
    assert not facts.complete
    assert (facts.domain.first, facts.domain.last, facts.domain.best) == (4.0, 2.0, None)
    assert facts.step == 20_000
    facts = reader.facts(thorough=True)
    assert facts.complete
    assert (facts.domain.best, facts.domain.best_step) == (1.0, 15_000)
    assert reader.facts() is facts, "nothing is read again while nothing changed"


def test_skipped_steps_that_a_resume_undid_do_not_count(tmp_path: Path) -> None:
    append(tmp_path / run_files.METRICS, train_row(1, 1))
    write_events(
        tmp_path,
        {"event": "started", "session": 0, "step": 0, "planned_steps": 500},
        *({"event": "skipped", "session": 0, "step": step} for step in (3, 9, 11)),
        {"event": "resumed", "session": 1, "step": 9, "planned_steps": 600},
        {"event": "skipped", "session": 1, "step": 12},
    )
    facts = FactsReader(tmp_path).facts()
    assert (facts.planned_steps, facts.skipped_steps) == (600, 3)


def test_lines_of_noise(tmp_path: Path) -> None:
    path = tmp_path / run_files.METRICS
    path.write_bytes(
        b'"evaluation" "resume"\n{"kind":"evaluation"}\n{"seq":"x","kind":"resume"}\n'
        + lines([evaluation_row(1, 0, "NaN"), evaluation_row(2, 5, 1.0)])
        + b'{"seq":3,"kind":"train","text":"evaluation","loss":"Infinity","step":1e999}\n'
        + b'{"kind":"evaluation","x":'
    )
    facts = FactsReader(tmp_path).facts()
    assert (facts.domain.first, facts.domain.best) == (1.0, 1.0)
    assert facts.loss is None
    assert facts.step is None
    assert facts.sparkline == ()


def test_labels_belong_to_the_run_and_not_to_its_name(tmp_path: Path) -> None:
    labels = Labels(Workspace(tmp_path))
    labels.set("one", 1.0, ["a"], "")
    labels.set("two", 2.0, [], "text")
    labels.pin("one", 1.0)
    labels.forget_all_but({"one": 1.0, "two": 2.0})
    found, pinned = labels.all()
    assert (set(found), pinned) == ({"one", "two"}, "one")
    labels.forget_all_but({"one": 5.0, "two": 2.0})
    found, pinned = labels.all()
    assert (set(found), pinned) == ({"two"}, None)
    labels.set("two", 2.0, [], "")
    assert labels.all() == ({}, None)
