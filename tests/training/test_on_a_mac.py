"""What training does otherwise on a Mac, through its seams: there is no Metal here."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from cptstudio.settings import parse_settings
from cptstudio.training import calibration
from cptstudio.training.calibration import measure
from cptstudio.training.machine import describe_machine
from cptstudio.training.memory import keep_resident
from cptstudio.training.watchdog import rows_for_watchdog
from cptstudio.workspace import Workspace
from tests.training.small_workspace import small_settings


def test_metal_keeps_what_it_recommends_resident() -> None:
    limits: list[int] = []
    mac = {"memory_size": 36 << 30, "max_recommended_working_set_size": 27_000_000_000}
    assert keep_resident(mac, limits.append) == "Metal keeps up to 27.0 GB resident."
    assert limits == [27_000_000_000]
    # A card and a CPU have no such thing.
    assert keep_resident({"free_memory": 80 << 30}, limits.append) is None
    assert len(limits) == 1

    def refused(limit: int) -> None:
        raise ValueError("[metal::set_wired_limit] Setting a wired limit larger than the maximum.")

    assert "does not keep memory resident: [metal" in str(keep_resident(mac, refused))


def test_micro_batches_are_split_until_the_watchdog_bears_them() -> None:
    assert rows_for_watchdog(8, 100.0, 32, "metal") == 2
    assert rows_for_watchdog(5, 60.0, 32, "metal") == 2
    assert rows_for_watchdog(8, 30.0, 32, "metal") == 8
    assert rows_for_watchdog(8, 1e6, 32, "metal") == 1
    assert rows_for_watchdog(8, 1e6, 32, "cuda") == rows_for_watchdog(8, 1e6, 32, "cpu") == 8


@pytest.mark.slow
def test_a_calibration_on_a_mac_says_how_to_split(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = parse_settings(small_settings(batch={"size": 5}))
    told: list[tuple[str, int | None]] = []
    measured: Any = measure(workspace, settings, steps=1, tell=lambda *one: told.append(one))
    assert measured.advice is None
    # Whoever waits is told what for, and a number only where steps are counted.
    assert told == [
        ("Loading the model", None),
        ("First step, which is not counted", None),
        ("Measuring speed", 0),
        ("Measuring speed", 1),
        ("Writing a trial checkpoint", None),
        ("Measuring evaluation", None),
    ]
    mac = dataclasses.replace(describe_machine(), accelerator="metal")
    monkeypatch.setattr(calibration, "describe_machine", lambda: mac)
    monkeypatch.setattr("cptstudio.training.watchdog.LAYER_SECONDS", 1e-9)
    measured = measure(workspace, settings, steps=1)
    assert measured.split == {"batch_size": 1, "gradient_accumulation_steps": 5}
    assert "Set Batch size to 1 and Gradient accumulation steps to 5" in measured.advice
