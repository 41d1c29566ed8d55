"""The check of a GPU works, on whatever there is, and goes on where it was ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import gpu_check
from benchmarks.gpu_parts import Scale, parts

EVERYTHING = [part.name for part in parts(Scale(small=True))]


@pytest.mark.bench
def test_every_part_finds_something_in_small(tmp_path: Path) -> None:
    given = ["--small", "--state", str(tmp_path), "--minutes", "90", "--patience", "20"]
    assert gpu_check.main([*given, "--only", "scatter"]) == 0
    before = (tmp_path / "scatter.json").stat().st_mtime_ns
    assert gpu_check.main(given) == 0
    assert (tmp_path / "scatter.json").stat().st_mtime_ns == before
    found = json.loads((tmp_path / "results.json").read_text())
    assert list(found) == EVERYTHING
    assert found["resume qwen3-0.6b lora"]["different steps"] == 0
    assert found["bits qwen3-0.6b full"]["different"] == []
    assert "| step llama-1b full |" in (tmp_path / "table.md").read_text()


def test_a_part_without_time_says_so(tmp_path: Path) -> None:
    part = parts(Scale(small=True))[1]
    found = gpu_check.run_part(part, True, tmp_path / "machine.json", seconds=0.0)
    assert "no result" in found["failed"]
    assert "failed: no result" in gpu_check.report({"step": found})
