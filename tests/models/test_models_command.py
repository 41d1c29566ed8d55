"""`cpt-studio models`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cptstudio.cli import app, common
from cptstudio.errors import UserError
from tests.models.fake_hub import FakeHub
from tests.models.model_workspace import make_models

ID = "some-org/Small"


@pytest.mark.slow
def test_a_model_is_found_downloaded_and_listed(
    hub_server: FakeHub,
    model_files: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    hub_server.add(ID, model_files)
    runner = CliRunner()
    found = runner.invoke(app, ["models", "search", "small"])
    assert ID in found.stdout
    place = ["--workspace", str(tmp_path)]
    empty = runner.invoke(app, ["models", "list", *place])
    assert "No models in" in empty.stdout
    done = runner.invoke(app, ["models", "download", ID, "--json", *place])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["path"] == str(tmp_path / "models" / "base" / "Small")
    listed = runner.invoke(app, ["models", "list", "--json", *place])
    [model] = json.loads(listed.stdout)
    assert (model["id"], model["error"], model["origin"]["id"]) == ("Small", None, ID)
    table = runner.invoke(app, ["models", "list", *place])
    assert "Small" in table.stdout
    with pytest.raises(UserError, match="The hub has no model"):
        runner.invoke(
            app, ["models", "download", "some-org/missing", *place], catch_exceptions=False
        )


def test_models_of_every_kind_are_listed_shown_and_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common.console, "width", 200)  # It may have been made narrower before.
    workspace = make_models(tmp_path)
    runner = CliRunner(env={"HF_HUB_CACHE": str(tmp_path / "cache"), "COLUMNS": "200"})
    place = ["--workspace", str(tmp_path)]

    def said(*words: str) -> str:
        done = runner.invoke(app, ["models", *words, *place], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    table = said("list")
    assert "exports/out" in table and "Q8_0" in table and "apache-2.0" in table
    assert "And 4 checkpoints of 3 runs" in table and "lora@" not in table
    assert said("list", "--kind", "checkpoint").count("lora adapter") == 3
    assert len(json.loads(said("list", "--json"))) == 7
    shown = said("show", "lora@best")
    assert "lora@step-00000005" in shown and "base: base" in shown and "some-org/Small" in shown
    told = json.loads(said("show", "exports/out", "--json"))
    assert told["made_from"][0]["label"] == "half"
    gone = said("delete", "lora@last", "--yes")
    assert "a resume would continue from step 5" in gone and "Deleted lora@step-00000010" in gone
    assert not (workspace.run("lora") / "checkpoints" / "step-00000010").exists()
    with pytest.raises(UserError, match="There is no model 'nothing'"):
        said("show", "nothing")
    with pytest.raises(UserError, match="pass --yes"):
        said("delete", "base")
