"""A workspace in which nothing can be written: every command says so in a sentence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.settings import parse_settings
from cptstudio.training.prepare import prepare_run
from cptstudio.workspace import Workspace
from tests.small_disk import needs_mount, small_disk
from tests.toy_models import make_toy_model, text_sample

pytestmark = [pytest.mark.slow, needs_mount]

TRAIN = ("train", "--model", "toy", "--corpus", "code", "--length", "2 steps")
COMMANDS = [
    ("corpus", "build", "new", "SOURCES", "--model", "toy"),
    (*TRAIN, "--name", "new"),
    (*TRAIN, "--name", "new", "--background"),
    ("resume", "there"),
    ("runs", "resume", "there", "--yes"),
    ("runs", "delete", "there", "--yes"),
    ("suite", "create", "one", "--prompt", "def f"),
    ("evaluate", "toy", "--corpus", "code"),
    ("questions", "QUIZ", "toy"),
    ("serve", "--no-browser"),
]
READING = [
    ("corpus", "list"),
    ("corpus", "show", "code"),
    ("runs", "list"),
    ("runs", "show", "there"),
    ("models", "list"),
]
# Each command in a process of its own that has the modules already.
PROGRAM = """
import json, os, sys, tempfile
from cptstudio import cli
import cptstudio.corpus.build, cptstudio.training.planning

for arguments in json.load(sys.stdin):
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            for stream in (1, 2):
                os.dup2(said.fileno(), stream)
            sys.argv = ["cpt-studio", *arguments]
            code = 0
            try:
                cli.main()
            except SystemExit as ending:
                code = ending.code or 0
            except BaseException as error:
                import traceback
                traceback.print_exc()
                code = 70
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        said.seek(0)
        print(json.dumps([arguments, os.waitstatus_to_exitcode(status), said.read()]), flush=True)
"""


@contextmanager
def read_only_disk(root: Path) -> Iterator[list[str]]:
    subprocess.run(["mount", "-o", "remount,ro", str(root.parent)], check=True)
    try:
        yield []
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(root.parent)], check=True)


@contextmanager
def no_permission(root: Path) -> Iterator[list[str]]:
    """The administrator may write anywhere, so that right is given up."""
    if shutil.which("setpriv") is None:
        pytest.skip("giving up a right needs setpriv")
    subprocess.run(["chmod", "-R", "a-w", str(root)], check=True)
    try:
        yield ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(root)], check=True)


KINDS = {
    "read-only disk": (read_only_disk, "read-only"),
    "no permission": (no_permission, "ermission denied"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with small_disk(tmp_path_factory.mktemp("disk") / "disk", "size=64m") as disk:
        workspace = Workspace(disk / "workspace")
        make_toy_model("llama-tied", workspace.base_model("toy"))
        sources = workspace.root / "sources"
        sources.mkdir()
        for number, text in enumerate(text_sample()):
            (sources / f"{number}.py").write_text(text)
        workspace.make(workspace.corpora)
        build_corpus(
            workspace.corpus("code"),
            [sources],
            BuildSettings(near_dedup=False, validation=0.2),
            workspace.base_model("toy"),
        )
        settings = {
            "model": {"path": "toy"},
            "data": {"corpora": [{"name": "code"}]},
            "length": "2 steps",
        }
        prepare_run(workspace, "there", parse_settings(settings))
        (workspace.root / "quiz.jsonl").write_text('{"context": "a", "answer": "b"}\n')
        yield workspace.root


@pytest.mark.parametrize(
    "kind",
    ["read-only disk", pytest.param("no permission", marks=pytest.mark.bench)],
)
def test_every_command_says_that_it_cannot_write(root: Path, kind: str) -> None:
    refuse, words = KINDS[kind]
    names = {"SOURCES": str(root / "sources"), "QUIZ": str(root / "quiz.jsonl")}
    commands = [[names.get(part, part) for part in command] for command in COMMANDS + READING]
    before = sorted(root.rglob("*"))
    with refuse(root) as prefix:
        ended = subprocess.run(
            [*prefix, sys.executable, "-P", "-c", PROGRAM],
            input=json.dumps(commands),
            env=os.environ | {"CPT_STUDIO_WORKSPACE": str(root)},
            capture_output=True,
            text=True,
            check=False,
        )
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [arguments for arguments, _, _ in answers] == commands, ended.stderr
    for place, (arguments, code, said) in enumerate(answers):
        assert "Traceback" not in said, (arguments, said)
        if place < len(COMMANDS):
            assert code == 1 and words in said, (arguments, code, said)
        else:
            assert code == 0, (arguments, code, said)
    assert sorted(root.rglob("*")) == before
