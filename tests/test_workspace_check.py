"""`cpt-studio workspace check` lists what is not whole, each kind of it, and changes nothing."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.main

from cptstudio import cli, durable
from cptstudio.cli.workspace_check import check_workspace
from cptstudio.corpus.versions import only_builder
from cptstudio.workspace import Workspace
from tests.workspace_of_before import lay_out

RUNS, CORPUS = "models/cpt", "corpora/river"
LAST = f"{RUNS}/full-completed/checkpoints/step-00000024"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("whole") / "workspace")


def cut(path: Path) -> None:
    """A copy that broke off."""
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    """A bit that a disk lost, or somebody's edit."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def blank(path: Path) -> None:
    """What a file system may leave of a file when the power fails."""
    path.write_bytes(b"\0" * path.stat().st_size)


def flip_last(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def remove(path: Path) -> None:
    path.unlink()


def add_line(path: Path) -> None:
    with path.open("a") as file:
        file.write('{"seq": \n')


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace('"seed": 7', '"seed": 8'))


def half_made(path: Path) -> None:
    path.mkdir(parents=True)
    (path / "part").write_bytes(b"12345")


Harm = Callable[[Path], None]
HARMS: dict[str, tuple[str, Harm, str, str]] = {
    "configuration cut off": (f"{RUNS}/waits/config.json", cut, f"{RUNS}/waits", "not valid JSON"),
    "configuration gone": (
        *(f"{RUNS}/lora-completed/config.json", remove, f"{RUNS}/lora-completed"),
        "config.json is missing",
    ),
    "configuration edited": (
        *(f"{RUNS}/full-completed/config.json", edit, f"{RUNS}/full-completed"),
        "settings.seed was 7 and is now 8",
    ),
    "a damaged row": (
        *(f"{RUNS}/full-completed/metrics.jsonl", add_line, f"{RUNS}/full-completed"),
        "metrics.jsonl has damaged lines: line ",
    ),
    "a damaged result": (
        *(f"{RUNS}/full-forked/result.json", cut, f"{RUNS}/full-forked"),
        "result.json: is not valid JSON",
    ),
    "altered weights": (
        *(f"{LAST}/model.safetensors", flip, f"{RUNS}/full-completed"),
        "step-00000024 is damaged: model.safetensors has changed",
    ),
    "a checkpoint's file gone": (
        *(f"{LAST}/training_state/state.json", remove, f"{RUNS}/full-completed"),
        "step-00000024 is damaged: training_state/state.json is missing",
    ),
    "a checkpoint without manifest": (
        *(f"{LAST}/manifest.json", remove, f"{RUNS}/full-completed"),
        "step-00000024 is damaged: its manifest.json is missing",
    ),
    "tokens altered": (
        *(f"{CORPUS}/versions/*/tokens/*/tokens.bin", flip, CORPUS),
        "the content of tokens.bin has changed",
    ),
    "tokens gone": (
        *(f"{CORPUS}/versions/*/tokens/*/sides.npy", remove, CORPUS),
        "sides.npy is missing",
    ),
    "documents altered": (f"{CORPUS}/versions/*/documents/text-00000.zst", flip, CORPUS, "damaged"),
    "list of documents altered": (
        *(f"{CORPUS}/versions/*/documents/documents.npy", flip_last, CORPUS),
        "its document list has changed since it was written",
    ),
    "list of sources cut off": (
        *(f"{CORPUS}/versions/*/documents/sources.jsonl.zst", cut, CORPUS),
        "its documents do not match its sources",
    ),
    "list of sources altered": (
        *(f"{CORPUS}/versions/*/documents/sources.jsonl.zst", blank, CORPUS),
        "could not read sources.jsonl.zst",
    ),
    "a corpus's manifest cut off": (f"{CORPUS}/manifest.json", cut, CORPUS, "not valid JSON"),
    "a model cut off": (
        *("models/base/tiny/model.safetensors", cut, "models/base/tiny"),
        "is truncated: at least 5 bytes are missing",
    ),
    "a model without tokenizer": (
        *("models/base/tiny/tokenizer*", remove, "models/base/tiny"),
        "The tokenizer is missing",
    ),
    "half a download": (
        *("models/base/.download-a--b", half_made, "models/base/.download-a--b"),
        "Incomplete download",
    ),
    "half a checkpoint": (
        f"{RUNS}/full-completed/checkpoints/.step-00000030.staging-0-0a0a0a0a",
        *(half_made, f"{RUNS}/full-completed", "is incomplete: writing it was interrupted"),
    ),
    "a former version of a corpus": (
        *(f"{CORPUS}/versions/0123-4567", half_made, CORPUS),
        "versions/0123-4567 is no longer used. You can delete it to free 5 bytes",
    ),
    "a damaged report": ("reports/*.json", cut, "reports", "not valid JSON"),
    "a damaged suite": ("suites/basics.json", cut, "suites", "not valid JSON"),
    "a damaged queue": (".cpt-studio/queue.json", cut, ".cpt-studio", "not valid JSON"),
    "a damaged record": (
        *(".cpt-studio/runs/dora-killed/exit.json", cut, f"{RUNS}/dora-killed"),
        "exit.json: is not valid JSON",
    ),
    "a cache of a run that is gone": (
        *(".cpt-studio/cache/series/gone.columns", half_made, ".cpt-studio"),
        "gone.columns belongs to a run that was deleted",
    ),
}


