"""A Python that the user names: refused where it lacks what is needed, ended at its limits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cptstudio.child_limits import Limits
from cptstudio.errors import UserError
from cptstudio.exports.comparison import Reference, ReferencePrompt, ReferenceWindow
from cptstudio.exports.transformers_answers import OtherPython, ask_transformers, look_at

REFERENCE = Reference(
    label="x", computed="float32", text="x", text_bytes=1, bytes=1,
    prompts=[ReferencePrompt(tokens=[1], greedy=[2], margins=[0.1])],
    windows=[ReferenceWindow(tokens=[1, 2], log_probs=[-0.1], best=[2])],
)  # fmt: skip


class _Silent:
    def progress(self, **facts: object) -> None: ...


def script(folder: Path, text: str) -> Path:
    made = folder / "python"
    made.write_text(f"#!/bin/sh\n{text}\n")
    made.chmod(0o700)
    return made


@pytest.mark.slow
def test_a_python_without_transformers_is_refused_before_the_work(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    with pytest.raises(UserError, match="does not have transformers and torch"):
        look_at(tmp_path / "env")
    with pytest.raises(UserError, match="There is no Python at"):
        look_at(tmp_path / "none")
    for text in ("echo hello", "exit 3", "echo 1"):
        with pytest.raises(UserError, match="is no Python that can be started"):
            look_at(script(tmp_path, text))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "limits", "said"),
    [
        (
            "exec sleep 600",
            Limits(0.01, None, "Wait."),
            "said nothing for .* so it was ended. Wait.",
        ),
        ("exec sleep 600", Limits(None, 1, "", "Less."), "GB, so it was ended. Less."),
        ("echo {; exec sleep 600", Limits(None, None), "an answer that cannot be read"),
        ("echo out of memory >&2; exit 1", Limits(None, None), "last words: out of memory"),
        ('echo \'{"error": "no such type"}\'', Limits(None, None), "cannot use .*: no such type"),
    ],
)
def test_what_it_does_is_told(tmp_path: Path, text: str, limits: Limits, said: str) -> None:
    python = OtherPython(script(tmp_path, text), {"transformers": "5", "torch": "2"})
    with pytest.raises(UserError, match=said):
        ask_transformers(python, tmp_path, REFERENCE, _Silent(), limits)
