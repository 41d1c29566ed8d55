"""The demo workspace, where a former attempt to make it was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cptstudio import demo
from cptstudio.corpus.corpus import open_corpus
from cptstudio.errors import UserError
from cptstudio.workspace import Workspace


@pytest.mark.slow
def test_a_demo_that_was_interrupted_is_completed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "demo")
    unfinished = workspace.corpus(demo.DOMAIN) / "versions"
    unfinished.mkdir(parents=True)
    with pytest.raises(UserError, match="no finished build"):
        open_corpus(workspace.corpus(demo.DOMAIN))
    said = list(demo.make(workspace))
    assert len(said) == 3
    for name in (demo.DOMAIN, demo.GENERAL):
        corpus = open_corpus(workspace.corpus(name))
        assert corpus.manifest.report.documents["train"] > 100
    assert list(demo.make(workspace)) == said
