from __future__ import annotations

import itertools
import math

import pytest

from cptstudio.training.schedules import Schedule, default_warmup


@pytest.mark.parametrize(
    ("steps", "warmup"), [(5, 0), (40, 4), (200, 20), (500, 50), (4000, 50), (20_000, 200)]
)
def test_default_warmup_is_a_percent_and_fifty_steps_where_the_run_is_long_enough(
    steps: int, warmup: int
) -> None:
    assert default_warmup(steps) == warmup


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant", "wsd"])
def test_every_schedule_rises_to_the_peak_and_starts_its_own_course_there(kind: str) -> None:
    schedule = Schedule(kind, total_steps=100, warmup_steps=10)  # type: ignore[arg-type]
    rising = [schedule(index) for index in range(10)]
    assert rising == [pytest.approx((index + 1) / 11) for index in range(10)]
    assert schedule(10) == 1.0
    falling = [schedule(index) for index in range(10, 100)]
    assert all(after <= before for before, after in itertools.pairwise(falling))
    assert falling[-1] > 0


def test_cosine_and_linear_follow_their_formulas_to_the_final_fraction() -> None:
    cosine = Schedule("cosine", 110, 10, final_fraction=0.1)
    assert cosine(60) == pytest.approx(0.1 + 0.9 * 0.5)
    assert cosine(110) == pytest.approx(0.1)
    linear = Schedule("linear", 100, 0)
    assert [linear(index) for index in (0, 25, 50, 99)] == pytest.approx([1, 0.75, 0.5, 0.01])


def test_wsd_is_flat_until_its_last_part_and_then_falls_by_a_root() -> None:
    schedule = Schedule("wsd", 100, 10, decay_fraction=0.2)
    assert {schedule(index) for index in range(10, 81)} == {1.0}
    assert schedule(85) == pytest.approx(1 - math.sqrt(0.25))
    # A longer run has the same rates up to where the shorter one decays.
    longer = Schedule("wsd", 200, 10, decay_fraction=0.2)
    assert [schedule(i) for i in range(80)] == [longer(i) for i in range(80)]
