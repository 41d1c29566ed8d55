"""A workspace carries the version of its format; a program that is too old touches nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cptstudio import __version__, cli, workspace
from cptstudio.errors import UserError
from cptstudio.runs import locks
from cptstudio.runs.launching import KEEPER_MODULE, TRAINER_MODULE
from cptstudio.workspace import Workspace
from tests.web.in_process import make_web

NOTE = ".cpt-studio/workspace.json"
NEWER = r"written by a newer version of CPT Studio \(9\.0\.0\): it has format 99"
# What an argument or option has to be before a command looks at its workspace at all.
PLAUSIBLE = {"model_id": "owner/name"}
WITHOUT_WORKSPACE = {
    ("corpus", "preview"), ("models", "search"), ("models", "card"), ("models", "sign-in"),
    ("models", "sign-out"), ("datasets", "search"), ("datasets", "show"),
}  # fmt: skip


def of_the_future(root: Path) -> Path:
    """A workspace that a newer version wrote."""
    (root / ".cpt-studio" / "runs" / "first").mkdir(parents=True)
    (root / "models" / "cpt" / "first").mkdir(parents=True)
    (root / NOTE).write_text(json.dumps({"format": 99, "written_by": "9.0.0", "more": True}))
    return root


def all_in(root: Path) -> dict[str, Any]:
    """Every path below a folder, with its time of change and content."""
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.is_file() and path.read_bytes())
        for path in sorted(root.rglob("*"))
    }


def commands(command: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from commands(inner, *names, name)
    else:
        yield names, command


COMMANDS = dict(commands(typer.main.get_command(cli.app)))


def arguments_of(names: tuple[str, ...], command: Any) -> list[str]:
    """Something for every argument and option that has to be given."""
    given = []
    for parameter in command.params:
        # An export's prompts are a number.
        given_in_words = parameter.name in ("text", "prompts") and names[:1] != ("export",)
        if parameter.required or given_in_words:
            value = PLAUSIBLE.get(parameter.name, "x")
            is_argument = parameter.param_type_name == "argument"
            given += [value] if is_argument else [parameter.opts[0], value]
    return given


@pytest.mark.parametrize("names", sorted(COMMANDS.keys() - WITHOUT_WORKSPACE), ids=" ".join)
def test_no_command_opens_a_workspace_of_a_newer_version(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = of_the_future(tmp_path / "theirs")
    (tmp_path / "x").write_text("x")  # So "x" is a name and a file.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CPT_STUDIO_WORKSPACE", str(root))
    if names == ("serve",):
        arguments = ["--no-browser", "--demo", "--workspace", str(root)]
    else:
        arguments = arguments_of(names, COMMANDS[names])
    before = all_in(root)
    with pytest.raises(UserError, match=NEWER):
        typer.main.get_command(cli.app).main([*names, *arguments], standalone_mode=False)
    assert all_in(root) == before


@pytest.mark.slow
def test_neither_trainer_nor_keeper_works_in_one(tmp_path: Path) -> None:
    root = of_the_future(tmp_path)
    folder = root / ".cpt-studio" / "runs" / "first"
    lock = locks.take(folder / "lock")
    assert lock is not None
    before = all_in(root)
    trainer = (TRAINER_MODULE, str(root / "models/cpt/first"))
    keeper = (KEEPER_MODULE, str(folder), str(lock.descriptor))
    with lock:
        for program in (trainer, keeper):
            ended = subprocess.run(
                [sys.executable, "-P", "-m", *program],
                pass_fds=(lock.descriptor,),
                capture_output=True,
                text=True,
                check=False,
            )
            assert ended.returncode == 1
            assert "it has format 99" in ended.stderr
            assert "Traceback" not in ended.stderr
    assert all_in(root) == before


def test_the_format_is_noted_when_a_workspace_is_first_written_to(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "new")
    assert not place.root.exists()
    place.make(place.corpora)
    note = json.loads((place.root / NOTE).read_text())
    assert note == {"format": workspace.FORMAT, "written_by": __version__}
    assert os.stat(place.private).st_mode & 0o777 == 0o700


def test_one_that_becomes_newer_while_it_is_open_is_touched_no_more(tmp_path: Path) -> None:
    web = make_web(tmp_path)
    try:
        web.get("/api/runs")
        (tmp_path / NOTE).unlink(missing_ok=True)
        of_the_future(tmp_path)
        answer = web.request("GET", "/api/runs")
        assert answer.status_code == 422
        assert re.search(NEWER, answer.json["detail"])
        with pytest.raises(UserError, match=NEWER):
            web.studio.workspace.make(web.studio.workspace.corpora)
    finally:
        web.studio.news.close()
        web.studio.manager.close()
    assert not (tmp_path / "corpora").exists()


@pytest.mark.parametrize(
    "note", ["", "[1]", '{"format": "1"}', '{"format": 0}', '{"format": true}']
)
def test_a_damaged_note_is_told_with_its_path(tmp_path: Path, note: str) -> None:
    (tmp_path / NOTE).parent.mkdir()
    (tmp_path / NOTE).write_text(note)
    with pytest.raises(UserError, match=r"workspace\.json.*Restore a copy of it"):
        Workspace(tmp_path)
