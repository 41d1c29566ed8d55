"""Verdicts of planted evaluations: what is claimed is there, and what is chance is not claimed."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cptstudio import run_files
from cptstudio.document_sums import CorpusSums, changes_between, current_sums, sums_at
from cptstudio.intervals import FEWEST_BLOCKS, blocks_of, relative_change
from cptstudio.training.held_out_sums import HeldOutSums
from cptstudio.verdicts import NOT_COMPARABLE, against_baseline, verdict_of

CHANCE = 0.02
"""Of a section's change, as a part of its nats."""


def evaluations(
    directory: Path,
    domain: list[float],
    general: list[float] | None = None,
    *,
    documents: int = 60,
    sections: int = 1,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Rows as the trainer writes them, of evaluations with planted changes and chance."""
    directory.mkdir(exist_ok=True)
    (directory / run_files.DOCUMENT_SUMS).unlink(missing_ok=True)
    random = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(documents), sections)
    size = random.integers(300, 3000, len(numbers))
    first = {role: size * random.uniform(0.5, 0.9, len(size)) for role in ("domain", "replay")}
    written: list[dict[str, Any]] = []

    def write(step: int, line: dict[str, Any]) -> None:
        written.append({"session": 0, "step": step, **line})

    sums, rows = HeldOutSums(directory, write), []
    for at, (domain_change, general_change) in enumerate(
        zip(domain, general or [0.0] * len(domain), strict=True)
    ):
        corpora, row = {}, {"kind": "evaluation", "step": at * 10}
        for role, name, change in (
            ("domain", "domain_bits_per_byte", domain_change),
            ("replay", "general_bits_per_byte", general_change),
        ):
            chance = random.normal(0, CHANCE, len(size)) if at else 0.0
            nats = np.round(first[role] * (1 + change + chance), 4)
            corpora[role] = CorpusSums(role, numbers, nats, size)
            row[name] = float(nats.sum() / size.sum() / math.log(2))
        value: Any = row["domain_bits_per_byte"]
        changes = sums.observe(at * 10, value, corpora)
        rows.append(row | ({"changes": changes} if changes else {}))
    lines = "".join(json.dumps(line) + "\n" for line in written)
    (directory / run_files.DOCUMENT_SUMS).write_text(lines, encoding="utf-8")
    return rows


def plain(text: str) -> str:
    return text.replace("\N{MINUS SIGN}", "-")


def kinds_of(rows: list[dict[str, Any]], alive: bool = False) -> list[str]:
    verdict = verdict_of(rows, alive=alive)
    return [] if verdict is None else [part.kind for part in verdict.parts]


def claims_of(rows: list[dict[str, Any]]) -> list[str]:
    return [kind for kind in kinds_of(rows) if kind not in ("unsure", "unchanged")]


@pytest.mark.parametrize(
    ("domain", "general", "claims"),
    [
        ([0, -0.08, -0.13], [0, 0.0, 0.0], ["learning"]),
        ([0, 0.0, 0.0], [0, 0.05, 0.09], ["forgetting"]),
        ([0, -0.08, -0.13], [0, 0.05, 0.09], ["learning", "forgetting"]),
        ([0, -0.08, -0.13], [0, -0.05, -0.06], ["learning", "learning"]),
        ([0, 0.1, 0.3], [0, 0.1, 0.2], ["diverging", "forgetting"]),
        ([0, -0.13, -0.08], [0, 0.0, 0.0], ["learning", "past its best"]),
        ([0, 0.0, 0.0], [0, 0.0, 0.0], []),
        ([0], None, ["early"]),
    ],
)
def test_planted_curves(
    tmp_path: Path, domain: list[float], general: list[float] | None, claims: list[str]
) -> None:
    assert claims_of(evaluations(tmp_path, domain, general)) == claims
    # The same of a few long books, whose sections are drawn in blocks.
    books = evaluations(tmp_path / "none", domain, general, documents=3, sections=40, seed=1)
    assert claims_of(books) == claims


def test_a_verdict_reads_as_it_is_meant(tmp_path: Path) -> None:
    row = {
        "step": 200,
        "domain_bits_per_byte": 0.87,
        "general_bits_per_byte": 1.09,
        "changes": {
            "start": {
                "step": 0,
                "domain": {"value": -0.131, "low": -0.15, "high": -0.11, "documents": 40},
                "general": {"value": 0.094, "low": 0.07, "high": 0.12, "documents": 40},
            }
        },
    }
    rows = [{"step": 0, "domain_bits_per_byte": 1.0, "general_bits_per_byte": 1.0}, row]
    verdict = verdict_of(rows, alive=False)
    assert verdict is not None
    assert plain(verdict.text) == (
        "Learning: domain -13% (-15 to -11). Forgetting: general +9.4% (+7.0 to +12.0). A merge "
        "may keep most of the gain: measure it."
    )
    assert plain(verdict.short) == "Learning -13% · Forgetting +9.4%"
    assert (verdict.tone, verdict.merge, verdict.step) == ("warn", True, 200)
    alive = verdict_of(rows, alive=True)
    assert alive is not None and not alive.merge and "merge" not in alive.text


def test_chance_is_not_taken_for_a_change(tmp_path: Path) -> None:
    """At 95 %, 200 runs without any change may claim some ten; small ones are not told as such."""
    claimed = 0
    for seed in range(200):
        rows = evaluations(tmp_path / "none", [0, 0.0], documents=20 + seed % 3 * 20, seed=seed)
        assert kinds_of(rows)[0] in ("unsure", "unchanged", "learning", "diverging")
        claimed += bool(set(kinds_of(rows)[:1]) & {"learning", "diverging"})
    assert claimed <= 22


def test_intervals_hold_the_true_change_of_documents_and_of_sections() -> None:
    random = np.random.default_rng(3)
    for documents, sections in ((100, 1), (16, 1), (30, 3), (2, 60)):
        covered = 0
        for _ in range(200):
            numbers = np.repeat(np.arange(documents), sections)
            size = random.integers(200, 2000, len(numbers))
            before = size * random.uniform(0.5, 2, len(size))
            now = before * (0.9 + random.normal(0, 0.05, len(size)))
            change = relative_change(now, before, size, numbers)
            assert change is not None and change.low is not None and change.high is not None
            covered += change.low <= -0.1 <= change.high
        assert covered >= 180, (documents, sections)


def test_documents_are_blocks_and_long_ones_are_several() -> None:
    short = blocks_of(np.repeat(np.arange(50), 2), np.full(100, 10))
    assert short.tolist() == np.repeat(np.arange(50), 2).tolist()
    one_long = blocks_of(np.array([0] * 40 + [1]), np.array([10] * 40 + [100]))
    assert one_long[-1] == one_long[-2] + 1 and 12 <= one_long[-2] + 1 <= 20
    assert (np.diff(one_long) >= 0).all()


def test_too_little_is_said_and_nothing_is_claimed(tmp_path: Path) -> None:
    rows = evaluations(tmp_path, [0, -0.2], [0, 0.2], documents=FEWEST_BLOCKS - 3)
    verdict = verdict_of(rows, alive=False)
    assert verdict is not None and not verdict.merge
    assert {part.kind for part in verdict.parts} == {"too little"}
    assert verdict.text.count("5 held-out documents") == 2
    assert verdict.text.count("Too little held-out text to be sure") == 1
    assert verdict.text.endswith("Increase the evaluation size or the validation split.")
    # Nor where one document is nearly all of it, and cannot be told into sections.
    numbers, size = np.arange(30), np.array([100_000, *[50] * 29])
    change = relative_change(size * 0.5, size * 0.7, size, numbers)
    assert change is not None and change.low is None


def test_what_was_not_measured_is_not_told(tmp_path: Path) -> None:
    """Runs of before, one evaluation only, a loss that is no number, no held-out text."""
    rows = [
        {"step": 0, "domain_bits_per_byte": 1.0, "general_bits_per_byte": None},
        {"step": 10, "domain_bits_per_byte": 0.87, "general_bits_per_byte": None},
    ]
    old = verdict_of(rows, alive=False)
    assert old is not None and old.tone == "neutral"
    assert plain(old.text) == "Domain -13% since the start. Uncertainty was not measured."
    broken = verdict_of([rows[0], rows[1] | {"domain_bits_per_byte": "NaN"}], alive=True)
    assert broken is not None and broken.short == "Diverged" and broken.tone == "bad"
    assert verdict_of([], alive=True) is None
    assert verdict_of([], alive=False, trained=False) is None
    none = verdict_of([], alive=False)
    assert none is not None and none.text == "No held-out text was measured."
    one = verdict_of(rows[:1], alive=True)
    assert one is not None and "the next one" in one.text
    for odd in ({}, {"changes": []}, {"changes": {"start": {"domain": 3}}}, {"step": "x"}):
        verdict_of([odd, {"step": 1, **odd}], alive=False)


def test_a_resumed_run_compares_with_the_same_evaluations(tmp_path: Path) -> None:
    rows = evaluations(tmp_path, [0, -0.05, -0.1, -0.02])
    events = [{"event": "resumed", "session": 1, "step": 15}]
    (tmp_path / run_files.EVENTS).write_text(json.dumps(events[0]) + "\n")
    # What the resume superseded, the best one among it, is not compared with any more.
    assert [one.step for one in current_sums(tmp_path, before=20)] == [0, 10]
    lines = (tmp_path / run_files.DOCUMENT_SUMS).read_text().splitlines()
    again = HeldOutSums(tmp_path, lambda step, line: None)
    line = json.loads(lines[2])
    corpora = {
        name: CorpusSums(
            one["role"], *(np.array(one[key]) for key in ("documents", "nats", "bytes"))
        )
        for name, one in line["corpora"].items()
    }
    assert again.observe(20, line["domain"], corpora) == rows[2]["changes"]
    # Damaged lines cost what they held, and nothing else.
    odd = ["{}", '{"step": 0}', '{"step": 0, "domain": 1, "corpora": {"a": {"role": "x"}}}']
    (tmp_path / run_files.DOCUMENT_SUMS).write_text("\n".join([*odd, *lines[1:]]) + "\n")
    assert HeldOutSums(tmp_path, lambda step, line: None).observe(20, 1.0, corpora) == {}


def test_runs_are_compared_on_the_same_text_only(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    evaluations(one, [0, -0.05], [0, 0.03], seed=5)
    evaluations(other, [0, -0.15], [0, 0.03], seed=5)
    sums, base = sums_at(other, 10), sums_at(one, 10)
    assert sums is not None and base is not None and sums_at(one, 11) is None
    changes = {role: asdict(change) for role, change in changes_between(sums, base).items()}
    told = against_baseline(changes)
    assert told.text.startswith("Domain better, ") and "general no sure difference" in told.text
    assert told.tone == "good"
    evaluations(other, [0, -0.15], documents=59)
    shorter = sums_at(other, 10)
    assert shorter is not None and changes_between(shorter, base) == {}
    assert against_baseline({}) == NOT_COMPARABLE