def test_a_workspace_that_is_whole_is_said_to_be(whole: Path) -> None:
    before = contents(whole)
    told: list[tuple[str, int, int]] = []
    found = check_workspace(Workspace(whole), lambda *now: told.append(now))
    assert found == []
    assert contents(whole) == before
    assert [done for _, done, _ in told] == list(range(told[0][2]))


@pytest.mark.parametrize("name", HARMS)
def test_what_is_not_whole_is_told(name: str, whole: Path, tmp_path: Path) -> None:
    pattern, harm, where, sentence = HARMS[name]
    shutil.copytree(whole, tmp_path / "w", copy_function=os.link)
    root = tmp_path / "w"
    for path in list(root.glob(pattern)) or [root / pattern]:
        if path.is_file():  # Not the file that all copies share.
            data = path.read_bytes()
            path.unlink()
            path.write_bytes(data)
        harm(path)
    before = contents(root)
    found = check_workspace(Workspace(root))
    assert any(one.where == where and sentence in one.what for one in found), found
    assert contents(root) == before


def test_a_base_that_is_another_one_is_told_of_the_runs_that_need_it(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "w")
    flip(root / "models/base/tiny/model.safetensors")
    found = check_workspace(Workspace(root))
    told = "is not the one this run was created with: model.safetensors has SHA-256"
    names = {one.where.rpartition("/")[2] for one in found if told in one.what}
    # A model that is complete in itself needs its base no more; an adapter does.
    assert names == {
        *("dora-killed", "full-resumed", "lora-completed", "lora-stopped", "sgd-failed", "waits")
    }


def test_the_command_ends_with_1_where_anything_is_not_whole(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = typer.main.get_command(cli.app)
    check = ["workspace", "check", "--workspace", str(whole)]
    assert command.main(check, standalone_mode=False) in (0, None)
    assert capsys.readouterr().out.startswith("No damage found in ")
    root = tmp_path / "w"
    shutil.copytree(whole, root)
    remove(root / LAST / "manifest.json")
    check[-1] = str(root)
    assert command.main([*check, "--json"], standalone_mode=False) == 1
    assert [one["where"] for one in json.loads(capsys.readouterr().out)] == [
        f"{RUNS}/full-completed"
    ]


def test_what_another_process_is_at_is_not_called_left_over(whole: Path, tmp_path: Path) -> None:
    root = tmp_path / "w"
    shutil.copytree(whole, root)
    durable.staging_path(root / ".cpt-studio" / "queue.json").write_text("{")
    for begun in ("new", "river"):
        half_made(root / "corpora" / begun / "versions" / ".new.staging-0-0a0a0a0a")
    parts = root / "models/base/.download-a--b"
    half_made(parts)
    (root / "corpora/new/.build.lock").touch()
    descriptor = os.open(parts, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with only_builder(root / "corpora/new"), only_builder(root / "corpora/river"):
            assert check_workspace(Workspace(root)) == []
    finally:
        os.close(descriptor)
    names = {one.where for one in check_workspace(Workspace(root))}
    assert names == {"corpora/new", "corpora/river", "models/base/.download-a--b"}


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
