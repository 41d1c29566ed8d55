"""The demo workspace, made once for all tests and workers of a session, and copied by each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from cptstudio import demo
from cptstudio.corpus.corpus import open_corpus
from cptstudio.errors import UserError
from cptstudio.workspace import Workspace


def demo_as_made(factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demo workspace, which nobody may change, and what the command said that made it.

    It is made by the command line, where a former attempt was killed.
    """
    base = factory.getbasetemp()
    # A worker's folder lies in that of the session.
    session = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made, said = session / "demo-as-made" / "demo", session / "demo-as-made" / "said.txt"
    with FileLock(session / "demo-as-made.lock"):
        if not said.is_file():
            said.write_text(_make(made), encoding="utf-8")
    return made, said.read_text(encoding="utf-8")


def copy_of_demo(factory: pytest.TempPathFactory, folder: Path) -> None:
    """Copy the demo workspace to `folder`."""
    made, _ = demo_as_made(factory)
    shutil.copytree(made, folder)


def _make(folder: Path) -> str:
    unfinished = Workspace(folder).corpus(demo.DOMAIN)
    (unfinished / "versions").mkdir(parents=True)
    with pytest.raises(UserError, match="The first build of"):
        open_corpus(unfinished)
    completed = subprocess.run(
        [sys.executable, "-m", "cptstudio.cli", "demo", folder.name],
        cwd=folder.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert "Traceback" not in completed.stdout + completed.stderr
    return completed.stdout
