"""A run that begins with a checkpoint of another: one lineage, also when that is deleted."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cptstudio import run_files
from cptstudio.cli import app
from cptstudio.errors import UserError
from cptstudio.lm.stages import resolve_base, stage_words
from cptstudio.models import deletion
from cptstudio.models.library import ModelLibrary
from cptstudio.models.lineage import ancestors, descendants
from cptstudio.models.registry import ModelRegistry, pick
from cptstudio.run_files import EarlierStage
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace
from tests.training import trainer_process
from tests.training.small_workspace import DOMAIN, GENERAL, make_workspace, prepare
from tests.web.in_process import make_web

pytestmark = pytest.mark.bench
SHORT: dict[str, Any] = {
    "length": "2 steps",
    "evaluation": {"every": "2 steps", "max_tokens": 300},
    "checkpoints": {"every": "1 steps", "keep_last": 2},
}
LORA: dict[str, Any] = {"method": {"kind": "lora", "rank": 2}}


def train(workspace: Workspace, name: str, **changes: Any) -> Path:
    directory = prepare(workspace, name, **{**SHORT, **changes})
    status, said = trainer_process.finish(trainer_process.start(directory))
    assert status == 0, said
    return directory


def test_stages(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    first = train(workspace, "cpt")
    second = train(workspace, "chat", model={"path": "cpt@1"}, **LORA)
    config = run_files.read_config(second)
    assert config.settings.model.path == "cpt@step-00000001"
    assert config.model_path == str(first / "checkpoints" / "step-00000001")
    assert resolve_base("cpt@best", workspace)[1] == "cpt@step-00000002"
    stage = EarlierStage(
        run="cpt",
        checkpoint="step-00000001",
        model="toy",
        method="full",
        corpora=(DOMAIN, GENERAL),
    )
    assert config.earlier == (stage,)
    assert stage_words(config.earlier, "") == "toy → cpt@step-00000001"

    registry = ModelRegistry(workspace, ModelLibrary(workspace, cache=tmp_path / "no"))
    records = registry.records()
    adapter = pick("chat@step-00000002", records)
    assert adapter.adapter and adapter.error is None
    assert [(node.depth, node.label) for node in ancestors(adapter, records)] == [
        (0, "cpt@step-00000001"),
        (1, "toy"),
    ]
    below = descendants(pick("toy", records), records)
    assert [(node.depth, node.label) for node in below] == [(0, "cpt"), (1, "chat")]
    manager = TrainingManager(workspace)
    outlook = deletion.look(pick("cpt@step-00000001", records), records, manager.runs())
    assert outlook.consequences[:2] == (
        "The adapters of chat can't be loaded without it.",
        "chat can't be resumed or forked without it.",
    )

    # An adapter is no base; what would make it one is told.
    with pytest.raises(UserError) as refused:
        prepare(workspace, "third", model={"path": "chat@last"})
    assert "Fuse it first: `cpt-studio export fuse chat@step-00000002" in str(refused.value)
    name = ["chat@step-00000002", "--name", "chat-fused", "-w", str(tmp_path)]
    fused = CliRunner().invoke(app, ["export", "fuse", *name])
    assert fused.exit_code == 0, fused.output
    third = run_files.read_config(prepare(workspace, "third", model={"path": "exports/chat-fused"}))
    assert [one.run for one in third.earlier] == ["cpt", "chat"]

    # What a later run begins with stays, though the former trains on and keeps its newest.
    again = trainer_process.start(first, "--resume", "--length", "4 steps")
    status, said = trainer_process.finish(again)
    assert status == 0, said
    names = [path.name for path in run_files.checkpoints_of(first)]
    assert names[0] == "step-00000001" and names[-2:] == ["step-00000003", "step-00000004"]

    shown = CliRunner().invoke(app, ["runs", "show", "chat", "-w", str(tmp_path)])
    assert "toy → cpt@step-00000001 → chat" in shown.output
    web = make_web(tmp_path)
    try:
        (told,) = web.get("/api/runs/chat")["stages"]
        assert (told["run"], told["model"], told["there"]) == ("cpt", "toy", True)
        choices = {one["reference"]: one for one in web.get("/api/evaluation/models")["models"]}
        assert choices["chat@step-00000002"]["base"] == "cpt@step-00000001"
        shutil.rmtree(first)
        assert web.get("/api/runs/chat")["stages"][0]["there"] is False
    finally:
        web.studio.inference.end("The test has ended.")
        web.studio.news.close()
        web.studio.manager.close()
    shown = CliRunner().invoke(app, ["runs", "show", "chat", "-w", str(tmp_path)])
    assert "toy → cpt@step-00000001 (deleted" in " ".join(shown.output.split())
    records = registry.records()
    orphan = pick("chat@step-00000002", records)
    assert orphan.error == "Its base model, a checkpoint of another run, was deleted."
    assert [(node.label, node.reference) for node in ancestors(orphan, records)] == [
        ("cpt@step-00000001", None),
        ("toy", "toy"),
    ]
    assert not [one for one in records if one.place in ("elsewhere", "missing")]
