"""A few of the faults of `python -m benchmarks.keeper_faults`, which runs any number of them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks.keeper_faults import run_faults


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_random_kills_deletions_and_double_starts_violate_nothing(
    tmp_path: Path, parts: dict[str, Any]
) -> None:
    findings = run_faults(
        tmp_path, random.Random(7), kills=4, deletions=1, double_starts=3, steps=60, parts=parts
    )
    assert findings.violations == [], findings.table()
    assert findings.counts["kills"] == 4
    assert findings.counts["checked: a disturbed run's rows equal the undisturbed one's"] > 0
