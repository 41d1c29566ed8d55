"""Publishing: what would leave is shown first, and exactly that leaves, also over a bad line."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cptstudio import durable
from cptstudio.cli import app
from cptstudio.errors import UserError
from cptstudio.export_files import EXPORT, ExportRecord, ExportSource
from cptstudio.models.library import ModelLibrary
from cptstudio.models.registry import ModelRegistry
from cptstudio.publishing import publish_program
from cptstudio.publishing.plan import Choices, Plan, make_plan
from cptstudio.publishing.subject import Subject, subject_of
from cptstudio.workspace import Workspace
from tests.models.fake_hub import FakeHub
from tests.publishing.conftest import BASE

pytestmark = pytest.mark.slow

FULL = "full-completed@step-00000024"
ADAPTER = "dora-killed@step-00000054"
TOKEN = "hf_may_write"
REPO = "ada/river-model"
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(2))"


class Publisher:
    """A user who previews and publishes, and what the hub saw of it."""

    def __init__(self, workspace: Workspace, hub: FakeHub) -> None:
        self.workspace = workspace
        self.hub = hub
        self.told: list[dict[str, Any]] = []

    def subject(self, reference: str = FULL) -> Subject:
        registry = ModelRegistry(
            self.workspace, ModelLibrary(self.workspace, cache=Path("/nowhere"))
        )
        return subject_of(registry, reference, self.workspace.runs)

    def plan(self, reference: str = FULL, **choices: Any) -> Plan:
        return make_plan(self.subject(reference), Choices(**{"repo_id": REPO} | choices))

    def publish(self, plan: Plan, confirmed: str | None = None) -> dict[str, Any]:
        notes = self.workspace.private / "publishing"
        return publish_program.publish(plan, confirmed or plan.digest, notes, self)

    def refusal(self, plan: Plan, confirmed: str | None = None) -> str:
        with pytest.raises(UserError) as raised:
            self.publish(plan, confirmed)
        return str(raised.value)

    def progress(self, *, final: bool = False, **facts: Any) -> None:
        """Note a moment's progress."""
        self.told.append(facts)


