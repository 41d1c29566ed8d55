"""`cpt-studio models`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cptstudio.cli import app
from cptstudio.errors import UserError
from tests.models.fake_hub import FakeHub

ID = "some-org/Small"


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
