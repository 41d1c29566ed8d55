"""Machines by name, and what a run may take on them; the devices of others through their seams."""

from __future__ import annotations

from typing import Any

import pytest

from cptstudio import child_process, macos
from cptstudio.errors import UserError
from cptstudio.training import machine as machines
from cptstudio.training.known_machines import machine_named, names
from cptstudio.training.machine import this_machine

GIB = 2**30


def test_every_known_machine_is_found_by_its_name() -> None:
    for name in names():
        found = machine_named(name)
        assert found.name is not None and found.name.startswith(name.removesuffix(" GB"))
        assert 0 < found.available < found.memory
        assert machine_named(found.name) == found, "a plan's machine can be typed again"


@pytest.mark.parametrize(
    ("text", "accelerator", "memory", "name"),
    [
        ("M3 Pro 36 GB", "metal", 36, "M3 Pro 36 GB"),
        (" apple  m3 pro 36gb ", "metal", 36, "M3 Pro 36 GB"),
        ("M3 Ultra 512", "metal", 512, "M3 Ultra 512 GB"),
        ("36 GB", "metal", 36, "Mac 36 GB"),
        ("8", "metal", 8, "Mac 8 GB"),
        ("Mac 128 GiB", "metal", 128, "Mac 128 GB"),
        ("RTX 4090", "cuda", 24, "RTX 4090 24 GB"),
        ("NVIDIA RTX 4090 24 GB", "cuda", 24, "RTX 4090 24 GB"),
        ("h100", "cuda", 80, "H100 80 GB"),
        ("A100 40 GB", "cuda", 40, "A100 40 GB"),
        ("GPU 24 GB", "cuda", 24, "GPU 24 GB"),
        ("CPU 64 GB", "cpu", 64, "CPU 64 GB"),
    ],
)
def test_names_as_people_write_them(text: str, accelerator: str, memory: int, name: str) -> None:
    found = machine_named(text)
    assert (found.accelerator, found.memory, found.name) == (accelerator, memory * GIB, name)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("M3 Pro", "M3 Pro comes with 18 GB, 36 GB"),
        ("M3 Pro 64 GB", "Write, for example, M3 Pro 18 GB"),
        ("A100", "A100 comes with 40 GB, 80 GB"),
        ("RTX 4090 48 GB", "RTX 4090 comes with 24 GB"),
        ("M9 Hyper 36 GB", "is not a known machine"),
        ("a big one", "just memory"),
        ("", "just memory"),
        ("0 GB", "Use 1 to 4,096 GB of memory, not 0."),
        ("99999 GB", "Use 1 to 4,096 GB of memory"),
        ("3.5 GB", "is not a known machine"),
    ],
)
def test_what_is_no_machine_is_told_at_its_field(text: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        machine_named(text)
    assert sentence in caught.value.message and caught.value.findings[0].field == "machine"


def test_a_mac_may_use_its_working_set_less_a_gigabyte() -> None:
    """Working sets as Macs report them, in MiB (logs of llama.cpp)."""
    reported = {16: 10922.67, 24: 16384, 32: 21845.33, 36: 27648, 64: 49152, 96: 73728}
    for size, mebibytes in reported.items():
        assert macos.default_working_set(size * GIB) / 2**20 == pytest.approx(mebibytes, rel=1e-4)
        available = machine_named(f"{size} GB").available
        assert available == macos.default_working_set(size * GIB) - 1_000_000_000


@pytest.mark.parametrize(
    ("accelerator", "told", "available"),
    [
        ("metal", {"max_recommended_working_set_size": 27 * GIB}, 27 * GIB - 1_000_000_000),
        ("metal", {"max_recommended_working_set_size": 5, "memory_size": 8}, 0),
        ("cuda", {"free_memory": 20 * GIB, "total_memory": 24 * GIB}, 20 * GIB),
    ],
)
def test_this_machine_asks_its_device(
    accelerator: str, told: dict[str, int], available: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "_accelerator", lambda: accelerator)
    monkeypatch.setattr(machines, "_device_memory", lambda: told)
    assert this_machine().available == available
    monkeypatch.setattr(machines, "_device_memory", lambda: {"memory_size": 1})
    with pytest.raises(UserError, match="it said: memory_size"):
        this_machine()


def test_a_process_without_mlx_asks_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(machines.sys.modules, "mlx.core", raising=False)
    monkeypatch.setattr(machines, "_asked", None)
    # A processor's memory is not MLX's business, so there is no number in the answer here.
    assert machines._device_memory() == {}
    asked: list[Any] = []
    monkeypatch.setattr(child_process, "ask", lambda *given, **_: asked.append(given))
    assert machines._device_memory() == {} and not asked, "it is asked once in some seconds"


def test_a_processor_may_use_all_memory() -> None:
    machine = this_machine()
    if machine.accelerator == "cpu":
        assert machine.available == machine.memory
    assert "budget" not in machine.record() and "name" not in machine.record()
