"""Which checkpoints stay, and how many the plan counts."""

from __future__ import annotations

import random
from pathlib import Path

from cptstudio.lengths import Length
from cptstudio.retention import most_at_once, superfluous_steps
from cptstudio.settings import CheckpointSettings
from tests.changed_source import add_before, copy_of_source, examples_under, run_with

KEEP_THE_BEST = """
import random
from cptstudio.retention import most_at_once, superfluous_steps
from cptstudio.runs.preferences import Preferences
from cptstudio.setting_flags import flag_of
from cptstudio.settings import CheckpointSettings
from tests.test_retention import most_of_a_run, steps

values = {10: 0.1, 20: 0.5, 30: 0.2, 40: 2.0, 50: 2.0}
assert superfluous_steps(values, CheckpointSettings(), 50) == [20, 30]
assert superfluous_steps(values, CheckpointSettings(keep_best=2), 50) == [20]
reached = 0
for seed in range(100):
    chance = random.Random(seed)
    best, every = chance.randint(1, 4), chance.randint(1, 6)
    settings = CheckpointSettings(keep_best=best, keep_every=chance.choice([0, 6]))
    planned = most_at_once(settings, steps(60), steps(every))
    found = most_of_a_run(settings, 60, every, seed)
    assert found <= planned, (settings, every)
    reached += found == planned
assert reached > 50, reached
print(flag_of("checkpoints.keep_best"), Preferences().keep_best)
"""


def steps(count: int) -> Length:
    return Length(count, "steps")


def most_of_a_run(settings: CheckpointSettings, length: int, every: int, seed: int) -> int:
    """Save, measure and prune as the trainer does; returns how many there were at once."""
    chance = random.Random(seed)
    there: dict[int, float | None] = {}
    most = 0
    for step in sorted({*range(every, length + 1, every), length}):
        there[step] = chance.choice([None, chance.random()])
        most = max(most, len(there))
        for gone in superfluous_steps(there, settings, step):
            del there[gone]
    return most


def test_the_plan_counts_every_checkpoint_that_can_be_there() -> None:
    reached = 0
    for seed in range(400):
        chance = random.Random(seed)
        settings = CheckpointSettings(
            keep_last=chance.randint(2, 5), keep_every=chance.choice([0, 1, 4, 6, 10])
        )
        length, every = chance.randint(1, 60), chance.randint(1, 12)
        planned = most_at_once(settings, steps(length), steps(every))
        found = most_of_a_run(settings, length, every, seed)
        assert found <= planned <= found + 1, (settings, length, every)
        reached += found == planned
    assert reached > 200


def test_what_stays_for_good_is_counted_and_the_best_wherever_it_is() -> None:
    lasting = CheckpointSettings(keep_last=2, keep_every=10)
    assert most_at_once(lasting, steps(1000), steps(10)) == 100
    assert most_at_once(CheckpointSettings(), steps(1000), steps(10)) == 4
    assert most_at_once(CheckpointSettings(), steps(5), steps(10)) == 1
    # Of a run whose length is in epochs, what stays for good cannot be counted here.
    assert most_at_once(lasting, Length(2, "epochs"), steps(10)) == 4
    values = {10: 1.0, 20: 0.5, 30: None, 40: 2.0, 50: 2.0, 60: 0.1}
    assert superfluous_steps(values, CheckpointSettings(), 50) == [10, 20, 30]
    assert superfluous_steps({**values, 60: None}, CheckpointSettings(), 50) == [10, 30]


def test_the_best_ones_are_kept_as_contributing_says(tmp_path: Path) -> None:
    package = copy_of_source(tmp_path)
    setting, kept, counted, preference = examples_under("What checkpoints are kept").values()
    add_before(package / "settings.py", "\n\nclass GuardSettings", setting)
    rule = package / "retention.py"
    add_before(rule, "    if settings.keep_every:\n", kept)
    add_before(rule, "    if every is None or not", counted)
    add_before(package / "runs" / "preferences.py", "    unload_after_minutes", preference)
    assert run_with(package, KEEP_THE_BEST) == "--checkpoints.keep-best 1\n"
