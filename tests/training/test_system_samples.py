"""What the machine did while a run was trained: bounded, over sessions, nothing invented."""

from __future__ import annotations

import plistlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from cptstudio import macos, run_system
from cptstudio.run_system import MEASURED, SYSTEM, read_system
from cptstudio.training import system_sampling
from cptstudio.training.run_lock import RunLock
from cptstudio.training.system_sampling import SystemSampler, cuda_reader, gpu_reader
from tests.runs.keeping import eventually


def lines(folder: Path) -> int:
    path = folder / SYSTEM
    return path.read_text().count("\n") if path.exists() else 0


def test_samples_go_on_over_sessions_in_a_file_of_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_system, "FIRST_INTERVAL", 0.002)
    monkeypatch.setattr(system_sampling, "MOST_SAMPLES", 20)
    lock = RunLock(tmp_path)
    first = SystemSampler(lock, 0, lambda: 3)
    first.start()
    eventually(lambda: (read_system(tmp_path) or first._kept).interval > 0.004, "two thinnings")
    first.close()
    kept = read_system(tmp_path)
    assert kept is not None and len(kept.samples) <= 20 and kept.interval > 0.004
    assert [one["run_seconds"] for one in kept.samples] == sorted(
        one["run_seconds"] for one in kept.samples
    )
    newest = kept.samples[-1]
    assert newest["step"] == 3 and set(MEASURED) < set(newest)
    assert newest["memory_process"] > 1e6 and 0 <= newest["cpu"] <= 100
    assert newest["gpu"] is None and "computes on the CPU" in kept.sessions[0]["missing"]["gpu"]
    # A torn line, as a kill leaves it, is left out.
    with (tmp_path / SYSTEM).open("a") as file:
        file.write('{"session": 0, "run_seco')
    second = SystemSampler(lock, 1, lambda: 4)
    second.start()
    eventually(lambda: [s["session"] for s in read_system(tmp_path).samples][-1] == 1, "the second")
    second.close()
    both = read_system(tmp_path)
    assert both is not None and [one["session"] for one in both.sessions] == [0, 1]
    begin = both.sessions[1]["run_seconds"]
    assert begin == pytest.approx(newest["run_seconds"]), "the pause between them does not count"
    assert all(one["run_seconds"] >= begin for one in both.samples if one["session"] == 1)
    lock.close()


def test_a_deleted_run_is_not_made_again_by_its_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_system, "FIRST_INTERVAL", 0.002)
    monkeypatch.setattr(system_sampling, "MOST_SAMPLES", 3)
    run, elsewhere = tmp_path / "run", tmp_path / "deleted"
    run.mkdir()
    lock = RunLock(run)
    sampler = SystemSampler(lock, 0, lambda: 0)
    sampler.start()
    eventually(lambda: lines(run) > 1, "a sample")
    # In one go, as a run is deleted: file by file, a sample may still come between two of them.
    run.rename(elsewhere)
    sampler._thread.join(60)
    sampler.close()
    assert not run.exists()
    lock.close()


def test_what_a_gpu_does_is_asked_of_the_system_and_never_invented(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert gpu_reader() == (None, "this run computes on the CPU")

    class RefusedError(Exception):
        pass

    def refuse(*_: Any) -> None:
        raise RefusedError("Driver Not Loaded")

    card = SimpleNamespace(
        NVMLError=RefusedError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=87, memory=40),
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=5_000_000_000),
    )
    read, _ = cuda_reader(card)
    assert read is not None and read() == (87.0, 5_000_000_000)
    card.nvmlDeviceGetUtilizationRates = refuse
    assert read() == (None, None)
    card.nvmlInit = refuse
    assert cuda_reader(card) == (None, "NVIDIA's library says: Driver Not Loaded")

    told = {"Device Utilization %": 93, "In use system memory": 4_000_000_000, "Tiler": 1}
    said = [plistlib.dumps([{"PerformanceStatistics": told}]), plistlib.dumps([]), b"no plist"]
    asked: list[list[str]] = []

    def ioreg(command: list[str], **_: Any) -> SimpleNamespace:
        asked.append(command)
        return SimpleNamespace(stdout=said[len(asked) - 1], returncode=0)

    monkeypatch.setattr(macos, "_run", ioreg)
    assert macos.gpu_use() == (93.0, 4_000_000_000)
    assert macos.gpu_use() == macos.gpu_use() == (None, None)
    assert asked[0][0] == "/usr/sbin/ioreg" and "IOAccelerator" in asked[0]


def test_a_disk_that_is_not_counted_is_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = RunLock(tmp_path)
    sampler = SystemSampler(lock, 0, lambda: 0)
    sampler.sample()
    assert isinstance(sampler.sample()["disk_written"], int)
    # Some systems and containers count none.
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)
    assert sampler.sample()["disk_written"] is None
    lock.close()
