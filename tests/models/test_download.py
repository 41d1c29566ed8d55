"""Downloads from a hub that fails in every way a hub fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from cptstudio.errors import UserError
from cptstudio.job_programs import Answer
from cptstudio.lm.description import describe_model
from cptstudio.models.download import download
from cptstudio.models.origin import read_origin
from tests.models.fake_hub import FakeHub
from tests.small_disk import needs_mount, small_disk

pytestmark = pytest.mark.slow

ID = "some-org/Small-Model.v1"
NAME = "Small-Model.v1"
WANTED = {"config.json", "tokenizer.json", "tokenizer_config.json", "README.md"}


class Download:
    """The download program at work."""

    def __init__(self, base_models: Path, model_id: str = ID, revision: str | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cptstudio.models.download"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        request = {"id": model_id, "revision": revision, "base_models": str(base_models)}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()

    def lines(self) -> list[dict[str, Any]]:
        # Not communicate(), which would close its input, and so end it.
        assert self.process.stdout is not None
        lines = [json.loads(line) for line in self.process.stdout]
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        return lines

    def result(self) -> dict[str, Any]:
        last = self.lines()[-1]
        assert "result" in last, last
        result: dict[str, Any] = last["result"]
        return result


def refusal(base_models: Path, model_id: str = ID, revision: str | None = None) -> str:
    """What a download in this process is refused with."""
    with Path(os.devnull).open("wb") as nowhere, pytest.raises(UserError) as raised:
        download(model_id, revision, base_models, Answer(nowhere.fileno()))
    return str(raised.value)


def parts(base_models: Path) -> list[Path]:
    return sorted(base_models.glob(".download-*/*"))


def test_a_model_comes_whole_and_nothing_that_could_run(
    hub_server: FakeHub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    repo = hub_server.add(ID, model_files)
    lines = Download(tmp_path).lines()
    result = lines[-1]["result"]
    folder = tmp_path / NAME
    assert result["id"] == NAME
    assert result["path"] == str(folder)
    names = {path.name for path in folder.iterdir()}
    assert names >= WANTED | {"model.safetensors"}
    unwanted = ("*.py", "*.bin", "consolidated*", ".git*", "*.onnx")
    assert not [path for pattern in unwanted for path in folder.rglob(pattern)]
    for name in names - {"cptstudio_origin.json"}:
        assert (folder / name).read_bytes() == model_files[name]
    assert describe_model(folder).model_type == "qwen3"
    origin = read_origin(folder)
    assert origin is not None
    assert (origin.id, origin.commit, origin.revision) == (ID, repo.commit, "main")
    assert not parts(tmp_path)
    progress = [line["progress"] for line in lines if "progress" in line]
    loading = [one for one in progress if one["phase"] == "downloading"]
    assert loading[-1]["done"] == loading[-1]["total"] == result["bytes"]
    assert loading[-1]["unit"] == "bytes"


def test_a_model_that_is_there_is_not_fetched_again(
    hub_server: FakeHub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    hub_server.add(ID, model_files)
    Download(tmp_path).result()
    hub_server.requests.clear()
    assert Download(tmp_path).result()["id"] == NAME
    assert not hub_server.asked_for("/resolve/")
    hub_server.add(ID, model_files | {"README.md": b"a new commit"})
    assert "already exists as Small-Model.v1" in refusal(tmp_path)


def test_another_model_of_the_same_name_keeps_its_folder(
    hub_server: FakeHub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / NAME).mkdir()
    hub_server.add(ID, model_files)
    assert Download(tmp_path).result()["id"] == f"some-org--{NAME}"
    assert not list((tmp_path / NAME).iterdir())


def test_a_cancelled_download_keeps_what_came_and_goes_on(
    hub_server: FakeHub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    hub_server.add(ID, model_files)
    hub_server.faults.hold = threading.Event()
    program = Download(tmp_path)
    assert program.process.stdout is not None
    for line in program.process.stdout:
        if (json.loads(line)["progress"].get("done") or 0) > 500_000:
            break
    program.process.send_signal(signal.SIGINT)
    assert program.lines()[-1] == {"cancelled": True}
    assert not (tmp_path / NAME).exists()
    kept = sum(path.stat().st_size for path in parts(tmp_path))
    assert kept > 0
    hub_server.faults.hold.set()
    hub_server.faults.hold = None
    hub_server.requests.clear()
    Download(tmp_path).result()
    weights = tmp_path / NAME / "model.safetensors"
    assert weights.read_bytes() == model_files["model.safetensors"]
    assert hub_server.asked_for("model.safetensors")[0][2] is not None
    assert not parts(tmp_path)


def test_a_broken_connection_is_continued_where_it_broke(
    hub_server: FakeHub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    hub_server.add(ID, {name: model_files[name] for name in ("config.json", "model.safetensors")})
    hub_server.faults.cut_after = 3_000_000
    hub_server.faults.cuts = 2
    Download(tmp_path).result()
    ranges = [one[2] for one in hub_server.asked_for("model.safetensors")]
    assert ranges == [None, "bytes=3000000-", "bytes=6000000-"]
    weights = tmp_path / NAME / "model.safetensors"
    assert weights.read_bytes() == model_files["model.safetensors"]


def test_a_hub_that_ignores_ranges_sends_it_again(
    hub_server: FakeHub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    hub_server.add(ID, {name: model_files[name] for name in ("config.json", "model.safetensors")})
    faults = hub_server.faults
    faults.cut_after, faults.cuts, faults.ignore_range = 3_000_000, 1, True
    Download(tmp_path).result()
    weights = tmp_path / NAME / "model.safetensors"
    assert weights.read_bytes() == model_files["model.safetensors"]


def test_passing_errors_of_the_hub_are_repeated(
    hub_server: FakeHub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    hub_server.add(ID, {name: model_files[name] for name in ("config.json", "model.safetensors")})
    hub_server.faults.errors = 1
    assert Download(tmp_path).result()["id"] == NAME


def test_damaged_content_is_refused_and_not_kept(
    hub_server: FakeHub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    hub_server.add(ID, {name: model_files[name] for name in ("config.json", "model.safetensors")})
    hub_server.faults.damaged = True
    assert "does not match what the hub announced" in refusal(tmp_path)
    assert not (tmp_path / NAME).exists()
    hub_server.faults.damaged = False
    Download(tmp_path).result()
    weights = tmp_path / NAME / "model.safetensors"
    assert weights.read_bytes() == model_files["model.safetensors"]


def test_a_gated_model_says_what_to_do_and_comes_with_the_users_token(
    hub_server: FakeHub,
    model_files: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub_server.add(ID, model_files, gated=True)
    error = refusal(tmp_path)
    assert f"{hub_server.address}/{ID} in a browser" in error
    assert "`cpt-studio models sign-in`" in error
    monkeypatch.setenv("HF_TOKEN", "hf_of_another")
    error = refusal(tmp_path)
    assert f"your account has no access. Open {hub_server.address}/{ID}" in error
    assert "hf_of_another" not in error
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    lines = Download(tmp_path).lines()
    assert "result" in lines[-1]
    assert "hf_secret" not in json.dumps(lines)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"config.json": b"{}", "pytorch_model.bin": b"x"}, "only pickle weights"),
        ({"model-q4.gguf": b"x"}, "GGUF"),
        ({"README.md": b"x"}, "has no weights"),
    ],
)
def test_what_is_no_usable_model_is_not_downloaded(
    hub_server: FakeHub, tmp_path: Path, files: dict[str, bytes], words: str
) -> None:
    hub_server.add(ID, files)
    assert words in refusal(tmp_path)
    assert not hub_server.asked_for("/resolve/")


def test_what_the_hub_does_not_have_is_said(
    hub_server: FakeHub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    assert "The hub has no model" in refusal(tmp_path, "some-org/missing")
    hub_server.add(ID, model_files)
    assert "no such branch, tag or commit" in refusal(tmp_path, revision="v9")
    hub_server.faults.broken_api = "<html>a login page of the hotel</html>"
    assert "did not answer like a hub" in refusal(tmp_path)


def test_a_machine_without_a_network_is_told_so(
    hub_server: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "Can't reach" in refusal(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in refusal(tmp_path)
    assert not hub_server.requests


@needs_mount
def test_a_model_that_does_not_fit_is_refused_before_it_is_fetched(
    hub_server: FakeHub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    hub_server.add(ID, model_files)
    with small_disk(tmp_path / "disk", "size=8m") as disk:
        error = refusal(disk)
    assert "needs 0.3 GB of disk" in error and "0.0 GB are free" in error
    assert not hub_server.asked_for("/resolve/")


@pytest.mark.parametrize("digest", ["../../../evil", "", "f" * 39, "/tmp/x"])
def test_no_digest_of_a_hub_becomes_a_path(
    hub_server: FakeHub, tmp_path: Path, digest: str
) -> None:
    hub_server.add(ID, {"config.json": b"{}", "model.safetensors": b"weights"})
    hub_server.faults.digest = digest
    assert "with an invalid digest" in refusal(tmp_path / "base")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "model_id",
    ["../../etc", "http://127.0.0.1/x", "a/b/c", "a b/c", "", "-x/y", "org/na..me", "o/.hidden"],
)
def test_only_ids_are_asked_for(hub_server: FakeHub, tmp_path: Path, model_id: str) -> None:
    assert "is not a model ID" in refusal(tmp_path, model_id)
    assert not hub_server.requests
    assert not list(tmp_path.iterdir())
