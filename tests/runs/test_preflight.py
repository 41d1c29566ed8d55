"""All that speaks against a run, told at once, before anything is created."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError
from cptstudio.runs import preflight
from cptstudio.runs.preflight import problems_of
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace
from tests.runs.toy_runs import toy_config


def write_header(file: Path, header: bytes) -> None:
    """A safetensors file of this header and no data."""
    file.write_bytes(struct.pack("<Q", len(header)) + header)


def model_of(folder: Path, shape: list[int]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    tensor = {"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}
    write_header(folder / "model.safetensors", json.dumps(tensor).encode())
    return folder


def test_space_memory_and_a_missing_corpus_are_told_together(
    workspace: Workspace, parts: dict[str, Any], tmp_path: Path
) -> None:
    large = model_of(tmp_path / "large", [1_000_000, 1_000_000])
    corpus = dict(parts["corpus"], path=str(tmp_path / "nowhere"))
    config = toy_config(dict(parts, model_path=str(large), corpus=corpus), "large", 5)
    manager = TrainingManager(workspace)
    problems = problems_of(config, workspace.run("large"))
    assert len(problems) == 3
    for problem, part in zip(
        problems, ("corpus toy is gone", "Memory: ", "Disk space: "), strict=True
    ):
        assert part in problem.sentence
    with pytest.raises(UserError) as refused:
        manager.start(config)
    assert list(refused.value.findings) == problems
    assert problems[0].field == "data.corpora.0"
    assert not workspace.root.exists()


def test_what_can_be_trained_has_no_problem(workspace: Workspace, parts: dict[str, Any]) -> None:
    assert problems_of(toy_config(parts, "fine", 5), workspace.run("fine")) == []
    assert not workspace.root.exists()


@pytest.mark.parametrize(
    "header",
    [b"", b"[]", b"not JSON", b'{"w": 5}', b'{"w": {"shape": "x"}}', b"[" * 100_000],
    ids=["empty", "list", "no JSON", "no tensor", "no shape", "deep"],
)
def test_a_damaged_model_is_named(tmp_path: Path, header: bytes) -> None:
    folder = model_of(tmp_path / "model", [2, 3])
    assert preflight.count_parameters(folder) == 6
    config = {"time_step_limit": [0.0, float("inf")], "seed": int(1e30)}  # As Mamba 2 has it.
    (folder / "config.json").write_text(json.dumps(config))
    assert preflight.count_parameters(folder) == 6
    write_header(folder / "model.safetensors", header)
    with pytest.raises(UnusableFileError, match=r"model\.safetensors"):
        preflight.count_parameters(folder)