@pytest.fixture
def ada(workspace: Workspace, hub_server: FakeHub, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    hub_server.users[TOKEN] = "ada"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(publish_program.time, "sleep", lambda seconds: None)
    return Publisher(workspace, hub_server)


def test_what_was_shown_arrives_and_nothing_else(ada: Publisher, hub_server: FakeHub) -> None:
    plan = ada.plan(data=f"Texts of a river. {HOSTILE}")
    assert not hub_server.requests
    assert {file.path for file in plan.files} == {
        "README.md", "config.json", "generation_config.json", "model.safetensors",
        "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert set(plan.left) == {"manifest.json", "training_state"}
    result = ada.publish(plan)
    repo = hub_server.repos[REPO]
    assert (result["private"], result["commit"], repo.is_private) == (True, repo.commit, True)
    folder = ada.workspace.run("full-completed") / "checkpoints" / "step-00000024"
    assert set(repo.files) - {".gitattributes"} == {file.path for file in plan.files}
    for file in plan.files[1:]:
        assert repo.files[file.path] == (folder / file.path).read_bytes()
    assert repo.files["README.md"].decode() == plan.card
    assert ada.told[-1]["phase"] == "saving"
    uploading = [one for one in ada.told if one["phase"] == "uploading"]
    assert uploading[-1]["done"] == uploading[-1]["total"] == plan.bytes
    # What the hub got besides is the address of the repository alone.
    assert str(ada.workspace.root) not in plan.card
    assert not list((ada.workspace.private / "publishing").iterdir())


def test_the_card_tells_data_settings_figures_base_and_license(ada: Publisher) -> None:
    plan = ada.plan(data="Texts of a river.")
    matter = yaml.safe_load(plan.card.split("---")[1])
    assert (matter["base_model"], matter["base_model_relation"]) == (BASE, "finetune")
    assert (matter["license"], matter["license_name"]) == ("other", "tiny-terms")
    for words in ("Texts of a river.", "river (domain)", "| Domain | 5.1329 |", "| Optimizer |"):
        assert words in plan.card
    assert plan.warnings == ()
    bare = ada.plan(license="mit")
    assert yaml.safe_load(bare.card.split("---")[1])["license"] == "mit"
    assert any("data is not described" in one for one in bare.warnings)
    own = ada.plan(card="# Mine\n")
    assert own.card == "# Mine\n" and own.digest != bare.digest != plan.digest
    for wrong in ({"repo_id": "no-owner"}, {"repo_id": "../x"}, {"license": "<b>"}):
        with pytest.raises(UserError, match=r"names no owner|not a model ID|not a license"):
            ada.plan(**wrong)
    with pytest.raises(UserError, match=f"it is there already, as {BASE}"):
        ada.plan("tiny")


def test_an_adapter_names_its_base_and_no_folder_of_this_machine(
    ada: Publisher, hub_server: FakeHub
) -> None:
    plan = ada.plan(ADAPTER)
    ada.publish(plan)
    files = hub_server.repos[REPO].files
    assert json.loads(files["adapter_config.json"])["model"] == BASE
    assert yaml.safe_load(plan.card.split("---")[1])["base_model_relation"] == "adapter"
    assert f"--model {BASE} --adapter-path" in plan.card
    kept = b"".join(content for name, content in files.items() if name != "adapters.safetensors")
    assert str(ada.workspace.root).encode() not in kept and b"/tmp/" not in kept


def test_an_export_is_told_with_what_its_comparison_found(ada: Publisher) -> None:
    folder = ada.workspace.export("small")
    shutil.copytree(Path(ada.subject().folder), folder)
    proof = {"sentences": ["Costs 0.002 bits per byte."], "warning": "Loses half of the gain."}
    record = ExportRecord(
        created=1.0,
        format="mlx",
        weights="4-bit",
        source=ExportSource(reference=FULL, folder=ada.subject().folder),
        versions={"mlx-lm": "1.2"},
        proof=proof,
    )
    durable.write_json(folder / EXPORT, record.model_dump())
    plan = ada.plan("exports/small", data="x")
    matter = yaml.safe_load(plan.card.split("---")[1])
    assert (matter["base_model"], matter["base_model_relation"]) == (BASE, "quantized")
    assert (
        "4-bit, made with mlx-lm 1.2" in plan.card and "- Costs 0.002 bits per byte." in plan.card
    )
    assert plan.warnings == ("Loses half of the gain.",)
    assert EXPORT in plan.left and str(ada.workspace.root) not in plan.card


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_file_that_changed_after_the_preview_is_not_published(
    ada: Publisher, hub_server: FakeHub, when: str
) -> None:
    plan = ada.plan()
    weights = ada.workspace.run("full-completed") / "checkpoints/step-00000024/model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + b"!")
    if when == "before":
        error = ada.refusal(ada.plan(), plan.digest)
        assert "not what you confirmed" in error and "Nothing was sent" in error
        assert not hub_server.requests
    else:
        assert "model.safetensors changed since you confirmed it" in ada.refusal(plan)
        assert "model.safetensors" not in hub_server.repos[REPO].files


def test_every_choice_is_part_of_what_is_confirmed(ada: Publisher, hub_server: FakeHub) -> None:
    plan = ada.plan()
    for changes in ({"private": False}, {"update": True}, {"repo_id": "ada/other"}, {"data": "x"}):
        assert "not what you confirmed" in ada.refusal(ada.plan(**changes), plan.digest)
    assert not hub_server.requests


def test_a_broken_connection_is_tried_again_and_then_gone_on_with(
    ada: Publisher, hub_server: FakeHub
) -> None:
    plan = ada.plan()
    hub_server.faults.cut_uploads = 2
    ada.publish(plan)
    assert hub_server.repos.pop(REPO).files["model.safetensors"]
    hub_server.contents.clear()
    # The first large file comes, the second never does.
    real = publish_program._Upload._send

    def only_weights(self: Any, number: int, file: Any) -> Any:
        if file.path == "tokenizer.json":
            hub_server.faults.cut_uploads = 1000
        return real(self, number, file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish_program._Upload, "_send", only_weights)
        assert "Can't reach" in ada.refusal(plan)
    assert "README.md" not in hub_server.repos[REPO].files
    hub_server.faults.cut_uploads = 0
    hub_server.requests.clear()
    ada.publish(plan)
    sent = [path for method, path, _ in hub_server.requests if method == "PUT"]
    weights = next(file for file in plan.files if file.path == "model.safetensors")
    assert len(sent) == 1 and weights.sha256 not in sent[0]
    assert set(hub_server.repos[REPO].files) >= {file.path for file in plan.files}


def test_what_is_there_already_is_touched_only_when_that_was_chosen(
    ada: Publisher, hub_server: FakeHub
) -> None:
    repo = hub_server.add(REPO, {"model.safetensors": b"other"}, is_private=True)
    assert "is there already, with 1 files" in ada.refusal(ada.plan())
    repo.is_private = False
    assert "already and public, but you chose private" in ada.refusal(ada.plan(update=True))
    assert repo.files == {"model.safetensors": b"other"}
    repo.is_private = True
    ada.publish(ada.plan(update=True))
    assert len(repo.files) == 6


def test_without_a_token_that_may_write_nothing_is_sent(
    ada: Publisher, hub_server: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Your token may not make bob/x" in ada.refusal(ada.plan(repo_id="bob/x"))
    monkeypatch.setenv("HF_TOKEN", "")
    hub_server.requests.clear()
    assert "needs a token that may write" in ada.refusal(ada.plan())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in ada.refusal(ada.plan())
    assert not hub_server.requests


def test_links_and_folders_without_weights_are_refused(ada: Publisher, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(Path(ada.subject().folder), folder)
    subject = replace(ada.subject(), folder=str(folder))
    (folder / "secrets.json").symlink_to("/etc/hostname")
    with pytest.raises(UserError, match="is a link"):
        make_plan(subject, Choices(REPO))
    (folder / "secrets.json").unlink()
    (folder / "evil.py").write_text("import os")
    (folder / ".env").write_text("TOKEN=1")
    os.mkfifo(folder / "pipe")
    assert {"evil.py", ".env", "pipe"} <= set(make_plan(subject, Choices(REPO)).left)
    (folder / "config.json").write_text('{"_name_or_path": "/home/ada/secret"}')
    assert any("/home/ada/secret" in one for one in make_plan(subject, Choices(REPO)).warnings)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="holds no weights to publish"):
        make_plan(subject, Choices(REPO))


def test_in_the_terminal_nothing_is_sent_before_the_digest_is_confirmed(
    ada: Publisher, hub_server: FakeHub
) -> None:
    runner = CliRunner()
    command = ["publish", FULL, "--to", REPO, "--workspace", str(ada.workspace.root)]
    shown = runner.invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert "river (domain)" in shown.stdout and "model.safetensors" in shown.stdout
    assert "Nothing was sent" in shown.stdout and not hub_server.requests
    digest = json.loads(runner.invoke(app, [*command, "--json"]).stdout)["digest"]
    assert digest in shown.stdout.replace("\n", "") and not hub_server.requests
    done = runner.invoke(app, [*command, "--confirm", digest])
    assert done.exit_code == 0, done.output
    assert f"Published (private): {hub_server.address}/{REPO}" in done.stdout
    assert TOKEN not in shown.output + done.output
