"""What a user types to name a model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cptstudio import run_files
from cptstudio.errors import UserError
from cptstudio.evaluation.references import resolve_reference
from cptstudio.lm.stages import choose_checkpoint
from cptstudio.run_files import CheckpointManifest, write_record
from cptstudio.weight_files import check_present
from cptstudio.workspace import Workspace, why_model_is_absent


def add_checkpoint(run: Path, step: int, bits_per_byte: float | None) -> Path:
    folder = run / run_files.CHECKPOINTS / run_files.checkpoint_name(step)
    folder.mkdir(parents=True)
    manifest = CheckpointManifest(
        step=step,
        method="full",
        layout="model",
        session=0,
        metrics_seq=step,
        domain_bits_per_byte=bits_per_byte,
        files={},
    )
    write_record(folder / run_files.MANIFEST, manifest)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = Workspace(tmp_path).run("first")
    for step, value in ((100, 1.5), (200, 1.25), (300, None), (400, 1.75)):
        add_checkpoint(folder, step, value)
    (folder / run_files.CHECKPOINTS / run_files.checkpoint_name(500)).mkdir()
    return folder


@pytest.mark.parametrize(
    ("which", "step"), [("last", 400), ("best", 200), ("100", 100), ("step-00000300", 300)]
)
def test_a_checkpoint_is_chosen_by_what_it_is(run: Path, which: str, step: int) -> None:
    assert choose_checkpoint(run, which).name == run_files.checkpoint_name(step)


@pytest.mark.parametrize("which", ["500", "7", "step-7", "newest"])
def test_a_checkpoint_that_is_not_there_or_not_complete_is_refused(run: Path, which: str) -> None:
    with pytest.raises(UserError, match="step-00000400"):
        choose_checkpoint(run, which)


def test_a_run_without_checkpoints_says_so(tmp_path: Path) -> None:
    folder = Workspace(tmp_path).run("empty")
    folder.mkdir(parents=True)
    with pytest.raises(UserError, match="no complete checkpoint"):
        choose_checkpoint(folder, "last")
    add_checkpoint(folder, 10, None)
    with pytest.raises(UserError, match="has been evaluated"):
        choose_checkpoint(folder, "best")


def test_a_base_model_is_found_by_name_and_a_double_meaning_is_refused(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.base_model("base").mkdir(parents=True)
    assert resolve_reference("base", workspace).model == workspace.base_model("base")
    assert resolve_reference(str(tmp_path / "models/base/base"), workspace).adapter is None
    workspace.run("base").mkdir(parents=True)
    with pytest.raises(UserError, match="both a run and a base model"):
        resolve_reference("base", workspace)
    with pytest.raises(UserError, match="There is no run 'other'"):
        resolve_reference("other@best", workspace)
    with pytest.raises(UserError, match="no model 'other'"):
        resolve_reference("other", workspace)


def test_a_checkpoint_that_its_run_deleted_meanwhile_is_told_as_one(run: Path) -> None:
    chosen = choose_checkpoint(run, "200")
    shutil.rmtree(chosen)
    with pytest.raises(UserError, match=r"step-00000200 of first no longer exists.*newer"):
        check_present(chosen)
    assert why_model_is_absent(choose_checkpoint(run, "400")) is None
