"""A real workspace in miniature: a toy model and two corpora built from real text."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.settings import parse_settings
from cptstudio.training.prepare import prepare_run
from cptstudio.workspace import Workspace
from tests.chat_models import CHATML
from tests.template_models import build_conversations
from tests.toy_models import make_toy_model, text_sample

DOMAIN, GENERAL = "domain", "general"
CHAT, TALK = "chat", "talk"


def make_workspace(root: Path, architecture: str = "llama-tied") -> Workspace:
    """Base model "toy"; the corpora "domain" (code) and "general" (its second half)."""
    workspace = Workspace(root)
    model = make_toy_model(architecture, workspace.base_model("toy"))
    parts = [part for text in text_sample() for part in text.split("\n\n\n") if len(part) > 200]
    half = len(parts) // 2
    for name, documents in ((DOMAIN, parts[:half]), (GENERAL, parts[half:])):
        folder = root / "sources" / name
        folder.mkdir(parents=True)
        for number, text in enumerate(documents):
            (folder / f"{number:04d}.txt").write_text(text, encoding="utf-8")
        workspace.make(workspace.corpora)
        build_corpus(
            workspace.corpus(name),
            [folder],
            BuildSettings(near_dedup=False, validation=0.1, test=0.0),
            model_path=model,
        )
    return workspace


def add_conversations(workspace: Workspace) -> None:
    """Add the corpus "talk", and the model "chat", which is "toy" with a chat template."""
    model = workspace.base_model(CHAT)
    if model.exists():
        return
    shutil.copytree(workspace.base_model("toy"), model)
    (model / "chat_template.jinja").write_text(CHATML, encoding="utf-8")
    talks = [
        [
            turn
            for k in range(1 + n % 3)
            for turn in (("user", f"What is {n} and {k}?"), ("assistant", f"It is {n + k}."))
        ]
        for n in range(120)
    ]
    build_conversations(workspace.corpus(TALK), talks, model)


def small_settings(**changes: Any) -> dict[str, Any]:
    """A tree of settings for a run of a few fast steps; `changes` replace whole groups."""
    tree: dict[str, Any] = {
        "model": {"path": "toy"},
        "data": {
            "corpora": [{"name": DOMAIN}, {"name": GENERAL, "role": "replay"}],
            "replay_share": 0.25,
            "sequence_length": 32,
        },
        "length": "12 steps",
        "seed": 7,
        "method": {"kind": "full"},
        "optimizer": {"learning_rate": 3e-3},
        "batch": {"size": 2},
        "evaluation": {"every": "4 steps", "max_tokens": 500},
        "checkpoints": {"every": "3 steps"},
        "compute": {"threads": 2},
    }
    return tree | changes


def prepare(workspace: Workspace, name: str, **changes: Any) -> Path:
    """Prepare a small run; returns its directory.

    All tests of a room share one workspace, and which files share a process depends on how the
    tests are distributed: a name that another test took gets a number.
    """
    taken = {run.name for run in workspace.runs.iterdir()} if workspace.runs.is_dir() else set()
    free = next(
        n for k in itertools.count(1) if (n := name if k == 1 else f"{name}-{k}") not in taken
    )
    directory, _ = prepare_run(workspace, free, parse_settings(small_settings(**changes)))
    return directory
