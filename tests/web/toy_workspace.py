"""A workspace to train in, made quickly: a toy model and two corpora."""

from __future__ import annotations

from pathlib import Path

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.workspace import Workspace
from tests.runs.toy_runs import write_toy_model
from tests.toy_models import text_sample


def make_toy_workspace(root: Path) -> Workspace:
    """Base model "toy"; the corpora "domain" and "general" of real text."""
    workspace = Workspace(root)
    model = write_toy_model(workspace.base_model("toy"))
    parts = [part for text in text_sample() for part in text.split("\n\n\n") if len(part) > 200]
    half = len(parts) // 2
    workspace.make(workspace.corpora)
    for name, documents in (("domain", parts[:half]), ("general", parts[half:])):
        folder = root / "sources" / name
        folder.mkdir(parents=True)
        for number, text in enumerate(documents):
            (folder / f"{number:04d}.txt").write_text(text, encoding="utf-8")
        settings = BuildSettings(near_dedup=False, validation=0.1, test=0.0)
        build_corpus(workspace.corpus(name), [folder], settings, model_path=model)
    return workspace
