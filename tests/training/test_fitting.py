"""What cannot fit is asked about before anything is created, with the numbers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cptstudio.cli import app
from cptstudio.errors import UserError
from cptstudio.lm.description import describe_model
from cptstudio.optimizer_records import OPTIMIZERS
from cptstudio.run_files import CHECKPOINTS, MANIFEST, checkpoint_name, read_config
from cptstudio.runs.preflight import problems_of
from cptstudio.settings import parse_settings
from cptstudio.training.fitting import Fit, fit_of_run
from cptstudio.training.prepare import plan_config
from cptstudio.workspace import Workspace
from tests.training.small_workspace import make_workspace, prepare, small_settings

LARGE: dict[str, Any] = {"batch": {"size": 65_536}, "data": {"sequence_length": 1_048_576}}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("fitting") / "workspace")


def large_data() -> dict[str, Any]:
    return small_settings()["data"] | LARGE["data"]


def test_the_sentences_hold_the_numbers() -> None:
    assert Fit(405 * 10**9, 25 * 10**9, 10**9, 10**9).sentences() == [
        "A step needs about 405.0 GB of memory, but 25.0 GB are available on this machine."
    ]
    assert Fit(1, 1, 2 * 10**12, 5 * 10**11).sentences() == [
        "The checkpoints need about 2,000.0 GB of disk space, but 500.0 GB are free."
    ]
    assert Fit(1, 1, 1, 1).fits and not Fit(2, 1, 1, 1).fits and not Fit(1, 1, 2, 1).fits


@pytest.mark.slow
def test_train_and_resume_ask_before_anything_is_there(
    workspace: Workspace, tmp_path: Path
) -> None:
    settings = small_settings(batch=LARGE["batch"], data=large_data())
    (tmp_path / "large.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    place = ("--workspace", str(workspace.root))
    common = ("--config", str(tmp_path / "large.yaml"), "--name", "large", *place)
    for command in (
        ("train", *common),
        ("train", *common, "--background"),
        ("train", *common, "--queue"),
    ):
        refused = CliRunner().invoke(app, command)
        assert isinstance(refused.exception, UserError), refused.output
        words = str(refused.exception)
        assert "of memory, but" in words and words.endswith("pass --yes to confirm.")
    assert workspace.run_names() == []

    directory = prepare(workspace, "large", batch=LARGE["batch"], data=large_data())
    for command in (
        ("resume", "large", *place),
        ("runs", "resume", "large", *place),
    ):
        refused = CliRunner().invoke(app, command)
        assert isinstance(refused.exception, UserError)
        assert "pass --yes to confirm" in str(refused.exception)
    fit = fit_of_run(read_config(directory), directory)
    assert fit is not None and fit.memory_bytes > fit.memory_available_bytes
    assert not (directory / "train.log").exists()


def test_what_fits_is_not_asked_about(workspace: Workspace) -> None:
    directory = prepare(workspace, "small")
    fit = fit_of_run(read_config(directory), directory)
    assert fit is not None and fit.fits


def test_the_check_before_a_start_asks_for_no_more_than_the_plan(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OPTIMIZERS:
        settings = parse_settings(small_settings(optimizer={"name": name}))
        config, plan = plan_config(workspace, "new", settings)
        memory, free = plan.memory.total, plan.disk_needed
        monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=memory))  # noqa: B023
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))  # noqa: B023
        assert problems_of(config, workspace.run("new")) == [], name
        memory, free = plan.memory.weights, plan.checkpoint_bytes // 2
        found = [str(problem) for problem in problems_of(config, workspace.run("new"))]
        assert [one.partition(":")[0] for one in found] == ["Memory", "Disk space"], name


def test_a_run_with_two_checkpoints_needs_space_for_one_more(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = prepare(workspace, "resumed")
    config = read_config(directory)
    one = 12 * describe_model(Path(config.model_path)).parameters
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3 * one // 2))
    (refused,) = problems_of(config, directory)
    assert "two checkpoints need" in refused.sentence
    for step in (2, 4):
        folder = directory / CHECKPOINTS / checkpoint_name(step)
        folder.mkdir(parents=True)
        (folder / MANIFEST).write_text("{}")
    assert problems_of(config, directory) == []
