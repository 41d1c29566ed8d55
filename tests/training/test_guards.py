from __future__ import annotations

import json
import math
import random

import pytest

from cptstudio.settings import GuardSettings
from cptstudio.training.guards import EarlyStopping, Limits, StepGuard

SETTINGS = GuardSettings(spike_window=16, stop_after_skips=3)


def fed(values: int, seed: int = 0) -> StepGuard:
    guard = StepGuard(SETTINGS)
    chance = random.Random(seed)
    for _ in range(values):
        assert guard.observe(chance.gauss(3, 0.1), chance.gauss(1, 0.1), guard.limits()) is None
    return guard


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_step_that_is_not_finite_is_skipped_and_counted(loss: float) -> None:
    guard = StepGuard(SETTINGS)
    assert guard.observe(loss, 1.0, guard.limits()) == "loss is not finite"
    assert guard.observe(1.0, loss, guard.limits()) == "gradient is not finite"
    assert (guard.skipped, guard.in_a_row, guard.gives_up) == (2, 2, False)
    guard.observe(math.nan, math.nan, guard.limits())
    assert guard.gives_up
    assert guard.observe(1.0, 1.0, guard.limits()) is None
    assert (guard.skipped, guard.in_a_row, guard.gives_up) == (3, 0, False)


def test_spikes_are_skipped_only_once_the_window_is_full() -> None:
    early = fed(16)
    assert early.limits() == Limits()
    guard = fed(17)
    assert 3 < guard.limits().loss < 5 and 1 < guard.limits().gradient_norm < 3
    assert "loss 50" in str(guard.observe(50.0, 1.0, guard.limits()))
    assert "gradient norm 90" in str(guard.observe(3.0, 90.0, guard.limits()))
    assert guard.observe(3.0, 1.0, guard.limits()) is None


def test_spikes_pass_when_the_guard_is_switched_off() -> None:
    guard = StepGuard(GuardSettings(spike_window=16, skip_spikes=False))
    for loss in [3.0] * 40 + [500.0]:
        assert guard.observe(loss, 1.0, guard.limits()) is None


def test_a_lasting_change_of_the_loss_cannot_end_a_run() -> None:
    guard = fed(40)
    reasons = [guard.observe(9.0, 1.0, guard.limits()) for _ in range(20)]
    assert reasons[0] is not None and reasons[-1] is None
    assert not guard.gives_up


def test_limits_do_not_depend_on_the_step_before() -> None:
    one, other = fed(30), fed(30)
    one.observe(3.0, 1.0, one.limits())
    other.observe(3.3, 1.2, other.limits())
    assert one.limits() == other.limits()


def test_limits_are_the_same_whether_the_last_step_was_read_already_or_not() -> None:
    waiting, reading = fed(30), fed(30)
    for loss, norm in ((3.1, 1.1), (math.nan, 1.0), (3.2, 0.9), (2.9, 1.3)):
        # The one on a GPU asks for the limits of the step after this before it reads this one.
        late = waiting.limits(under_way=1)
        reading.observe(loss, norm, Limits())
        waiting.observe(loss, norm, Limits())
        assert late == reading.limits(under_way=0)


def test_restored_from_json_it_decides_as_before() -> None:
    guard = fed(30)
    guard.observe(math.nan, 1.0, guard.limits())
    restored = StepGuard(SETTINGS)
    restored.load_state(json.loads(json.dumps(guard.state())))
    assert restored.state() == guard.state()
    assert restored.limits() == guard.limits()


def test_a_run_that_gave_up_may_try_again_after_a_resume() -> None:
    guard = StepGuard(SETTINGS)
    for _ in range(3):
        guard.observe(math.nan, 1.0, guard.limits())
    restored = StepGuard(SETTINGS)
    restored.load_state(guard.state())
    assert guard.gives_up and not restored.gives_up
    assert restored.skipped == 3


def test_early_stopping_waits_for_the_patience_and_survives_a_restart() -> None:
    stopping = EarlyStopping(patience=2)
    assert stopping.observe(0, 2.0)
    assert stopping.observe(10, 1.5)
    assert not stopping.observe(20, 1.6)
    restored = EarlyStopping(patience=2)
    restored.load_state(json.loads(json.dumps(stopping.state())))
    assert not restored.stops
    assert not restored.observe(30, math.nan)
    assert restored.stops and (restored.best, restored.best_step) == (1.5, 10)
    never = EarlyStopping(patience=0)
    for step in range(50):
        never.observe(step, 1.0)
    assert not never.stops


def test_a_short_step_is_allowed_more_noise_and_does_not_set_limits() -> None:
    guard = fed(20)
    usual = guard.limits()
    short = usual.widened(1 / 16)
    assert short.gradient_norm == pytest.approx(4 * usual.gradient_norm)
    assert usual.widened(1.0) == usual == usual.widened(1.5)
    norm = 3 * usual.gradient_norm
    assert guard.observe(3.0, norm, short) is None
    guard.observe(3.0, 1.0, guard.limits())
    assert norm not in [pair[1] for pair in guard.state()["history"]]
    assert "gradient norm" in str(guard.observe(3.0, 5 * usual.gradient_norm, short))
