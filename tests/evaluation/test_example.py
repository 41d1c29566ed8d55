"""The example that compares models from a program of one's own."""

from __future__ import annotations

import pytest

from cptstudio.workspace import Workspace
from examples import compare_models
from tests.toy_models import make_toy_model

pytestmark = pytest.mark.slow


def test_it_completes_and_scores_with_each_model(tmp_path, capsys) -> None:
    workspace = Workspace(tmp_path)
    for name in ("qwen3", "llama"):
        make_toy_model(name, workspace.base_model(name))
    compare_models.main(str(tmp_path), "import os", "print(os.sep)", "qwen3", "llama")
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": import os")[0] for line in lines] == ["qwen3", "llama"]
    assert all(float(line.split()[-4]) > 0 for line in lines)
